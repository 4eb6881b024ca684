package csms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cairn-network/cairn/wire/ocpp"
)

// ErrOffline says that a station has no connection.
var ErrOffline = errors.New("station is not connected")

// station is one charge point at run time.
type station struct {
	service *Service

	mu sync.Mutex // guards everything below; held while a message is handled
	Station
	// gone is set when the station was removed.
	gone bool
	boot bootRecord
	// wasOnline is whether it had a connection up to now, for the time since the last accounting.
	wasOnline bool
	// open are the sessions that are not over, by our number.
	open map[SessionNo]*Session

	link sync.Mutex // guards conn; never held together with waiting for a message
	conn *ocpp.Conn
}

// bootRecord is what a station said of itself, and the state of its connectors.
type bootRecord struct {
	Vendor   string    `json:"vendor,omitempty"`
	Model    string    `json:"model,omitempty"`
	Serial   string    `json:"serial,omitempty"`
	Firmware string    `json:"firmware,omitempty"`
	Meter    string    `json:"meter,omitempty"`
	Booted   time.Time `json:"booted,omitzero"`
	// FirmwareStatus and LogStatus are the last reports on what it was asked to do.
	FirmwareStatus string `json:"firmware_status,omitempty"`
	LogStatus      string `json:"log_status,omitempty"`
	// Connectors by number; 0 is the station as a whole.
	Connectors map[int]connectorState `json:"connectors,omitempty"`
}

// connectorState is what a connector last said.
type connectorState struct {
	Status string    `json:"status"`
	Error  string    `json:"error,omitempty"`
	Since  time.Time `json:"since"` // by our clock
}

func (s *Service) newStation(record Station) *station {
	return &station{service: s, Station: record, open: make(map[SessionNo]*Session)}
}

func (s *Service) loadStations() error {
	return s.store.scan(key('s'), nil, func(k, value []byte) (bool, error) {
		var record Station
		if err := unmarshal(value, &record); err != nil {
			return false, fmt.Errorf("station %q: %w", k[1:], err)
		}
		st := s.newStation(record)
		if _, err := s.store.get(key('b', record.ID), &st.boot); err != nil {
			return false, err
		}
		s.stations[record.ID] = st
		return true, nil
	})
}

func (s *Service) loadSessions() error {
	return s.store.scan(key('a'), nil, func(k, _ []byte) (bool, error) {
		no, err := noOf(k[1:])
		if err != nil {
			return false, err
		}
		x, err := s.store.session(no)
		if err != nil {
			return false, err
		}
		if x == nil {
			return false, fmt.Errorf("session %d is listed as open and is not there", no)
		}
		st := s.stations[x.Station]
		if st == nil {
			return false, fmt.Errorf("session %d is of station %s, which is not there", no, x.Station)
		}
		st.open[no] = x
		return true, nil
	})
}

// Register adds a station or replaces what is known of it. Open sessions go on.
func (s *Service) Register(record Station) error {
	if err := record.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	st := s.stations[record.ID]
	if st == nil {
		if len(s.stations) >= MaxStations {
			s.mu.Unlock()
			return fmt.Errorf("registering station %s: there are %d already", record.ID, MaxStations)
		}
		st = s.newStation(record)
		s.stations[record.ID] = st
	}
	s.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	c := s.store.change()
	c.put(key('s', record.ID), record)
	if err := s.commit(c); err != nil {
		return err
	}
	st.Station = record
	return nil
}

// Remove forgets a station; one with open sessions stays.
func (s *Service) Remove(id string) error {
	st := s.station(id)
	if st == nil {
		return fmt.Errorf("removing station %q: it is not registered", id)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.open) > 0 {
		return fmt.Errorf("removing station %s: %d of its sessions are open", id, len(st.open))
	}
	c := s.store.change()
	c.drop(key('s', id))
	c.drop(key('b', id))
	if err := s.commit(c); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.stations, id)
	s.mu.Unlock()
	st.gone = true
	st.hangUp("station was removed")
	return nil
}

// admit decides whether who connects is the station it says it is. Nothing of a running connection is touched before.
func (s *Service) admit(ctx context.Context, c ocpp.Credentials) (ocpp.Version, error) {
	st := s.station(c.Station)
	if st == nil {
		s.doors.wasteTime(c.Password)
		s.metrics.refused.WithLabelValues("unknown").Inc()
		return "", ocpp.ErrUnauthorized
	}
	st.mu.Lock()
	record := st.Station
	st.mu.Unlock()
	if err := s.doors.check(ctx, &record, c); err != nil {
		s.metrics.refused.WithLabelValues("credentials").Inc()
		s.Log.Warn("refusing a connection", "station", c.Station, "from", c.Remote, "reason", err)
		return "", ocpp.ErrUnauthorized
	}
	return record.Version, nil
}

// serveStation has a connection from its handshake to its end.
func (s *Service) serveStation(ctx context.Context, c *ocpp.Conn) {
	s.connections.Add(1)
	defer s.connections.Done()
	st := s.station(c.Peer)
	if st == nil || s.ctx.Err() != nil { // removed since, or going down
		c.Close(websocket.CloseGoingAway, "not here any more")
		return
	}
	old := st.attach(c)
	if old != nil {
		// It proved itself; the old one is a socket whose other end is long gone, or soon will be.
		s.metrics.evicted.Inc()
		old.Close(websocket.CloseGoingAway, "the station connected anew")
		select {
		case <-old.Done(): // so that its last message is handled before the first of this one
		case <-time.After(goodbye):
		}
	}
	if s.ctx.Err() != nil {
		c.Close(websocket.CloseGoingAway, "central system is going down")
	}
	s.metrics.connected.Inc()
	defer s.metrics.connected.Dec()
	st.connectionChanged()
	err := c.Serve(ctx, (*handler)(s))
	st.detach(c)
	s.Log.Debug("station went", "station", c.Peer, "reason", err)
}

// attach makes c the station's connection and returns the one it had.
func (st *station) attach(c *ocpp.Conn) (old *ocpp.Conn) {
	st.link.Lock()
	defer st.link.Unlock()
	old, st.conn = st.conn, c
	return old
}

func (st *station) detach(c *ocpp.Conn) {
	st.link.Lock()
	was := st.conn == c
	if was {
		st.conn = nil
	}
	st.link.Unlock()
	if was {
		st.connectionChanged()
	}
}

// connection is the station's, nil while it has none.
func (st *station) connection() *ocpp.Conn {
	st.link.Lock()
	defer st.link.Unlock()
	return st.conn
}

func (st *station) hangUp(reason string) {
	if c := st.connection(); c != nil {
		c.Close(websocket.CloseGoingAway, reason)
	}
}

// at is the open session at a connector that started last; nil for none. mu is held.
func (st *station) at(connector int) *Session {
	return st.newest(func(x *Session) bool { return x.State.Open() && x.Connector == connector })
}

// newest is the session that started last of those that match. mu is held.
func (st *station) newest(match func(*Session) bool) *Session {
	var found *Session
	for _, x := range st.open {
		if match(x) && (found == nil || cmp.Or(x.Started.Compare(found.Started), cmp.Compare(x.No, found.No)) > 0) {
			found = x
		}
	}
	return found
}

// sessions are the open ones by number. mu is held.
func (st *station) sessions() []*Session {
	out := make([]*Session, 0, len(st.open))
	for _, x := range st.open {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b *Session) int { return cmp.Compare(a.No, b.No) })
	return out
}
