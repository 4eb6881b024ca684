package storage

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
)

// maxEscalations may wait for one device at once, each by another challenger, so that a device's
// few friends cannot keep everybody else from asking it.
const maxEscalations = 16

// openInclusion asks a device for a piece that it signed a receipt for.
func (k *Keeper) openInclusion(ctx context.Context, opener account, raw []byte) (storagev1.Audit, error) {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	var receipt piece.SignedReceipt
	if err := receipt.UnmarshalBinary(raw); err != nil {
		return storagev1.Audit{}, errorsmod.Wrap(ErrReceipt, err.Error())
	}
	now := sdkCtx.BlockTime().Unix()
	switch {
	case receipt.ChainID != sdkCtx.ChainID():
		return storagev1.Audit{}, errorsmod.Wrapf(ErrReceipt, "chain %q: this is %q", receipt.ChainID, sdkCtx.ChainID())
	case receipt.Expiry <= now:
		return storagev1.Audit{}, errorsmod.Wrapf(ErrReceipt, "expiry %d: it is %d", receipt.Expiry, now)
	}
	leaf, err := challenge.NewLeaf(receipt.Lease, receipt.ID, receipt.Root, uint64(receipt.Size), receipt.Expiry)
	if err != nil {
		return storagev1.Audit{}, errorsmod.Wrap(ErrReceipt, err.Error())
	}
	d, err := k.devices.Device(ctx, receipt.Device)
	if err != nil {
		return storagev1.Audit{}, err
	}
	sdkCtx.GasMeter().ConsumeGas(gasSignature, "signature of a receipt")
	if err := receipt.VerifyKey(int32(d.Pubkey.Type), d.Pubkey.Key); err != nil {
		return storagev1.Audit{}, errorsmod.Wrap(ErrReceipt, err.Error())
	}
	if _, err := k.market.Serving(ctx, receipt.Lease, receipt.Device); err != nil {
		return storagev1.Audit{}, err
	}
	params, err := k.Params(ctx)
	if err != nil {
		return storagev1.Audit{}, err
	}
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return storagev1.Audit{}, err
	}
	// A piece comes into the tree with the commitment of the epoch after its receipt at the latest, and
	// that is in force from the epoch after that.
	settle := uint64(params.Possession.SettleEpochs)
	if current.Number <= settle {
		return storagev1.Audit{}, errorsmod.Wrapf(ErrEpoch, "epoch %d: the first %d are for settling", current.Number, settle)
	}
	settled, err := k.epochs.EpochAt(ctx, current.Number-settle)
	if err != nil {
		return storagev1.Audit{}, err
	}
	if receipt.IssuedAt >= settled.StartTime.Unix() {
		return storagev1.Audit{}, errorsmod.Wrapf(ErrReceipt, "issued at %d: a piece must be in the tree %d epochs later", receipt.IssuedAt, settle)
	}
	a := storagev1.Audit{
		Kind: storagev1.AuditKind_AUDIT_KIND_INCLUSION, Device: receipt.Device, Epoch: current.Number,
		Lease: receipt.Lease, Piece: leaf.ID[:], PieceRoot: leaf.Root[:], Chunks: leaf.Chunks, Expiry: leaf.Expiry,
		IssuedAt: receipt.IssuedAt,
	}
	return k.openAudit(ctx, opener, a, params.Possession)
}

// escalate asks a device for a position that a drawn peer asked for.
func (k *Keeper) escalate(ctx context.Context, opener account, challenger, device, epoch uint64, index uint32) (storagev1.Audit, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return storagev1.Audit{}, err
	}
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return storagev1.Audit{}, err
	}
	switch {
	case epoch != current.Number:
		return storagev1.Audit{}, errorsmod.Wrapf(ErrEpoch, "epoch %d: %d is running", epoch, current.Number)
	case index >= challenge.PeerPositions:
		return storagev1.Audit{}, errorsmod.Wrapf(ErrField, "index %d: want less than %d", index, challenge.PeerPositions)
	}
	// Only who could be asked the same may ask: a device that stands for nothing costs nothing to have.
	switch c, err := k.InForce(ctx, challenger, epoch); {
	case err != nil:
		return storagev1.Audit{}, errorsmod.Wrap(err, "challenger")
	case c.Total == 0:
		return storagev1.Audit{}, errorsmod.Wrapf(ErrNoCommitment, "challenger: the tree of device %d is empty", challenger)
	}
	a, err := k.asks(ctx, device, current)
	if err != nil {
		return storagev1.Audit{}, err
	}
	draw := challenge.NewPeer(beaconOf(current), epoch, challenger, device)
	if current.Weak || challenger == device || a.commitment.Total == 0 || !draw.Due(a.terms.PeerOdds) {
		return storagev1.Audit{}, errorsmod.Wrapf(ErrNotDrawn, "device %d to ask device %d in epoch %d", challenger, device, epoch)
	}
	return k.openAudit(ctx, opener, storagev1.Audit{
		Kind: storagev1.AuditKind_AUDIT_KIND_ESCALATION, Device: device, Epoch: epoch,
		Position: draw.Position(index, a.commitment.Total), Challenger: challenger,
	}, params.Possession)
}

// openAudit takes the deposit and starts the clock.
func (k *Keeper) openAudit(ctx context.Context, opener account, a storagev1.Audit, p storagev1.PossessionParams) (storagev1.Audit, error) {
	d, err := k.devices.Device(ctx, a.Device)
	if err != nil {
		return a, err
	}
	if err := present(d); err != nil {
		return a, err
	}
	standing, _, err := row(ctx, k.standings, a.Device)
	if err != nil {
		return a, err
	}
	if err := k.room(ctx, a, p.MaxOpenAudits); err != nil {
		return a, err
	}
	a.Opener, a.Deposit = opener.text, p.Deposit
	a.Deadline = sdk.UnwrapSDKContext(ctx).BlockTime().Unix() + p.AnswerSeconds
	if a.Deposit.IsPositive() {
		if err := k.bank.SendCoinsFromAccountToModule(ctx, opener.raw, ModuleName, sdk.NewCoins(a.Deposit)); err != nil {
			return a, errorsmod.Wrapf(err, "taking deposit %s from %s", a.Deposit, a.Opener)
		}
	}
	if a.Id, err = k.nextAudit.Next(ctx); err != nil {
		return a, errorsmod.Wrap(err, "numbering an audit")
	}
	standing.Device = a.Device
	standing.OpenAudits++
	if a.Kind == storagev1.AuditKind_AUDIT_KIND_ESCALATION {
		standing.Escalations++
	}
	if err := k.standings.Set(ctx, a.Device, standing); err != nil {
		return a, errorsmod.Wrapf(err, "writing standing of device %d", a.Device)
	}
	if err := k.audits.Set(ctx, a.Id, a); err != nil {
		return a, errorsmod.Wrapf(err, "writing audit %d", a.Id)
	}
	return a, emit(ctx, &storagev1.EventAuditOpened{Audit: a})
}

// room refuses an audit while too many wait: inclusions are bounded for each lease, escalations for
// each device and to one a challenger, so that nobody can fill a device's list in order to keep others
// off it. Escalations are about lease 0.
func (k *Keeper) room(ctx context.Context, a storagev1.Audit, inclusions uint32) error {
	found, err := k.audits.Indexes.Lease.MatchExact(ctx, collections.Join(a.Device, a.Lease))
	if err != nil {
		return errorsmod.Wrapf(err, "looking up audits of device %d", a.Device)
	}
	ids, err := found.PrimaryKeys()
	if err != nil {
		return errorsmod.Wrapf(err, "looking up audits of device %d", a.Device)
	}
	escalation := a.Kind == storagev1.AuditKind_AUDIT_KIND_ESCALATION
	most := int(inclusions)
	if escalation {
		most = maxEscalations
	}
	if len(ids) >= most {
		return errorsmod.Wrapf(ErrTooMany, "device %d, lease %d: %d wait for an answer, at most %d", a.Device, a.Lease, len(ids), most)
	}
	if !escalation {
		return nil
	}
	for _, id := range ids {
		switch open, err := k.Audit(ctx, id); {
		case err != nil:
			return err
		case open.Challenger == a.Challenger:
			return errorsmod.Wrapf(ErrTooMany, "device %d has yet to answer audit %d of device %d", a.Device, id, a.Challenger)
		}
	}
	return nil
}

// Audit gives an open audit, or ErrNoAudit.
func (k *Keeper) Audit(ctx context.Context, id uint64) (storagev1.Audit, error) {
	a, err := k.audits.Get(ctx, id)
	if errors.Is(err, collections.ErrNotFound) {
		return a, errorsmod.Wrapf(ErrNoAudit, "audit %d", id)
	}
	return a, errorsmod.Wrapf(err, "reading audit %d", id)
}

// answerable gives an open audit of that kind, in time, and the device if the account may act for it.
func (k *Keeper) answerable(ctx context.Context, id uint64, kind storagev1.AuditKind, account string) (storagev1.Audit, devicev1.Device, error) {
	a, err := k.Audit(ctx, id)
	if err != nil {
		return a, devicev1.Device{}, err
	}
	if a.Kind != kind {
		return a, devicev1.Device{}, errorsmod.Wrapf(ErrNoAudit, "audit %d is an %s", id, a.Kind)
	}
	d, err := k.devices.Operated(ctx, a.Device, account)
	if err != nil {
		return a, d, err
	}
	if now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix(); now > a.Deadline {
		return a, d, errorsmod.Wrapf(ErrDeadline, "audit %d was to be answered by %d, it is %d", id, a.Deadline, now)
	}
	return a, d, nil
}

// proveInclusion answers an inclusion audit: by the piece's place in the tree in force, now or when the
// audit was opened, or by the renter's release of it.
func (k *Keeper) proveInclusion(ctx context.Context, answerer account, id uint64, rawProof, rawRelease []byte) error {
	a, _, err := k.answerable(ctx, id, storagev1.AuditKind_AUDIT_KIND_INCLUSION, answerer.text)
	if err != nil {
		return err
	}
	if (len(rawProof) == 0) == (len(rawRelease) == 0) {
		return errorsmod.Wrap(ErrField, "want a proof or a release, not both")
	}
	if len(rawRelease) > 0 {
		err = k.checkRelease(ctx, a, rawRelease)
	} else {
		err = k.checkInclusion(ctx, a, rawProof)
	}
	if err != nil {
		return err
	}
	return k.answered(ctx, a, answerer)
}

func (k *Keeper) checkInclusion(ctx context.Context, a storagev1.Audit, raw []byte) error {
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(2*gasProof, "inclusion proof")
	var p merkle.Proof
	if err := p.UnmarshalBinary(raw); err != nil {
		return errorsmod.Wrap(ErrProof, err.Error())
	}
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return err
	}
	want := merkle.Leaf{ID: piece.ID(a.Piece), Root: piece.Root(a.PieceRoot), Chunks: a.Chunks, Expiry: a.Expiry}
	var failed error
	for _, epoch := range []uint64{current.Number, a.Epoch} {
		c, err := k.InForce(ctx, a.Device, epoch)
		if errors.Is(err, ErrNoCommitment) {
			failed = err
			continue
		}
		if err != nil {
			return err
		}
		if err := challenge.VerifyInclusion(p, node(c), want); err != nil {
			failed = errorsmod.Wrap(ErrProof, err.Error())
			continue
		}
		return nil
	}
	return failed
}

func (k *Keeper) checkRelease(ctx context.Context, a storagev1.Audit, raw []byte) error {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	var r piece.SignedRelease
	if err := r.UnmarshalBinary(raw); err != nil {
		return errorsmod.Wrap(ErrProof, err.Error())
	}
	if r.ChainID != sdkCtx.ChainID() || r.Device != a.Device || r.Lease != a.Lease || challenge.LeafID(r.Lease, r.ID) != piece.ID(a.Piece) {
		return errorsmod.Wrapf(ErrProof, "release of piece %s of lease %d, device %d is about another piece", r.ID, r.Lease, r.Device)
	}
	if !r.Covers(a.IssuedAt) {
		return errorsmod.Wrapf(ErrProof, "release covers receipts until %d, this one was issued at %d", r.Until, a.IssuedAt)
	}
	key, err := k.market.SessionKey(ctx, a.Lease)
	if err != nil {
		return err
	}
	sdkCtx.GasMeter().ConsumeGas(gasSignature, "signature of a release")
	if err := r.Verify(key); err != nil {
		return errorsmod.Wrap(ErrProof, err.Error())
	}
	return nil
}

// provePosition answers an escalation.
func (k *Keeper) provePosition(ctx context.Context, answerer account, id uint64, raw []byte) error {
	a, _, err := k.answerable(ctx, id, storagev1.AuditKind_AUDIT_KIND_ESCALATION, answerer.text)
	if err != nil {
		return err
	}
	c, err := k.InForce(ctx, a.Device, a.Epoch)
	if err != nil {
		return err
	}
	if err := checkPosition(ctx, node(c), a.Position, raw); err != nil {
		return err
	}
	return k.answered(ctx, a, answerer)
}

// answered ends an audit that found nothing: who asked pays who answered.
func (k *Keeper) answered(ctx context.Context, a storagev1.Audit, answerer account) error {
	if err := k.endAudit(ctx, a, answerer.raw); err != nil {
		return err
	}
	return emit(ctx, &storagev1.EventAuditAnswered{Audit: a.Id, Device: a.Device})
}

// closeAudit ends an audit that was not answered in time: a fault, with deposit and bounty for who
// asked. A device that has left for good in the meantime has no bond to answer with.
func (k *Keeper) closeAudit(ctx context.Context, id uint64) (storagev1.Fault, error) {
	a, err := k.Audit(ctx, id)
	if err != nil {
		return storagev1.Fault{}, err
	}
	if now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix(); now <= a.Deadline {
		return storagev1.Fault{}, errorsmod.Wrapf(ErrDeadline, "audit %d may be answered until %d, it is %d", id, a.Deadline, now)
	}
	opener, err := k.parse("opener", a.Opener)
	if err != nil {
		return storagev1.Fault{}, err
	}
	if err := k.endAudit(ctx, a, opener.raw); err != nil {
		return storagev1.Fault{}, err
	}
	d, err := k.devices.Device(ctx, a.Device)
	if err != nil {
		return storagev1.Fault{}, err
	}
	if present(d) != nil {
		return storagev1.Fault{Slashed: sdk.NewInt64Coin(a.Deposit.Denom, 0), Bounty: sdk.NewInt64Coin(a.Deposit.Denom, 0)}, nil
	}
	kind := storagev1.FaultKind_FAULT_KIND_INCLUSION
	if a.Kind == storagev1.AuditKind_AUDIT_KIND_ESCALATION {
		kind = storagev1.FaultKind_FAULT_KIND_ESCALATION
	}
	return k.punish(ctx, d, kind, a.Id, opener)
}

// endAudit removes an audit and pays its deposit out.
func (k *Keeper) endAudit(ctx context.Context, a storagev1.Audit, to sdk.AccAddress) error {
	if err := k.audits.Remove(ctx, a.Id); err != nil {
		return errorsmod.Wrapf(err, "removing audit %d", a.Id)
	}
	standing, _, err := row(ctx, k.standings, a.Device)
	if err != nil {
		return err
	}
	standing.OpenAudits--
	if a.Kind == storagev1.AuditKind_AUDIT_KIND_ESCALATION {
		standing.Escalations--
	}
	if err := k.standings.Set(ctx, a.Device, standing); err != nil {
		return errorsmod.Wrapf(err, "writing standing of device %d", a.Device)
	}
	if !a.Deposit.IsPositive() {
		return nil
	}
	return errorsmod.Wrapf(k.bank.SendCoinsFromModuleToAccount(ctx, ModuleName, to, sdk.NewCoins(a.Deposit)), "paying deposit %s of audit %d", a.Deposit, a.Id)
}
