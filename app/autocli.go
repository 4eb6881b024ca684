package app

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
	"github.com/cosmos/cosmos-sdk/x/auth"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/auth/vesting"
	vestingtypes "github.com/cosmos/cosmos-sdk/x/auth/vesting/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	authzmodule "github.com/cosmos/cosmos-sdk/x/authz/module"
	"github.com/cosmos/cosmos-sdk/x/bank"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/consensus"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distr "github.com/cosmos/cosmos-sdk/x/distribution"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	"github.com/cosmos/cosmos-sdk/x/evidence"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	feegrantmodule "github.com/cosmos/cosmos-sdk/x/feegrant/module"
	"github.com/cosmos/cosmos-sdk/x/gov"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/cosmos-sdk/x/mint"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	"github.com/cosmos/cosmos-sdk/x/slashing"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	"github.com/cosmos/cosmos-sdk/x/staking"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/cosmos/cosmos-sdk/x/upgrade"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/energy"
	"github.com/cairn-network/cairn/x/market"
	"github.com/cairn-network/cairn/x/reward"
	"github.com/cairn-network/cairn/x/storage"
)

// AutoCLIOptions says how each module's services become commands. Modules tell it without their
// keepers, so that a client need not build the application.
func AutoCLIOptions() map[string]*autocliv1.ModuleOptions {
	return map[string]*autocliv1.ModuleOptions{
		authtypes.ModuleName:      auth.AppModule{}.AutoCLIOptions(),
		vestingtypes.ModuleName:   vesting.AppModule{}.AutoCLIOptions(),
		banktypes.ModuleName:      bank.AppModule{}.AutoCLIOptions(),
		stakingtypes.ModuleName:   staking.AppModule{}.AutoCLIOptions(),
		slashingtypes.ModuleName:  slashing.AppModule{}.AutoCLIOptions(),
		distrtypes.ModuleName:     distr.AppModule{}.AutoCLIOptions(),
		minttypes.ModuleName:      mint.AppModule{}.AutoCLIOptions(),
		govtypes.ModuleName:       gov.AppModule{}.AutoCLIOptions(),
		upgradetypes.ModuleName:   upgrade.AppModule{}.AutoCLIOptions(),
		evidencetypes.ModuleName:  evidence.AppModule{}.AutoCLIOptions(),
		feegrant.ModuleName:       feegrantmodule.AppModule{}.AutoCLIOptions(),
		authz.ModuleName:          authzmodule.AppModule{}.AutoCLIOptions(),
		consensustypes.ModuleName: consensus.AppModule{}.AutoCLIOptions(),

		audit.ModuleName:   audit.AppModule{}.AutoCLIOptions(),
		device.ModuleName:  device.AppModule{}.AutoCLIOptions(),
		energy.ModuleName:  energy.AppModule{}.AutoCLIOptions(),
		market.ModuleName:  market.AppModule{}.AutoCLIOptions(),
		reward.ModuleName:  reward.AppModule{}.AutoCLIOptions(),
		storage.ModuleName: storage.AppModule{}.AutoCLIOptions(),
	}
}
