package app_test

import (
	"encoding/json"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/app"
)

// TestExportAndImportGiveTheSameNetwork starts a second network from the state of a first, and
// compares what either exports.
func TestExportAndImportGiveTheSameNetwork(t *testing.T) {
	first := newChain(t, "alice", "bob", "carol")
	liveALife(t, first)
	exported, err := first.app.ExportAppStateAndValidators(false, nil, nil)
	require.NoError(t, err)
	require.Equal(t, first.height+1, exported.Height)
	require.Len(t, exported.Validators, 1)

	document, key := testGenesis(t, "alice", "bob", "carol")
	document.AppState, document.InitialHeight, document.GenesisTime = exported.AppState, exported.Height, first.time
	second := startChain(t, document, key) // runs the block that first runs now
	first.must()
	require.Equal(t, first.height, second.height)
	requireSameState(t, export(t, first), export(t, second))

	// And it lives: blocks run, accounts pay, contracts answer.
	alice := newUser("alice")
	second.must(second.sign(alice, 0, banktypes.NewMsgSend(alice.address(), newUser("dave").address(), sdk.NewCoins(cairn(1)))))
	require.Equal(t, cairn(1).Amount, second.balance(newUser("dave").address()))
}

func export(t *testing.T, c *chain) []byte {
	t.Helper()
	exported, err := c.app.ExportAppStateAndValidators(false, nil, nil)
	require.NoError(t, err)
	return exported.AppState
}

// requireSameState compares two exports module by module.
func requireSameState(t *testing.T, want, got []byte) {
	t.Helper()
	var a, b map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(want, &a))
	require.NoError(t, json.Unmarshal(got, &b))
	require.Equal(t, len(a), len(b))
	for name := range a {
		require.JSONEq(t, string(a[name]), string(b[name]), "genesis of %s", name)
	}
}

// TestDefaultGenesisIsValidAndInOurCoin holds the whole default genesis, and that no module was left
// with the SDK's placeholder denominations.
func TestDefaultGenesisIsValidAndInOurCoin(t *testing.T) {
	encoding := app.NewEncoding(0)
	state := encoding.DefaultGenesis()
	require.NoError(t, encoding.Basics.ValidateGenesis(encoding.Codec, encoding.TxConfig, state))
	raw, err := json.MarshalIndent(state, "", " ")
	require.NoError(t, err)
	for _, foreign := range []string{`"stake"`, `"aatom"`, `"uatom"`, `"atest"`} {
		require.NotContains(t, string(raw), foreign)
	}
	golden(t, "genesis.json", []string{string(raw)})
	require.NoError(t, app.ConsensusParams().ValidateBasic())
}

// TestExportForHeightZeroIsRefused: a fork keeps its heights.
func TestExportForHeightZeroIsRefused(t *testing.T) {
	c := newChain(t)
	_, err := c.app.ExportAppStateAndValidators(true, nil, nil)
	require.ErrorContains(t, err, "height zero")
}
