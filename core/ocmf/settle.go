package ocmf

import (
	"slices"
	"strings"

	"github.com/cairn-network/cairn/core/exactjson"
	"github.com/cairn-network/cairn/core/grid"
)

// MaxRecords is how many records one session may have: begin, end and a tariff change every quarter
// of an hour for a day.
const MaxRecords = 100

// MilliWattHours is energy as a signed register counts it.
type MilliWattHours int64

// MaxRegister is the largest register that is read, a thousand terawatt-hours.
const MaxRegister MilliWattHours = 1_000_000_000_000_000_000

// WattHours rounds down.
func (e MilliWattHours) WattHours() grid.WattHours { return grid.WattHours(e / 1000) }

// Rules are what the records of a session are held against.
type Rules struct {
	// Key is the registered key of the meter, never one that came with the records.
	Key Key
	// Serial is the registered number of the meter; "" takes any, so long as it is the same one.
	Serial string
	// MaxEnergy is what the connector can have delivered in the session; 0 does not bound it.
	MaxEnergy grid.WattHours
	// Used tells whether a page of this meter has been billed before; nil if that is not known.
	Used func(Page) bool
}

// Mark is one end of a session.
type Mark struct {
	Time        Time
	Transaction Transaction
	Value       MilliWattHours
	Page        Page
}

// Settlement is what a session's records prove.
type Settlement struct {
	// Serial is the meter's, Register the OBIS code that was counted.
	Serial, Register string
	Begin, End       Mark
	// Energy is End.Value - Begin.Value.
	Energy MilliWattHours
	// TimeBillable tells whether the meter's clock allows billing Seconds too; else Seconds is what it
	// said, 0 where it ran backwards.
	TimeBillable bool
	Seconds      uint64
	// User is as the first record has it.
	User User
	// Pages are what the session uses up, ascending.
	Pages []Page
}

// Settle checks the signatures of a session's records, in any order, and judges them together: one
// meter, pages that follow one another, one user, from begin to end by one register, no fault in
// between, nothing used before. The first rule that does not hold is the Refusal.
func Settle(records []Record, rules Rules) (Settlement, error) {
	if len(records) == 0 {
		return Settlement{}, refuse(Empty, "the session has no record")
	}
	if len(records) > MaxRecords {
		return Settlement{}, refuse(TooLarge, "the session has %d records, at most %d are read", len(records), MaxRecords)
	}
	for i := range records {
		if _, err := records[i].Verify(rules.Key); err != nil {
			return Settlement{}, err
		}
	}
	return judge(records, rules)
}

// judge is Settle once the signatures hold.
func judge(records []Record, rules Rules) (Settlement, error) {
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b Record) int {
		switch {
		case a.Page.Number < b.Page.Number:
			return -1
		case a.Page.Number > b.Page.Number:
			return 1
		default:
			return 0
		}
	})
	s := Settlement{Serial: records[0].Serial(), User: records[0].User}
	if s.Serial == "" {
		return Settlement{}, refuse(MeterDiffers, "record %s names neither meter (MS) nor gateway (GS)", records[0].Page)
	}
	if rules.Serial != "" && s.Serial != rules.Serial {
		return Settlement{}, refuse(MeterDiffers, "the record is of meter %.60q, registered is %.60q", s.Serial, rules.Serial)
	}
	for i := range records {
		if err := s.take(&records[i], rules.Used); err != nil {
			return Settlement{}, err
		}
	}
	if err := s.measure(records); err != nil {
		return Settlement{}, err
	}
	if rules.MaxEnergy > 0 && s.Energy > MilliWattHours(min(rules.MaxEnergy, grid.WattHours(MaxRegister/1000)))*1000 {
		return Settlement{}, refuse(EnergyExceeded, "the session has %d mWh, the connector delivers at most %d Wh", s.Energy, rules.MaxEnergy)
	}
	return s, nil
}

// take checks that a record belongs to the session and follows what came before.
func (s *Settlement) take(r *Record, used func(Page) bool) error {
	switch {
	case r.Serial() != s.Serial:
		return refuse(MeterDiffers, "records of meters %.60q and %.60q in one session", s.Serial, r.Serial())
	case r.Page.Context != 'T':
		return refuse(PageMissing, "PG is %q, want T and a number", r.Page)
	case r.User.Type != s.User.Type || r.User.ID != s.User.ID:
		return refuse(IdentityDiffers, "records of users %.40q and %.40q in one session", s.User.ID, r.User.ID)
	case used != nil && used(r.Page):
		return refuse(PageReused, "record %s of meter %.60q has been billed before", r.Page, s.Serial)
	}
	if n := len(s.Pages); n > 0 {
		switch last := s.Pages[n-1].Number; {
		case r.Page.Number == last:
			return refuse(PageReused, "record %s stands in the session twice", r.Page)
		case r.Page.Number != last+1:
			return refuse(PageGap, "record %s follows T%d: those between are missing", r.Page, last)
		}
	}
	s.Pages = append(s.Pages, r.Page)
	return nil
}

// placed is a reading and the page it stands on.
type placed struct {
	*Reading
	page Page
}

// measure finds the register to bill by, and walks its readings from begin to end.
func (s *Settlement) measure(records []Record) error {
	readings, err := s.choose(records)
	if err != nil {
		return err
	}
	first, last := readings[0], readings[len(readings)-1]
	if first.Transaction != Begin {
		return refuse(BeginMissing, "the first reading, on %s, has TX %q, want B", first.page, transactionText(first.Transaction))
	}
	if !last.Transaction.Ends() || len(readings) == 1 {
		return refuse(EndMissing, "the last reading, on %s, has TX %q, want E, L, R, A or P", last.page, transactionText(last.Transaction))
	}
	timeFault := false
	var before MilliWattHours
	for i, r := range readings {
		if i > 0 && i < len(readings)-1 && (r.Transaction == Begin || r.Transaction.Ends()) {
			return refuse(OrderInvalid, "reading %d of register %s has TX %q between begin and end", i+1, s.Register, transactionText(r.Transaction))
		}
		if err := sound(r); err != nil {
			return err
		}
		timeFault = timeFault || strings.Contains(r.Faults, "t")
		value, err := milliWattHours(r.Reading)
		if err != nil {
			return err
		}
		if value < before {
			return refuse(RegisterBackwards, "register %s reads %s %s on %s, less than before", s.Register, r.Value, r.Unit, r.page)
		}
		before = value
		mark := Mark{Time: r.Time, Transaction: r.Transaction, Value: value, Page: r.page}
		if i == 0 {
			s.Begin = mark
		}
		s.End = mark
	}
	s.Energy = s.End.Value - s.Begin.Value
	if d := s.End.Time.UnixMilli - s.Begin.Time.UnixMilli; d >= 0 {
		s.Seconds = uint64(d) / 1000
		// R says that the duration counts although the clock may be wrong, S that the clock is right:
		// at one end alone it says nothing about the time between (OCMF table 19).
		s.TimeBillable = !timeFault && (s.End.Time.Sync == Relative ||
			s.End.Time.Sync == Synchronized && s.Begin.Time.Sync == Synchronized)
	}
	return nil
}

// choose returns the readings of the best register there is, and sets Register. Readings without a
// value report a fault: they belong to every register.
func (s *Settlement) choose(records []Record) ([]placed, error) {
	best := 0
	var readings []placed
	for i := range records {
		for j := range records[i].Readings {
			r := placed{&records[i].Readings[j], records[i].Page}
			if !r.Present {
				if err := sound(r); err != nil {
					return nil, err
				}
				continue
			}
			rank := registerRank(r.Register)
			if rank > best {
				best, s.Register, readings = rank, r.Register, nil
			}
			if rank == 0 || rank < best {
				continue
			}
			if r.Register != s.Register {
				return nil, refuse(RegisterDiffers, "readings of registers %.40q and %.40q in one session", s.Register, r.Register)
			}
			readings = append(readings, r)
		}
	}
	if best == 0 {
		return nil, refuse(RegisterMissing, "no reading is of an energy import register (RI)")
	}
	return readings, nil
}

// sound refuses readings that their meter says not to bill by.
func sound(r placed) error {
	switch {
	case r.State != "G":
		return refuse(MeterFault, "the meter's state (ST) is %.20q on %s, want G", r.State, r.page)
	case strings.Contains(r.Faults, "E"), r.Transaction == Exception && r.Faults != "t":
		return refuse(EnergyFault, "the meter reports an error on %s (EF %.20q, TX %q)", r.page, r.Faults, transactionText(r.Transaction))
	default:
		return nil
	}
}

func transactionText(t Transaction) string {
	if t == 0 {
		return ""
	}
	return string(t)
}

// milliWattHours returns a reading's energy, exactly.
func milliWattHours(r *Reading) (MilliWattHours, error) {
	var places uint8
	switch r.Unit {
	case "kWh":
		places = 6
	case "Wh":
		places = 3
	default:
		return 0, refuse(UnitUnknown, "RU of register %.40q is %.20q, want kWh or Wh", r.Register, r.Unit)
	}
	n, ok := r.Value.Scaled(places)
	if !ok || n < 0 || MilliWattHours(n) > MaxRegister {
		return 0, refuse(ValueInvalid, "RV is %s %s, want 0 or more in whole milliwatt-hours", exactjson.Decimal.String(r.Value), r.Unit)
	}
	return MilliWattHours(n), nil
}
