package energy

import (
	"context"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/meter"
	"github.com/cairn-network/cairn/internal/modkit"
)

// CreateCommunity begins a community.
func (m msgServer) CreateCommunity(ctx context.Context, msg *energyv1.MsgCreateCommunity) (*energyv1.MsgCreateCommunityResponse, error) {
	_, manager, err := m.parseAccount("manager", msg.Manager)
	if err != nil {
		return nil, err
	}
	_, utility, err := m.parseAccount("utility", msg.Utility)
	if err != nil {
		return nil, err
	}
	if err := m.aggregating(ctx, msg.Aggregator); err != nil {
		return nil, err
	}
	id, err := m.nextCommunity.Peek(ctx)
	if err != nil {
		return nil, errorsmod.Wrap(err, "numbering community")
	}
	msg.Terms.Community, msg.Terms.Since = id, thisHour(sdk.UnwrapSDKContext(ctx))
	if err := m.setTerms(ctx, msg.Terms); err != nil {
		return nil, err
	}
	if _, err := m.nextCommunity.Next(ctx); err != nil {
		return nil, errorsmod.Wrap(err, "numbering community")
	}
	c := energyv1.Community{
		Id: id, Manager: manager, Aggregator: msg.Aggregator, Utility: utility, PaidIn: math.ZeroInt(), PaidOut: math.ZeroInt(),
	}
	if err := m.setCommunity(ctx, c); err != nil {
		return nil, err
	}
	return &energyv1.MsgCreateCommunityResponse{Id: id}, emit(ctx, &energyv1.EventCommunity{Community: id, Since: msg.Terms.Since})
}

// managed gives a community of a manager.
func (m msgServer) managed(ctx context.Context, text string, id uint64) (energyv1.Community, error) {
	_, manager, err := m.parseAccount("manager", text)
	if err != nil {
		return energyv1.Community{}, err
	}
	c, err := m.community(ctx, id)
	if err == nil && c.Manager != manager {
		err = errorsmod.Wrapf(ErrNotManager, "community %d: %s", id, modkit.Clip(text))
	}
	return c, err
}

// UpdateCommunity changes who aggregates, and the terms from the next hour on.
func (m msgServer) UpdateCommunity(ctx context.Context, msg *energyv1.MsgUpdateCommunity) (*energyv1.MsgUpdateCommunityResponse, error) {
	c, err := m.managed(ctx, msg.Manager, msg.Community)
	if err != nil {
		return nil, err
	}
	if _, c.Utility, err = m.parseAccount("utility", msg.Utility); err != nil {
		return nil, err
	}
	if err := m.aggregating(ctx, msg.Aggregator); err != nil {
		return nil, err
	}
	c.Aggregator = msg.Aggregator
	msg.Terms.Community, msg.Terms.Since = c.Id, thisHour(sdk.UnwrapSDKContext(ctx))+1
	if err := m.setTerms(ctx, msg.Terms); err != nil {
		return nil, err
	}
	if err := m.setCommunity(ctx, c); err != nil {
		return nil, err
	}
	return &energyv1.MsgUpdateCommunityResponse{Since: msg.Terms.Since}, emit(ctx, &energyv1.EventCommunity{Community: c.Id, Since: msg.Terms.Since})
}

// JoinCommunity makes a meter a member from the next hour on.
func (m msgServer) JoinCommunity(ctx context.Context, msg *energyv1.MsgJoinCommunity) (*energyv1.MsgJoinCommunityResponse, error) {
	_, operator, err := m.parseAccount("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	c, err := m.community(ctx, msg.Community)
	if err != nil {
		return nil, err
	}
	d, err := m.devices.Operated(ctx, msg.Device, operator)
	if err != nil {
		return nil, err
	}
	if d.Kind != Meter && d.Kind != Charger {
		return nil, errorsmod.Wrapf(ErrKind, "device %d is a %s, want a %s or a %s", d.Id, d.Kind, Meter, Charger)
	}
	if _, err := m.devices.Active(ctx, msg.Device); err != nil {
		return nil, err
	}
	if msg.Role == uint32(meter.Head) && operator != c.Manager {
		return nil, errorsmod.Wrapf(ErrNotManager, "device %d as head of community %d", d.Id, c.Id)
	}
	member, err := m.join(sdk.UnwrapSDKContext(ctx), c, d, energyv1.Member{
		Community: c.Id, Device: d.Id, Node: msg.Node, Role: msg.Role, KeyType: msg.KeyType, Key: msg.Key, Rating: msg.Rating,
	})
	if err != nil {
		return nil, err
	}
	return &energyv1.MsgJoinCommunityResponse{Since: member.Since}, emit(ctx, &energyv1.EventMember{Community: c.Id, Device: d.Id, Since: member.Since})
}

// LeaveCommunity ends a membership with the running hour.
func (m msgServer) LeaveCommunity(ctx context.Context, msg *energyv1.MsgLeaveCommunity) (*energyv1.MsgLeaveCommunityResponse, error) {
	_, sender, err := m.parseAccount("sender", msg.Sender)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	c, member, err := m.current(sdkCtx, msg.Community, msg.Device)
	if err != nil {
		return nil, err
	}
	if sender != c.Manager {
		if _, err := m.devices.Operated(ctx, msg.Device, sender); err != nil {
			return nil, err
		}
	}
	if member, err = m.leave(sdkCtx, c, member); err != nil {
		return nil, err
	}
	return &energyv1.MsgLeaveCommunityResponse{}, emit(ctx, &energyv1.EventMember{
		Community: c.Id, Device: member.Device, Since: member.Since, Until: member.Until,
	})
}

// SetLimits says at which prices a meter trades with neighbours.
func (m msgServer) SetLimits(ctx context.Context, msg *energyv1.MsgSetLimits) (*energyv1.MsgSetLimitsResponse, error) {
	_, operator, err := m.parseAccount("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	c, _, err := m.current(sdkCtx, msg.Community, msg.Device)
	if err != nil {
		return nil, err
	}
	if _, err := m.devices.Operated(ctx, msg.Device, operator); err != nil {
		return nil, err
	}
	for _, limit := range []struct {
		name string
		tick int32
	}{{"sell_above", msg.SellAbove}, {"buy_below", msg.BuyBelow}} {
		if limit.tick < 0 || limit.tick >= int32(grid.CommunityTicks) {
			return nil, errorsmod.Wrapf(ErrField, "%s %d: want 0 to %d", limit.name, limit.tick, grid.CommunityTicks-1)
		}
	}
	return &energyv1.MsgSetLimitsResponse{}, m.stand(sdkCtx, c, msg.Device, func(s *energyv1.Standing) {
		s.SellAbove, s.BuyBelow = msg.SellAbove, msg.BuyBelow
	})
}

// Deposit pays into an account.
func (m msgServer) Deposit(ctx context.Context, msg *energyv1.MsgDeposit) (*energyv1.MsgDepositResponse, error) {
	from, _, err := m.parseAccount("sender", msg.Sender)
	if err != nil {
		return nil, err
	}
	if _, err := parseCoin("amount", msg.Amount); err != nil {
		return nil, err
	}
	c, err := m.community(ctx, msg.Community)
	if err != nil {
		return nil, err
	}
	if err := m.deposit(sdk.UnwrapSDKContext(ctx), from, c, msg.Account, msg.Amount); err != nil {
		return nil, err
	}
	return &energyv1.MsgDepositResponse{}, emit(ctx, &energyv1.EventFunds{Community: c.Id, Account: msg.Account, What: "deposit", Amount: msg.Amount})
}

// Withdraw asks for money of an account.
func (m msgServer) Withdraw(ctx context.Context, msg *energyv1.MsgWithdraw) (*energyv1.MsgWithdrawResponse, error) {
	_, sender, err := m.parseAccount("sender", msg.Sender)
	if err != nil {
		return nil, err
	}
	amount, err := parseCoin("amount", msg.Amount)
	if err != nil {
		return nil, err
	}
	if toInt(amount).BigIntMut().BitLen() > maxPaidInBits {
		return nil, errorsmod.Wrapf(ErrAmount, "amount %s: more than any account has", msg.Amount)
	}
	c, err := m.community(ctx, msg.Community)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	owner, err := m.beneficiary(sdkCtx, c, msg.Account)
	if err != nil {
		return nil, err
	}
	if owner != sender {
		if _, err := m.devices.Operated(ctx, msg.Account, sender); err != nil {
			return nil, err
		}
	}
	hour, err := m.withdraw(sdkCtx, c, msg.Account, msg.Amount.Amount)
	if err != nil {
		return nil, err
	}
	return &energyv1.MsgWithdrawResponse{Hour: hour}, emit(ctx, &energyv1.EventFunds{Community: c.Id, Account: msg.Account, What: "withdraw", Amount: msg.Amount})
}

// Claim pays out what was asked for.
func (m msgServer) Claim(ctx context.Context, msg *energyv1.MsgClaim) (*energyv1.MsgClaimResponse, error) {
	if _, _, err := m.parseAccount("sender", msg.Sender); err != nil {
		return nil, err
	}
	c, err := m.community(ctx, msg.Community)
	if err != nil {
		return nil, err
	}
	paid, err := m.claim(sdk.UnwrapSDKContext(ctx), c, msg.Account, msg.Proof, msg.Absence)
	if err != nil {
		return nil, err
	}
	return &energyv1.MsgClaimResponse{Paid: paid}, emit(ctx, &energyv1.EventFunds{Community: c.Id, Account: msg.Account, What: "claim", Amount: paid})
}

// CommitHour says what meters counted and what came of it.
func (m msgServer) CommitHour(ctx context.Context, msg *energyv1.MsgCommitHour) (*energyv1.MsgCommitHourResponse, error) {
	_, operator, err := m.parseAccount("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	c, err := m.community(ctx, msg.Community)
	if err != nil {
		return nil, err
	}
	if _, err := m.devices.Operated(ctx, c.Aggregator, operator); err != nil {
		return nil, err
	}
	if err := m.aggregating(ctx, c.Aggregator); err != nil {
		return nil, err
	}
	h, err := m.commit(sdk.UnwrapSDKContext(ctx), c, msg)
	if err != nil {
		return nil, err
	}
	return &energyv1.MsgCommitHourResponse{FinalAt: h.FinalAt}, nil
}

// ChallengeLeaf shows that a leaf does not follow from its frames.
func (m msgServer) ChallengeLeaf(ctx context.Context, msg *energyv1.MsgChallengeLeaf) (*energyv1.MsgChallengeLeafResponse, error) {
	to, _, err := m.parseAccount("challenger", msg.Challenger)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	c, h, err := m.challengeable(sdkCtx, msg.Community, msg.Hour)
	if err != nil {
		return nil, err
	}
	root, err := readingsOf(h)
	if err != nil {
		return nil, err
	}
	p, err := leafUnder(root, msg.Proof)
	if err != nil {
		return nil, err
	}
	faulty, err := m.falseLeaf(sdkCtx, h, p.Leaf, msg.Evidence)
	if err != nil {
		return nil, err
	}
	if !faulty {
		return nil, errorsmod.Wrapf(ErrNoFault, "the leaf of meter %d follows from its frames", p.Leaf.Meter)
	}
	slashed, err := m.reject(sdkCtx, c, h, to, "false leaf")
	return &energyv1.MsgChallengeLeafResponse{Slashed: slashed}, err
}

// ChallengeHour shows that accounts or prices do not follow from the leaves.
func (m msgServer) ChallengeHour(ctx context.Context, msg *energyv1.MsgChallengeHour) (*energyv1.MsgChallengeHourResponse, error) {
	to, _, err := m.parseAccount("challenger", msg.Challenger)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	c, h, err := m.challengeable(sdkCtx, msg.Community, msg.Hour)
	if err != nil {
		return nil, err
	}
	faulty, err := m.falseHour(sdkCtx, h, msg.Leaves, msg.Accounts)
	if err != nil {
		return nil, err
	}
	if !faulty {
		return nil, errorsmod.Wrapf(ErrNoFault, "hour %d of community %d follows from its leaves", h.Hour, c.Id)
	}
	slashed, err := m.reject(sdkCtx, c, h, to, "false accounts")
	return &energyv1.MsgChallengeHourResponse{Slashed: slashed}, err
}

// ChallengeOmission shows that a frame with a receipt is not in its hour.
func (m msgServer) ChallengeOmission(ctx context.Context, msg *energyv1.MsgChallengeOmission) (*energyv1.MsgChallengeOmissionResponse, error) {
	to, _, err := m.parseAccount("challenger", msg.Challenger)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	r, err := meter.ParseReceipt(sdkCtx.ChainID(), msg.Receipt)
	if err != nil {
		return nil, errorsmod.Wrapf(ErrReceipt, "%s", err)
	}
	c, h, err := m.challengeable(sdkCtx, msg.Community, uint64(meter.HourOf(r.First)))
	if err != nil {
		return nil, err
	}
	omitted, err := m.omitted(sdkCtx, c, h, r, msg.Proof, msg.Absence)
	if err != nil {
		return nil, err
	}
	if !omitted {
		return nil, errorsmod.Wrapf(ErrNoFault, "the leaf of meter %d covers the frame", r.Meter)
	}
	slashed, err := m.reject(sdkCtx, c, h, to, "omitted frame")
	return &energyv1.MsgChallengeOmissionResponse{Slashed: slashed}, err
}

// ReportDoubleFrame shows two different frames of one meter for one slot.
func (m msgServer) ReportDoubleFrame(ctx context.Context, msg *energyv1.MsgReportDoubleFrame) (*energyv1.MsgReportDoubleFrameResponse, error) {
	to, _, err := m.parseAccount("reporter", msg.Reporter)
	if err != nil {
		return nil, err
	}
	device, hour, slashed, err := m.double(sdk.UnwrapSDKContext(ctx), msg.Community, to, msg.First, msg.Second)
	if err != nil {
		return nil, err
	}
	return &energyv1.MsgReportDoubleFrameResponse{Slashed: slashed}, emit(ctx, &energyv1.EventDoubleFrame{Device: device, Hour: hour, Slashed: slashed})
}

// DemandData asks an aggregator on chain for what it does not serve.
func (m msgServer) DemandData(ctx context.Context, msg *energyv1.MsgDemandData) (*energyv1.MsgDemandDataResponse, error) {
	from, opener, err := m.parseAccount("opener", msg.Opener)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	_, h, err := m.challengeable(sdkCtx, msg.Community, msg.Hour)
	if err != nil {
		return nil, err
	}
	d, err := m.demand(sdkCtx, from, opener, h, msg.Proof)
	if err != nil {
		return nil, err
	}
	return &energyv1.MsgDemandDataResponse{Demand: d.Id, Deadline: d.Deadline}, emit(ctx, &energyv1.EventDemand{Demand: d.Id, Community: d.Community, Hour: d.Hour})
}

// ServeData answers a demand.
func (m msgServer) ServeData(ctx context.Context, msg *energyv1.MsgServeData) (*energyv1.MsgServeDataResponse, error) {
	_, operator, err := m.parseAccount("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	d, h, there, err := m.demanded(ctx, msg.Demand)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	if now := sdkCtx.BlockTime().Unix(); !there || now >= d.Deadline {
		return nil, errorsmod.Wrapf(ErrTime, "demand %d: its time ended at %d or its hour is gone", d.Id, d.Deadline)
	}
	if _, err := m.devices.Operated(ctx, h.Aggregator, operator); err != nil {
		return nil, err
	}
	faulty, err := m.serve(sdkCtx, d, h, msg)
	return &energyv1.MsgServeDataResponse{Faulty: faulty}, err
}

// CloseDemand ends a demand that was not answered in time.
func (m msgServer) CloseDemand(ctx context.Context, msg *energyv1.MsgCloseDemand) (*energyv1.MsgCloseDemandResponse, error) {
	if _, _, err := m.parseAccount("sender", msg.Sender); err != nil {
		return nil, err
	}
	d, h, there, err := m.demanded(ctx, msg.Demand)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	if now := sdkCtx.BlockTime().Unix(); there && now < d.Deadline {
		return nil, errorsmod.Wrapf(ErrTime, "demand %d can be answered until %d, it is %d", d.Id, d.Deadline, now)
	}
	opener, _, err := m.parseAccount("opener", d.Opener)
	if err != nil {
		return nil, err
	}
	if !there { // another challenge has removed the hour
		return &energyv1.MsgCloseDemandResponse{Slashed: zero()}, m.drop(sdkCtx, d, opener)
	}
	slashed, err := m.undo(sdkCtx, d, h, opener, "withheld data")
	return &energyv1.MsgCloseDemandResponse{Slashed: slashed}, err
}
