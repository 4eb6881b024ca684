package energy

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/modkit"
)

// Invariants are the properties of the state that always hold.
func (k *Keeper) Invariants() []modkit.Invariant {
	return []modkit.Invariant{
		{Name: "INV-ENERGY-ESCROW", Check: k.checkEscrow},
		{Name: "INV-ENERGY-SESSION", Check: k.checkState},
		{Name: "INV-ENERGY-PAGE", Check: k.checkPages},
		{Name: "INV-ENERGY-QUEUE", Check: k.checkQueue},
		{Name: "INV-ENERGY-FUNDS", Check: k.checkFunds},
	}
}

// held is what a session holds of the module account's money.
func held(s energyv1.Session) math.Int {
	sum := math.ZeroInt()
	switch s.State {
	case stateOpen, stateCharging:
		sum = s.Escrow.Amount
	case stateHeld, stateDisputed, stateAnswered:
		sum = s.Bill.Cost.Amount
	}
	if s.Deposit != nil {
		sum = sum.Add(s.Deposit.Amount)
	}
	return sum
}

// checkEscrow: INV-ENERGY-ESCROW: what sessions, communities and demands hold adds up to no more than
// the module account has.
func (k *Keeper) checkEscrow(ctx context.Context) error {
	owed := math.ZeroInt()
	if err := k.sessions.Walk(ctx, nil, func(_ uint64, s energyv1.Session) (bool, error) {
		owed = owed.Add(held(s))
		return false, nil
	}); err != nil {
		return err
	}
	if err := k.communities.Walk(ctx, nil, func(_ uint64, c energyv1.Community) (bool, error) {
		owed = owed.Add(c.PaidIn).Sub(c.PaidOut)
		return false, nil
	}); err != nil {
		return err
	}
	if err := k.demands.Walk(ctx, nil, func(_ uint64, d energyv1.Demand) (bool, error) {
		owed = owed.Add(d.Deposit.Amount)
		return false, nil
	}); err != nil {
		return err
	}
	if has := k.bank.GetBalance(ctx, k.account, price.Denom); has.Amount.LT(owed) {
		return fmt.Errorf("sessions, communities and demands hold %s, the module account %s", owed, has)
	}
	return nil
}

// checkState: INV-ENERGY-SESSION and INV-ENERGY-STATION: what a genesis of this state is held to.
func (k *Keeper) checkState(ctx context.Context) error {
	g, err := k.ExportGenesis(ctx)
	if err != nil {
		return err
	}
	return ValidateGenesis(g)
}

// checkPages: INV-ENERGY-PAGE: the runs of a meter do not overlap, and every bill by records that is
// kept has its run.
func (k *Keeper) checkPages(ctx context.Context) error {
	runs := 0
	if err := k.runs.Walk(ctx, nil, func(key runKey, r energyv1.PageRun) (bool, error) {
		runs++
		s, err := k.session(ctx, r.Session)
		if err != nil {
			return true, err
		}
		if s.Bill == nil || string(s.Bill.Meter) != string(r.Meter) || s.Bill.FirstPage != r.First || s.Bill.LastPage != r.Last || key.K2() != r.Last {
			return true, fmt.Errorf("run T%d to T%d is not that of session %d", r.First, r.Last, r.Session)
		}
		return false, nil
	}); err != nil {
		return err
	}
	return k.sessions.Walk(ctx, nil, func(_ uint64, s energyv1.Session) (bool, error) {
		if s.Bill != nil && len(s.Bill.Meter) > 0 {
			runs--
		}
		if runs < 0 {
			return true, fmt.Errorf("the bill of session %d has no run of pages", s.Id)
		}
		return false, nil
	})
}

// checkQueue: INV-ENERGY-QUEUE: every session stands in the queue once, at its deadline.
func (k *Keeper) checkQueue(ctx context.Context) error {
	waiting := 0
	if err := k.deadlines.Walk(ctx, nil, func(key deadlineKey) (bool, error) {
		waiting++
		return false, nil
	}); err != nil {
		return err
	}
	sessions := 0
	if err := k.sessions.Walk(ctx, nil, func(id uint64, s energyv1.Session) (bool, error) {
		sessions++
		there, err := k.deadlines.Has(ctx, collections.Join(s.Deadline, id))
		if err == nil && !there {
			err = fmt.Errorf("session %d is not in the queue at %d", id, s.Deadline)
		}
		return err != nil, err
	}); err != nil {
		return err
	}
	if sessions != waiting {
		return fmt.Errorf("%d sessions, %d deadlines", sessions, waiting)
	}
	return nil
}

// checkFunds: INV-ENERGY-FUNDS: what accounts paid in and were paid adds up to what their community
// says, nothing pays out more than came in, and the newest standing of each says the same.
func (k *Keeper) checkFunds(ctx context.Context) error {
	in, out := make(map[uint64]math.Int), make(map[uint64]math.Int)
	if err := k.communities.Walk(ctx, nil, func(id uint64, c energyv1.Community) (bool, error) {
		in[id], out[id] = c.PaidIn, c.PaidOut
		if c.PaidOut.GT(c.PaidIn) {
			return true, fmt.Errorf("community %d paid out %s of %s", id, c.PaidOut, c.PaidIn)
		}
		return false, nil
	}); err != nil {
		return err
	}
	if err := k.money.Walk(ctx, nil, func(_ hourKey, f energyv1.Funds) (bool, error) {
		in[f.Community], out[f.Community] = in[f.Community].Sub(f.PaidIn), out[f.Community].Sub(f.PaidOut)
		s, err := k.standing(ctx, f.Community, f.Account, 1<<62)
		if err == nil && (!s.PaidIn.Equal(f.PaidIn) || !s.Withdrawn.Equal(f.PaidOut.Add(f.Pending))) {
			err = fmt.Errorf("account %d has %s in and %s out, its standing says %s and %s", f.Account, f.PaidIn, f.PaidOut, s.PaidIn, s.Withdrawn)
		}
		return err != nil, err
	}); err != nil {
		return err
	}
	return k.communities.Walk(ctx, nil, func(id uint64, _ energyv1.Community) (bool, error) {
		if !in[id].IsZero() || !out[id].IsZero() {
			return true, fmt.Errorf("community %d: accounts lack %s in and %s out", id, in[id], out[id])
		}
		return false, nil
	})
}
