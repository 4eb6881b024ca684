package command

import (
	"fmt"

	"cosmossdk.io/client/v2/autocli"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/rpc"
	sdkserver "github.com/cosmos/cosmos-sdk/server"
	authcli "github.com/cosmos/cosmos-sdk/x/auth/client/cli"
	vestingcli "github.com/cosmos/cosmos-sdk/x/auth/vesting/client/cli"
	authzcli "github.com/cosmos/cosmos-sdk/x/authz/client/cli"
	bankcli "github.com/cosmos/cosmos-sdk/x/bank/client/cli"
	distrcli "github.com/cosmos/cosmos-sdk/x/distribution/client/cli"
	feegrantcli "github.com/cosmos/cosmos-sdk/x/feegrant/client/cli"
	govcli "github.com/cosmos/cosmos-sdk/x/gov/client/cli"
	stakingcli "github.com/cosmos/cosmos-sdk/x/staking/client/cli"
	upgradecli "github.com/cosmos/cosmos-sdk/x/upgrade/client/cli"
	erc20cli "github.com/cosmos/evm/x/erc20/client/cli"
	feemarketcli "github.com/cosmos/evm/x/feemarket/client/cli"
	evmcli "github.com/cosmos/evm/x/vm/client/cli"
	transfercli "github.com/cosmos/ibc-go/v11/modules/apps/transfer/client/cli"
	ibccli "github.com/cosmos/ibc-go/v11/modules/core/client/cli"
	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/app"
)

// addModuleCommands adds "query" and "tx". Their subcommands, some hundreds with reflection behind
// each, are built only when args go there or ask for completion.
func addModuleCommands(root *cobra.Command, encoding app.Encoding, args []string) error {
	query := &cobra.Command{
		Use:     "query",
		Aliases: []string{"q"},
		Short:   "Ask a node about the state of the network",
		RunE:    client.ValidateCmd,
	}
	tx := &cobra.Command{
		Use:   "tx",
		Short: "Make, sign and send transactions",
		RunE:  client.ValidateCmd,
	}
	root.AddCommand(withClient(encoding, query), withClient(encoding, tx))
	if !wants(args, "query", "q", "tx", "help", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd) {
		return nil
	}
	for _, cmd := range []*cobra.Command{query, tx} {
		cmd.PersistentFlags().String(flags.FlagChainID, "", "the network's name; the one in client.toml if empty")
	}
	query.AddCommand(
		rpc.QueryEventForTxCmd(),
		rpc.ValidatorCommand(),
		authcli.QueryTxsByEventsCmd(),
		authcli.QueryTxCmd(),
		sdkserver.QueryBlockCmd(),
		sdkserver.QueryBlocksCmd(),
		sdkserver.QueryBlockResultsCmd(),

		ibccli.GetQueryCmd(),
		transfercli.GetQueryCmd(),
		evmcli.GetQueryCmd(),
		feemarketcli.GetQueryCmd(),
		erc20cli.GetQueryCmd(),
	)
	accounts, validators := app.AddressCodec(), app.ValidatorCodec()
	tx.AddCommand(
		authcli.GetSignCommand(),
		authcli.GetSignBatchCommand(),
		authcli.GetMultiSignCommand(),
		authcli.GetMultiSignBatchCmd(),
		authcli.GetValidateSignaturesCommand(),
		authcli.GetBroadcastCommand(),
		authcli.GetEncodeCommand(),
		authcli.GetDecodeCommand(),
		authcli.GetSimulateCmd(),

		bankcli.NewTxCmd(accounts),
		vestingcli.GetTxCmd(accounts),
		stakingcli.NewTxCmd(validators, accounts),
		distrcli.NewTxCmd(validators, accounts),
		govcli.NewTxCmd(nil),
		upgradecli.GetTxCmd(accounts),
		authzcli.GetTxCmd(accounts),
		feegrantcli.GetTxCmd(accounts),
		ibccli.GetTxCmd(),
		transfercli.NewTxCmd(),
		evmcli.NewTxCmd(accounts),
		erc20cli.NewTxCmd(),
	)
	options := autocli.AppOptions{
		ModuleOptions:         app.AutoCLIOptions(),
		AddressCodec:          accounts,
		ValidatorAddressCodec: validators,
		ConsensusAddressCodec: app.ConsensusCodec(),
		ClientCtx:             client.Context{}.WithInterfaceRegistry(encoding.InterfaceRegistry),
	}
	if err := options.EnhanceRootCommand(root); err != nil {
		return fmt.Errorf("deriving commands from the modules' services: %w", err)
	}
	defaultFees(tx)
	return nil
}

// Fees of transactions whose sender does not care: twice the fee market's floor, for as much gas as
// a simulation says and a third more.
const (
	defaultGasPrices     = "2000000000" + app.Denom
	defaultGasAdjustment = "1.35"
	// genesisGas suffices to create a validator.
	genesisGas = "400000"
)

// defaultFees makes every transaction command below cmd find its gas by simulation and pay the
// default price, unless flags say otherwise.
func defaultFees(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		defaultFees(sub)
	}
	set := cmd.Flags()
	if set.Lookup(flags.FlagGasPrices) == nil || set.Lookup(flags.FlagGas) == nil {
		return
	}
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if before != nil {
			if err := before(cmd, args); err != nil {
				return err
			}
		}
		defaults := map[string]string{}
		if !set.Changed(flags.FlagFees) && !set.Changed(flags.FlagGasPrices) {
			defaults[flags.FlagGasPrices] = defaultGasPrices
		}
		offline, err := set.GetBool(flags.FlagOffline)
		switch {
		case set.Changed(flags.FlagGas):
		case cmd.Name() == "gentx":
			defaults[flags.FlagGas] = genesisGas // there is no node to simulate it
		case err == nil && !offline:
			defaults[flags.FlagGas] = flags.GasFlagAuto
			if !set.Changed(flags.FlagGasAdjustment) {
				defaults[flags.FlagGasAdjustment] = defaultGasAdjustment
			}
		}
		for name, value := range defaults {
			if err := set.Set(name, value); err != nil {
				return fmt.Errorf("setting --%s: %w", name, err)
			}
		}
		return nil
	}
}
