package csms

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-network/cairn/internal/clock"
	"github.com/cairn-network/cairn/internal/lifecycle"
	"github.com/cairn-network/cairn/internal/telemetry"
	"github.com/cairn-network/cairn/wire/ocpp"
)

// Config of a central system. Fields without a default must be set.
type Config struct {
	// Path is the directory of stations and sessions.
	Path string
	// Listen is where charge points connect, host:port; ws://host:port/ocpp/{station}.
	Listen string
	// TLS makes it wss://, for profiles 2 and 3; nil for ws://.
	TLS *tls.Certificate
	// ClientCAs are the authorities of stations' certificates, profile 3.
	ClientCAs *x509.CertPool
	// StationCA signs certificates that stations ask for; nil for none.
	StationCA *tls.Certificate
	// StatusListen is the loopback address of status, metrics and the admin API; empty for none.
	StatusListen string
	// RoamingListen is where OCPI is read; empty for none.
	RoamingListen string
	// RoamingTokens are those that may read it, with who they are.
	RoamingTokens map[string]string
	// Party is the OCPI country code and party id, "DE*CAI".
	Party string
	// HeartbeatInterval is told to stations: 5 min when 0.
	HeartbeatInterval time.Duration
	// Poll is how often the ledger is asked for new sessions: 1 s when 0.
	Poll time.Duration
	// Sweep is how often open sessions are looked at: 5 s when 0.
	Sweep time.Duration
	// CallTimeout is how long a station may take to answer: 30 s when 0.
	CallTimeout time.Duration
	// EvidenceWait is how long after a stop a signing station may still send its record: 1 min when 0.
	EvidenceWait time.Duration
	// LeaveWait is how long after a stop an idle fee runs at most while the car stays: 12 h when 0.
	LeaveWait time.Duration
	// SilentAfter is when a session whose station says nothing is settled on its last value: 24 h when 0.
	SilentAfter time.Duration
}

func (c *Config) fill() {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&c.HeartbeatInterval, 5*time.Minute)
	set(&c.Poll, time.Second)
	set(&c.Sweep, 5*time.Second)
	set(&c.CallTimeout, 30*time.Second)
	set(&c.EvidenceWait, time.Minute)
	set(&c.LeaveWait, 12*time.Hour)
	set(&c.SilentAfter, 24*time.Hour)
	if c.Party == "" {
		c.Party = "XX*CRN"
	}
}

// Deps are what a central system stands on.
type Deps struct {
	Config   Config
	Ledger   Ledger
	Registry *prometheus.Registry // nil for one of its own
	Clock    clock.Clock          // nil for the system's
	Log      *slog.Logger         // nil for silence
	// Listener is where stations connect; nil to listen at Config.Listen. It is closed at the end.
	Listener net.Listener
	// Ready is called once, when stations may connect; nil for nobody.
	Ready func(Info)
}

// Info says where a central system serves.
type Info struct {
	Listen  string `json:"listen"` // host:port
	URL     string `json:"url"`    // what a station is told, without its identity
	Status  string `json:"status,omitempty"`
	Roaming string `json:"roaming,omitempty"`
}

// Service is one central system.
type Service struct {
	Deps
	registry *prometheus.Registry
	metrics  *metrics
	store    *store
	started  time.Time
	info     Info

	listener, roaming net.Listener
	acceptor          *ocpp.Acceptor
	status            *telemetry.Server
	connections       sync.WaitGroup

	mu       sync.RWMutex // guards stations
	stations map[string]*station

	orders  *orderBook
	tariffs *tariffBook
	outbox  *outbox
	calls   *commands
	groups  *groups
	doors   *doors
	reports reportBook

	nextNo    atomic.Int32 // the next transaction id
	reserve   sync.Mutex   // held while more are reserved
	reserved  SessionNo    // ids below it may be given
	failed    chan error   // what the disk refused
	ctx       context.Context
	v16mux    *ocpp.Mux[*station]
	v201mux   *ocpp.Mux[*station]
	processed atomic.Uint64
}

// New checks deps; Run does everything else.
func New(deps Deps) (*Service, error) {
	c := &deps.Config
	c.fill()
	switch {
	case c.Path == "":
		return nil, errors.New("central system: no directory for sessions (Path)")
	case c.Listen == "" && deps.Listener == nil:
		return nil, errors.New("central system: no address to listen on (Listen)")
	case deps.Ledger == nil:
		return nil, errors.New("central system: no ledger")
	}
	if deps.Clock == nil {
		deps.Clock = clock.System{}
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{Deps: deps, registry: deps.Registry, stations: make(map[string]*station), failed: make(chan error, 1)}
	if s.registry == nil {
		s.registry = telemetry.NewRegistry()
	}
	s.doors = newDoors()
	s.v16mux, s.v201mux = s.routes16(), s.routes201()
	return s, nil
}

// Run serves until ctx is done, then says goodbye to stations and returns nil; or it returns why it could not.
func (s *Service) Run(ctx context.Context) error {
	s.started = s.Clock.Now()
	s.ctx = ctx
	group := lifecycle.Group{Log: s.Log}
	group.Add(lifecycle.Part{Name: "sessions", Start: s.open, Run: s.watchDisk, Close: s.close})
	group.Add(lifecycle.Part{Name: "outbox", Run: func(ctx context.Context) error { return s.outbox.run(ctx) }})
	group.Add(lifecycle.Part{Name: "commands", Run: func(ctx context.Context) error { return s.calls.run(ctx) }})
	group.Add(lifecycle.Part{Name: "stations", Start: s.listen, Run: s.serve})
	group.Add(lifecycle.Part{Name: "orders", Run: s.pollOrders})
	group.Add(lifecycle.Part{Name: "sweep", Run: s.sweepLoop})
	if s.Config.RoamingListen != "" {
		group.Add(lifecycle.Part{Name: "roaming", Start: s.listenRoaming, Run: s.serveRoaming})
	}
	if s.Config.StatusListen != "" {
		group.Add(lifecycle.Part{
			Name: "status", Start: s.openStatus,
			Run:   func(ctx context.Context) error { return s.status.Run(ctx) },
			Close: func() error { return s.status.Close() },
		})
	}
	group.Add(lifecycle.Part{Name: "ready", Start: s.announceReady})
	return group.Run(ctx)
}

func (s *Service) announceReady(context.Context) error {
	s.Log.Info("waiting for charge points", "url", s.info.URL, "status", s.info.Status, "roaming", s.info.Roaming)
	if s.Ready != nil {
		s.Ready(s.info)
	}
	return nil
}

func (s *Service) open(ctx context.Context) error {
	st, err := openStore(s.Config.Path)
	if err != nil {
		return err
	}
	s.store = st
	s.orders, s.tariffs = newOrderBook(), newTariffBook(st, s.Ledger)
	s.outbox, s.calls, s.groups = newOutbox(s), newCommands(s), newGroups(s)
	s.metrics = newMetrics(s)
	if err := s.load(ctx); err != nil {
		return errors.Join(err, st.close())
	}
	return nil
}

func (s *Service) close() error { return s.store.close() }

// load reads what a former run left.
func (s *Service) load(ctx context.Context) error {
	var next []byte
	if _, err := s.store.get(key('!', "next"), &next); err != nil {
		return err
	}
	if len(next) == 4 {
		s.reserved = SessionNo(binary.BigEndian.Uint32(next))
	}
	s.nextNo.Store(int32(max(s.reserved, 1)))
	if err := s.loadStations(); err != nil {
		return err
	}
	if err := s.loadSessions(); err != nil {
		return err
	}
	if err := s.loadOrders(ctx); err != nil {
		return err
	}
	if err := s.groups.load(); err != nil {
		return err
	}
	return s.outbox.load()
}

// idBlock is how many transaction ids are set aside at once, so that giving one costs no write of its own; a crash skips
// the rest of a block.
const idBlock = 4096

// give returns a transaction id that was never given before. INV-CSMS-2.
func (s *Service) give() (SessionNo, error) {
	no := SessionNo(s.nextNo.Add(1) - 1)
	if no <= 0 {
		return 0, errors.New("all 2^31 transaction ids were given")
	}
	s.reserve.Lock()
	defer s.reserve.Unlock()
	if no < s.reserved {
		return no, nil
	}
	c := s.store.change()
	c.put(key('!', "next"), (no + idBlock).bytes())
	if err := c.commit(); err != nil {
		return 0, err
	}
	s.reserved = no + idBlock
	return no, nil
}

// fail ends the daemon: the disk refused, and memory is ahead of it.
func (s *Service) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

func (s *Service) watchDisk(ctx context.Context) error {
	select {
	case err := <-s.failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// commit makes c durable or ends the daemon.
func (s *Service) commit(c *change) error {
	if err := c.commit(); err != nil {
		s.fail(err)
		return err
	}
	return nil
}

func (s *Service) listen(context.Context) error {
	l := s.Listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", s.Config.Listen); err != nil {
			return fmt.Errorf("listening for charge points: %w", err)
		}
	}
	scheme := "ws"
	s.info.Listen = l.Addr().String()
	if s.Config.TLS != nil {
		l = tls.NewListener(l, ocpp.ServerTLS(*s.Config.TLS, s.Config.ClientCAs))
		scheme = "wss"
	}
	s.listener = l
	s.info.URL = scheme + "://" + s.info.Listen + "/ocpp"
	s.acceptor = &ocpp.Acceptor{Admit: s.admit, Serve: s.serveStation, Idle: idleTimeout, Observer: s.metrics.observer()}
	s.acceptor.Prepare()
	return nil
}

const (
	// idleTimeout is how long a connection may be silent; a ping goes out every pingEvery.
	idleTimeout = 3 * pingEvery
	pingEvery   = time.Minute
	// goodbye is how long stations may take to hear that we go.
	goodbye = 5 * time.Second
)

func (s *Service) serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("/ocpp/", s.acceptor)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:    slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(s.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving charge points: %w", err)
	case <-ctx.Done():
	}
	err := server.Close() // no new ones; those upgraded are ours
	s.eachStation(func(st *station) { st.hangUp("central system is going down") })
	s.connections.Wait()
	if end := <-ended; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

func (s *Service) eachStation(f func(*station)) {
	s.mu.RLock()
	all := make([]*station, 0, len(s.stations))
	for _, st := range s.stations {
		all = append(all, st)
	}
	s.mu.RUnlock()
	for _, st := range all {
		f(st)
	}
}

func (s *Service) station(id string) *station {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.stations[id]
}
