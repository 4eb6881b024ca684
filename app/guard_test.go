package app_test

import (
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	evmtypes "github.com/cosmos/evm/x/vm/types"
	transfertypes "github.com/cosmos/ibc-go/v11/modules/apps/transfer/types"
	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/core/address"
)

// TestModuleAccountsRefuseMoney tries all three ways in: bank, EVM, another chain.
func TestModuleAccountsRefuseMoney(t *testing.T) {
	c := newChain(t, "alice")
	alice := newUser("alice")
	for name := range app.ModuleAccounts() {
		account := authtypes.NewModuleAddress(name)
		before := c.balance(account)
		hex := common.BytesToAddress(account)

		results := c.next(c.sign(alice, 0, banktypes.NewMsgSend(alice.address(), account, sdk.NewCoins(cairn(1)))))
		require.NotZero(t, results[0].Code, "bank to %s", name)
		require.Contains(t, results[0].Log, "not allowed to receive funds", name)

		results = c.next(c.signEthereum(alice, 0, &hex, cairn(1), nil))
		require.True(t, results[0].Code != 0 || strings.Contains(results[0].Log, "not allowed"), "EVM to %s: %v", name, results[0])

		ctx, _ := c.ctx().CacheContext()
		err := c.app.Transfer.OnRecvPacket(ctx, transfertypes.NewInternalTransferRepresentation(
			transfertypes.Token{Denom: transfertypes.NewDenom("ufar"), Amount: "5"}, "far1sender", account.String(), "",
		), transfertypes.PortID, "channel-7", transfertypes.PortID, "channel-0")
		if name != transfertypes.ModuleName { // which the protocol exempts; it keeps no books
			require.ErrorContains(t, err, "not allowed to receive funds", name)
		}

		// Fees and inflation of these very blocks are the only income.
		if name != authtypes.FeeCollectorName && name != "distribution" {
			require.Equal(t, before, c.balance(account), name)
		}
	}
}

func TestAnotherChainsCoinsArriveAtAUser(t *testing.T) {
	c := newChain(t, "alice")
	ctx, _ := c.ctx().CacheContext()
	require.NoError(t, c.app.Transfer.OnRecvPacket(ctx, transfertypes.NewInternalTransferRepresentation(
		transfertypes.Token{Denom: transfertypes.NewDenom("ufar"), Amount: "5"}, "far1sender", newUser("alice").String(), "",
	), transfertypes.PortID, "channel-7", transfertypes.PortID, "channel-0"))
	require.Len(t, c.app.Bank.GetAllBalances(ctx, newUser("alice").address()), 2)
}

// TestBothSpellingsAreOneAccount sends to 0x... and finds it at cairn1....
func TestBothSpellingsAreOneAccount(t *testing.T) {
	c := newChain(t, "alice")
	alice, bob := newUser("alice"), newUser("bob")
	c.must(c.sign(alice, 0, &banktypes.MsgSend{FromAddress: alice.String(), ToAddress: bob.hex().Hex(), Amount: sdk.NewCoins(cairn(2))}))
	require.Equal(t, cairn(2).Amount, c.balance(bob.address()))

	parsed, err := address.Parse(bob.String())
	require.NoError(t, err)
	require.Equal(t, bob.hex().Hex(), address.Hex(parsed))
}

// TestFeesBelowTheFloorAreRefused: a transaction pays at least the fee market's price.
func TestFeesBelowTheFloorAreRefused(t *testing.T) {
	c := newChain(t, "alice")
	alice := newUser("alice")
	raw := c.signPaying(alice, sdk.NewInt64Coin(app.Denom, 1), banktypes.NewMsgSend(alice.address(), newUser("bob").address(), sdk.NewCoins(cairn(1))))
	results := c.next(raw)
	require.NotZero(t, results[0].Code)
	require.Contains(t, results[0].Log, "insufficient fee")
}

// TestEthereumTransactionsCannotBeSmuggled: not as a message among others, not in an authz grant.
func TestEthereumTransactionsCannotBeSmuggled(t *testing.T) {
	c := newChain(t, "alice", "bob")
	alice, bob := newUser("alice"), newUser("bob")
	inner := &evmtypes.MsgEthereumTx{From: alice.address()}
	exec := authz.NewMsgExec(bob.address(), []sdk.Msg{inner})
	results := c.next(c.sign(bob, 0, &exec))
	require.NotZero(t, results[0].Code)
	grant, err := authz.NewMsgGrant(alice.address(), bob.address(), authz.NewGenericAuthorization(sdk.MsgTypeURL(inner)), nil)
	require.NoError(t, err)
	results = c.next(c.sign(alice, 0, grant))
	require.NotZero(t, results[0].Code)
	require.Contains(t, results[0].Log, "found disabled msg type")
}
