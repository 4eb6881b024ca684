package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/chainclient/attestation"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/daemon/storagenode"
	"github.com/cairn-network/cairn/daemon/storagenode/provide"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/clock"
	"github.com/cairn-network/cairn/internal/config"
)

// storageSettings are home/storage.toml: what the last `provide storage` was told, so that the
// next needs no flags.
type storageSettings struct {
	Path         string       `toml:"path"`
	Size         config.Bytes `toml:"size"`
	Price        string       `toml:"price"`
	EgressPrice  string       `toml:"egress_price"`
	Listen       string       `toml:"listen"`
	Endpoint     string       `toml:"endpoint"`
	StatusListen string       `toml:"status_listen"`
	Bond         string       `toml:"bond"`
	Region       string       `toml:"region"`
	Name         string       `toml:"name"`
	MinFree      config.Bytes `toml:"min_free"`
	FeeGranter   string       `toml:"fee_granter"`
	// Pace of the node's dealings with the chain, as Go durations; empty for its defaults.
	Poll        string `toml:"poll"`
	SettleEvery string `toml:"settle_every"`
	SettleAbove string `toml:"settle_above"`
	// ClaimAbove is the sum of rewards that is claimed without being asked for; "never" for never.
	ClaimAbove string `toml:"claim_above"`
	// TPM holds the device key, and Papers say what it is attested by.
	TPM    string            `toml:"tpm"`
	Papers attestation.Files `toml:"papers"`
}

func (s *session) provide() *cobra.Command {
	c := &cobra.Command{Use: "provide", Short: "Rent out what you have: storage"}
	c.AddCommand(s.provideStorage())
	return c
}

func (s *session) provideStorage() *cobra.Command {
	given := storageSettings{Listen: ":7700", EgressPrice: "free", StatusListen: "127.0.0.1:0"}
	var readyFile string
	var fund bool
	c := &cobra.Command{
		Use: "storage --path DIR --size SIZE --price PRICE", Short: "Rent out disk space: from nothing to earning",
		Long: `Rents out disk space until it is stopped. The first start makes a wallet and a device key if there
are none, waits until the account can pay the deposit (which comes back when you leave), registers
the device, puts the space on offer, and serves. Every later start goes on from there and needs no
flags; flags that are given change the offer for leases to come.`,
		Example: `  cairn provide storage --path /mnt/disk --size 500GB --price 4CAIRN/TB-month --endpoint my.host:7700
  cairn provide storage
  cairn provide storage --tpm /dev/tpmrm0 --tpm-root HASH --tpm-chain ak.pem --path /mnt/disk --size 500GB --price 4CAIRN/TB-month`,
		Args: cobra.NoArgs, ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := s.home()
			if err != nil {
				return err
			}
			settings := storageSettings{Listen: given.Listen, EgressPrice: given.EgressPrice, StatusListen: given.StatusListen}
			if err := home.Load("storage.toml", &settings); err != nil {
				return err
			}
			settings.take(c, given)
			cfg, err := s.storageConfig(home, settings)
			if err != nil {
				return err
			}
			if err := home.Save("storage.toml", settings); err != nil {
				return err
			}
			if !fund {
				cfg.AwaitFunds = s.awaitFunds()
			}
			return s.runStorage(c.Context(), home, cfg, readyFile)
		},
	}
	f := c.Flags()
	f.StringVar(&given.Path, "path", "", "directory for the pieces of others' files")
	f.Var(&given.Size, "size", "how much of the disk to give, such as 500GB")
	f.StringVar(&given.Price, "price", "", "price of stored bytes, such as 4CAIRN/TB-month")
	f.StringVar(&given.EgressPrice, "egress-price", given.EgressPrice, "price of bytes read back, such as 2CAIRN/TB")
	f.StringVar(&given.Listen, "listen", given.Listen, "address to serve on")
	f.StringVar(&given.Endpoint, "endpoint", "", "host:port at which others reach this machine; needed unless --listen names it")
	f.StringVar(&given.StatusListen, "status-listen", given.StatusListen, "loopback address of status and metrics")
	f.StringVar(&given.Bond, "bond", "", "collateral to put up when the device is registered, such as 100CAIRN; 20 CAIRN for each TB of --size when not given, which is what gateways ask for; rewards are paid on it, proven faults cost a part of it")
	f.StringVar(&given.Region, "region", "", "country of the machine, two letters (ISO 3166-1)")
	f.StringVar(&given.Name, "name", "", "a name of your own for this machine")
	f.Var(&given.MinFree, "min-free", "how much of the disk always stays free (default 5 GB)")
	f.StringVar(&given.FeeGranter, "fee-granter", "", "account that pays the fees by grant")
	f.StringVar(&given.Poll, "poll", "", "how often to look for leases (default 15s)")
	f.StringVar(&given.SettleEvery, "settle-every", "", "how long earned money may wait (default 1h)")
	f.StringVar(&given.SettleAbove, "settle-above", "", "collect as soon as so much waits (default 1CAIRN)")
	f.StringVar(&given.ClaimAbove, "claim-above", "", "claim rewards as soon as so much waits, or never (default 1CAIRN)")
	f.StringVar(&given.TPM, "tpm", "", "TPM 2.0 that makes and holds the device key, such as /dev/tpmrm0; from the first start on, as the key is the device")
	f.StringVar(&given.Papers.Root, "tpm-root", "", "fingerprint of the trusted root above the TPM's certificate: keeps the device attested for tier 2")
	f.StringVar(&given.Papers.Chain, "tpm-chain", "", "PEM certificates of the TPM's key, leaf first; without it, the one in the TPM")
	f.StringSliceVar(&given.Papers.Activations, "tpm-activation", nil, "JSON file of an attester's word, for a TPM whose certified key does not sign; once for each attester")
	f.StringVar(&readyFile, "ready-file", "", "write where it serves to this file once it does")
	f.BoolVar(&fund, "no-wait", false, "fail instead of waiting for money on the account")
	return c
}

// take overrides what was set before by the flags that were given.
func (t *storageSettings) take(c *cobra.Command, given storageSettings) {
	for name, set := range map[string]func(){
		"path":          func() { t.Path = given.Path },
		"size":          func() { t.Size = given.Size },
		"price":         func() { t.Price = given.Price },
		"egress-price":  func() { t.EgressPrice = given.EgressPrice },
		"listen":        func() { t.Listen = given.Listen },
		"endpoint":      func() { t.Endpoint = given.Endpoint },
		"status-listen": func() { t.StatusListen = given.StatusListen },
		"bond":          func() { t.Bond = given.Bond },
		"region":        func() { t.Region = given.Region },
		"name":          func() { t.Name = given.Name },
		"min-free":      func() { t.MinFree = given.MinFree },
		"fee-granter":   func() { t.FeeGranter = given.FeeGranter },
		"poll":          func() { t.Poll = given.Poll },
		"settle-every":  func() { t.SettleEvery = given.SettleEvery },
		"settle-above":  func() { t.SettleAbove = given.SettleAbove },
		"claim-above":   func() { t.ClaimAbove = given.ClaimAbove },

		"tpm":            func() { t.TPM = given.TPM },
		"tpm-root":       func() { t.Papers.Root = given.Papers.Root },
		"tpm-chain":      func() { t.Papers.Chain = given.Papers.Chain },
		"tpm-activation": func() { t.Papers.Activations = given.Papers.Activations },
	} {
		if c.Flags().Changed(name) {
			set()
		}
	}
}

// storageConfig turns settings into what the node needs, making a wallet if there is none.
func (s *session) storageConfig(home config.Home, t storageSettings) (provide.Config, error) {
	const example = "cairn provide storage --path /mnt/disk --size 500GB --price 4CAIRN/TB-month"
	var missing string
	switch {
	case t.Path == "":
		missing = "--path: where pieces may lie"
	case t.Size == 0:
		missing = "--size: how much of the disk you give"
	case t.Price == "":
		missing = "--price: what you ask for it"
	}
	if missing != "" {
		return provide.Config{}, cli.Hint(fmt.Errorf("say %s", missing), example)
	}
	storagePrice, err := config.ParseStoragePrice(t.Price)
	if err != nil {
		return provide.Config{}, err
	}
	egressPrice, err := config.ParseEgressPrice(t.EgressPrice)
	if err != nil {
		return provide.Config{}, err
	}
	path, err := filepath.Abs(t.Path)
	if err != nil {
		return provide.Config{}, fmt.Errorf("finding %s: %w", t.Path, err)
	}
	node := storagenode.Config{
		Path: path, Name: t.Name, Capacity: uint64(t.Size), MinFree: uint64(t.MinFree),
		Listen: t.Listen, Endpoint: t.Endpoint, StatusListen: t.StatusListen,
	}
	for _, d := range []struct {
		flag, text string
		to         *time.Duration
	}{{"poll", t.Poll, &node.Poll}, {"settle-every", t.SettleEvery, &node.SettleEvery}} {
		if d.text == "" {
			continue
		}
		if *d.to, err = time.ParseDuration(d.text); err != nil || *d.to <= 0 {
			return provide.Config{}, fmt.Errorf("--%s %q is not a duration such as 20s or 1h", d.flag, d.text)
		}
	}
	if t.SettleAbove != "" {
		if node.SettleAbove, err = price.Parse(t.SettleAbove); err != nil {
			return provide.Config{}, err
		}
	}
	// What renters ask for by default, for all that is offered.
	bond, err := renter.DefaultLeaseConfig().MinBond.Cost(uint64(t.Size))
	if err != nil {
		return provide.Config{}, fmt.Errorf("bond for %s: %w", t.Size, err)
	}
	if t.Bond != "" {
		if bond, err = price.Parse(t.Bond); err != nil {
			return provide.Config{}, err
		}
	}
	var claimAbove price.Amount
	if t.ClaimAbove != "never" {
		if claimAbove, err = price.Parse(cmp.Or(t.ClaimAbove, "1CAIRN")); err != nil {
			return provide.Config{}, err
		}
	}
	granter := ""
	if t.FeeGranter != "" {
		if granter, err = parseAddress(t.FeeGranter); err != nil {
			return provide.Config{}, err
		}
	}
	account, err := s.account(home)
	if errors.Is(err, wallet.ErrNone) {
		if account, err = s.firstWallet(home); err != nil {
			return provide.Config{}, err
		}
	}
	if err != nil {
		return provide.Config{}, err
	}
	if t.Papers.Root != "" {
		if _, err := t.Papers.Read(); err != nil {
			return provide.Config{}, err
		}
	}
	endpoint, trust, err := s.endpoint(home)
	if err != nil {
		return provide.Config{}, err
	}
	log, err := s.logger()
	if err != nil {
		return provide.Config{}, err
	}
	return provide.Config{
		Home: string(home), Account: account, Chain: endpoint, Trust: trust, FeeGranter: granter, Node: node,
		Storage: storagePrice.Rate, Egress: egressPrice.Rate, Bond: bond, ClaimAbove: claimAbove, Region: t.Region, Log: log,
		TPM: t.TPM, Papers: t.Papers,
	}, nil
}

// awaitFunds tells the person once, and then whenever the balance changes, what is waited for.
func (s *session) awaitFunds() func(address string, have, need price.Amount) {
	var last price.Amount
	told := false
	return func(address string, have, need price.Amount) {
		if told && have == last {
			return
		}
		told, last = true, have
		s.Note("waiting for money: %s holds %s, a device needs %s (the deposit comes back when you leave).\n"+
			"  → send it some from another wallet: cairn --home OTHER wallet send %s %s\n"+
			"  → or, on a network of your own: cairnd devnet fund %s %s",
			address, have.Format(), need.Format(), address, typed(need), address, typed(need))
	}
}

// runStorage serves and shows what happens until ctx is done.
func (s *session) runStorage(ctx context.Context, home config.Home, cfg provide.Config, readyFile string) error {
	ready := make(chan provide.Info, 1)
	cfg.Ready = func(info provide.Info) { ready <- info }
	group, ctx := errgroup.WithContext(ctx)
	served := make(chan struct{})
	group.Go(func() error {
		defer close(served)
		return explainProvide(provide.Run(ctx, cfg))
	})
	group.Go(func() error {
		var info provide.Info
		select {
		case info = <-ready:
		case <-served:
			return nil
		}
		r := running{Address: info.Address, Status: info.Status + "/status", DeviceID: info.Device, Endpoint: info.Endpoint}
		withdraw, err := announce(home, storageRun, readyFile, r)
		if err != nil {
			return err
		}
		defer withdraw()
		err = s.Show(r, func(w writer) {
			fmt.Fprintf(w, "serving   device %d at %s\nearning   %s\noffering  %s for %s, reading back %s\nstatus    %s\n",
				info.Device, info.Endpoint, info.Address, config.Bytes(cfg.Node.Capacity), config.StoragePrice{Rate: cfg.Storage}, config.EgressPrice{Rate: cfg.Egress}, r.Status)
		})
		if err != nil {
			return err
		}
		if s.Interactive && !s.JSON {
			s.watchStorage(ctx, home)
		}
		<-served
		return nil
	})
	return group.Wait()
}

// explainProvide says what the owner of the machine can do.
func explainProvide(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return nil // stopped by its owner, in order
	case errors.Is(err, provide.ErrFunds):
		return cli.Hint(err, "send CAIRN to the address and start again")
	case errors.Is(err, provide.ErrDisk):
		return cli.Hint(err, "give less with --size, or another disk with --path")
	case errors.Is(err, provide.ErrEndpoint):
		return cli.Hint(err, "say it with --endpoint host:port, and open that port in your router")
	case errors.Is(err, provide.ErrForeign):
		return cli.Hint(err, "use the wallet that registered it, or move storage/device.key away to register a new device")
	case errors.Is(err, provide.ErrInactive):
		return cli.Hint(err, "to begin anew, move storage/device.key away: the next start registers a new device")
	default:
		return err
	}
}

// watchEvery is how often the terminal shows what the node does.
const watchEvery = 2 * time.Second

// watchStorage keeps one line of the terminal up to date until ctx is done.
func (s *session) watchStorage(ctx context.Context, home config.Home) {
	_ = clock.Every(ctx, clock.System{}, watchEvery, func(ctx context.Context) error { // ends with ctx
		if r := readRunning(ctx, home, storageRun); r != nil {
			if line := storageLine(r.State); line != "" {
				fmt.Fprintf(s.Err, "\r%s\x1b[K", line)
			}
		}
		return ctx.Err()
	})
	fmt.Fprintln(s.Err)
}
