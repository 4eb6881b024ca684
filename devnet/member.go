package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// info is what a member says of itself once it serves; programs write the same as their ready file.
type info struct {
	PID      int    `json:"pid"`
	DeviceID uint64 `json:"device_id"`
	Endpoint string `json:"endpoint"`
	S3       S3     `json:"s3"` // of the gateway
}

// A member is one part of the network that can end without the others: a validator, a storage
// node, the gateway.
type member struct {
	role, name string
	// run serves until ctx is done; it calls ready once, when others may rely on it.
	run func(ctx context.Context, ready func(info)) error
	// kill sends a signal to the member's process; nil where it has none of its own.
	kill func(syscall.Signal) error
	log  *slog.Logger

	cancel context.CancelFunc
	ended  chan struct{} // closed when run has returned
	err    error         // of run; read after ended

	mu   sync.Mutex
	info info
}

// start runs the member and returns when it is ready or has ended or ctx is done.
func (m *member) start(ctx context.Context) error {
	// A member outlives the start: it ends by stop, in its turn.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ready := make(chan struct{})
	m.cancel, m.ended = cancel, make(chan struct{})
	go func() {
		defer close(m.ended)
		m.err = m.run(running, func(i info) {
			m.mu.Lock()
			m.info = i
			m.mu.Unlock()
			close(ready)
		})
		if running.Err() == nil {
			m.log.Warn("a member ended by itself", "member", m.name, "err", m.err)
		}
	}()
	select {
	case <-ready:
		return nil
	case <-m.ended:
		return fmt.Errorf("%s ended before it was ready: %w", m.name, m.err)
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("starting %s: %w", m.name, ctx.Err()), m.stop())
	}
}

// stop ends the member gracefully and waits for it.
func (m *member) stop() error {
	if m.cancel == nil {
		return nil
	}
	byItself := m.hasEnded()
	m.cancel()
	<-m.ended
	if byItself || m.err == nil || errors.Is(m.err, context.Canceled) {
		return nil // what ended by itself has been reported
	}
	return fmt.Errorf("stopping %s: %w", m.name, m.err)
}

func (m *member) hasEnded() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

func (m *member) describe() info {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.info
}

func (m *member) process() Process {
	i := m.describe()
	return Process{Role: m.role, Name: m.name, PID: i.PID, DeviceID: i.DeviceID}
}

// stopGrace is how long a process has to end after SIGTERM before it is killed.
const stopGrace = 20 * time.Second

// A launch says how a member runs as a process of its own.
type launch struct {
	program string
	args    []string
	log     string // file that takes the program's output
	// probe gives what the member says of itself, or errNotReady.
	probe func(context.Context) (info, error)
	// before clears what an earlier run left, such as its ready file; may be nil.
	before func() error
}

// errNotReady is a probe's answer while the member is starting.
var errNotReady = errors.New("not ready")

// asProcess makes the member run as a process of its own.
func (m *member) asProcess(l launch) {
	var (
		mu    sync.Mutex
		child *os.Process
	)
	m.kill = func(sig syscall.Signal) error {
		mu.Lock()
		defer mu.Unlock()
		if child == nil {
			return fmt.Errorf("%s is not running", m.name)
		}
		return child.Signal(sig)
	}
	m.run = func(ctx context.Context, ready func(info)) error {
		if l.before != nil {
			if err := l.before(); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(filepath.Dir(l.log), 0o700); err != nil {
			return fmt.Errorf("making room for the log: %w", err)
		}
		output, err := os.OpenFile(l.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("opening the log: %w", err)
		}
		defer output.Close()

		cmd := exec.CommandContext(ctx, l.program, l.args...)
		cmd.Stdout, cmd.Stderr = output, output
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = stopGrace
		// Ctrl-C reaches the whole foreground group; members end in their turn instead.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("starting %s: %w", l.program, err)
		}
		mu.Lock()
		child = cmd.Process
		mu.Unlock()

		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		poll := time.NewTicker(50 * time.Millisecond)
		defer poll.Stop()
		for waiting := true; ; {
			select {
			case err := <-exited:
				mu.Lock()
				child = nil
				mu.Unlock()
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("%s ended (log: %s): %w", filepath.Base(l.program), l.log, errOr(err, errors.New("exit status 0")))
			case <-poll.C:
				if !waiting {
					continue
				}
				i, err := l.probe(ctx)
				if errors.Is(err, errNotReady) {
					continue
				}
				if err != nil {
					return errors.Join(err, cmd.Process.Kill(), <-exited)
				}
				i.PID = cmd.Process.Pid
				waiting = false
				poll.Stop()
				ready(i)
			}
		}
	}
}

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// readyFile makes a launch take its member's word from a file that the program writes when it serves.
func (l *launch) readyFile(path string) {
	l.args = append(l.args, "--ready-file", path)
	l.before = func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the old ready file: %w", err)
		}
		return nil
	}
	l.probe = func(context.Context) (i info, err error) {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return i, errNotReady
		}
		if err != nil {
			return i, fmt.Errorf("reading a ready file: %w", err)
		}
		if err := json.Unmarshal(data, &i); err != nil {
			return i, fmt.Errorf("reading ready file %s: %w", path, err)
		}
		return i, nil
	}
}

// answers makes a launch ready when a GET of url succeeds.
func (l *launch) answers(url string, i info) {
	l.probe = func(ctx context.Context) (info, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return i, fmt.Errorf("probing %s: %w", url, err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return i, errNotReady
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return i, errNotReady
		}
		return i, nil
	}
}
