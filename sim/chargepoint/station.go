package chargepoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/internal/clock"
	"github.com/cairn-network/cairn/wire/ocpp"
)

// Config of a station.
type Config struct {
	ID, URL, Password string
	TLS               *tls.Config
	Version           ocpp.Version
	Connectors        int
	Power             grid.Watts // of a connector; 0 is 11 kW
	// Meter signs; nil for an unsigned station, which then counts by itself.
	Meter *Meter
	// SampleEvery is the distance of meter values in Run: a minute when 0.
	SampleEvery time.Duration
	// Retry is the first pause after a lost connection, doubled up to a minute: 1 s when 0.
	Retry  time.Duration
	Clock  clock.Clock  // nil for the system's
	Log    *slog.Logger // nil for silence
	Faults Faults
}

// Faults are what real stations do wrong.
type Faults struct {
	// ClockOffset is added to every time that the station tells.
	ClockOffset time.Duration
	// Duplicate sends every transaction message twice.
	Duplicate bool
	// OfflineID is the transaction id of messages of a session whose start was not answered yet: 0 waits for the answer
	// instead, as a right station does.
	OfflineID int
	// LoseStart drops starts instead of sending them, LoseStop stops.
	LoseStart, LoseStop bool
	// StopBelow makes the register at the stop less than at the start by so much.
	StopBelow grid.WattHours
	// Deaf never answers what the central system asks.
	Deaf bool
}

// Station is one simulated charge point.
type Station struct {
	Config
	mu         sync.Mutex // guards everything below
	conn       *ocpp.Conn
	online     chan struct{} // closed while there is a connection
	gone       chan struct{} // closed when that connection is no more
	connectors []*connector
	queue      []*message
	grew       chan struct{} // gets one when the queue grew
	empty      chan struct{} // closed while the queue is empty
	seq        int
	faults     Faults
	mux16      *ocpp.Mux[*Station]
	mux201     *ocpp.Mux[*Station]
	config     map[string]string
	asked      []string // actions that the central system called
	listVer    int
	changed    chan struct{} // closed and replaced when a connector changes
	sent       uint64
	work       sync.WaitGroup
	ctx        context.Context
}

// connector is where one car is.
type connector struct {
	id       int
	car      *Car
	register grid.WattHours
	limit    grid.Watts // by a charging profile; 0 is none
	session  *session
	status   string
	reserved string
}

// session is a charge as the station knows it.
type session struct {
	connector int
	tag       string
	id        int // of 1.6; 0 until the start was answered
	tx        string
	seq       int
	started   time.Time
	begin     grid.WattHours
	ticked    time.Time
	stopping  bool
	denied    bool
}

// message waits until the central system has taken it. build is called when it is sent, since the id of its session may
// come only with the answer to the message before.
type message struct {
	action string
	call   func(ctx context.Context, c *ocpp.Conn) error
}

// New makes a station that is not yet connected.
func New(config Config) *Station {
	if config.Connectors == 0 {
		config.Connectors = 1
	}
	if config.Power == 0 {
		config.Power = 11_000
	}
	if config.SampleEvery == 0 {
		config.SampleEvery = time.Minute
	}
	if config.Retry == 0 {
		config.Retry = time.Second
	}
	if config.Clock == nil {
		config.Clock = clock.System{}
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Station{
		Config: config, online: make(chan struct{}), grew: make(chan struct{}, 1), empty: make(chan struct{}), changed: make(chan struct{}),
		faults: config.Faults, config: map[string]string{"HeartbeatInterval": "300", "MeterValueSampleInterval": "60"},
	}
	close(s.empty)
	for i := range config.Connectors {
		s.connectors = append(s.connectors, &connector{id: i + 1, register: first, status: "Available"})
	}
	s.mux16, s.mux201 = s.routes16(), s.routes201()
	return s
}

// Run connects, again and again, and answers the central system until ctx is done. Cars charge by themselves as the clock
// runs when tick is not 0.
func (s *Station) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	parts.Go(func() { s.pump(ctx) })
	pause := s.Retry
	for ctx.Err() == nil {
		c, err := s.dial(ctx)
		if err == nil {
			pause = s.Retry
			err = s.talk(ctx, c)
		}
		if ctx.Err() != nil {
			break
		}
		s.Log.Debug("connection", "station", s.ID, "error", err)
		if clock.Sleep(ctx, s.Clock, pause) != nil {
			break
		}
		pause = min(2*pause, time.Minute)
	}
	parts.Wait()
	s.work.Wait()
	return nil
}

func (s *Station) dial(ctx context.Context) (*ocpp.Conn, error) {
	return ocpp.Dial(ctx, ocpp.DialConfig{
		URL: s.URL, Station: s.ID, Password: s.Password, TLS: s.TLS, Versions: []ocpp.Version{s.Version},
	})
}

// talk boots and then answers until the connection ends.
func (s *Station) talk(ctx context.Context, c *ocpp.Conn) error {
	ended := make(chan error, 1)
	var h ocpp.Handler = (*handler)(s)
	go func() { ended <- c.Serve(ctx, h) }()
	err := s.boot(ctx, c)
	if err == nil {
		s.mu.Lock()
		s.conn, s.gone = c, make(chan struct{})
		close(s.online)
		s.mu.Unlock()
		err = <-ended
		s.mu.Lock()
		s.conn, s.online = nil, make(chan struct{})
		close(s.gone)
		s.mu.Unlock()
		return err
	}
	c.Close(1000, "boot failed")
	return errors.Join(err, <-ended)
}

// Drop cuts the connection, as a bad network does.
func (s *Station) Drop() {
	if c := s.connection(); c != nil {
		c.Close(1006, "")
	}
}

func (s *Station) connection() *ocpp.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

// AwaitOnline waits until the station is connected and booted.
func (s *Station) AwaitOnline(ctx context.Context) error {
	s.mu.Lock()
	online := s.online
	s.mu.Unlock()
	select {
	case <-online:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("station %s does not come online: %w", s.ID, ctx.Err())
	}
}

// AwaitEmpty waits until every queued message was taken.
func (s *Station) AwaitEmpty(ctx context.Context) error {
	s.mu.Lock()
	empty, n := s.empty, len(s.queue)
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d messages of station %s wait: %w", n, s.ID, ctx.Err())
	}
}

// SetFaults changes what goes wrong from now on.
func (s *Station) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Sent counts messages that the central system took.
func (s *Station) Sent() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// Asked are the actions that the central system called, in order.
func (s *Station) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// now is the station's own idea of the time. mu is held.
func (s *Station) now() time.Time { return s.Clock.Now().Add(s.faults.ClockOffset) }

// enqueue adds a transaction message. mu is held.
func (s *Station) enqueue(m *message) {
	copies := 1
	if s.faults.Duplicate {
		copies = 2
	}
	if len(s.queue) == 0 {
		s.empty = make(chan struct{})
	}
	for range copies {
		again := *m
		s.queue = append(s.queue, &again)
	}
	select {
	case s.grew <- struct{}{}:
	default:
	}
}

// pump sends the queue in order, each message until it is answered. A refusal is an answer.
func (s *Station) pump(ctx context.Context) {
	for {
		s.mu.Lock()
		var head *message
		if len(s.queue) > 0 {
			head = s.queue[0]
		}
		online, gone, c := s.online, s.gone, s.conn
		s.mu.Unlock()
		if head == nil {
			select {
			case <-s.grew:
				continue
			case <-ctx.Done():
				return
			}
		}
		if c == nil {
			select {
			case <-online:
				continue
			case <-ctx.Done():
				return
			}
		}
		call, cancel := context.WithTimeout(ctx, time.Minute)
		err := head.call(call, c)
		cancel()
		if ctx.Err() != nil {
			return
		}
		var refusal *ocpp.Error
		if err != nil && !errors.As(err, &refusal) {
			if !errors.Is(err, ocpp.ErrClosed) {
				s.Log.Info("sending", "station", s.ID, "action", head.action, "error", err)
				c.Close(1000, "no answer")
			}
			select {
			case <-gone:
			case <-ctx.Done():
				return
			}
			continue
		}
		if refusal != nil {
			s.Log.Info("refused", "station", s.ID, "action", head.action, "error", refusal)
		}
		s.mu.Lock()
		s.queue = s.queue[1:]
		s.sent++
		if len(s.queue) == 0 {
			s.queue = nil
			close(s.empty)
		}
		s.mu.Unlock()
	}
}

// Plug puts a car to a connector.
func (s *Station) Plug(n int, car *Car) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.connectors[n-1]
	c.car = car
	s.setStatus(c, "Preparing")
}

// Unplug takes it away; a session ends with it.
func (s *Station) Unplug(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.connectors[n-1]
	if c.session != nil {
		if err := s.end(c, "EVDisconnected"); err != nil {
			return err
		}
	}
	c.car = nil
	s.setStatus(c, "Available")
	return nil
}

// Present holds a card to a connector: a session starts, or the card's own ends. It asks for permission when online.
func (s *Station) Present(ctx context.Context, n int, tag string) error {
	if c := s.connection(); c != nil {
		ok, err := s.authorize(ctx, c, tag)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("station %s: card %s is not accepted", s.ID, tag)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.connectors[n-1]
	if c.session != nil {
		return s.end(c, "Local")
	}
	s.begin(c, tag)
	return nil
}

// begin starts a session. mu is held.
func (s *Station) begin(c *connector, tag string) {
	now := s.now()
	s.seq++
	x := &session{connector: c.id, tag: tag, started: now, begin: s.registerOf(c), ticked: s.Clock.Now(), tx: fmt.Sprintf("%s-%d-%d", s.ID, now.Unix()%100000, s.seq)}
	if len(x.tx) > 36 {
		x.tx = x.tx[len(x.tx)-36:]
	}
	c.session = x
	if s.Meter != nil {
		s.Meter.Begin(now)
	}
	if !s.faults.LoseStart {
		s.sendStart(c, x)
	}
	s.setStatus(c, "Charging")
}

// Charge lets the car at a connector charge for so long, whatever the clock says, and sends the value.
func (s *Station) Charge(n int, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.connectors[n-1]
	if c.session == nil || c.car == nil || c.session.denied {
		return
	}
	s.count(c, c.car.Take(s.power(c), d))
	s.sendValues(c, c.session)
}

func (s *Station) power(c *connector) grid.Watts {
	if c.limit > 0 {
		return min(c.limit, s.Power)
	}
	return s.Power
}

func (s *Station) count(c *connector, e grid.WattHours) {
	if s.Meter != nil {
		s.Meter.Register += e
		return
	}
	c.register += e
}

func (s *Station) registerOf(c *connector) grid.WattHours {
	if s.Meter != nil {
		return s.Meter.Register
	}
	return c.register
}

// end ends the session at a connector. mu is held.
func (s *Station) end(c *connector, reason string) error {
	x := c.session
	c.session = nil
	record := ""
	if s.Meter != nil {
		var err error
		if record, err = s.Meter.End(s.now(), x.tag); err != nil {
			return err
		}
	}
	if !s.faults.LoseStop {
		register := s.registerOf(c)
		if s.faults.StopBelow > 0 {
			register = x.begin - s.faults.StopBelow
		}
		s.sendStop(c, x, register, reason, record)
	}
	s.setStatus(c, "Finishing")
	return nil
}

// setStatus tells it when online; states are not queued. mu is held.
func (s *Station) setStatus(c *connector, status string) {
	if c.status == status {
		return
	}
	c.status = status
	close(s.changed)
	s.changed = make(chan struct{})
	s.sendStatus(c)
}

// Status of a connector, in the words of 1.6.
func (s *Station) Status(n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connectors[n-1].status
}

// Session is our number of the session at a connector, or the station's own id in 2.0.1; ok is false for none.
func (s *Station) Session(n int) (no int, tx string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.connectors[n-1].session; x != nil {
		return x.id, x.tx, true
	}
	return 0, "", false
}

// AwaitStatus waits until a connector has a status.
func (s *Station) AwaitStatus(ctx context.Context, n int, status string) error {
	for {
		s.mu.Lock()
		now, changed := s.connectors[n-1].status, s.changed
		s.mu.Unlock()
		if now == status {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("connector %d of station %s is %s, not %s: %w", n, s.ID, now, status, ctx.Err())
		}
	}
}

// Limit is the power that a charging profile allows a connector; 0 for none.
func (s *Station) Limit(n int) grid.Watts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connectors[n-1].limit
}

// find is the connector of a session. mu is held.
func (s *Station) find(match func(*session) bool) *connector {
	for _, c := range s.connectors {
		if c.session != nil && match(c.session) {
			return c
		}
	}
	return nil
}

// remoteStart begins where a car waits; connector 0 is any. mu is held.
func (s *Station) remoteStart(n int, tag string) bool {
	for _, c := range s.connectors {
		if (n == 0 || c.id == n) && c.car != nil && c.session == nil && (c.reserved == "" || c.reserved == tag) {
			c.reserved = ""
			s.work.Go(func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				if c.session == nil {
					s.begin(c, tag)
				}
			})
			return true
		}
	}
	return false
}

// remoteStop ends a session. mu is held.
func (s *Station) remoteStop(c *connector) bool {
	if c == nil || c.session.stopping {
		return false
	}
	c.session.stopping = true
	s.work.Go(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.session != nil && c.session.stopping {
			if err := s.end(c, "Remote"); err != nil {
				s.Log.Error("ending", "station", s.ID, "error", err)
			}
		}
	})
	return true
}
