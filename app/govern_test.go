package app_test

import (
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	"github.com/stretchr/testify/require"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
)

// TestAVoteChangesParametersAndNobodyElseDoes: governance is the authority of every module.
func TestAVoteChangesParametersAndNobodyElseDoes(t *testing.T) {
	c := newChain(t, "alice")
	alice, val := newUser("alice"), newUser("val")
	params, err := c.app.Market.Params(c.ctx())
	require.NoError(t, err)
	params.FeeBps = 300

	results := c.next(c.sign(alice, 0, &marketv1.MsgUpdateParams{Authority: alice.String(), Params: params}))
	require.NotZero(t, results[0].Code)

	governance := authtypes.NewModuleAddress(govtypes.ModuleName).String()
	propose, err := govv1.NewMsgSubmitProposal([]sdk.Msg{&marketv1.MsgUpdateParams{Authority: governance, Params: params}},
		sdk.NewCoins(cairn(1000)), alice.String(), "", "Raise the fee", "From 2.5 % to 3 %.", false)
	require.NoError(t, err)
	c.must(c.sign(alice, 0, propose))
	c.must(c.sign(val, 0, govv1.NewMsgVote(val.address(), 1, govv1.OptionYes, "")))
	for range 5 {
		c.must()
	}
	got, err := c.app.Market.Params(c.ctx())
	require.NoError(t, err)
	require.Equal(t, params, got)
}
