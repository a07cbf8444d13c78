package codec

import "github.com/aip-go/aip/messages"

func (e *encoder) rect(r *messages.Rect) bool {
	e.open()
	e.integer(`,"x":`, r.X)
	e.integer(`,"y":`, r.Y)
	e.integer(`,"width":`, r.Width)
	e.integer(`,"height":`, r.Height)
	return e.close()
}

func (e *encoder) controlInfo(c *messages.ControlInfo) bool {
	e.open()
	e.controlFields(c)
	return e.close()
}

// controlFields writes what a control and a window have in common.
func (e *encoder) controlFields(c *messages.ControlInfo) {
	e.text(`,"annotation_id":`, c.AnnotationID)
	e.text(`,"name":`, c.Name)
	e.text(`,"title":`, c.Title)
	e.optionalInteger(`,"handle":`, c.Handle)
	e.text(`,"class_name":`, c.ClassName)
	if c.Rectangle == nil {
		e.unset(`,"rectangle":`)
	} else {
		e.key(`,"rectangle":`)
		e.rect(c.Rectangle)
	}
	e.text(`,"control_type":`, c.ControlType)
	e.text(`,"automation_id":`, c.AutomationID)
	e.boolean(`,"is_enabled":`, c.IsEnabled)
	e.boolean(`,"is_visible":`, c.IsVisible)
	e.text(`,"source":`, c.Source)
	e.text(`,"text_content":`, c.TextContent)
}

func (e *encoder) windowInfo(w *messages.WindowInfo) bool {
	e.open()
	e.controlFields(&w.ControlInfo)
	e.optionalInteger(`,"process_id":`, w.ProcessID)
	e.text(`,"process_name":`, w.ProcessName)
	e.boolean(`,"is_minimized":`, w.IsMinimized)
	e.boolean(`,"is_maximized":`, w.IsMaximized)
	e.boolean(`,"is_active":`, w.IsActive)
	return e.close()
}

func (e *encoder) appWindowControlInfo(a *messages.AppWindowControlInfo) bool {
	e.open()
	e.key(`,"window_info":`)
	e.windowInfo(&a.WindowInfo)
	if a.Controls == nil {
		e.unset(`,"controls":`)
	} else {
		e.key(`,"controls":`)
		e.dst = append(e.dst, '[')
		for i := range a.Controls {
			e.separate()
			e.controlInfo(&a.Controls[i])
		}
		e.dst = append(e.dst, ']')
	}
	return e.close()
}

func (e *encoder) mcpToolInfo(t *messages.MCPToolInfo) bool {
	e.open()
	e.requiredText(`,"tool_key":`, t.ToolKey)
	e.requiredText(`,"tool_name":`, t.ToolName)
	e.text(`,"title":`, t.Title)
	e.requiredText(`,"namespace":`, t.Namespace)
	e.requiredText(`,"tool_type":`, t.ToolType)
	e.text(`,"description":`, t.Description)
	e.value(`,"input_schema":`, t.InputSchema)
	e.value(`,"output_schema":`, t.OutputSchema)
	e.value(`,"meta":`, t.Meta)
	e.value(`,"annotations":`, t.Annotations)
	return e.close()
}
