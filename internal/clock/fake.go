package clock

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Fake is a clock that stands still until a test moves it. Timers due within one Advance
// fire in the order of their deadlines, each at its own time.
type Fake struct {
	mu      sync.Mutex
	now     time.Time
	armed   []*fakeTimer
	changed chan struct{} // closed and replaced whenever armed changes
}

// NewFake returns a clock that shows start.
func NewFake(start time.Time) *Fake {
	return &Fake{now: start, changed: make(chan struct{})}
}

// Now is the time that the clock has been moved to.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// NewTimer arms a timer that a later Advance fires.
func (f *Fake) NewTimer(d time.Duration) Timer {
	t := &fakeTimer{fake: f, c: make(chan time.Time, 1)}
	t.Reset(d)
	return t
}

// Advance moves the clock forward by d and fires what falls due on the way.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	end := f.now.Add(d)
	for len(f.armed) > 0 && !f.armed[0].deadline.After(end) {
		t := f.armed[0]
		f.now = t.deadline
		f.remove(t)
		t.c <- f.now
	}
	f.now = end
}

// AwaitTimers blocks until at least n timers are armed, that is until n goroutines of the
// code under test have gone to sleep, or returns the error of ctx.
func (f *Fake) AwaitTimers(ctx context.Context, n int) error {
	for {
		f.mu.Lock()
		enough, changed := len(f.armed) >= n, f.changed
		f.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// remove takes t off the armed list and reports whether it was on it. The lock is held.
func (f *Fake) remove(t *fakeTimer) bool {
	i := slices.Index(f.armed, t)
	if i < 0 {
		return false
	}
	f.armed = slices.Delete(f.armed, i, i+1)
	f.announce()
	return true
}

func (f *Fake) announce() {
	close(f.changed)
	f.changed = make(chan struct{})
}

type fakeTimer struct {
	fake     *Fake
	deadline time.Time
	c        chan time.Time
}

func (t *fakeTimer) C() <-chan time.Time { return t.c }

func (t *fakeTimer) Stop() bool {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	t.drain()
	return t.fake.remove(t)
}

func (t *fakeTimer) Reset(d time.Duration) {
	f := t.fake
	f.mu.Lock()
	defer f.mu.Unlock()
	t.drain()
	f.remove(t)
	t.deadline = f.now.Add(d)
	if d <= 0 {
		t.c <- f.now
		return
	}
	i, _ := slices.BinarySearchFunc(f.armed, t, func(a, b *fakeTimer) int {
		if a.deadline.After(b.deadline) {
			return 1
		}
		return -1 // equal deadlines keep the order in which they were armed
	})
	f.armed = slices.Insert(f.armed, i, t)
	f.announce()
}

// drain drops a firing that nobody has received. The lock is held.
func (t *fakeTimer) drain() {
	select {
	case <-t.c:
	default:
	}
}
