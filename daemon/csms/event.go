package csms

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/tariff"
	"github.com/cairn-network/cairn/wire/ocpp"
)

// Tolerances of clocks.
const (
	// clockSlack is how far a station's clock may be from ours.
	clockSlack = 2 * time.Minute
	// longestOffline is how old a start may be and still be believed.
	longestOffline = 30 * 24 * time.Hour
)

// startEvent is a start in either edition.
type startEvent struct {
	key       Key
	connector int
	tag       Tag
	at        ocpp.Time
	register  grid.WattHours
	known     bool // the register is
	version   ocpp.Version
	stationTx string
	offline   bool // the station itself says that it was
	state     tariff.State
}

// sample is one reading on the way.
type sample struct {
	at       ocpp.Time
	register grid.WattHours // noRegister for none
	state    tariff.State   // 0 for as before
	signed   []string       // as packaged
	broken   bool           // a value was no number
}

// stopEvent is an end in either edition.
type stopEvent struct {
	at       ocpp.Time
	register grid.WattHours // noRegister for none
	tag      Tag
	reason   string
	samples  []sample
}

// verdict is what a station is told of a tag.
type verdict string

// Verdicts, in the words of 1.6 that 2.0.1 shares.
const (
	accepted   verdict = "Accepted"
	invalid    verdict = "Invalid"
	expired    verdict = "Expired"
	concurrent verdict = "ConcurrentTx"
)

// start begins a session, or returns the one that the same start has begun before. st.mu is held.
func (s *Service) start(ctx context.Context, st *station, p permit, e startEvent) (*Session, verdict, error) {
	if old, err := s.store.sessionByKey(key('k', e.key)); err != nil || old != nil {
		if old == nil {
			return nil, "", err
		}
		if open := st.open[old.No]; open != nil {
			old = open
		}
		s.metrics.repeated.Inc()
		return old, old.verdict(), nil
	}
	now := s.Clock.Now().UTC()
	no, err := s.give()
	if err != nil {
		return nil, "", err
	}
	x := &Session{
		No: no, Station: st.ID, Connector: e.connector, Version: e.version, StationTx: e.stationTx, Key: e.key, Tag: e.tag,
		State: Active, StartArrived: now, LastArrived: now, MeterStart: e.register, StartKnown: e.known, Zone: st.zone(now),
	}
	if !e.known || e.register < 0 || e.register > maxRegister {
		if e.known {
			x.remark(ValueUnreadable)
		}
		x.StartKnown, x.MeterStart = false, 0
		x.remark(StartMissing)
	}
	c := s.store.change()
	says := p.verdict
	x.begin(e.at, now, p.order)
	if e.offline {
		x.remark(AcceptedOffline)
	}
	if _, ok := st.connector(e.connector); !ok {
		x.remark(ConnectorUnknown)
	}
	switch {
	case p.verdict == accepted:
		s.payer(c, st, x, p)
	case e.tag != "": // in 2.0.1 a session may begin before anybody said who pays
		x.remark(UnknownTag)
	}
	// A new start at a connector says that the former session there has ended, though its stop never came.
	if old := st.at(e.connector); old != nil && e.connector > 0 {
		s.abandon(st, c, old, now)
	}
	if e.state != 0 && e.state != tariff.Charging {
		if i := x.note(Mark{At: x.Started.Unix(), Register: noRegister, State: e.state}, 0); i >= 0 {
			c.mark(x, i)
		}
	}
	c.session(x)
	c.put(key('k', x.Key), no.bytes())
	if x.StationTx != "" {
		c.put(key('x', st.ID, byte(0), x.StationTx), no.bytes())
	}
	if err := s.commit(c); err != nil {
		return nil, "", err
	}
	st.open[no] = x
	if p.order != nil {
		s.orders.bound(p.order.ID)
	}
	s.outbox.wake()
	s.metrics.started.Inc()
	s.groups.changed(st.Group)
	return x, says, nil
}

// payer notes in a session who pays for it, and tells the ledger that it began.
func (s *Service) payer(c *change, st *station, x *Session, p permit) {
	switch {
	case p.order != nil:
		x.Order, x.Tariff, x.Escrow = p.order.ID, p.order.Tariff, p.order.Escrow
		x.MaxEnergy, x.MaxSeconds = p.order.MaxEnergy, p.order.MaxSeconds
		c.drop(key('o', uint64(p.order.ID)))
		s.outbox.add(c, entry{Kind: began, No: x.No, Order: p.order.ID, At: x.Started})
	case p.grant != nil:
		x.Grant, x.Tariff, x.Escrow, x.MaxEnergy = p.grant.ID, p.tariff, p.grant.MaxSpend, p.grant.MaxEnergy
		s.outbox.add(c, entry{Kind: openByCard, No: x.No, Use: &CardUse{
			Key: x.Key, Grant: p.grant.ID, Tag: x.Tag, Station: st.ID, Connector: x.Connector, Tariff: p.tariff, Started: x.Started,
		}})
	}
}

// verdict is what is said again of a session's tag.
func (s *Session) verdict() verdict {
	if slices.Contains(s.Reasons, UnknownTag) {
		return invalid
	}
	return accepted
}

// begin sets when a session started, by a clock that may be wrong: a start cannot lie in the future, nor before its order
// was opened, nor longer ago than any station is offline.
func (s *Session) begin(at ocpp.Time, now time.Time, order *Order) {
	stated := at.Time
	if stated.IsZero() {
		s.Started = now
		return
	}
	early := now.Add(-longestOffline)
	if order != nil {
		early = order.Opened.Add(-clockSlack)
	}
	switch {
	case stated.After(now.Add(clockSlack)) || stated.Before(early):
		s.Skew = now.Sub(stated)
		s.remark(ClockOff)
		if order == nil && stated.Before(early) {
			s.remark(AcceptedOffline)
		}
	case stated.Before(now.Add(-clockSlack)):
		s.remark(AcceptedOffline)
	}
	s.Started = stated.Add(s.Skew)
}

// when puts right a time that a station told during a session: by the skew of the start, as it stands if the clock was set
// since, else by our own.
func (s *Session) when(at ocpp.Time, now time.Time) time.Time {
	if at.IsZero() {
		return now
	}
	floor := s.Started.Add(-time.Second)
	for _, t := range []time.Time{at.Add(s.Skew), at.Time} {
		if !t.Before(floor) && !t.After(now.Add(clockSlack)) {
			return t.UTC()
		}
	}
	s.remark(ClockOff)
	return now
}

// sampled takes readings of a session, and returns whether its row must be written. st.mu is held.
func (s *Service) sampled(st *station, c *change, x *Session, samples []sample, now time.Time) {
	reasons := len(x.Reasons)
	wrote := false
	connector, _ := st.connector(x.Connector)
	for _, m := range samples {
		at := x.when(m.at, now)
		if m.broken {
			x.remark(ValueUnreadable)
		}
		for _, record := range m.signed {
			wrote = x.keep(c, record) || wrote
		}
		if m.register == noRegister && m.state == 0 {
			continue
		}
		if !x.State.Open() && m.state == 0 {
			x.remark(LateMeterValues)
			continue
		}
		state := m.state
		if state == 0 {
			state = x.phase()
		}
		mark := Mark{At: at.Unix(), Register: m.register, State: state}
		if i := x.note(mark, x.bound(connector.Power, mark.At)); i >= 0 {
			c.mark(x, i)
		}
	}
	x.LastArrived = now
	if wrote || len(x.Reasons) != reasons {
		c.session(x)
	}
}

// keep keeps a signed record once, within bounds.
func (s *Session) keep(c *change, record string) bool {
	total := 0
	for _, r := range s.records {
		if r == record {
			return false
		}
		total += len(r)
	}
	if len(s.records) >= maxRecords || total+len(record) > maxEvidence {
		s.remark(EvidenceBad)
		return true
	}
	c.evidence(s, record)
	return true
}

// phase takes what the car does at a connector. st.mu is held.
func (s *Service) phased(st *station, c *change, connector int, at ocpp.Time, state tariff.State, now time.Time) {
	x := st.newest(func(x *Session) bool {
		return x.Connector == connector && (x.State == Active || x.State == Ended && !x.CarLeft)
	})
	if x == nil {
		return
	}
	t := x.when(at, now)
	if i := x.note(Mark{At: t.Unix(), Register: noRegister, State: state}, 0); i >= 0 {
		c.mark(x, i)
	}
	x.LastArrived = now
}

// left says that the car has gone from a connector. st.mu is held.
func (s *Service) left(st *station, c *change, connector int, at ocpp.Time, now time.Time) {
	x := st.newest(func(x *Session) bool { return x.Connector == connector && x.State == Ended && !x.CarLeft })
	if x == nil {
		return
	}
	if i := x.note(Mark{At: x.when(at, now).Unix(), Register: noRegister, State: tariff.SuspendedByStation}, 0); i >= 0 {
		c.mark(x, i)
	}
	x.CarLeft = true
	c.session(x)
}

// stop ends a session. A second stop changes nothing. st.mu is held, c is committed by the caller.
func (s *Service) stop(st *station, c *change, x *Session, e stopEvent) {
	now := s.Clock.Now().UTC()
	missing := slices.Contains(x.Reasons, StopMissing)
	if !x.State.Open() && !(x.State == Ended && missing) {
		if e.register != noRegister && e.register != x.MeterStop && x.State == Ended {
			x.remark(StoppedTwice)
			c.session(x)
		}
		s.sampledLate(st, c, x, e.samples, now)
		s.metrics.repeated.Inc()
		return
	}
	if missing { // it came after all
		x.Reasons = slices.DeleteFunc(x.Reasons, func(r Reason) bool { return r == StopMissing })
		x.State = Active
	}
	s.sampled(st, c, x, e.samples, now)
	at := x.when(e.at, now)
	connector, _ := st.connector(x.Connector)
	next := tariff.Idle // what the car does until it leaves
	if e.register != noRegister {
		if i := x.note(Mark{At: at.Unix(), Register: e.register, State: next}, x.bound(connector.Power, at.Unix())); i >= 0 {
			c.mark(x, i)
		}
		x.MeterStop = e.register
	} else {
		if i := x.note(Mark{At: at.Unix(), Register: noRegister, State: next}, 0); i >= 0 {
			c.mark(x, i)
		}
		x.MeterStop, _ = x.last()
	}
	x.State, x.Stopped, x.StopArrived, x.LastArrived, x.StopReason = Ended, at, now, now, e.reason
	if x.Stopped.Before(x.Started) {
		x.Stopped = x.Started
	}
	if e.reason == "EVDisconnected" {
		x.CarLeft = true
	}
	c.session(x)
	s.metrics.stopped.Inc()
	s.groups.changed(st.Group)
}

// sampledLate keeps the signed records that come after an end, as evidence; values count no more.
func (s *Service) sampledLate(st *station, c *change, x *Session, samples []sample, now time.Time) {
	for i := range samples {
		samples[i].state = 0
	}
	if x.State == Ended {
		s.sampled(st, c, x, samples, now)
		return
	}
	wrote := false
	for _, m := range samples {
		for _, record := range m.signed {
			wrote = x.keep(c, record) || wrote
		}
	}
	if wrote {
		c.session(x)
	}
}

// abandon ends a session whose stop never came, at its last value. st.mu is held.
func (s *Service) abandon(st *station, c *change, x *Session, now time.Time) {
	x.remark(StopMissing)
	_, at := x.last()
	x.MeterStop, _ = x.last()
	x.State, x.Stopped, x.StopArrived, x.CarLeft = Ended, time.Unix(at, 0).UTC(), now, true
	c.session(x)
	s.groups.changed(st.Group)
}

// orphan is a session whose start never arrived: known by its stop or by a value on the way. st.mu is held.
func (s *Service) orphan(ctx context.Context, st *station, p permit, name string, version ocpp.Version, tag Tag, connector int, at ocpp.Time) (*Session, error) {
	k := Key(sha256.Sum256(fmt.Appendf(nil, "orphan\x00%s\x00%s\x00%d\x00%s", st.ID, name, at.UnixMilli(), tag.fold())))
	if connector == 0 && p.order != nil {
		connector = p.order.Connector
	}
	e := startEvent{key: k, connector: connector, tag: tag, at: at, version: version, offline: true}
	if version == ocpp.V201 {
		e.stationTx = name
	}
	x, _, err := s.start(ctx, st, p, e)
	return x, err
}

// zone is how far local time is ahead of UTC, in seconds.
func (st *station) zone(now time.Time) int32 {
	if st.Place.TimeZone == "" {
		return 0
	}
	l, err := time.LoadLocation(st.Place.TimeZone)
	if err != nil {
		return 0
	}
	_, offset := now.In(l).Zone()
	return int32(offset)
}
