package app

import (
	"fmt"
	"sync"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/version"
	"github.com/cosmos/evm/crypto/hd"
	"github.com/cosmos/evm/x/vm"
	evmtypes "github.com/cosmos/evm/x/vm/types"

	"github.com/cairn-network/cairn/internal/buildinfo"
)

const (
	// Name is the program's and the application's name.
	Name = "cairnd"
	// Denom is the base unit that the ledger counts in: 10^-18 CAIRN.
	Denom = "acairn"
	// DisplayDenom is the unit that people read and write.
	DisplayDenom = "CAIRN"
	// Decimals is the power of ten between Denom and DisplayDenom. The EVM supports 18 only.
	Decimals = 18
	// Bech32Prefix starts every account address; validators add "valoper", their keys "valcons".
	Bech32Prefix = "cairn"
	// DefaultChainID names the development network.
	DefaultChainID = "cairn-devnet-1"
	// DefaultEVMChainID is the EIP-155 chain id of the development network.
	DefaultEVMChainID uint64 = 700777
)

// coinInfo tells the EVM which coin pays for gas.
var coinInfo = evmtypes.EvmCoinInfo{
	Denom:         Denom,
	ExtendedDenom: Denom,
	DisplayDenom:  DisplayDenom,
	Decimals:      Decimals,
}

var configureOnce sync.Once

// Configure sets what the SDK and the EVM keep per process: address prefixes, coin type, the unit
// of staking power, the names of the coin. It may be called any number of times, from anywhere;
// everything in this package that needs it calls it.
func Configure() {
	configureOnce.Do(func() {
		config := sdk.GetConfig()
		config.SetBech32PrefixForAccount(Bech32Prefix, Bech32Prefix+sdk.PrefixPublic)
		config.SetBech32PrefixForValidator(
			Bech32Prefix+sdk.PrefixValidator+sdk.PrefixOperator,
			Bech32Prefix+sdk.PrefixValidator+sdk.PrefixOperator+sdk.PrefixPublic)
		config.SetBech32PrefixForConsensusNode(
			Bech32Prefix+sdk.PrefixValidator+sdk.PrefixConsensus,
			Bech32Prefix+sdk.PrefixValidator+sdk.PrefixConsensus+sdk.PrefixPublic)
		config.SetPurpose(sdk.Purpose)
		config.SetCoinType(hd.Bip44CoinType)
		config.Seal()

		version.Name, version.AppName, version.Version = "cairn", Name, buildinfo.Version

		// One CAIRN staked is one unit of voting power.
		sdk.DefaultPowerReduction = math.NewIntWithDecimal(1, Decimals)
		// The SDK's modules write this variable into their default genesis.
		sdk.DefaultBondDenom = Denom
		// The example opcodes of the EVM module are not ours, and registering them a second time,
		// as a second node in this process would, is an error.
		evmtypes.DefaultCosmosEVMActivators = nil
		vm.SetGlobalConfigVariables(coinInfo)
	})
}

var evmChain struct {
	sync.RWMutex
	id uint64
}

// configureEVM fixes the EIP-155 chain id of this process and runs build, which may construct the
// EVM's keeper. The EVM module keeps its chain configuration in a package variable and refuses to
// set it twice, except while it equals its default: so the default is made ours first. The lock
// matters because each construction clears that variable for a moment; blocks execute under
// the other side of it (see guardedRunner).
func configureEVM(id uint64, build func()) error {
	if id == 0 {
		return fmt.Errorf("EVM chain id is 0: set evm.evm-chain-id in app.toml (the development network has %d)", DefaultEVMChainID)
	}
	evmChain.Lock()
	defer evmChain.Unlock()
	if evmChain.id != 0 && evmChain.id != id {
		return fmt.Errorf("EVM chain id %d: this process already runs a node with %d, and the EVM allows one for each process", id, evmChain.id)
	}
	evmChain.id = id
	evmtypes.DefaultEVMChainID = id
	build()
	return nil
}
