package app

import (
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/store/v2/rootmulti"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
)

// queryStore is the state as queries see it. The store's own LatestVersion computes the hash over
// all module stores to throw it away, several times for each query, which was most of what a query
// cost; the version is on record in the database.
type queryStore struct {
	storetypes.MultiStore
	db dbm.DB
}

// LatestVersion implements storetypes.MultiStore. It changes while a block is committed, before the
// state that queries take their header from does: until then that of the block itself has it.
func (s queryStore) LatestVersion() int64 { return rootmulti.GetLatestVersion(s.db) }
