// Package stage sets up what the test of a chain module stands on: real stores, a bank that
// conserves coins, addresses in both spellings, and a block clock that the test moves.
//
// A Bank keeps its balances in a store of its own, so that whatever rolls back the module's writes
// rolls back the money with them, as on a chain.
package stage

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"cosmossdk.io/core/address"
	"cosmossdk.io/core/store"
	"cosmossdk.io/log/v2"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/runtime"
	rootstore "github.com/cosmos/cosmos-sdk/store/v2"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	coreaddress "github.com/cairn-network/cairn/core/address"
)

// ChainID is the chain of every stage.
const ChainID = "cairn-test-1"

// Start is the time of a stage's first block.
var Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Stage is one chain without consensus.
type Stage struct {
	Ctx       sdk.Context
	Codec     codec.Codec
	Addresses address.Codec
	Bank      *Bank
	keys      []*storetypes.KVStoreKey
	root      storetypes.CommitMultiStore
}

// New makes a stage with an empty store of each name.
func New(tb testing.TB, stores ...string) *Stage {
	tb.Helper()
	s := &Stage{Codec: codec.NewProtoCodec(codectypes.NewInterfaceRegistry()), Addresses: Addresses{}}
	db := dbm.NewMemDB()
	multi := rootstore.NewCommitMultiStore(db, log.NewNopLogger())
	for _, name := range append(stores, bankStore) {
		key := storetypes.NewKVStoreKey(name)
		s.keys = append(s.keys, key)
		multi.MountStoreWithDB(key, storetypes.StoreTypeIAVL, nil) // its own part of db
	}
	if err := multi.LoadLatestVersion(); err != nil {
		tb.Fatal(err)
	}
	s.root = multi
	s.Ctx = sdk.NewContext(multi, cmtproto.Header{ChainID: ChainID, Height: 1, Time: Start}, false, log.NewNopLogger())
	s.Bank = newBank(s.Store(bankStore))
	return s
}

// Store is a module's view of its store.
func (s *Stage) Store(name string) store.KVStoreService {
	for _, key := range s.keys {
		if key.Name() == name {
			return runtime.NewKVStoreService(key)
		}
	}
	panic("no store " + name)
}

// Pass moves the block clock on.
func (s *Stage) Pass(seconds int64) {
	s.Ctx = s.Ctx.WithBlockHeight(s.Ctx.BlockHeight() + 1).
		WithBlockTime(s.Ctx.BlockTime().Add(time.Duration(seconds) * time.Second))
}

// Commit writes the stores' versions as the end of a block does. Without it a store keeps all that
// was ever written in memory, unsorted, and every iteration pays for that.
func (s *Stage) Commit() { s.root.Commit() }

// Now is the time of the block, Unix seconds.
func (s *Stage) Now() int64 { return s.Ctx.BlockTime().Unix() }

// Clear empties a store, as a new chain begins.
func (s *Stage) Clear(name string) {
	for _, key := range s.keys {
		if key.Name() != name {
			continue
		}
		kv := s.Ctx.MultiStore().GetKVStore(key)
		var keys [][]byte
		entries := kv.Iterator(nil, nil)
		for ; entries.Valid(); entries.Next() {
			keys = append(keys, entries.Key())
		}
		must(entries.Close())
		for _, k := range keys {
			kv.Delete(k)
		}
	}
}

// Hash is a hash over every key and value of the stores named, or of all.
func (s *Stage) Hash(stores ...string) [sha256.Size]byte {
	h := sha256.New()
	for _, key := range s.keys {
		if len(stores) > 0 && !contains(stores, key.Name()) {
			continue
		}
		fmt.Fprintf(h, "store %s\n", key.Name())
		entries := s.Ctx.MultiStore().GetKVStore(key).Iterator(nil, nil)
		for ; entries.Valid(); entries.Next() {
			fmt.Fprintf(h, "%x=%x\n", entries.Key(), entries.Value())
		}
		must(entries.Close())
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func contains(list []string, one string) bool {
	for _, name := range list {
		if name == one {
			return true
		}
	}
	return false
}

// Account is an account that a test plays, numbered from 0.
func Account(n int) sdk.AccAddress {
	hash := sha256.Sum256(fmt.Appendf(nil, "account %d", n))
	return hash[:20]
}

// Spell is the canonical spelling of an account.
func Spell(account []byte) string { return coreaddress.Bech32([20]byte(account)) }

// Addresses accepts cairn1... and 0x... and spells cairn1....
type Addresses struct{}

// StringToBytes reads an address in either spelling.
func (Addresses) StringToBytes(text string) ([]byte, error) {
	a, err := coreaddress.Parse(text)
	return a[:], err
}

// BytesToString spells an address canonically.
func (Addresses) BytesToString(raw []byte) (string, error) {
	if len(raw) != 20 {
		return "", fmt.Errorf("address of %d bytes", len(raw))
	}
	return Spell(raw), nil
}

// Recorded gives the number of events of a type that the context has seen.
func (s *Stage) Recorded(eventType string) int {
	n := 0
	for _, e := range s.Ctx.EventManager().Events() {
		if e.Type == eventType {
			n++
		}
	}
	return n
}

// Forget drops the events seen so far.
func (s *Stage) Forget() { s.Ctx = s.Ctx.WithEventManager(sdk.NewEventManager()) }
