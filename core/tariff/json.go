package tariff

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-network/cairn/core/exactjson"
	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// Names of our own members of a PriceComponent, which OCPI's readers skip.
const (
	graceName = "cairn_grace"
	capName   = "cairn_cap"
)

var (
	reservationNames = [...]string{Reserved: "RESERVATION", Expires: "RESERVATION_EXPIRES"}
	dayNames         = [...]string{"MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"}
)

// Hash identifies a tariff: SHA-256 of JSON().
func (t *Tariff) Hash() [32]byte { return sha256.Sum256(t.JSON()) }

// ParseJSON reads OCPI 2.2.1's Tariff object and checks it. What has no bearing on a price and is not
// ours to keep (energy_mix) is left out; a member that is not known, or a null, is skipped. ErrTariff,
// naming the field.
func ParseJSON(text []byte) (Tariff, error) {
	if len(text) > MaxJSON {
		return Tariff{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrTariff, len(text), MaxJSON)
	}
	root, err := exactjson.Parse(text)
	if err != nil {
		return Tariff{}, fmt.Errorf("%w: %w", ErrTariff, err)
	}
	r := reader{object: root}
	if root.Kind != exactjson.Object {
		r.fail("", "is %s, want an object", root.Kind)
	}
	t := Tariff{
		CountryCode: r.text("country_code"), PartyID: r.text("party_id"), ID: r.text("id"),
		Currency: r.text("currency"), Type: r.text("type"), AltURL: r.text("tariff_alt_url"),
		Min: r.limit("min_price"), Max: r.limit("max_price"),
		From: r.instant("start_date_time"), Until: r.instant("end_date_time"),
		LastUpdated: r.instant("last_updated").Value,
	}
	for _, v := range r.list("tariff_alt_text") {
		inner := r.in(v)
		t.AltText = append(t.AltText, Text{inner.text("language"), inner.text("text")})
		r.take(inner)
	}
	for _, v := range r.list("elements") {
		inner := r.in(v)
		t.Elements = append(t.Elements, inner.element())
		r.take(inner)
	}
	if r.err != nil {
		return Tariff{}, r.err
	}
	if err := t.Check(); err != nil {
		return Tariff{}, err
	}
	return t, nil
}

// reader reads the members of one object; the first that cannot be read is err.
type reader struct {
	object exactjson.Value
	err    error
}

func (r *reader) in(v exactjson.Value) *reader {
	inner := &reader{object: v}
	if v.Kind != exactjson.Object {
		inner.fail("", "is %s, want an object", v.Kind)
	}
	return inner
}

func (r *reader) take(inner *reader) {
	if r.err == nil {
		r.err = inner.err
	}
}

func (r *reader) fail(name, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrTariff, strings.TrimSpace(name+" "+fmt.Sprintf(format, args...)))
	}
}

// get returns a member of a kind, and whether it is there at all; null counts as not there.
func (r *reader) get(name string, kind exactjson.Kind) (exactjson.Value, bool) {
	v := r.object.Get(name)
	switch v.Kind {
	case kind:
		return v, true
	case exactjson.Missing, exactjson.Null:
	default:
		r.fail(name, "is %s, want %s", v.Kind, kind)
	}
	return exactjson.Value{}, false
}

func (r *reader) text(name string) string {
	v, _ := r.get(name, exactjson.String)
	return v.Text
}

func (r *reader) list(name string) []exactjson.Value {
	v, _ := r.get(name, exactjson.Array)
	return v.Items
}

// money reads a price, of at most 18 decimals.
func (r *reader) money(name string) Optional[price.Amount] {
	v, ok := r.get(name, exactjson.Number)
	if !ok {
		return Optional[price.Amount]{}
	}
	text := v.Text
	if whole, fraction, point := strings.Cut(text, "."); point {
		text = strings.TrimSuffix(whole+"."+strings.TrimRight(fraction, "0"), ".")
	}
	a, err := price.Parse(text + price.Display)
	if err != nil {
		r.fail(name, "is %.40s, want a price of 0 or more with at most 18 decimals and no exponent", v.Text)
	}
	return Some(a)
}

func (r *reader) limit(name string) Optional[Limit] {
	v, ok := r.get(name, exactjson.Object)
	if !ok {
		return Optional[Limit]{}
	}
	inner := r.in(v)
	excl := inner.money("excl_vat")
	if !excl.Set {
		inner.fail(name, "lacks excl_vat")
	}
	limit := Limit{excl.Value, inner.money("incl_vat")}
	r.take(inner)
	return Some(limit)
}

// scaled reads a number times 10^places, which must be a whole one from 0 to most.
func (r *reader) scaled(name string, places uint8, most int64) Optional[int64] {
	v, ok := r.get(name, exactjson.Number)
	if !ok {
		return Optional[int64]{}
	}
	d, err := exactjson.ParseDecimal(v.Text)
	n, fits := d.Scaled(places)
	if err != nil || !fits || n < 0 || n > most {
		r.fail(name, "is %.40s, want 0 or more, at most %d decimals, and not that large", v.Text, places)
	}
	return Some(n)
}

func narrow[T any](o Optional[int64], to func(int64) T) Optional[T] {
	if !o.Set {
		return Optional[T]{}
	}
	return Some(to(o.Value))
}

// instant reads a date and time of RFC 3339 in UTC, with or without its Z (OCPI 2.2.1, DateTime).
func (r *reader) instant(name string) Optional[int64] {
	v, ok := r.get(name, exactjson.String)
	if !ok {
		return Optional[int64]{}
	}
	at, err := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(v.Text, "Z"))
	if err != nil {
		r.fail(name, "is %.40q, want 2015-06-29T20:39:09Z", v.Text)
	}
	return Some(at.Unix())
}

func (r *reader) element() (e Element) {
	for _, v := range r.list("price_components") {
		inner := r.in(v)
		e.Components = append(e.Components, inner.component())
		r.take(inner)
	}
	if v, ok := r.get("restrictions", exactjson.Object); ok {
		inner := r.in(v)
		e.Restrictions = inner.restrictions()
		r.take(inner)
	}
	return e
}

func (r *reader) component() Component {
	kind := r.text("type")
	c := Component{
		VAT:   narrow(r.scaled("vat", 4, grid.Million), func(n int64) VAT { return VAT(n) }), //nolint:gosec // bounded
		Step:  uint32(r.scaled("step_size", 0, maxStep).Value),                               //nolint:gosec // bounded
		Grace: uint32(r.scaled(graceName, 0, maxStep).Value),                                 //nolint:gosec // bounded
		Cap:   r.money(capName),
	}
	amount := r.money("price")
	if !amount.Set {
		r.fail("price", "is missing")
	}
	c.Price = amount.Value
	i := slices.Index(dimensionNames[:], kind)
	if kind == "" || i < 0 {
		r.fail("type", "of a price component is %.40q, want ENERGY, FLAT, PARKING_TIME or TIME", kind)
		return c
	}
	c.Dimension = Dimension(i) //nolint:gosec // 1..4
	return c
}

func (r *reader) restrictions() (s Restrictions) {
	watts := func(n int64) grid.Watts { return grid.Watts(n) }
	amperes := func(n int64) MilliAmperes { return MilliAmperes(n) }
	energy := func(n int64) grid.WattHours { return grid.WattHours(n) }
	seconds := func(n int64) uint32 { return uint32(n) } //nolint:gosec // bounded
	const large = 1 << 40
	s.StartTime, s.EndTime = r.clock("start_time"), r.clock("end_time")
	s.StartDate, s.EndDate = r.date("start_date"), r.date("end_date")
	s.MinEnergy, s.MaxEnergy = narrow(r.scaled("min_kwh", 3, large), energy), narrow(r.scaled("max_kwh", 3, large), energy)
	s.MinCurrent, s.MaxCurrent = narrow(r.scaled("min_current", 3, large), amperes), narrow(r.scaled("max_current", 3, large), amperes)
	s.MinPower, s.MaxPower = narrow(r.scaled("min_power", 3, large), watts), narrow(r.scaled("max_power", 3, large), watts)
	s.MinDuration, s.MaxDuration = narrow(r.scaled("min_duration", 0, 1<<32-1), seconds), narrow(r.scaled("max_duration", 0, 1<<32-1), seconds)
	for _, v := range r.list("day_of_week") {
		day := slices.Index(dayNames[:], v.Text)
		if v.Kind != exactjson.String || day < 0 {
			r.fail("day_of_week", "has %.20q, want MONDAY to SUNDAY", v.Text)
			continue
		}
		s.Days |= 1 << day
	}
	if name := r.text("reservation"); name != "" {
		i := slices.Index(reservationNames[:], name)
		if i < 1 {
			r.fail("reservation", "is %.40q, want RESERVATION or RESERVATION_EXPIRES", name)
			return s
		}
		s.Reservation = ReservationKind(i) //nolint:gosec // 1..2
	}
	return s
}

// clock reads "13:30" as minutes of the day.
func (r *reader) clock(name string) Optional[uint16] {
	v, ok := r.get(name, exactjson.String)
	if !ok {
		return Optional[uint16]{}
	}
	at, err := time.Parse("15:04", v.Text)
	if err != nil || len(v.Text) != len("15:04") {
		r.fail(name, "is %.20q, want 13:30", v.Text)
	}
	return Some(uint16(60*at.Hour() + at.Minute())) //nolint:gosec // below 1440
}

// date reads "2015-12-24" as days since 1970-01-01.
func (r *reader) date(name string) Optional[int32] {
	v, ok := r.get(name, exactjson.String)
	if !ok {
		return Optional[int32]{}
	}
	at, err := time.Parse(time.DateOnly, v.Text)
	if err != nil || at.Year() < 1970 {
		r.fail(name, "is %.20q, want 2015-12-24, of 1970 or later", v.Text)
		return Optional[int32]{}
	}
	return Some(int32(at.Unix() / daySeconds)) //nolint:gosec // below the year 10000
}

// JSON returns t as OCPI 2.2.1's Tariff object in the one spelling that Hash is of: members in the
// standard's order, ours last, no white space, numbers without needless zeros, nothing that is not
// set. ParseJSON is its inverse for every t that Check accepts.
func (t *Tariff) JSON() []byte {
	w := writer{}
	w.open('{')
	w.text("country_code", t.CountryCode)
	w.text("party_id", t.PartyID)
	w.text("id", t.ID)
	w.text("currency", t.Currency)
	if t.Type != "" {
		w.text("type", t.Type)
	}
	if len(t.AltText) > 0 {
		w.name("tariff_alt_text")
		w.open('[')
		for _, text := range t.AltText {
			w.open('{')
			w.text("language", text.Language)
			w.text("text", text.Text)
			w.close('}')
		}
		w.close(']')
	}
	if t.AltURL != "" {
		w.text("tariff_alt_url", t.AltURL)
	}
	w.limit("min_price", t.Min)
	w.limit("max_price", t.Max)
	w.name("elements")
	w.open('[')
	for i := range t.Elements {
		w.element(&t.Elements[i])
	}
	w.close(']')
	w.instant("start_date_time", t.From)
	w.instant("end_date_time", t.Until)
	w.instant("last_updated", Some(t.LastUpdated))
	w.close('}')
	return w.out
}

// writer writes JSON without white space.
type writer struct {
	out   []byte
	comma bool
}

func (w *writer) separate() {
	if w.comma {
		w.out = append(w.out, ',')
	}
	w.comma = true
}

func (w *writer) open(bracket byte) {
	if n := len(w.out); n > 0 && w.out[n-1] != ':' {
		w.separate()
	}
	w.out = append(w.out, bracket)
	w.comma = false
}

func (w *writer) close(bracket byte) {
	w.out = append(w.out, bracket)
	w.comma = true
}

func (w *writer) name(name string) {
	w.separate()
	w.out = append(append(append(w.out, '"'), name...), '"', ':')
}

func (w *writer) text(name, text string) {
	w.name(name)
	quoted, _ := json.Marshal(text) // text never fails
	w.out = append(w.out, quoted...)
}

func (w *writer) number(name, number string) {
	w.name(name)
	w.out = append(w.out, number...)
}

func (w *writer) money(name string, a price.Amount) {
	w.number(name, strings.TrimSuffix(a.Format(), " "+price.Display))
}

// scaled writes n/10^places.
func (w *writer) scaled(name string, n int64, places uint8) {
	text := exactjson.Decimal{Mantissa: n, Scale: places}.String()
	if places > 0 {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	w.number(name, text)
}

func (w *writer) limit(name string, l Optional[Limit]) {
	if !l.Set {
		return
	}
	w.name(name)
	w.open('{')
	w.money("excl_vat", l.Value.ExclVAT)
	if l.Value.InclVAT.Set {
		w.money("incl_vat", l.Value.InclVAT.Value)
	}
	w.close('}')
}

func (w *writer) instant(name string, at Optional[int64]) {
	if at.Set {
		w.text(name, time.Unix(at.Value, 0).UTC().Format("2006-01-02T15:04:05Z"))
	}
}

func (w *writer) element(e *Element) {
	w.open('{')
	w.name("price_components")
	w.open('[')
	for _, c := range e.Components {
		w.open('{')
		w.text("type", c.Dimension.String())
		w.money("price", c.Price)
		if c.VAT.Set {
			w.scaled("vat", int64(c.VAT.Value), 4)
		}
		w.number("step_size", strconv.FormatUint(uint64(c.Step), 10))
		if c.Grace != 0 {
			w.number(graceName, strconv.FormatUint(uint64(c.Grace), 10))
		}
		if c.Cap.Set {
			w.money(capName, c.Cap.Value)
		}
		w.close('}')
	}
	w.close(']')
	if r := e.Restrictions; r != (Restrictions{}) {
		w.name("restrictions")
		w.restrictions(r)
	}
	w.close('}')
}

func (w *writer) restrictions(r Restrictions) {
	w.open('{')
	clock := func(name string, at Optional[uint16]) {
		if at.Set {
			w.text(name, fmt.Sprintf("%02d:%02d", at.Value/60, at.Value%60))
		}
	}
	clock("start_time", r.StartTime)
	clock("end_time", r.EndTime)
	date := func(name string, day Optional[int32]) {
		if day.Set {
			w.text(name, time.Unix(int64(day.Value)*daySeconds, 0).UTC().Format(time.DateOnly))
		}
	}
	date("start_date", r.StartDate)
	date("end_date", r.EndDate)
	number := func(name string, set bool, n int64, places uint8) {
		if set {
			w.scaled(name, n, places)
		}
	}
	number("min_kwh", r.MinEnergy.Set, int64(r.MinEnergy.Value), 3)
	number("max_kwh", r.MaxEnergy.Set, int64(r.MaxEnergy.Value), 3)
	number("min_current", r.MinCurrent.Set, int64(r.MinCurrent.Value), 3)
	number("max_current", r.MaxCurrent.Set, int64(r.MaxCurrent.Value), 3)
	number("min_power", r.MinPower.Set, int64(r.MinPower.Value), 3)
	number("max_power", r.MaxPower.Set, int64(r.MaxPower.Value), 3)
	number("min_duration", r.MinDuration.Set, int64(r.MinDuration.Value), 0)
	number("max_duration", r.MaxDuration.Set, int64(r.MaxDuration.Value), 0)
	if r.Days != 0 {
		w.name("day_of_week")
		w.open('[')
		for day, name := range dayNames {
			if r.Days>>day&1 == 1 {
				w.separate()
				w.out = append(append(append(w.out, '"'), name...), '"')
			}
		}
		w.close(']')
	}
	if r.Reservation != NoReservation {
		w.text("reservation", reservationNames[r.Reservation])
	}
	w.close('}')
}
