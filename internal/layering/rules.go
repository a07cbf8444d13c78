package layering

// Module is the path of the root module.
const Module = "github.com/aip-go/aip"

// MaxLines is the most lines that a source file may have, tests left out.
const MaxLines = 500

// The third-party modules.
const (
	nhooyr    = "nhooyr.io/websocket"
	coder     = "github.com/coder/websocket"
	gorilla   = "github.com/gorilla/websocket"
	validator = "github.com/go-playground/validator/v10"
	uuid      = "github.com/google/uuid"
	compress  = "github.com/klauspost/compress"
	goleak    = "go.uber.org/goleak"
	zap       = "go.uber.org/zap"

	jsonschema = "github.com/google/jsonschema-go"
	gopsutil   = "github.com/shirou/gopsutil/v4"

	progressbar = "github.com/schollz/progressbar/v3"

	gws        = "github.com/lxzan/gws"
	gobwas     = "github.com/gobwas/ws"
	grpc       = "google.golang.org/grpc"
	protobuf   = "google.golang.org/protobuf"
	quic       = "github.com/quic-go/quic-go"
	nats       = "github.com/nats-io/nats.go"
	natsServer = "github.com/nats-io/nats-server/v2"
	goccy      = "github.com/goccy/go-json"
	sonic      = "github.com/bytedance/sonic"
	easyjson   = "github.com/mailru/easyjson"
	mcpSDK     = "github.com/modelcontextprotocol/go-sdk"
	gonumPlot  = "gonum.org/v1/plot"

	toxiproxy = "github.com/Shopify/toxiproxy/v2"
	zerolog   = "github.com/rs/zerolog"

	chi = "github.com/go-chi/chi/v5"

	yaml = "go.yaml.in/yaml/v3"
	term = "golang.org/x/term"
)

// Rule says what a package may import. The standard library is always allowed,
// but for [testing], which only packages whose name ends in "test" import.
type Rule struct {
	// Package is the import path below [Module]; a trailing "/..." includes
	// all packages below it.
	Package string
	// Why is the reason, shown with each violation.
	Why string
	// Allows are the packages of this project that may be imported, written
	// as Package is.
	Allows []string
	// Modules are the third-party modules that may be imported.
	Modules []string
	// Only narrows an entry of Allows or Modules to the named files.
	Only map[string][]string
	// Exposes are the third-party modules whose types may appear in the
	// package's exported signatures.
	Exposes []string
	// TestModules are the third-party modules that the package's tests may
	// import beside Modules and goleak.
	TestModules []string
}

// Rules is the house's order: a package imports only from rules above its own.
var Rules = []Rule{
	{
		Package: "internal/utf8text",
		Why:     "the check of UTF-8 is a leaf: whoever takes texts needs it, the transports as well as the codec",
	},
	{
		Package: "internal/jsonscan",
		Why:     "the JSON scanner knows text, not messages",
		Allows:  []string{"internal/utf8text"},
	},
	{
		Package: "internal/watchdog",
		Why:     "a timer is a leaf: it knows nothing of what it watches",
	},
	{
		Package: "internal/lazyctx",
		Why:     "a context is a leaf: it knows nothing of what it bounds",
	},
	{
		Package: "messages",
		Why:     "messages are plain data, to be used without any connection",
		Allows:  []string{"internal/jsonscan"},
		Modules: []string{validator, uuid},
	},
	{
		Package: "codec",
		Why:     "encoding is testable and usable without a network",
		Allows:  []string{"internal/jsonscan", "messages"},
		Modules: []string{compress},
	},
	{
		Package: "transport",
		Why:     "whoever implements a transport depends on the contract and nothing else",
		Allows:  []string{"internal/utf8text"},
	},
	{
		Package: "transport/transporttest",
		Why:     "the conformance kit runs against any transport, so it knows none",
		Allows:  []string{"transport"},
	},
	{
		Package: "transport/adapters",
		Why:     "the one place that knows all WebSocket engines",
		Allows:  []string{"transport"},
		Modules: []string{nhooyr, coder, gorilla},
	},
	{
		Package:     "transport/websocket",
		Why:         "users choose an engine by an option; the libraries stay behind the adapters",
		Allows:      []string{"internal/utf8text", "internal/watchdog", "internal/lazyctx", "transport", "transport/adapters"},
		Modules:     []string{zap},
		Exposes:     []string{zap},
		TestModules: []string{nhooyr, coder, gorilla},
	},
	{
		Package: "protocol",
		Why:     "the protocol runs over any transport, so it names none",
		Allows:  []string{"internal/jsonscan", "internal/watchdog", "internal/lazyctx", "messages", "codec", "transport"},
		Modules: []string{zap},
		Exposes: []string{zap},
	},
	{
		Package: "resilience",
		Why:     "reconnection is a matter of the contract, not of a network",
		Allows:  []string{"internal/jsonscan", "messages", "transport", "protocol"},
		Modules: []string{zap},
		Exposes: []string{zap},
	},
	{
		Package: "endpoint",
		Why:     "endpoints dial through a function; one file gives the default",
		Allows:  []string{"internal/jsonscan", "internal/lazyctx", "messages", "codec", "transport", "transport/websocket", "protocol", "resilience"},
		Modules: []string{zap, jsonschema, gopsutil},
		Only: map[string][]string{
			"transport/websocket": {"defaults.go"},
			jsonschema:            {"tool_typed_decode.go", "tool_typed_error.go", "tool_typed_fault.go", "tool_typed_plan.go", "tool_typed_schema.go", "tool_typed_tags.go"},
			gopsutil:              {"systeminfo.go", "systeminfo_linux.go", "systeminfo_other.go"},
		},
		Exposes: []string{zap},
	},
	{
		Package: "examples/chi",
		Why:     "a module of its own, so that the router stays out of the root module",
		Allows:  []string{"messages", "endpoint"},
		Modules: []string{chi},
	},
	{
		Package: "examples/...",
		Why:     "an example uses what a user can use",
		Allows:  []string{"messages", "codec", "transport", "transport/adapters", "transport/websocket", "transport/transporttest", "protocol", "resilience", "endpoint"},
		Modules: []string{nhooyr, coder, gorilla, zap},
	},
	{
		Package: "internal/layering",
		Why:     "the rules judge the source from outside",
	},
	{
		Package: "internal/docs",
		Why:     "the documents' snippets are compiled from outside",
	},
	{
		Package:     "internal/interop",
		Why:         "its tests use the endpoints as a user does, against programs in Python",
		TestModules: []string{zap},
	},
	{
		Package: "internal/soak",
		Why:     "the soak run uses what a user can use",
		Allows:  []string{"messages", "transport", "transport/websocket", "protocol", "resilience", "endpoint"},
	},
	{
		Package:     "internal/faults",
		Why:         "its tests use the endpoints as a user does, over lines that fail",
		TestModules: []string{toxiproxy, zerolog},
	},
	{
		Package: "internal/bench/jsoncase/parsed",
		Why:     "the messages to measure by are written as their peers want them",
		Modules: []string{easyjson},
		Exposes: []string{easyjson},
	},
	{
		Package: "internal/bench/jsoncase/raw",
		Why:     "the messages to measure by are written as their peers want them",
		Modules: []string{easyjson},
		Exposes: []string{easyjson},
	},
	{
		Package: "internal/bench/jsoncase",
		Why:     "what takes the measurements of JSON goes into a program without the peers, too",
		Allows:  []string{"internal/bench/jsoncase/parsed", "internal/bench/jsoncase/raw"},
	},
	{
		Package: "internal/bench/jsonv2",
		Why:     "a program of its own, as it is built with an experiment of Go",
		Allows:  []string{"internal/bench/jsoncase"},
	},
	{
		Package: "internal/bench/peer",
		Why:     "a module of its own, so that peers to measure against stay out of the root module",
		Allows:  []string{"messages", "transport", "transport/websocket", "protocol", "resilience"},
		Modules: []string{nhooyr, coder, gorilla, gws, gobwas, grpc, protobuf, quic, nats, natsServer},
	},
	{
		Package: "internal/bench/report",
		Why:     "figures are written without knowing what was measured",
		Modules: []string{gonumPlot},
	},
	{
		Package: "internal/bench/stack",
		Why:     "a module of its own, so that peers to measure against stay out of the root module",
		Allows:  []string{"messages", "codec", "transport", "transport/websocket", "protocol", "endpoint"},
		Modules: []string{nhooyr, mcpSDK},
	},
	{
		Package: "internal/bench",
		Why:     "a module of its own, so that peers to measure against stay out of the root module",
		Allows: []string{
			"messages", "codec", "transport", "transport/websocket", "protocol", "endpoint",
			"internal/bench/jsoncase", "internal/bench/peer", "internal/bench/report", "internal/bench/stack",
		},
		Modules: []string{goccy, sonic, easyjson},
	},
	{
		Package: "cmd/aip",
		Why:     "the command line is a user of the library like any other",
		Allows:  []string{"messages", "codec", "transport", "transport/adapters", "transport/websocket", "protocol", "resilience", "endpoint"},
		Modules: []string{zap, progressbar, term, yaml},
	},
}
