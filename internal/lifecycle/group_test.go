package lifecycle_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cairn-network/cairn/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal records what happened in order.
type journal struct {
	mu     sync.Mutex
	events []string
}

func (j *journal) add(event string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, event)
}

func (j *journal) part(name string) lifecycle.Part {
	return lifecycle.Part{
		Name:  name,
		Start: func(context.Context) error { j.add("start " + name); return nil },
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			j.add("end " + name)
			return ctx.Err()
		},
		Close: func() error { j.add("close " + name); return nil },
	}
}

func TestStartsInOrderAndStopsInReverse(t *testing.T) {
	var j journal
	var g lifecycle.Group
	ctx, cancel := context.WithCancel(t.Context())
	g.Add(j.part("store"))
	g.Add(j.part("server"))
	g.Add(lifecycle.Part{Name: "last", Start: func(context.Context) error { cancel(); return nil }})
	require.NoError(t, g.Run(ctx))
	require.Equal(t, []string{
		"start store", "start server",
		"end server", "close server", "end store", "close store",
	}, j.events)
}

func TestFailedStartClosesWhatWasUp(t *testing.T) {
	var j journal
	var g lifecycle.Group
	cause := errors.New("port taken")
	g.Add(j.part("store"))
	g.Add(lifecycle.Part{
		Name:  "server",
		Start: func(context.Context) error { return cause },
		Close: func() error { j.add("close server"); return nil },
	})
	g.Add(j.part("never"))
	err := g.Run(t.Context())
	require.ErrorIs(t, err, cause)
	require.ErrorContains(t, err, "starting server")
	require.Equal(t, []string{"start store", "end store", "close store"}, j.events)
}

func TestFailedRunEndsTheGroupAndAllErrorsSurvive(t *testing.T) {
	var j journal
	var g lifecycle.Group
	broken, leaky := errors.New("broken"), errors.New("leaky")
	leak := j.part("store")
	leak.Close = func() error { return leaky }
	g.Add(leak)
	g.Add(lifecycle.Part{Name: "loop", Run: func(context.Context) error { return broken }})
	g.Add(lifecycle.Part{Name: "brief", Run: func(context.Context) error { return nil }})
	err := g.Run(t.Context())
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, err, leaky)
}

func TestPartsKeepTheirContextValuesButNotItsCancellation(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	var g lifecycle.Group
	started := make(chan context.Context, 1)
	g.Add(lifecycle.Part{Name: "first", Run: func(ctx context.Context) error {
		started <- ctx
		<-ctx.Done()
		return nil
	}})
	g.Add(lifecycle.Part{Name: "second", Run: func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return nil
	}, Close: func() error {
		first := <-started
		require.Equal(t, "v", first.Value(key{}))
		return first.Err() // the first is stopped after the second
	}})
	require.NoError(t, g.Run(ctx))
}

func TestNothingStartsAfterTheContextIsDone(t *testing.T) {
	var j journal
	var g lifecycle.Group
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.Add(j.part("store"))
	require.NoError(t, g.Run(ctx))
	require.Empty(t, j.events)
}
