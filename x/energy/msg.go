package energy

import (
	"context"
	"unicode/utf8"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// msgServer answers the module's messages.
type msgServer struct{ *Keeper }

// NewMsgServer is the module's message service over a keeper.
func NewMsgServer(k *Keeper) energyv1.MsgServer { return msgServer{k} }

// emit sends a typed event.
func emit(ctx context.Context, event proto.Message) error {
	return errorsmod.Wrap(sdk.UnwrapSDKContext(ctx).EventManager().EmitTypedEvent(event), "emitting event")
}

// govern refuses everyone but governance.
func (k *Keeper) govern(text string) error {
	_, authority, err := k.parseAccount("authority", text)
	if err != nil {
		return err
	}
	if authority != k.authority {
		return errorsmod.Wrapf(ErrNotAuthority, "authority %s: want %s", modkit.Clip(authority), k.authority)
	}
	return nil
}

// SetStation puts a station on offer or changes it.
func (m msgServer) SetStation(ctx context.Context, msg *energyv1.MsgSetStation) (*energyv1.MsgSetStationResponse, error) {
	_, operator, err := m.parseAccount("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	if _, err := m.devices.Operated(ctx, msg.Device, operator); err != nil {
		return nil, err
	}
	if err := m.selling(ctx, msg.Device); err != nil && !msg.Closed {
		return nil, err
	}
	s, err := m.setStation(ctx, energyv1.Station{
		Device: msg.Device, Connectors: msg.Connectors, Shares: msg.Shares, Tariff: msg.Tariff, Closed: msg.Closed,
	})
	if err != nil {
		return nil, err
	}
	return &energyv1.MsgSetStationResponse{Version: s.Version}, emit(ctx, &energyv1.EventStationSet{Station: s.Device, Version: s.Version})
}

// PublishTariff makes a price list that never changes.
func (m msgServer) PublishTariff(ctx context.Context, msg *energyv1.MsgPublishTariff) (*energyv1.MsgPublishTariffResponse, error) {
	_, publisher, err := m.parseAccount("publisher", msg.Publisher)
	if err != nil {
		return nil, err
	}
	t, err := m.publish(ctx, publisher, msg.Document)
	if err != nil {
		return nil, err
	}
	return &energyv1.MsgPublishTariffResponse{Id: t.Id}, emit(ctx, &energyv1.EventTariffPublished{Tariff: t.Id, Hash: t.Hash})
}

// OpenSession locks money for a charging session.
func (m msgServer) OpenSession(ctx context.Context, msg *energyv1.MsgOpenSession) (*energyv1.MsgOpenSessionResponse, error) {
	driver, text, err := m.parseAccount("driver", msg.Driver)
	if err != nil {
		return nil, err
	}
	s, err := m.open(sdk.UnwrapSDKContext(ctx), driver, text, msg)
	if err != nil {
		return nil, err
	}
	return &energyv1.MsgOpenSessionResponse{Id: s.Id, Tag: s.Tag, StartBy: s.Deadline}, nil
}

// operated gives a session in a state, in time, whose station the account may act for.
func (m msgServer) operated(ctx sdk.Context, text string, session uint64, state energyv1.SessionState) (energyv1.Session, error) {
	_, operator, err := m.parseAccount("operator", text)
	if err != nil {
		return energyv1.Session{}, err
	}
	s, err := m.in(ctx, session, state)
	if err != nil {
		return s, err
	}
	_, err = m.devices.Operated(ctx, s.Station, operator)
	return s, err
}

// StartSession says that charging has begun.
func (m msgServer) StartSession(ctx context.Context, msg *energyv1.MsgStartSession) (*energyv1.MsgStartSessionResponse, error) {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	s, err := m.operated(sdkCtx, msg.Operator, msg.Session, stateOpen)
	if err != nil {
		return nil, err
	}
	if s, err = m.start(sdkCtx, s); err != nil {
		return nil, err
	}
	return &energyv1.MsgStartSessionResponse{BillBy: s.Deadline}, nil
}

// SettleSession bills a session.
func (m msgServer) SettleSession(ctx context.Context, msg *energyv1.MsgSettleSession) (*energyv1.MsgSettleSessionResponse, error) {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	s, err := m.operated(sdkCtx, msg.Operator, msg.Session, stateCharging)
	if err != nil {
		return nil, err
	}
	if s, err = m.settle(sdkCtx, s, msg); err != nil {
		return nil, err
	}
	return &energyv1.MsgSettleSessionResponse{Bill: *s.Bill}, nil
}

// driven gives a session and its driver's account.
func (m msgServer) driven(ctx sdk.Context, text string, session uint64, state energyv1.SessionState) (sdk.AccAddress, energyv1.Session, error) {
	driver, canonical, err := m.parseAccount("driver", text)
	if err != nil {
		return nil, energyv1.Session{}, err
	}
	s, err := m.in(ctx, session, state)
	if err != nil {
		return nil, s, err
	}
	return driver, s, checkDriver(s, canonical)
}

// CancelSession gives up a session that has not begun.
func (m msgServer) CancelSession(ctx context.Context, msg *energyv1.MsgCancelSession) (*energyv1.MsgCancelSessionResponse, error) {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	_, s, err := m.driven(sdkCtx, msg.Driver, msg.Session, stateOpen)
	if err != nil {
		return nil, err
	}
	if _, err := m.refund(sdkCtx, s); err != nil {
		return nil, err
	}
	return &energyv1.MsgCancelSessionResponse{}, nil
}

// CloseSession does what is due for a session whose deadline has passed.
func (m msgServer) CloseSession(ctx context.Context, msg *energyv1.MsgCloseSession) (*energyv1.MsgCloseSessionResponse, error) {
	if _, _, err := m.parseAccount("sender", msg.Sender); err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	s, err := m.session(ctx, msg.Session)
	if err != nil {
		return nil, err
	}
	if over(s.State) {
		return nil, errorsmod.Wrapf(ErrState, "session %d: %s, it is over", s.Id, s.State)
	}
	if now := sdkCtx.BlockTime().Unix(); now < s.Deadline {
		return nil, errorsmod.Wrapf(ErrDeadline, "session %d: nothing is due before %d, it is %d", s.Id, s.Deadline, now)
	}
	if s, err = m.due(sdkCtx, s); err != nil {
		return nil, err
	}
	return &energyv1.MsgCloseSessionResponse{State: s.State}, nil
}

// DisputeSession objects to a bill whose payout waits.
func (m msgServer) DisputeSession(ctx context.Context, msg *energyv1.MsgDisputeSession) (*energyv1.MsgDisputeSessionResponse, error) {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	if len(msg.Reason) > maxReason || !utf8.ValidString(msg.Reason) {
		return nil, errorsmod.Wrapf(ErrField, "reason has %d bytes, want at most %d of UTF-8", len(msg.Reason), maxReason)
	}
	driver, s, err := m.driven(sdkCtx, msg.Driver, msg.Session, stateHeld)
	if err != nil {
		return nil, err
	}
	if s, err = m.dispute(sdkCtx, driver, s); err != nil {
		return nil, err
	}
	return &energyv1.MsgDisputeSessionResponse{AnswerBy: s.Deadline}, nil
}

// AnswerDispute says what the station gives back.
func (m msgServer) AnswerDispute(ctx context.Context, msg *energyv1.MsgAnswerDispute) (*energyv1.MsgAnswerDisputeResponse, error) {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	s, err := m.operated(sdkCtx, msg.Operator, msg.Session, stateDisputed)
	if err != nil {
		return nil, err
	}
	if _, err := m.answer(sdkCtx, s, msg.GiveBack); err != nil {
		return nil, err
	}
	return &energyv1.MsgAnswerDisputeResponse{}, nil
}

// JudgeSession is governance's word in a dispute.
func (m msgServer) JudgeSession(ctx context.Context, msg *energyv1.MsgJudgeSession) (*energyv1.MsgJudgeSessionResponse, error) {
	if err := m.govern(msg.Authority); err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	s, err := m.in(sdkCtx, msg.Session, stateAnswered)
	if err != nil {
		return nil, err
	}
	if msg.SlashBps > wholeBps {
		return nil, errorsmod.Wrapf(ErrField, "slash_bps %d: want at most %d", msg.SlashBps, wholeBps)
	}
	if err := checkGiveBack(s, msg.GiveBack); err != nil {
		return nil, err
	}
	if msg.SlashBps > 0 {
		driver, _, err := m.parseAccount("driver", s.Driver)
		if err != nil {
			return nil, err
		}
		if _, err := m.devices.Slash(ctx, s.Station, msg.SlashBps, driver, 0, "overbilled"); err != nil {
			return nil, err
		}
	}
	if _, err := m.payOut(sdkCtx, s, msg.GiveBack); err != nil {
		return nil, err
	}
	return &energyv1.MsgJudgeSessionResponse{}, nil
}

// UpdateParams replaces all params; governance's.
func (m msgServer) UpdateParams(ctx context.Context, msg *energyv1.MsgUpdateParams) (*energyv1.MsgUpdateParamsResponse, error) {
	if err := m.govern(msg.Authority); err != nil {
		return nil, err
	}
	if err := validateParams(msg.Params); err != nil {
		return nil, err
	}
	return &energyv1.MsgUpdateParamsResponse{}, errorsmod.Wrap(m.params.Set(ctx, msg.Params), "writing params")
}
