package resilience

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// compactSlack is how much garbage a session file may have at least.
const compactSlack = 1 << 20

// liveSize returns the size of the file that compact makes.
func (s *fileStore) liveSize() int64 {
	size := int64(len(fileHeader)) + stateSize(&s.memory.state)
	for i := range s.memory.messages() {
		size += messageSize(&s.memory.messages()[i])
	}
	return size
}

// compactIfDue compacts the file when the larger part of it is garbage, and
// that is not too little to be worth it. So the file never has more than twice
// the size of what is kept, or that plus the slack.
func (s *fileStore) compactIfDue() error {
	if garbage := s.size - s.live; garbage <= s.slack || garbage <= s.live {
		return nil
	}
	if err := s.compact(); err != nil {
		return s.fail("compact", err)
	}
	return nil
}

// compact replaces the file by one with what is kept only. There is a whole
// file at the path at any time. Both files are closed when one takes the other's
// place, since Windows demands it.
func (s *fileStore) compact() error {
	if err := s.disk.remove(s.tempPath()); err != nil {
		return err
	}
	temp, err := s.disk.open(s.tempPath(), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	err = s.writeLive(temp)
	if err == nil && s.sync {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = s.swap()
	}
	if err != nil {
		_ = s.disk.remove(s.tempPath())
		return err
	}
	if s.sync {
		return s.disk.syncDirectory(s.directory())
	}
	return nil
}

// swap puts the temporary file in the place of the other and opens it.
func (s *fileStore) swap() error {
	old := s.file
	s.file = nil
	if err := old.Close(); err != nil {
		return err
	}
	if err := s.disk.rename(s.tempPath(), s.path); err != nil {
		return err
	}
	file, err := s.disk.open(s.path, os.O_RDWR)
	if err != nil {
		return err
	}
	s.file = file
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size != s.live {
		return fmt.Errorf("%w: %d bytes instead of %d", ErrStoreCorrupt, size, s.live)
	}
	s.size = size
	return nil
}

// writeLive writes a session file with what is kept.
func (s *fileStore) writeLive(file io.Writer) error {
	w := bufio.NewWriterSize(file, 64<<10)
	state := s.memory.state
	state.Sent = s.memory.released()
	b := append(s.scratch[:0], fileHeader...)
	b = appendState(b, recordBegin, &state)
	for i := range s.memory.messages() {
		if _, err := w.Write(b); err != nil {
			return err
		}
		b = appendMessage(b[:0], &s.memory.messages()[i])
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	return w.Flush()
}
