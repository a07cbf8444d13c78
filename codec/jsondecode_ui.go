package codec

import "github.com/aip-go/aip/messages"

func (d *decoder) rect(r *messages.Rect) {
	hasX, hasY, hasWidth, hasHeight := false, false, false, false
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		switch string(d.s.Key()) {
		case "x":
			hasX = true
			r.X = d.integer("x")
		case "y":
			hasY = true
			r.Y = d.integer("y")
		case "width":
			hasWidth = true
			r.Width = d.integer("width")
		case "height":
			hasHeight = true
			r.Height = d.integer("height")
		default:
			d.s.Skip()
		}
	}
	d.required(hasX, "x")
	d.required(hasY, "y")
	d.required(hasWidth, "width")
	d.required(hasHeight, "height")
}

// rectangle reads a rectangle or null.
func (d *decoder) rectangle(field string) *messages.Rect {
	switch d.s.Kind() {
	case '{':
		start := len(d.wrong)
		r := new(messages.Rect)
		d.rect(r)
		d.within(start, field)
		return r
	case 'n':
		d.s.Skip()
	default:
		d.mistyped(field, "must be a JSON object")
	}
	return nil
}

func (d *decoder) controlInfo(c *messages.ControlInfo) {
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		if !d.controlField(c) {
			d.s.Skip()
		}
	}
}

// controlField reads the current member if it is one of those that a control
// and a window have in common, and reports whether it is.
func (d *decoder) controlField(c *messages.ControlInfo) bool {
	switch string(d.s.Key()) {
	case "annotation_id":
		c.AnnotationID = d.text("annotation_id")
	case "name":
		c.Name = d.text("name")
	case "title":
		c.Title = d.text("title")
	case "handle":
		c.Handle = d.optionalInteger("handle")
	case "class_name":
		c.ClassName = d.text("class_name")
	case "rectangle":
		c.Rectangle = d.rectangle("rectangle")
	case "control_type":
		c.ControlType = d.text("control_type")
	case "automation_id":
		c.AutomationID = d.text("automation_id")
	case "is_enabled":
		c.IsEnabled = d.boolean("is_enabled")
	case "is_visible":
		c.IsVisible = d.boolean("is_visible")
	case "source":
		c.Source = d.text("source")
	case "text_content":
		c.TextContent = d.text("text_content")
	default:
		return false
	}
	return true
}

func (d *decoder) windowInfo(w *messages.WindowInfo) {
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		if d.controlField(&w.ControlInfo) {
			continue
		}
		switch string(d.s.Key()) {
		case "process_id":
			w.ProcessID = d.optionalInteger("process_id")
		case "process_name":
			w.ProcessName = d.text("process_name")
		case "is_minimized":
			w.IsMinimized = d.boolean("is_minimized")
		case "is_maximized":
			w.IsMaximized = d.boolean("is_maximized")
		case "is_active":
			w.IsActive = d.boolean("is_active")
		default:
			d.s.Skip()
		}
	}
}

func (d *decoder) appWindowControlInfo(a *messages.AppWindowControlInfo) {
	hasWindow := false
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		switch string(d.s.Key()) {
		case "window_info":
			hasWindow = true
			a.WindowInfo = messages.WindowInfo{}
			if d.s.Kind() != '{' {
				d.mistyped("window_info", "must be a JSON object")
				continue
			}
			inner := len(d.wrong)
			d.windowInfo(&a.WindowInfo)
			d.within(inner, "window_info")
		case "controls":
			a.Controls = d.controls("controls")
		default:
			d.s.Skip()
		}
	}
	d.required(hasWindow, "window_info")
}

// controls reads a list of controls, nil if it is null.
func (d *decoder) controls(field string) []messages.ControlInfo {
	if !d.list(field) {
		return nil
	}
	list, omitted, out := len(d.wrong), 0, []messages.ControlInfo{}
	for i := 0; d.s.NextElement(); i++ {
		start := len(d.wrong)
		if start == list { // of a list with something wrong, nothing is kept
			out = append(out, messages.ControlInfo{})
		}
		if d.isObject() {
			d.controlInfo(&out[len(out)-1])
		}
		d.element(list, start, i, &omitted)
	}
	d.endList(list, field, omitted)
	return out
}

func (d *decoder) mcpToolInfo(t *messages.MCPToolInfo) {
	hasKey, hasName, hasNamespace, hasType := false, false, false, false
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		switch string(d.s.Key()) {
		case "tool_key":
			hasKey = true
			t.ToolKey = d.requiredText("tool_key")
		case "tool_name":
			hasName = true
			t.ToolName = d.requiredText("tool_name")
		case "title":
			t.Title = d.text("title")
		case "namespace":
			hasNamespace = true
			t.Namespace = d.requiredText("namespace")
		case "tool_type":
			hasType = true
			t.ToolType = d.requiredText("tool_type")
		case "description":
			t.Description = d.text("description")
		case "input_schema":
			t.InputSchema = d.object("input_schema")
		case "output_schema":
			t.OutputSchema = d.object("output_schema")
		case "meta":
			t.Meta = d.object("meta")
		case "annotations":
			t.Annotations = d.object("annotations")
		default:
			d.s.Skip()
		}
	}
	d.required(hasKey, "tool_key")
	d.required(hasName, "tool_name")
	d.required(hasNamespace, "namespace")
	d.required(hasType, "tool_type")
}
