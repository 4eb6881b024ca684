package csms_test

import (
	"context"
	"log/slog"
	"net"
	"os"
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

// bench is a central system with a ledger, and stations at it.
type bench struct {
	t       *testing.T
	ledger  *csmstest.Ledger
	service *csms.Service
	info    csms.Info
	config  csms.Config
	ref     csms.TariffRef
	stop    func()
	// socket outlives the central system, so that it comes back at the same address.
	socket *os.File
}

// listen makes a socket that listens for as long as the test runs.
func listen(t *testing.T) *os.File {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	t.Cleanup(func() { f.Close() })
	return f
}

const patience = time.Minute

func cairn(n uint64) price.Amount {
	a, _ := price.FromUint64(n).MulDiv(1e18, 1)
	return a
}

func newBench(t *testing.T, change func(*csms.Config)) *bench {
	t.Helper()
	b := &bench{t: t, ledger: csmstest.NewLedger("owner", time.Now)}
	b.ledger.Mint("driver", cairn(1_000_000))
	plain, err := tariff.Simple{CountryCode: "XX", PartyID: "CRN", ID: "plain", Currency: "CAIRN", Start: cairn(1), PerKWh: cairn(2)}.Tariff()
	require.NoError(t, err)
	b.ref = b.ledger.Publish(plain)
	b.config = csms.Config{
		Path: t.TempDir(), StatusListen: "127.0.0.1:0",
		Poll: 5 * time.Millisecond, Sweep: 5 * time.Millisecond, EvidenceWait: 50 * time.Millisecond,
	}
	if change != nil {
		change(&b.config)
	}
	b.socket = listen(t)
	b.start()
	t.Cleanup(func() {
		b.stop()
		require.NoError(t, b.ledger.Conserved())
	})
	_, err = b.service.SetTariff("plain", &plain)
	require.NoError(t, err)
	return b
}

func (b *bench) start() {
	b.t.Helper()
	ready := make(chan csms.Info, 1)
	l, err := net.FileListener(b.socket)
	require.NoError(b.t, err)
	s, err := csms.New(csms.Deps{
		Config: b.config, Listener: l, Ledger: b.ledger, Ready: func(i csms.Info) { ready <- i },
		Log: slog.New(slog.NewTextHandler(b.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	})
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	select {
	case b.info = <-ready:
	case err := <-ended:
		b.t.Fatal(err)
	}
	b.service = s
	b.stop = func() {
		cancel()
		require.NoError(b.t, <-ended)
		b.stop = func() {}
	}
}

// wait is how long a test waits for what must come.
func (b *bench) wait() context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	b.t.Cleanup(cancel)
	return ctx
}

// until waits for a condition that something else brings about.
func (b *bench) until(what string, condition func() bool) {
	b.t.Helper()
	require.Eventually(b.t, condition, patience, 2*time.Millisecond, what)
}

// station registers one and runs its simulator.
func (b *bench) station(id string, version ocpp.Version, change func(*csms.Station, *chargepoint.Config)) *chargepoint.Station {
	b.t.Helper()
	password, hash := csms.NewPassword()
	record := csms.Station{
		ID: id, Profile: csms.BasicAuth, Password: hash,
		Connectors: []csms.Connector{{ID: 1, Tariff: "plain"}},
	}
	config := chargepoint.Config{ID: id, URL: b.info.URL, Password: password, Version: version, Retry: time.Millisecond}
	if change != nil {
		change(&record, &config)
	}
	require.NoError(b.t, b.service.Register(record))
	s := chargepoint.New(config)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		require.NoError(b.t, <-ended)
	})
	require.NoError(b.t, s.AwaitOnline(b.wait()))
	return s
}

// order opens a session on the ledger.
func (b *bench) order(station string, escrow price.Amount, most grid.WattHours) csms.Order {
	b.t.Helper()
	o, err := b.ledger.Open("driver", station, 1, b.ref, escrow, most)
	require.NoError(b.t, err)
	return o
}

// settled waits until the ledger has settled an order.
func (b *bench) settled(id csms.OrderID) csmstest.Session {
	b.t.Helper()
	var x csmstest.Session
	b.until("settlement", func() bool {
		x, _ = b.ledger.Session(id)
		return x.Over
	})
	return x
}

func versions(t *testing.T, f func(t *testing.T, v ocpp.Version)) {
	for _, v := range []ocpp.Version{ocpp.V16, ocpp.V201} {
		t.Run(string(v), func(t *testing.T) { f(t, v) })
	}
}

func TestASessionOpenedOnTheLedgerIsStartedMeteredAndSettled(t *testing.T) {
	versions(t, func(t *testing.T, v ocpp.Version) {
		b := newBench(t, nil)
		s := b.station("CP-1", v, nil)
		s.Plug(1, &chargepoint.Car{Capacity: 50_000, Power: 11_000})
		o := b.order("CP-1", cairn(100), 0)
		require.NoError(t, s.AwaitStatus(b.wait(), 1, "Charging"))
		for range 6 {
			s.Charge(1, 10*time.Minute)
		}
		require.NoError(t, s.Unplug(1))
		require.NoError(t, s.AwaitEmpty(b.wait()))
		x := b.settled(o.ID)
		require.Equal(t, grid.WattHours(11_000), x.Settlement.Energy)
		require.Equal(t, cairn(1+22), x.Settlement.Cost)
		require.Equal(t, cairn(23), b.ledger.Balance("owner"))
		require.Equal(t, csms.Raw, x.Settlement.Basis)
		require.Contains(t, x.Settlement.Reasons, csms.Unsigned)
	})
}
