package codec_test

import (
	"context"
	"fmt"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
)

// Take single messages and batches from the same connection.
func ExampleSplitBatch() {
	for _, frame := range []string{
		`{"type":"heartbeat","status":"ok"}`,
		`[{"type":"heartbeat","status":"ok"},{"type":"error","status":"error"}]`,
		`[{"type":"heartbeat","status":"ok"},7]`,
	} {
		raws := [][]byte{[]byte(frame)}
		if codec.IsBatch([]byte(frame)) {
			var err error
			if raws, err = codec.SplitBatch([]byte(frame), nil); err != nil {
				fmt.Println(err)
			}
		}
		for _, raw := range raws {
			fmt.Printf("%s\n", raw)
		}
	}
	// Output:
	// {"type":"heartbeat","status":"ok"}
	// {"type":"heartbeat","status":"ok"}
	// {"type":"error","status":"error"}
	// codec: not a message: every element of a batch must be one JSON object (in a batch, at message 1)
}

func ExampleDecodeBatch() {
	batch, err := codec.EncodeBatch(nil, codec.JSON{}, []messages.ClientMessage{
		{Type: messages.ClientHeartbeat, Status: messages.StatusOK, ClientID: "device-1"},
		{Type: messages.ClientHeartbeat, Status: messages.StatusOK, ClientID: "device-2"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for message, err := range codec.DecodeBatch[messages.ClientMessage](batch, codec.JSON{}, nil) {
		if err != nil {
			fmt.Println(err) // about this message alone
			continue
		}
		fmt.Println(message.Type, message.ClientID)
	}
	// Output:
	// heartbeat device-1
	// heartbeat device-2
}

// Gather messages, and send them two by two, or after 10 ms.
func ExampleBatcher() {
	send := func(_ context.Context, batch []byte) error { // such as a transport's Send
		fmt.Printf("%s\n", batch)
		return nil
	}
	batcher, err := codec.NewBatcher(send, &codec.BatcherOptions{MaxCount: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	for n := range 3 {
		if err := batcher.Add(context.Background(), fmt.Appendf(nil, `{"n":%d}`, n)); err != nil {
			fmt.Println(err)
		}
	}
	if err := batcher.Close(); err != nil { // sends what is left
		fmt.Println(err)
	}
	// Output:
	// [{"n":0},{"n":1}]
	// [{"n":2}]
}
