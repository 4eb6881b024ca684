package storage_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cosmos/gogoproto/proto"
	"pgregory.net/rapid"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	coreaddress "github.com/cairn-network/cairn/core/address"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/storage"
)

var authority = stage.Account(1000)

func commit(renter int, version uint64) *storagev1.MsgCommitSnapshot {
	return &storagev1.MsgCommitSnapshot{
		Renter: stage.Spell(stage.Account(renter)), Version: version, Root: make([]byte, 32), Pointer: []byte{byte(version)},
	}
}

func TestVersionsRiseOneByOne(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := newFixture(t)
		last := map[int]uint64{}
		r.Repeat(map[string]func(*rapid.T){
			"commit": func(r *rapid.T) {
				renter, version := rapid.IntRange(0, 1).Draw(r, "renter"), rapid.Uint64Range(0, 6).Draw(r, "version")
				before := f.Hash()
				_, err := f.msg.CommitSnapshot(f.Ctx, commit(renter, version))
				if (err == nil) != (version == last[renter]+1) {
					r.Fatalf("version %d after %d: %v", version, last[renter], err)
				}
				if err != nil {
					if !errors.Is(err, storage.ErrVersion) || f.Hash() != before {
						r.Fatalf("refused with %v", err)
					}
					return
				}
				last[renter] = version
				got, err := f.query.Snapshot(f.Ctx, &storagev1.QuerySnapshotRequest{Renter: coreaddress.Hex([20]byte(stage.Account(renter)))})
				if err != nil || got.Snapshot.Version != version || got.Snapshot.CommittedAt != f.Now() {
					r.Fatalf("committed %d, read %+v, %v", version, got, err)
				}
			},
			"pass":    func(r *rapid.T) { f.Pass(1) },
			"restart": func(r *rapid.T) { f.restart(r) },
			"":        func(r *rapid.T) { f.check(r) },
		})
	})
}

func TestBadMessages(t *testing.T) {
	f := newFixture(t)
	if _, err := f.msg.CommitSnapshot(f.Ctx, commit(0, 1)); err != nil {
		t.Fatal(err)
	}
	commits := func(change func(*storagev1.MsgCommitSnapshot)) proto.Message {
		msg := commit(0, 2)
		change(msg)
		return msg
	}
	for _, c := range []struct {
		name string
		msg  proto.Message
		want error
		says string
	}{
		{"nobody", commits(func(m *storagev1.MsgCommitSnapshot) { m.Renter = "" }), storage.ErrAddress, "renter"},
		{"typo in the address", commits(func(m *storagev1.MsgCommitSnapshot) { m.Renter += "x" }), storage.ErrAddress, "renter"},
		{"version again", commits(func(m *storagev1.MsgCommitSnapshot) { m.Version = 1 }), storage.ErrVersion, "version 1 after 1"},
		{"version skipped", commits(func(m *storagev1.MsgCommitSnapshot) { m.Version = 3 }), storage.ErrVersion, "version 3 after 1"},
		{"no root", commits(func(m *storagev1.MsgCommitSnapshot) { m.Root = nil }), storage.ErrField, "root of 0 bytes"},
		{"long root", commits(func(m *storagev1.MsgCommitSnapshot) { m.Root = make([]byte, 33) }), storage.ErrField, "root of 33 bytes"},
		{"no pointer", commits(func(m *storagev1.MsgCommitSnapshot) { m.Pointer = nil }), storage.ErrField, "pointer"},
		{"long pointer", commits(func(m *storagev1.MsgCommitSnapshot) { m.Pointer = make([]byte, 8193) }), storage.ErrField, "8193"},
		{"params by a stranger", &storagev1.MsgUpdateParams{Authority: stage.Spell(stage.Account(0)), Params: storage.DefaultParams()}, storage.ErrNotAuthority, "authority"},
		{"params by nobody", &storagev1.MsgUpdateParams{Params: storage.DefaultParams()}, storage.ErrAddress, "authority"},
		{"no pointer fits", &storagev1.MsgUpdateParams{Authority: stage.Spell(authority)}, storage.ErrParams, "max_pointer_bytes 0"},
		{"pointers as data", &storagev1.MsgUpdateParams{Authority: stage.Spell(authority), Params: storagev1.Params{MaxPointerBytes: 1 << 20}}, storage.ErrParams, "1048576"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := f.send(t, c.msg); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want %v that says %q", err, c.want, c.says)
			}
		})
	}
}

func TestUnknownRenter(t *testing.T) {
	f := newFixture(t)
	_, err := f.query.Snapshot(f.Ctx, &storagev1.QuerySnapshotRequest{Renter: stage.Spell(stage.Account(3))})
	if !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
}

func TestBadGenesis(t *testing.T) {
	anchor := storagev1.Snapshot{Renter: stage.Spell(stage.Account(0)), Version: 1, Root: make([]byte, 32), Pointer: []byte{1}}
	for name, spoil := range map[string]func(*storagev1.GenesisState){
		"bad params":   func(g *storagev1.GenesisState) { g.Params.MaxPointerBytes = 0 },
		"renter twice": func(g *storagev1.GenesisState) { g.Snapshots = append(g.Snapshots, anchor) },
		"version 0":    func(g *storagev1.GenesisState) { g.Snapshots[0].Version = 0 },
		"no root":      func(g *storagev1.GenesisState) { g.Snapshots[0].Root = nil },
	} {
		g := storage.DefaultGenesis()
		g.Snapshots = []storagev1.Snapshot{anchor}
		if err := storage.ValidateGenesis(g); err != nil {
			t.Fatal(err)
		}
		spoil(g)
		if storage.ValidateGenesis(g) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func played(tb testing.TB) stage.Play {
	n := newNetwork(tb)
	return n.play(n.samples(tb)...)
}

func TestEveryMessageHasASample(t *testing.T) { played(t).TestSamples(t) }

func TestMutatedFields(t *testing.T) { played(t).TestMutations(t) }

func FuzzMessages(f *testing.F) { played(f).Fuzz(f) }

func TestErrorCodes(t *testing.T) {
	stage.GoldenErrors(t, storage.ModuleName, "testdata/errors.golden")
}
