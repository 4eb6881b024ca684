package network

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"cosmossdk.io/math"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/app"
)

// TestANewValidatorJoinsByStateSync: a newcomer takes a snapshot from its peers instead of replaying all
// blocks, checks it by the light client against a header that it trusts, follows the chain, stakes, and
// signs blocks.
func TestANewValidatorJoinsByStateSync(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program and runs four processes")
	}
	cairnd := program(t)
	const joiner = 3
	v := newValidators(t, 3, 1, quickVotes)
	for i := range joiner {
		v.start(i, cairnd)
	}
	v.reach(25, 0, 1, 2) // two snapshots have been taken, at 10 and 20

	trusted := v.height(0) - 2
	v.list[joiner].env = []string{
		"CAIRND_STATESYNC_ENABLE=true",
		"CAIRND_STATESYNC_RPC_SERVERS=http://" + v.list[0].rpc + ",http://" + v.list[1].rpc,
		fmt.Sprintf("CAIRND_STATESYNC_TRUST_HEIGHT=%d", trusted),
		"CAIRND_STATESYNC_TRUST_HASH=" + v.commit(0, trusted).SignedHeader.Commit.BlockID.Hash,
		"CAIRND_STATESYNC_DISCOVERY_TIME=5s",
	}
	v.start(joiner, cairnd)
	v.reach(v.height(0)+2, joiner)
	var status struct {
		Sync struct {
			Earliest string `json:"earliest_block_height"`
		} `json:"sync_info"`
	}
	require.NoError(t, v.ask(joiner, "status", &status))
	require.NotEqual(t, "1", status.Sync.Earliest, "it replayed the chain from its beginning")
	v.agree(v.height(joiner)-1, 0, 1, 2, joiner)

	// It stakes, and its signature is in the blocks from then on.
	app.Configure()
	key, err := cryptocodec.FromCmtPubKeyInterface(v.list[joiner].identity.ConsensusKey)
	require.NoError(t, err)
	operator := v.list[joiner].account.Bytes()
	one := math.LegacyOneDec()
	create, err := stakingtypes.NewMsgCreateValidator(sdk.ValAddress(operator[:]).String(), key,
		sdk.NewCoin("acairn", math.NewIntWithDecimal(100, 18)), stakingtypes.NewDescription("joiner", "", "", "", ""),
		stakingtypes.NewCommissionRates(math.LegacyZeroDec(), one, one), math.OneInt())
	require.NoError(t, err)
	_, err = v.client(joiner).Send(t.Context(), create)
	require.NoError(t, err)
	address := strings.ToUpper(v.list[joiner].identity.ConsensusKey.Address().String())
	require.Eventually(t, func() bool {
		height := v.height(0)
		if height == 0 {
			return false
		}
		for _, signature := range v.commit(0, height-1).SignedHeader.Commit.Signatures {
			if signature.Address == address {
				return true
			}
		}
		return false
	}, 2*time.Minute, 200*time.Millisecond, "validator %s (%s) does not sign", address, base64.StdEncoding.EncodeToString(key.Bytes()))
	v.agree(v.height(joiner)-1, 0, 1, 2, joiner)
}
