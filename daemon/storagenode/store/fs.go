package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// FS is what the store needs of a file system. Names are paths relative to the store's directory.
// Tests inject faults here.
type FS interface {
	// Open opens a file for reading and writing. With create it must not exist yet.
	Open(name string, create bool) (File, error)
	// ReadDir lists the names in a directory, sorted.
	ReadDir(dir string) ([]string, error)
	Mkdir(dir string) error
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string) error
	// Space returns the bytes that the store may still use and the size of the file system.
	Space() (free, total uint64, err error)
	// Lock makes sure that no other process has the store open, until the closer is closed.
	Lock(name string) (io.Closer, error)
}

// File is an open file. Its methods may be called at the same time.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// WriteDirect writes past the operating system's cache where that can be done. The address of p,
	// its length and off are multiples of alignment. Durable after Sync only, as other writes are.
	WriteDirect(p []byte, off int64) error
	// Sync makes the content durable, and of the metadata what is needed to read it (fdatasync).
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
	// Preallocate sets blocks aside up to size without changing the file's size. Best effort.
	Preallocate(size int64) error
}

// ErrLocked says that another process has the store open.
var ErrLocked = errors.New("store is in use by another process")

// dirFS is a directory of the operating system.
type dirFS string

func (d dirFS) path(name string) string { return filepath.Join(string(d), name) }

func (d dirFS) Open(name string, create bool) (File, error) {
	flag := os.O_RDWR
	if create {
		flag |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(d.path(name), flag, 0o600)
	if err != nil {
		return nil, err
	}
	return &osFile{File: f}, nil
}

func (d dirFS) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(d.path(dir))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (d dirFS) Mkdir(dir string) error {
	if err := os.Mkdir(d.path(dir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (d dirFS) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d dirFS) Remove(name string) error     { return os.Remove(d.path(name)) }

func (d dirFS) SyncDir(dir string) error {
	f, err := os.Open(d.path(dir))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing directory %s: %w", d.path(dir), err)
	}
	return nil
}

type osFile struct {
	*os.File
	past pastCache
}

func (f *osFile) WriteDirect(p []byte, off int64) error {
	if direct := f.past.open(f.Name()); direct != nil {
		_, err := direct.WriteAt(p, off)
		if !errors.Is(err, syscall.EINVAL) {
			return err
		}
		// The file system wants more than it is given here; what it did not take, the cache does.
	}
	_, err := f.WriteAt(p, off)
	return err
}

func (f *osFile) Close() error { return errors.Join(f.past.close(), f.File.Close()) }

// pastCache is a second opening of a file, for writing past the cache. It is made at the first such
// write and given up for good where the file system has none.
type pastCache struct {
	once sync.Once
	file *os.File
}

func (c *pastCache) open(name string) *os.File {
	c.once.Do(func() {
		if openDirect == 0 {
			return
		}
		if f, err := os.OpenFile(name, os.O_WRONLY|openDirect, 0); err == nil {
			c.file = f
		}
	})
	return c.file
}

func (c *pastCache) close() error {
	c.once.Do(func() {})
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
