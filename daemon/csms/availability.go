package csms

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Availability is a connector's day in seconds, by our own clock. What is missing to 86,400 was not observed.
type Availability struct {
	Day       string `json:"day"` // 2026-01-31, UTC
	Connector int    `json:"connector"`
	// Available counts free and in use, Faulted and Offline what drivers could not use.
	Available uint32 `json:"available_seconds"`
	Faulted   uint32 `json:"faulted_seconds"`
	Offline   uint32 `json:"offline_seconds"`
}

// tally is the row of a day, and the point up to which it counts.
type tally struct {
	Available uint32    `json:"available"`
	Faulted   uint32    `json:"faulted"`
	Offline   uint32    `json:"offline"`
	Until     time.Time `json:"until"`
}

// keepDays bounds how far back a gap is filled.
const keepDays = 7

// account adds the time since the last accounting to a connector's days, in the state that held since. st.mu is held. The
// caller commits c.
func (s *Service) account(st *station, c *change, connector int, state connectorState, now time.Time) {
	if state.Since.IsZero() {
		return
	}
	from := state.Since
	if early := now.AddDate(0, 0, -keepDays); from.Before(early) {
		from = early
	}
	for d := day(from); d <= day(now); d++ {
		k := key('u', st.ID, byte(0), uint16(connector), d)
		var t tally
		if _, err := s.store.get(k, &t); err != nil {
			c.err = err
			return
		}
		begin := time.Unix(int64(d)*86400, 0).UTC()
		end := begin.AddDate(0, 0, 1)
		if now.Before(end) {
			end = now
		}
		start := begin
		if from.After(start) {
			start = from
		}
		if t.Until.After(start) {
			start = t.Until
		}
		seconds := end.Unix() - start.Unix()
		if seconds <= 0 {
			continue
		}
		switch {
		case !st.wasOnline:
			t.Offline += uint32(seconds)
		case state.Status == "Faulted" || state.Status == "Unavailable":
			t.Faulted += uint32(seconds)
		default:
			t.Available += uint32(seconds)
		}
		t.Until = end
		c.put(k, t)
	}
}

// Availability lists the days of a station's connectors, the oldest first.
func (s *Service) Availability(id string) ([]Availability, error) {
	prefix := key('u', id, byte(0))
	out := []Availability{}
	err := s.store.scan(prefix, nil, func(k, value []byte) (bool, error) {
		var t tally
		rest := k[len(prefix):]
		if len(rest) != 6 {
			return false, fmt.Errorf("availability row with a key of %d bytes", len(k))
		}
		if err := unmarshal(value, &t); err != nil {
			return false, err
		}
		at := time.Unix(int64(binary.BigEndian.Uint32(rest[2:]))*86400, 0).UTC()
		out = append(out, Availability{
			Day: at.Format(time.DateOnly), Connector: int(binary.BigEndian.Uint16(rest)),
			Available: t.Available, Faulted: t.Faulted, Offline: t.Offline,
		})
		return true, nil
	})
	return out, err
}
