package peer

import (
	"context"
	"errors"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// grpcStream is the one method: messages of bytes in both directions.
var grpcStream = grpc.StreamDesc{StreamName: "Exchange", ServerStreams: true, ClientStreams: true}

// grpcPeer is a stream of grpc-go in both directions, whose messages are
// protobuf's BytesValue.
func grpcPeer() Peer {
	return Peer{
		Name: "grpc-go",
		Listen: func(serve func(Conn)) (Listener, error) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			stream := grpcStream
			stream.Handler = func(_ any, s grpc.ServerStream) error {
				serve(&grpcConn{stream: s, close: func() error { return nil }})
				return nil
			}
			server := grpc.NewServer(grpc.MaxRecvMsgSize(MaxMessage), grpc.WaitForHandlers(true))
			server.RegisterService(&grpc.ServiceDesc{ServiceName: "bench.Bench", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{stream}}, nil)
			l := &grpcListener{listener, server, make(chan error, 1)}
			go func() { l.served <- server.Serve(listener) }()
			return l, nil
		},
		Dial: func(ctx context.Context, addr string, dial DialFunc) (Conn, error) {
			client, err := grpc.NewClient(addr,
				grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dial(ctx, "tcp", addr) }),
				grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage)))
			if err != nil {
				return nil, err
			}
			ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
			stream, err := client.NewStream(ctx, &grpcStream, "/bench.Bench/Exchange")
			if err != nil {
				cancel()
				return nil, errors.Join(err, client.Close())
			}
			return &grpcConn{stream: stream, close: func() error { cancel(); return client.Close() }}, nil
		},
	}
}

type grpcListener struct {
	listener net.Listener
	server   *grpc.Server
	served   chan error
}

func (l *grpcListener) Addr() string { return l.listener.Addr().String() }

func (l *grpcListener) Close() error {
	l.server.Stop()
	return <-l.served
}

type grpcConn struct {
	stream interface {
		SendMsg(m any) error
		RecvMsg(m any) error
	}
	close func() error
	mu    sync.Mutex // of the sender
}

func (c *grpcConn) Send(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream.SendMsg(&wrapperspb.BytesValue{Value: message})
}

func (c *grpcConn) Flush() error { return nil }

func (c *grpcConn) Receive(each func([]byte) error) error {
	for {
		var message wrapperspb.BytesValue
		if err := c.stream.RecvMsg(&message); err != nil {
			return err
		}
		if err := each(message.Value); err != nil {
			return err
		}
	}
}

func (c *grpcConn) Close() error { return c.close() }
