package app

import (
	"maps"
	"slices"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	erc20types "github.com/cosmos/evm/x/erc20/types"
	feemarkettypes "github.com/cosmos/evm/x/feemarket/types"
	evmtypes "github.com/cosmos/evm/x/vm/types"
	transfertypes "github.com/cosmos/ibc-go/v11/modules/apps/transfer/types"
	"github.com/ethereum/go-ethereum/common"
	corevm "github.com/ethereum/go-ethereum/core/vm"

	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/energy"
	"github.com/cairn-network/cairn/x/market"
	"github.com/cairn-network/cairn/x/reward"
	"github.com/cairn-network/cairn/x/storage"
)

// moduleAccounts is every account that a module holds, with what it may do to the supply.
// A golden test lists them: a new permission shows up in review.
var moduleAccounts = map[string][]string{
	authtypes.FeeCollectorName:     nil,
	distrtypes.ModuleName:          nil,
	govtypes.ModuleName:            {authtypes.Burner},                    // burns vetoed deposits
	minttypes.ModuleName:           {authtypes.Minter},                    // its keeper insists; mintNothing
	stakingtypes.BondedPoolName:    {authtypes.Burner, authtypes.Staking}, // slashes
	stakingtypes.NotBondedPoolName: {authtypes.Burner, authtypes.Staking},
	transfertypes.ModuleName:       {authtypes.Minter, authtypes.Burner}, // vouchers of other chains' coins

	evmtypes.ModuleName:       {authtypes.Minter, authtypes.Burner}, // moves value in and out of contracts
	feemarkettypes.ModuleName: nil,
	erc20types.ModuleName:     {authtypes.Minter, authtypes.Burner}, // converts between coins and tokens

	device.ModuleName:  {authtypes.Burner}, // holds deposits and bonds, burns what is forfeited
	market.ModuleName:  {authtypes.Burner}, // holds escrow, burns the fee of each settlement
	storage.ModuleName: nil,                // holds the deposits of open audits
	energy.ModuleName:  {authtypes.Burner}, // holds escrow of charging sessions, burns the fee of each bill
	audit.ModuleName:   {authtypes.Burner}, // holds the bonds of reporters, burns what they lose
	// Mints what devices claim and what validators are paid, holds sponsors' boosts and burns them when
	// they are due.
	reward.ModuleName: {authtypes.Minter, authtypes.Burner},
}

// ModuleAccounts returns the module accounts by name with their permissions.
func ModuleAccounts() map[string][]string { return maps.Clone(moduleAccounts) }

// blockedAddresses are the accounts that nobody may send to, by bank, EVM or IBC: module accounts,
// whose balance covers what the module owes (anything more would be lost), and precompiles. The
// wrapped coin is not among them: wrapping sends it the coins that it hands straight back.
func blockedAddresses() map[string]bool {
	blocked := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(moduleAccounts)) {
		blocked[authtypes.NewModuleAddress(name).String()] = true
	}
	for _, precompile := range slices.Concat(corevm.PrecompiledAddressesPrague, staticPrecompileAddresses()) {
		blocked[sdk.AccAddress(precompile.Bytes()).String()] = true
	}
	return blocked
}

func staticPrecompileAddresses() []common.Address {
	addresses := make([]common.Address, len(evmtypes.AvailableStaticPrecompiles))
	for i, hex := range evmtypes.AvailableStaticPrecompiles {
		addresses[i] = common.HexToAddress(hex)
	}
	return addresses
}
