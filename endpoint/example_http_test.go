package endpoint_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/aip-go/aip/endpoint"
)

// A server goes into the mux of net/http, or into any router that takes an
// http.Handler, with its API beside it.
func ExampleServer_ServeHTTP() {
	server, err := endpoint.NewServer(&endpoint.ServerOptions{Handler: greet, Token: "a secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	mux := http.NewServeMux()
	mux.Handle("/ws", server)
	mux.Handle("/api/", server.API())
	web := httptest.NewServer(mux) // http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	defer web.Close()

	request, err := http.NewRequest(http.MethodGet, web.URL+"/api/health", nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"a guess", "a secret"} {
		request.Header.Set("X-API-Key", key)
		response, err := web.Client().Do(request)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		fmt.Println(response.StatusCode, string(body))
	}
	// Output:
	// 401 {"detail":"Invalid API key"}
	// 200 {"online_clients":[],"status":"healthy"}
}
