package transporttest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/aip-go/aip/transport"
)

// mutants are transports that do one thing differently from framed, by name.
// Each one embeds *framed, so that it has all the features.
var mutants = map[string]func(*framed) transport.Transport{
	"has no features":                     func(f *framed) transport.Transport { return struct{ transport.Transport }{f} },
	"is never connected":                  func(f *framed) transport.Transport { return neverConnected{f} },
	"receives nothing when not connected": func(f *framed) transport.Transport { return eofWhenNew{f} },
	"connects again":                      func(f *framed) transport.Transport { return connectsAgain{f} },
	"has untyped URL errors":              func(f *framed) transport.Transport { return untypedURLErrors{f} },
	"ignores aborts":                      func(f *framed) transport.Transport { return ignoresAborts{f} },
	"swaps messages":                      func(f *framed) transport.Transport { return &swaps{framed: f} },
	"drops empty messages":                func(f *framed) transport.Transport { return dropsEmpty{f} },
	"has one kind":                        func(f *framed) transport.Transport { return oneKind{f} },
	"takes binary for text":               func(f *framed) transport.Transport { return takesBinary{f} },
	"splits messages":                     func(f *framed) transport.Transport { return splits{f} },
	"sends frames one by one":             func(f *framed) transport.Transport { return oneByOne{f} },
	"refuses a second receive":            func(f *framed) transport.Transport { return &refusesSecond{framed: f} },
	"sends in spite of the context":       func(f *framed) transport.Transport { return ignoresContext{f} },
	"calls a waiting send sent":           func(f *framed) transport.Transport { return callsSent{f} },
	"loses a message":                     func(f *framed) transport.Transport { return losesMessage{f} },
	"calls a clean close a loss":          func(f *framed) transport.Transport { return closeIsLoss{f} },
	"closes once":                         func(f *framed) transport.Transport { return closesOnce{f} },
	"aborts on Close":                     func(f *framed) transport.Transport { return abortsOnClose{f} },
	"does not wait for a close":           func(f *framed) transport.Transport { return doesNotWait{f} },
	"drops long reasons":                  func(f *framed) transport.Transport { return dropsReasons{f} },
	"closes with any code":                func(f *framed) transport.Transport { return anyCode{f} },
	"does not show connecting":            func(f *framed) transport.Transport { return hidesConnecting{f} },
	"waits for a state in vain":           func(f *framed) transport.Transport { return nilWaitState{f} },
	"resets anything":                     func(f *framed) transport.Transport { return resetsAnything{f} },
	"cuts streams":                        func(f *framed) transport.Transport { return cutsStreams{f} },
	"has a fixed read limit":              func(f *framed) transport.Transport { return fixedLimit{f} },
	"tells of no end":                     func(f *framed) transport.Transport { return noNotices{f} },
	"tells of the end too early":          func(f *framed) transport.Transport { return earlyNotices{f} },
	"has no backlog":                      func(f *framed) transport.Transport { return noBacklog{f} },
}

// mutantHarness returns a harness for a mutant, on both sides.
func mutantHarness(name string) Harness {
	mutate := mutants[name]
	return Harness{Carrier: FaultyNetwork, Features: AllFeatures, Start: func(t testing.TB, env Env) Endpoint {
		endpoint := startFramed(t, env, correct, plain, plain)
		newClient, accept := endpoint.NewClient, endpoint.Accept
		endpoint.NewClient = func() transport.Transport { return mutate(newClient().(*framed)) }
		endpoint.Accept = func(ctx context.Context) (transport.Transport, error) {
			server, err := accept(ctx)
			if err != nil {
				return nil, err
			}
			return mutate(server.(*framed)), nil
		}
		return endpoint
	}}
}

type neverConnected struct{ *framed }

func (neverConnected) IsConnected() bool { return false }

type eofWhenNew struct{ *framed }

func (m eofWhenNew) Receive(ctx context.Context) ([]byte, error) {
	data, err := m.framed.Receive(ctx)
	if errors.Is(err, transport.ErrNotConnected) {
		err = io.EOF
	}
	return data, err
}

type connectsAgain struct{ *framed }

func (m connectsAgain) Connect(ctx context.Context, url string) error {
	err := m.framed.Connect(ctx, url)
	if errors.Is(err, transport.ErrAlreadyConnected) {
		err = nil
	}
	return err
}

type untypedURLErrors struct{ *framed }

func (m untypedURLErrors) Connect(ctx context.Context, url string) error {
	err := m.framed.Connect(ctx, url)
	if errors.Is(err, transport.ErrInvalidURL) {
		err = &transport.Error{Op: "connect", Err: errors.New("strange URL")}
	}
	return err
}

type ignoresAborts struct{ *framed }

func (ignoresAborts) Abort(error) {}

// swaps delivers every second message before the first one.
type swaps struct {
	*framed
	mu   sync.Mutex
	next []byte
}

func (m *swaps) Receive(ctx context.Context) ([]byte, error) {
	m.mu.Lock()
	next := m.next
	m.next = nil
	m.mu.Unlock()
	if next != nil {
		return next, nil
	}
	first, err := m.framed.Receive(ctx)
	if err != nil || m.Backlog().ReceiveMessages == 0 {
		return first, err
	}
	second, err := m.framed.Receive(ctx)
	m.mu.Lock()
	m.next = first
	m.mu.Unlock()
	return second, err
}

type dropsEmpty struct{ *framed }

func (m dropsEmpty) Send(ctx context.Context, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	return m.framed.Send(ctx, data)
}

type oneKind struct{ *framed }

func (m oneKind) ReceiveFrame(ctx context.Context) (transport.Frame, error) {
	frame, err := m.framed.ReceiveFrame(ctx)
	frame.Kind = transport.Text
	return frame, err
}

type takesBinary struct{ *framed }

func (m takesBinary) Receive(ctx context.Context) ([]byte, error) {
	frame, err := m.ReceiveFrame(ctx)
	return frame.Data, err
}

// splits makes two messages of a large one.
type splits struct{ *framed }

func (m splits) Send(ctx context.Context, data []byte) error {
	const most = 64 << 10
	for len(data) > most {
		if err := m.framed.Send(ctx, data[:most]); err != nil {
			return err
		}
		data = data[most:]
	}
	return m.framed.Send(ctx, data)
}

type oneByOne struct{ *framed }

func (m oneByOne) SendFrames(ctx context.Context, frames ...transport.Frame) error {
	for _, frame := range frames {
		if err := m.framed.SendFrames(ctx, frame); err != nil {
			return err
		}
	}
	return nil
}

type refusesSecond struct {
	*framed
	mu sync.Mutex
}

func (m *refusesSecond) Receive(ctx context.Context) ([]byte, error) {
	if !m.mu.TryLock() {
		return nil, errors.New("busy")
	}
	defer m.mu.Unlock()
	return m.framed.Receive(ctx)
}

type ignoresContext struct{ *framed }

func (m ignoresContext) Send(ctx context.Context, data []byte) error {
	return m.framed.Send(context.WithoutCancel(ctx), data)
}

type callsSent struct{ *framed }

func (m callsSent) Send(ctx context.Context, data []byte) error {
	err := m.framed.Send(ctx, data)
	if errors.Is(err, context.DeadlineExceeded) {
		return &transport.Error{Op: "send", Outcome: transport.MaybeSent, Err: err}
	}
	return err
}

// losesMessage takes a message and only then looks at the context.
type losesMessage struct{ *framed }

func (m losesMessage) Receive(ctx context.Context) ([]byte, error) {
	if ctx.Err() != nil && m.Backlog().ReceiveMessages > 0 {
		_, _ = m.framed.Receive(context.WithoutCancel(ctx))
		return nil, ctx.Err()
	}
	return m.framed.Receive(ctx)
}

type closeIsLoss struct{ *framed }

func (m closeIsLoss) WaitClosed(ctx context.Context) error {
	return errors.Join(m.framed.WaitClosed(ctx), errors.New("closed"))
}

type closesOnce struct{ *framed }

func (m closesOnce) Close() error {
	if m.State() == transport.Disconnected {
		return net.ErrClosed
	}
	return m.framed.Close()
}

type abortsOnClose struct{ *framed }

func (m abortsOnClose) Close() error {
	m.Abort(errors.New("closed"))
	return nil
}

type doesNotWait struct{ *framed }

func (m doesNotWait) Close() error {
	if m.State() == transport.Disconnecting {
		return nil
	}
	return m.framed.Close()
}

type dropsReasons struct{ *framed }

func (m dropsReasons) CloseWith(code transport.StatusCode, reason string) error {
	if len(reason) > 123 {
		reason = ""
	}
	return m.framed.CloseWith(code, reason)
}

type anyCode struct{ *framed }

func (m anyCode) CloseWith(code transport.StatusCode, reason string) error {
	if !code.Sendable() {
		code = transport.StatusNormal
	}
	return m.framed.CloseWith(code, reason)
}

type hidesConnecting struct{ *framed }

func (m hidesConnecting) WaitState(ctx context.Context, from transport.State) (transport.State, error) {
	state, err := m.framed.WaitState(ctx, from)
	for err == nil && state == transport.Connecting {
		state, err = m.framed.WaitState(ctx, state)
	}
	return state, err
}

type nilWaitState struct{ *framed }

func (m nilWaitState) WaitState(ctx context.Context, from transport.State) (transport.State, error) {
	state, _ := m.framed.WaitState(ctx, from)
	return state, nil
}

type resetsAnything struct{ *framed }

func (m resetsAnything) Reset() error {
	_ = m.framed.Reset()
	return nil
}

type cutsStreams struct{ *framed }

func (m cutsStreams) SendStream(ctx context.Context, kind transport.Kind, r io.Reader) error {
	return m.framed.SendStream(ctx, kind, io.LimitReader(r, 64<<10))
}

type fixedLimit struct{ *framed }

func (fixedLimit) SetReadLimit(int64) {}

type noBacklog struct{ *framed }

func (noBacklog) Backlog() transport.Backlog { return transport.Backlog{} }

type noNotices struct{ *framed }

func (noNotices) AfterClosed(func()) (stop func() bool) { return func() bool { return true } }

type earlyNotices struct{ *framed }

func (earlyNotices) AfterClosed(f func()) (stop func() bool) {
	go f()
	return func() bool { return false }
}
