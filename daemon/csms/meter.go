package csms

import (
	"math/bits"
	"slices"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/tariff"
)

// Bounds and tolerances of what meters say.
const (
	// maxMarks is how many points of a session are kept; beyond it only the end moves, and states of a long session are
	// told in longer strides. Half of what a tariff takes.
	maxMarks = tariff.MaxPeriods / 2
	// maxRecords and maxEvidence bound the signed records kept of a session.
	maxRecords  = 64
	maxEvidence = 256 << 10
	// backTolerance is how far a register may lie behind the one before without being called a rollback: rounding
	// of stations that read two registers (seen: 1 Wh).
	backTolerance = grid.WattHours(10)
	// maxRegister is beyond what any meter counts to.
	maxRegister = grid.WattHours(1) << 50
	noRegister  = grid.WattHours(-1)
	// powerSlack is how much more than its rated power a connector may deliver, in percent.
	powerSlack = 10
	// energySlack is added to every bound on energy: a meter's last digit.
	energySlack = grid.WattHours(100)
)

// last is the last register known, and when; MeterStart before any.
func (s *Session) last() (grid.WattHours, int64) {
	for _, m := range slices.Backward(s.marks) {
		if m.Register != noRegister {
			return m.Register, m.At
		}
	}
	return s.MeterStart, s.Started.Unix()
}

// phase is what the car does now.
func (s *Session) phase() tariff.State {
	if len(s.marks) == 0 {
		return tariff.Charging
	}
	return s.marks[len(s.marks)-1].State
}

// note adds a mark and returns its index, or -1 when it says nothing new, lies before what is known, or has no room. A
// register behind the last one is not taken; a rollback beyond the tolerance is remarked. most bounds the register; it
// is ignored when zero.
func (s *Session) note(m Mark, most grid.WattHours) int {
	before, at := s.last()
	if m.Register != noRegister {
		switch {
		case m.Register < 0 || m.Register > maxRegister:
			s.remark(ValueUnreadable)
			return -1
		case m.At < at:
			return -1 // older than what is known: it can change nothing of a cumulative register
		case m.Register < before:
			if before-m.Register > backTolerance {
				s.remark(RegisterBack)
			}
			m.Register = before
		case most > 0 && m.Register > most:
			s.remark(RegisterJump)
			return -1
		}
	}
	if n := len(s.marks); n > 0 {
		last := s.marks[n-1]
		if m.At < last.At {
			m.At = last.At // a state told late
		}
		if m.State == last.State && m.Register == noRegister {
			return -1
		}
		if m == last {
			return -1
		}
		// A register at the same time as a state takes its place.
		if m.At == last.At && last.Register == noRegister {
			s.marks[n-1] = m
			return n - 1
		}
		if n >= maxMarks {
			s.marks[n-1] = m
			return n - 1
		}
	}
	s.marks = append(s.marks, m)
	return len(s.marks) - 1
}

// bound is the largest register that is possible at a time, given the last one and the connector's power; 0 for none.
func (s *Session) bound(power grid.Watts, at int64) grid.WattHours {
	if power <= 0 {
		return 0
	}
	register, since := s.last()
	return register + most(power, at-since)
}

// most is the energy that a connector of a power can deliver in so many seconds, with slack.
func most(power grid.Watts, seconds int64) grid.WattHours {
	seconds = max(seconds, 0)
	hi, lo := bits.Mul64(uint64(power)*(100+powerSlack)/100, uint64(seconds))
	if hi != 0 {
		return maxRegister
	}
	return grid.WattHours(min(lo/3600, uint64(maxRegister))) + energySlack
}

// periods is the session as a tariff sees it, up to a time: without gaps, energy between two registers spread over the
// charging seconds in between, or over all of them when there were none. The registers sum exactly.
func (s *Session) periods(until int64) []tariff.Period {
	type stretch struct {
		state    tariff.State
		from, to int64
	}
	var (
		out      []tariff.Period
		pending  []stretch // since the last register
		register = s.MeterStart
		at       = s.Started.Unix()
		state    = tariff.Charging
	)
	flush := func(energy grid.WattHours) {
		var weight int64
		charging := slices.ContainsFunc(pending, func(p stretch) bool { return p.state == tariff.Charging && p.to > p.from })
		for _, p := range pending {
			if !charging || p.state == tariff.Charging {
				weight += p.to - p.from
			}
		}
		left := energy
		for i, p := range pending {
			share := grid.WattHours(0)
			if !charging || p.state == tariff.Charging {
				if weight > 0 {
					hi, lo := bits.Mul64(uint64(left), uint64(p.to-p.from))
					q, _ := bits.Div64(hi, lo, uint64(weight))
					share = grid.WattHours(q)
				}
				weight -= p.to - p.from
			}
			if i == len(pending)-1 && weight <= 0 {
				share = left
			}
			left -= share
			out = appendPeriod(out, tariff.Period{State: p.state, Seconds: clampSeconds(p.to - p.from), Energy: share})
		}
		if left > 0 { // no time passed at all, or the last stretch was no charging one
			out = addEnergy(out, left)
		}
		pending = pending[:0]
	}
	for _, m := range s.marks {
		t := min(max(m.At, at), max(until, at))
		if t > at {
			pending = append(pending, stretch{state, at, t})
		}
		if m.Register != noRegister && m.At <= until {
			flush(max(m.Register-register, 0))
			register = max(m.Register, register)
		}
		at, state = t, m.State
		if m.At > until {
			break
		}
	}
	if until > at {
		pending = append(pending, stretch{state, at, until})
	}
	flush(0)
	return out
}

func clampSeconds(n int64) uint32 { return uint32(min(max(n, 0), tariff.MaxSeconds)) }

// appendPeriod joins a period that goes on as the one before did, unless energy makes their powers differ.
func appendPeriod(out []tariff.Period, p tariff.Period) []tariff.Period {
	if p.Seconds == 0 && p.Energy == 0 {
		return out
	}
	if n := len(out); n > 0 && out[n-1].State == p.State && out[n-1].Energy == 0 && p.Energy == 0 {
		out[n-1].Seconds += p.Seconds
		return out
	}
	return append(out, p)
}

// addEnergy adds to the last charging period, or makes one of no length.
func addEnergy(out []tariff.Period, energy grid.WattHours) []tariff.Period {
	for i, p := range slices.Backward(out) {
		if p.State == tariff.Charging {
			out[i].Energy += energy
			return out
		}
	}
	return append(out, tariff.Period{State: tariff.Charging, Energy: energy})
}
