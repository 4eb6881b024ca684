package ocpp

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/tariff"
	"github.com/cairn-network/cairn/daemon/csms"
	"github.com/cairn-network/cairn/daemon/csms/csmstest"
)

// python is Debian's, whose packages the ladder installs.
const python = "/usr/bin/python3"

// A stranger's charge point boots, is started remotely, charges 10 kWh and is settled to the last unit. The library is found
// on PYTHONPATH or where pip installs it.
func TestStrangersChargePoints(t *testing.T) {
	if testing.Short() {
		t.Skip("runs Python; not with -short")
	}
	for _, way := range []struct{ how, modules string }{{"frames", "websockets"}, {"library", "websockets, ocpp"}} {
		for _, version := range []string{"1.6", "2.0.1"} {
			t.Run(way.how+" "+version, func(t *testing.T) {
				if out, err := exec.CommandContext(t.Context(), python, "-c", "import "+way.modules).CombinedOutput(); err != nil {
					t.Skipf("%s cannot import %s (apt-get install python3-websockets python3-jsonschema; pip install ocpp): %s", python, way.modules, out)
				}
				session(t, way.how, version)
			})
		}
	}
}

func session(t *testing.T, how, version string) {
	ledger := csmstest.NewLedger("owner", time.Now)
	unit := func(n uint64) price.Amount {
		a, _ := price.FromUint64(n).MulDiv(1e18, 1)
		return a
	}
	ledger.Mint("driver", unit(100))
	plain, err := tariff.Simple{CountryCode: "XX", PartyID: "CRN", ID: "plain", Currency: "CAIRN", Start: unit(1), PerKWh: unit(2)}.Tariff()
	require.NoError(t, err)
	ref := ledger.Publish(plain)
	ready := make(chan csms.Info, 1)
	s, err := csms.New(csms.Deps{
		Config: csms.Config{Path: t.TempDir(), Listen: "127.0.0.1:0", Poll: 10 * time.Millisecond, Sweep: 10 * time.Millisecond},
		Ledger: ledger, Ready: func(i csms.Info) { ready <- i }, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-ended)
	}()
	info := <-ready
	password, hash := csms.NewPassword()
	require.NoError(t, s.Register(csms.Station{ID: "CP-1", Profile: csms.BasicAuth, Password: hash, Connectors: []csms.Connector{{ID: 1}}}))
	o, err := ledger.Open("driver", "CP-1", 1, ref, unit(50), 0)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), python, "station.py", how, version, info.URL, "CP-1", password, string(o.Tag))
	cmd.Env = os.Environ()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Eventually(t, func() bool { x, _ := ledger.Session(o.ID); return x.Over }, time.Minute, 5*time.Millisecond)
	x, _ := ledger.Session(o.ID)
	require.Equal(t, grid.WattHours(10_000), x.Settlement.Energy, "%v", x.Settlement.Reasons)
	require.Equal(t, unit(21), ledger.Balance("owner"))
	require.NoError(t, ledger.Conserved())
}
