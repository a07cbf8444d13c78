package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/aip-go/aip/internal/bench/jsoncase"
)

func TestLibrariesKeepEveryMessage(t *testing.T) {
	for _, c := range jsoncase.All(4 << 10) {
		for _, l := range libraries() {
			for _, leave := range []bool{false, true} {
				if err := l.Verify(c, leave); err != nil {
					t.Errorf("%s, %s, %t: %v", l.Name, c.Name, leave, err)
				}
			}
		}
		for _, encode := range []bool{false, true} {
			step, err := codecStep(c, encode)
			if err == nil {
				err = step()
			}
			if err != nil {
				t.Errorf("the codec, %s: %v", c.Name, err)
			}
		}
	}
}

func TestRemoteTurns(t *testing.T) {
	var in, out bytes.Buffer
	requests := json.NewEncoder(&in)
	for _, name := range []string{"heartbeat", "nothing"} {
		if err := requests.Encode(jsoncase.Request{Case: name, Size: 4096, Encode: true, Turn: time.Nanosecond}); err != nil {
			t.Fatal(err)
		}
	}
	if err := jsoncase.Serve(libraries()[0], &in, &out); err != nil {
		t.Fatal(err)
	}
	replies := json.NewDecoder(&out)
	var good, bad jsoncase.Reply
	if err := replies.Decode(&good); err != nil || good.Error != "" || good.Figures.Time <= 0 {
		t.Errorf("the answer is %+v, %v", good, err)
	}
	if err := replies.Decode(&bad); err != nil || bad.Error == "" {
		t.Errorf("the answer to nonsense is %+v, %v", bad, err)
	}
}
