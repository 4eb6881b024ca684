package csms

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-network/cairn/core/tariff"
	"github.com/cairn-network/cairn/internal/atomicfile"
	"github.com/cairn-network/cairn/internal/buildinfo"
	"github.com/cairn-network/cairn/internal/telemetry"
	"github.com/cairn-network/cairn/wire/ocpp"
)

// Status is what GET /status shows.
type Status struct {
	URL          string         `json:"url"`
	Stations     int            `json:"stations"`
	Connected    int            `json:"connected"`
	OpenSessions int            `json:"open_sessions"`
	Orders       int            `json:"orders_waiting"`
	Outbox       int64          `json:"outbox"` // entries the ledger has not answered
	Calls        uint64         `json:"calls"`  // of stations, since the start
	Statuses     map[string]int `json:"connectors"`
	Uptime       int64          `json:"uptime"`
	Version      string         `json:"version"`
	Warnings     []string       `json:"warnings"`
}

// Status is a snapshot.
func (s *Service) Status() Status {
	out := Status{
		URL: s.info.URL, Orders: s.orders.count(), Calls: s.processed.Load(), Statuses: map[string]int{}, Warnings: []string{},
		Uptime: int64(s.Clock.Now().Sub(s.started) / time.Second), Version: buildinfo.Version,
	}
	s.eachStation(func(st *station) {
		online := st.connection() != nil
		st.mu.Lock()
		defer st.mu.Unlock()
		out.Stations++
		out.OpenSessions += len(st.open)
		if online {
			out.Connected++
		}
		for n, c := range st.boot.Connectors {
			if n > 0 && online {
				out.Statuses[c.Status]++
			}
		}
	})
	var trouble string
	if out.Outbox, trouble = s.outbox.status(); trouble != "" {
		out.Warnings = append(out.Warnings, "the ledger does not take what it is told: "+trouble)
	}
	return out
}

// StationView is a station as the API shows it.
type StationView struct {
	Station
	Online   bool        `json:"online"`
	Protocol string      `json:"protocol,omitempty"`
	Boot     bootRecord  `json:"boot"`
	Sessions []SessionNo `json:"open_sessions"`
}

// View is a station; false when there is none.
func (s *Service) View(id string) (StationView, bool) {
	st := s.station(id)
	if st == nil {
		return StationView{}, false
	}
	c := st.connection()
	st.mu.Lock()
	defer st.mu.Unlock()
	v := StationView{Station: st.Station, Online: c != nil, Boot: st.boot, Sessions: []SessionNo{}}
	v.Password = nil // not even its hash
	v.Boot.Connectors = make(map[int]connectorState, len(st.boot.Connectors))
	for n, state := range st.boot.Connectors {
		v.Boot.Connectors[n] = state
	}
	if c != nil {
		v.Protocol = string(c.Version)
	}
	for _, x := range st.sessions() {
		v.Sessions = append(v.Sessions, x.No)
	}
	return v, true
}

// SessionView is a session with its course and what a person should know of it.
type SessionView struct {
	Session
	Course  []MarkView        `json:"course"`
	Records []string          `json:"records"`
	Remarks map[Reason]string `json:"remarks"`
}

// MarkView is a mark as the API shows it.
type MarkView struct {
	At       time.Time `json:"at"`
	Register *int64    `json:"register,omitempty"`
	State    uint8     `json:"state"`
}

// Session is one by its number, open or over; false when there is none.
func (s *Service) Session(no SessionNo) (SessionView, bool, error) {
	x, err := s.store.session(no)
	if err != nil || x == nil {
		return SessionView{}, false, err
	}
	if st := s.station(x.Station); st != nil { // with what the rows do not have
		st.mu.Lock()
		if open := st.open[no]; open != nil {
			clone := *open
			clone.marks, clone.records, clone.Reasons = slices.Clone(open.marks), slices.Clone(open.records), slices.Clone(open.Reasons)
			x = &clone
		}
		st.mu.Unlock()
	}
	v := SessionView{Session: *x, Records: x.records, Remarks: make(map[Reason]string), Course: []MarkView{}}
	for _, m := range x.marks {
		view := MarkView{At: time.Unix(m.At, 0).UTC(), State: uint8(m.State)}
		if m.Register != noRegister {
			r := int64(m.Register)
			view.Register = &r
		}
		v.Course = append(v.Course, view)
	}
	for _, r := range x.Reasons {
		v.Remarks[r] = r.Text()
	}
	return v, true, nil
}

// maxPage bounds what a list returns at once.
const maxPage = 500

// Sessions lists those with a number below before (0 for all), the newest first.
func (s *Service) Sessions(before SessionNo, most int) ([]Session, error) {
	out := []Session{}
	var below []byte
	if before > 0 {
		below = key('t', before)
	}
	err := s.store.scanBack(key('t'), below, func(_, value []byte) (bool, error) {
		var x Session
		if err := unmarshal(value, &x); err != nil {
			return false, err
		}
		out = append(out, x)
		return len(out) < most, nil
	})
	return out, err
}

// adminToken is the file with what the API's changes ask for.
const adminToken = "admin.token"

// openStatus serves, on loopback:
//
//	GET    /status /healthz /metrics
//	GET    /stations                        all, without their sessions
//	GET    /stations/{id}                   one
//	PUT    /stations/{id}                   register or change; the answer has a generated password once
//	DELETE /stations/{id}
//	GET    /stations/{id}/availability      seconds by connector and day
//	GET    /stations/{id}/report            the last device report of 2.0.1
//	POST   /stations/{id}/call/{action}     an OCPP call in the station's edition
//	POST   /stations/{id}/reservations      {connector, tag, until}
//	GET    /reservations, DELETE /reservations/{id}
//	GET    /sessions?before=&limit=         the newest first
//	GET    /sessions/{no}                   one, with its course and signed records
//	POST   /sessions/{no}/stop
//	PUT    /tariffs/{name}                  OCPI 2.2.1 JSON
//	PUT    /groups/{name}                   {limit} in watts
//
// What changes anything asks for the token in the file admin.token beside the sessions (0600): Authorization: Bearer.
func (s *Service) openStatus(context.Context) error {
	token, err := loadToken(filepath.Join(s.Config.Path, adminToken))
	if err != nil {
		return err
	}
	t, err := telemetry.Listen(s.Config.StatusListen, s.registry, s.Log)
	if err != nil {
		return err
	}
	s.status = t
	s.info.Status = "http://" + t.Addr().String()
	t.HandleJSON("GET /status", func(context.Context) (any, error) { return s.Status(), nil })
	t.Check("ledger", func(context.Context) error {
		if _, trouble := s.outbox.status(); trouble != "" {
			return errors.New(trouble)
		}
		return nil
	})
	read := func(pattern string, f func(r *http.Request) (any, error)) { t.Handle(pattern, answer(f)) }
	write := func(pattern string, f func(r *http.Request) (any, error)) {
		t.Handle(pattern, answer(func(r *http.Request) (any, error) {
			given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
				return nil, &httpError{http.StatusUnauthorized, "the token in " + adminToken + " is asked for (Authorization: Bearer)"}
			}
			return f(r)
		}))
	}
	read("GET /stations", s.apiStations)
	read("GET /stations/{id}", s.apiStation)
	read("GET /stations/{id}/availability", func(r *http.Request) (any, error) { return s.Availability(r.PathValue("id")) })
	read("GET /stations/{id}/report", func(r *http.Request) (any, error) { return s.reports.get(r.PathValue("id")) })
	read("GET /sessions", s.apiSessions)
	read("GET /sessions/{no}", s.apiSession)
	read("GET /reservations", func(*http.Request) (any, error) { return s.Reservations() })
	write("PUT /stations/{id}", s.apiRegister)
	write("DELETE /stations/{id}", func(r *http.Request) (any, error) { return struct{}{}, s.Remove(r.PathValue("id")) })
	write("POST /stations/{id}/call/{action}", s.apiCall)
	write("POST /stations/{id}/reservations", s.apiReserve)
	write("DELETE /reservations/{id}", func(r *http.Request) (any, error) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil {
			return nil, &httpError{http.StatusBadRequest, "reservation " + r.PathValue("id") + " is not a number"}
		}
		return struct{}{}, s.CancelReservation(r.Context(), id)
	})
	write("POST /sessions/{no}/stop", func(r *http.Request) (any, error) {
		no, err := sessionNo(r.PathValue("no"))
		if err != nil {
			return nil, err
		}
		return struct{}{}, s.Stop(r.Context(), no)
	})
	write("PUT /tariffs/{name}", s.apiTariff)
	write("PUT /groups/{name}", func(r *http.Request) (any, error) {
		g := Group{}
		if err := body(r, &g); err != nil {
			return nil, err
		}
		g.Name = r.PathValue("name")
		return g, s.SetGroup(g)
	})
	return nil
}

// loadToken reads the API's token, or makes one.
func loadToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		if token := strings.TrimSpace(string(b)); len(token) >= 32 {
			return token, nil
		}
		return "", fmt.Errorf("the token in %s is too short: remove the file to have a new one made", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the API's token: %w", err)
	}
	var raw [16]byte
	rand.Read(raw[:])
	token := hex.EncodeToString(raw[:])
	return token, atomicfile.Write(path, []byte(token+"\n"), atomicfile.Private)
}

type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

// answer writes what f returns as JSON.
func answer(f func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		if err == nil {
			writeJSON(w, http.StatusOK, v)
			return
		}
		status := http.StatusBadRequest
		var known *httpError
		var rejected *RejectedError
		switch {
		case errors.As(err, &known):
			status = known.status
		case errors.Is(err, ErrNoSuchStation), errors.Is(err, ErrNoSuchAction):
			status = http.StatusNotFound
		case errors.Is(err, ErrOffline), errors.As(err, &rejected):
			status = http.StatusConflict
		case errors.Is(err, ocpp.ErrTimeout), errors.Is(err, ocpp.ErrClosed):
			status = http.StatusGatewayTimeout
		}
		writeJSON(w, status, map[string]string{"error": err.Error()})
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

// maxBody bounds what the API is sent.
const maxBody = 1 << 20

func body(r *http.Request, v any) error {
	d := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return &httpError{http.StatusBadRequest, "request: " + err.Error()}
	}
	return nil
}

func sessionNo(text string) (SessionNo, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, &httpError{http.StatusBadRequest, fmt.Sprintf("session %q is not a number", text)}
	}
	return SessionNo(n), nil
}

func (s *Service) apiStations(*http.Request) (any, error) {
	ids := []string{}
	s.eachStation(func(st *station) { ids = append(ids, st.ID) })
	slices.Sort(ids)
	out := make([]StationView, 0, len(ids))
	for _, id := range ids {
		if v, ok := s.View(id); ok {
			out = append(out, v)
		}
	}
	return out, nil
}

func (s *Service) apiStation(r *http.Request) (any, error) {
	v, ok := s.View(r.PathValue("id"))
	if !ok {
		return nil, fmt.Errorf("%q: %w", r.PathValue("id"), ErrNoSuchStation)
	}
	return v, nil
}

func (s *Service) apiSessions(r *http.Request) (any, error) {
	var before SessionNo
	most := 100
	if text := r.URL.Query().Get("before"); text != "" {
		var err error
		if before, err = sessionNo(text); err != nil {
			return nil, err
		}
	}
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return nil, &httpError{http.StatusBadRequest, fmt.Sprintf("limit %q: 1 to %d are allowed", text, maxPage)}
		}
		most = n
	}
	return s.Sessions(before, most)
}

func (s *Service) apiSession(r *http.Request) (any, error) {
	no, err := sessionNo(r.PathValue("no"))
	if err != nil {
		return nil, err
	}
	v, ok, err := s.Session(no)
	if err == nil && !ok {
		err = &httpError{http.StatusNotFound, fmt.Sprintf("there is no session %d", no)}
	}
	return v, err
}

// registration is a station as it is registered: with a password of the owner's choice, or one to be made.
type registration struct {
	Station
	Plain string `json:"plain_password,omitempty"`
}

func (s *Service) apiRegister(r *http.Request) (any, error) {
	var q registration
	if err := body(r, &q); err != nil {
		return nil, err
	}
	q.ID = r.PathValue("id")
	answer := map[string]string{"id": q.ID, "url": s.info.URL}
	if q.Password == nil {
		if st := s.station(q.ID); st != nil {
			st.mu.Lock()
			q.Password = st.Password
			st.mu.Unlock()
		}
	}
	switch {
	case q.Plain != "":
		h, err := HashPassword(q.Plain)
		if err != nil {
			return nil, err
		}
		q.Password = h
	case q.Password == nil && (q.Profile == BasicAuth || q.Profile == TLSBasicAuth):
		answer["password"], q.Password = NewPassword()
	}
	return answer, s.Register(q.Station)
}

func (s *Service) apiCall(r *http.Request) (any, error) {
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, &httpError{http.StatusBadRequest, "request: " + err.Error()}
	}
	return s.Call(r.Context(), r.PathValue("id"), r.PathValue("action"), payload)
}

func (s *Service) apiReserve(r *http.Request) (any, error) {
	var q Reservation
	if err := body(r, &q); err != nil {
		return nil, err
	}
	return s.Reserve(r.Context(), r.PathValue("id"), q.Connector, q.Tag, q.Until)
}

func (s *Service) apiTariff(r *http.Request) (any, error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, tariff.MaxJSON+1))
	if err != nil {
		return nil, &httpError{http.StatusBadRequest, "request: " + err.Error()}
	}
	t, err := tariff.ParseJSON(raw)
	if err != nil {
		return nil, err
	}
	ref, err := s.SetTariff(r.PathValue("name"), &t)
	return map[string]TariffRef{"hash": ref}, err
}
