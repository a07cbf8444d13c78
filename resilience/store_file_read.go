package resilience

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// readLog reads a session file of the given size into s. It returns the size of
// the good part: what follows is a record of which not everything was written,
// or with another checksum, and is to be cut off. 0 means that not even the
// header is there.
//
// The error is that of reading, or matches [ErrStoreFormat] or
// [ErrStoreCorrupt].
func readLog(file io.Reader, size int64, s *memoryStore) (good int64, err error) {
	r := bufio.NewReader(file)
	header := make([]byte, min(size, int64(len(fileHeader))))
	if _, err := io.ReadFull(r, header); err != nil {
		return 0, err
	}
	switch {
	case !strings.HasPrefix(fileHeader, string(header)):
		return 0, ErrStoreFormat
	case len(header) < len(fileHeader):
		return 0, nil
	}
	good = int64(len(header))
	for {
		body, err := readRecord(r, size-good)
		if err != nil || body == nil {
			return good, err
		}
		if err := applyRecord(s, body); err != nil {
			return good, fmt.Errorf("%w: record at byte %d: %v", ErrStoreCorrupt, good, err)
		}
		good += frameSize + int64(len(body))
	}
}

// readRecord returns the body of the next record, which is a slice of its own,
// or nil if there is no good one in what remains of the file.
func readRecord(r io.Reader, remains int64) ([]byte, error) {
	if remains < frameSize {
		return nil, nil
	}
	var frame [frameSize]byte
	if _, err := io.ReadFull(r, frame[:]); err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(frame[:]))
	if length == 0 || length > maxBody || length > remains-frameSize {
		return nil, nil
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(frame[4:]) {
		return nil, nil
	}
	return body, nil
}
