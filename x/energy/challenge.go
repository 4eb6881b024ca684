package energy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/community"
	"github.com/cairn-network/cairn/core/meter"
)

// challengeable gives a commit that can still be challenged.
func (k *Keeper) challengeable(ctx sdk.Context, id, hour uint64) (energyv1.Community, energyv1.Hour, error) {
	c, err := k.community(ctx, id)
	if err != nil {
		return c, energyv1.Hour{}, err
	}
	h, err := k.hour(ctx, id, hour)
	if err != nil {
		return c, h, err
	}
	if now := ctx.BlockTime().Unix(); now >= h.FinalAt && h.Demand == 0 {
		return c, h, errorsmod.Wrapf(ErrTime, "hour %d of community %d has been final since %d", hour, id, h.FinalAt)
	}
	return c, h, nil
}

// readingsOf is the root over a commit's leaves.
func readingsOf(h energyv1.Hour) (meter.Node, error) {
	var root meter.Node
	return root, errorsmod.Wrapf(root.UnmarshalBinary(h.Readings), "readings of hour %d", h.Hour)
}

// reject removes a commit that was shown to be false, and all that stand on it; the aggregator's bond
// pays for it.
func (k *Keeper) reject(ctx sdk.Context, c energyv1.Community, h energyv1.Hour, to sdk.AccAddress, reason string) (sdk.Coin, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return zero(), err
	}
	slashed, err := k.devices.Slash(ctx, h.Aggregator, params.Community.SlashBps, to, params.Community.BountyBps, reason)
	if err != nil {
		return zero(), err
	}
	var gone []uint64
	if err := k.walkHours(ctx, c.Id, h.Hour, func(h energyv1.Hour) bool {
		gone = append(gone, h.Hour)
		return false
	}); err != nil {
		return zero(), err
	}
	for _, hour := range gone {
		ctx.GasMeter().ConsumeGas(gasHour, "energy hours")
		if err := k.hours.Remove(ctx, collections.Join(c.Id, hour)); err != nil {
			return zero(), errorsmod.Wrapf(err, "removing hour %d", hour)
		}
	}
	c.LastHour = h.Previous
	if err := k.setCommunity(ctx, c); err != nil {
		return zero(), err
	}
	return slashed, emit(ctx, &energyv1.EventHourRejected{Community: c.Id, Hour: h.Hour, Reason: reason, Slashed: slashed})
}

// falseLeaf says whether a leaf does not follow from its frames.
func (k *Keeper) falseLeaf(ctx sdk.Context, h energyv1.Hour, l meter.Leaf, evidence []byte) (bool, error) {
	if sha256.Sum256(evidence) != l.Evidence {
		return false, errorsmod.Wrapf(ErrProof, "evidence is not that of the leaf of meter %d", l.Meter)
	}
	ctx.GasMeter().ConsumeGas(meter.HourSlots*gasFrame, "energy frames")
	m, err := k.membership(ctx, l.Meter, h.Hour)
	if errors.Is(err, ErrNotMember) || err == nil && m.Community != h.Community {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	want, err := meter.Replay(ctx.ChainID(), meterOf(m), meter.Hour(h.Hour), evidence)
	return err != nil || want != l, nil
}

// falseHour says whether accounts or prices do not follow from an hour's leaves.
func (k *Keeper) falseHour(ctx sdk.Context, h energyv1.Hour, leaves, accounts []byte) (bool, error) {
	all, err := community.Leaves(leaves)
	if err != nil {
		return false, errorsmod.Wrapf(ErrProof, "leaves: %s", err)
	}
	before, err := community.Accounts(accounts)
	if err != nil {
		return false, errorsmod.Wrapf(ErrProof, "accounts: %s", err)
	}
	ctx.GasMeter().ConsumeGas(gasReplay+gasLeaf*uint64(len(all)+len(before)), "energy hour")
	tree, err := meter.Build(all)
	if err != nil {
		return false, errorsmod.Wrapf(ErrProof, "leaves: %s", err)
	}
	root, err := readingsOf(h)
	if err != nil {
		return false, err
	}
	if tree.Root() != root {
		return false, errorsmod.Wrapf(ErrProof, "leaves: their root is %s, committed is %s", tree.Root(), root)
	}
	owned, err := community.BuildAccounts(before)
	if err != nil {
		return false, errorsmod.Wrapf(ErrProof, "accounts: %s", err)
	}
	var was community.Node
	if len(h.Before) > 0 {
		if err := was.UnmarshalBinary(h.Before); err != nil {
			return false, errorsmod.Wrapf(err, "accounts before hour %d", h.Hour)
		}
	}
	if owned.Root() != was {
		return false, errorsmod.Wrap(ErrProof, "accounts: their root is not that before the hour")
	}
	in, err := k.input(ctx, h.Community, h.Hour, all)
	if err != nil {
		return false, err
	}
	in.Before = before
	settled, err := community.Settle(in)
	if err != nil {
		return true, nil // no hour follows from these leaves
	}
	after, err := settled.Root.MarshalBinary()
	return !bytes.Equal(after, h.Accounts) || !bytes.Equal(prices(settled.Prices), h.Prices), err
}

// omitted says whether a frame that the aggregator gave a receipt for is not in its hour.
func (k *Keeper) omitted(ctx sdk.Context, c energyv1.Community, h energyv1.Hour, r meter.SignedReceipt, proof, absence []byte) (bool, error) {
	d, err := k.devices.Device(ctx, h.Aggregator)
	if err != nil {
		return false, err
	}
	ctx.GasMeter().ConsumeGas(gasFrame, "energy receipt")
	if r.Community != c.Id || r.Aggregator != h.Aggregator || r.At >= h.CommittedAt {
		return false, errorsmod.Wrapf(ErrReceipt, "given by aggregator %d for community %d at %d: the hour is aggregator %d's, of community %d, committed at %d",
			r.Aggregator, r.Community, r.At, h.Aggregator, c.Id, h.CommittedAt)
	}
	if err := r.Verify(meter.Key{Type: meter.KeyType(d.Pubkey.Type), Bytes: d.Pubkey.Key}); err != nil {
		return false, errorsmod.Wrapf(ErrReceipt, "%s", err)
	}
	if m, err := k.membership(ctx, r.Meter, h.Hour); err != nil || m.Community != c.Id {
		return false, errors.Join(err, errorsmod.Wrapf(ErrNotMember, "meter %d in community %d", r.Meter, c.Id))
	}
	root, err := readingsOf(h)
	if err != nil {
		return false, err
	}
	if len(proof) > 0 {
		p, err := leafUnder(root, proof)
		if err != nil {
			return false, err
		}
		if p.Leaf.Meter != r.Meter {
			return false, errorsmod.Wrapf(ErrProof, "leaf of meter %d, the receipt is for meter %d", p.Leaf.Meter, r.Meter)
		}
		slots := uint8(1<<r.Slots-1) << (r.First % meter.HourSlots)
		return p.Leaf.Covered&slots != slots, nil
	}
	var a meter.Absence
	err = a.UnmarshalBinary(absence)
	if err == nil {
		err = a.Verify(root, r.Meter)
	}
	return err == nil, wrapProof(err, "absence of meter %d", r.Meter)
}

func wrapProof(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return errorsmod.Wrapf(errorsmod.Wrapf(ErrProof, "%s", err), format, args...)
}

// leafUnder reads a proof of a leaf under a root.
func leafUnder(root meter.Node, proof []byte) (meter.Proof, error) {
	var p meter.Proof
	err := p.UnmarshalBinary(proof)
	if err == nil {
		err = p.Verify(root)
	}
	return p, wrapProof(err, "leaf")
}

// double punishes a meter that told two different readings for one slot.
func (k *Keeper) double(ctx sdk.Context, id uint64, to sdk.AccAddress, first, second []byte) (device, hour uint64, slashed sdk.Coin, err error) {
	ctx.GasMeter().ConsumeGas(2*gasFrame, "energy frames")
	var frames [2]meter.Signed
	for i, raw := range [][]byte{first, second} {
		if frames[i], err = meter.Parse(ctx.ChainID(), raw); err != nil {
			return 0, 0, zero(), errorsmod.Wrapf(ErrProof, "%s", err)
		}
	}
	a, b := frames[0], frames[1]
	device, hour = a.Meter, uint64(meter.HourOf(a.First))
	if a.Meter != b.Meter || !a.Overlaps(b.Frame) || a.Hash() == b.Hash() {
		return device, hour, zero(), errorsmod.Wrapf(ErrNoFault, "frames %d of meter %d and %d of meter %d tell no slot twice", a.Seq, a.Meter, b.Seq, b.Meter)
	}
	m, err := k.membership(ctx, device, hour)
	if err != nil {
		return device, hour, zero(), err
	}
	if m.Community != id {
		return device, hour, zero(), errorsmod.Wrapf(ErrNotMember, "meter %d in community %d", device, id)
	}
	for _, f := range frames {
		if err := f.Verify(meterOf(m).Key); err != nil {
			return device, hour, zero(), errorsmod.Wrapf(ErrProof, "%s", err)
		}
	}
	key := collections.Join(device, hour)
	if known, err := k.doubles.Has(ctx, key); err != nil || known {
		return device, hour, zero(), errors.Join(err, errorsmod.Wrapf(ErrNoFault, "meter %d has been punished for hour %d", device, hour))
	}
	params, err := k.Params(ctx)
	if err != nil {
		return device, hour, zero(), err
	}
	slashed, err = k.devices.Slash(ctx, device, params.Community.DoubleBps, to, params.Community.BountyBps, "double frame")
	if err != nil {
		return device, hour, slashed, err
	}
	return device, hour, slashed, errorsmod.Wrapf(k.doubles.Set(ctx, key), "writing double frame of meter %d", device)
}

// demand asks an aggregator for data on chain; its hour waits for the answer.
func (k *Keeper) demand(ctx sdk.Context, from sdk.AccAddress, opener string, h energyv1.Hour, proof []byte) (energyv1.Demand, error) {
	var none energyv1.Demand
	params, err := k.Params(ctx)
	if err != nil {
		return none, err
	}
	now := ctx.BlockTime().Unix()
	if h.Demand != 0 || now >= h.FinalAt {
		return none, errorsmod.Wrapf(ErrTime, "hour %d has demand %d, and is final at %d", h.Hour, h.Demand, h.FinalAt)
	}
	d := energyv1.Demand{
		Community: h.Community, Hour: h.Hour, Opener: opener, Deposit: params.Community.DemandDeposit, Deadline: now + params.Community.AnswerSeconds,
	}
	if len(proof) > 0 {
		root, err := readingsOf(h)
		if err != nil {
			return none, err
		}
		p, err := leafUnder(root, proof)
		if err != nil {
			return none, err
		}
		d.Leaf = p.Leaf.Append(nil)
	}
	if err := k.take(ctx, from, d.Deposit); err != nil {
		return none, errorsmod.Wrapf(err, "taking the deposit of %s", d.Deposit)
	}
	if d.Id, err = k.nextDemand.Next(ctx); err != nil {
		return none, errorsmod.Wrap(err, "numbering demand")
	}
	if err := k.demands.Set(ctx, d.Id, d); err != nil {
		return none, errorsmod.Wrapf(err, "writing demand %d", d.Id)
	}
	h.Demand = d.Id
	return d, errorsmod.Wrapf(k.hours.Set(ctx, collections.Join(h.Community, h.Hour), h), "writing hour %d", h.Hour)
}

// demanded gives a demand and the hour that it is about; the hour is not there any more where another
// challenge has removed it.
func (k *Keeper) demanded(ctx context.Context, id uint64) (d energyv1.Demand, h energyv1.Hour, there bool, err error) {
	if d, err = get(ctx, k.demands, id, ErrNoDemand, "demand %d", id); err != nil {
		return d, h, false, err
	}
	h, err = k.hour(ctx, d.Community, d.Hour)
	if errors.Is(err, ErrNoHour) {
		return d, h, false, nil
	}
	return d, h, err == nil && h.Demand == id, err
}

// serve judges what an aggregator answers to a demand.
func (k *Keeper) serve(ctx sdk.Context, d energyv1.Demand, h energyv1.Hour, msg *energyv1.MsgServeData) (faulty bool, err error) {
	if len(d.Leaf) > 0 {
		var l meter.Leaf
		if err := l.UnmarshalBinary(d.Leaf); err != nil {
			return false, errorsmod.Wrapf(ErrGenesis, "leaf of demand %d: %s", d.Id, err)
		}
		faulty, err = k.falseLeaf(ctx, h, l, msg.Evidence)
	} else {
		faulty, err = k.falseHour(ctx, h, msg.Leaves, msg.Accounts)
	}
	if err != nil {
		return false, err
	}
	opener, _, err := k.parseAccount("opener", d.Opener)
	if err != nil {
		return false, err
	}
	if faulty {
		_, err := k.undo(ctx, d, h, opener, "served data shows a false commit")
		return true, err
	}
	if err := k.demands.Remove(ctx, d.Id); err != nil {
		return false, errorsmod.Wrapf(err, "removing demand %d", d.Id)
	}
	h.Demand = 0
	if err := k.hours.Set(ctx, collections.Join(h.Community, h.Hour), h); err != nil {
		return false, errorsmod.Wrapf(err, "writing hour %d", h.Hour)
	}
	aggregator, err := k.devices.Device(ctx, h.Aggregator)
	if err != nil {
		return false, err
	}
	owner, _, err := k.parseAccount("owner", aggregator.Owner)
	if err != nil {
		return false, err
	}
	return false, errorsmod.Wrapf(k.send(ctx, owner, d.Deposit), "paying %s to %s", d.Deposit, aggregator.Owner)
}

// undo rejects the hour of a demand and gives the deposit back.
func (k *Keeper) undo(ctx sdk.Context, d energyv1.Demand, h energyv1.Hour, opener sdk.AccAddress, reason string) (sdk.Coin, error) {
	c, err := k.community(ctx, d.Community)
	if err != nil {
		return zero(), err
	}
	slashed, err := k.reject(ctx, c, h, opener, reason)
	if err != nil {
		return zero(), err
	}
	return slashed, k.drop(ctx, d, opener)
}

// drop removes a demand and gives its deposit back.
func (k *Keeper) drop(ctx sdk.Context, d energyv1.Demand, opener sdk.AccAddress) error {
	if err := k.demands.Remove(ctx, d.Id); err != nil {
		return errorsmod.Wrapf(err, "removing demand %d", d.Id)
	}
	return errorsmod.Wrapf(k.send(ctx, opener, d.Deposit), "giving %s back to %s", d.Deposit, d.Opener)
}
