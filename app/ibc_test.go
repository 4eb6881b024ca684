package app_test

import (
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	ibcclienttypes "github.com/cosmos/ibc-go/v11/modules/core/02-client/types"
	commitmenttypes "github.com/cosmos/ibc-go/v11/modules/core/23-commitment/types"
	ibcexported "github.com/cosmos/ibc-go/v11/modules/core/exported"
	ibctm "github.com/cosmos/ibc-go/v11/modules/light-clients/07-tendermint"
	"github.com/stretchr/testify/require"
)

// TestALightClientOfAnotherChain: IBC is wired as far as one chain alone can show: anyone makes a light client,
// it is active, a header that nobody signed is refused, and it expires when nobody feeds it.
func TestALightClientOfAnotherChain(t *testing.T) {
	c := newChain(t, "alice")
	alice := newUser("alice")
	const trusting = 10 * 24 * time.Hour
	height := ibcclienttypes.NewHeight(1, 7)
	state := ibctm.NewClientState("elsewhere-1", ibctm.DefaultTrustLevel, trusting, 21*24*time.Hour, 10*time.Second,
		height, commitmenttypes.GetSDKSpecs(), []string{"upgrade", "upgradedIBCState"})
	consensus := ibctm.NewConsensusState(c.time, commitmenttypes.NewMerkleRoot(make([]byte, 32)), make([]byte, 32))
	create, err := ibcclienttypes.NewMsgCreateClient(state, consensus, alice.String())
	require.NoError(t, err)
	c.must(c.sign(alice, 0, create))

	const id = "07-tendermint-0"
	ctx := c.ctx()
	require.Equal(t, ibcexported.Active, c.app.IBC.ClientKeeper.GetClientStatus(ctx, id))
	found, ok := c.app.IBC.ClientKeeper.GetClientState(ctx, id)
	require.True(t, ok)
	require.Equal(t, "elsewhere-1", found.(*ibctm.ClientState).ChainId)

	update, err := ibcclienttypes.NewMsgUpdateClient(id, &ibctm.Header{TrustedHeight: height}, alice.String())
	require.NoError(t, err)
	results := c.next(c.sign(alice, 1, update))
	require.NotZero(t, results[0].Code, "a header without signatures is believed")
	require.Equal(t, ibcexported.Active, c.app.IBC.ClientKeeper.GetClientStatus(c.ctx(), id))

	late := sdk.UnwrapSDKContext(c.ctx()).WithBlockTime(c.time.Add(trusting + time.Hour))
	require.Equal(t, ibcexported.Expired, c.app.IBC.ClientKeeper.GetClientStatus(late, id))
}
