// Package devnetcmd is the command `cairnd devnet`.
package devnetcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/core/address"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/devnet"
)

// New makes the command.
func New() *cobra.Command {
	config := devnet.Config{Home: defaultHome()}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "devnet",
		Short: "Run a whole network on this machine: chain, storage nodes, S3 gateway, web page",
		Long: `Run a whole network on this machine: chain, storage nodes of different owners, S3 gateway, web page.

Everything lives in one process unless --processes gives every validator and daemon its own.
Ctrl-C stops it cleanly; starting again with the same --home goes on where it stopped.`,
		Example: `  cairnd devnet
  cairnd devnet --storage 24 --block-time 500ms
  cairnd devnet --processes --validators 4 --ready-file /tmp/ready.json
  cairnd devnet --reset --port-base 21000 --home /tmp/second`,
		Args: cobra.NoArgs,
		// The node's own commands read a node's configuration before they run; this one has none.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		SilenceUsage:      true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if !asJSON {
				fmt.Fprintf(cmd.ErrOrStderr(), "Starting a network in %s (log: %s) ...\n", config.Home, filepath.Join(config.Home, "devnet.log"))
			}
			begin := time.Now()
			err := devnet.Run(ctx, config, func(_ context.Context, n *devnet.Network) error {
				if asJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(n.Ready())
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "Ready after %s.\n", time.Since(begin).Round(100*time.Millisecond))
				return n.Ready().Print(cmd.OutOrStdout(), invocation(cmd))
			})
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	cmd.PersistentFlags().StringVar(&config.Home, "home", config.Home, "directory that holds the network")
	cmd.AddCommand(fund(&config.Home))
	flags := cmd.Flags()
	flags.IntVar(&config.Validators, "validators", 1, "nodes that take part in consensus")
	flags.IntVar(&config.Storage, "storage", 12, "storage nodes, each with its own owner")
	flags.IntVar(&config.Reporters, "reporters", 2, "reporters of rewards, each with its own bond; one watcher checks them")
	flags.Uint64Var(&config.StorageSize, "storage-size", 0, "bytes that each storage node offers; 0 takes 64 GiB, or half of what the disk has left")
	flags.DurationVar(&config.BlockTime, "block-time", time.Second, "time between blocks")
	flags.DurationVar(&config.VotingPeriod, "voting-period", 2*time.Minute, "how long people vote on a proposal")
	flags.IntVar(&config.PortBase, "port-base", 0, "move every port to a block from here on; 0 keeps the well-known ones (S3 9000, web 8080, RPC 26657, REST 1317, gRPC 9090, JSON-RPC 8545)")
	flags.StringVar(&config.ReadyFile, "ready-file", "", "write this file, JSON, when all is ready")
	flags.BoolVar(&config.Processes, "processes", false, "run each validator and daemon as its own process")
	flags.BoolVar(&config.Reset, "reset", false, "delete the network in --home first")
	flags.BoolVar(&config.Verbose, "verbose", false, "log to standard error rather than to a file in --home")
	flags.BoolVar(&asJSON, "json", false, "print what runs as JSON")
	return cmd
}

// fund makes the command that gives an account its first money.
func fund(home *string) *cobra.Command {
	return &cobra.Command{
		Use:   "fund ADDRESS AMOUNT",
		Short: "Send money from the running network's faucet account to an account of yours",
		Example: `  cairnd devnet fund cairn1... 100CAIRN
  cairnd devnet fund 0x... 2.5CAIRN`,
		Args:         cobra.ExactArgs(2),
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := address.Parse(args[0])
			if err != nil {
				return fmt.Errorf("address %q: %w (addresses begin with cairn1 or 0x)", args[0], err)
			}
			amount, err := price.Parse(args[1])
			if err != nil {
				return fmt.Errorf("%w (write amounts as 1.5CAIRN or 15acairn)", err)
			}
			err = devnet.Fund(cmd.Context(), *home, address.Bech32(to), amount)
			if errors.Is(err, devnet.ErrNotRunning) {
				return fmt.Errorf("%w (start one with cairnd devnet, or name its home with --home)", err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "sent %s to %s\n", amount.Format(), address.Bech32(to))
			return nil
		},
	}
}

// invocation is how the person called cmd: the program as typed, and the home where it is not the
// usual one.
func invocation(cmd *cobra.Command) string {
	called := os.Args[0] + " " + cmd.Name()
	if home := cmd.Flag("home"); home.Changed {
		if home.Value.String() != defaultHome() {
			called += " --home " + home.Value.String()
		}
	}
	return called
}

func defaultHome() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ".cairn-devnet"
	}
	return filepath.Join(home, ".cairn-devnet")
}
