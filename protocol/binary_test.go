package protocol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

func TestSendBinary(t *testing.T) {
	for _, test := range []struct {
		name     string
		metadata messages.Object
		data     string
		want     string
	}{
		{"no metadata", nil, "xyz",
			`{"type": "binary_data", "size": 3, "timestamp": "…"}`},
		{"empty", nil, "",
			`{"type": "binary_data", "size": 0, "timestamp": "…"}`},
		{"the caller's order and types", messages.Object{
			{Key: "z", Value: numberValue(1)},
			{Key: "filename", Value: textValue("é.png")},
			{Key: "nested", Value: messages.TrustedValue([]byte(`{"a":[1,2]}`))},
			{Key: "unset"},
		}, "x",
			`{"z": 1, "filename": "\u00e9.png", "nested": {"a": [1, 2]}, "unset": null, "type": "binary_data", "size": 1, "timestamp": "…"}`},
		{"the protocol's keys in their places", messages.Object{
			{Key: "timestamp", Value: textValue("mine")},
			{Key: "a", Value: numberValue(1)},
			{Key: "size", Value: textValue("wrong")},
			{Key: "type", Value: textValue("other")},
			{Key: "b", Value: numberValue(2)},
		}, "xy",
			`{"timestamp": "…", "a": 1, "size": 2, "type": "binary_data", "b": 2}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, server, near := filePair(t)
			before := fmt.Sprint(test.metadata)
			if err := server.SendBinary(fileContext(t), []byte(test.data), test.metadata); err != nil {
				t.Fatal(err)
			}
			got := record(t, near, 2)
			if want := []string{"T " + test.want, "B " + test.data}; !reflect.DeepEqual(got, want) {
				t.Errorf("sent %q, want %q", got, want)
			}
			if after := fmt.Sprint(test.metadata); after != before {
				t.Errorf("the caller's metadata was changed: %s, was %s", after, before)
			}
		})
	}
}

func TestSendBinaryRefusesHugeMetadata(t *testing.T) {
	_, server, _ := filePair(t)
	huge := messages.Object{{Key: "a", Value: textValue(strings.Repeat("x", maxMetadata))}}
	if err := server.SendBinary(fileContext(t), nil, huge); !errors.Is(err, ErrLimit) {
		t.Errorf("%v, want ErrLimit", err)
	}
}

// textOnly is a transport without binary messages.
type textOnly struct{ transport.Transport }

func TestSendBinaryWithoutFrames(t *testing.T) {
	near, _ := transport.NewPair(nil)
	client, err := NewClient(textOnly{near}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SendBinary(fileContext(t), nil, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v, want errors.ErrUnsupported", err)
	}
	if err := near.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReceiveBinary(t *testing.T) {
	client, server, _ := filePair(t)
	ctx := fileContext(t)
	data := patterned(100000)
	sent := WithChecksum(messages.Object{
		{Key: "filename", Value: textValue("é.png")},
		{Key: "mime_type", Value: numberValue(5)},
		{Key: "mine", Value: messages.TrustedValue([]byte("123456789012345678901234567890"))},
	}, data)
	if err := server.SendBinary(ctx, data, sent); err != nil {
		t.Fatal(err)
	}
	got, err := client.ReceiveBinary(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Data, data) || !got.Verified {
		t.Errorf("got %d bytes, verified: %v", len(got.Data), got.Verified)
	}
	var keys []string
	for _, member := range got.Metadata {
		keys = append(keys, member.Key)
	}
	if want := []string{"filename", "mime_type", "mine", "checksum", "type", "size", "timestamp"}; !reflect.DeepEqual(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	model := got.Model()
	if model.Filename != "é.png" || model.MIMEType != "" || model.Size != 100000 || model.Type != "binary_data" || len(model.Checksum) != 64 {
		t.Errorf("model %+v", model)
	}
	if mine, _ := model.Extra.Get("mine"); mine.String() != "123456789012345678901234567890" || len(model.Extra) != 1 {
		t.Errorf("extra %v", model.Extra)
	}
}

// What the reference's receiver does not notice, or mistakes, is in the last
// column as this one has it.
func TestReceiveBinaryChecks(t *testing.T) {
	const md5abc, shaA = "900150983cd24fb0d6963f7d28e17f72", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
	for _, test := range []struct {
		name, metadata, data string
		opts                 *BinaryOptions
		want                 error
		verified             bool
	}{
		{"right size", `{"type":"binary_data","size":3}`, "abc", nil, nil, false},
		{"empty", `{"type":"binary_data","size":0}`, "", nil, nil, false},
		{"too short", `{"type":"binary_data","size":4}`, "abc", nil, ErrSize, false},
		{"too long", `{"type":"binary_data","size":2}`, "abc", nil, ErrSize, false},
		{"negative size", `{"type":"binary_data","size":-1}`, "abc", nil, ErrSize, false},
		{"size as a string", `{"type":"binary_data","size":"3"}`, "abc", nil, ErrMetadata, false},
		{"no size", `{"type":"binary_data"}`, "abc", nil, ErrMetadata, false},
		{"null size", `{"type":"binary_data","size":null}`, "abc", nil, ErrMetadata, false},
		{"no size, allowed", `{"type":"binary_data"}`, "abc", &BinaryOptions{AllowMissingSize: true}, nil, false},
		{"wrong size where none is allowed too", `{"type":"binary_data","size":1}`, "abc", &BinaryOptions{AllowMissingSize: true}, ErrSize, false},
		{"right MD5", `{"type":"binary_data","size":3,"checksum":"` + md5abc + `"}`, "abc", nil, nil, true},
		{"upper case", `{"type":"binary_data","size":3,"checksum":"` + strings.ToUpper(md5abc) + `"}`, "abc", nil, nil, true},
		{"wrong MD5", `{"type":"binary_data","size":3,"checksum":"` + md5abc + `"}`, "abd", nil, ErrChecksum, false},
		{"right SHA-256", `{"type":"binary_data","size":1,"checksum":"` + shaA + `"}`, "a", nil, nil, true},
		{"wrong SHA-256", `{"type":"binary_data","size":1,"checksum":"` + shaA + `"}`, "b", nil, ErrChecksum, false},
		{"wrong, ignored", `{"type":"binary_data","size":1,"checksum":"` + shaA + `"}`, "b", &BinaryOptions{IgnoreChecksum: true}, nil, false},
		{"null checksum", `{"type":"binary_data","size":1,"checksum":null}`, "b", nil, nil, false},
		{"another kind of checksum", `{"type":"binary_data","size":1,"checksum":"crc32:0000"}`, "b", nil, nil, false},
		{"a checksum that is no string", `{"type":"binary_data","size":1,"checksum":5}`, "b", nil, nil, false},
		{"last of two sizes", `{"type":"binary_data","size":9,"size":1}`, "b", nil, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, server, near := filePair(t)
			play(t, near, textOf(test.metadata), binaryOf(test.data))
			m, err := server.ReceiveBinary(fileContext(t), test.opts)
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if test.want != nil {
				var carrier *BinaryError
				if !errors.As(err, &carrier) {
					t.Fatalf("%v does not carry the message", err)
				}
				m = carrier.Message
			}
			if string(m.Data) != test.data || m.Verified != test.verified || len(m.Metadata) == 0 {
				t.Errorf("got %q, verified %v, metadata %v", m.Data, m.Verified, m.Metadata)
			}
			// The connection is as good as before.
			play(t, near, textOf(`{"type":"binary_data","size":4}`), binaryOf("next"))
			if m, err = server.ReceiveBinary(fileContext(t), nil); err != nil || string(m.Data) != "next" {
				t.Errorf("then %v, %v", m, err)
			}
		})
	}
}

func TestSizeMismatchIsTyped(t *testing.T) {
	_, server, near := filePair(t)
	play(t, near, textOf(`{"type":"binary_data","size":4}`), binaryOf("abc"))
	_, err := server.ReceiveBinary(fileContext(t), nil)
	var mismatch *SizeMismatchError
	if !errors.As(err, &mismatch) || *mismatch != (SizeMismatchError{Announced: 4, Got: 3}) {
		t.Errorf("%v", err)
	}
}

const heartbeatText = `{"type":"heartbeat","status":"ok","client_id":"d"}`

// Nothing that comes where a binary message is due is lost.
func TestReceiveBinaryLeavesTheRest(t *testing.T) {
	t.Run("message", func(t *testing.T) {
		_, server, near := filePair(t)
		ctx := fileContext(t)
		play(t, near, textOf(heartbeatText), textOf(`{"type":"binary_data","size":1}`), binaryOf("x"))
		if _, err := server.ReceiveBinary(ctx, nil); !errors.Is(err, ErrOrder) {
			t.Fatalf("%v, want ErrOrder", err)
		}
		if m, err := server.Receive(ctx); err != nil || m.ClientID != "d" {
			t.Fatalf("the message: %v, %v", m, err)
		}
		if m, err := server.ReceiveBinary(ctx, nil); err != nil || string(m.Data) != "x" {
			t.Fatalf("the binary message: %v, %v", m, err)
		}
	})
	t.Run("file", func(t *testing.T) {
		client, server, _ := filePair(t)
		ctx, dir := fileContext(t), t.TempDir()
		if _, err := client.SendFileFrom(ctx, strings.NewReader("abc"), "f.txt", 3, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := server.ReceiveBinary(ctx, nil); !errors.Is(err, ErrOrder) {
			t.Fatalf("%v, want ErrOrder", err)
		}
		if _, err := server.ReceiveFile(ctx, dir, nil); err != nil {
			t.Fatal(err)
		}
		checkDir(t, dir, map[string]string{"f.txt": "abc"})
	})
	t.Run("text instead of the data", func(t *testing.T) {
		_, server, near := filePair(t)
		ctx := fileContext(t)
		const announcement = `{"type":"binary_data","size":1}`
		play(t, near, textOf(announcement), textOf(heartbeatText))
		_, err := server.ReceiveBinary(ctx, nil)
		var invalid *MessageError
		if !errors.Is(err, ErrOrder) || !errors.As(err, &invalid) || string(invalid.Data) != announcement {
			t.Fatalf("%v, which carries %v", err, invalid)
		}
		if m, err := server.Receive(ctx); err != nil || m.ClientID != "d" {
			t.Fatalf("the message: %v, %v", m, err)
		}
	})
	t.Run("data without text", func(t *testing.T) {
		_, server, near := filePair(t)
		play(t, near, binaryOf("lost?"))
		_, err := server.ReceiveBinary(fileContext(t), nil)
		var invalid *MessageError
		if !errors.Is(err, ErrOrder) || !errors.As(err, &invalid) || string(invalid.Data) != "lost?" || !errors.Is(err, transport.ErrFrameType) {
			t.Fatalf("%v, which carries %v", err, invalid)
		}
	})
	t.Run("context between the frames", func(t *testing.T) {
		_, server, near := filePair(t)
		play(t, near, textOf(`{"type":"binary_data","size":1}`))
		ctx, cancel := context.WithCancel(fileContext(t))
		cancel()
		if _, err := server.ReceiveBinary(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Fatalf("%v, want context.Canceled", err)
		}
		play(t, near, binaryOf("x"))
		if m, err := server.ReceiveBinary(fileContext(t), nil); err != nil || string(m.Data) != "x" {
			t.Fatalf("then %v, %v", m, err)
		}
	})
}

// Both frames of a binary message stay together, whoever sends beside it.
func TestSendBinaryConcurrently(t *testing.T) {
	client, server, _ := filePair(t)
	ctx := fileContext(t)
	const senders, each = 8, 40
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for n := range each {
				data := bytes.Repeat([]byte{byte(i)}, 1+n*97)
				err := client.SendBinary(ctx, data, messages.Object{{Key: "from", Value: numberValue(int64(i))}})
				if err == nil {
					err = client.SendRaw(ctx, []byte(heartbeatText))
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	counts := make([]int, senders)
	heartbeats := 0
	for range 2 * senders * each {
		m, err := server.ReceiveBinary(ctx, nil)
		if errors.Is(err, ErrOrder) {
			if _, err := server.Receive(ctx); err != nil {
				t.Fatal(err)
			}
			heartbeats++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		from, _, _ := intField(m.Metadata, "from")
		if want := bytes.Repeat([]byte{byte(from)}, 1+counts[from]*97); !bytes.Equal(m.Data, want) {
			t.Fatalf("message %d of sender %d holds something else", counts[from], from)
		}
		counts[from]++
	}
	wg.Wait()
	if heartbeats != senders*each {
		t.Errorf("%d heartbeats", heartbeats)
	}
	for i, n := range counts {
		if n != each {
			t.Errorf("%d messages of sender %d", n, i)
		}
	}
}

func TestBinaryMiddleware(t *testing.T) {
	client, server, _ := filePair(t)
	ctx := fileContext(t)
	refused := errors.New("not today")
	client.Use(Middleware[messages.ClientMessage, messages.ServerMessage]{
		OutgoingBinary: func(_ context.Context, o messages.Object) (messages.Object, error) {
			o.Set("stamp", textValue("in"))
			return o, nil
		},
	})
	var seen string
	server.Use(Middleware[messages.ServerMessage, messages.ClientMessage]{
		IncomingBinary: func(_ context.Context, o messages.Object) (messages.Object, error) {
			seen, _, _ = stringField(o, "stamp")
			if _, ok := o.Get("bad"); ok {
				return nil, refused
			}
			return o, nil
		},
	})
	if err := client.SendBinary(ctx, []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := server.ReceiveBinary(ctx, nil); err != nil || seen != "in" {
		t.Fatalf("stamp %q, %v", seen, err)
	}
	if err := client.SendBinary(ctx, []byte("y"), messages.Object{{Key: "bad", Value: numberValue(1)}}); err != nil {
		t.Fatal(err)
	}
	_, err := server.ReceiveBinary(ctx, nil)
	var carrier *BinaryError
	if !errors.Is(err, refused) || !errors.As(err, &carrier) || string(carrier.Message.Data) != "y" {
		t.Fatalf("%v", err)
	}
}

func TestHandleBinary(t *testing.T) {
	client, server, near := filePair(t)
	ctx := fileContext(t)
	if err := server.HandleBinary(nil, nil); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("no handler: %v", err)
	}
	got := make(chan string, 8)
	server.OnError(func(_ context.Context, _ *messages.ClientMessage, err error) {
		got <- fmt.Sprint(errors.Is(err, ErrSize))
	})
	server.Handle(messages.ClientHeartbeat, func(context.Context, *messages.ClientMessage) error {
		got <- "heartbeat"
		return nil
	})
	opts := &BinaryOptions{AllowMissingSize: true}
	err := server.HandleBinary(opts, func(_ context.Context, m *BinaryMessage) error {
		got <- string(m.Data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	opts.AllowMissingSize = false // was copied
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := client.SendBinary(ctx, []byte("one"), nil); err != nil {
		t.Fatal(err)
	}
	play(t, near,
		textOf(heartbeatText),
		textOf(`{"type":"binary_data"}`), binaryOf("no size"),
		textOf(`{"type":"binary_data","size":9}`), binaryOf("wrong"),
		textOf(`{"type":"binary_data","size":3,"chunk_num":0}`), binaryOf("two"))
	for _, want := range []string{"one", "heartbeat", "no size", "true", "two"} {
		if s := <-got; s != want {
			t.Errorf("got %q, want %q", s, want)
		}
	}
	if err := near.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}
