package codec

import "github.com/aip-go/aip/messages"

func (e *encoder) rect(dst []byte, r *messages.Rect) []byte {
	dst = e.integer(dst, `{"x":`, r.X)
	dst = e.integer(dst, `,"y":`, r.Y)
	dst = e.integer(dst, `,"width":`, r.Width)
	dst = e.integer(dst, `,"height":`, r.Height)
	return append(dst, '}')
}

func (e *encoder) controlInfo(dst []byte, c *messages.ControlInfo) []byte {
	start := len(dst)
	return closeObject(e.controlFields(dst, c), start)
}

// controlFields writes what a control and a window have in common.
func (e *encoder) controlFields(dst []byte, c *messages.ControlInfo) []byte {
	dst = e.text(dst, `,"annotation_id":`, c.AnnotationID)
	dst = e.text(dst, `,"name":`, c.Name)
	dst = e.text(dst, `,"title":`, c.Title)
	dst = e.optionalInteger(dst, `,"handle":`, c.Handle)
	dst = e.text(dst, `,"class_name":`, c.ClassName)
	if c.Rectangle == nil {
		dst = e.unset(dst, `,"rectangle":`)
	} else {
		dst = e.key(dst, `,"rectangle":`)
		dst = e.rect(dst, c.Rectangle)
	}
	dst = e.text(dst, `,"control_type":`, c.ControlType)
	dst = e.text(dst, `,"automation_id":`, c.AutomationID)
	dst = e.boolean(dst, `,"is_enabled":`, c.IsEnabled)
	dst = e.boolean(dst, `,"is_visible":`, c.IsVisible)
	dst = e.text(dst, `,"source":`, c.Source)
	return e.text(dst, `,"text_content":`, c.TextContent)
}

// closeObject ends an object that starts at start and that may be empty: the
// brace that opens it takes the place of the first comma.
func closeObject(dst []byte, start int) []byte {
	if len(dst) == start {
		return append(dst, "{}"...)
	}
	dst[start] = '{'
	return append(dst, '}')
}

func (e *encoder) windowInfo(dst []byte, w *messages.WindowInfo) []byte {
	start := len(dst)
	dst = e.controlFields(dst, &w.ControlInfo)
	dst = e.optionalInteger(dst, `,"process_id":`, w.ProcessID)
	dst = e.text(dst, `,"process_name":`, w.ProcessName)
	dst = e.boolean(dst, `,"is_minimized":`, w.IsMinimized)
	dst = e.boolean(dst, `,"is_maximized":`, w.IsMaximized)
	dst = e.boolean(dst, `,"is_active":`, w.IsActive)
	return closeObject(dst, start)
}

func (e *encoder) appWindowControlInfo(dst []byte, a *messages.AppWindowControlInfo) []byte {
	dst = e.key(dst, `{"window_info":`)
	dst = e.windowInfo(dst, &a.WindowInfo)
	if a.Controls == nil {
		dst = e.unset(dst, `,"controls":`)
	} else {
		dst = e.key(dst, `,"controls":`)
		dst = append(dst, '[')
		for i := range a.Controls {
			dst = comma(dst, i)
			dst = e.controlInfo(dst, &a.Controls[i])
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func (e *encoder) mcpToolInfo(dst []byte, t *messages.MCPToolInfo) []byte {
	dst = e.requiredText(dst, `{"tool_key":`, t.ToolKey)
	dst = e.requiredText(dst, `,"tool_name":`, t.ToolName)
	dst = e.text(dst, `,"title":`, t.Title)
	dst = e.requiredText(dst, `,"namespace":`, t.Namespace)
	dst = e.requiredText(dst, `,"tool_type":`, t.ToolType)
	dst = e.text(dst, `,"description":`, t.Description)
	dst = e.value(dst, `,"input_schema":`, t.InputSchema)
	dst = e.value(dst, `,"output_schema":`, t.OutputSchema)
	dst = e.value(dst, `,"meta":`, t.Meta)
	dst = e.value(dst, `,"annotations":`, t.Annotations)
	return append(dst, '}')
}
