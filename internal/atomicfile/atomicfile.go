// Package atomicfile replaces files so that a reader, and a machine that loses power at any
// moment, sees the old content or the new and nothing between: stage beside the target,
// fsync, rename, fsync the directory.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Permissions of what is written.
const (
	Private fs.FileMode = 0o600 // secrets: keys, tokens, configuration that holds them
	Public  fs.FileMode = 0o644
)

// Write replaces path by data. When it returns nil the content survives a power cut.
func Write(path string, data []byte, perm fs.FileMode) error {
	f, err := Create(path, perm)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return f.Commit()
}

// WriteNew is Write for a path that must not exist; it returns fs.ErrExist if it does, also
// when two processes race. Nothing that is there is ever touched.
func WriteNew(path string, data []byte, perm fs.FileMode) error {
	f, err := Create(path, perm)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	// Unlike rename, link refuses to replace.
	if err := os.Link(f.Name(), path); err != nil {
		return fmt.Errorf("creating %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// File is a staged replacement. It becomes visible by Commit and vanishes by Abort.
type File struct {
	*os.File
	path string
	done bool
}

// Create stages a replacement of path, in the same directory, with permissions perm
// whatever the umask.
func Create(path string, perm fs.FileMode) (*File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("staging %s: %w", path, err)
	}
	staged := &File{File: f, path: path}
	if err := f.Chmod(perm); err != nil {
		staged.Abort()
		return nil, fmt.Errorf("staging %s: %w", path, err)
	}
	return staged, nil
}

// Commit makes the staged content durable under the target's name.
func (f *File) Commit() error {
	if f.done {
		return fmt.Errorf("committing %s: %w", f.path, os.ErrClosed)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", f.path, err)
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return fmt.Errorf("replacing %s: %w", f.path, err)
	}
	f.done = true
	return errors.Join(f.Close(), SyncDir(filepath.Dir(f.path)))
}

// Abort drops the staged content; after Commit it does nothing, so it may be deferred.
func (f *File) Abort() {
	if f.done {
		return
	}
	f.done = true
	f.Close()
	_ = os.Remove(f.Name()) // what stays is a hidden file that nobody reads
}

// SyncDir makes the names in a directory durable: creations, renames, removals.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing directory %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing directory %s: %w", dir, err)
	}
	return nil
}
