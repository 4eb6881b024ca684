package score

import (
	"github.com/cairn-network/cairn/core/price"
)

// Account is what a report says of one device: a leaf of its tree. Amounts are cumulative over all
// epochs, so that a missed claim loses nothing and one made twice pays nothing.
type Account struct {
	Device uint64
	// Epoch of the report.
	Epoch uint64
	// Points of this epoch, and why.
	Points uint64
	Reason Reason
	// Earned ever: paid, held back and forfeited. The sum over all leaves rises from report to
	// report by no more than the pools.
	Earned price.Amount
	// Paid ever: what may be claimed, less what has been.
	Paid price.Amount
	// Young and Old are held back.
	Young, Old price.Amount
}

// Held is what may still be paid out if the device commits no fault.
func (a Account) Held() price.Amount { return saturatingAdd(a.Young, a.Old) }

// Forfeited is what the device lost by faults.
func (a Account) Forfeited() price.Amount { return minus(minus(a.Earned, a.Paid), a.Held()) }

// Check says whether the account is one that Next can give: INV-SCORE-2.
func (a Account) Check() bool {
	sum, over := a.Young.Add(a.Old)
	all, overAll := sum.Add(a.Paid)
	return !over && !overAll && all.Cmp(a.Earned) <= 0 && a.Reason.Valid()
}

// Next gives a device's account after an epoch from its account in the report before, the zero
// Account (of the same device) where it had none, and its fact, nil where nothing is recorded of it.
// totalPoints is the sum of Score over all devices with facts.
func (r Rules) Next(before Account, f *Fact, epoch, totalPoints uint64, pools Pools) Account {
	after := before
	after.Epoch = epoch
	after.Points, after.Reason = 0, NoFact
	if f != nil {
		after.Points, after.Reason = r.Score(*f)
		after.forfeit(*f, pools.Terms)
	}
	after.ripen(before.Epoch, pools.Terms)
	if after.Points == 0 {
		return after
	}
	paid, held := r.Pay(*f, after.Points, totalPoints, pools)
	earned, over := paid.Add(held)
	all, overAll := after.Earned.Add(earned)
	switch {
	case over || overAll: // beyond 2^128-1: 10^11 times all coins
		after.Reason = PoolEmpty
	case earned.IsZero() && f.Burned.IsZero() && f.Bond.IsZero():
		after.Reason = NoStake
	case earned.IsZero():
		after.Reason = PoolEmpty
	default:
		after.Earned = all // no sum below is larger: INV-SCORE-2
		after.Paid = saturatingAdd(after.Paid, paid)
		after.Young = saturatingAdd(after.Young, held)
	}
	return after
}

// forfeit takes from what is held back what the fact costs.
func (a *Account) forfeit(f Fact, t Terms) {
	var lost uint32
	switch {
	case f.Faulty():
		lost = t.Fault
	case f.Missed():
		lost = t.Miss
	default:
		return
	}
	kept := perMille - min(lost, perMille)
	a.Young, a.Old = part(a.Young, kept), part(a.Old, kept)
}

// ripen pays out what has waited long enough when a new period has begun since the report before.
func (a *Account) ripen(before uint64, t Terms) {
	length := max(t.ReleaseEpochs, 1)
	was, is := before/length, a.Epoch/length
	if is <= was {
		return
	}
	a.Paid = saturatingAdd(a.Paid, a.Old)
	a.Old = a.Young
	a.Young = price.Amount{}
	if is-was > 1 { // reports were missing for a whole period
		a.Paid = saturatingAdd(a.Paid, a.Old)
		a.Old = price.Amount{}
	}
}
