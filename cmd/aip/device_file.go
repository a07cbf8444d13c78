package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
)

// maxFileSize is the size of the largest file that is read, in bytes.
const maxFileSize = 1 << 20

type fileParameters struct {
	Path string `json:"path" jsonschema:"the file, relative to the root of the device" minLength:"1" maxLength:"4096"`
}

type fileResult struct {
	Path     string `json:"path"`
	Size     int    `json:"size" jsonschema:"in bytes"`
	Encoding string `json:"encoding" enum:"utf-8,base64" jsonschema:"of the content"`
	Content  string `json:"content"`
}

// fileTool returns the tool that reads files below root.
func fileTool(root *os.Root) endpoint.Tool {
	return must(endpoint.NewTool("read_file", func(_ context.Context, p fileParameters) (fileResult, error) {
		return readFile(root, p.Path)
	}, &endpoint.ToolOptions{
		Type: messages.ToolDataCollection, Title: "Read a file",
		Description: fmt.Sprintf("Reads a regular file of at most %d bytes.", maxFileSize),
	}))
}

// must returns a tool whose description is part of this program.
func must(tool endpoint.Tool, err error) endpoint.Tool {
	if err != nil {
		panic("aip: " + err.Error())
	}
	return tool
}

func readFile(root *os.Root, path string) (fileResult, error) {
	file, err := root.OpenFile(path, os.O_RDONLY|openWithoutWaiting, 0)
	if err != nil {
		return fileResult{}, unreadable(path, err)
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return fileResult{}, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return fileResult{}, fmt.Errorf("%q is no regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return fileResult{}, unreadable(path, err)
	}
	if len(data) > maxFileSize {
		return fileResult{}, fmt.Errorf("%q is larger than %d bytes", path, maxFileSize)
	}
	result := fileResult{Path: path, Size: len(data), Encoding: "utf-8", Content: string(data)}
	if !utf8.Valid(data) {
		result.Encoding, result.Content = "base64", base64.StdEncoding.EncodeToString(data)
	}
	return result, nil
}

// unreadable says why a file cannot be read, by its name below the root.
func unreadable(path string, err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return fmt.Errorf("%q cannot be read: %w", path, err)
}
