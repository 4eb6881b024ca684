package csms

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cairn-network/cairn/core/tariff"
	"github.com/cairn-network/cairn/wire/ocpp"
)

func unmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }

// clipped bounds a text that a station tells of itself.
func clipped(s string) string {
	const most = 100
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}

// mended hears how stations deviate from the schemas.
func (s *Service) mended(st *station, action string, how []ocpp.Deviation) {
	s.metrics.mended.WithLabelValues(knownAction(action)).Inc()
	s.Log.Debug("mended a message", "station", st.ID, "action", action, "how", fmt.Sprint(how))
}

// reported changes what is kept of a station.
func (s *Service) reported(st *station, change func(*bootRecord)) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	change(&st.boot)
	c := s.store.change()
	c.put(key('b', st.ID), st.boot)
	return s.commit(c)
}

// booted takes a boot notification. What was open stays open: a station that lost power ends or goes on with its sessions
// by messages that follow.
func (s *Service) booted(st *station, describe func(*bootRecord)) error {
	err := s.reported(st, func(b *bootRecord) {
		describe(b)
		b.Booted = s.Clock.Now().UTC()
	})
	s.metrics.boots.Inc()
	return err
}

// statusChanged takes the state of a connector; phase is what it says of a session there, 0 for nothing; free says that no
// car is there.
func (s *Service) statusChanged(st *station, connector int, status, fault string, at ocpp.Time, phase tariff.State, free bool) error {
	if connector < 0 || connector > MaxConnectors {
		return ocpp.Refuse(ocpp.PropertyConstraint, "connectorId %d: 0 to %d are known", connector, MaxConnectors)
	}
	now := s.Clock.Now().UTC()
	st.mu.Lock()
	defer st.mu.Unlock()
	c := s.store.change()
	if st.boot.Connectors == nil {
		st.boot.Connectors = make(map[int]connectorState)
	}
	old := st.boot.Connectors[connector]
	s.account(st, c, connector, old, now)
	next := connectorState{Status: clipped(status), Error: clipped(fault), Since: now}
	if old.Status == next.Status {
		next.Since = old.Since
	}
	st.boot.Connectors[connector] = next
	c.put(key('b', st.ID), st.boot)
	if phase != 0 {
		s.phased(st, c, connector, at, phase, now)
	}
	if free {
		s.left(st, c, connector, at, now)
	}
	for _, x := range st.sessions() {
		if x.State == Ended {
			s.finish(s.ctx, st, c, x)
		}
	}
	if err := s.commit(c); err != nil {
		return err
	}
	s.outbox.wake()
	return nil
}

// connectionChanged follows a station's coming and going.
func (st *station) connectionChanged() {
	s := st.service
	st.mu.Lock()
	now := s.Clock.Now().UTC()
	c := s.store.change()
	for n, state := range st.boot.Connectors {
		s.account(st, c, n, state, now)
	}
	st.wasOnline = st.connection() != nil
	err := s.commit(c)
	st.mu.Unlock()
	if err != nil {
		return // the daemon ends
	}
	if st.connection() != nil {
		for _, id := range s.orders.of(st.ID) {
			s.tryStart(id)
		}
		s.groups.changed(st.Group)
	}
}

// of are the orders that wait for a station.
func (b *orderBook) of(id string) []OrderID {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []OrderID
	for _, p := range b.byID {
		if p.Station == id {
			out = append(out, p.ID)
		}
	}
	return out
}

// securityEvent is kept in the log, where the owner's monitoring finds it.
func (s *Service) securityEvent(st *station, kind, info string) {
	s.metrics.securityEvents.Inc()
	s.Log.Warn("security event", "station", st.ID, "event", clipped(kind), "info", clipped(info))
}

// vendorData answers a vendor's own message: none is known here.
func (s *Service) vendorData(st *station, vendor, message, _ string) string {
	s.Log.Debug("vendor data", "station", st.ID, "vendor", clipped(vendor), "message", clipped(message))
	return "UnknownVendorId"
}

// day counts days since 1970 in UTC.
func day(t time.Time) uint32 { return uint32(t.Unix() / 86400) }
