package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"

	"cosmossdk.io/log/v2"
	cmtcommands "github.com/cometbft/cometbft/cmd/cometbft/commands"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/client/flags"
	sdkserver "github.com/cosmos/cosmos-sdk/server"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	evmflags "github.com/cosmos/evm/server/flags"
	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/app/node"
	"github.com/cairn-network/cairn/internal/buildinfo"
)

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !asJSON {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), buildinfo.Version)
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{
				"name": app.Name, "version": buildinfo.Version, "go": runtime.Version(),
				"platform": runtime.GOOS + "/" + runtime.GOARCH,
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, with the Go version and platform")
	return cmd
}

func completionCommand(root *cobra.Command) *cobra.Command {
	root.CompletionOptions.DisableDefaultCmd = true
	return &cobra.Command{
		Use:       "completion bash|zsh|fish|powershell",
		Short:     "Print a script that completes commands in your shell",
		Example:   "  source <(cairnd completion bash)",
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			default:
				return root.GenPowerShellCompletionWithDesc(out)
			}
		},
	}
}

// initCommand makes a home with keys, settings and the default genesis, to which accounts and
// validators are added by the genesis commands.
func initCommand(encoding app.Encoding) *cobra.Command {
	var (
		options   node.HomeOptions
		overwrite bool
	)
	cmd := &cobra.Command{
		Use:   "init MONIKER",
		Short: "Make the home of a node: keys, settings, and a genesis without accounts",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			home, err := cmd.Flags().GetString(flags.FlagHome)
			if err != nil {
				return err
			}
			options.Moniker = args[0]
			identity, err := node.InitHome(home, options)
			if err != nil {
				return err
			}
			state, err := json.MarshalIndent(encoding.DefaultGenesis(), "", " ")
			if err != nil {
				return fmt.Errorf("encoding the genesis: %w", err)
			}
			document := &genutiltypes.AppGenesis{
				AppName: app.Name, AppVersion: buildinfo.Version, ChainID: options.ChainID,
				InitialHeight: 1, AppState: state,
				Consensus: &genutiltypes.ConsensusGenesis{Params: app.ConsensusParams()},
			}
			if err := document.ValidateAndComplete(); err != nil {
				return fmt.Errorf("checking the genesis: %w", err)
			}
			if err := node.WriteNewGenesis(document, home, overwrite); err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{
				"home": home, "moniker": options.Moniker, "chain_id": options.ChainID, "node_id": identity.NodeID,
			})
		},
	}
	cmd.Flags().StringVar(&options.ChainID, flags.FlagChainID, app.DefaultChainID, "the network's name")
	cmd.Flags().Uint64Var(&options.EVMChainID, "evm-chain-id", app.DefaultEVMChainID, "the network's number for Ethereum wallets (EIP-155)")
	cmd.Flags().DurationVar(&options.BlockTime, "block-time", node.DefaultBlockTime, "pause after each block")
	cmd.Flags().StringVar(&options.Keyring, flags.FlagKeyringBackend, "os", "where commands keep account keys: os, file or test")
	cmd.Flags().BoolVar(&options.OpenCORS, "open-cors", false, "let web pages of any origin use RPC and REST (development)")
	cmd.Flags().BoolVarP(&overwrite, "overwrite", "o", false, "replace an existing genesis.json")
	return cmd
}

func startCommand() *cobra.Command {
	var readyFile string
	cmd := withServer(&cobra.Command{
		Use:   "start",
		Short: "Run the node until it is interrupted",
		Long: `Run the node: consensus, the application and its servers.

Settings come from config.toml and app.toml of the home, then from environment variables
(CAIRND_P2P_LADDR, CAIRND_JSON_RPC_ADDRESS, ...), then from flags.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server := sdkserver.GetServerContextFromCmd(cmd)
			running, err := node.Start(cmd.Context(), node.Config{Comet: server.Config, Settings: server.Viper, Logger: server.Logger})
			if err != nil {
				return err
			}
			at := running.Addresses()
			if readyFile != "" {
				if err := running.WriteReady(readyFile); err != nil {
					return errors.Join(err, running.Stop())
				}
			}
			server.Logger.Info("node is up", "rpc", at.RPC, "rest", at.REST, "grpc", at.GRPC, "grpc-tls", at.GRPCTLS,
				"json-rpc", at.JSONRPC, "json-rpc-websocket", at.JSONRPCWebsocket, "p2p", running.ID()+"@"+at.P2P)
			<-running.Done()
			if err := running.Stop(); err != nil {
				return err
			}
			if cmd.Context().Err() == nil {
				return errors.New("consensus stopped by itself: the log says why")
			}
			return nil
		},
	})
	set := cmd.Flags()
	set.StringVar(&readyFile, "ready-file", "", "write this JSON file, with the node's id and addresses, once the servers answer")
	set.String(sdkserver.FlagMinGasPrices, "", "this node's own price for gas on top of the fee market's, such as 0acairn")
	set.String(sdkserver.FlagPruning, "default", "old states to keep: default, nothing (all are kept), everything, custom")
	set.Uint64(sdkserver.FlagPruningKeepRecent, 0, "with --pruning custom: how many recent states to keep")
	set.Uint64(sdkserver.FlagPruningInterval, 0, "with --pruning custom: blocks between prunings")
	set.Uint64(sdkserver.FlagHaltHeight, 0, "stop after this block")
	set.Uint64(sdkserver.FlagHaltTime, 0, "stop at this Unix time")
	set.IntSlice(sdkserver.FlagUnsafeSkipUpgrades, nil, "heights at which to go on without the planned upgrade")
	set.Bool("api.enable", true, "serve REST and gRPC-web")
	set.Bool("grpc.enable", true, "serve gRPC")
	set.Bool(evmflags.JSONRPCEnable, true, "serve Ethereum's JSON-RPC")
	set.String("api.address", "", "listen address of REST and gRPC-web, tcp://host:port")
	set.String("grpc.address", "", "listen address of gRPC, host:port")
	set.String("grpc-tls.address", "", "listen address of gRPC over TLS, for other machines, host:port")
	set.String("grpc-tls.certificate", "", "PEM file of the certificate for gRPC over TLS, with its chain")
	set.String("grpc-tls.key", "", "PEM file of its key")
	set.String(evmflags.JSONRPCAddress, "", "listen address of Ethereum's JSON-RPC, host:port")
	set.String(evmflags.JSONWsAddress, "", "listen address of Ethereum's websockets, host:port")
	set.Uint64(evmflags.EVMChainID, 0, "the network's number for Ethereum wallets")
	cmtcommands.AddNodeFlags(cmd)
	return cmd
}

func cometCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "comet",
		Aliases: []string{"cometbft"},
		Short:   "Keys and data of consensus",
	}
	cmd.AddCommand(
		sdkserver.ShowNodeIDCmd(),
		sdkserver.ShowValidatorCmd(),
		sdkserver.ShowAddressCmd(),
		sdkserver.BootstrapStateCmd(newServerApp),
	)
	return cmd
}

// newServerApp builds the application for the SDK's maintenance commands, whose interface has no
// error: they end the program on a panic, which is all that is left to do.
func newServerApp(logger log.Logger, db dbm.DB, options servertypes.AppOptions) servertypes.Application {
	built, err := app.New(logger, db, options, sdkserver.DefaultBaseappOptions(options)...)
	if err != nil {
		panic(err)
	}
	return built
}

// export reads the state at height, -1 for the latest.
func export(logger log.Logger, db dbm.DB, height int64, forZeroHeight bool, jailAllowed []string, options servertypes.AppOptions, modules []string) (servertypes.ExportedApp, error) {
	var (
		exporting *app.App
		err       error
	)
	if base := sdkserver.DefaultBaseappOptions(options); height == -1 {
		exporting, err = app.New(logger, db, options, base...)
	} else {
		exporting, err = app.NewAt(logger, db, height, options, base...)
	}
	if err != nil {
		return servertypes.ExportedApp{}, err
	}
	exported, err := exporting.ExportAppStateAndValidators(forZeroHeight, jailAllowed, modules)
	return exported, errors.Join(err, exporting.Close())
}
