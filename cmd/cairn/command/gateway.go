package command

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/s3gateway/launch"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/daemon/s3gateway/snapshot"
	"github.com/cairn-network/cairn/daemon/storagenode"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/config"
)

// gatewaySettings are home/gateway.toml: what the last `gateway s3` was told.
type gatewaySettings struct {
	Listen       string       `toml:"listen"`
	StatusListen string       `toml:"status_listen"`
	Region       string       `toml:"region"`
	Postgres     string       `toml:"postgres"`
	MaxPrice     string       `toml:"max_price"`
	MaxEgress    string       `toml:"max_egress_price"`
	MinBond      string       `toml:"min_bond"`
	Budget       string       `toml:"budget"`
	Reserve      config.Bytes `toml:"reserve"`
	Regions      []string     `toml:"regions"`
	LeaseEvery   string       `toml:"lease_every"`
	LostAfter    string       `toml:"lost_after"`
	RepairEvery  string       `toml:"repair_every"`
	SnapshotAge  string       `toml:"snapshot_age"`
	// OneMachine treats every loopback address as a place of its own: for networks on one machine.
	OneMachine bool `toml:"one_machine"`
}

func (s *session) gateway() *cobra.Command {
	c := &cobra.Command{Use: "gateway", Short: "Run a gateway to the network: s3"}
	c.AddCommand(s.gatewayS3(), s.gatewayEnv())
	return c
}

func (s *session) gatewayS3() *cobra.Command {
	given := gatewaySettings{Listen: "127.0.0.1:9000", StatusListen: "127.0.0.1:0"}
	var readyFile string
	c := &cobra.Command{
		Use: "s3", Short: "Run your S3 gateway: files are encrypted here, before they leave",
		Long: `Serves S3 to the programs on this machine until it is stopped. Whatever is stored is encrypted
here with keys from your wallet, spread over independent storage nodes, and paid from your account
through a lease that the gateway keeps by itself. Settings are remembered; later starts need no flags.`,
		Args: cobra.NoArgs, ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := s.home()
			if err != nil {
				return err
			}
			settings := gatewaySettings{Listen: given.Listen, StatusListen: given.StatusListen}
			if err := home.Load("gateway.toml", &settings); err != nil {
				return err
			}
			settings.take(c, given)
			cfg, err := s.gatewayConfig(home, settings)
			if err != nil {
				return err
			}
			if err := home.Save("gateway.toml", settings); err != nil {
				return err
			}
			boundMemory()
			return s.runGateway(c.Context(), home, cfg, readyFile)
		},
	}
	f := c.Flags()
	f.StringVar(&given.Listen, "listen", given.Listen, "address to serve S3 on; keep it on this machine unless you put TLS before it")
	f.StringVar(&given.StatusListen, "status-listen", given.StatusListen, "loopback address of status and metrics")
	f.StringVar(&given.Region, "s3-region", "", "region that S3 clients sign for (default us-east-1)")
	f.StringVar(&given.Postgres, "postgres", "", "keep metadata in this PostgreSQL database instead of the home")
	f.StringVar(&given.MaxPrice, "max-price", "", "highest price for stored bytes, such as 6CAIRN/TB-month")
	f.StringVar(&given.MaxEgress, "max-egress-price", "", "highest price for bytes read back, such as 3CAIRN/TB")
	f.StringVar(&given.MinBond, "min-bond", "", "least bond of a device for the bytes reserved on it, 20CAIRN/TB when not given; 0 accepts any")
	f.StringVar(&given.Budget, "budget", "", "most money locked in escrow at any time, such as 50CAIRN")
	f.Var(&given.Reserve, "reserve", "space to reserve on each node at first (default 4 GiB)")
	f.StringSliceVar(&given.Regions, "regions", nil, "countries in which your data may lie, two letters each; empty for any")
	f.StringVar(&given.LeaseEvery, "lease-every", "", "how often to look after the lease (default 1m)")
	f.StringVar(&given.LostAfter, "lost-after", "", "how long a node may be away before its pieces are rebuilt (default 4h)")
	f.StringVar(&given.RepairEvery, "repair-every", "", "how often to look for what needs repair (default 30s)")
	f.StringVar(&given.SnapshotAge, "snapshot-age", "", "how long a change may wait until it can be recovered from your words alone (default 1m)")
	f.BoolVar(&given.OneMachine, "one-machine", false, "count nodes on loopback as independent: for a network on one machine")
	f.StringVar(&readyFile, "ready-file", "", "write where it serves to this file once it does")
	return c
}

// take overrides what was set before by the flags that were given.
func (t *gatewaySettings) take(c *cobra.Command, given gatewaySettings) {
	for name, set := range map[string]func(){
		"listen":           func() { t.Listen = given.Listen },
		"status-listen":    func() { t.StatusListen = given.StatusListen },
		"s3-region":        func() { t.Region = given.Region },
		"postgres":         func() { t.Postgres = given.Postgres },
		"max-price":        func() { t.MaxPrice = given.MaxPrice },
		"max-egress-price": func() { t.MaxEgress = given.MaxEgress },
		"min-bond":         func() { t.MinBond = given.MinBond },
		"budget":           func() { t.Budget = given.Budget },
		"reserve":          func() { t.Reserve = given.Reserve },
		"regions":          func() { t.Regions = given.Regions },
		"lease-every":      func() { t.LeaseEvery = given.LeaseEvery },
		"lost-after":       func() { t.LostAfter = given.LostAfter },
		"repair-every":     func() { t.RepairEvery = given.RepairEvery },
		"snapshot-age":     func() { t.SnapshotAge = given.SnapshotAge },
		"one-machine":      func() { t.OneMachine = given.OneMachine },
	} {
		if c.Flags().Changed(name) {
			set()
		}
	}
}

// launch turns settings into what the gateway needs, without what comes from the home.
func (t gatewaySettings) launch() (launch.Config, error) {
	c := launch.Config{
		Listen: t.Listen, StatusListen: t.StatusListen, Region: t.Region, Postgres: t.Postgres,
		Lease: renter.LeaseConfig{Units: uint64(t.Reserve), Regions: t.Regions}, Policy: renter.Policy{LoopbackIsDistinct: t.OneMachine},
	}
	if t.MaxPrice != "" {
		p, err := config.ParseStoragePrice(t.MaxPrice)
		if err != nil {
			return c, err
		}
		c.Lease.MaxStream = &p.Rate
	}
	if t.MaxEgress != "" {
		p, err := config.ParseEgressPrice(t.MaxEgress)
		if err != nil {
			return c, err
		}
		c.Lease.MaxMetered = &p.Rate
	}
	if t.MinBond != "" {
		p, err := config.ParseEgressPrice(t.MinBond)
		if err != nil {
			return c, fmt.Errorf("--min-bond: %w", err)
		}
		c.Lease.MinBond = &p.Rate
	}
	var err error
	if t.Budget != "" {
		if c.Lease.Budget, err = price.Parse(t.Budget); err != nil {
			return c, err
		}
	}
	for _, d := range []struct {
		flag, text string
		to         *time.Duration
	}{{"lease-every", t.LeaseEvery, &c.LeaseEvery}, {"lost-after", t.LostAfter, &c.LostAfter}, {"repair-every", t.RepairEvery, &c.Repair.Interval}, {"snapshot-age", t.SnapshotAge, &c.Snapshot.MaxAge}} {
		if d.text == "" {
			continue
		}
		if *d.to, err = time.ParseDuration(d.text); err != nil || *d.to <= 0 {
			return c, fmt.Errorf("--%s %q is not a duration such as 20s or 1h", d.flag, d.text)
		}
	}
	return c, nil
}

// gatewayConfig is launch with the home's node and wallet, which is made if there is none.
func (s *session) gatewayConfig(home config.Home, t gatewaySettings) (launch.Config, error) {
	c, err := t.launch()
	if err != nil {
		return c, err
	}
	c.Home = string(home)
	c.Mnemonic, err = s.words(home)
	if errors.Is(err, wallet.ErrNone) {
		if _, err = s.firstWallet(home); err == nil {
			c.Mnemonic, err = s.words(home)
		}
	}
	if err != nil {
		return c, err
	}
	if c.Chain, c.Trust, err = s.endpoint(home); err != nil {
		return c, err
	}
	c.Log, err = s.logger()
	return c, err
}

// boundMemory keeps the process small next to the programs that it serves: the engine holds at
// most renter.Config.Memory of segments, and the collector takes the rest down to this. Who sets
// GOMEMLIMIT or GOGC knows better.
func boundMemory() {
	const limit = 80 << 20
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// firstWallet makes a wallet for someone who starts with nothing.
func (s *session) firstWallet(home config.Home) (*wallet.Account, error) {
	m, err := wallet.NewMnemonic(rand.Reader)
	if err != nil {
		return nil, err
	}
	if err := wallet.Create(home.Path("wallet"), m, ""); err != nil {
		return nil, err
	}
	account, err := wallet.FromMnemonic(m)
	if err != nil {
		return nil, err
	}
	s.Note("made a wallet: %s\n  → write its words down before it holds anything: cairn wallet show --words", account.Address())
	return account, nil
}

// runGateway serves until ctx is done.
func (s *session) runGateway(ctx context.Context, home config.Home, cfg launch.Config, readyFile string) error {
	ready := make(chan launch.Info, 1)
	cfg.Ready = func(info launch.Info) { ready <- info }
	group, ctx := errgroup.WithContext(ctx)
	served := make(chan struct{})
	group.Go(func() error {
		defer close(served)
		err := launch.Run(ctx, cfg)
		switch {
		case errors.Is(err, context.Canceled):
			return nil // stopped by its owner, in order
		case errors.Is(err, syscall.EADDRINUSE):
			return cli.Hint(err, "stop what listens there, or give another address: cairn gateway s3 --listen 127.0.0.1:9100")
		}
		return err
	})
	group.Go(func() error {
		var info launch.Info
		select {
		case info = <-ready:
		case <-served:
			return nil
		}
		at := s3Run(info.S3)
		r := running{Address: info.Address, Status: info.Status + "/status", S3: &at}
		withdraw, err := announce(home, gatewayRun, readyFile, r)
		if err != nil {
			return err
		}
		defer withdraw()
		err = s.Show(r.public(), func(w writer) {
			fmt.Fprintf(w, "S3         %s (region %s)\naccess key %s\nsecret key cairn gateway env shows it\npaid by    %s\nstatus     %s\n",
				at.Endpoint, at.Region, at.AccessKey, info.Address, r.Status)
		})
		if err != nil {
			return err
		}
		<-served
		return nil
	})
	return group.Wait()
}

// gatewayEnv prints what other programs read from their environment to find the gateway.
func (s *session) gatewayEnv() *cobra.Command {
	return &cobra.Command{
		Use: "env", Short: "Print the variables with which S3 clients find the running gateway",
		Example: `  eval "$(cairn gateway env)"
  aws --endpoint-url $AWS_ENDPOINT_URL s3 ls`,
		Args: cobra.NoArgs, ValidArgsFunction: completeNothing,
		RunE: func(*cobra.Command, []string) error {
			home, err := s.home()
			if err != nil {
				return err
			}
			gateway, err := localGateway(home)
			if err != nil {
				return err
			}
			at := *gateway.S3
			return s.Show(at, func(w writer) {
				fmt.Fprintf(w, "export AWS_ENDPOINT_URL=%s AWS_DEFAULT_REGION=%s AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s\n",
					at.Endpoint, at.Region, at.AccessKey, at.SecretKey)
			})
		},
	}
}

func (s *session) recover() *cobra.Command {
	return &cobra.Command{
		Use: "recover", Short: "Rebuild every bucket on a new machine from your words alone",
		Long: `Brings back names, keys and places of everything you stored, as of the last snapshot that your former
gateway anchored on the chain. The files themselves are in the network already. Import your words
first (cairn wallet import); this home must not hold a gateway's data yet. A gateway that still runs
elsewhere with the same words should be stopped.`,
		Args: cobra.NoArgs, ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := s.home()
			if err != nil {
				return err
			}
			settings := gatewaySettings{}
			if err := home.Load("gateway.toml", &settings); err != nil {
				return err
			}
			if _, err := s.words(home); err != nil {
				return err // recovering with a new wallet would find nothing
			}
			cfg, err := s.gatewayConfig(home, settings)
			if err != nil {
				return err
			}
			got, err := launch.Recover(c.Context(), cfg)
			switch {
			case errors.Is(err, snapshot.ErrNone):
				return cli.Hint(err, "are these the right words? cairn wallet show prints the address that they open")
			case errors.Is(err, metabase.ErrNotEmpty):
				return cli.Hint(err, "recover into a new home with --home, or move %s away", home.Path("gateway", "metabase"))
			case err != nil:
				return s.explain(err)
			}
			taken := time.Unix(got.CommittedAt, 0).UTC()
			return s.Show(map[string]any{"version": got.Version, "taken": taken, "bytes": got.Bytes}, func(w writer) {
				fmt.Fprintf(w, "recovered everything as of %s (snapshot %d)\n", taken.Local().Format(time.DateTime), got.Version)
				s.Note("start the gateway: cairn gateway s3")
			})
		},
	}
}

// gatewayLines sums up a gateway's status page, the lease first, then what needs attention.
func gatewayLines(page json.RawMessage) []string {
	var st launch.Status
	if json.Unmarshal(page, &st) != nil {
		return nil
	}
	var lines []string
	if l := st.Lease; l != nil {
		line := fmt.Sprintf("lease %d: %s in escrow, %s spent, %s a month", l.ID, about(l.Escrow), about(l.Spent), about(l.RatePerMonth))
		if l.DryAt != 0 {
			line += ", lasts until " + time.Unix(l.DryAt, 0).Format(time.DateOnly)
		}
		lines = append(lines, line)
	}
	if r := st.Repair; r.Segments > 0 {
		lines = append(lines, fmt.Sprintf("segments: %d healthy, %d degraded, %d lost", r.Healthy, r.Degraded, r.Lost))
	}
	for _, w := range st.Warnings {
		lines = append(lines, "! "+w.Text)
	}
	return lines
}

// storageLine sums up a storage node's status page in one line; "" when it is not one.
func storageLine(page json.RawMessage) string {
	var st storagenode.Status
	if json.Unmarshal(page, &st) != nil || st.Device == 0 {
		return ""
	}
	earned, err := price.ParseDecimal(st.Earned)
	if err != nil {
		return ""
	}
	line := fmt.Sprintf("%s of %s stored in %d pieces, %d leases, %s earned, %s served",
		config.Bytes(max(st.UsedBytes, 0)), config.Bytes(st.CapacityBytes), st.Pieces, st.Leases, about(earned), config.Bytes(st.EgressBytes))
	if len(st.Warnings) > 0 {
		line += "  ! " + strings.Join(st.Warnings, "; ")
	}
	return line
}
