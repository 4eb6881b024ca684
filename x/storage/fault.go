package storage

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
)

// reportFault records that a device did not answer the challenge of a past epoch. Everything that it
// depends on was fixed when the epoch ended.
func (k *Keeper) reportFault(ctx context.Context, reporter account, device, epoch uint64) (storagev1.Fault, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return storagev1.Fault{}, err
	}
	d, err := k.devices.Device(ctx, device)
	if err != nil {
		return storagev1.Fault{}, err
	}
	if err := present(d); err != nil {
		return storagev1.Fault{}, err
	}
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return storagev1.Fault{}, err
	}
	if epoch >= current.Number || current.Number-epoch > uint64(params.Possession.ReportEpochs) {
		return storagev1.Fault{}, errorsmod.Wrapf(ErrEpoch, "epoch %d: %d is running, reports may be about the %d before it",
			epoch, current.Number, params.Possession.ReportEpochs)
	}
	past, err := k.epochs.EpochAt(ctx, epoch)
	if err != nil {
		return storagev1.Fault{}, err
	}
	a, err := k.asks(ctx, device, past)
	if err != nil {
		return storagev1.Fault{}, err
	}
	if !a.due {
		return storagev1.Fault{}, errorsmod.Wrapf(ErrNoFault, "device %d was not challenged in epoch %d", device, epoch)
	}
	proved, err := k.proofs.Has(ctx, collections.Join(device, epoch))
	if err != nil {
		return storagev1.Fault{}, errorsmod.Wrapf(err, "looking for a proof of device %d", device)
	}
	if proved {
		return storagev1.Fault{}, errorsmod.Wrapf(ErrNoFault, "device %d answered in epoch %d", device, epoch)
	}
	// Obligations end with the leases, even when nobody committed to the empty tree.
	since, idle, err := k.market.Idle(ctx, device)
	if err != nil {
		return storagev1.Fault{}, err
	}
	if idle && since < past.StartTime.Unix() {
		return storagev1.Fault{}, errorsmod.Wrapf(ErrNoFault, "device %d has had no lease since %d, epoch %d began at %d",
			device, since, epoch, past.StartTime.Unix())
	}
	return k.punish(ctx, d, storagev1.FaultKind_FAULT_KIND_CHALLENGE, epoch, reporter)
}

// punish records a fault, once, and what it costs: part of the bond, and a jail term that doubles with
// each fault in a row (INV-FAULT).
func (k *Keeper) punish(ctx context.Context, d devicev1.Device, kind storagev1.FaultKind, subject uint64, reporter account) (storagev1.Fault, error) {
	key := collections.Join3(d.Id, int32(kind), subject)
	switch there, err := k.faults.Has(ctx, key); {
	case err != nil:
		return storagev1.Fault{}, errorsmod.Wrapf(err, "looking for a fault of device %d", d.Id)
	case there:
		return storagev1.Fault{}, errorsmod.Wrapf(ErrReported, "device %d, %s %d", d.Id, kindName(kind), subject)
	}
	params, err := k.Params(ctx)
	if err != nil {
		return storagev1.Fault{}, err
	}
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return storagev1.Fault{}, err
	}
	standing, _, err := row(ctx, k.standings, d.Id)
	if err != nil {
		return storagev1.Fault{}, err
	}
	var (
		p   = params.Possession
		now = sdk.UnwrapSDKContext(ctx).BlockTime().Unix()
	)
	standing.Faults++
	standing.ConsecutiveFaults++
	fault := storagev1.Fault{
		Device: d.Id, Kind: kind, Subject: subject, Reporter: reporter.text,
		RecordedIn: current.Number, RecordedAt: now,
		JailedUntil: now + jailTerm(p, standing.ConsecutiveFaults),
		Consecutive: standing.ConsecutiveFaults,
	}
	reason := fmt.Sprintf("storage: %s %d", kindName(kind), subject)
	if fault.Slashed, err = k.devices.Slash(ctx, d.Id, p.SlashBps, reporter.raw, p.BountyBps, reason); err != nil {
		return storagev1.Fault{}, errorsmod.Wrapf(err, "slashing device %d", d.Id)
	}
	fault.Bounty = sdk.Coin{Denom: fault.Slashed.Denom, Amount: partOf(fault.Slashed.Amount, p.BountyBps)}
	if err := k.devices.Jail(ctx, d.Id, fault.JailedUntil); err != nil {
		return storagev1.Fault{}, errorsmod.Wrapf(err, "jailing device %d", d.Id)
	}
	if err := k.penalise(ctx, d.Id, current.Number, fault.JailedUntil); err != nil {
		return storagev1.Fault{}, err
	}
	if err := k.standings.Set(ctx, d.Id, standing); err != nil {
		return storagev1.Fault{}, errorsmod.Wrapf(err, "writing standing of device %d", d.Id)
	}
	if err := k.faults.Set(ctx, key, fault); err != nil {
		return storagev1.Fault{}, errorsmod.Wrapf(err, "writing fault of device %d", d.Id)
	}
	if err := k.outdate(ctx, current.Number, oldFault+int32(kind), d.Id, subject); err != nil {
		return storagev1.Fault{}, err
	}
	return fault, emit(ctx, &storagev1.EventFault{Fault: fault})
}

// penalise keeps until when a device counts as jailed for facts of this epoch and later ones.
func (k *Keeper) penalise(ctx context.Context, device, epoch uint64, until int64) error {
	before, some, err := last(ctx, k.penalties, device, epoch)
	if err != nil {
		return err
	}
	if some && before.Since < epoch {
		if err := k.outdate(ctx, epoch, oldPenalty, device, before.Since); err != nil {
			return err
		}
	}
	next := storagev1.Penalty{Device: device, Since: epoch, JailedUntil: max(until, before.JailedUntil)}
	return errorsmod.Wrapf(k.penalties.Set(ctx, collections.Join(device, epoch), next), "writing penalty of device %d", device)
}

// jailTerm is how long the n-th fault in a row jails, seconds.
func jailTerm(p storagev1.PossessionParams, n uint32) int64 {
	term := p.JailSeconds
	for ; n > 1 && term < p.MaxJailSeconds; n-- {
		term *= 2 // both are bounded far below overflow
	}
	return min(term, p.MaxJailSeconds)
}

// partOf is bps basis points of an amount, rounded down.
func partOf(amount math.Int, bps uint32) math.Int {
	return amount.MulRaw(int64(bps)).QuoRaw(wholeBps)
}

// kindName says what was not done, for people.
func kindName(kind storagev1.FaultKind) string {
	switch kind {
	case storagev1.FaultKind_FAULT_KIND_CHALLENGE:
		return "unanswered challenge of epoch"
	case storagev1.FaultKind_FAULT_KIND_INCLUSION:
		return "unanswered inclusion audit"
	case storagev1.FaultKind_FAULT_KIND_ESCALATION:
		return "unanswered escalation"
	default:
		return kind.String()
	}
}
