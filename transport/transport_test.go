package transport_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aip-go/aip/transport"
)

// wrapper wraps a transport and has nothing of its own but the pings.
type wrapper struct {
	transport.Transport
	transport.Pinger
}

func (w *wrapper) Unwrap() transport.Transport { return w.Transport }

// dead wraps a transport that is not there.
type dead struct{ transport.Transport }

func (dead) Unwrap() transport.Transport { return nil }

func TestAs(t *testing.T) {
	client, server := transport.NewPair(nil)
	inner := &wrapper{Transport: client, Pinger: server}
	outer := &wrapper{Transport: inner, Pinger: client}

	if got, err := transport.As[transport.Pinger](outer); err != nil || got != transport.Pinger(outer) {
		t.Errorf("the outermost is not taken: %T, %v", got, err)
	}
	if got, err := transport.As[transport.FrameTransport](outer); err != nil || got != transport.FrameTransport(client) {
		t.Errorf("the one behind two wrappers is not found: %T, %v", got, err)
	}
	if got, err := transport.As[*transport.Memory](outer); err != nil || got != client {
		t.Errorf("the type behind two wrappers is not found: %T, %v", got, err)
	}
	type unknown interface{ Unknown() }
	for _, at := range []transport.Transport{outer, client, struct{ transport.Transport }{client}, dead{client}, nil} {
		got, err := transport.As[unknown](at)
		if !errors.Is(err, errors.ErrUnsupported) || got != nil {
			t.Errorf("an interface that %T does not have: %v, %v", at, got, err)
		}
	}
	if _, err := transport.As[transport.Pinger](struct{ transport.Transport }{client}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("an interface that is hidden is found: %v", err)
	}
}

func TestKindNames(t *testing.T) {
	for kind, want := range map[transport.Kind]string{transport.Text: "text", transport.Binary: "binary", 7: "kind(7)"} {
		if kind.String() != want {
			t.Errorf("kind %d is called %q", uint8(kind), kind)
		}
	}
}

// TestProfiles: the values are in the ranges of AIP's transport document.
func TestProfiles(t *testing.T) {
	const mebibyte = 1 << 20
	type span [2]time.Duration
	seconds := func(from, to time.Duration) span { return span{from * time.Second, to * time.Second} }
	names := make(map[string]bool)
	for _, test := range []struct {
		profile                  transport.Profile
		interval, timeout, close span
		size                     int64
	}{
		{transport.ProfileDefault, seconds(30, 30), seconds(180, 180), seconds(10, 10), 100},
		{transport.ProfileLocal, seconds(10, 20), seconds(30, 60), seconds(5, 5), 100},
		{transport.ProfileInternet, seconds(30, 60), seconds(120, 180), seconds(10, 10), 100},
		{transport.ProfileUnreliable, seconds(60, 120), seconds(180, 300), seconds(15, 15), 50},
		{transport.ProfileMobile, seconds(60, 60), seconds(180, 180), seconds(10, 10), 10},
		{transport.ProfileLowLatency, seconds(10, 10), seconds(30, 30), seconds(10, 10), 100},
		{transport.ProfileHighThroughput, seconds(60, 60), seconds(180, 180), seconds(10, 10), 100},
		{transport.ProfileLargeMessages, seconds(30, 30), seconds(180, 180), seconds(10, 10), 500},
	} {
		p := test.profile
		for _, v := range []struct {
			name string
			got  time.Duration
			want span
		}{{"PingInterval", p.PingInterval, test.interval}, {"PingTimeout", p.PingTimeout, test.timeout}, {"CloseTimeout", p.CloseTimeout, test.close}} {
			if v.got < v.want[0] || v.got > v.want[1] {
				t.Errorf("%s: %s is %v, want %v to %v", p.Name, v.name, v.got, v.want[0], v.want[1])
			}
		}
		if p.MaxMessageSize != test.size*mebibyte {
			t.Errorf("%s: MaxMessageSize is %d, want %d MiB", p.Name, p.MaxMessageSize, test.size)
		}
		if p.Name == "" || names[p.Name] {
			t.Errorf("the name %q is empty or not the only one", p.Name)
		}
		names[p.Name] = true
	}
	if !transport.ProfileMobile.Compress || !transport.ProfileLargeMessages.Compress || !transport.ProfileHighThroughput.Batch {
		t.Error("a profile lacks what the document asks for")
	}
}
