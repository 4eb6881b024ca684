package energy

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	stateOpen     = energyv1.SessionState_SESSION_STATE_OPEN
	stateCharging = energyv1.SessionState_SESSION_STATE_CHARGING
	stateHeld     = energyv1.SessionState_SESSION_STATE_HELD
	stateDisputed = energyv1.SessionState_SESSION_STATE_DISPUTED
	stateAnswered = energyv1.SessionState_SESSION_STATE_ANSWERED
	stateSettled  = energyv1.SessionState_SESSION_STATE_SETTLED
	stateRefunded = energyv1.SessionState_SESSION_STATE_REFUNDED

	// maxOpenSessions bounds what waits at one station.
	maxOpenSessions = 10_000
)

// over says whether all money of a session has gone where it belongs.
func over(s energyv1.SessionState) bool { return s == stateSettled || s == stateRefunded }

// TagSize is the length of a session's tag: what OCPP 1.6 allows an idTag to have.
const TagSize = 20

// Tag is what the station starts a session's transaction with: the beginning of the base32 of
// SHA-256 over the chain id after its length (1 byte), session (8) and station (8).
func Tag(chainID string, session, station uint64) string {
	b := append([]byte{byte(len(chainID))}, chainID...)
	b = binary.BigEndian.AppendUint64(b, session)
	hash := sha256.Sum256(binary.BigEndian.AppendUint64(b, station))
	return base32.StdEncoding.EncodeToString(hash[:])[:TagSize]
}

// save writes a session, moves its entry in the queue, counts it at its station and says that it has
// come to a state. was is the deadline that it had, 0 for a new one.
func (k *Keeper) save(ctx context.Context, s energyv1.Session, was int64) error {
	if was != s.Deadline {
		if was != 0 {
			if err := k.deadlines.Remove(ctx, collections.Join(was, s.Id)); err != nil {
				return errorsmod.Wrapf(err, "removing deadline of session %d", s.Id)
			}
		}
		if err := k.deadlines.Set(ctx, collections.Join(s.Deadline, s.Id)); err != nil {
			return errorsmod.Wrapf(err, "setting deadline of session %d", s.Id)
		}
	}
	if err := k.sessions.Set(ctx, s.Id, s); err != nil {
		return errorsmod.Wrapf(err, "writing session %d", s.Id)
	}
	if !over(s.State) && was != 0 {
		return emit(ctx, &energyv1.EventSession{Session: s.Id, Station: s.Station, State: s.State})
	}
	station, err := k.station(ctx, s.Station)
	if err != nil {
		return err
	}
	switch {
	case was == 0:
		station.OpenSessions++
	case s.State == stateSettled:
		station.OpenSessions--
		station.Sessions++
		station.Energy += s.Bill.Energy
	default:
		station.OpenSessions--
	}
	if err := k.stations.Set(ctx, s.Station, station); err != nil {
		return errorsmod.Wrapf(err, "writing station %d", s.Station)
	}
	return emit(ctx, &energyv1.EventSession{Session: s.Id, Station: s.Station, State: s.State})
}

// open locks the driver's money in a new session.
func (k *Keeper) open(ctx sdk.Context, driver sdk.AccAddress, text string, msg *energyv1.MsgOpenSession) (energyv1.Session, error) {
	var none energyv1.Session
	if _, err := parseCoin("escrow", msg.Escrow); err != nil {
		return none, err
	}
	params, err := k.Params(ctx)
	if err != nil {
		return none, err
	}
	station, err := k.station(ctx, msg.Station)
	if err != nil {
		return none, err
	}
	if station.Closed {
		return none, errorsmod.Wrapf(ErrClosed, "station %d", msg.Station)
	}
	if err := k.selling(ctx, msg.Station); err != nil {
		return none, err
	}
	if station.OpenSessions >= maxOpenSessions {
		return none, errorsmod.Wrapf(ErrTooMany, "station %d has %d sessions that are not over", msg.Station, station.OpenSessions)
	}
	if station.Tariff != msg.Tariff {
		return none, errorsmod.Wrapf(ErrChanged, "tariff %d: station %d sells by tariff %d", msg.Tariff, msg.Station, station.Tariff)
	}
	c, err := connector(station, msg.Connector)
	if err != nil {
		return none, err
	}
	most := params.Charging.MaxEscrow.Amount
	if weak(c.Meter) {
		most = math.MinInt(most, params.Charging.MaxUnsigned)
	}
	if msg.Escrow.Amount.GT(most) {
		return none, errorsmod.Wrapf(ErrAmount, "escrow %s: at most %s%s at connector %d", msg.Escrow, most, msg.Escrow.Denom, c.Id)
	}
	ctx.GasMeter().ConsumeGas(deadlinesPerSession*gasDeadline, "energy deadlines")
	now := ctx.BlockTime().Unix()
	s := energyv1.Session{
		Station: msg.Station, Connector: c.Id, Driver: text, Tariff: msg.Tariff,
		Shares: station.Shares, Meter: c.Meter, MaxWatts: c.MaxWatts, Escrow: msg.Escrow,
		State: stateOpen, OpenedAt: now, Deadline: now + params.Charging.StartSeconds, Offered: math.ZeroInt(),
	}
	if err := k.take(ctx, driver, s.Escrow); err != nil {
		return none, errorsmod.Wrapf(err, "locking %s", s.Escrow)
	}
	if s.Id, err = k.nextSession.Next(ctx); err != nil {
		return none, errorsmod.Wrap(err, "numbering session")
	}
	s.Tag = Tag(ctx.ChainID(), s.Id, s.Station)
	if err := k.save(ctx, s, 0); err != nil {
		return none, err
	}
	return s, emit(ctx, &energyv1.EventSessionOpened{
		Session: s.Id, Station: s.Station, Connector: s.Connector, Driver: s.Driver, Tag: s.Tag, Escrow: s.Escrow,
	})
}

// in gives a session that is in a state and whose deadline has not passed.
func (k *Keeper) in(ctx sdk.Context, id uint64, state energyv1.SessionState) (energyv1.Session, error) {
	s, err := k.session(ctx, id)
	if err != nil {
		return s, err
	}
	if s.State != state {
		return s, errorsmod.Wrapf(ErrState, "session %d: %s, want %s", id, s.State, state)
	}
	if now := ctx.BlockTime().Unix(); now >= s.Deadline {
		return s, errorsmod.Wrapf(ErrDeadline, "session %d: its time ended at %d, it is %d", id, s.Deadline, now)
	}
	return s, nil
}

// start says that the station has begun.
func (k *Keeper) start(ctx sdk.Context, s energyv1.Session) (energyv1.Session, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return s, err
	}
	was := s.Deadline
	s.State, s.StartedAt = stateCharging, ctx.BlockTime().Unix()
	s.Deadline = s.StartedAt + params.Charging.BillSeconds
	return s, k.save(ctx, s, was)
}

// refund gives the driver everything back, deposit included.
func (k *Keeper) refund(ctx sdk.Context, s energyv1.Session) (energyv1.Session, error) {
	back := s.Escrow
	if s.Bill != nil {
		back = s.Bill.Cost // the rest went back when the bill was made
	}
	if s.Deposit != nil {
		back = back.Add(*s.Deposit)
	}
	driver, _, err := k.parseAccount("driver", s.Driver)
	if err != nil {
		return s, err
	}
	if err := k.send(ctx, driver, back); err != nil {
		return s, errorsmod.Wrapf(err, "giving %s back to %s", back, s.Driver)
	}
	if s.Bill != nil {
		s.Bill.GivenBack = s.Bill.Cost
		s.Bill.Fee = zero()
	}
	return k.end(ctx, s, stateRefunded)
}

// end leaves a session to be forgotten.
func (k *Keeper) end(ctx sdk.Context, s energyv1.Session, state energyv1.SessionState) (energyv1.Session, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return s, err
	}
	was := s.Deadline
	s.State, s.Deadline, s.Deposit = state, ctx.BlockTime().Unix()+params.Charging.RetainSeconds, nil
	return s, k.save(ctx, s, was)
}

// payOut pays a bill: the fee is burned, giveBack goes to the driver, the rest to the shares. A
// deposit goes back to the driver if the station gave something back, and is burned if it did not.
func (k *Keeper) payOut(ctx sdk.Context, s energyv1.Session, giveBack math.Int) (energyv1.Session, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return s, err
	}
	b := s.Bill
	earned := b.Cost.Amount.Sub(giveBack)
	fee := earned.MulRaw(int64(params.Charging.FeeBps)).QuoRaw(wholeBps)
	b.GivenBack.Amount, b.Fee.Amount = giveBack, fee
	back, burned := b.GivenBack, b.Fee
	if s.Deposit != nil {
		if giveBack.IsPositive() {
			back = back.Add(*s.Deposit)
		} else {
			burned = burned.Add(*s.Deposit)
		}
	}
	driver, _, err := k.parseAccount("driver", s.Driver)
	if err != nil {
		return s, err
	}
	if err := k.send(ctx, driver, back); err != nil {
		return s, errorsmod.Wrapf(err, "giving %s back to %s", back, s.Driver)
	}
	if burned.IsPositive() {
		if err := k.bank.BurnCoins(ctx, ModuleName, sdk.NewCoins(burned)); err != nil {
			return s, errorsmod.Wrapf(err, "burning %s", burned)
		}
	}
	paid := earned.Sub(fee)
	if err := k.pay(ctx, s, paid); err != nil {
		return s, err
	}
	if k.rewards != nil && earned.IsPositive() {
		if err := k.rewards.AfterSettle(ctx, s.Station, Resource, sdk.Coin{Denom: b.Cost.Denom, Amount: paid}, b.Fee); err != nil {
			return s, errorsmod.Wrapf(err, "telling rewards of session %d", s.Id)
		}
	}
	return k.end(ctx, s, stateSettled)
}

// due does what comes of a session's deadline.
func (k *Keeper) due(ctx sdk.Context, s energyv1.Session) (energyv1.Session, error) {
	switch s.State {
	case stateOpen, stateCharging, stateDisputed:
		return k.refund(ctx, s)
	case stateHeld:
		return k.payOut(ctx, s, math.ZeroInt())
	case stateAnswered:
		return k.payOut(ctx, s, s.Offered)
	default:
		return s, k.forget(ctx, s)
	}
}

// dispute stops the payout of a bill until the station answers.
func (k *Keeper) dispute(ctx sdk.Context, driver sdk.AccAddress, s energyv1.Session) (energyv1.Session, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return s, err
	}
	deposit := params.Charging.DisputeDeposit
	if err := k.take(ctx, driver, deposit); err != nil {
		return s, errorsmod.Wrapf(err, "taking the deposit of %s", deposit)
	}
	was := s.Deadline
	s.State, s.Deadline = stateDisputed, ctx.BlockTime().Unix()+params.Charging.AnswerSeconds
	if deposit.IsPositive() {
		s.Deposit = &deposit
	}
	return s, k.save(ctx, s, was)
}

// answer keeps what the station offers until governance judges or its time is over.
func (k *Keeper) answer(ctx sdk.Context, s energyv1.Session, giveBack math.Int) (energyv1.Session, error) {
	if err := checkGiveBack(s, giveBack); err != nil {
		return s, err
	}
	params, err := k.Params(ctx)
	if err != nil {
		return s, err
	}
	was := s.Deadline
	s.State, s.Deadline, s.Offered = stateAnswered, ctx.BlockTime().Unix()+params.Charging.HoldSeconds, giveBack
	return s, k.save(ctx, s, was)
}

func checkGiveBack(s energyv1.Session, giveBack math.Int) error {
	if _, err := parseAmount("give_back", giveBack); err != nil {
		return err
	}
	if giveBack.GT(s.Bill.Cost.Amount) {
		return errorsmod.Wrapf(ErrAmount, "give_back %s: session %d cost %s", giveBack, s.Id, s.Bill.Cost)
	}
	return nil
}

// forget removes a session that is over. Its pages stay used up.
func (k *Keeper) forget(ctx sdk.Context, s energyv1.Session) error {
	if err := k.deadlines.Remove(ctx, collections.Join(s.Deadline, s.Id)); err != nil {
		return errorsmod.Wrapf(err, "removing deadline of session %d", s.Id)
	}
	if s.Bill != nil && len(s.Bill.Meter) > 0 {
		if err := k.forgetPages(ctx, s); err != nil {
			return err
		}
	}
	return errorsmod.Wrapf(k.sessions.Remove(ctx, s.Id), "removing session %d", s.Id)
}

// checkDriver refuses who is not the session's driver.
func checkDriver(s energyv1.Session, account string) error {
	if s.Driver != account {
		return errorsmod.Wrapf(ErrNotDriver, "session %d: %s", s.Id, modkit.Clip(account))
	}
	return nil
}
