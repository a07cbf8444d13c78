package protocol

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// partialDir holds the content of interrupted transfers, a file each, named
// after what it is to become.
const partialDir = ownPrefix + "partial"

// partialKey is the identity of a file to be resumed: its content, its length
// and its name.
func partialKey(sum string, size int64, name string) string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", sum, size, name))
	return hex.EncodeToString(digest[:])
}

// take makes what is kept under key the temporary file, and returns its
// length. The renaming is what makes it this transfer's alone: of two that
// want the same content, one gets it. The error matches [fs.ErrNotExist] if
// nothing is kept, or nothing young enough.
func (s *store) take(key string, maxAge time.Duration) (int64, error) {
	temp := ownPrefix + rand.Text() + ".tmp"
	if err := s.root.Rename(partialDir+"/"+key, temp); err != nil {
		return 0, err
	}
	_ = s.root.Remove(partialDir) // fails unless it is empty now
	length, err := s.reopen(temp, maxAge)
	if err != nil {
		return 0, errors.Join(err, s.root.Remove(temp))
	}
	s.temp = temp
	return length, nil
}

// reopen opens what take has renamed.
func (s *store) reopen(temp string, maxAge time.Duration) (int64, error) {
	info, err := s.root.Lstat(temp)
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() || time.Since(info.ModTime()) > maxAge {
		return 0, fs.ErrNotExist
	}
	file, err := s.open(s.root, temp, os.O_RDWR)
	if err != nil {
		return 0, err
	}
	length, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, errors.Join(err, file.Close())
	}
	s.file = file
	return length, nil
}

// keep puts the temporary file away under key and removes what is kept beyond
// the bounds.
func (s *store) keep(key string, maxAge time.Duration, maxCount int) error {
	err := s.file.Close()
	s.file = nil
	if err != nil {
		return err
	}
	if err := s.root.Mkdir(partialDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.root.Rename(s.temp, partialDir+"/"+key); err != nil {
		return err
	}
	s.temp = ""
	return s.prune(maxAge, maxCount)
}

// prune removes what is kept too long, and the oldest beyond the count.
func (s *store) prune(maxAge time.Duration, maxCount int) error {
	dir, err := s.root.Open(partialDir)
	if err != nil {
		return err
	}
	entries, err := dir.ReadDir(-1)
	err = errors.Join(err, dir.Close())
	if err != nil {
		return err
	}
	type kept struct {
		name string
		at   time.Time
	}
	var all []kept
	for _, entry := range entries {
		// What is gone by now was taken by another transfer.
		if info, err := s.root.Lstat(partialDir + "/" + entry.Name()); err == nil {
			all = append(all, kept{entry.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return b.at.Compare(a.at) })
	for i, file := range all {
		if i < maxCount && time.Since(file.at) <= maxAge {
			continue
		}
		if e := s.root.Remove(partialDir + "/" + file.name); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
