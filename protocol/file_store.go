package protocol

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// OnExisting says what to do when there is a file of the received one's name.
type OnExisting int

// What to do about an existing file. Whatever is chosen, the existing file is
// touched only when the received one is complete and verified, and then in one
// step.
const (
	// ExistingFails: the transfer fails with [ErrExists], before the content
	// is sent where that can be told.
	ExistingFails OnExisting = iota
	// ExistingReplaced: the received file takes its place.
	ExistingReplaced
	// ExistingKept: the received file gets a number: "f (1).txt".
	ExistingKept
)

// maxNumber bounds the names tried for [ExistingKept].
const maxNumber = 9999

// fileMode: what was received is the receiving user's alone.
const fileMode fs.FileMode = 0o600

// tempFile is what a store writes to; in tests, a disk that fills up.
type tempFile interface {
	io.ReadWriteSeeker
	Truncate(size int64) error
	Sync() error
	Close() error
}

// store is the place of one file in transfer: a temporary file in the target
// directory, which only commit gives its final name. No path leaves the
// directory, not through symbolic links either. It is not safe for concurrent
// use.
type store struct {
	root *os.Root
	temp string
	file tempFile
	// open opens the temporary file, link makes a hard link in root.
	open func(root *os.Root, name string, flag int) (tempFile, error)
	link func(from, to string) error
}

// openStore opens the directory dir.
func openStore(dir string) (*store, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &store{root: root, open: openTemp, link: root.Link}, nil
}

func openTemp(root *os.Root, name string, flag int) (tempFile, error) {
	return root.OpenFile(name, flag, fileMode)
}

// exists reports whether there is anything of that name.
func (s *store) exists(name string) bool {
	_, err := s.root.Lstat(name)
	return err == nil
}

// create makes an empty temporary file of a fresh name.
func (s *store) create() error {
	temp := ownPrefix + rand.Text() + ".tmp"
	file, err := s.open(s.root, temp, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	s.temp, s.file = temp, file
	return nil
}

// commit puts the temporary file in place under name, or a numbered form of
// it, which it returns. The content is on disk before the name is.
func (s *store) commit(name string, existing OnExisting) (string, error) {
	if err := s.file.Sync(); err != nil {
		return "", err
	}
	err := s.file.Close()
	s.file = nil
	if err != nil {
		return "", err
	}
	final := name
	if existing == ExistingReplaced {
		err = s.root.Rename(s.temp, final)
	} else {
		final, err = s.place(name, existing)
	}
	if err != nil {
		return "", err
	}
	s.temp = ""
	s.syncDirectory()
	return final, nil
}

// place gives the temporary file a name that nothing has, without a moment in
// which another process could take it.
func (s *store) place(name string, existing OnExisting) (string, error) {
	final := name
	for n := 1; ; n++ {
		err := s.claim(final)
		if err == nil {
			return final, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		if existing != ExistingKept || n > maxNumber {
			return "", existsError(final)
		}
		final = numbered(name, n)
	}
}

// claim moves the temporary file to final unless that exists. A hard link
// fails if it does; where the file system has no hard links, an empty file
// made for the purpose does the same.
func (s *store) claim(final string) error {
	err := s.link(s.temp, final)
	if err == nil {
		if err = s.root.Remove(s.temp); err != nil {
			return errors.Join(err, s.root.Remove(final))
		}
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	reserved, err := s.root.OpenFile(final, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	err = reserved.Close()
	if err == nil {
		err = s.root.Rename(s.temp, final)
	}
	if err != nil {
		return errors.Join(err, s.root.Remove(final))
	}
	return nil
}

// syncDirectory makes the new name durable. Not every system can; the file is
// complete in any case.
func (s *store) syncDirectory() {
	if dir, err := s.root.Open("."); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}

// discard drops the temporary file and closes the directory. It may be called
// again.
func (s *store) discard() error {
	return errors.Join(s.drop(), s.root.Close())
}

// drop removes the temporary file, if there is one.
func (s *store) drop() error {
	var err error
	if s.file != nil {
		err = s.file.Close()
		s.file = nil
	}
	if s.temp != "" {
		err = errors.Join(err, s.root.Remove(s.temp))
		s.temp = ""
	}
	return err
}

func existsError(name string) error {
	return fmt.Errorf("%w: %q: %w", ErrExists, name, fs.ErrExist)
}
