package claim

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/internal/clock"
)

// DefaultEvery is how often a Loop looks.
const DefaultEvery = 10 * time.Minute

// Loop claims for some devices by itself once it is worth a transaction.
type Loop struct {
	Claimer *Claimer
	Service score.Service
	Devices []uint64
	// Above is the least sum that is claimed.
	Above price.Amount
	Every time.Duration // 0 for DefaultEvery
	Clock clock.Clock
	Log   *slog.Logger
}

// Run claims until ctx is done, whose error it returns. What fails is tried again at the next look:
// nothing is lost by a claim that comes later.
func (l *Loop) Run(ctx context.Context) error {
	every := l.Every
	if every <= 0 {
		every = DefaultEvery
	}
	for {
		if err := clock.Sleep(ctx, l.Clock, every); err != nil {
			return err
		}
		result, err := l.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrNothingFinal):
		case err != nil:
			l.Log.Warn("claiming rewards, will be tried again", "error", err)
		case result.Devices > 0:
			l.Log.Info("rewards claimed", "paid", result.Paid.Format(), "devices", result.Devices)
		}
	}
}

// Step claims once if as much as Above is due, and more than the claim costs.
func (l *Loop) Step(ctx context.Context) (Result, error) {
	dues, err := l.Claimer.Due(ctx, l.Service, l.Devices)
	if err != nil {
		return Result{}, err
	}
	var sum price.Amount
	for _, d := range dues {
		sum, _ = sum.Add(d.Claimable)
	}
	if sum.IsZero() || sum.Cmp(l.Above) < 0 {
		return Result{}, nil
	}
	cost, pays, err := l.Claimer.Cost(ctx, l.Service, dues)
	if err != nil || cost.Cmp(pays) >= 0 {
		return Result{}, err
	}
	return l.Claimer.Send(ctx, l.Service, dues)
}
