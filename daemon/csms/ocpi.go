package csms

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/tariff"
)

// Bounds of a page of OCPI (2.2.1 section 4.2.2).
const (
	ocpiPage = 50
	ocpiMost = 200
)

// ocpiStatus are the codes of section 5.
const (
	ocpiOK       = 1000
	ocpiBadInput = 2001
	ocpiUnknown  = 2003
	ocpiServer   = 3000
)

func (s *Service) listenRoaming(context.Context) error {
	l, err := net.Listen("tcp", s.Config.RoamingListen)
	if err != nil {
		return fmt.Errorf("listening for roaming partners: %w", err)
	}
	s.roaming = l
	s.info.Roaming = "http://" + l.Addr().String() + "/ocpi/versions"
	return nil
}

func (s *Service) serveRoaming(ctx context.Context) error {
	server := &http.Server{
		Handler: s.ocpi(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(s.roaming) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving roaming partners: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if end := <-ended; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// ocpi reads out, to those with a token:
//
//	GET /ocpi/versions, /ocpi/2.2.1                      what there is
//	GET /ocpi/cpo/2.2.1/locations[/{location}]           one for each station
//	GET /ocpi/cpo/2.2.1/tariffs                          those with a name
//	GET /ocpi/cpo/2.2.1/cdrs                             settled sessions, by when they were settled
//
// Lists take date_from, date_to, offset and limit, and answer with Link, X-Total-Count and X-Limit.
func (s *Service) ocpi() http.Handler {
	mux := http.NewServeMux()
	single := func(pattern string, f func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			v, err := f(r)
			s.ocpiAnswer(w, v, err)
		})
	}
	list := func(path string, f func(p *ocpiQuery) ([]any, error)) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			p, err := ocpiQueryOf(r)
			if err != nil {
				s.ocpiAnswer(w, nil, err)
				return
			}
			items, err := f(p)
			if err != nil {
				s.ocpiAnswer(w, nil, err)
				return
			}
			if items == nil {
				items = []any{}
			}
			h := w.Header()
			h.Set("X-Total-Count", strconv.Itoa(p.total))
			h.Set("X-Limit", strconv.Itoa(ocpiMost))
			if next := p.offset + len(items); next < p.total && len(items) > 0 {
				h.Set("Link", "<"+p.url(next)+`>; rel="next"`)
			}
			s.ocpiAnswer(w, items, nil)
		})
	}
	single("GET /ocpi/versions", func(r *http.Request) (any, error) {
		return []any{map[string]string{"version": "2.2.1", "url": base(r) + "/ocpi/2.2.1"}}, nil
	})
	single("GET /ocpi/2.2.1", func(r *http.Request) (any, error) {
		endpoint := func(id string) any {
			return map[string]string{"identifier": id, "role": "SENDER", "url": base(r) + "/ocpi/cpo/2.2.1/" + id}
		}
		return map[string]any{"version": "2.2.1", "endpoints": []any{endpoint("locations"), endpoint("tariffs"), endpoint("cdrs")}}, nil
	})
	list("/ocpi/cpo/2.2.1/locations", s.ocpiLocations)
	list("/ocpi/cpo/2.2.1/tariffs", s.ocpiTariffs)
	list("/ocpi/cpo/2.2.1/cdrs", s.ocpiCDRs)
	single("GET /ocpi/cpo/2.2.1/locations/{location}", func(r *http.Request) (any, error) {
		v, ok := s.View(r.PathValue("location"))
		if !ok {
			return nil, &ocpiError{ocpiUnknown, fmt.Sprintf("there is no location %q", r.PathValue("location"))}
		}
		return s.location(&v), nil
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.ocpiAllowed(r) {
			w.Header().Set("WWW-Authenticate", "Token")
			s.ocpiWrite(w, http.StatusUnauthorized, nil, 2000, "a token is asked for (Authorization: Token)")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

type ocpiError struct {
	code int
	text string
}

func (e *ocpiError) Error() string { return e.text }

func (s *Service) ocpiAnswer(w http.ResponseWriter, v any, err error) {
	if err == nil {
		s.ocpiWrite(w, http.StatusOK, v, ocpiOK, "")
		return
	}
	var known *ocpiError
	if errors.As(err, &known) {
		status := http.StatusOK // section 4.1.7: errors of the application are answered 200
		if known.code == ocpiUnknown {
			status = http.StatusNotFound
		}
		s.ocpiWrite(w, status, nil, known.code, known.text)
		return
	}
	s.Log.Warn("answering a roaming partner", "error", err)
	s.ocpiWrite(w, http.StatusOK, nil, ocpiServer, "try again later")
}

func (s *Service) ocpiWrite(w http.ResponseWriter, status int, v any, code int, text string) {
	out := map[string]any{"status_code": code, "timestamp": ocpiTime(s.Clock.Now())}
	if text != "" {
		out["status_message"] = text
	}
	if v != nil {
		out["data"] = v
	}
	writeJSON(w, status, out)
}

// ocpiAllowed compares tokens as they are and as base64, since 2.2.1 encodes them and many partners do not.
func (s *Service) ocpiAllowed(r *http.Request) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Token ")
	if !ok || len(given) > 256 {
		return false
	}
	tries := []string{given}
	if plain, err := base64.StdEncoding.DecodeString(given); err == nil {
		tries = append(tries, string(plain))
	}
	allowed := 0
	for token := range s.Config.RoamingTokens {
		want := sha256.Sum256([]byte(token))
		for _, t := range tries {
			got := sha256.Sum256([]byte(t))
			allowed |= subtle.ConstantTimeCompare(want[:], got[:])
		}
	}
	return allowed == 1
}

// ocpiQuery is a list's question. total is filled by who answers.
type ocpiQuery struct {
	request       *http.Request
	from, to      time.Time
	offset, limit int
	total         int
}

func ocpiQueryOf(r *http.Request) (*ocpiQuery, error) {
	q := r.URL.Query()
	p := &ocpiQuery{request: r, limit: ocpiPage}
	number := func(name string, into *int, least, most int) error {
		text := q.Get(name)
		if text == "" {
			return nil
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < least {
			return &ocpiError{ocpiBadInput, fmt.Sprintf("%s %q is not a number of at least %d", name, text, least)}
		}
		*into = min(n, most)
		return nil
	}
	date := func(name string, into *time.Time) error {
		text := q.Get(name)
		if text == "" {
			return nil
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			if t, err = time.Parse("2006-01-02T15:04:05", text); err != nil {
				return &ocpiError{ocpiBadInput, fmt.Sprintf("%s %q is not written like 2026-01-31T12:00:00Z", name, text)}
			}
		}
		*into = t.UTC()
		return nil
	}
	return p, errors.Join(
		number("offset", &p.offset, 0, 1<<31-1), number("limit", &p.limit, 1, ocpiMost),
		date("date_from", &p.from), date("date_to", &p.to),
	)
}

// in tells whether what was last changed at t is asked for: from inclusive, to exclusive.
func (p *ocpiQuery) in(t time.Time) bool {
	return !t.Before(p.from) && (p.to.IsZero() || t.Before(p.to))
}

// wanted tells whether the next item is on this page, and counts it.
func (p *ocpiQuery) wanted() bool {
	p.total++
	return p.total > p.offset && p.total <= p.offset+p.limit
}

func (p *ocpiQuery) url(offset int) string {
	q := url.Values{}
	for k, v := range p.request.URL.Query() {
		q[k] = v
	}
	q.Set("offset", strconv.Itoa(offset))
	q.Set("limit", strconv.Itoa(p.limit))
	return base(p.request) + p.request.URL.Path + "?" + q.Encode()
}

func base(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

func ocpiTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func (s *Service) party() (country, party string) {
	country, party, _ = strings.Cut(s.Config.Party, "*")
	return country, party
}

func (s *Service) ocpiLocations(p *ocpiQuery) ([]any, error) {
	var ids []string
	s.eachStation(func(st *station) { ids = append(ids, st.ID) })
	slices.Sort(ids)
	var out []any
	for _, id := range ids {
		v, ok := s.View(id)
		if !ok || !p.in(v.updated()) {
			continue
		}
		if p.wanted() {
			out = append(out, s.location(&v))
		}
	}
	return out, nil
}

// updated is when a station last changed, as far as partners see.
func (v *StationView) updated() time.Time {
	last := v.Boot.Booted
	for _, c := range v.Boot.Connectors {
		if c.Since.After(last) {
			last = c.Since
		}
	}
	return last
}

// ocpiStatuses are EVSE statuses by those of OCPP.
var ocpiStatuses = map[string]string{
	"Available": "AVAILABLE", "Preparing": "CHARGING", "Charging": "CHARGING", "SuspendedEV": "CHARGING", "SuspendedEVSE": "CHARGING",
	"Finishing": "CHARGING", "Occupied": "CHARGING", "Reserved": "RESERVED", "Unavailable": "INOPERATIVE", "Faulted": "OUTOFORDER",
}

// location is a station in OCPI's terms (2.2.1 section 8.3.1): an EVSE for each connector.
func (s *Service) location(v *StationView) any {
	country, party := s.party()
	place := &v.Place
	var evses []any
	for _, c := range v.Connectors {
		status := "UNKNOWN"
		changed := v.Boot.Booted
		if state, ok := v.Boot.Connectors[c.ID]; ok {
			status, changed = cmp.Or(ocpiStatuses[state.Status], "UNKNOWN"), state.Since
		}
		if !v.Online {
			status = "UNKNOWN"
		}
		volts := cmp.Or(c.Volts, 230)
		phases := 3
		if c.Current == "AC_1_PHASE" || c.Current == "DC" {
			phases = 1
		}
		connector := map[string]any{
			"id": strconv.Itoa(c.ID), "standard": cmp.Or(c.Standard, "IEC_62196_T2"), "format": cmp.Or(c.Format, "SOCKET"),
			"power_type": cmp.Or(c.Current, "AC_3_PHASE"), "max_voltage": volts, "max_amperage": int(c.Power) / (volts * phases),
			"max_electric_power": int64(c.Power), "last_updated": ocpiTime(changed),
		}
		if c.Tariff != "" {
			connector["tariff_ids"] = []string{c.Tariff}
		}
		evses = append(evses, map[string]any{
			"uid": v.ID + "-" + strconv.Itoa(c.ID), "evse_id": country + "*" + party + "*E" + v.ID + "*" + strconv.Itoa(c.ID),
			"status": status, "connectors": []any{connector}, "last_updated": ocpiTime(changed),
			"capabilities": []string{"REMOTE_START_STOP_CAPABLE", "RFID_READER"},
		})
	}
	return map[string]any{
		"country_code": country, "party_id": party, "id": v.ID, "publish": true, "name": cmp.Or(v.Name, v.ID),
		"address": place.Address, "city": place.City, "postal_code": place.Postal, "country": cmp.Or(place.Country, "XXX"),
		"coordinates": map[string]string{"latitude": cmp.Or(place.Lat, "0.00000"), "longitude": cmp.Or(place.Lon, "0.00000")},
		"time_zone":   cmp.Or(place.TimeZone, "UTC"), "evses": evses, "last_updated": ocpiTime(v.updated()),
	}
}

func (s *Service) ocpiTariffs(p *ocpiQuery) ([]any, error) {
	all, err := s.namedTariffs()
	if err != nil {
		return nil, err
	}
	var out []any
	country, party := s.party()
	for _, n := range all {
		t, err := s.tariffs.get(p.request.Context(), n.Ref)
		if err != nil {
			return nil, err
		}
		if !p.in(time.Unix(t.LastUpdated, 0)) || !p.wanted() {
			continue
		}
		named := *t
		named.CountryCode, named.PartyID, named.ID = country, party, n.Name
		out = append(out, json.RawMessage(named.JSON()))
	}
	return out, nil
}

// ocpiCDRs lists settled sessions by when they were settled.
func (s *Service) ocpiCDRs(p *ocpiQuery) ([]any, error) {
	prefix := key('c')
	var from []byte
	if !p.from.IsZero() {
		from = key('c', uint64(max(p.from.UnixMilli(), 0)))
	}
	var nos []SessionNo
	err := s.store.scan(prefix, from, func(k, _ []byte) (bool, error) {
		if len(k) != 13 {
			return false, fmt.Errorf("row of a settled session with a key of %d bytes", len(k))
		}
		if !p.in(time.UnixMilli(int64(binary.BigEndian.Uint64(k[1:])))) {
			return false, nil
		}
		if p.wanted() {
			no, err := noOf(k[9:])
			nos = append(nos, no)
			return true, err
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	var out []any
	for _, no := range nos {
		var x Session
		found, err := s.store.get(key('t', no), &x)
		if err != nil {
			return nil, err
		}
		if !found || x.Settlement == nil {
			return nil, fmt.Errorf("session %d is listed as settled and is not", no)
		}
		cdr, err := s.cdr(p.request.Context(), &x)
		if err != nil {
			return nil, err
		}
		out = append(out, cdr)
	}
	return out, nil
}

// cdr is a settled session in OCPI's terms (2.2.1 section 10.3.1).
func (s *Service) cdr(ctx context.Context, x *Session) (any, error) {
	country, party := s.party()
	out := x.Settlement
	t, err := s.tariffs.get(ctx, x.Tariff)
	if err != nil {
		return nil, err
	}
	dimension := func(kind, volume string) any { return map[string]any{"type": kind, "volume": json.RawMessage(volume)} }
	var periods []any
	at := out.Start
	for _, p := range out.Periods {
		hours := fraction(int64(p.Seconds), 3600)
		kind := "PARKING_TIME"
		if p.State == tariff.Charging {
			kind = "TIME"
		}
		dimensions := []any{dimension(kind, hours)}
		if p.Energy > 0 {
			dimensions = append(dimensions, dimension("ENERGY", fraction(int64(p.Energy), 1000)))
		}
		periods = append(periods, map[string]any{"start_date_time": ocpiTime(at), "dimensions": dimensions, "tariff_id": t.ID})
		at = at.Add(time.Duration(p.Seconds) * time.Second)
	}
	if periods == nil {
		periods = []any{map[string]any{"start_date_time": ocpiTime(out.Start), "dimensions": []any{dimension("ENERGY", "0")}}}
	}
	excl := x.Cost
	if cost, err := t.Price(tariff.Session{Start: out.Start.Unix(), ZoneSeconds: out.Zone, Periods: out.Periods}); err == nil && cost.Total.InclVAT == x.Cost {
		excl = cost.Total.ExclVAT
	}
	cdr := map[string]any{
		"country_code": country, "party_id": party, "id": strconv.Itoa(int(x.No)), "session_id": strconv.Itoa(int(x.No)),
		"start_date_time": ocpiTime(out.Start), "end_date_time": ocpiTime(out.End), "auth_method": "COMMAND",
		"cdr_token": map[string]string{
			"country_code": country, "party_id": party, "uid": string(x.Tag), "type": tokenKind(x), "contract_id": strconv.FormatUint(uint64(x.Order), 10),
		},
		"cdr_location": map[string]any{
			"id": x.Station, "evse_uid": x.Station + "-" + strconv.Itoa(x.Connector), "connector_id": strconv.Itoa(x.Connector),
			"evse_id": country + "*" + party + "*E" + x.Station + "*" + strconv.Itoa(x.Connector), "connector_standard": "IEC_62196_T2",
			"connector_format": "SOCKET", "connector_power_type": "AC_3_PHASE", "address": "", "city": "", "country": "XXX",
			"coordinates": map[string]string{"latitude": "0.00000", "longitude": "0.00000"},
		},
		"currency": t.Currency, "tariffs": []any{json.RawMessage(t.JSON())}, "charging_periods": periods,
		"total_cost":   map[string]any{"excl_vat": json.RawMessage(moneyNumber(excl)), "incl_vat": json.RawMessage(moneyNumber(x.Cost))},
		"total_energy": json.RawMessage(fraction(int64(out.Energy), 1000)), "total_time": json.RawMessage(fraction(out.Charging+out.Parked+out.Waiting, 3600)),
		"total_parking_time": json.RawMessage(fraction(out.Parked, 3600)), "last_updated": ocpiTime(x.SettledAt),
		"remark": strings.Join(remarks(x.Reasons), " "),
	}
	if st, ok := s.View(x.Station); ok {
		location := cdr["cdr_location"].(map[string]any)
		location["address"], location["city"], location["country"] = st.Place.Address, st.Place.City, cmp.Or(st.Place.Country, "XXX")
		if st.Place.Lat != "" {
			location["coordinates"] = map[string]string{"latitude": st.Place.Lat, "longitude": st.Place.Lon}
		}
	}
	if len(out.Records) > 0 {
		var values []any
		for _, r := range out.Records {
			values = append(values, map[string]string{"nature": "End", "plain_data": "", "signed_data": base64.StdEncoding.EncodeToString([]byte(r))})
		}
		cdr["signed_data"] = map[string]any{"encoding_method": "OCMF", "signed_values": values}
	}
	return cdr, nil
}

func tokenKind(x *Session) string {
	if x.Grant != 0 {
		return "RFID"
	}
	return "AD_HOC_USER"
}

func remarks(reasons []Reason) []string {
	var out []string
	for _, r := range reasons {
		out = append(out, r.Text())
	}
	return out
}

// fraction is n/per as a number with four decimals, rounded to the nearest.
func fraction(n, per int64) string {
	scaled := (n*10_000 + per/2) / per
	return fmt.Sprintf("%d.%04d", scaled/10_000, scaled%10_000)
}

// moneyNumber is an amount in whole units with four decimals, rounded to the nearest.
func moneyNumber(a price.Amount) string {
	half, _ := a.Add(price.FromUint64(50_000_000_000_000))
	n, _ := half.MulDiv(1, 100_000_000_000_000)
	b := n.Big().String()
	for len(b) < 5 {
		b = "0" + b
	}
	return b[:len(b)-4] + "." + b[len(b)-4:]
}
