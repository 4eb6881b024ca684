package network

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A relay carries the traffic between validators, and stops carrying that of some when told. Cut off,
// connections stay open and say nothing, as when packets are lost; what was under way arrives when
// the cut heals.
type relay struct {
	t      *testing.T
	mu     sync.Mutex
	links  map[[2]int]string // address of the link from one validator to another
	closes []func() error
	cut    map[int]chan struct{} // closed when the validator is back
	done   chan struct{}
}

func newRelay(t *testing.T) *relay {
	r := &relay{t: t, links: map[[2]int]string{}, cut: map[int]chan struct{}{}, done: make(chan struct{})}
	t.Cleanup(r.close)
	return r
}

// via gives the address at which validator from reaches validator to.
func (r *relay) via(from, to int, address string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	pair := [2]int{from, to}
	if link, ok := r.links[pair]; ok {
		return link
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r.t, err)
	r.closes = append(r.closes, listener.Close)
	r.links[pair] = listener.Addr().String()
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go r.carry(near, pair, address)
		}
	}()
	return r.links[pair]
}

// carry connects near to the address and copies both ways until either end closes.
func (r *relay) carry(near net.Conn, pair [2]int, address string) {
	defer near.Close()
	if !r.open(pair) {
		return
	}
	far, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer far.Close()
	r.mu.Lock()
	r.closes = append(r.closes, near.Close, far.Close)
	r.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { r.copy(far, near, pair) })
	both.Go(func() { r.copy(near, far, pair) })
	both.Wait()
}

func (r *relay) copy(to, from net.Conn, pair [2]int) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if !r.open(pair) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// open waits until neither end of a link is cut off; false when the relay closes.
func (r *relay) open(pair [2]int) bool {
	for _, end := range pair {
		r.mu.Lock()
		back := r.cut[end]
		r.mu.Unlock()
		if back == nil {
			continue
		}
		select {
		case <-back:
		case <-r.done:
			return false
		}
	}
	return true
}

// isolate cuts a validator off from all others until heal.
func (r *relay) isolate(validator int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut[validator] = make(chan struct{})
}

func (r *relay) heal(validator int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.cut[validator])
	delete(r.cut, validator)
}

func (r *relay) close() {
	close(r.done)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, closeOne := range r.closes {
		if err := closeOne(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
			r.t.Log(err)
		}
	}
}
