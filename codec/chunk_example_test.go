package codec_test

import (
	"fmt"
	"strings"

	"github.com/aip-go/aip/codec"
)

// Split a message into frames of at most 1000 bytes, and put them together.
func ExampleChunker() {
	chunker, err := codec.NewChunker(&codec.ChunkerOptions{ChunkSize: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	assembler, err := codec.NewAssembler(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	message := []byte(strings.Repeat("large ", 500))
	for frame := range chunker.Frames(message) {
		// Here the frame crosses the network, as one binary message.
		got, complete, err := assembler.Add(frame)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(len(frame), complete, len(got))
	}
	// Output:
	// 1000 false 0
	// 1000 false 0
	// 1000 false 0
	// 144 true 3000
}

// Without headers, for a peer that sends bare slices of a known total.
func ExampleJoin() {
	data := []byte("a large message")
	var wire [][]byte
	for part := range codec.Slices(data, 6) {
		wire = append(wire, part)
	}
	joined, err := codec.Join(len(data), func() ([]byte, error) { // such as a transport's Receive
		part := wire[0]
		wire = wire[1:]
		return part, nil
	})
	fmt.Printf("%s %v\n", joined, err)
	// Output: a large message <nil>
}
