package storage_test

import (
	"errors"
	"strings"
	"testing"

	errorsmod "cosmossdk.io/errors"
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

// send runs a message on a branch of the state that is thrown away: an error must be registered and
// change nothing, success must keep the invariants.
func (f *fixture) send(tb fataler, msg proto.Message) error {
	whole := f.Ctx
	defer func() { f.Ctx = whole }()
	f.Ctx, _ = f.Ctx.CacheContext()
	before := f.Hash()
	err := f.handle(msg)
	if err == nil {
		f.check(tb)
		return nil
	}
	if _, code, _ := errorsmod.ABCIInfo(err, false); code <= 1 && !errors.Is(err, stage.ErrFunds) {
		tb.Fatalf("%T gives an error that is not registered: %v", msg, err)
	}
	if f.Hash() != before {
		tb.Fatalf("%T gives %v, and the state has changed", msg, err)
	}
	return err
}

func (f *fixture) handle(msg proto.Message) (err error) {
	switch msg := msg.(type) {
	case *storagev1.MsgCommitSnapshot:
		_, err = f.msg.CommitSnapshot(f.Ctx, msg)
	case *storagev1.MsgCommitTree:
		_, err = f.msg.CommitTree(f.Ctx, msg)
	case *storagev1.MsgProve:
		_, err = f.msg.Prove(f.Ctx, msg)
	case *storagev1.MsgReportFault:
		_, err = f.msg.ReportFault(f.Ctx, msg)
	case *storagev1.MsgAuditInclusion:
		_, err = f.msg.AuditInclusion(f.Ctx, msg)
	case *storagev1.MsgProveInclusion:
		_, err = f.msg.ProveInclusion(f.Ctx, msg)
	case *storagev1.MsgEscalate:
		_, err = f.msg.Escalate(f.Ctx, msg)
	case *storagev1.MsgProvePosition:
		_, err = f.msg.ProvePosition(f.Ctx, msg)
	case *storagev1.MsgCloseAudit:
		_, err = f.msg.CloseAudit(f.Ctx, msg)
	case *storagev1.MsgUpdateParams:
		_, err = f.msg.UpdateParams(f.Ctx, msg)
	default:
		panic(proto.MessageName(msg))
	}
	return err
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

func TestMutatedFields(t *testing.T) {
	f := newNetwork(t)
	samples := f.samples(t)
	if got, want := len(samples), len(storagev1.Msg_serviceDesc.Methods); got != want {
		t.Fatalf("%d samples of %d messages", got, want)
	}
	for _, msg := range samples {
		if err := f.send(t, msg); err != nil {
			t.Errorf("%T: %v", msg, err)
		}
		stage.Mutate(msg, func(_ string, mutated proto.Message) { _ = f.send(t, mutated) })
	}
}

func FuzzMessages(f *testing.F) {
	fix := newNetwork(f)
	kinds := fix.samples(f)
	for i, msg := range kinds {
		raw, err := proto.Marshal(msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), raw)
	}
	f.Fuzz(func(t *testing.T, kind uint8, raw []byte) {
		msg := stage.Blank(kinds[int(kind)%len(kinds)])
		if proto.Unmarshal(raw, msg) == nil {
			_ = fix.send(t, msg) // send itself fails the test
		}
	})
}

func TestErrorCodes(t *testing.T) {
	stage.GoldenErrors(t, storage.ModuleName, "testdata/errors.golden")
}
