package transporttest_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/aip-go/aip/transport/transporttest"
)

// A connection that ends in the middle of what was written to it.
func ExampleNetwork() {
	network := transporttest.NewNetwork()
	defer network.Close()
	network.Apply(func(link *transporttest.Link) {
		link.CutAfter(transporttest.ToServer, 8, nil)
	})

	listener := network.Listen("server:80")
	client, err := network.DialContext(context.Background(), "tcp", "server:80")
	if err != nil {
		log.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(client, "half of the message"); err != nil {
		log.Fatal(err)
	}
	got, err := io.ReadAll(server)
	fmt.Printf("%q %v\n", got, err)
	// Output:
	// "half of " <nil>
}
