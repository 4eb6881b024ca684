// Package lifecycle runs the parts of a daemon as one: started in the order in which they
// were added, stopped in reverse, so that a part may rely on everything added before it from
// its start to its end.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// Part is one piece of a daemon. Every function is optional.
type Part struct {
	Name string
	// Start returns when the part is ready for those after it; its error ends the group. It
	// must not keep ctx beyond its return.
	Start func(ctx context.Context) error
	// Run works until ctx is done. An error ends the group; nil means that this part has no
	// more to do and the others go on.
	Run func(ctx context.Context) error
	// Close releases what Start acquired; it is called once, after Run has returned, and only
	// if Start succeeded.
	Close func() error
}

// Group is an ordered set of parts. The zero Group is ready; it runs once.
type Group struct {
	Log   *slog.Logger // nil for silence
	parts []Part
}

// Add appends a part; it relies on those added before.
func (g *Group) Add(p Part) { g.parts = append(g.parts, p) }

type running struct {
	Part
	stop context.CancelFunc
	done chan error // receives the result of Run once; nil without Run
}

// Run starts every part in order, waits until ctx is done or a part fails, then stops the
// parts one by one in reverse: cancel its context, wait for its Run, Close it. It returns all
// errors joined; a part that ends with context.Canceled because it was stopped has not failed.
func (g *Group) Run(ctx context.Context) error {
	var (
		errs   []error
		up     []running
		failed = make(chan struct{}, len(g.parts))
	)
	for _, p := range g.parts {
		if ctx.Err() != nil {
			break
		}
		if p.Start != nil {
			if err := p.Start(ctx); err != nil {
				if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
					errs = append(errs, fmt.Errorf("starting %s: %w", p.Name, err))
				}
				failed <- struct{}{}
				break
			}
		}
		// Not derived from ctx: the group ends parts one at a time.
		partCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		r := running{Part: p, stop: stop}
		if p.Run != nil {
			r.done = make(chan error, 1)
			go func() {
				err := p.Run(partCtx)
				if err != nil && partCtx.Err() == nil {
					failed <- struct{}{}
				}
				r.done <- err
			}()
		}
		up = append(up, r)
		g.log("started", p.Name)
	}
	select {
	case <-ctx.Done():
	case <-failed:
	}
	for _, r := range slices.Backward(up) {
		r.stop()
		if r.done != nil {
			if err := <-r.done; err != nil && !errors.Is(err, context.Canceled) {
				errs = append(errs, fmt.Errorf("running %s: %w", r.Name, err))
			}
		}
		if r.Close != nil {
			if err := r.Close(); err != nil {
				errs = append(errs, fmt.Errorf("closing %s: %w", r.Name, err))
			}
		}
		g.log("stopped", r.Name)
	}
	return errors.Join(errs...)
}

func (g *Group) log(event, part string) {
	if g.Log != nil {
		g.Log.Debug(event, "part", part)
	}
}
