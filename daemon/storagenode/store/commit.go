package store

import "sync"

// committer lets many callers share one sync of a file. A call returns after a sync that began
// after the call: everything that the caller wrote before is then durable. While one sync runs, the
// callers that arrive gather and share the next; without company a caller syncs at once.
type committer struct {
	mu   sync.Mutex
	busy bool
	next *batch
}

// batch is the callers of one sync to come.
type batch struct {
	lead chan struct{} // receives once, when one of the callers is to sync
	done chan struct{} // closed when err is set
	err  error
}

func (c *committer) sync(fn func() error) error {
	c.mu.Lock()
	b := c.next
	if !c.busy {
		c.busy = true
		c.mu.Unlock()
		err := fn()
		c.handOver()
		return err
	}
	if b == nil {
		b = &batch{lead: make(chan struct{}, 1), done: make(chan struct{})}
		c.next = b
	}
	c.mu.Unlock()
	select {
	case <-b.done:
	case <-b.lead:
		c.mu.Lock()
		c.next = nil // whoever comes now may have written too late for this sync
		c.mu.Unlock()
		b.err = fn()
		close(b.done)
		c.handOver()
	}
	return b.err
}

// handOver ends this caller's turn; one of those who gathered takes the next.
func (c *committer) handOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next != nil {
		c.next.lead <- struct{}{}
		return
	}
	c.busy = false
}
