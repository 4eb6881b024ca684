package csms

import (
	"fmt"
	"slices"
	"time"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/ocmf"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/tariff"
)

func parseMeterKey(m MeterKey) (ocmf.Key, error) {
	k, err := ocmf.ParseKey(m.Key)
	if err != nil {
		return ocmf.Key{}, fmt.Errorf("key of meter %q: %w", m.Serial, err)
	}
	return k, nil
}

// signedResult is what the records of a session prove.
type signedResult struct {
	ocmf.Settlement
	meter string   // as registered
	used  []string // the records it rests on, verbatim
}

// verify judges the signed records of a session against the station's registered keys. Stations send the record of the
// begin, the record of the end, or one with both, in any order and more than once; records of other meters, other pages
// and broken ones are left aside with a remark. used tells which pages of a meter another session was billed by. ok is
// false when no begin and end hold together.
func (s *Session) verify(meters []MeterKey, power grid.Watts, used usedPages) (result signedResult, ok bool) {
	type parsed struct {
		ocmf.Record
		text string
	}
	var all []parsed
	for _, text := range s.records {
		packed, err := ocmf.Unpack([]byte(text))
		if err != nil {
			s.remark(EvidenceBad)
			continue
		}
		r, err := ocmf.Parse(packed.Record)
		if err != nil {
			s.remark(EvidenceBad)
			continue
		}
		id := r.ID()
		if !slices.ContainsFunc(all, func(p parsed) bool { return p.ID() == id }) { // a station repeats itself
			all = append(all, parsed{r, string(packed.Record)})
		}
	}
	for _, m := range meters {
		key, err := parseMeterKey(m)
		if err != nil {
			continue // Check let none in
		}
		rules := ocmf.Rules{Key: key, Serial: m.Serial, MaxEnergy: s.mostEnergy(power), Used: func(p ocmf.Page) bool { return used(m.Serial, p) }}
		var held []parsed
		for _, p := range all {
			if m.Serial != "" && p.Serial() != m.Serial {
				continue
			}
			if _, err := p.Verify(key); err != nil {
				s.remark(EvidenceBad)
				continue
			}
			held = append(held, p)
		}
		// All of them together, else the latest one that says begin and end by itself.
		for _, try := range candidates(len(held)) {
			records := make([]ocmf.Record, 0, len(try))
			texts := make([]string, 0, len(try))
			for _, i := range try {
				records, texts = append(records, held[i].Record), append(texts, held[i].text)
			}
			if out, err := ocmf.Settle(records, rules); err == nil {
				if out.User.Assigned && Tag(out.User.ID).fold() != s.Tag.fold() {
					s.remark(EvidenceBad) // another driver's
					continue
				}
				return signedResult{out, m.Serial, texts}, true
			} else if ocmf.ReasonOf(err) != ocmf.EndMissing && ocmf.ReasonOf(err) != ocmf.BeginMissing {
				s.remark(EvidenceBad)
			}
		}
	}
	return signedResult{}, false
}

// usedPages tells whether a page of a meter was billed before.
type usedPages func(serial string, p ocmf.Page) bool

// used are the pages that sessions other than x were billed by.
func (s *Service) used(x *Session) usedPages {
	return func(serial string, p ocmf.Page) bool {
		var raw []byte
		found, err := s.store.get(pageKey(serial, p), &raw)
		if err != nil {
			s.fail(err)
			return true
		}
		return found && string(raw) != string(x.No.bytes())
	}
}

// pagesOf are pages of a meter.
type pagesOf struct {
	serial string
	pages  []ocmf.Page
}

func pageKey(serial string, p ocmf.Page) []byte {
	return key('w', serial, byte(0), p.Context, p.Number)
}

// candidates are the sets of records to try, best first: all n, then each alone from the last.
func candidates(n int) [][]int {
	if n == 0 {
		return nil
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	out := [][]int{all}
	if n > 1 {
		for i := n - 1; i >= 0; i-- {
			out = append(out, []int{i})
		}
	}
	return out
}

// mostEnergy is what the connector can have delivered in the session, by our own clock where that is tighter; 0 for no
// bound.
func (s *Session) mostEnergy(power grid.Watts) grid.WattHours {
	if power <= 0 || s.Stopped.IsZero() || !s.StartKnown {
		return 0
	}
	return most(power, int64(s.duration()/time.Second))
}

// duration is how long the session lasted, by the station's clock, and never longer than between the arrivals of its
// start and stop where the start came live.
func (s *Session) duration() time.Duration {
	d := s.Stopped.Sub(s.Started)
	if !slices.Contains(s.Reasons, AcceptedOffline) && s.StartKnown {
		d = min(d, s.StopArrived.Sub(s.StartArrived)+arrivalSlack)
	}
	return max(d, 0)
}

// arrivalSlack is how much longer than between two arrivals a session may have lasted: messages on their way.
const arrivalSlack = time.Minute

// priced is what a session costs by a tariff, up to a time.
func (s *Session) priced(t *tariff.Tariff, until int64) (tariff.Cost, []tariff.Period, error) {
	periods := s.periods(until)
	cost, err := t.Price(tariff.Session{Start: s.Started.Unix(), ZoneSeconds: s.Zone, Periods: periods})
	if err != nil {
		return tariff.Cost{}, nil, fmt.Errorf("pricing session %d: %w", s.No, err)
	}
	return cost, periods, nil
}

// Below both, nothing is owed: the car never really charged.
const (
	waivedEnergy   = grid.WattHours(100)
	waivedDuration = 2 * time.Minute
)

// settle closes the books of a session that has ended, and says which pages of its meter they rest on. It never asks for
// more than the escrow.
func (s *Session) settle(t *tariff.Tariff, station *Station, used usedPages) (Settlement, pagesOf, error) {
	connector, known := station.connector(s.Connector)
	if !known {
		s.remark(ConnectorUnknown)
	}
	end := s.Stopped
	out := Settlement{
		Order: s.Order, Key: s.Key, Station: s.Station, Connector: s.Connector, Tag: s.Tag, Tariff: s.Tariff,
		Start: s.Started, Zone: s.Zone, MeterStart: s.MeterStart, MeterStop: s.MeterStop,
	}
	if s.CarLeft && end.Before(s.lastMarkTime()) {
		end = s.lastMarkTime()
	}
	out.End = end
	raw, _ := s.last()
	energy := max(raw-s.MeterStart, 0)
	signed, proven := signedResult{}, false
	switch {
	case len(station.Meters) == 0:
		s.remark(Unsigned)
		out.Basis, out.Hold = Raw, true
	default:
		if signed, proven = s.verify(station.Meters, connector.Power, used); !proven {
			s.remark(EvidenceMissing)
			out.Basis, out.Hold = Raw, true
		}
	}
	if !s.StartKnown && !proven {
		// INV-CSMS-4: nobody knows where the session began.
		out.Basis, energy = NotMetered, 0
	} else if slices.Contains(s.Reasons, StopMissing) && !proven {
		out.Basis = LastValue
	}
	periods := s.periods(end.Unix())
	if proven {
		out.Basis, out.Records = Signed, signed.used
		if total := signed.Energy.WattHours(); total != energy {
			if !s.StartKnown || absolute(total-energy) > backTolerance {
				s.remark(SignedDiffers)
			}
			periods, energy = rescale(periods, energy, total), total
		}
		if !signed.TimeBillable {
			s.remark(TimeNotBillable)
		}
		periods = shorten(periods, int64(signed.Seconds))
	}
	if limit := s.mostEnergy(connector.Power); limit > 0 && energy > limit {
		s.remark(RegisterJump)
		periods, energy = rescale(periods, energy, limit), limit
	}
	if out.Basis == NotMetered {
		periods = nil
	}
	if d := s.duration(); energy < waivedEnergy && d < waivedDuration {
		s.remark(TooShort)
		periods, energy = nil, 0
	}
	// Time that no synchronised clock vouches for is not billed on signed records; where nothing is signed the
	// connection's own clock is what there is.
	if proven && !signed.TimeBillable || slices.Contains(s.Reasons, AcceptedOffline) && slices.Contains(s.Reasons, ClockOff) {
		periods = timeless(periods)
	}
	out.Energy = energy
	for _, p := range periods {
		switch p.State {
		case tariff.Charging:
			out.Charging += int64(p.Seconds)
		case tariff.SuspendedByStation:
			out.Waiting += int64(p.Seconds)
		default:
			out.Parked += int64(p.Seconds)
		}
	}
	if len(periods) > 0 {
		cost, err := t.Price(tariff.Session{Start: s.Started.Unix(), ZoneSeconds: s.Zone, Periods: periods})
		if err != nil {
			return Settlement{}, pagesOf{}, fmt.Errorf("pricing session %d: %w", s.No, err)
		}
		out.Cost = cost.Total.InclVAT
	}
	if out.Cost.Cmp(s.Escrow) > 0 {
		s.remark(CostCapped)
		out.Cost = s.Escrow
	}
	out.Periods, out.Reasons = periods, slices.Clone(s.Reasons)
	return out, pagesOf{signed.meter, signed.Pages}, nil
}

func (s *Session) lastMarkTime() time.Time {
	if len(s.marks) == 0 {
		return s.Started
	}
	return time.Unix(s.marks[len(s.marks)-1].At, 0).UTC()
}

func absolute(e grid.WattHours) grid.WattHours { return max(e, -e) }

// rescale makes the energy of periods sum to total, each in proportion, the rest to the last that had some.
func rescale(periods []tariff.Period, sum, total grid.WattHours) []tariff.Period {
	out := slices.Clone(periods)
	if sum <= 0 {
		return addEnergy(out, total)
	}
	a := price.FromUint64(uint64(total))
	left, at := total, -1
	for i := range out {
		share, _ := a.MulDiv(uint64(out[i].Energy), uint64(sum)) // below total
		out[i].Energy = grid.WattHours(share.Lo)
		left -= out[i].Energy
		if periods[i].Energy > 0 {
			at = i
		}
	}
	if at < 0 {
		return addEnergy(out, total)
	}
	out[at].Energy += left
	return out
}

// shorten cuts seconds off the end until no more than most are left; energy stays.
func shorten(periods []tariff.Period, most int64) []tariff.Period {
	out := slices.Clone(periods)
	for _, p := range out {
		most -= int64(p.Seconds)
	}
	for i := len(out) - 1; i >= 0 && most < 0; i-- {
		cut := min(int64(out[i].Seconds), -most)
		out[i].Seconds -= uint32(cut)
		most += cut
	}
	return slices.DeleteFunc(out, func(p tariff.Period) bool { return p.Seconds == 0 && p.Energy == 0 })
}

// timeless is the energy of periods without their time.
func timeless(periods []tariff.Period) []tariff.Period {
	out := slices.Clone(periods)
	for i := range out {
		out[i].Seconds = 0
	}
	return slices.DeleteFunc(out, func(p tariff.Period) bool { return p.Energy == 0 })
}
