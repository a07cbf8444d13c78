module github.com/aip-go/aip/internal/bench

go 1.26.0

require (
	github.com/aip-go/aip v0.0.0
	github.com/coder/websocket v1.8.15
	github.com/gorilla/websocket v1.5.3
	go.uber.org/goleak v1.3.0
	nhooyr.io/websocket v1.8.17
)

require (
	go.uber.org/multierr v1.10.0 // indirect
	go.uber.org/zap v1.28.0 // indirect
)

replace github.com/aip-go/aip => ../..
