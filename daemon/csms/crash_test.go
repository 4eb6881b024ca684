package csms_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/tariff"
	"github.com/cairn-network/cairn/daemon/csms"
	"github.com/cairn-network/cairn/daemon/csms/csmstest"
	"github.com/cairn-network/cairn/sim/chargepoint"
	"github.com/cairn-network/cairn/wire/ocpp"
)

// The central system of the kill test is a process of its own; the ledger stays here, behind HTTP, as a chain would.

// TestHelperCentralSystem is not a test: it is the process that TestKillLosesNothingAndBillsNothingTwice kills.
func TestHelperCentralSystem(t *testing.T) {
	dir := os.Getenv("CAIRN_CSMS_DIR")
	if dir == "" {
		t.Skip("started by TestKillLosesNothingAndBillsNothingTwice")
	}
	l, err := net.FileListener(os.NewFile(3, "stations"))
	require.NoError(t, err)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := csms.New(csms.Deps{
		Config: csms.Config{
			Path: dir, Poll: 20 * time.Millisecond, Sweep: 50 * time.Millisecond, EvidenceWait: 2 * time.Second,
		},
		Ledger: remoteLedger(os.Getenv("CAIRN_CSMS_LEDGER")), Listener: l,
		Ready: func(i csms.Info) { fmt.Println("READY", i.Listen) },
	})
	require.NoError(t, err)
	require.NoError(t, s.Run(ctx))
}

// remoteLedger is a Ledger behind HTTP.
type remoteLedger string

type question struct {
	Method     string           `json:"method"`
	Cursor     string           `json:"cursor,omitempty"`
	Max        int              `json:"max,omitempty"`
	Ref        csms.TariffRef   `json:"ref"`
	Tag        [32]byte         `json:"tag"`
	Use        *csms.CardUse    `json:"use,omitempty"`
	Settlement *csms.Settlement `json:"settlement,omitempty"`
	Order      csms.OrderID     `json:"order,omitempty"`
	Reason     csms.Reason      `json:"reason,omitempty"`
	At         time.Time        `json:"at"`
}

type reply struct {
	Error   string          `json:"error,omitempty"`
	Refused bool            `json:"refused,omitempty"`
	NoGrant bool            `json:"no_grant,omitempty"`
	Orders  []csms.Order    `json:"orders,omitempty"`
	Next    string          `json:"next,omitempty"`
	Tariff  json.RawMessage `json:"tariff,omitempty"`
	Grant   csms.Grant      `json:"grant"`
	Order   csms.Order      `json:"order"`
	Outcome csms.Outcome    `json:"outcome"`
}

func (l remoteLedger) ask(ctx context.Context, q question) (reply, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return reply{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, string(l), bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	var out reply
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		return reply{}, err
	}
	switch {
	case out.NoGrant:
		return out, csms.ErrNoGrant
	case out.Refused:
		return out, fmt.Errorf("%s: %w", out.Error, csms.ErrRefused)
	case out.Error != "":
		return out, fmt.Errorf("%s", out.Error)
	}
	return out, nil
}

func (l remoteLedger) Opened(ctx context.Context, cursor string, max int) ([]csms.Order, string, error) {
	r, err := l.ask(ctx, question{Method: "opened", Cursor: cursor, Max: max})
	return r.Orders, r.Next, err
}

func (l remoteLedger) Tariff(ctx context.Context, ref csms.TariffRef) (*tariff.Tariff, error) {
	r, err := l.ask(ctx, question{Method: "tariff", Ref: ref})
	if err != nil {
		return nil, err
	}
	t, err := tariff.ParseJSON(r.Tariff)
	return &t, err
}

func (l remoteLedger) Grant(ctx context.Context, tag [32]byte) (csms.Grant, error) {
	r, err := l.ask(ctx, question{Method: "grant", Tag: tag})
	return r.Grant, err
}

func (l remoteLedger) OpenByCard(ctx context.Context, use csms.CardUse) (csms.Order, error) {
	r, err := l.ask(ctx, question{Method: "open", Use: &use})
	return r.Order, err
}

func (l remoteLedger) Began(ctx context.Context, order csms.OrderID, at time.Time) error {
	_, err := l.ask(ctx, question{Method: "began", Order: order, At: at})
	return err
}

func (l remoteLedger) Settle(ctx context.Context, s csms.Settlement) (csms.Outcome, error) {
	r, err := l.ask(ctx, question{Method: "settle", Settlement: &s})
	return r.Outcome, err
}

func (l remoteLedger) Refund(ctx context.Context, order csms.OrderID, reason csms.Reason) (csms.Outcome, error) {
	r, err := l.ask(ctx, question{Method: "refund", Order: order, Reason: reason})
	return r.Outcome, err
}

// serveLedger answers a remoteLedger.
func serveLedger(l *csmstest.Ledger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q question
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var (
			out reply
			err error
			ctx = r.Context()
		)
		switch q.Method {
		case "opened":
			out.Orders, out.Next, err = l.Opened(ctx, q.Cursor, q.Max)
		case "tariff":
			var t *tariff.Tariff
			if t, err = l.Tariff(ctx, q.Ref); err == nil {
				out.Tariff = t.JSON()
			}
		case "grant":
			out.Grant, err = l.Grant(ctx, q.Tag)
		case "open":
			out.Order, err = l.OpenByCard(ctx, *q.Use)
		case "began":
			err = l.Began(ctx, q.Order, q.At)
		case "settle":
			out.Outcome, err = l.Settle(ctx, *q.Settlement)
		case "refund":
			out.Outcome, err = l.Refund(ctx, q.Order, q.Reason)
		}
		if err != nil {
			out.Error, out.Refused, out.NoGrant = err.Error(), errors.Is(err, csms.ErrRefused), errors.Is(err, csms.ErrNoGrant)
		}
		_ = json.NewEncoder(w).Encode(out)
	})
}

// central is the process under test.
type central struct {
	t      *testing.T
	dir    string
	ledger string
	socket *os.File
	addr   string
	cmd    *exec.Cmd
}

func (c *central) start() {
	c.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperCentralSystem$", "-test.v=false")
	cmd.Env = append(os.Environ(), "CAIRN_CSMS_DIR="+c.dir, "CAIRN_CSMS_LEDGER="+c.ledger)
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, []*os.File{c.socket}
	out, err := cmd.StdoutPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "READY %s", &c.addr); err == nil {
			c.cmd = cmd
			go func() {
				for lines.Scan() { // so that the process never waits for its output
				}
			}()
			return
		}
		c.t.Log(lines.Text())
	}
	c.t.Fatal("the central system did not start")
}

func (c *central) kill() time.Duration {
	require.NoError(c.t, c.cmd.Process.Signal(syscall.SIGKILL))
	_ = c.cmd.Wait() // it was killed
	return c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime()
}

func scale(t *testing.T, name string, small int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return small
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// Sessions over both editions while the central system is killed again and again: every one is settled once, for exactly
// the energy that its car took. CAIRN_CSMS_STATIONS, _SESSIONS and _KILLS make it larger.
func TestKillLosesNothingAndBillsNothingTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes; not with -short")
	}
	stations, sessions, kills := scale(t, "CAIRN_CSMS_STATIONS", 12), scale(t, "CAIRN_CSMS_SESSIONS", 60), scale(t, "CAIRN_CSMS_KILLS", 3)
	run := newLoad(t, stations, sessions)
	central := run.central
	random := rand.New(rand.NewPCG(1, 2))
	finished := make(chan struct{})
	var charged atomic.Int64
	go func() {
		defer close(finished)
		run.drive(func() { charged.Add(1) })
	}()
	for i := range kills { // each after some more sessions were driven
		after := int64(sessions * (i + 1) / (kills + 1))
		require.Eventually(t, func() bool { return charged.Load() >= after }, 10*patience, time.Duration(1+random.IntN(9))*time.Millisecond)
		central.kill()
		central.start()
	}
	<-finished
	run.check()
	central.kill()
}

// load is many stations at one central system in a process of its own.
type load struct {
	t        *testing.T
	ledger   *csmstest.Ledger
	ref      csms.TariffRef
	central  *central
	stations []*chargepoint.Station
	perEach  int

	mu   sync.Mutex
	want map[csms.OrderID]grid.WattHours
}

func newLoad(t *testing.T, stations, sessions int) *load {
	t.Helper()
	l := &load{t: t, ledger: csmstest.NewLedger("owner", time.Now), want: make(map[csms.OrderID]grid.WattHours), perEach: sessions / stations}
	l.ledger.Mint("driver", cairn(100_000_000))
	plain, err := tariff.Simple{CountryCode: "XX", PartyID: "CRN", ID: "plain", Currency: "CAIRN", Start: cairn(1), PerKWh: cairn(2)}.Tariff()
	require.NoError(t, err)
	l.ref = l.ledger.Publish(plain)
	server := httptest.NewServer(serveLedger(l.ledger))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	// Stations are registered before, by a central system in this process.
	passwords := make([]string, stations)
	ready, ctx, ended := make(chan csms.Info, 1), t.Context(), make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	s, err := csms.New(csms.Deps{Config: csms.Config{Path: dir, Listen: "127.0.0.1:0"}, Ledger: l.ledger, Ready: func(i csms.Info) { ready <- i }})
	require.NoError(t, err)
	go func() { ended <- s.Run(ctx) }()
	<-ready
	for i := range stations {
		var hash *csms.PasswordHash
		passwords[i], hash = csms.NewPassword()
		require.NoError(t, s.Register(csms.Station{ID: stationID(i), Profile: csms.BasicAuth, Password: hash, Connectors: []csms.Connector{{ID: 1}}}))
	}
	cancel()
	require.NoError(t, <-ended)

	l.central = &central{t: t, dir: dir, ledger: server.URL, socket: listen(t)}
	l.central.start()
	var group sync.WaitGroup
	for i := range stations {
		v := ocpp.V16
		if i%2 == 1 {
			v = ocpp.V201
		}
		l.stations = append(l.stations, chargepoint.New(chargepoint.Config{
			ID: stationID(i), URL: "ws://" + l.central.addr + "/ocpp", Password: passwords[i], Version: v, Retry: 10 * time.Millisecond,
		}))
	}
	run, stop := context.WithCancel(context.Background())
	for _, s := range l.stations {
		group.Go(func() { _ = s.Run(run) })
	}
	t.Cleanup(func() {
		stop()
		group.Wait()
	})
	return l
}

func stationID(i int) string { return fmt.Sprintf("CP-%04d", i) }

// drive has every station charge its cars, one after the other, and returns when all messages were taken.
func (l *load) drive(done func()) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*patience)
	defer cancel()
	var group sync.WaitGroup
	for i, s := range l.stations {
		group.Go(func() {
			for range l.perEach {
				if err := l.one(ctx, s, stationID(i)); err != nil {
					l.t.Error(err)
					return
				}
				done()
			}
			if err := s.AwaitEmpty(ctx); err != nil {
				l.t.Error(err)
			}
		})
	}
	group.Wait()
}

// one session: opened on the ledger, started remotely, eight values, the car leaves.
func (l *load) one(ctx context.Context, s *chargepoint.Station, id string) error {
	s.Plug(1, &chargepoint.Car{Capacity: 60_000, Power: 11_000})
	o, err := l.ledger.Open("driver", id, 1, l.ref, cairn(100), 0)
	if err != nil {
		return err
	}
	if err := s.AwaitStatus(ctx, 1, "Charging"); err != nil {
		return err
	}
	for range 8 {
		s.Charge(1, 6*time.Minute)
		if err := s.AwaitEmpty(ctx); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.want[o.ID] = 8 * 1_100
	l.mu.Unlock()
	return s.Unplug(1)
}

// check waits until the ledger has everything and compares.
func (l *load) check() {
	l.t.Helper()
	require.Eventually(l.t, func() bool { all, over := l.ledger.Count(); return all == over }, 5*patience, 5*time.Millisecond)
	require.Len(l.t, l.want, l.perEach*len(l.stations))
	paid := price.Amount{}
	for id, energy := range l.want {
		x, ok := l.ledger.Session(id)
		require.True(l.t, ok)
		require.NotNil(l.t, x.Settlement, "order %d: %s", id, x.Refunded)
		require.Equal(l.t, energy, x.Settlement.Energy, "order %d: %v", id, x.Settlement.Reasons)
		paid, _ = paid.Add(x.Settlement.Cost)
	}
	require.Equal(l.t, paid, l.ledger.Balance("owner"))
	require.NoError(l.t, l.ledger.Conserved())
}

// The figure: CAIRN_CSMS_LOAD=1, with CAIRN_CSMS_STATIONS=500 and CAIRN_CSMS_SESSIONS=10000. CPU time is of everything
// together: central system with persistence, stations, ledger.
func TestLoad(t *testing.T) {
	if os.Getenv("CAIRN_CSMS_LOAD") == "" {
		t.Skip("set CAIRN_CSMS_LOAD=1 to measure")
	}
	run := newLoad(t, scale(t, "CAIRN_CSMS_STATIONS", 500), scale(t, "CAIRN_CSMS_SESSIONS", 10_000))
	begin, at := spent(t), time.Now()
	run.drive(func() {})
	run.check()
	clients, wall := spent(t)-begin, time.Since(at)
	server := run.central.kill()
	calls := uint64(0)
	for _, s := range run.stations {
		calls += s.Sent() + 1 // the boot
	}
	calls += uint64(len(run.want)) // remote starts
	t.Logf("%d sessions, %d calls in %s; CPU: central system %s, stations and ledger %s; %.0f calls per CPU-second together, %.0f by the central system alone",
		len(run.want), calls, wall.Round(time.Millisecond), server, clients, float64(calls)/(server+clients).Seconds(), float64(calls)/server.Seconds())
}

// spent is this process's CPU time.
func spent(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
