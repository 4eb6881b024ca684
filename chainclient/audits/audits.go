// Package audits follows the questions that an account put to devices on the chain: it ends those that
// were not answered in time, which brings the deposit back and a bounty with it.
//
// Nothing is remembered that the chain does not know: after a restart a Follower goes on with every
// audit of its account that is still open.
package audits

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/internal/clock"
)

// Chain is what a follower needs of the chain; *chainclient.Client is one.
type Chain interface {
	// Address is the account that opens audits and ends them.
	Address() string
	// Audits lists the open audits of a device, of all devices for 0.
	Audits(ctx context.Context, device uint64) ([]storagev1.Audit, error)
	CloseAudit(ctx context.Context, audit uint64) (storagev1.MsgCloseAuditResponse, error)
	Faults(ctx context.Context, device uint64) ([]storagev1.Fault, error)
}

// Outcome is how an audit ended.
type Outcome uint8

// Outcomes of an audit.
const (
	// Answered: the device showed what it was asked for, and has the deposit.
	Answered Outcome = iota + 1
	// Failed: it did not, and is at fault.
	Failed
)

// Follower looks after the audits of one account. Not safe for concurrent use.
type Follower struct {
	Chain Chain
	Clock clock.Clock
	Log   *slog.Logger
	// Ended, if set, learns how each audit ended that was open at an earlier step.
	Ended func(storagev1.Audit, Outcome)

	open map[uint64]storagev1.Audit
}

// Open are the audits that wait, as of the last step, by id.
func (f *Follower) Open() map[uint64]storagev1.Audit { return f.open }

// Step ends what can be ended. What fails is tried again with the next step.
func (f *Follower) Step(ctx context.Context) error {
	all, err := f.Chain.Audits(ctx, 0)
	if err != nil {
		return err
	}
	var errs []error
	now := make(map[uint64]storagev1.Audit)
	for _, a := range all {
		if a.Opener != f.Chain.Address() {
			continue
		}
		now[a.Id] = a
		if a.Deadline >= f.Clock.Now().Unix() {
			continue
		}
		switch r, err := f.Chain.CloseAudit(ctx, a.Id); {
		case err == nil:
			f.Log.Info("a device did not answer an audit", "audit", a.Id, "device", a.Device, "slashed", r.Slashed, "bounty", r.Bounty)
			delete(now, a.Id)
			delete(f.open, a.Id)
			f.ended(a, Failed)
		case errors.Is(err, chainclient.ErrAuditDeadline), errors.Is(err, chainclient.ErrNoAudit):
			// The chain's clock is behind this one, or the audit has just ended.
		default:
			errs = append(errs, err)
		}
	}
	for id, a := range f.open {
		if _, still := now[id]; still {
			continue
		}
		if err := f.settle(ctx, a); err != nil {
			errs = append(errs, err)
			now[id] = a // looked at again
		}
	}
	f.open = now
	return errors.Join(errs...)
}

// settle finds out how an audit ended that somebody else ended.
func (f *Follower) settle(ctx context.Context, a storagev1.Audit) error {
	faults, err := f.Chain.Faults(ctx, a.Device)
	if err != nil {
		return fmt.Errorf("looking for the end of audit %d: %w", a.Id, err)
	}
	for _, fault := range faults {
		if fault.Subject == a.Id && fault.Kind != storagev1.FaultKind_FAULT_KIND_CHALLENGE {
			f.ended(a, Failed)
			return nil
		}
	}
	f.ended(a, Answered)
	return nil
}

func (f *Follower) ended(a storagev1.Audit, o Outcome) {
	if f.Ended != nil {
		f.Ended(a, o)
	}
}
