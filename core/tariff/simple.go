package tariff

import (
	"fmt"
	"strings"

	"github.com/cairn-network/cairn/core/price"
)

// Simple is the price list most stations have: what starting costs, what energy and time cost, and
// what standing about costs when the car is done.
type Simple struct {
	CountryCode, PartyID, ID, Currency string
	// Start is due once, PerKWh for energy, PerHour for charging time; zero is free.
	Start, PerKWh, PerHour price.Amount
	// Idle is due per hour once charging is over, after the Grace seconds, and never more than IdleCap.
	Idle    price.Amount
	Grace   uint32
	IdleCap Optional[price.Amount]
	// Most is what a session costs at most, without VAT.
	Most        Optional[price.Amount]
	VAT         Optional[VAT]
	LastUpdated int64
}

// Tariff returns the same in OCPI's terms, counted by the watt-hour and the second, with a text for
// people of whose reader skips what OCPI cannot say. Errors as of Check.
func (s Simple) Tariff() (Tariff, error) {
	var components []Component
	add := func(d Dimension, amount price.Amount, step, grace uint32, most Optional[price.Amount]) {
		if !amount.IsZero() {
			components = append(components, Component{Dimension: d, Price: amount, VAT: s.VAT, Step: step, Grace: grace, Cap: most})
		}
	}
	add(Flat, s.Start, 1, 0, Optional[price.Amount]{})
	add(Energy, s.PerKWh, 1, 0, Optional[price.Amount]{})
	add(ParkingTime, s.Idle, 1, s.Grace, s.IdleCap)
	add(Time, s.PerHour, 1, 0, Optional[price.Amount]{})
	if len(components) == 0 { // OCPI's spelling of free of charge
		components = []Component{{Dimension: Flat, VAT: s.VAT, Step: 1}}
	}
	t := Tariff{
		CountryCode: s.CountryCode, PartyID: s.PartyID, ID: s.ID, Currency: s.Currency,
		Elements: []Element{{Components: components}}, LastUpdated: s.LastUpdated,
	}
	if text := s.idleText(); text != "" {
		t.AltText = []Text{{"en", text}}
	}
	if s.Most.Set {
		t.Max = Some(Limit{ExclVAT: s.Most.Value})
	}
	return t, t.Check()
}

// idleText says what OCPI cannot: grace and cap of the idle fee.
func (s *Simple) idleText() string {
	var parts []string
	switch {
	case s.Idle.IsZero():
		return ""
	case s.Grace%60 != 0:
		parts = append(parts, fmt.Sprintf("is free for %d s", s.Grace))
	case s.Grace > 0:
		parts = append(parts, fmt.Sprintf("is free for %d min", s.Grace/60))
	}
	if s.IdleCap.Set {
		parts = append(parts, "costs at most "+moneyText(s.IdleCap.Value, s.Currency))
	}
	if len(parts) == 0 {
		return ""
	}
	return "Parking after charging " + strings.Join(parts, " and ") + "."
}

// moneyText writes an amount of a currency for people.
func moneyText(a price.Amount, currency string) string {
	text := a.Format()
	return text[:len(text)-len(price.Display)] + currency
}
