// Package command is the command line of cairn. It stands under cmd because it is the one
// place that may know every daemon: what it runs is composed elsewhere (storagenode/provide,
// s3gateway/launch), so that the devnet composes the same.
//
// Every command takes --json, --home and --node. Results go to standard output, everything
// else to standard error; errors end with what to do next.
package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/internal/buildinfo"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/config"
	"github.com/cairn-network/cairn/internal/telemetry"
)

// Where things are unless said otherwise.
const (
	homeVariable       = "CAIRN_HOME"
	nodeVariable       = "CAIRN_NODE"
	passphraseVariable = "CAIRN_PASSPHRASE"
	defaultHome        = ".cairn"
	defaultNode        = "127.0.0.1:9090"
)

// Main runs the program and returns its exit status: 0, 1 for an error, 130 when interrupted.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // a second Ctrl-C kills
	}()
	terminal := cli.Process()
	err := New(terminal).ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return 130
	default:
		terminal.Fail("cairn", err)
		return 1
	}
}

// session is what every command begins with.
type session struct {
	*cli.Terminal
	transfer            transfer
	homeFlag, nodeFlag  string
	trustFlag           chainclient.Trust
	logLevel, logFormat string
}

// settings are home/cairn.toml.
type settings struct {
	// Node is the gRPC address of the node to speak to.
	Node string `toml:"node"`
	// CA and Insecure are whom to believe on the way to it.
	CA       string `toml:"ca"`
	Insecure bool   `toml:"insecure"`
}

// New is the whole tree of commands on a terminal.
func New(terminal *cli.Terminal) *cobra.Command { return newRoot(terminal, defaultTransfer) }

func newRoot(terminal *cli.Terminal, transfer transfer) *cobra.Command {
	s := &session{Terminal: terminal, transfer: transfer}
	root := &cobra.Command{
		Use:   "cairn",
		Short: "Rent out a disk, or store files, on the Cairn network",
		Long: `cairn rents out what you have and uses what others rent out.

  cairn provide storage --path /mnt/disk --size 500GB --price 4CAIRN/TB-month
  cairn gateway s3
  cairn mb photos && cairn put holiday.jpg photos/`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(terminal.In)
	root.SetOut(terminal.Out)
	root.SetErr(terminal.Err)
	flags := root.PersistentFlags()
	flags.BoolVar(&s.JSON, "json", false, "write results as JSON")
	flags.StringVar(&s.homeFlag, "home", "", "directory of keys and settings (default $"+homeVariable+" or ~/"+defaultHome+")")
	flags.StringVar(&s.nodeFlag, "node", "", "gRPC address of the node to speak to, host:port on this machine or grpcs://host:port (default $"+nodeVariable+", cairn.toml or "+defaultNode+")")
	flags.StringVar(&s.trustFlag.CA, "ca", "", "PEM file of certificates to believe instead of the system's, for a node at grpcs://host:port")
	flags.BoolVar(&s.trustFlag.Insecure, "insecure", false, "speak in the clear to a node on another machine, whose answers anyone on the way can change")
	flags.StringVar(&s.logLevel, "log-level", "", "debug, info, warn or error (default info, on a terminal warn)")
	flags.StringVar(&s.logFormat, "log-format", string(telemetry.Text), "text or json")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return cli.Hint(err, "see: %s --help", c.CommandPath())
	})
	root.AddCommand(
		s.wallet(), s.status(), s.device(), s.offers(), s.quote(),
		s.provide(), s.gateway(), s.gov(),
		s.claim(), s.rewards(), s.earnings(), s.boost(), s.energy(), s.ocmf(),
		s.report(), s.watch(), s.audit(),
		s.mb(), s.put(), s.get(), s.ls(), s.rm(), s.share(), s.verify(), s.recover(),
		s.version(),
	)
	return root
}

func (s *session) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say which release this is", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return s.Show(map[string]string{"version": buildinfo.Version}, func(w writer) {
				fmt.Fprintln(w, buildinfo.Version)
			})
		},
	}
}

// home is the directory of keys and settings, made if absent.
func (s *session) home() (config.Home, error) {
	return config.FindHome(s.homeFlag, homeVariable, defaultHome)
}

// endpoint is the node to speak to, and whom to believe on the way there: flag, then environment (of
// the node), then settings, then the default.
func (s *session) endpoint(home config.Home) (string, chainclient.Trust, error) {
	set := settings{Node: defaultNode}
	if err := home.Load("cairn.toml", &set); err != nil {
		return "", chainclient.Trust{}, err
	}
	return cmp.Or(s.nodeFlag, os.Getenv(nodeVariable), set.Node),
		chainclient.Trust{CA: cmp.Or(s.trustFlag.CA, set.CA), Insecure: s.trustFlag.Insecure || set.Insecure},
		nil
}

// words opens the wallet and returns its mnemonic.
func (s *session) words(home config.Home) (string, error) {
	path := home.Path("wallet")
	m, err := wallet.Open(path, os.Getenv(passphraseVariable))
	if errors.Is(err, wallet.ErrLocked) && s.Interactive {
		passphrase, askErr := s.Secret("Passphrase of " + path)
		if askErr != nil {
			return "", askErr
		}
		m, err = wallet.Open(path, passphrase)
	}
	switch {
	case errors.Is(err, wallet.ErrNone):
		return "", cli.Hint(noWallet{home}, "make one with: cairn wallet create, or bring yours with: cairn wallet import")
	case errors.Is(err, wallet.ErrLocked):
		return "", cli.Hint(err, "set %s, or run in a terminal to be asked", passphraseVariable)
	}
	return m, err
}

// noWallet is wallet.ErrNone in words for the person whose home it is.
type noWallet struct{ home config.Home }

func (e noWallet) Error() string { return fmt.Sprintf("no wallet in %s", e.home) }
func (noWallet) Unwrap() error   { return wallet.ErrNone }

// account is the wallet's.
func (s *session) account(home config.Home) (*wallet.Account, error) {
	m, err := s.words(home)
	if err != nil {
		return nil, err
	}
	return wallet.FromMnemonic(m)
}

// chain is a client of the node that can read, and sign when account is not nil. It gives a
// node that does not answer a few seconds: a person waits.
func (s *session) chain(home config.Home, account *wallet.Account) (*chainclient.Client, error) {
	endpoint, trust, err := s.endpoint(home)
	if err != nil {
		return nil, err
	}
	client, err := chainclient.New(chainclient.Config{Endpoint: endpoint, Trust: trust, Account: account, Patience: personPatience})
	return client, s.explain(err)
}

// explain adds what a person can do about an error of the chain.
func (s *session) explain(err error) error {
	switch {
	case errors.Is(err, chainclient.ErrPlaintext):
		return cli.Hint(err, "use --node grpcs://host:port (and --ca FILE for a certificate of its own), or accept what can happen with --insecure")
	case errors.Is(err, chainclient.ErrUnreachable):
		return cli.Hint(err, "is a node running there? Start a network with: make run, or name another node with --node host:port")
	case errors.Is(err, chainclient.ErrUnknownAddress), errors.Is(err, chainclient.ErrInsufficientFunds):
		return cli.Hint(err, "send CAIRN to your address; cairn wallet show prints it, cairn wallet balance what it holds")
	default:
		return err
	}
}

// logger writes to standard error in the form that the flags ask for.
func (s *session) logger() (*slog.Logger, error) {
	level := s.logLevel
	switch {
	case level != "":
	case s.Interactive:
		level = "warn"
	default:
		level = "info"
	}
	return telemetry.NewLogger(s.Err, level, telemetry.Format(s.logFormat))
}

// completeNothing keeps the shell from offering file names where none fit.
func completeNothing(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}
