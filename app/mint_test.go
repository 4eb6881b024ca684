package app_test

import (
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/app"
)

// TestNoVoteOnInflationMakesCoins holds INV-CAP against governance itself: a vote sets an inflation of a
// hundred per cent without a bound on the supply, and not a coin comes of it.
func TestNoVoteOnInflationMakesCoins(t *testing.T) {
	c := newChain(t, "alice")
	alice, val := newUser("alice"), newUser("val")
	params, err := c.app.Mint.Params.Get(c.ctx())
	require.NoError(t, err)
	params.InflationMin, params.InflationMax = math.LegacyOneDec(), math.LegacyOneDec()
	params.InflationRateChange, params.GoalBonded = math.LegacyOneDec(), math.LegacyOneDec()
	params.MaxSupply, params.BlocksPerYear = math.ZeroInt(), 1

	governance := authtypes.NewModuleAddress(govtypes.ModuleName).String()
	propose, err := govv1.NewMsgSubmitProposal([]sdk.Msg{&minttypes.MsgUpdateParams{Authority: governance, Params: params}},
		sdk.NewCoins(cairn(1000)), alice.String(), "", "Print money", "All of it.", false)
	require.NoError(t, err)
	c.must(c.sign(alice, 0, propose))
	c.must(c.sign(val, 0, govv1.NewMsgVote(val.address(), 1, govv1.OptionYes, "")))
	supply := c.app.Bank.GetSupply(c.ctx(), app.Denom)
	for range 10 {
		c.must()
	}
	voted, err := c.app.Mint.Params.Get(c.ctx())
	require.NoError(t, err)
	require.Equal(t, params, voted, "the vote has passed")
	require.Equal(t, supply, c.app.Bank.GetSupply(c.ctx(), app.Denom))
}
