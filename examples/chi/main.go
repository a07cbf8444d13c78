// Command chi mounts a server into a chi router: the WebSocket endpoint and the
// HTTP API, behind middleware that wraps the ResponseWriter, with timeouts for
// what is no session, and with a drain at an interrupt. It listens at the address
// in its argument, and takes the token that is in the environment as AIP_TOKEN.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
)

func main() {
	address := "127.0.0.1:5000"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, address); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address string) error {
	server, err := endpoint.NewServer(&endpoint.ServerOptions{Handler: call, Token: os.Getenv("AIP_TOKEN")})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return errors.Join(err, server.Close())
	}
	fmt.Println("listening at", listener.Addr())
	// A WriteTimeout would be one for sessions as well, which last for days.
	web := &http.Server{Handler: routes(server), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	select {
	case err := <-served:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	// First the sessions, whose tasks may end, then the listener: net/http does
	// not know of connections that have become WebSockets.
	drain, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(drain), web.Shutdown(drain))
}

func routes(server *endpoint.Server) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, accessLog, middleware.Recoverer)
	r.Method(http.MethodGet, "/ws", server)
	// The timeout is for the API alone: it would end sessions. A dispatch may
	// take 30 seconds.
	r.With(middleware.Timeout(40*time.Second)).Mount("/api", server.API())
	return r
}

// accessLog wraps the ResponseWriter to learn the status. Unlike chi's Logger it
// leaves out the query, which may hold the token.
func accessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		start := time.Now()
		defer func() {
			log.Printf("%s %s %s %d %v", middleware.GetReqID(r.Context()), r.Method, r.URL.Path, wrapped.Status(), time.Since(start))
		}()
		next.ServeHTTP(wrapped, r)
	})
}

// call is the task handler: it has the device call the tool that the task names.
func call(ctx context.Context, task *endpoint.Task) (any, error) {
	results, err := task.Do(ctx, messages.Command{ToolName: task.Request, ToolType: messages.ToolAction})
	if err != nil {
		return nil, err
	}
	return results[0].Result, nil
}
