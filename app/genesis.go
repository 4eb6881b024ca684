package app

import (
	"encoding/json"
	"fmt"
	"time"

	"cosmossdk.io/math"
	cmttypes "github.com/cometbft/cometbft/types"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	erc20types "github.com/cosmos/evm/x/erc20/types"
	feemarkettypes "github.com/cosmos/evm/x/feemarket/types"
	evmtypes "github.com/cosmos/evm/x/vm/types"
	"github.com/cosmos/gogoproto/proto"
)

// Numbers of a new network. Governance changes all of them later except the supply's cap: coins come
// from x/reward's schedule alone (mintNothing).
const (
	// maxSupply is the hard cap of CAIRN.
	maxSupply = 1_000_000_000
	// gasPrice is acairn for a unit of gas when blocks are not full: 200,000 gas, a typical lease,
	// costs 0.0002 CAIRN. The fee market raises it by an eighth a block at most under load and
	// never sinks below it.
	gasPrice = 1_000_000_000
	// blockGas bounds the work of a block: at 2 cores about a second of the heaviest messages.
	blockGas = 60_000_000
	// blockBytes bounds a block.
	blockBytes = 4 << 20
	// unbonding is how long stake, and a validator's answer for evidence, stays bound.
	unbonding = 21 * 24 * time.Hour
	// shortestBlock divides unbonding into the number of blocks that evidence stays valid.
	shortestBlock = time.Second
)

// coins is whole CAIRN as the ledger counts it.
func coins(whole int64) sdk.Coin {
	return sdk.NewCoin(Denom, math.NewIntWithDecimal(whole, Decimals))
}

// CoinMetadata describes the coin to wallets and, by its decimals, to the EVM.
func CoinMetadata() banktypes.Metadata {
	return banktypes.Metadata{
		Name:        "Cairn",
		Symbol:      DisplayDenom,
		Description: "The coin of the Cairn network: pays for resources, fees and stake.",
		Base:        Denom,
		Display:     DisplayDenom,
		DenomUnits: []*banktypes.DenomUnit{
			{Denom: Denom, Exponent: 0},
			{Denom: DisplayDenom, Exponent: Decimals},
		},
	}
}

// DefaultGenesis returns the state of a new network by module: nobody has coins yet, nobody validates.
func (e Encoding) DefaultGenesis() map[string]json.RawMessage {
	state := e.Basics.DefaultGenesis(e.Codec)

	must(SetModule(e.Codec, state, banktypes.ModuleName, func(bank *banktypes.GenesisState) {
		bank.DenomMetadata = []banktypes.Metadata{CoinMetadata()}
	}))
	must(SetModule(e.Codec, state, stakingtypes.ModuleName, func(staking *stakingtypes.GenesisState) {
		staking.Params.BondDenom = Denom
		staking.Params.UnbondingTime = unbonding
	}))
	must(SetModule(e.Codec, state, slashingtypes.ModuleName, func(slashing *slashingtypes.GenesisState) {
		// A validator may miss half of the last 10,000 blocks: hours, not a coffee break.
		slashing.Params.SignedBlocksWindow = 10_000
	}))
	must(SetModule(e.Codec, state, minttypes.ModuleName, func(mint *minttypes.GenesisState) {
		// Nothing is minted by inflation: validators and devices are paid by one schedule under one
		// cap, which is x/reward's (docs/adr/0007-one-emission-schedule.md).
		mint.Params.MintDenom = Denom
		mint.Params.InflationMin = math.LegacyZeroDec()
		mint.Params.InflationMax = math.LegacyZeroDec()
		mint.Params.InflationRateChange = math.LegacyZeroDec()
		mint.Params.MaxSupply = math.NewIntWithDecimal(maxSupply, Decimals)
		mint.Minter.Inflation = math.LegacyZeroDec()
	}))
	must(SetModule(e.Codec, state, govtypes.ModuleName, func(gov *govv1.GenesisState) {
		gov.Params.MinDeposit = sdk.NewCoins(coins(1_000))
		gov.Params.ExpeditedMinDeposit = sdk.NewCoins(coins(5_000))
	}))
	must(SetModule(e.Codec, state, feemarkettypes.ModuleName, func(market *feemarkettypes.GenesisState) {
		market.Params.BaseFee = math.LegacyNewDec(gasPrice)
		market.Params.MinGasPrice = math.LegacyNewDec(gasPrice)
	}))
	must(SetModule(e.Codec, state, evmtypes.ModuleName, func(evm *evmtypes.GenesisState) {
		evm.Params.EvmDenom = Denom
		evm.Params.ExtendedDenomOptions = &evmtypes.ExtendedDenomOptions{ExtendedDenom: Denom}
		evm.Params.ActiveStaticPrecompiles = activePrecompiles
		// Create2, Multicall3, Permit2, the Safe factory and block hashes: tools expect them.
		evm.Preinstalls = evmtypes.DefaultPreinstalls
	}))
	must(SetModule(e.Codec, state, erc20types.ModuleName, func(erc20 *erc20types.GenesisState) {
		erc20.TokenPairs = []erc20types.TokenPair{erc20types.NewTokenPair(wrappedCoin, Denom, erc20types.OWNER_MODULE)}
		erc20.NativePrecompiles = []string{wrappedCoin.String()}
	}))
	return state
}

// must holds what only a defect of this program can break: modules reading the genesis they wrote.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// ConsensusParams are the limits of a new network that consensus itself enforces.
func ConsensusParams() *cmttypes.ConsensusParams {
	params := cmttypes.DefaultConsensusParams()
	// Votes carry the beacon's outputs from the first block on.
	params.ABCI.VoteExtensionsEnableHeight = 1
	params.Block.MaxBytes = blockBytes
	params.Block.MaxGas = blockGas
	// Evidence of a double sign counts for as long as the stake that answers for it is bound.
	params.Evidence.MaxAgeDuration = unbonding
	params.Evidence.MaxAgeNumBlocks = int64(unbonding / shortestBlock)
	return params
}

// SetModule edits one module's genesis in place. T is the module's GenesisState.
func SetModule[T any, P interface {
	*T
	proto.Message
}](cdc codec.JSONCodec, state map[string]json.RawMessage, name string, edit func(P)) error {
	genesis := P(new(T))
	if err := cdc.UnmarshalJSON(state[name], genesis); err != nil {
		return fmt.Errorf("decoding the genesis of %s: %w", name, err)
	}
	edit(genesis)
	raw, err := cdc.MarshalJSON(genesis)
	if err != nil {
		return fmt.Errorf("encoding the genesis of %s: %w", name, err)
	}
	state[name] = raw
	return nil
}
