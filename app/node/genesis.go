package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"cosmossdk.io/math"
	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/cosmos/gogoproto/proto"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/internal/buildinfo"
	"github.com/cairn-network/cairn/x/audit"
)

// Genesis describes a network before its first block, when all of it is in one hand: the accounts
// and validators are simply there, without the signed genesis transactions that strangers need.
type Genesis struct {
	ChainID    string // app.DefaultChainID if empty
	Time       time.Time
	Accounts   []Account
	Validators []Validator
	// Edit, if set, changes the modules' states after accounts and validators are in. SetModule
	// edits one module's.
	Edit func(codec.JSONCodec, map[string]json.RawMessage) error
}

// Account is an account with coins.
type Account struct {
	Address sdk.AccAddress
	Coins   sdk.Coins
}

// Validator is a bonded validator.
type Validator struct {
	Moniker  string
	Operator sdk.AccAddress // must be among the accounts; delegates to itself
	Key      crypto.PubKey  // ed25519, the Identity's ConsensusKey
	Stake    math.Int       // acairn out of the operator's coins; at least 1 CAIRN
	// Beacon is the Identity's BeaconKey; zero for a validator that announces one later.
	Beacon beacon.PublicKey
}

// Document builds the genesis document.
func (g Genesis) Document() (*genutiltypes.AppGenesis, error) {
	if len(g.Validators) == 0 {
		return nil, errors.New("genesis without validators: nobody would make blocks")
	}
	encoding := app.NewEncoding(0)
	state := encoding.DefaultGenesis()
	if err := g.fund(encoding.Codec, state); err != nil {
		return nil, err
	}
	if err := g.bond(encoding.Codec, state); err != nil {
		return nil, err
	}
	if err := g.announce(encoding.Codec, state); err != nil {
		return nil, err
	}
	if g.Edit != nil {
		if err := g.Edit(encoding.Codec, state); err != nil {
			return nil, fmt.Errorf("editing the genesis: %w", err)
		}
	}
	if err := encoding.Basics.ValidateGenesis(encoding.Codec, encoding.TxConfig, state); err != nil {
		return nil, fmt.Errorf("checking the genesis: %w", err)
	}
	raw, err := json.MarshalIndent(state, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encoding the genesis: %w", err)
	}
	document := &genutiltypes.AppGenesis{
		AppName:       app.Name,
		AppVersion:    buildinfo.Version,
		GenesisTime:   g.Time.UTC(),
		ChainID:       orDefault(g.ChainID, app.DefaultChainID),
		InitialHeight: 1,
		AppState:      raw,
		Consensus:     &genutiltypes.ConsensusGenesis{Params: app.ConsensusParams()},
	}
	if err := document.ValidateAndComplete(); err != nil {
		return nil, fmt.Errorf("checking the genesis document: %w", err)
	}
	return document, nil
}

// fund writes the accounts, and the pool of coins not yet bonded that the validators' stakes lie in.
func (g Genesis) fund(cdc codec.Codec, state map[string]json.RawMessage) error {
	var (
		accounts authtypes.GenesisAccounts
		balances []banktypes.Balance
		staked   = make(map[string]math.Int)
		bonded   = math.ZeroInt()
	)
	for _, v := range g.Validators {
		staked[v.Operator.String()] = v.Stake
		bonded = bonded.Add(v.Stake)
	}
	for _, account := range g.Accounts {
		address := account.Address.String()
		left := account.Coins
		if stake, ok := staked[address]; ok {
			var negative bool
			if left, negative = left.SafeSub(sdk.NewCoin(app.Denom, stake)); negative {
				return fmt.Errorf("validator %s: stake %s%s is more than its %s", address, stake, app.Denom, account.Coins)
			}
			delete(staked, address)
		}
		accounts = append(accounts, authtypes.NewBaseAccountWithAddress(account.Address))
		balances = append(balances, banktypes.Balance{Address: address, Coins: left})
	}
	for operator := range staked {
		return fmt.Errorf("validator %s is not among the genesis accounts", operator)
	}
	balances = append(balances, banktypes.Balance{
		Address: authtypes.NewModuleAddress(stakingtypes.NotBondedPoolName).String(),
		Coins:   sdk.NewCoins(sdk.NewCoin(app.Denom, bonded)),
	})

	packed, err := authtypes.PackAccounts(accounts)
	if err != nil {
		return fmt.Errorf("packing genesis accounts: %w", err)
	}
	return errors.Join(
		SetModule(cdc, state, authtypes.ModuleName, func(auth *authtypes.GenesisState) { auth.Accounts = packed }),
		SetModule(cdc, state, banktypes.ModuleName, func(bank *banktypes.GenesisState) {
			bank.Balances = banktypes.SanitizeGenesisBalances(balances)
		}),
	)
}

// bond writes the validators and their delegations to themselves.
func (g Genesis) bond(cdc codec.Codec, state map[string]json.RawMessage) error {
	var (
		validators  stakingtypes.Validators
		delegations []stakingtypes.Delegation
	)
	for _, v := range g.Validators {
		if v.Stake.LT(sdk.DefaultPowerReduction) {
			return fmt.Errorf("validator %s: stake %s%s is less than 1 %s, which is no voting power", v.Moniker, v.Stake, app.Denom, app.DisplayDenom)
		}
		key, err := cryptocodec.FromCmtPubKeyInterface(v.Key)
		if err != nil {
			return fmt.Errorf("validator %s: key: %w", v.Moniker, err)
		}
		packed, err := codectypes.NewAnyWithValue(key)
		if err != nil {
			return fmt.Errorf("validator %s: packing its key: %w", v.Moniker, err)
		}
		operator := sdk.ValAddress(v.Operator).String()
		shares := math.LegacyNewDecFromInt(v.Stake)
		validators.Validators = append(validators.Validators, stakingtypes.Validator{
			OperatorAddress:   operator,
			ConsensusPubkey:   packed,
			Status:            stakingtypes.Unbonded, // the first block bonds it, and every module hears of that
			Tokens:            v.Stake,
			DelegatorShares:   shares,
			Description:       stakingtypes.Description{Moniker: v.Moniker},
			UnbondingTime:     time.Unix(0, 0).UTC(),
			Commission:        stakingtypes.NewCommission(math.LegacyNewDecWithPrec(5, 2), math.LegacyNewDecWithPrec(20, 2), math.LegacyNewDecWithPrec(1, 2)),
			MinSelfDelegation: sdk.DefaultPowerReduction,
		})
		delegations = append(delegations, stakingtypes.NewDelegation(v.Operator.String(), operator, shares))
	}
	return SetModule(cdc, state, stakingtypes.ModuleName, func(staking *stakingtypes.GenesisState) {
		staking.Validators = validators.Validators
		staking.Delegations = delegations
	})
}

// announce writes the validators' beacon keys.
func (g Genesis) announce(cdc codec.Codec, state map[string]json.RawMessage) error {
	return SetModule(cdc, state, audit.ModuleName, func(genesis *auditv1.GenesisState) {
		for _, v := range g.Validators {
			if v.Beacon == (beacon.PublicKey{}) {
				continue
			}
			genesis.Keys = append(genesis.Keys, auditv1.BeaconKey{
				Validator: sdk.ValAddress(v.Operator).String(), Key: bytes.Clone(v.Beacon[:]), FromEpoch: 1,
			})
		}
	})
}

// SetModule is app.SetModule, for Genesis.Edit.
func SetModule[T any, P interface {
	*T
	proto.Message
}](cdc codec.JSONCodec, state map[string]json.RawMessage, name string, edit func(P)) error {
	return app.SetModule(cdc, state, name, edit)
}

// WriteNewGenesis is WriteGenesis for one home, which must not have a genesis yet unless overwrite.
func WriteNewGenesis(document *genutiltypes.AppGenesis, home string, overwrite bool) error {
	path := genesisPath(home)
	if _, err := os.Stat(path); err == nil && !overwrite {
		return fmt.Errorf("%s exists: a network keeps its genesis; --overwrite replaces it", path)
	}
	return WriteGenesis(document, home)
}

// EditGenesis changes the modules' states in a home's genesis.
func EditGenesis(home string, edit func(map[string]json.RawMessage) error) error {
	path := genesisPath(home)
	document, err := genutiltypes.AppGenesisFromFile(path)
	if err != nil {
		return fmt.Errorf("reading the genesis: %w", err)
	}
	var state map[string]json.RawMessage
	if err := json.Unmarshal(document.AppState, &state); err != nil {
		return fmt.Errorf("reading the state in %s: %w", path, err)
	}
	if err := edit(state); err != nil {
		return fmt.Errorf("editing %s: %w", path, err)
	}
	if document.AppState, err = json.MarshalIndent(state, "", " "); err != nil {
		return fmt.Errorf("encoding the genesis: %w", err)
	}
	return WriteGenesis(document, home)
}

func genesisPath(home string) string {
	return filepath.Join(home, cmtcfg.DefaultConfigDir, cmtcfg.DefaultGenesisJSONName)
}

// WriteGenesis puts document into each home. All nodes of a network need the same one.
func WriteGenesis(document *genutiltypes.AppGenesis, homes ...string) error {
	for _, home := range homes {
		path := genesisPath(home)
		if err := document.SaveAs(path); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			return fmt.Errorf("making %s readable: %w", path, err)
		}
	}
	return nil
}
