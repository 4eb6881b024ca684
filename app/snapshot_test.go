package app_test

import (
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/store/v2/snapshots"
	snapshottypes "github.com/cosmos/cosmos-sdk/store/v2/snapshots/types"
	"github.com/stretchr/testify/require"
)

func withSnapshots(t *testing.T) func(*baseapp.BaseApp) {
	t.Helper()
	store, err := snapshots.NewStore(dbm.NewMemDB(), t.TempDir())
	require.NoError(t, err)
	return baseapp.SetSnapshot(store, snapshottypes.NewSnapshotOptions(5, 1))
}

// TestANewNodeJoinsFromASnapshot restores a snapshot of one application into an empty one: same
// height, same hash, and the next blocks agree.
func TestANewNodeJoinsFromASnapshot(t *testing.T) {
	first := newChain(t, "alice", "bob", "carol")
	first.restart(withSnapshots(t))
	liveALife(t, first)

	var snapshot *abci.Snapshot
	require.Eventually(t, func() bool { // taken beside the blocks, and left out where the one before is not done
		listed, err := first.app.ListSnapshots(&abci.RequestListSnapshots{})
		require.NoError(t, err)
		if len(listed.Snapshots) > 0 {
			if snapshot = listed.Snapshots[0]; int64(snapshot.Height) > first.height-5 {
				return true
			}
		}
		first.next()
		return false
	}, time.Minute, 200*time.Millisecond)

	joining := &chain{t: t, db: dbm.NewMemDB(), val: first.val, time: first.time}
	joining.open(withSnapshots(t))
	offered, err := joining.app.OfferSnapshot(&abci.RequestOfferSnapshot{Snapshot: snapshot, AppHash: first.blocks[snapshot.Height-1].hash})
	require.NoError(t, err)
	require.Equal(t, abci.ResponseOfferSnapshot_ACCEPT, offered.Result)
	for i := range snapshot.Chunks {
		chunk, err := first.app.LoadSnapshotChunk(&abci.RequestLoadSnapshotChunk{Height: snapshot.Height, Format: snapshot.Format, Chunk: i})
		require.NoError(t, err)
		applied, err := joining.app.ApplySnapshotChunk(&abci.RequestApplySnapshotChunk{Index: i, Chunk: chunk.Chunk})
		require.NoError(t, err)
		require.Equal(t, abci.ResponseApplySnapshotChunk_ACCEPT, applied.Result)
	}
	info, err := joining.app.Info(&abci.RequestInfo{})
	require.NoError(t, err)
	require.EqualValues(t, snapshot.Height, info.LastBlockHeight)
	require.Equal(t, first.blocks[snapshot.Height-1].hash, info.LastBlockAppHash)

	joining.height = info.LastBlockHeight
	joining.time = genesisTime.Add(time.Duration(joining.height) * 5 * time.Second)
	for _, b := range first.blocks[joining.height:] {
		joining.next(b.txs...)
		require.Equal(t, b.hash, joining.blocks[len(joining.blocks)-1].hash, "height %d", joining.height)
	}
}
