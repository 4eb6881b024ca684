// Package command is the command line of cairnd: the node, its genesis and keys, and the queries and
// transactions of every module, which AutoCLI derives from the protobuf services.
//
// No command builds the application unless it runs one, and the trees of queries and transactions,
// which take longest to build, are there only when the arguments ask for them (see subtree).
package command

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cosmos/cosmos-sdk/client"
	clientconfig "github.com/cosmos/cosmos-sdk/client/config"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/snapshot"
	sdkserver "github.com/cosmos/cosmos-sdk/server"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	genutilcli "github.com/cosmos/cosmos-sdk/x/genutil/client/cli"
	cosmosevmclient "github.com/cosmos/evm/client"
	evmdebug "github.com/cosmos/evm/client/debug"
	"github.com/cosmos/evm/crypto/hd"
	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/app/node"
)

// Main runs cairnd with the arguments of this process and more commands besides its own, and returns
// the exit status. Interrupt and terminate end what runs in an orderly way; a second one at once.
func Main(more ...*cobra.Command) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel)
	if err := Run(ctx, os.Args[1:], more...); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return 1
	}
	return 0
}

// Run runs cairnd with args.
func Run(ctx context.Context, args []string, more ...*cobra.Command) error {
	app.Configure()
	args, err := expandAmounts(args)
	if err != nil {
		return err
	}
	root, err := newRoot(args)
	if err != nil {
		return err
	}
	root.AddCommand(more...)
	root.SetArgs(args)
	// Without it what the SDK's commands print with cmd.Println, such as a node's id, is on standard
	// error, where $(...) does not find it.
	root.SetOut(os.Stdout)
	return root.ExecuteContext(withContexts(ctx))
}

// withContexts adds the holders that the SDK's commands read client and server settings from.
func withContexts(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, client.ClientContextKey, &client.Context{})
	return context.WithValue(ctx, sdkserver.ServerContextKey, sdkserver.NewDefaultContext())
}

// newRoot builds the command tree as far as args need it.
func newRoot(args []string) (*cobra.Command, error) {
	root := &cobra.Command{
		Use:           app.Name,
		Short:         "The node of the Cairn network, and the commands that talk to it",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	persistent := root.PersistentFlags()
	persistent.String(flags.FlagHome, node.DefaultHome(), "directory of configuration and data")
	persistent.String(flags.FlagLogLevel, "info", "trace, debug, info, warn, error or none; or levels by part: 'consensus:debug,*:error'")
	persistent.String(flags.FlagLogFormat, "plain", "plain or json")
	persistent.Bool(flags.FlagLogNoColor, false, "logs without colours")

	root.AddCommand(versionCommand())
	if wants(args, "version") {
		return root, nil
	}
	root.AddCommand(completionCommand(root))

	encoding := app.NewEncoding(0)
	home := node.DefaultHome()
	genesis := genutilcli.Commands(encoding.TxConfig, encoding.Basics, home)
	defaultFees(genesis)
	genesis.AddCommand(addBeaconKeyCommand(encoding))
	root.AddCommand(
		initCommand(encoding),
		startCommand(),
		withServer(sdkserver.ExportCmd(export, home)),
		withServer(sdkserver.NewRollbackCmd(newServerApp, home)),
		withServer(snapshot.Cmd(newServerApp)),
		withClientAndServer(encoding, cometCommand()),
		withClientAndServer(encoding, genesis),
		withClient(encoding, cosmosevmclient.KeyCommands(home, true)),
		withClient(encoding, beaconKeyCommand()),
		withClient(encoding, evmdebug.Cmd()),
		withClient(encoding, sdkserver.StatusCommand()),
	)
	if err := addModuleCommands(root, encoding, args); err != nil {
		return nil, err
	}
	return root, nil
}

// wants says whether the first command in args has the name, or an alias. Flags before it are
// passed over with their values.
func wants(args []string, names ...string) bool {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") {
			for _, name := range names {
				if arg == name {
					return true
				}
			}
			return false
		}
		if strings.HasPrefix(arg, "--") && !strings.Contains(arg, "=") && arg != "--"+flags.FlagLogNoColor && arg != "--help" {
			i++
		}
	}
	return false
}

// withClient makes cmd and its subcommands start with the settings of client.toml and their flags.
func withClient(encoding app.Encoding, cmd *cobra.Command) *cobra.Command {
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return loadClient(cmd, encoding) }
	return cmd
}

// withServer makes cmd and its subcommands start with the settings of config.toml and app.toml.
func withServer(cmd *cobra.Command) *cobra.Command {
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return loadServer(cmd) }
	return cmd
}

func withClientAndServer(encoding app.Encoding, cmd *cobra.Command) *cobra.Command {
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := loadServer(cmd); err != nil {
			return err
		}
		return loadClient(cmd, encoding)
	}
	return cmd
}

func loadClient(cmd *cobra.Command, encoding app.Encoding) error {
	cmd.SetOut(cmd.OutOrStdout())
	cmd.SetErr(cmd.ErrOrStderr())
	clientCtx, err := client.ReadPersistentCommandFlags(client.Context{}.
		WithCodec(encoding.Codec).
		WithInterfaceRegistry(encoding.InterfaceRegistry).
		WithTxConfig(encoding.TxConfig).
		WithLegacyAmino(encoding.Amino).
		WithInput(os.Stdin).
		WithAccountRetriever(authtypes.AccountRetriever{}).
		WithBroadcastMode(flags.BroadcastSync).
		WithHomeDir(node.DefaultHome()).
		WithViper("").
		WithKeyringOptions(hd.EthSecp256k1Option()).
		WithLedgerHasProtobuf(true).
		WithCmdContext(cmd.Context()), cmd.Flags())
	if err != nil {
		return fmt.Errorf("reading flags: %w", err)
	}
	clientCtx, err = clientconfig.ReadFromClientConfig(clientCtx)
	if err != nil {
		return fmt.Errorf("reading client.toml of %s: %w", clientCtx.HomeDir, err)
	}
	return client.SetCmdClientContextHandler(clientCtx, cmd)
}

func loadServer(cmd *cobra.Command) error {
	home, err := cmd.Flags().GetString(flags.FlagHome)
	if err != nil {
		return err
	}
	config, err := node.LoadConfig(home, cmd.Flags())
	if err != nil {
		if _, missing := os.Stat(filepath.Join(home, "config", "config.toml")); os.IsNotExist(missing) {
			return fmt.Errorf("%s is not the home of a node: make it one with %q, or name another with --home", home, app.Name+" init MONIKER --home "+home)
		}
		return err
	}
	server := sdkserver.NewContext(config.Settings, config.Comet, nil)
	server.Logger, err = sdkserver.CreateSDKLogger(server, cmd.ErrOrStderr())
	if err != nil {
		return fmt.Errorf("--%s: %w", flags.FlagLogLevel, err)
	}
	return sdkserver.SetCmdServerContext(cmd, server)
}
