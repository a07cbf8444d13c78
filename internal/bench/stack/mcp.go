package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// MCPService is an MCP server with one tool. It answers by events, as it does by
// default, or in plain JSON.
const (
	MCPService = "mcp"
	mcpEvents  = "/events"
	mcpJSON    = "/json"
)

func mcpHandler() (http.Handler, func() error, error) {
	server := mcp.NewServer(&mcp.Implementation{Name: "bench", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: toolName}, func(_ context.Context, _ *mcp.CallToolRequest, p echoText) (*mcp.CallToolResult, echoText, error) {
		return nil, p, nil
	})
	get := func(*http.Request) *mcp.Server { return server }
	mux := http.NewServeMux()
	mux.Handle(mcpEvents, mcp.NewStreamableHTTPHandler(get, nil))
	mux.Handle(mcpJSON, mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{JSONResponse: true}))
	end := func() (err error) {
		for session := range server.Sessions() {
			err = errors.Join(err, session.Close())
		}
		return err
	}
	return mux, end, nil
}

// MCPTools calls the tool of the server over n connections, each of them a
// session of its own. The server answers in plain JSON if that is wanted, and
// the client then keeps no stream of events open.
func MCPTools(ctx context.Context, addr string, n int, plainJSON bool, warm, turn time.Duration) (f Figures, err error) {
	path := mcpEvents
	if plainJSON {
		path = mcpJSON
	}
	sessions := make([]*mcp.ClientSession, n)
	for i := range sessions {
		transport := &http.Transport{DialContext: new(net.Dialer).DialContext}
		defer transport.CloseIdleConnections()
		client := mcp.NewClient(&mcp.Implementation{Name: "bench", Version: "1"}, nil)
		sessions[i], err = client.Connect(ctx, &mcp.StreamableClientTransport{
			Endpoint: "http://" + addr + path, HTTPClient: &http.Client{Transport: transport}, DisableStandaloneSSE: plainJSON,
		}, nil)
		if err != nil {
			return Figures{}, err
		}
		defer func() { err = errors.Join(err, sessions[i].Close()) }()
	}
	text := echoText{}
	if err := parameters.Decode(&text); err != nil {
		return Figures{}, err
	}
	begin := time.Now().Add(warm)
	return Drive(n, begin, begin.Add(turn), func(i int) error {
		result, err := sessions[i].CallTool(ctx, &mcp.CallToolParams{Name: toolName, Arguments: text})
		if err != nil {
			return err
		}
		if result.IsError || result.StructuredContent == nil {
			return fmt.Errorf("the result of a tool is %+v", result)
		}
		return nil
	})
}
