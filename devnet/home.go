package devnet

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"

	"github.com/cairn-network/cairn/internal/telemetry"
)

// reset deletes a home, if it is one: a directory that some other program filled is left alone.
func reset(home string) error {
	entries, err := os.ReadDir(home)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(entries) == 0) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking into %s: %w", home, err)
	}
	for _, known := range []string{"state.json", "validators"} {
		if _, err := os.Stat(filepath.Join(home, known)); err == nil {
			if err := os.RemoveAll(home); err != nil {
				return fmt.Errorf("deleting the old network: %w", err)
			}
			return nil
		}
	}
	return fmt.Errorf("%s is not the home of a devnet: --reset deletes only those", home)
}

// lock keeps a second network out of the home.
func lock(home string) (unlock func(), err error) {
	l := flock.New(filepath.Join(home, "lock"))
	held, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", home, err)
	}
	if !held {
		return nil, fmt.Errorf("another network runs in %s: stop it, or give another --home", home)
	}
	return func() { l.Unlock() }, nil
}

// openLog gives the log that all parts of this process share: devnet.log in the home, or
// standard error.
func (n *Network) openLog() (*slog.Logger, func(), error) {
	out, closeLog := os.Stderr, func() {}
	if !n.config.Verbose {
		f, err := os.OpenFile(filepath.Join(n.config.Home, "devnet.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("opening the log: %w", err)
		}
		out, closeLog = f, func() { f.Close() }
	}
	log, err := telemetry.NewLogger(out, "info", telemetry.Text)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the log: %w", err)
	}
	return log, closeLog, nil
}

func (n *Network) validatorHome(i int) string {
	return filepath.Join(n.config.Home, "validators", strconv.Itoa(i))
}

func (n *Network) storageHome(i int) string {
	return filepath.Join(n.config.Home, "storage", strconv.Itoa(i))
}

func (n *Network) gatewayHome() string { return filepath.Join(n.config.Home, "gateway") }

func (n *Network) logFile(name string) string {
	return filepath.Join(n.config.Home, "logs", name+".log")
}

// program finds one of our programs for a member's process.
func (n *Network) program(name string) string {
	dir := n.config.BinDir
	if dir == "" {
		if self, err := os.Executable(); err == nil {
			dir = filepath.Dir(self)
		}
	}
	return filepath.Join(dir, name)
}

// defaultStorageSize is what a storage node offers unless told otherwise, and never more than half
// of what the disk under home has left: the nodes share it.
func defaultStorageSize(home string) (uint64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(home, &disk); err != nil {
		return 0, fmt.Errorf("asking how much room %s has: %w", home, err)
	}
	return min(64<<30, disk.Bavail*uint64(disk.Bsize)/2), nil
}
