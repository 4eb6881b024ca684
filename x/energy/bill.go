package energy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/ocmf"
	"github.com/cairn-network/cairn/core/tariff"
)

const (
	// clockSlack is how far a meter's clock that says it is right may be from the chain's, seconds.
	clockSlack = 600
	// powerMargin over a connector's power, in percent.
	powerMargin = 110
	// maxZone is the greatest difference of a local time to UTC, seconds.
	maxZone = 14 * 3600
)

// proved is what a session's records show.
type proved struct {
	energy   grid.WattHours
	seconds  uint64
	begin    int64
	end      int64
	time     bool // the seconds may be billed
	evidence []byte
	meter    []byte
	pages    []ocmf.Page
}

// prove checks a session's records.
func (k *Keeper) prove(ctx sdk.Context, s energyv1.Session, raw [][]byte) (proved, error) {
	if s.Meter == nil {
		return proved{}, errorsmod.Wrapf(ErrRecord, "session %d: connector %d has no meter that signs", s.Id, s.Connector)
	}
	if len(raw) > ocmf.MaxRecords {
		return proved{}, errorsmod.Wrapf(ErrTooMany, "%d records, want at most %d", len(raw), ocmf.MaxRecords)
	}
	key, err := ocmf.KeyFromBytes(s.Meter.Key)
	if err != nil {
		return proved{}, errorsmod.Wrapf(ErrRecord, "registered key: %s", err)
	}
	records := make([]ocmf.Record, len(raw))
	digest := sha256.New()
	for i, text := range raw {
		ctx.GasMeter().ConsumeGas(key.Curve().Gas()+gasRecordByte*uint64(len(text)), "energy record")
		if records[i], err = ocmf.Parse(text); err != nil {
			return proved{}, errorsmod.Wrapf(ErrRecord, "records[%d]: %s", i, err)
		}
		_, _ = digest.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text)))) // a hash never fails
		_, _ = digest.Write(text)
	}
	meter := sha256.Sum256(s.Meter.Key)
	now := ctx.BlockTime().Unix()
	most := grid.WattHours(s.MaxWatts) * grid.WattHours(now-s.OpenedAt+clockSlack) / 3600 * powerMargin / 100
	var reading error
	settled, err := ocmf.Settle(records, ocmf.Rules{
		Key: key, Serial: s.Meter.Serial, MaxEnergy: max(most, 1),
		Used: func(p ocmf.Page) bool {
			used, err := k.used(ctx, meter[:], p.Number)
			reading = errors.Join(reading, err)
			return used
		},
	})
	if reading != nil {
		return proved{}, errorsmod.Wrap(reading, "reading the pages that were billed")
	}
	if err != nil {
		return proved{}, errorsmod.Wrapf(ErrRecord, "%s", err)
	}
	if id := settled.User.ID; settled.User.Assigned && id != "" && !strings.EqualFold(id, s.Tag) {
		return proved{}, errorsmod.Wrapf(ErrRecord, "records are of user %.40q, the session's tag is %s", id, s.Tag)
	}
	p := proved{
		energy: settled.Energy.WattHours(), seconds: settled.Seconds, time: settled.TimeBillable,
		begin: settled.Begin.Time.UnixMilli / 1000, end: settled.End.Time.UnixMilli / 1000,
		evidence: digest.Sum(nil), meter: meter[:], pages: settled.Pages,
	}
	for _, mark := range []ocmf.Mark{settled.Begin, settled.End} {
		at := mark.Time.UnixMilli / 1000
		if mark.Time.Sync == ocmf.Synchronized && (at < s.OpenedAt-clockSlack || at > now+clockSlack) {
			return proved{}, errorsmod.Wrapf(ErrRecord, "record of %s: session %d was opened at %d, it is %d", mark.Time, s.Id, s.OpenedAt, now)
		}
	}
	if settled.Begin.Time.Sync != ocmf.Synchronized {
		p.begin = 0 // the meter does not know what time it was
	}
	return p, nil
}

// bill computes what a session costs. signed is nil where no records prove it.
func (k *Keeper) bill(ctx sdk.Context, s energyv1.Session, msg *energyv1.MsgSettleSession, signed *proved, params energyv1.ChargingParams) (energyv1.Bill, error) {
	now := ctx.BlockTime().Unix()
	b := energyv1.Bill{
		Due: zero(), Unpaid: zero(), Cost: zero(), Fee: zero(), Refund: zero(), GivenBack: zero(),
		Begin: msg.Begin, BilledAt: now,
	}
	if signed != nil && signed.begin != 0 {
		b.Begin = signed.begin
	}
	if b.Begin < s.OpenedAt-clockSlack || b.Begin > now+clockSlack {
		return b, errorsmod.Wrapf(ErrField, "begin %d: session %d was opened at %d, it is %d", b.Begin, s.Id, s.OpenedAt, now)
	}
	if msg.ZoneSeconds < -maxZone || msg.ZoneSeconds > maxZone {
		return b, errorsmod.Wrapf(ErrField, "zone_seconds %d: want -%d to %d", msg.ZoneSeconds, maxZone, maxZone)
	}
	periods, energy, seconds, err := parsePeriods(msg.Periods)
	if err != nil {
		return b, err
	}
	ctx.GasMeter().ConsumeGas(gasPeriod*uint64(len(periods)), "energy periods")
	most := uint64(max(now-b.Begin, 0)) + clockSlack
	if signed != nil && signed.time {
		most = signed.seconds + 1 // seconds were cut
	}
	if seconds > most {
		return b, errorsmod.Wrapf(ErrPeriods, "%d seconds, the session lasted %d", seconds, most)
	}
	b.End = b.Begin + int64(seconds)
	if signed != nil {
		if energy != signed.energy {
			return b, errorsmod.Wrapf(ErrPeriods, "%d Wh, the records prove %d", energy, signed.energy)
		}
		b.Signed, b.TimeBilled, b.Evidence = true, signed.time, signed.evidence
		b.Meter, b.FirstPage, b.LastPage = signed.meter, signed.pages[0].Number, signed.pages[len(signed.pages)-1].Number
	} else if limit := grid.WattHours(s.MaxWatts) * grid.WattHours(now-s.OpenedAt+clockSlack) / 3600 * powerMargin / 100; energy > limit {
		return b, errorsmod.Wrapf(ErrPeriods, "%d Wh, the connector delivers at most %d", energy, limit)
	} else {
		b.TimeBilled = true
	}
	kept, err := k.tariff(ctx, s.Tariff)
	if err != nil {
		return b, err
	}
	ctx.GasMeter().ConsumeGas(gasTariffByte*uint64(len(kept.Document)), "energy tariff")
	t, err := parseTariff(kept.Document)
	if err != nil {
		return b, err
	}
	if !b.TimeBilled {
		t = untimed(t)
	}
	cost, err := t.Price(tariff.Session{Start: b.Begin, ZoneSeconds: msg.ZoneSeconds, Periods: periods})
	if err != nil {
		return b, errorsmod.Wrapf(ErrNotCharged, "session %d by tariff %d: %s", s.Id, s.Tariff, err)
	}
	b.Energy = int64(cost.Used.Energy)
	b.ChargingSeconds, b.ParkingSeconds, b.WaitingSeconds = cost.Used.Charging, cost.Used.Parking, cost.Used.Waiting
	for _, l := range cost.Lines {
		b.Lines = append(b.Lines, energyv1.Line{
			Element: uint32(l.Element), Component: uint32(l.Component), Dimension: uint32(l.Dimension),
			Used: l.Used, Billed: l.Billed, ExclVat: toInt(l.ExclVAT), Tax: toInt(l.Tax),
		})
	}
	b.Due.Amount = toInt(cost.Total.InclVAT)
	limit := s.Escrow.Amount
	if signed == nil {
		limit = math.MinInt(limit, params.MaxUnsigned)
	}
	b.Cost.Amount = math.MinInt(b.Due.Amount, limit)
	b.Unpaid.Amount = b.Due.Amount.Sub(b.Cost.Amount)
	b.Refund.Amount = s.Escrow.Amount.Sub(b.Cost.Amount)
	return b, nil
}

// settle bills a session: with strong records it is paid at once, without it waits.
func (k *Keeper) settle(ctx sdk.Context, s energyv1.Session, msg *energyv1.MsgSettleSession) (energyv1.Session, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return s, err
	}
	var signed *proved
	if len(msg.Records) > 0 {
		p, err := k.prove(ctx, s, msg.Records)
		if err != nil {
			return s, err
		}
		signed = &p
	}
	b, err := k.bill(ctx, s, msg, signed, params.Charging)
	if err != nil {
		return s, err
	}
	s.Bill = &b
	if signed != nil {
		if err := k.usePages(ctx, s); err != nil {
			return s, err
		}
	}
	driver, _, err := k.parseAccount("driver", s.Driver)
	if err != nil {
		return s, err
	}
	if err := k.send(ctx, driver, b.Refund); err != nil {
		return s, errorsmod.Wrapf(err, "giving %s back to %s", b.Refund, s.Driver)
	}
	if signed != nil && !weak(s.Meter) {
		s, err = k.payOut(ctx, s, math.ZeroInt())
	} else {
		was := s.Deadline
		s.State, s.Deadline = stateHeld, b.BilledAt+params.Charging.HoldSeconds
		err = k.save(ctx, s, was)
	}
	if err != nil {
		return s, err
	}
	return s, emit(ctx, &energyv1.EventSessionBilled{
		Session: s.Id, Station: s.Station, Energy: b.Energy, Cost: b.Cost, Refund: b.Refund, Signed: b.Signed,
	})
}

// parsePeriods reads what happened in a session and adds it up.
func parsePeriods(list []energyv1.Period) (periods []tariff.Period, energy grid.WattHours, seconds uint64, err error) {
	if len(list) > tariff.MaxPeriods {
		return nil, 0, 0, errorsmod.Wrapf(ErrTooMany, "%d periods, want at most %d", len(list), tariff.MaxPeriods)
	}
	for i, p := range list {
		if p.State < energyv1.PeriodState_PERIOD_STATE_CHARGING || p.State > energyv1.PeriodState_PERIOD_STATE_IDLE {
			return nil, 0, 0, errorsmod.Wrapf(ErrPeriods, "periods[%d].state %d", i, p.State)
		}
		if p.Energy < 0 || grid.WattHours(p.Energy) > tariff.MaxEnergy-energy {
			return nil, 0, 0, errorsmod.Wrapf(ErrPeriods, "periods[%d].energy %d Wh", i, p.Energy)
		}
		energy += grid.WattHours(p.Energy)
		if seconds += uint64(p.Seconds); seconds > tariff.MaxSeconds {
			return nil, 0, 0, errorsmod.Wrapf(ErrPeriods, "periods last more than %d s", tariff.MaxSeconds)
		}
		// The numbers of both are the same.
		periods = append(periods, tariff.Period{State: tariff.State(p.State), Seconds: p.Seconds, Energy: grid.WattHours(p.Energy)})
	}
	return periods, energy, seconds, nil
}

// untimed is a tariff without what it asks for time: a meter whose clock is not right proves none.
func untimed(t tariff.Tariff) tariff.Tariff {
	elements := make([]tariff.Element, 0, len(t.Elements))
	for _, e := range t.Elements {
		var components []tariff.Component
		for _, c := range e.Components {
			if c.Dimension == tariff.Energy || c.Dimension == tariff.Flat {
				components = append(components, c)
			}
		}
		if len(components) > 0 {
			e.Components = components
			elements = append(elements, e)
		}
	}
	if len(elements) == 0 { // all of it was for time: free
		elements = []tariff.Element{{Components: []tariff.Component{{Dimension: tariff.Flat, Step: 1}}}}
	}
	t.Elements = elements
	return t
}

// used says whether a page of a meter has been billed.
func (k *Keeper) used(ctx context.Context, meter []byte, page uint64) (bool, error) {
	mark, err := k.marks.Get(ctx, meter)
	if err == nil && page <= mark.Through {
		return true, nil
	}
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return false, err
	}
	run, some, err := k.runFrom(ctx, meter, page)
	return some && run.First <= page, err
}

// runFrom gives the first run of a meter that ends at a page or later.
func (k *Keeper) runFrom(ctx context.Context, meter []byte, page uint64) (found energyv1.PageRun, some bool, err error) {
	from := collections.NewPrefixedPairRange[[]byte, uint64](meter).StartInclusive(page)
	err = k.runs.Walk(ctx, from, func(_ runKey, run energyv1.PageRun) (bool, error) {
		found, some = run, true
		return true, nil
	})
	return found, some, err
}

// usePages keeps which pages a session's bill used up.
func (k *Keeper) usePages(ctx context.Context, s energyv1.Session) error {
	b := s.Bill
	// A record inside the run of another bill would have been refused; a run around it must be, too.
	if run, some, err := k.runFrom(ctx, b.Meter, b.FirstPage); err != nil || some && run.First <= b.LastPage {
		return errors.Join(err, errorsmod.Wrapf(ErrRecord, "pages T%d to T%d: session %d used some", b.FirstPage, b.LastPage, run.Session))
	}
	run := energyv1.PageRun{Meter: b.Meter, First: b.FirstPage, Last: b.LastPage, Session: s.Id}
	return errorsmod.Wrapf(k.runs.Set(ctx, collections.Join(run.Meter, run.Last), run), "writing pages of session %d", s.Id)
}

// forgetPages removes a session's run and raises the mark of its meter above it.
func (k *Keeper) forgetPages(ctx context.Context, s energyv1.Session) error {
	b := s.Bill
	if err := k.runs.Remove(ctx, collections.Join(b.Meter, b.LastPage)); err != nil {
		return errorsmod.Wrapf(err, "removing pages of session %d", s.Id)
	}
	mark, err := k.marks.Get(ctx, b.Meter)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return errorsmod.Wrapf(err, "reading mark of a meter of station %d", s.Station)
	}
	if err == nil && mark.Through >= b.LastPage {
		return nil
	}
	mark = energyv1.PageMark{Meter: b.Meter, Through: b.LastPage}
	return errorsmod.Wrapf(k.marks.Set(ctx, b.Meter, mark), "writing mark of a meter of station %d", s.Station)
}
