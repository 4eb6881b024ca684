package possession

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/internal/clock"
)

const (
	device  = 3
	chainID = "cairn-test-1"
)

var session = ed25519.NewKeyFromSeed(make([]byte, 32))

// chain keeps commitments and checks proofs as x/storage does.
type chain struct {
	epoch       uint64
	commitments []storagev1.Commitment
	proofs      map[uint64]bool
	audits      []storagev1.Audit
	answered    []uint64
	refuse      error // of every message
	lost        bool  // messages land, and their answers do not come
}

var errLost = errors.New("connection lost")

func (c *chain) beacon(epoch uint64) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, epoch))
}

func (c *chain) inForce(epoch uint64) *storagev1.Commitment {
	var found *storagev1.Commitment
	for i := range c.commitments {
		if c.commitments[i].Since <= epoch {
			found = &c.commitments[i]
		}
	}
	return found
}

func (c *chain) CurrentEpoch(context.Context) (auditv1.Epoch, error) {
	return auditv1.Epoch{Number: c.epoch}, nil
}

func (c *chain) StorageChallenge(_ context.Context, id, epoch uint64) (storagev1.Challenge, error) {
	b := c.beacon(epoch)
	r := storagev1.Challenge{Device: id, Epoch: epoch, Beacon: b[:], Commitment: c.inForce(epoch), Terms: storagev1.Terms{PeerOdds: 1 << 20}}
	if r.Commitment != nil && r.Commitment.Total > 0 {
		r.Challenged = true
		r.Positions = challenge.New(b, epoch, id).Positions(4, r.Commitment.Total)
	}
	if c.proofs[epoch] {
		r.Proof = &storagev1.Proof{}
	}
	return r, nil
}

func (c *chain) Commitment(context.Context, uint64) (storagev1.Commitment, error) {
	if len(c.commitments) == 0 {
		return storagev1.Commitment{}, chainclient.ErrNotFound
	}
	return c.commitments[len(c.commitments)-1], nil
}

func (c *chain) Audits(context.Context, uint64) ([]storagev1.Audit, error) { return c.audits, nil }

func (c *chain) Standings(context.Context) ([]storagev1.Standing, error) { return nil, nil }

func (c *chain) ReportFault(context.Context, uint64, uint64) (r storagev1.MsgReportFaultResponse, err error) {
	return r, errors.New("nobody was missed")
}

func (c *chain) result() error {
	if c.lost {
		return errLost
	}
	return nil
}

func (c *chain) CommitTree(ctx context.Context, m *storagev1.MsgCommitTree) (r storagev1.MsgCommitTreeResponse, err error) {
	if c.refuse != nil {
		return r, c.refuse
	}
	if last, _ := c.Commitment(ctx, device); m.Version != last.Version+1 {
		return r, fmt.Errorf("version %d after %d", m.Version, last.Version)
	}
	c.commitments = append(c.commitments, storagev1.Commitment{Device: m.Device, Version: m.Version, Root: m.Root, Total: m.Total, Since: c.epoch + 1})
	return r, c.result()
}

func (c *chain) Prove(ctx context.Context, m *storagev1.MsgProve) (r storagev1.MsgProveResponse, err error) {
	if c.refuse != nil {
		return r, c.refuse
	}
	asked, _ := c.StorageChallenge(ctx, m.Device, m.Epoch)
	if m.Epoch != c.epoch || asked.Proof != nil || len(m.Proofs) != len(asked.Positions) {
		return r, fmt.Errorf("epoch %d, %d proofs", m.Epoch, len(m.Proofs))
	}
	for i, x := range asked.Positions {
		var p challenge.Proof
		if err := errors.Join(p.UnmarshalBinary(m.Proofs[i]), p.Verify(nodeOf(asked.Commitment), x)); err != nil {
			return r, err
		}
	}
	c.proofs[m.Epoch] = true
	return r, c.result()
}

func (c *chain) ProveInclusion(_ context.Context, m *storagev1.MsgProveInclusion) error {
	if len(m.Release) > 0 {
		var release piece.SignedRelease
		a := c.audits[0]
		err := errors.Join(release.UnmarshalBinary(m.Release), release.Verify(session.Public().(ed25519.PublicKey)))
		if err != nil || challenge.LeafID(release.Lease, release.ID) != piece.ID(a.Piece) || !release.Covers(a.IssuedAt) {
			return fmt.Errorf("release %+v: %w", release, err)
		}
		c.answered, c.audits = append(c.answered, m.Audit), nil
		return nil
	}
	var p merkle.Proof
	if err := p.UnmarshalBinary(m.Proof); err != nil {
		return err
	}
	if _, err := p.Verify(nodeOf(c.inForce(c.epoch))); err != nil {
		return err
	}
	c.answered, c.audits = append(c.answered, m.Audit), nil
	return nil
}

func (c *chain) ProvePosition(_ context.Context, m *storagev1.MsgProvePosition) error {
	var p challenge.Proof
	a := c.audits[0]
	if err := errors.Join(p.UnmarshalBinary(m.Proof), p.Verify(nodeOf(c.inForce(a.Epoch)), a.Position)); err != nil {
		return err
	}
	c.answered, c.audits = append(c.answered, m.Audit), nil
	return nil
}

// shelf is pieces in memory.
type shelf struct {
	pieces  map[Key][]byte
	changes uint64
	open    []uint64 // leases
}

func (s *shelf) Each(_ context.Context, yield func(Piece) error) error {
	for k, data := range s.pieces {
		if err := yield(Piece{Key: k, Root: piece.RootOf(data), Size: uint32(len(data))}); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) Read(lease uint64, id piece.ID) ([]byte, error) {
	if data, there := s.pieces[Key{lease, id}]; there {
		return data, nil
	}
	return nil, os.ErrNotExist
}

func (s *shelf) Find(lease uint64, id piece.ID) (Piece, bool) {
	k := Key{lease, id}
	data, there := s.pieces[k]
	return Piece{Key: k, Size: uint32(len(data))}, there
}

func (s *shelf) Open(context.Context) ([]uint64, error) { return s.open, nil }

func (s *shelf) Delete(lease uint64, ids []piece.ID) error {
	for _, id := range ids {
		delete(s.pieces, Key{lease, id})
	}
	return nil
}

func (s *shelf) Changes() uint64 { return s.changes }

func (s *shelf) put(lease uint64, n, size int) Key {
	k := Key{lease, piece.ID(sha256.Sum256(fmt.Appendf(nil, "piece %d", n)))}
	data := make([]byte, size)
	random := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	s.pieces[k] = data
	s.changes++
	return k
}

type rig struct {
	testing.TB
	dir     string
	chain   *chain
	shelf   *shelf
	service *Service
}

func newRig(tb testing.TB) *rig {
	tb.Helper()
	r := &rig{TB: tb, dir: tb.TempDir(), chain: &chain{epoch: 1, proofs: map[uint64]bool{}}, shelf: &shelf{pieces: map[Key][]byte{}}}
	r.open()
	tb.Cleanup(func() { _ = r.service.Close() })
	return r
}

func (r *rig) open() {
	r.Helper()
	var err error
	r.service, err = Open(r.Context(), Deps{
		Dir: r.dir, ChainID: chainID, Device: device, Chain: r.chain, Pieces: r.shelf, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		r.Fatal(err)
	}
}

// crash forgets all that is in memory.
func (r *rig) crash() {
	r.Helper()
	_ = r.service.Close()
	r.open()
}

// release is what the renter of a piece signs when it has it deleted, at time 100.
func (r *rig) release(k Key) piece.SignedRelease {
	return piece.SignRelease(session, piece.Release{ChainID: chainID, Lease: k.Lease, Device: device, ID: k.ID, Until: 100})
}

func (r *rig) step() {
	r.Helper()
	if err := r.service.Step(r.Context()); err != nil {
		r.Fatal(err)
	}
}

func TestEveryChallengeIsAnsweredOverPutsDeletesAndCrashes(t *testing.T) {
	r := newRig(t)
	var keys []Key
	for n := range 40 {
		keys = append(keys, r.shelf.put(uint64(1+n%2), n, 1+n*500))
		r.step()
		if n%3 == 0 && len(keys) > 4 { // deleted, and asked for until its tree is out of force
			gone := keys[0]
			keys = keys[1:]
			free, hidden, err := r.service.Delete(gone.Lease, []piece.SignedRelease{r.release(gone)}, 1<<40)
			if err != nil || hidden != 1 || len(free) != 0 || !r.service.Graves().Hidden(gone) {
				t.Fatalf("deleting a committed piece: %v, %d hidden, %v", free, hidden, err)
			}
			r.shelf.changes++
		}
		if n%5 == 4 {
			r.crash()
		}
		r.chain.epoch++
		r.step()
		if c := r.chain.inForce(r.chain.epoch); c != nil && !r.chain.proofs[r.chain.epoch] {
			t.Fatalf("epoch %d: no proof", r.chain.epoch)
		}
	}
	for range 8 {
		r.chain.epoch++
		r.step()
	}
	if left := len(r.shelf.pieces); left != len(keys) {
		t.Errorf("%d pieces are left of %d that were not deleted", left, len(keys))
	}
	if len(r.service.trees) > 3 {
		t.Errorf("%d trees are kept", len(r.service.trees))
	}
	if !r.service.Holds(1) || r.service.Holds(9) {
		t.Error("leases held are not those of the trees")
	}
}

// What the chain took although the answer was lost is proven after a crash.
func TestLostAnswers(t *testing.T) {
	r := newRig(t)
	r.shelf.put(1, 1, 3000)
	r.chain.lost = true
	if err := r.service.Step(t.Context()); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	r.shelf.put(1, 2, 100)
	r.crash()
	r.chain.lost = false
	r.chain.epoch++
	r.step()
	if !r.chain.proofs[r.chain.epoch] || len(r.chain.commitments) != 2 {
		t.Fatalf("proofs %v, commitments %v", r.chain.proofs, r.chain.commitments)
	}
}

func TestRetriesUntilTheEpochEnds(t *testing.T) {
	r := newRig(t)
	r.shelf.put(1, 1, 3000)
	r.step()
	r.chain.epoch++
	r.chain.refuse = errors.New("mempool is full")
	for range 3 {
		if err := r.service.Step(t.Context()); !errors.Is(err, r.chain.refuse) {
			t.Fatal(err)
		}
	}
	r.chain.refuse = nil
	r.step()
	r.chain.epoch++
	r.chain.refuse = errors.New("mempool is full")
	_ = r.service.Step(t.Context())
	r.chain.epoch++
	r.chain.refuse = nil
	r.step()
	if s := r.service.Status(); s.Misses != 1 || s.Proofs != 2 {
		t.Errorf("status %+v", s)
	}
}

// A node that lost its data says so and does not answer.
func TestLostDataIsAMiss(t *testing.T) {
	r := newRig(t)
	k := r.shelf.put(1, 1, 3000)
	r.step()
	r.chain.epoch++
	delete(r.shelf.pieces, k)
	if err := r.service.Step(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	r.shelf.pieces[k] = make([]byte, 3000) // of the right size, and nothing else
	if err := r.service.Step(t.Context()); !errors.Is(err, challenge.ErrProof) {
		t.Fatal(err)
	}
	if len(r.chain.proofs) != 0 {
		t.Error("proved")
	}
}

func TestAuditsAreAnswered(t *testing.T) {
	r := newRig(t)
	k := r.shelf.put(1, 1, 5000)
	r.shelf.put(1, 2, 100)
	r.step()
	r.chain.epoch++
	r.chain.audits = []storagev1.Audit{r.inclusion(7, k, 1)}
	r.step()
	r.chain.audits = []storagev1.Audit{{Id: 8, Kind: storagev1.AuditKind_AUDIT_KIND_ESCALATION, Epoch: r.chain.epoch, Deadline: 1 << 40, Position: 3}}
	r.step()
	if len(r.chain.answered) != 2 {
		t.Errorf("answered %v", r.chain.answered)
	}
}

// inclusion is the audit of a piece with a receipt of that time.
func (r *rig) inclusion(id uint64, k Key, issuedAt int64) storagev1.Audit {
	leaf, data := challenge.LeafID(k.Lease, k.ID), r.shelf.pieces[k]
	root := piece.RootOf(data)
	return storagev1.Audit{
		Id: id, Kind: storagev1.AuditKind_AUDIT_KIND_INCLUSION, Epoch: r.chain.epoch, Deadline: 1 << 40, Lease: k.Lease,
		Piece: leaf[:], PieceRoot: root[:], Chunks: piece.Chunks(uint64(len(data))), Expiry: 1 << 40, IssuedAt: issuedAt,
	}
}

// What a renter had deleted is answered with its release, for as long as the lease is open or the audit
// waits, also after crashes; a receipt that is newer than the release is not.
func TestReleasesAnswerForDeletedPieces(t *testing.T) {
	r := newRig(t)
	k := r.shelf.put(1, 1, 5000)
	r.shelf.put(1, 2, 100)
	r.shelf.open = []uint64{1}
	r.step()
	audit := r.inclusion(7, k, 100)
	stranger := r.release(Key{1, piece.ID{9}})
	if _, hidden, err := r.service.Delete(1, []piece.SignedRelease{r.release(k), stranger}, 1<<40); err != nil || hidden != 1 {
		t.Fatal(hidden, err)
	}
	if n := r.service.Releases().Bytes(1); n != releaseSize {
		t.Fatalf("releases take %d bytes, want those of one: of a piece that was never here nothing is kept", n)
	}
	r.shelf.changes++
	for range 8 { // until no tree has it
		r.chain.epoch++
		r.step()
	}
	if _, there := r.shelf.pieces[k]; there {
		t.Fatal("the deleted piece is still there")
	}
	ask := func(a storagev1.Audit) {
		t.Helper()
		a.Epoch, r.chain.answered = r.chain.epoch, nil
		r.chain.audits = []storagev1.Audit{a}
		r.crash()
		r.step()
		if len(r.chain.answered) != 1 {
			t.Fatalf("audit %d was not answered", a.Id)
		}
	}
	ask(audit)
	audit.IssuedAt, audit.Epoch = 101, r.chain.epoch
	r.chain.audits = []storagev1.Audit{audit}
	if err := r.service.Step(t.Context()); err == nil {
		t.Fatal("a receipt from after the release was answered")
	}
	// The lease ends while an audit waits.
	r.shelf.open = nil
	r.chain.epoch++
	_ = r.service.Step(t.Context())
	if r.service.Releases().Bytes(1) == 0 {
		t.Fatal("the releases are gone, and an audit waits")
	}
	audit.IssuedAt = 50
	ask(audit)
	r.chain.epoch++
	r.step()
	if r.service.Releases().Bytes(1) != 0 {
		t.Fatal("the releases of a closed lease are still there")
	}
}

// A torn end of the file is cut off, and what was acknowledged is there.
func TestReleasesSurviveTornWrites(t *testing.T) {
	dir := t.TempDir()
	open := func() *Releases {
		r, err := openReleases(dir, chainID, device)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open()
	sign := func(n byte, expiry int64) Released {
		return Released{piece.SignRelease(session, piece.Release{ChainID: chainID, Lease: 5, Device: device, ID: piece.ID{n}, Until: 100}), expiry}
	}
	if err := r.keep(5, []Released{sign(1, 10), sign(2, 1000)}); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(r.path(5), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, releaseSize-1)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	r = open()
	if err := r.keep(5, []Released{sign(3, 1000)}); err != nil {
		t.Fatal(err)
	}
	r = open()
	for n := byte(1); n <= 3; n++ {
		found, ok, err := r.find(5, challenge.LeafID(5, piece.ID{n}), 100)
		if err != nil || !ok || found != sign(n, 0).SignedRelease {
			t.Fatalf("release %d: %t, %v", n, ok, err)
		}
	}
	many := make([]Released, 1000)
	for i := range many {
		many[i] = sign(4, 20)
	}
	if err := r.keep(5, many); err != nil {
		t.Fatal(err)
	}
	if err := r.expire(5, 20); err != nil || r.Bytes(5) != 2*releaseSize {
		t.Fatalf("%d bytes are left, %v", r.Bytes(5), err)
	}
	if _, ok, err := open().find(5, challenge.LeafID(5, piece.ID{3}), 100); !ok || err != nil {
		t.Fatal(ok, err)
	}
}

// Runs merge into the tree that sorting in memory gives.
func TestTreesOfManyRuns(t *testing.T) {
	const n = runLength + 1000
	dir := t.TempDir()
	made, err := build(dir, func(yield func(leaf) error) error {
		for i := range n {
			k := Key{uint64(i % 3), piece.ID(sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i))))}
			l, err := challenge.NewLeaf(k.Lease, k.ID, piece.Root{byte(i)}, 1+uint64(i%5000), 9)
			if err == nil {
				err = yield(leaf{Leaf: l, lease: k.Lease, id: k.ID})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := openTree(t.Context(), made.path)
	if err != nil || again.root != made.root || again.leaves != n || len(again.leases) != 3 {
		t.Fatalf("read %+v, %v; wrote %+v", again, err, made)
	}
	for _, tr := range []*tree{made, again} {
		for _, x := range []uint64{0, 1, tr.root.Sum / 3, tr.root.Sum / 2, tr.root.Sum - 1} {
			l, place, first, err := tr.at(x)
			if err != nil || l.Leaf != place.Leaf {
				t.Fatalf("position %d: %+v, %v", x, l, err)
			}
			if chunk, err := place.VerifyAt(tr.root, x); err != nil || chunk != x-first {
				t.Fatalf("position %d: chunk %d, first %d, %v", x, chunk, first, err)
			}
			same, _, found, err := tr.find(place.Leaf.ID)
			if err != nil || !found || same != l {
				t.Fatalf("found %t %+v, %v", found, same, err)
			}
			of, found, err := tr.of(place.Leaf.ID)
			if err != nil || !found || of.Leaf != l.Leaf {
				t.Fatalf("proof of leaf %s: %t, %v", l.ID, found, err)
			}
			if _, err := of.Verify(tr.root); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, _, err := tr.at(tr.root.Sum); !errors.Is(err, ErrDamaged) {
			t.Fatalf("a position beyond the total: %v", err)
		}
		if _, found, err := tr.of(piece.ID{1}); found || err != nil {
			t.Fatalf("found what is not there: %v", err)
		}
	}
	f, err := os.OpenFile(made.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0xff}, 40); err != nil {
		t.Fatal(err)
	}
	if _, err := openTree(t.Context(), made.path); !errors.Is(err, ErrDamaged) {
		t.Fatalf("a damaged file: %v", err)
	}
}

// million builds the tree of a million pieces.
func million(tb testing.TB, dir string) *tree {
	tb.Helper()
	t, err := build(dir, func(yield func(leaf) error) error {
		for i := range 1_000_000 {
			id := piece.ID(sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i))))
			l, err := challenge.NewLeaf(1, id, piece.Root{byte(i)}, 1<<20, 9)
			if err == nil {
				err = yield(leaf{Leaf: l, lease: 1, id: id})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func BenchmarkTree(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		million(b, dir)
	}
}

// BenchmarkPlace proves a leaf's place in the tree of a million pieces.
func BenchmarkPlace(b *testing.B) {
	t := million(b, b.TempDir())
	for n := uint64(0); b.Loop(); n++ {
		if _, _, _, err := t.at(n * 1_000_003 % t.root.Sum); err != nil {
			b.Fatal(err)
		}
	}
}
