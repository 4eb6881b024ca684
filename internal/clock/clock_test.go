package clock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/internal/clock"
)

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func TestFakeFiresInOrderOfDeadline(t *testing.T) {
	c := clock.NewFake(start)
	late, early, never := c.NewTimer(3*time.Second), c.NewTimer(time.Second), c.NewTimer(time.Minute)
	c.Advance(10 * time.Second)
	require.Equal(t, start.Add(time.Second), <-early.C())
	require.Equal(t, start.Add(3*time.Second), <-late.C())
	require.Equal(t, start.Add(10*time.Second), c.Now())
	require.True(t, never.Stop())
	require.False(t, never.Stop())
}

func TestFakeStopDropsAnUnreceivedFiring(t *testing.T) {
	c := clock.NewFake(start)
	timer := c.NewTimer(time.Second)
	c.Advance(time.Second)
	require.False(t, timer.Stop())
	timer.Reset(time.Second)
	c.Advance(time.Second)
	require.Equal(t, start.Add(2*time.Second), <-timer.C())
}

func TestEveryStepsWithTheClock(t *testing.T) {
	c := clock.NewFake(start)
	var seen []time.Time
	enough := errors.New("enough")
	done := make(chan error)
	go func() {
		done <- clock.Every(t.Context(), c, time.Minute, func(context.Context) error {
			seen = append(seen, c.Now())
			if len(seen) == 3 {
				return enough
			}
			return nil
		})
	}()
	for range 2 {
		require.NoError(t, c.AwaitTimers(t.Context(), 1))
		c.Advance(time.Minute)
	}
	require.ErrorIs(t, <-done, enough)
	require.Equal(t, []time.Time{start, start.Add(time.Minute), start.Add(2 * time.Minute)}, seen)
}

func TestSleepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, clock.Sleep(ctx, clock.NewFake(start), time.Hour), context.Canceled)
	require.NoError(t, clock.Sleep(t.Context(), clock.System{}, -1))
}

func TestAwaitTimersEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, clock.NewFake(start).AwaitTimers(ctx, 1), context.Canceled)
}
