// Package clock is the time that long-running code sees. Daemons take a Clock, so that a
// test moves time by hand and no test ever sleeps.
package clock

import (
	"context"
	"time"
)

// Clock tells the time and wakes sleepers. Implementations are safe for concurrent use.
type Clock interface {
	Now() time.Time
	// NewTimer fires once, d from now; d <= 0 fires at once.
	NewTimer(d time.Duration) Timer
}

// Timer is one pending wake-up.
type Timer interface {
	// C receives the time at which the timer fired; it is never closed.
	C() <-chan time.Time
	// Stop reports whether it kept the timer from firing. After Stop nothing is received.
	Stop() bool
	// Reset arms the timer again, d from now, whatever its state.
	Reset(d time.Duration)
}

// System is the machine's clock.
type System struct{}

// Now is time.Now.
func (System) Now() time.Time { return time.Now() }

// NewTimer is time.NewTimer.
func (System) NewTimer(d time.Duration) Timer { return systemTimer{time.NewTimer(d)} }

type systemTimer struct{ timer *time.Timer }

func (t systemTimer) C() <-chan time.Time   { return t.timer.C }
func (t systemTimer) Stop() bool            { return t.timer.Stop() }
func (t systemTimer) Reset(d time.Duration) { t.timer.Reset(d) }

// Sleep waits for d or until ctx is done, and then returns the context's error.
func Sleep(ctx context.Context, c Clock, d time.Duration) error {
	timer := c.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Every calls fn at once and then every interval, measured from the end of one call to the
// start of the next, until fn returns an error or ctx is done. It returns that error.
func Every(ctx context.Context, c Clock, interval time.Duration, fn func(context.Context) error) error {
	for {
		if err := fn(ctx); err != nil {
			return err
		}
		if err := Sleep(ctx, c, interval); err != nil {
			return err
		}
	}
}
