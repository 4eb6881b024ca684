// Package devnettest runs a devnet for a Go test.
package devnettest

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairn-network/cairn/devnet"
)

// Run starts the network that config describes, calls f when it serves, and stops it. Home is a
// temporary directory and the ports are free ones unless config says otherwise; blocks come every
// 300 ms unless it says otherwise. When f fails, the network's log is printed.
func Run(t *testing.T, config devnet.Config, f func(*testing.T, *devnet.Network)) {
	t.Helper()
	if config.Home == "" {
		config.Home = t.TempDir()
	}
	if config.PortBase == 0 {
		config.PortBase = freeBlock(t)
	}
	if config.BlockTime == 0 {
		config.BlockTime = 300 * time.Millisecond
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready := make(chan *devnet.Network)
	ended := make(chan error, 1)
	go func() {
		ended <- devnet.Run(ctx, config, func(ctx context.Context, n *devnet.Network) error {
			select {
			case ready <- n:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		if t.Failed() {
			printLogs(t, config.Home)
		}
	})
	select {
	case err := <-ended:
		t.Fatalf("the network did not start: %v", err)
	case n := <-ready:
		defer func() {
			stop()
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("stopping the network: %v", err)
			}
		}()
		f(t, n)
	}
}

// block is how many ports a network may use from its base on.
const block = 400

var bases struct {
	sync.Mutex
	next int
}

// freeBlock finds a block of ports that nobody listens on, below the range that the kernel gives
// to outgoing connections.
func freeBlock(t *testing.T) int {
	t.Helper()
	bases.Lock()
	defer bases.Unlock()
	if bases.next == 0 {
		bases.next = 12000 + os.Getpid()%20*block
	}
	for range 40 {
		base := bases.next
		if bases.next += block; bases.next > 31000 {
			bases.next = 12000
		}
		if free(base) {
			return base
		}
	}
	t.Fatal("no free block of ports between 12000 and 31400")
	return 0
}

func free(base int) bool {
	for port := base; port < base+block; port += 10 {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// built says that programs has been asked for.
var built atomic.Bool

var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "cairn-programs")
	if err != nil {
		return "", err
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./cmd/cairnd", "./cmd/cairn")
	build.Dir = string(root[:len(root)-1])
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return dir, nil
})

// RemovePrograms removes what Programs built: for the TestMain of packages that call it.
func RemovePrograms() error {
	if !built.Load() {
		return nil
	}
	dir, err := programs()
	return errors.Join(err, os.RemoveAll(dir))
}

// Programs builds cairnd and cairn once a test run and gives the directory that holds them, for
// Config.BinDir.
func Programs(t *testing.T) string {
	t.Helper()
	built.Store(true)
	dir, err := programs()
	if err != nil {
		t.Fatalf("building the programs: %v", err)
	}
	return dir
}

// printLogs shows the end of every log under home.
func printLogs(t *testing.T, home string) {
	logs, err := filepath.Glob(filepath.Join(home, "*.log"))
	if err != nil {
		return
	}
	more, err := filepath.Glob(filepath.Join(home, "logs", "*.log"))
	if err != nil {
		return
	}
	for _, path := range append(logs, more...) {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if len(data) > 4000 {
			data = data[len(data)-4000:]
		}
		t.Logf("--- end of %s\n%s", filepath.Base(path), data)
	}
}
