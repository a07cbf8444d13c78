package endpoint

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
)

// maxInfoSize is the largest device information, in bytes, that is kept.
const maxInfoSize = 256 << 10

// DeviceInfo is what a device's server knows about the device, which said it
// when it registered. Nothing of it is proven.
type DeviceInfo struct {
	// System are the fields that AIP knows (spec section 3.1). A field is zero if
	// it is missing or not what it should be.
	System messages.SystemInfo
	// Tags are the words under "tags", of the object or of its custom metadata.
	Tags []string
	// Raw is the JSON object, and Asked when it came; unset and zero if nothing is
	// known.
	Raw   messages.Value
	Asked time.Time
}

// Capabilities returns the words by which [Constellation.Find] finds the
// device: its supported features, its tags, its platform and the type of that;
// sorted, and without what is empty or "unknown".
func (i DeviceInfo) Capabilities() []string {
	words := slices.Concat(i.System.SupportedFeatures, i.Tags, []string{i.System.Platform, i.System.PlatformType})
	words = slices.DeleteFunc(words, func(word string) bool { return word == "" || word == unknownInfo })
	slices.Sort(words)
	return slices.Compact(words)
}

// has reports whether the device has all of these capabilities.
func (i DeviceInfo) has(capabilities []string) bool {
	if len(capabilities) == 0 {
		return true
	}
	words := i.Capabilities()
	for _, word := range capabilities {
		if _, found := slices.BinarySearch(words, word); !found {
			return false
		}
	}
	return true
}

// clone returns a copy that shares nothing that can be changed.
func (i DeviceInfo) clone() DeviceInfo {
	i.System.SupportedFeatures, i.Tags = slices.Clone(i.System.SupportedFeatures), slices.Clone(i.Tags)
	return i
}

// readDeviceInfo reads what a server answered, as far as it can be read.
func readDeviceInfo(v messages.Value) DeviceInfo {
	info := DeviceInfo{Raw: v, Asked: time.Now()}
	s := &info.System
	fields := objectOf(v)
	for key, target := range map[string]any{
		"device_id": &s.DeviceID, "platform": &s.Platform, "os_version": &s.OSVersion, "cpu_count": &s.CPUCount,
		"memory_total_gb": &s.MemoryTotalGB, "hostname": &s.Hostname, "ip_address": &s.IPAddress,
		"platform_type": &s.PlatformType, "schema_version": &s.SchemaVersion,
	} {
		if value, ok := fields.Get(key); ok {
			_ = value.Decode(target) // What is something else stays unknown.
		}
	}
	s.SupportedFeatures = wordsOf(fields, "supported_features")
	info.Tags = wordsOf(fields, "tags")
	if custom, ok := fields.Get("custom_metadata"); ok && custom.IsObject() {
		s.CustomMetadata = custom
		info.Tags = append(info.Tags, wordsOf(objectOf(custom), "tags")...)
	}
	return info
}

// objectOf returns the members of an object; none of anything else.
func objectOf(v messages.Value) messages.Object {
	var fields messages.Object
	if v.IsObject() {
		_ = v.Decode(&fields) // A Value is JSON: this can only fail for its depth.
	}
	return fields
}

// wordsOf returns the array of strings under key, if it is one.
func wordsOf(fields messages.Object, key string) []string {
	var words []string
	if value, ok := fields.Get(key); !ok || value.Decode(&words) != nil {
		return nil
	}
	return words
}

// Info returns what is known of a device, and whether anything is: the last
// answer of its server, which is asked after each registration that begins a
// session, and by [Constellation.DeviceInfo]. It asks nobody.
func (c *Constellation) Info(deviceID string) (DeviceInfo, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[deviceID]
	if m == nil || m.info.Asked.IsZero() {
		return DeviceInfo{}, false
	}
	return m.info.clone(), true
}

// DeviceInfo asks the server of a device what the device said about itself: a
// JSON object, which Info has from then on. It fails with [ErrNotConnected], a
// [*protocol.DeviceInfoError] when the server knows nothing, and a
// [*protocol.CallError].
func (c *Constellation) DeviceInfo(ctx context.Context, deviceID string) (messages.Value, error) {
	l, err := c.link(deviceID)
	if err != nil {
		return messages.Value{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.InfoTimeout)
	defer cancel()
	value, err := l.askInfo(ctx)
	if err != nil {
		return messages.Value{}, err
	}
	c.mu.Lock()
	l.member.learn(value)
	c.mu.Unlock()
	c.tell()
	return value, nil
}

// askInfo asks the server about the device.
func (l *link) askInfo(ctx context.Context) (messages.Value, error) {
	if err := l.lock(ctx); err != nil {
		return messages.Value{}, err
	}
	defer l.unlock()
	return protocol.RequestDeviceInfo(ctx, l.proto, l.deviceID)
}

// learn keeps what a server answered about the device. The constellation is
// locked.
func (m *member) learn(value messages.Value) {
	if !value.IsObject() || value.Len() > maxInfoSize {
		return
	}
	m.info = readDeviceInfo(value)
	m.note(Event{Kind: EventDeviceInfo})
}

// inform asks about the device when a session begins, and then lets its tasks
// start, whatever the answer is.
func (l *link) inform(session int) {
	c := l.constellation
	ctx, cancel := context.WithTimeout(l.ctx, c.options.InfoTimeout)
	defer cancel()
	value, err := l.askInfo(ctx)
	if err == nil && value.Len() > maxInfoSize {
		err = fmt.Errorf("endpoint: device information of %d bytes is not kept", value.Len())
	}
	if err != nil {
		c.options.Logger.Info("nothing new is known of a device", zap.String("device_id", l.deviceID), zap.Error(err))
	}
	defer c.tell()
	c.mu.Lock()
	defer c.mu.Unlock()
	m := l.member
	if m.link != l || m.session != session {
		return
	}
	if err == nil {
		m.learn(value)
	}
	m.settle()
}

// settle makes a connected device ready for tasks. The constellation is locked.
func (m *member) settle() {
	m.settled = true
	m.change(DeviceIdle, nil)
	m.dispatch()
}
