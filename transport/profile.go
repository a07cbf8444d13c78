package transport

import "time"

// Profile is a set of settings that suits an environment. Its values can be
// given to any transport that has keepalive pings; see for example
// websocket.Options.Profile.
type Profile struct {
	// Name is the environment's name.
	Name string
	// PingInterval is the time between two pings.
	PingInterval time.Duration
	// PingTimeout is how long the peer may take to answer one.
	PingTimeout time.Duration
	// CloseTimeout bounds the closing handshake.
	CloseTimeout time.Duration
	// MaxMessageSize is the largest message, in bytes.
	MaxMessageSize int64
	// Compress: compressing large messages pays here (see codec.Compressor).
	Compress bool
	// Batch: sending several messages as one pays here (see codec.Batcher).
	Batch bool
}

const mebibyte = 1 << 20

// The environments of AIP's transport document. Where it gives a range, its
// example's value is taken, or else the middle of the range.
var (
	// ProfileDefault is what a transport uses when nothing is said.
	ProfileDefault = Profile{Name: "default", PingInterval: 30 * time.Second, PingTimeout: 180 * time.Second, CloseTimeout: 10 * time.Second, MaxMessageSize: 100 * mebibyte}
	// ProfileLocal is for a local network: quick failure detection.
	ProfileLocal = Profile{Name: "local", PingInterval: 15 * time.Second, PingTimeout: 45 * time.Second, CloseTimeout: 5 * time.Second, MaxMessageSize: 100 * mebibyte}
	// ProfileInternet balances overhead and detection.
	ProfileInternet = Profile{Name: "internet", PingInterval: 30 * time.Second, PingTimeout: 180 * time.Second, CloseTimeout: 10 * time.Second, MaxMessageSize: 100 * mebibyte}
	// ProfileUnreliable gives a bad network time.
	ProfileUnreliable = Profile{Name: "unreliable", PingInterval: 90 * time.Second, PingTimeout: 240 * time.Second, CloseTimeout: 15 * time.Second, MaxMessageSize: 50 * mebibyte}
	// ProfileMobile spares the battery and the data plan.
	ProfileMobile = Profile{Name: "mobile", PingInterval: 60 * time.Second, PingTimeout: 180 * time.Second, CloseTimeout: 10 * time.Second, MaxMessageSize: 10 * mebibyte, Compress: true}
	// ProfileLowLatency finds a dead peer fast; use one transport per device.
	ProfileLowLatency = Profile{Name: "low latency", PingInterval: 10 * time.Second, PingTimeout: 30 * time.Second, CloseTimeout: 10 * time.Second, MaxMessageSize: 100 * mebibyte}
	// ProfileHighThroughput reduces the overhead per message.
	ProfileHighThroughput = Profile{Name: "high throughput", PingInterval: 60 * time.Second, PingTimeout: 180 * time.Second, CloseTimeout: 10 * time.Second, MaxMessageSize: 100 * mebibyte, Batch: true}
	// ProfileLargeMessages is for screenshots, models and other large payloads.
	ProfileLargeMessages = Profile{Name: "large messages", PingInterval: 30 * time.Second, PingTimeout: 180 * time.Second, CloseTimeout: 10 * time.Second, MaxMessageSize: 500 * mebibyte, Compress: true}
)
