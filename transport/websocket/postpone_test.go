package websocket_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// burst sends that many messages in one piece.
func burst(t *testing.T, from *websocket.Transport, name string, n int) {
	t.Helper()
	frames := make([]transport.Frame, n)
	for i := range frames {
		frames[i] = transport.Frame{Kind: transport.Text, Data: fmt.Appendf(nil, "%s %d", name, i)}
	}
	if err := from.SendFrames(t.Context(), frames...); err != nil {
		t.Fatal(err)
	}
}

// answers receives that many answers of burst in order.
func answers(t *testing.T, at *websocket.Transport, name string, n int) {
	t.Helper()
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range n {
		got, err := at.Receive(soon)
		if want := fmt.Sprintf("%s %d", name, i); err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
}

// Protects: the answers of a program that answers many messages quickly, and then
// none for a while, with more of them to be taken. Nobody has to read for them to
// leave.
func TestAnswersLeaveWithoutAReceive(t *testing.T) {
	client, server := overTCP(t, nil)
	postponed := false
	for round := range 20 {
		name := fmt.Sprint("round ", round)
		const taken, all = 60, 100
		burst(t, client, name, all)
		reply := func(n int) {
			for range n {
				m, err := server.Receive(t.Context())
				if err == nil {
					err = server.Send(t.Context(), m)
				}
				if err != nil {
					t.Fatal(err)
				}
				postponed = postponed || server.(*websocket.Transport).Postpones()
			}
		}
		reply(taken)
		answers(t, client, name, taken)
		for i := range all - taken {
			m, err := server.Receive(t.Context())
			if want := fmt.Sprintf("%s %d", name, taken+i); err != nil || string(m) != want {
				t.Fatalf("got %q, %v; want %q", m, err, want)
			}
		}
	}
	if !postponed {
		t.Error("no answer was left to whoever reads")
	}
}

// Protects: answers to bursts, and what others send meanwhile: all of it arrives,
// in order, and no burst's last answer waits for the next burst.
func TestAnswersToBursts(t *testing.T) {
	client, server := overTCP(t, nil)
	const bursts, pushes = 300, 3000
	var all sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	all.Go(func() {
		for {
			m, err := server.Receive(ctx)
			if err != nil {
				return
			}
			if err := server.Send(context.Background(), m); err != nil {
				t.Error(err)
			}
		}
	})
	all.Go(func() {
		for i := range pushes {
			if err := server.Send(context.Background(), fmt.Appendf(nil, "push %d", i)); err != nil {
				t.Error(err)
			}
		}
	})
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pushed, random := 0, rand.New(rand.NewPCG(1, 2))
	for b := range bursts {
		n := 1 + random.IntN(100)
		burst(t, client, fmt.Sprint(b), n)
		for i := 0; i < n || b == bursts-1 && pushed < pushes; {
			got, err := client.Receive(soon)
			want := fmt.Sprintf("%d %d", b, i)
			if strings.HasPrefix(string(got), "push") {
				want = fmt.Sprint("push ", pushed)
				pushed++
			} else {
				i++
			}
			if err != nil || string(got) != want {
				t.Fatalf("got %q, %v; want %q", got, err, want)
			}
		}
	}
	stop()
	all.Wait()
}

// Protects: the answers of a program that then takes many messages that it does
// not answer, each too soon for the reader to come. They do not wait until all
// are taken.
func TestAnswersLeaveBeforeUnanswered(t *testing.T) {
	client, server := overTCP(t, nil)
	for round := range 20 {
		const answered, all, most = 120, 500, 20
		name := fmt.Sprint("round ", round)
		burst(t, client, name, all)
		left := 0 // how many messages were taken in a row while answers were left
		for i := range all {
			m, err := server.Receive(t.Context())
			if err == nil && i < answered {
				err = server.Send(t.Context(), m)
			}
			if err != nil {
				t.Fatal(err)
			}
			if left++; i < answered || !server.(*websocket.Transport).Postpones() {
				left = 0
			}
			if left > most {
				t.Fatalf("round %d: answers are left after %d messages without one", round, left)
			}
			if i < answered+2*most {
				for began := time.Now(); i >= answered && time.Since(began) < 300*time.Microsecond; {
					runtime.Gosched()
				}
			}
		}
		answers(t, client, name, answered)
	}
}
