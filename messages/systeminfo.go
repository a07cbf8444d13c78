package messages

import (
	"math"
	"strconv"

	"github.com/aip-go/aip/internal/jsonscan"
)

// SystemInfo is what a device says about itself when it registers. Unknown
// strings are "unknown" by convention, unknown numbers 0.
type SystemInfo struct {
	DeviceID      string
	Platform      string
	OSVersion     string
	CPUCount      int64
	MemoryTotalGB float64 // sent with two decimals; not finite counts as unknown
	Hostname      string
	IPAddress     string
	// SupportedFeatures are words such as "gui", "cli", "browser".
	SupportedFeatures []string
	// PlatformType is "computer", "mobile" or "unknown".
	PlatformType string
	// SchemaVersion is "1.0" if unset.
	SchemaVersion string
	// CustomMetadata is a JSON object; unset is sent as an empty one.
	CustomMetadata Value
}

// SystemInfoSchemaVersion is the version of the layout of [SystemInfo].
const SystemInfoSchemaVersion = "1.0"

// Value returns the JSON object that is sent for s.
func (s SystemInfo) Value() Value {
	memory := s.MemoryTotalGB
	if math.IsNaN(memory) || math.IsInf(memory, 0) {
		memory = 0
	}
	version := s.SchemaVersion
	if version == "" {
		version = SystemInfoSchemaVersion
	}
	custom := s.CustomMetadata
	if custom.IsZero() {
		custom = Object{}.Value()
	}
	return Object{
		{"device_id", stringValue(s.DeviceID)},
		{"platform", stringValue(s.Platform)},
		{"os_version", stringValue(s.OSVersion)},
		{"cpu_count", Value{raw: strconv.AppendInt(nil, s.CPUCount, 10)}},
		{"memory_total_gb", Value{raw: strconv.AppendFloat(nil, memory, 'f', 2, 64)}},
		{"hostname", stringValue(s.Hostname)},
		{"ip_address", stringValue(s.IPAddress)},
		{"supported_features", stringsValue(s.SupportedFeatures...)},
		{"platform_type", stringValue(s.PlatformType)},
		{"schema_version", stringValue(version)},
		{"custom_metadata", custom},
	}.Value()
}

// stringValue returns s as a JSON string.
func stringValue(s string) Value {
	return Value{raw: jsonscan.AppendString(nil, s)}
}

// stringsValue returns list as a JSON array of strings.
func stringsValue(list ...string) Value {
	raw := []byte{'['}
	for i, s := range list {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw = jsonscan.AppendString(raw, s)
	}
	return Value{raw: append(raw, ']')}
}
