package device

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
)

// Banned says whether a ban keeps a device out now. An appeal that nobody decided in time ends the
// ban by itself.
func (k *Keeper) Banned(ctx context.Context, device uint64) (bool, error) {
	b, err := k.bans.Get(ctx, device)
	if errors.Is(err, collections.ErrNotFound) {
		return false, nil
	}
	return inForce(b, sdk.UnwrapSDKContext(ctx).BlockTime().Unix()), errorsmod.Wrapf(err, "reading ban of device %d", device)
}

// inForce says whether a ban keeps its device out at a time, Unix seconds.
func inForce(b devicev1.Ban, now int64) bool {
	switch b.State {
	case devicev1.BanState_BAN_STATE_IN_FORCE, devicev1.BanState_BAN_STATE_UPHELD:
		return true
	case devicev1.BanState_BAN_STATE_APPEALED:
		return b.Appeal != nil && now < b.Appeal.Deadline
	default:
		return false
	}
}

// ban gives the ban of a device, past or present, or ErrNotBanned.
func (k *Keeper) ban(ctx context.Context, device uint64) (devicev1.Ban, error) {
	b, err := k.bans.Get(ctx, device)
	if errors.Is(err, collections.ErrNotFound) {
		return b, errorsmod.Wrapf(ErrNotBanned, "device %d", device)
	}
	return b, errorsmod.Wrapf(err, "reading ban of device %d", device)
}

// record writes a ban and says so.
func (k *Keeper) record(ctx context.Context, b devicev1.Ban) error {
	if err := k.bans.Set(ctx, b.Device, b); err != nil {
		return errorsmod.Wrapf(err, "writing ban of device %d", b.Device)
	}
	return emit(ctx, &devicev1.EventBan{Id: b.Device, State: b.State, Reason: b.Reason})
}

// Ban keeps a device out; governance's. Leases that run end as they would have. A device can be
// banned again after an earlier ban has ended, whose deposit then goes back first.
func (s msgServer) Ban(ctx context.Context, msg *devicev1.MsgBan) (*devicev1.MsgBanResponse, error) {
	if err := s.govern(msg.Authority); err != nil {
		return nil, err
	}
	if _, known := devicev1.BanReason_name[int32(msg.Reason)]; !known || msg.Reason == devicev1.BanReason_BAN_REASON_UNSPECIFIED {
		return nil, errorsmod.Wrapf(ErrField, "reason %d is none", msg.Reason)
	}
	if err := checkHash("evidence", msg.Evidence); err != nil {
		return nil, err
	}
	d, err := s.Device(ctx, msg.Device)
	if err != nil {
		return nil, err
	}
	if d.State == devicev1.DeviceState_DEVICE_STATE_RETIRED {
		return nil, errorsmod.Wrapf(ErrRetired, "device %d", d.Id)
	}
	now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix()
	switch earlier, err := s.ban(ctx, d.Id); {
	case errors.Is(err, ErrNotBanned):
	case err != nil:
		return nil, err
	case inForce(earlier, now):
		return nil, errorsmod.Wrapf(ErrBanned, "device %d: since %d for %s", d.Id, earlier.BannedAt, earlier.Reason)
	default:
		if err := s.giveBack(ctx, &earlier); err != nil {
			return nil, err
		}
	}
	return &devicev1.MsgBanResponse{}, s.record(ctx, devicev1.Ban{
		Device: d.Id, Reason: msg.Reason, Evidence: msg.Evidence, BannedAt: now, State: devicev1.BanState_BAN_STATE_IN_FORCE,
	})
}

// Appeal asks governance to look again; once for a ban.
func (s msgServer) Appeal(ctx context.Context, msg *devicev1.MsgAppeal) (*devicev1.MsgAppealResponse, error) {
	owner, ownerText, err := s.parseAccount("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	if err := checkHash("statement", msg.Statement); err != nil {
		return nil, err
	}
	if _, err := s.owned(ctx, msg.Device, ownerText); err != nil {
		return nil, err
	}
	b, err := s.ban(ctx, msg.Device)
	if err != nil {
		return nil, err
	}
	if b.State != devicev1.BanState_BAN_STATE_IN_FORCE {
		return nil, errorsmod.Wrapf(ErrAppeal, "ban of device %d is %s: only one in force that was never appealed can be", b.Device, b.State)
	}
	params, err := s.Params(ctx)
	if err != nil {
		return nil, err
	}
	if params.AppealDeposit.IsPositive() {
		if err := s.bank.SendCoinsFromAccountToModule(ctx, owner, ModuleName, sdk.NewCoins(params.AppealDeposit)); err != nil {
			return nil, errorsmod.Wrapf(err, "taking deposit %s from %s", params.AppealDeposit, ownerText)
		}
	}
	now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix()
	b.State = devicev1.BanState_BAN_STATE_APPEALED
	b.Appeal = &devicev1.Appeal{
		Owner: ownerText, Deposit: params.AppealDeposit, Statement: msg.Statement, FiledAt: now, Deadline: now + params.AppealSeconds,
	}
	return &devicev1.MsgAppealResponse{Deadline: b.Appeal.Deadline}, s.record(ctx, b)
}

// ReclaimAppeal writes down that an appeal lapsed in its owner's favour, and gives the deposit back.
func (s msgServer) ReclaimAppeal(ctx context.Context, msg *devicev1.MsgReclaimAppeal) (*devicev1.MsgReclaimAppealResponse, error) {
	_, owner, err := s.parseAccount("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	b, err := s.ban(ctx, msg.Device)
	if err != nil {
		return nil, err
	}
	now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix()
	switch {
	case b.State != devicev1.BanState_BAN_STATE_APPEALED:
		return nil, errorsmod.Wrapf(ErrAppeal, "ban of device %d is %s", b.Device, b.State)
	case b.Appeal.Owner != owner:
		return nil, errorsmod.Wrapf(ErrNotOwner, "%s appealed the ban of device %d, not %s", b.Appeal.Owner, b.Device, owner)
	case now < b.Appeal.Deadline:
		return nil, errorsmod.Wrapf(ErrAppeal, "appeal of device %d: deadline %d, block time %d", b.Device, b.Appeal.Deadline, now)
	}
	if err := s.giveBack(ctx, &b); err != nil {
		return nil, err
	}
	b.State, b.DecidedAt = devicev1.BanState_BAN_STATE_LAPSED, b.Appeal.Deadline
	return &devicev1.MsgReclaimAppealResponse{}, s.record(ctx, b)
}

// DecideAppeal is governance's verdict. To lift a ban takes no appeal; to uphold one does, and it
// must come before the deadline.
func (s msgServer) DecideAppeal(ctx context.Context, msg *devicev1.MsgDecideAppeal) (*devicev1.MsgDecideAppealResponse, error) {
	if err := s.govern(msg.Authority); err != nil {
		return nil, err
	}
	b, err := s.ban(ctx, msg.Device)
	if err != nil {
		return nil, err
	}
	now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix()
	if !inForce(b, now) {
		return nil, errorsmod.Wrapf(ErrAppeal, "ban of device %d is %s and no longer in force", b.Device, b.State)
	}
	if msg.Verdict != devicev1.Verdict_VERDICT_LIFT && b.State != devicev1.BanState_BAN_STATE_APPEALED {
		return nil, errorsmod.Wrapf(ErrAppeal, "ban of device %d is %s: nobody appeals", b.Device, b.State)
	}
	switch msg.Verdict {
	case devicev1.Verdict_VERDICT_LIFT:
		b.State = devicev1.BanState_BAN_STATE_LIFTED
		err = s.giveBack(ctx, &b)
	case devicev1.Verdict_VERDICT_UPHOLD:
		b.State = devicev1.BanState_BAN_STATE_UPHELD
		err = s.giveBack(ctx, &b)
	case devicev1.Verdict_VERDICT_DISMISS:
		b.State = devicev1.BanState_BAN_STATE_UPHELD
		err = s.forfeit(ctx, &b)
	default:
		err = errorsmod.Wrapf(ErrField, "verdict %d is none", msg.Verdict)
	}
	if err != nil {
		return nil, err
	}
	b.DecidedAt = now
	return &devicev1.MsgDecideAppealResponse{}, s.record(ctx, b)
}

// giveBack returns the deposit of an appeal, if there is one that is still held.
func (k *Keeper) giveBack(ctx context.Context, b *devicev1.Ban) error {
	deposit, held := k.take(b)
	if !held {
		return nil
	}
	owner, _, err := k.parseAccount("owner", b.Appeal.Owner)
	if err != nil {
		return err
	}
	return errorsmod.Wrapf(k.bank.SendCoinsFromModuleToAccount(ctx, ModuleName, owner, sdk.NewCoins(deposit)), "returning %s to %s", deposit, b.Appeal.Owner)
}

// forfeit burns the deposit of an appeal.
func (k *Keeper) forfeit(ctx context.Context, b *devicev1.Ban) error {
	deposit, held := k.take(b)
	if !held {
		return nil
	}
	return errorsmod.Wrapf(k.bank.BurnCoins(ctx, ModuleName, sdk.NewCoins(deposit)), "burning deposit %s", deposit)
}

// take empties the deposit of an appeal in the record, which the caller pays out and writes.
func (*Keeper) take(b *devicev1.Ban) (deposit sdk.Coin, held bool) {
	if b.Appeal == nil || !b.Appeal.Deposit.IsPositive() {
		return sdk.Coin{}, false
	}
	deposit = b.Appeal.Deposit
	b.Appeal.Deposit.Amount = math.ZeroInt()
	return deposit, true
}
