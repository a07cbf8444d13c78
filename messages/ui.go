package messages

// Rect is a rectangle on the screen, in pixels.
type Rect struct {
	X      int64 `json:"x"`
	Y      int64 `json:"y"`
	Width  int64 `json:"width"`
	Height int64 `json:"height"`
}

// ControlInfo describes one control of a user interface. Every field is
// optional.
type ControlInfo struct {
	AnnotationID string `json:"annotation_id,omitzero"`
	Name         string `json:"name,omitzero"`
	Title        string `json:"title,omitzero"`
	Handle       *int64 `json:"handle,omitzero"`
	ClassName    string `json:"class_name,omitzero"`
	Rectangle    *Rect  `json:"rectangle,omitzero"`
	ControlType  string `json:"control_type,omitzero"`
	AutomationID string `json:"automation_id,omitzero"`
	IsEnabled    *bool  `json:"is_enabled,omitzero"`
	IsVisible    *bool  `json:"is_visible,omitzero"`
	Source       string `json:"source,omitzero"`
	TextContent  string `json:"text_content,omitzero"`
}

// WindowInfo describes a window: the fields of [ControlInfo] and its own.
type WindowInfo struct {
	ControlInfo
	ProcessID   *int64 `json:"process_id,omitzero"`
	ProcessName string `json:"process_name,omitzero"`
	IsMinimized *bool  `json:"is_minimized,omitzero"`
	IsMaximized *bool  `json:"is_maximized,omitzero"`
	IsActive    *bool  `json:"is_active,omitzero"`
}

// AppWindowControlInfo is a window with the controls in it.
type AppWindowControlInfo struct {
	WindowInfo WindowInfo    `json:"window_info"`
	Controls   []ControlInfo `json:"controls,omitzero"`
}
