package app

import (
	"cosmossdk.io/core/address"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/x/auth"
	"github.com/cosmos/cosmos-sdk/x/auth/vesting"
	authzmodule "github.com/cosmos/cosmos-sdk/x/authz/module"
	"github.com/cosmos/cosmos-sdk/x/bank"
	"github.com/cosmos/cosmos-sdk/x/consensus"
	distr "github.com/cosmos/cosmos-sdk/x/distribution"
	"github.com/cosmos/cosmos-sdk/x/evidence"
	feegrantmodule "github.com/cosmos/cosmos-sdk/x/feegrant/module"
	"github.com/cosmos/cosmos-sdk/x/genutil"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	"github.com/cosmos/cosmos-sdk/x/gov"
	"github.com/cosmos/cosmos-sdk/x/mint"
	"github.com/cosmos/cosmos-sdk/x/slashing"
	"github.com/cosmos/cosmos-sdk/x/staking"
	"github.com/cosmos/cosmos-sdk/x/upgrade"
	"github.com/cosmos/evm/encoding"
	evmaddress "github.com/cosmos/evm/encoding/address"
	"github.com/cosmos/evm/x/erc20"
	"github.com/cosmos/evm/x/feemarket"
	"github.com/cosmos/evm/x/vm"
	"github.com/cosmos/ibc-go/v11/modules/apps/transfer"
	ibc "github.com/cosmos/ibc-go/v11/modules/core"
	ibctm "github.com/cosmos/ibc-go/v11/modules/light-clients/07-tendermint"

	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/energy"
	"github.com/cairn-network/cairn/x/market"
	"github.com/cairn-network/cairn/x/reward"
	"github.com/cairn-network/cairn/x/storage"
)

// Encoding is the codecs of this chain and the modules' stateless halves: all that a client, a
// genesis command or a test of messages needs, without building an application.
type Encoding struct {
	encoding.Config
	Basics module.BasicManager
}

// NewEncoding returns the codecs with every module's types registered. evmChainID is what EIP-712
// signatures are made for; 0 where nothing is signed that way.
func NewEncoding(evmChainID uint64) Encoding {
	Configure()
	e := Encoding{
		Config: encoding.MakeConfig(evmChainID),
		Basics: module.NewBasicManager(
			auth.AppModuleBasic{},
			vesting.AppModuleBasic{},
			bank.AppModuleBasic{},
			staking.AppModuleBasic{},
			slashing.AppModuleBasic{},
			distr.AppModuleBasic{},
			mint.AppModuleBasic{},
			gov.NewAppModuleBasic(nil),
			upgrade.AppModuleBasic{},
			evidence.AppModuleBasic{},
			feegrantmodule.AppModuleBasic{},
			authzmodule.AppModuleBasic{},
			consensus.AppModuleBasic{},
			genutil.NewAppModuleBasic(genutiltypes.DefaultMessageValidator),
			ibc.AppModuleBasic{},
			ibctm.AppModuleBasic{},
			transfer.AppModuleBasic{},
			vm.AppModuleBasic{},
			feemarket.AppModuleBasic{},
			erc20.AppModuleBasic{},
			audit.NewAppModule(nil),
			device.NewAppModule(nil),
			market.NewAppModule(nil),
			reward.NewAppModule(nil),
			storage.NewAppModule(nil),
			energy.NewAppModule(nil),
		),
	}
	e.Basics.RegisterLegacyAminoCodec(e.Amino)
	e.Basics.RegisterInterfaces(e.InterfaceRegistry)
	return e
}

// AddressCodec reads cairn1... and 0x..., and writes cairn1....
func AddressCodec() address.Codec { return evmaddress.NewEvmCodec(Bech32Prefix) }

// ValidatorCodec reads and writes cairnvaloper1....
func ValidatorCodec() address.Codec { return evmaddress.NewEvmCodec(Bech32Prefix + "valoper") }

// ConsensusCodec reads and writes cairnvalcons1....
func ConsensusCodec() address.Codec { return evmaddress.NewEvmCodec(Bech32Prefix + "valcons") }
