package tariff

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/cairn-network/cairn/core/grid"
)

// Check refuses tariffs that no session can be priced by, or that would be priced otherwise than they
// read: ErrTariff, naming the field.
func (t *Tariff) Check() error {
	for _, f := range [...]struct {
		name, text string
		least, max int
	}{
		{"country_code", t.CountryCode, 2, 2},
		{"party_id", t.PartyID, 1, 3},
		{"id", t.ID, 1, 36},
		{"currency", t.Currency, 3, 5},
		{"tariff_alt_url", t.AltURL, 0, 255},
	} {
		if !visible(f.text) || len(f.text) < f.least || len(f.text) > f.max {
			return fmt.Errorf("%w: %s is %.40q, want %d to %d characters of visible ASCII", ErrTariff, f.name, f.text, f.least, f.max)
		}
	}
	if t.Type != "" && !slices.Contains(Types[:], t.Type) {
		return fmt.Errorf("%w: type is %.40q, want one of %q", ErrTariff, t.Type, Types)
	}
	if len(t.AltText) > MaxTexts {
		return fmt.Errorf("%w: tariff_alt_text has %d texts, at most %d are read", ErrTariff, len(t.AltText), MaxTexts)
	}
	for _, text := range t.AltText {
		if len(text.Language) != 2 || !visible(text.Language) || len(text.Text) > MaxText || !utf8.ValidString(text.Text) {
			return fmt.Errorf("%w: tariff_alt_text in %.10q has %d bytes, want a language of two letters and at most %d", ErrTariff, text.Language, len(text.Text), MaxText)
		}
	}
	for _, l := range [...]struct {
		name  string
		limit Optional[Limit]
	}{{"min_price", t.Min}, {"max_price", t.Max}} {
		if v := l.limit.Value; l.limit.Set && v.InclVAT.Set && v.InclVAT.Value.Cmp(v.ExclVAT) < 0 {
			return fmt.Errorf("%w: %s is less with VAT than without", ErrTariff, l.name)
		}
	}
	if t.Min.Set && t.Max.Set {
		if low, high := t.Min.Value, t.Max.Value; low.ExclVAT.Cmp(high.ExclVAT) > 0 ||
			low.InclVAT.Set && high.InclVAT.Set && low.InclVAT.Value.Cmp(high.InclVAT.Value) > 0 {
			return fmt.Errorf("%w: min_price is above max_price", ErrTariff)
		}
	}
	for _, at := range [...]Optional[int64]{t.From, t.Until, Some(t.LastUpdated)} {
		if at.Set && (at.Value < 0 || at.Value > maxDate) {
			return fmt.Errorf("%w: a date is %d, want Unix seconds of the years 1970 to 9999", ErrTariff, at.Value)
		}
	}
	if len(t.Elements) == 0 || len(t.Elements) > MaxElements {
		return fmt.Errorf("%w: %d elements, want 1 to %d", ErrTariff, len(t.Elements), MaxElements)
	}
	for i := range t.Elements {
		if err := t.Elements[i].check(); err != nil {
			return fmt.Errorf("%w: element %d: %w", ErrTariff, i+1, err)
		}
	}
	return nil
}

// maxDate is the last second of the year 9999.
const maxDate = 253_402_300_799

func visible(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func (e *Element) check() error {
	if len(e.Components) == 0 || len(e.Components) > MaxComponents {
		return fmt.Errorf("%d price components, want 1 to %d", len(e.Components), MaxComponents)
	}
	seen := [Time + 1]bool{}
	for i, c := range e.Components {
		switch {
		case c.Dimension < Energy || c.Dimension > Time:
			return fmt.Errorf("component %d has dimension %d, want 1..4", i+1, c.Dimension)
		case seen[c.Dimension]:
			return fmt.Errorf("component %d prices %s a second time", i+1, c.Dimension)
		case e.Restrictions.Reservation != NoReservation && c.Dimension != Flat && c.Dimension != Time:
			return fmt.Errorf("component %d prices %s of a reservation, which has only FLAT and TIME", i+1, c.Dimension)
		case c.VAT.Set && c.VAT.Value > grid.Million:
			return fmt.Errorf("component %d has a VAT of %d ppm, want at most %d", i+1, c.VAT.Value, grid.Million)
		case c.Dimension != Flat && c.Step > maxStep || c.Grace > maxStep:
			return fmt.Errorf("component %d has step_size %d and grace %d, want at most %d", i+1, c.Step, c.Grace, maxStep)
		case c.Dimension == Flat && c.Grace != 0:
			return fmt.Errorf("component %d has a grace although it is FLAT", i+1)
		}
		seen[c.Dimension] = true
	}
	return e.Restrictions.check()
}

// maxStep bounds blocks: a day, or 86.4 kWh.
const maxStep = 86_400

func (r *Restrictions) check() error {
	switch {
	case r.StartTime.Value >= daySeconds/60 || r.EndTime.Value >= daySeconds/60:
		return fmt.Errorf("start_time %d or end_time %d, want minutes 0..1439", r.StartTime.Value, r.EndTime.Value)
	case r.StartDate.Value < 0 || r.EndDate.Value < 0 || r.StartDate.Value > maxDate/daySeconds || r.EndDate.Value > maxDate/daySeconds:
		return fmt.Errorf("start_date %d or end_date %d, want days of the years 1970 to 9999", r.StartDate.Value, r.EndDate.Value)
	case r.MinEnergy.Value < 0 || r.MaxEnergy.Value < 0 || r.MinEnergy.Value > MaxEnergy || r.MaxEnergy.Value > MaxEnergy:
		return fmt.Errorf("min_kwh %d or max_kwh %d, want 0..%d Wh", r.MinEnergy.Value, r.MaxEnergy.Value, MaxEnergy)
	case r.MinPower.Value < 0 || r.MaxPower.Value < 0:
		return fmt.Errorf("min_power %d or max_power %d, want 0 W or more", r.MinPower.Value, r.MaxPower.Value)
	case r.MinCurrent.Value < 0 || r.MaxCurrent.Value < 0:
		return fmt.Errorf("min_current %d or max_current %d, want 0 mA or more", r.MinCurrent.Value, r.MaxCurrent.Value)
	case r.Days > 0x7f:
		return fmt.Errorf("days %#x, want bits 0 to 6", r.Days)
	case r.Reservation > Expires:
		return fmt.Errorf("reservation %d, want 0..2", r.Reservation)
	default:
		return nil
	}
}

var dimensionNames = [...]string{Energy: "ENERGY", Flat: "FLAT", ParkingTime: "PARKING_TIME", Time: "TIME"}

// String returns OCPI's name, "PARKING_TIME".
func (d Dimension) String() string {
	if d >= Energy && d <= Time {
		return dimensionNames[d]
	}
	return fmt.Sprintf("dimension %d", uint8(d))
}
