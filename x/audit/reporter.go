package audit

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/modkit"
)

// mostDataBytes bounds the URL of a reporter's data.
const mostDataBytes = 256

// checkData refuses what cannot be a URL that watchers would open.
func checkData(data string) error {
	if len(data) > mostDataBytes {
		return errorsmod.Wrapf(ErrField, "data: %d bytes, at most %d", len(data), mostDataBytes)
	}
	for i := range len(data) {
		if data[i] <= ' ' || data[i] > '~' {
			return errorsmod.Wrapf(ErrField, "data %q: not a URL", modkit.Clip(data))
		}
	}
	return nil
}

// reporter gives a reporter, or ErrNotBonded.
func (k *Keeper) reporter(ctx context.Context, account string) (auditv1.Reporter, error) {
	r, err := k.reports.reporters.Get(ctx, account)
	if errors.Is(err, collections.ErrNotFound) {
		return r, errorsmod.Wrapf(ErrNotBonded, "reporter %s", account)
	}
	return r, errorsmod.Wrapf(err, "reading reporter %s", account)
}

// anyReporter gives a reporter, one without anything if there is none: it withdrew what was left.
func (k *Keeper) anyReporter(ctx context.Context, account string) (auditv1.Reporter, error) {
	r, err := k.reporter(ctx, account)
	if errors.Is(err, ErrNotBonded) {
		return auditv1.Reporter{Address: account, Bond: math.ZeroInt()}, nil
	}
	return r, err
}

func (k *Keeper) totalBonded(ctx context.Context) (math.Int, error) {
	sum, err := k.reports.bonded.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		return math.ZeroInt(), nil
	}
	return sum, errorsmod.Wrap(err, "reading the sum of bonds")
}

// setReporter writes a reporter and keeps the sum of the bonds that count.
func (k *Keeper) setReporter(ctx context.Context, r auditv1.Reporter) error {
	before, err := k.anyReporter(ctx, r.Address)
	if err != nil {
		return err
	}
	sum, err := k.totalBonded(ctx)
	if err != nil {
		return err
	}
	after := sum.Sub(counts(before)).Add(counts(r))
	switch {
	case after.IsZero(): // as where there never was a bond
		err = k.reports.bonded.Remove(ctx)
	case !after.Equal(sum):
		err = k.reports.bonded.Set(ctx, after)
	}
	if err != nil {
		return errorsmod.Wrap(err, "writing the sum of bonds")
	}
	return errorsmod.Wrapf(k.reports.reporters.Set(ctx, r.Address, r), "writing reporter %s", r.Address)
}

// counts is what of a reporter's bond counts in agreements.
func counts(r auditv1.Reporter) math.Int {
	if r.State != auditv1.REPORTER_STATE_BONDED {
		return math.ZeroInt()
	}
	return r.Bond
}

func coins(amount math.Int) sdk.Coins {
	return sdk.NewCoins(sdk.Coin{Denom: price.Denom, Amount: amount})
}

// bond adds to a reporter's bond and makes it count. Where there are max_reporters already, the
// newcomer must bond more than the least of them, who goes.
func (k *Keeper) bond(ctx context.Context, account string, amount math.Int, data string) (auditv1.Reporter, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return auditv1.Reporter{}, err
	}
	r, err := k.anyReporter(ctx, account)
	if err != nil {
		return r, err
	}
	r.Bond = r.Bond.Add(amount)
	if r.Bond.BigInt().BitLen() > amountBits {
		return r, errorsmod.Wrapf(ErrAmount, "amount %s: a bond of %s", amount, r.Bond)
	}
	if r.Bond.LT(params.Report.MinBond) {
		return r, errorsmod.Wrapf(ErrAmount, "amount %s: the bond is %s then, want at least %s", amount, r.Bond, params.Report.MinBond)
	}
	if amount.IsPositive() {
		owner, err := k.addresses.StringToBytes(account)
		if err != nil {
			return r, errorsmod.Wrapf(ErrAddress, "reporter: %s", err)
		}
		if err := k.reports.bank.SendCoinsFromAccountToModule(ctx, owner, ModuleName, coins(amount)); err != nil {
			return r, errorsmod.Wrapf(err, "taking bond of %s", account)
		}
	}
	if r.State != auditv1.REPORTER_STATE_BONDED {
		if err := k.makeRoom(ctx, params.Report, r); err != nil {
			return r, err
		}
	}
	r.State, r.FreeAt = auditv1.REPORTER_STATE_BONDED, 0
	if data != "" {
		r.Data = data
	}
	if err := k.setReporter(ctx, r); err != nil {
		return r, err
	}
	return r, emit(ctx, &auditv1.EventReporterBonded{Reporter: account, Bond: r.Bond})
}

// makeRoom lets the least reporter go if there are as many as there may be.
func (k *Keeper) makeRoom(ctx context.Context, p auditv1.ReportParams, newcomer auditv1.Reporter) error {
	bonded := collections.NewPrefixedPairRange[stateBond, string](collections.PairPrefix[int32, []byte](int32(auditv1.REPORTER_STATE_BONDED)))
	var least string
	number := 0
	err := k.reports.reporters.Indexes.Bond.Walk(ctx, bonded, func(_ stateBond, account string) (bool, error) {
		if number == 0 {
			least = account
		}
		number++
		return false, nil
	})
	if err != nil {
		return errorsmod.Wrap(err, "counting reporters")
	}
	if number < int(p.MaxReporters) {
		return nil
	}
	r, err := k.reporter(ctx, least)
	if err != nil {
		return err
	}
	if r.Bond.GTE(newcomer.Bond) {
		return errorsmod.Wrapf(ErrTooMany, "%d reporters are bonded, the least with %s: bond more", number, r.Bond)
	}
	_, err = k.unbond(ctx, p, r)
	return err
}

// unbond begins the wait for a bond's return.
func (k *Keeper) unbond(ctx context.Context, p auditv1.ReportParams, r auditv1.Reporter) (auditv1.Reporter, error) {
	r.State = auditv1.REPORTER_STATE_UNBONDING
	r.FreeAt = sdk.UnwrapSDKContext(ctx).BlockHeight() + int64(p.UnbondingBlocks)
	if err := k.setReporter(ctx, r); err != nil {
		return r, err
	}
	return r, emit(ctx, &auditv1.EventReporterUnbonding{Reporter: r.Address, FreeAt: r.FreeAt})
}

// withdraw returns what is left of a bond.
func (k *Keeper) withdraw(ctx context.Context, account string) (math.Int, error) {
	r, err := k.reporter(ctx, account)
	if err != nil {
		return math.Int{}, err
	}
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	if r.State != auditv1.REPORTER_STATE_UNBONDING || height < r.FreeAt {
		return math.Int{}, errorsmod.Wrapf(ErrBondLocked, "reporter %s: free at height %d, now %d", account, r.FreeAt, height)
	}
	if r.Open > 0 {
		return math.Int{}, errorsmod.Wrapf(ErrBondLocked, "reporter %s: %d of its reports are not final", account, r.Open)
	}
	owner, err := k.addresses.StringToBytes(account)
	if err != nil {
		return math.Int{}, errorsmod.Wrapf(ErrAddress, "reporter: %s", err)
	}
	left := r.Bond
	if err := k.reports.reporters.Remove(ctx, account); err != nil {
		return math.Int{}, errorsmod.Wrapf(err, "removing reporter %s", account)
	}
	if left.IsPositive() {
		if err := k.reports.bank.SendCoinsFromModuleToAccount(ctx, ModuleName, owner, coins(left)); err != nil {
			return math.Int{}, errorsmod.Wrapf(err, "returning bond of %s", account)
		}
	}
	return left, emit(ctx, &auditv1.EventBondWithdrawn{Reporter: account, Amount: left})
}

// release notes that a report of a reporter no longer binds it.
func (k *Keeper) release(ctx context.Context, account string, final bool) error {
	r, err := k.reporter(ctx, account)
	if err != nil {
		return err
	}
	if r.Open == 0 {
		return errorsmod.Wrapf(ErrNoReport, "reporter %s has no report to release", account)
	}
	r.Open--
	if final {
		r.Finals++
	}
	return k.setReporter(ctx, r)
}

// slashReporter takes its share of the bond for a rejected report. Who is left with less than
// min_bond counts no more.
func (k *Keeper) slashReporter(ctx context.Context, p auditv1.ReportParams, account string) (math.Int, error) {
	r, err := k.reporter(ctx, account)
	if err != nil {
		return math.Int{}, err
	}
	lost := share(r.Bond, p.SlashBps)
	r.Bond = r.Bond.Sub(lost)
	r.Rejections++
	if r.Open > 0 {
		r.Open--
	}
	if r.State == auditv1.REPORTER_STATE_BONDED && r.Bond.LT(p.MinBond) {
		_, err = k.unbond(ctx, p, r)
	} else {
		err = k.setReporter(ctx, r)
	}
	return lost, err
}

// share is part of an amount in basis points, rounded down.
func share(amount math.Int, bps uint32) math.Int {
	return amount.MulRaw(int64(bps)).QuoRaw(wholeBps)
}
