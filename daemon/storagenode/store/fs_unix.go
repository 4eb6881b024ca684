//go:build unix && !linux

package store

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// openDirect changes nothing: these systems have no such flag.
const openDirect = 0

func (d dirFS) Space() (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(string(d), &st); err != nil {
		return 0, 0, fmt.Errorf("asking for free space at %s: %w", string(d), err)
	}
	return uint64(st.Bavail) * uint64(st.Bsize), uint64(st.Blocks) * uint64(st.Bsize), nil
}

func (d dirFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrLocked, d.path(name))
		}
		return nil, fmt.Errorf("locking %s: %w", d.path(name), err)
	}
	return f, nil
}

// Preallocate does nothing: it only ever saves time.
func (f *osFile) Preallocate(int64) error { return nil }
