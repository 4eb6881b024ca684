package vectors

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/tariff"
)

// tariffCase is a case of tariff.json, which is written by hand from the standard's text.
type tariffCase struct {
	Name    string
	Tariff  json.RawMessage
	Session struct {
		Start       int64
		Reservation *tariff.Reservation
		Periods     []struct {
			State        string
			Seconds      uint32
			Wh           grid.WattHours
			Milliamperes tariff.MilliAmperes
		}
	}
	Excl   string `json:"excl_vat"`
	Incl   string `json:"incl_vat"`
	Billed []uint64
}

func (c *tariffCase) session(t *testing.T) tariff.Session {
	s := tariff.Session{Start: c.Session.Start}
	if r := c.Session.Reservation; r != nil {
		s.Reservation = tariff.Some(*r)
	}
	states := map[string]tariff.State{"charging": tariff.Charging, "idle": tariff.Idle}
	for _, p := range c.Session.Periods {
		if states[p.State] == 0 {
			t.Fatalf("state %q", p.State)
		}
		period := tariff.Period{State: states[p.State], Seconds: p.Seconds, Energy: p.Wh}
		if p.Milliamperes > 0 {
			period.Current = tariff.Some(p.Milliamperes)
		}
		s.Periods = append(s.Periods, period)
	}
	return s
}

// The worked examples of OCPI 2.2.1 cost what is printed there, to the last digit.
func TestTariffExamplesOfOCPI(t *testing.T) {
	data, err := os.ReadFile("tariff.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Cases []tariffCase }
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Cases) < 30 {
		t.Fatalf("%d cases", len(f.Cases))
	}
	for _, c := range f.Cases {
		t.Run(c.Name, func(t *testing.T) {
			parsed, err := tariff.ParseJSON(c.Tariff)
			if err != nil {
				t.Fatal(err)
			}
			cost, err := parsed.Price(c.session(t))
			if err != nil {
				t.Fatal(err)
			}
			text := func(a price.Amount) string { return strings.TrimSuffix(a.Format(), " "+price.Display) }
			if got := text(cost.Total.ExclVAT); got != c.Excl {
				t.Errorf("costs %s without VAT, want %s: %+v", got, c.Excl, cost.Lines)
			}
			if got := text(cost.Total.InclVAT); c.Incl != "" && got != c.Incl {
				t.Errorf("costs %s with VAT, want %s: %+v", got, c.Incl, cost.Lines)
			}
			if c.Incl != "" && !cost.VATKnown {
				t.Error("VAT is not known")
			}
			var billed []uint64
			for _, l := range cost.Lines {
				billed = append(billed, l.Billed)
			}
			for i, want := range c.Billed {
				if i >= len(billed) || billed[i] != want {
					t.Fatalf("billed %v, want %v", billed, c.Billed)
				}
			}
		})
	}
}
