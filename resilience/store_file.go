package resilience

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.uber.org/zap"
)

// maxScratch is how much space for records a store holds on to.
const maxScratch = 1 << 20

// FileStoreOptions configures [NewFileStore]. Nil and zero values mean the
// defaults.
type FileStoreOptions struct {
	// Sync makes every operation wait until the disk has it, so that it
	// survives the machine's end too, and not only the process's. It costs a
	// disk's latency per message.
	Sync bool
	// Logger is told when a damaged end of the file is cut off. Nil is silent.
	Logger *zap.Logger
}

// NewFileStore opens, or makes, the file at path and returns a [Store] that
// keeps a session in it, so that the session survives the end of the process.
// Close it, after whoever uses it: until then, or until the process ends, a
// second store for the file is refused with [ErrStoreInUse], in any process. The
// lock is a file beside it, path with ".lock" added, which stays. On systems
// without file locks, which are none of the usual ones, that file has to be
// removed by hand if the process ends without Close.
//
// The file holds a credential, and has the mode 0600. It has at most twice the
// size of what is kept, or that plus 1 MiB. To keep that, it is rewritten now
// and then to a temporary file, path with ".tmp" added, which takes its place.
// What is kept is in memory too.
//
// What a crash left at the end of the file is cut off: the store then has what
// it had after an earlier operation. A file that makes no sense otherwise is
// left as it is and is a [*StoreError]: [ErrStoreFormat] if it is no session
// file, and [ErrStoreCorrupt] if it is.
//
// The methods of the store return a [*StoreError]. After an error of the file
// system, the store is of no more use, and returns that error again; the file is
// as it was before the operation or after it. After Close the error is
// [ErrStoreClosed]. Numbers are as with [NewMemoryStore].
func NewFileStore(path string, opts *FileStoreOptions) (Store, error) {
	if path == "" {
		return nil, invalid("no path of a session file")
	}
	var o FileStoreOptions
	if opts != nil {
		o = *opts
	}
	s := newFileStore(path, o, osDisk{})
	if err := s.start(); err != nil {
		return nil, err
	}
	return s, nil
}

// fileStore is a memory store of which a file has a log.
type fileStore struct {
	path   string
	sync   bool
	logger *zap.Logger
	disk   disk
	slack  int64 // see compactSlack
	limit  int64 // of a record

	memory  memoryStore
	lock    io.Closer
	file    storeFile // nil while there is none
	size    int64     // of the file
	live    int64     // what size would be without garbage
	scratch []byte
	failed  error // the first failure of the disk
	closed  bool
}

// newFileStore returns a store that has to be started.
func newFileStore(path string, o FileStoreOptions, d disk) *fileStore {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return &fileStore{path: path, sync: o.Sync, logger: o.Logger, disk: d, slack: compactSlack, limit: maxBody}
}

// start locks and reads the file. After an error nothing is held open.
func (s *fileStore) start() error {
	err := s.acquire()
	if err == nil {
		err = s.read()
	}
	if err != nil {
		_ = s.Close()
		return &StoreError{Op: "open", Path: s.path, Err: err}
	}
	return nil
}

// acquire takes the lock and opens the file. The path may be relative to a
// working directory that does not stay.
func (s *fileStore) acquire() error {
	path, err := filepath.Abs(s.path)
	if err != nil {
		return err
	}
	s.path = path
	if err := checkRegular(path); err != nil {
		return err
	}
	if s.lock, err = lockStore(path + ".lock"); err != nil {
		return err
	}
	s.file, err = s.disk.open(path, os.O_RDWR|os.O_CREATE)
	return err
}

// checkRegular returns an error if there is something at the path that is not a
// file: a rewritten file would take its place.
func checkRegular(path string) error {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: no regular file: %s", ErrStoreFormat, info.Mode().Type())
	default:
		return nil
	}
}

// read reads the file, and makes it one that can be continued.
func (s *fileStore) read() error {
	size, err := s.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	good, err := readLog(s.file, size, &s.memory)
	if err != nil {
		return err
	}
	if err := s.disk.protect(s.path); err != nil {
		return err
	}
	if good < size {
		s.logger.Warn("session file is damaged, or was not written to its end; cutting off its end",
			zap.String("path", s.path), zap.Int64("kept_bytes", good), zap.Int64("cut_bytes", size-good))
		if err := s.file.Truncate(good); err != nil {
			return err
		}
	}
	if _, err := s.file.Seek(good, io.SeekStart); err != nil {
		return err
	}
	if good == 0 {
		if _, err := io.WriteString(s.file, fileHeader); err != nil {
			return err
		}
		good = int64(len(fileHeader))
	}
	s.size, s.live = good, s.liveSize()
	if err := s.disk.remove(s.tempPath()); err != nil {
		return err
	}
	if !s.sync {
		return nil
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	return s.disk.syncDirectory(s.directory())
}

// Load returns what the file had when it was opened and what was done since.
func (s *fileStore) Load() (SessionState, []KeptMessage, error) {
	if err := s.usable("load"); err != nil {
		return SessionState{}, nil, err
	}
	return s.memory.Load()
}

// Begin forgets everything and keeps state.
func (s *fileStore) Begin(state SessionState) error {
	return s.replace("begin", recordBegin, state, nil, s.memory.Begin)
}

// Save keeps state instead of the earlier one.
func (s *fileStore) Save(state SessionState) error {
	return s.replace("save", recordSave, state, s.memory.checkSave(state), s.memory.Save)
}

// replace keeps a state in the file, and then in memory, unless there is an
// error already.
func (s *fileStore) replace(op string, kind recordKind, state SessionState, wrong error, keep func(SessionState) error) error {
	if err := s.check(op, stateSize(&state), wrong); err != nil {
		return err
	}
	if err := s.write(op, appendState(s.scratch[:0], kind, &state)); err != nil {
		return err
	}
	if err := keep(state); err != nil {
		return err
	}
	s.live = s.liveSize()
	return s.compactIfDue()
}

// Received keeps rx in the state.
func (s *fileStore) Received(rx uint64) error {
	if err := s.check("received", 0, s.memory.checkReceived(rx)); err != nil || rx == s.memory.state.Received {
		return err
	}
	if err := s.write("received", appendNumber(s.scratch[:0], recordReceived, rx)); err != nil {
		return err
	}
	if err := s.memory.Received(rx); err != nil {
		return err
	}
	return s.compactIfDue()
}

// Append keeps m, and its number in the state.
func (s *fileStore) Append(m KeptMessage) error {
	size := messageSize(&m)
	if err := s.check("append", size, s.memory.checkAppend(m.Seq)); err != nil {
		return err
	}
	if err := s.write("append", appendMessage(s.scratch[:0], &m)); err != nil {
		return err
	}
	if err := s.memory.Append(m); err != nil {
		return err
	}
	s.live += size
	return s.compactIfDue()
}

// Release forgets the messages up to through.
func (s *fileStore) Release(through uint64) error {
	if err := s.check("release", 0, s.memory.checkRelease(through)); err != nil {
		return err
	}
	n := s.memory.releases(through)
	if n == 0 {
		return nil
	}
	if err := s.write("release", appendNumber(s.scratch[:0], recordRelease, through)); err != nil {
		return err
	}
	for i := range s.memory.messages()[:n] {
		s.live -= messageSize(&s.memory.messages()[i])
	}
	if err := s.memory.Release(through); err != nil {
		return err
	}
	return s.compactIfDue()
}

// Close closes the file and gives up the lock. Only the first call does
// anything.
func (s *fileStore) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.closeFiles(); err != nil {
		return &StoreError{Op: "close", Path: s.path, Err: err}
	}
	return nil
}

// closeFiles closes what is open, the lock last.
func (s *fileStore) closeFiles() error {
	var fileErr, lockErr error
	if s.file != nil {
		fileErr = s.file.Close()
	}
	if s.lock != nil {
		lockErr = s.lock.Close()
	}
	return errors.Join(fileErr, lockErr)
}

// usable returns an error if the store is of no more use.
func (s *fileStore) usable(op string) error {
	if s.closed {
		return &StoreError{Op: op, Path: s.path, Err: ErrStoreClosed}
	}
	return s.failed
}

// check returns an error if the store is of no more use, if the operation is
// wrong, or if its record would be too large.
func (s *fileStore) check(op string, size int64, wrong error) error {
	if err := s.usable(op); err != nil {
		return err
	}
	if wrong == nil && size > frameSize+s.limit {
		wrong = fmt.Errorf("%w: %d bytes", ErrStoreTooLarge, size)
	}
	if wrong != nil {
		return &StoreError{Op: op, Path: s.path, Err: wrong}
	}
	return nil
}

// write appends a record, which may be in scratch, to the file.
func (s *fileStore) write(op string, record []byte) error {
	s.scratch = nil
	if cap(record) <= maxScratch {
		s.scratch = record
	}
	if _, err := s.file.Write(record); err != nil {
		return s.fail(op, err)
	}
	s.size += int64(len(record))
	if s.sync {
		if err := s.file.Sync(); err != nil {
			return s.fail(op, err)
		}
	}
	return nil
}

// fail makes the store useless. What the disk has is not certain any more.
func (s *fileStore) fail(op string, err error) error {
	s.failed = &StoreError{Op: op, Path: s.path, Err: err}
	return s.failed
}

func (s *fileStore) tempPath() string { return s.path + ".tmp" }

func (s *fileStore) directory() string { return filepath.Dir(s.path) }
