package audit

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/beacon"
)

// Vote is what a validator of the set that signed the last block added to that block.
type Vote struct {
	Validator sdk.ConsAddress
	// Power is its voting power then, at least 0.
	Power int64
	// Extension is what its vote carried; empty if it did not vote or had nothing to say.
	Extension []byte
}

// Advance collects the outputs in votes and starts the next epoch when it is time. votes are those
// of the whole set that signed the last block, or none in a block that brings none. The application calls
// it at the start of each block, before any module. Nothing that votes say makes it fail: what does
// not verify is counted and left out.
func (k *Keeper) Advance(ctx context.Context, votes []Vote) error {
	epoch, err := k.Current(ctx)
	if err != nil {
		return err
	}
	params, err := k.Params(ctx)
	if err != nil {
		return err
	}
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	schedule := newSchedule(epoch, params.Beacon)
	if height < schedule.collect {
		return nil
	}
	members, err := k.members(ctx, votes)
	if err != nil {
		return err
	}
	for _, m := range members {
		if err := k.collect(ctx, round(ctx, epoch), m); err != nil {
			return err
		}
	}
	if height < schedule.due {
		return nil
	}
	collected, err := k.collected(ctx)
	if err != nil {
		return err
	}
	share := powerShare(collected, members)
	if !schedule.turns(height, share, params.Beacon.MinPowerBps, uint32(len(collected))) {
		return nil
	}
	return k.turn(ctx, epoch, params.Beacon, members, collected, share)
}

// member is a vote whose validator is known.
type member struct {
	operator sdk.ValAddress
	spelled  string
	vote     Vote
}

// members finds the operators behind votes. A validator that staking does not know any more is
// left out.
func (k *Keeper) members(ctx context.Context, votes []Vote) ([]member, error) {
	members := make([]member, 0, len(votes))
	for _, vote := range votes {
		validator, err := k.staking.ValidatorByConsAddr(ctx, vote.Validator)
		if err != nil || validator == nil {
			continue
		}
		spelled := validator.GetOperator()
		operator, err := k.validators.StringToBytes(spelled)
		if err != nil || len(operator) != beacon.ValidatorSize {
			continue
		}
		members = append(members, member{operator, spelled, vote})
	}
	return members, nil
}

// collect keeps a member's output for a round, if its vote carries one.
func (k *Keeper) collect(ctx context.Context, round beacon.Round, m member) error {
	if len(m.vote.Extension) == 0 {
		return nil
	}
	if has, err := k.outputs.Has(ctx, m.spelled); has || err != nil {
		return errorsmod.Wrapf(err, "looking for the output of %s", m.spelled)
	}
	extension, err := beacon.ParseExtension(m.vote.Extension)
	if err != nil {
		return k.refuse(ctx, round, m, err)
	}
	if extension.Epoch != round.Epoch {
		// A vote on the very block that started the epoch was made before it did.
		if extension.Epoch+1 == round.Epoch {
			return nil
		}
		return k.refuse(ctx, round, m, errorsmod.Wrapf(ErrField, "epoch %d: want %d", extension.Epoch, round.Epoch))
	}
	key, err := k.keyFor(ctx, m.spelled, round.Epoch)
	if err != nil {
		return err
	}
	if key == nil {
		return k.refuse(ctx, round, m, errorsmod.Wrap(ErrField, "no beacon key in force"))
	}
	output, err := k.source.Verify(round, key, extension.Proof[:])
	if err != nil {
		return k.refuse(ctx, round, m, err)
	}
	return errorsmod.Wrapf(k.outputs.Set(ctx, m.spelled, auditv1.BeaconOutput{
		Validator: m.spelled, Output: output[:], Power: max(0, m.vote.Power),
	}), "writing the output of %s", m.spelled)
}

// refuse counts an extension that is no output of its sender's key.
func (k *Keeper) refuse(ctx context.Context, round beacon.Round, m member, why error) error {
	record, err := k.record(ctx, m.spelled)
	if err != nil {
		return err
	}
	record.Invalid++
	if err := k.records.Set(ctx, m.spelled, record); err != nil {
		return errorsmod.Wrapf(err, "writing the record of %s", m.spelled)
	}
	event := &auditv1.EventBeaconOutputRefused{Validator: m.spelled, Epoch: round.Epoch, Reason: why.Error()}
	return errorsmod.Wrap(sdk.UnwrapSDKContext(ctx).EventManager().EmitTypedEvent(event), "emitting event")
}

// record gives what is counted of a validator; all zero for one that is new.
func (k *Keeper) record(ctx context.Context, validator string) (auditv1.BeaconRecord, error) {
	record, err := k.records.Get(ctx, validator)
	if errors.Is(err, collections.ErrNotFound) {
		return auditv1.BeaconRecord{Validator: validator}, nil
	}
	return record, errorsmod.Wrapf(err, "reading the record of %s", validator)
}

// collected gives the outputs for the next beacon so far, ascending by the validator's spelling.
func (k *Keeper) collected(ctx context.Context) (outputs []auditv1.BeaconOutput, err error) {
	err = k.outputs.Walk(ctx, nil, func(_ string, o auditv1.BeaconOutput) (bool, error) {
		outputs = append(outputs, o)
		return false, nil
	})
	return outputs, errorsmod.Wrap(err, "reading outputs")
}

// powerShare is the share of the members' power that has contributed.
func powerShare(collected []auditv1.BeaconOutput, members []member) uint32 {
	has := make(map[string]bool, len(collected))
	for _, o := range collected {
		has[o.Validator] = true
	}
	var part, whole int64
	for _, m := range members {
		power := max(0, m.vote.Power)
		whole += power
		if has[m.spelled] {
			part += power
		}
	}
	return shareBps(part, whole)
}

// turn starts the epoch after an ended one, counts who contributed to its beacon, and lets the other
// modules close the ended one.
func (k *Keeper) turn(ctx context.Context, ended auditv1.Epoch, params auditv1.BeaconParams, members []member, collected []auditv1.BeaconOutput, share uint32) error {
	contributions := make([]beacon.Contribution, 0, len(collected))
	contributed := make(map[string]bool, len(collected))
	for _, o := range collected {
		operator, err := k.validators.StringToBytes(o.Validator)
		if err != nil {
			return errorsmod.Wrapf(err, "reading operator %s", o.Validator)
		}
		c := beacon.Contribution{Output: beacon.Output(o.Output)}
		copy(c.Validator[:], operator)
		contributions = append(contributions, c)
		contributed[o.Validator] = true
	}
	value := k.source.Mix(round(ctx, ended), contributions)
	next := auditv1.Epoch{
		Number:   ended.Number + 1,
		Beacon:   value[:],
		PowerBps: share,
		Outputs:  uint32(len(collected)),
		Weak:     len(collected) == 0,
	}
	var missing []member
	for _, m := range members {
		record, err := k.count(ctx, next.Number, m.spelled, contributed[m.spelled])
		if err != nil {
			return err
		}
		if record.MissedInARow > 0 && (record.Contributed > 0 || record.MissedInARow > newcomerEpochs) {
			missing = append(missing, m)
		}
	}
	if err := k.outputs.Clear(ctx, nil); err != nil {
		return errorsmod.Wrap(err, "clearing outputs")
	}
	if err := k.begin(ctx, next, params); err != nil {
		return err
	}
	if next.Weak {
		missing = nil // nobody chose anything: the network was at fault
	}
	for _, m := range missing {
		gas := max(params.HookGas/uint64(len(missing)), leastChargeGas)
		charge := func(ctx context.Context) error { return k.charge(ctx, next.Number, m, params.MissedOutputPpm) }
		if err := k.attempt(ctx, "missed output of "+m.spelled, ended.Number, gas, charge); err != nil {
			return err
		}
	}
	return k.runHooks(ctx, ended, params.HookGas)
}

// newcomerEpochs is how many epochs in a row a validator that has never contributed may miss: its key
// needs two to come into force.
const newcomerEpochs = 8

// leastChargeGas is what charging a validator may use however many share hook_gas: several times what
// a slash at the height of the block takes, which looks at no unbonding.
const leastChargeGas = 1_000_000

// charge takes what a missed output costs from a validator's stake. An output that is held back is a
// bit of the beacon chosen by who holds it back: a bit must cost more than it can bring.
func (k *Keeper) charge(ctx context.Context, epoch uint64, m member, ppm uint32) error {
	validator, err := k.staking.Validator(ctx, m.operator)
	if err != nil {
		return errorsmod.Wrapf(err, "looking up validator %s", m.spelled)
	}
	if ppm == 0 || m.vote.Power <= 0 || validator.IsUnbonded() {
		return nil
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	burned, err := k.staking.Slash(ctx, m.vote.Validator, sdkCtx.BlockHeight(), m.vote.Power, math.LegacyNewDecWithPrec(int64(ppm), 6))
	if err != nil {
		return errorsmod.Wrapf(err, "taking stake of validator %s", m.spelled)
	}
	event := &auditv1.EventBeaconOutputMissed{Validator: m.spelled, Epoch: epoch, Burned: burned}
	return errorsmod.Wrap(sdkCtx.EventManager().EmitTypedEvent(event), "emitting event")
}

// count records whether a validator's output is in an epoch's beacon.
func (k *Keeper) count(ctx context.Context, epoch uint64, validator string, contributed bool) (auditv1.BeaconRecord, error) {
	record, err := k.record(ctx, validator)
	if err != nil {
		return record, err
	}
	if contributed {
		record.Contributed++
		record.LastContributed = epoch
		record.MissedInARow = 0
	} else {
		record.Missed++
		record.MissedInARow++
	}
	return record, errorsmod.Wrapf(k.records.Set(ctx, validator, record), "writing the record of %s", validator)
}
