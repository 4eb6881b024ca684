package possession

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/internal/clock"
)

// Chain is what the service needs of the chain; *chainclient.Client is one. What is not there is
// chainclient.ErrNotFound.
type Chain interface {
	CurrentEpoch(ctx context.Context) (auditv1.Epoch, error)
	// StorageChallenge is what a device is asked in an epoch, with the commitment in force.
	StorageChallenge(ctx context.Context, device, epoch uint64) (storagev1.Challenge, error)
	// Commitment is the latest of a device, ErrNotFound if it never made one.
	Commitment(ctx context.Context, device uint64) (storagev1.Commitment, error)
	// Audits are those that wait for a device's answer.
	Audits(ctx context.Context, device uint64) ([]storagev1.Audit, error)
	CommitTree(ctx context.Context, m *storagev1.MsgCommitTree) (storagev1.MsgCommitTreeResponse, error)
	Prove(ctx context.Context, m *storagev1.MsgProve) (storagev1.MsgProveResponse, error)
	ProveInclusion(ctx context.Context, m *storagev1.MsgProveInclusion) error
	ProvePosition(ctx context.Context, m *storagev1.MsgProvePosition) error
	// Standings are those of all devices that prove possession.
	Standings(ctx context.Context) ([]storagev1.Standing, error)
	// ReportFault points at a challenge of a past epoch that was not answered, for a bounty.
	ReportFault(ctx context.Context, device, epoch uint64) (storagev1.MsgReportFaultResponse, error)
}

// Piece is a piece of the node.
type Piece struct {
	Key
	Root piece.Root
	Size uint32
	// Expiry in Unix seconds, 0 for the lease's.
	Expiry int64
}

// Pieces is what the node holds.
type Pieces interface {
	// Each yields the pieces of leases that are open. An error of yield ends it.
	Each(ctx context.Context, yield func(Piece) error) error
	// Read gives a piece's bytes, also when its expiry has passed.
	Read(lease uint64, id piece.ID) ([]byte, error)
	// Find describes a piece without its root; false if it is not there.
	Find(lease uint64, id piece.ID) (Piece, bool)
	// Open lists the leases that are not closed.
	Open(ctx context.Context) ([]uint64, error)
	// Delete removes pieces of a lease.
	Delete(lease uint64, ids []piece.ID) error
	// Changes counts what was put and deleted: as long as it is the same, so are the pieces.
	Changes() uint64
}

// Deps are what a service stands on.
type Deps struct {
	// Dir is a directory of its own.
	Dir     string
	ChainID string
	Device  uint64
	Chain   Chain
	Pieces  Pieces
	Clock   clock.Clock
	Log     *slog.Logger
	// Every is how often the chain is asked for the epoch.
	Every time.Duration
}

// Status is how the node does.
type Status struct {
	Epoch uint64 `json:"epoch"`
	// Committed is the latest epoch in which the tree was looked after: the chain has it.
	Committed uint64 `json:"committed,omitempty"`
	// LastChallenged and LastProved are epochs, 0 for none since the start.
	LastChallenged uint64 `json:"last_challenged,omitempty"`
	LastProved     uint64 `json:"last_proved,omitempty"`
	Proofs         uint64 `json:"challenges_answered"`
	Misses         uint64 `json:"challenges_missed"`
	Answers        uint64 `json:"audits_answered"`
	// Reports are missed challenges of peers that this node pointed at.
	Reports uint64 `json:"faults_reported"`
	WatchStats
	// Version and Chunks of the latest commitment.
	Version uint64 `json:"tree_version"`
	Chunks  uint64 `json:"tree_chunks"`
	// Problem is why the last round did not do all that was due.
	Problem string `json:"problem,omitempty"`
}

// Service is the prover of one device. One goroutine runs it; Status, Graves, Releases, Holds, Delete,
// Drawn, Ask and Inclusion may be called by others.
type Service struct {
	Deps
	graves   *Graves
	releases *Releases
	desk     *desk

	// epoch that was last looked at, and whether its challenge and its commitment are dealt with.
	epoch               uint64
	answered, committed bool
	asked               bool   // the epoch's challenge was one for this device
	watched             uint64 // latest epoch whose missed challenges were looked for
	pruned              uint64 // epoch in which releases were last looked through
	changes             uint64
	builtAt             time.Time
	built               *tree // of changes; nil for none yet

	mu     sync.RWMutex
	trees  map[merkle.Node]*tree
	kept   map[merkle.Node]uint64 // epoch in which a root was last sent or seen on the chain
	status Status
}

// Open reads what a service left in its directory.
func Open(ctx context.Context, deps Deps) (*Service, error) {
	if deps.Every == 0 {
		deps.Every = 5 * time.Second
	}
	if err := os.MkdirAll(deps.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the trees: %w", err)
	}
	s := &Service{Deps: deps, trees: map[merkle.Node]*tree{}, kept: map[merkle.Node]uint64{}}
	entries, err := os.ReadDir(deps.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening the trees: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(deps.Dir, e.Name())
		name, isTree := strings.CutSuffix(e.Name(), treeSuffix)
		if root, err := hex.DecodeString(name); isTree && err == nil && len(root) == len(merkle.Node{}.Hash) {
			t, err := openTree(ctx, path)
			if errors.Is(err, ErrDamaged) {
				deps.Log.Error("a committed tree cannot be read; its challenges will be missed", "error", err)
			} else if err != nil {
				return nil, err
			}
			if err == nil {
				s.trees[t.root] = t
				continue
			}
		}
		if isTree || strings.HasSuffix(e.Name(), runSuffix) {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("clearing the trees: %w", err)
			}
		}
	}
	s.desk = newDesk()
	if s.releases, err = openReleases(deps.Dir, deps.ChainID, deps.Device); err != nil {
		return nil, err
	}
	s.graves, err = openGraves(filepath.Join(deps.Dir, "deleted"))
	return s, err
}

// Close ends the use of the directory.
func (s *Service) Close() error { return s.graves.close() }

// Graves are the pieces that only wait for their trees to go.
func (s *Service) Graves() *Graves {
	if s == nil {
		return nil
	}
	return s.graves
}

// Releases are what renters signed for pieces that they had deleted.
func (s *Service) Releases() *Releases {
	if s == nil {
		return nil
	}
	return s.releases
}

// Run works until ctx is done.
func (s *Service) Run(ctx context.Context) error {
	return clock.Every(ctx, s.Clock, s.Every, func(ctx context.Context) error {
		err := s.Step(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.update(func(st *Status) {
			st.Problem = ""
			if err != nil {
				st.Problem = err.Error()
			}
		})
		if err != nil {
			s.Log.Warn("proving possession", "error", err)
		}
		return nil
	})
}

// Status tells how the node does.
func (s *Service) Status() Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.status
}

// NoteWatch makes the figures of the node's watcher part of its status.
func (s *Service) NoteWatch(w WatchStats) { s.update(func(st *Status) { st.WatchStats = w }) }

func (s *Service) update(change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
}

// Step does what is due now. What fails is tried again with the next step, for as long as its epoch
// or deadline lasts; it does not keep the rest from being done.
func (s *Service) Step(ctx context.Context) error {
	epoch, err := s.Chain.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	if epoch.Number != s.epoch {
		if s.asked && !s.answered {
			s.Log.Error("missed a challenge", "epoch", s.epoch)
			s.update(func(st *Status) { st.Misses++ })
		}
		s.epoch, s.answered, s.committed, s.asked = epoch.Number, false, false, false
		s.update(func(st *Status) { st.Epoch = epoch.Number })
	}
	var answer, commit error
	if !s.answered {
		answer = s.answer(ctx)
	}
	if !s.committed {
		commit = s.commit(ctx)
	}
	return errors.Join(answer, commit, s.audits(ctx), s.sweep(ctx), s.prune(ctx), s.watch(ctx))
}

// watch looks for missed challenges among the peers that this node was drawn to ask in the epoch
// before, and reports them: every device has as many watchers as the terms say, and none has all.
func (s *Service) watch(ctx context.Context) error {
	past := s.epoch - 1
	if s.epoch < 2 || s.watched >= past {
		return nil
	}
	standings, err := s.Chain.Standings(ctx)
	if err != nil {
		return err
	}
	own, err := s.Chain.StorageChallenge(ctx, s.Device, past)
	if err != nil {
		return err
	}
	var errs []error
	for _, peer := range standings {
		draw := challenge.NewPeer([32]byte(own.Beacon), past, s.Device, peer.Device)
		if own.Weak || peer.Device == s.Device || peer.LastPassed == past || !draw.Due(own.Terms.PeerOdds) {
			continue
		}
		c, err := s.Chain.StorageChallenge(ctx, peer.Device, past)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !c.Challenged || c.Proof != nil {
			continue
		}
		switch r, err := s.Chain.ReportFault(ctx, peer.Device, past); {
		case err == nil:
			s.Log.Info("reported a missed challenge", "device", peer.Device, "epoch", past, "bounty", r.Bounty)
			s.update(func(st *Status) { st.Reports++ })
		case errors.Is(err, chainclient.ErrFaultReported), errors.Is(err, chainclient.ErrNoFault):
		default:
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		s.watched = past
	}
	return errors.Join(errs...)
}

// nodeOf is a commitment's root.
func nodeOf(c *storagev1.Commitment) merkle.Node {
	if c == nil {
		return merkle.Empty
	}
	n := merkle.Node{Sum: c.Total}
	copy(n.Hash[:], c.Root)
	return n
}

// keep notes that the chain may ask for a root.
func (s *Service) keep(root merkle.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[root] = s.epoch
}

func (s *Service) tree(root merkle.Node) (*tree, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.trees[root]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("the tree with root %x is not on this disk: %w", root.Hash, fs.ErrNotExist)
}

// answer answers the epoch's challenge.
func (s *Service) answer(ctx context.Context) error {
	c, err := s.Chain.StorageChallenge(ctx, s.Device, s.epoch)
	if err != nil {
		return err
	}
	root := nodeOf(c.Commitment)
	s.keep(root)
	s.desk.enter(eraOf(&c))
	if !c.Challenged || c.Proof != nil {
		s.answered = true
		return nil
	}
	if !s.asked {
		s.asked = true
		s.update(func(st *Status) { st.LastChallenged = s.epoch })
	}
	t, err := s.tree(root)
	if err != nil {
		return fmt.Errorf("answering the challenge of epoch %d: %w", s.epoch, err)
	}
	m := &storagev1.MsgProve{Device: s.Device, Epoch: s.epoch}
	if m.Proofs, err = s.prove(t, c.Positions...); err != nil {
		return fmt.Errorf("answering the challenge of epoch %d: %w", s.epoch, err)
	}
	if _, err := s.Chain.Prove(ctx, m); err != nil {
		return err
	}
	s.answered = true
	s.Log.Info("challenge answered", "epoch", s.epoch, "positions", len(c.Positions), "chunks", root.Sum)
	s.update(func(st *Status) {
		st.Proofs++
		st.LastProved = s.epoch
	})
	return nil
}

// prove makes the encoded proofs of positions.
func (s *Service) prove(t *tree, positions ...uint64) ([][]byte, error) {
	proofs := make([][]byte, len(positions))
	for i, x := range positions {
		l, place, first, err := t.at(x)
		if err != nil {
			return nil, fmt.Errorf("looking for position %d of %d: %w", x, t.root.Sum, err)
		}
		data, err := s.Pieces.Read(l.lease, l.id)
		if err != nil {
			return nil, fmt.Errorf("reading piece %s of lease %d: %w", l.id, l.lease, err)
		}
		p, err := challenge.Prove(place, data, x-first)
		if err != nil {
			return nil, err
		}
		// A chain that refused the answer would say no more than this.
		if err := p.Verify(t.root, x); err != nil {
			return nil, fmt.Errorf("piece %s of lease %d: %w", l.id, l.lease, err)
		}
		if proofs[i], err = p.MarshalBinary(); err != nil {
			return nil, err
		}
	}
	return proofs, nil
}

// commit commits to what the node holds, unless the latest commitment says so already.
func (s *Service) commit(ctx context.Context) error {
	latest, err := s.Chain.Commitment(ctx, s.Device)
	if err != nil && !errors.Is(err, chainclient.ErrNotFound) {
		return err
	}
	s.keep(nodeOf(&latest))
	changes := s.Pieces.Changes()
	t := s.built
	if now := s.Clock.Now(); t == nil || changes != s.changes || now.Sub(s.builtAt) > rebuildEvery {
		if t, err = s.build(ctx); err != nil {
			return fmt.Errorf("building the tree: %w", err)
		}
		s.built, s.changes, s.builtAt = t, changes, now
	}
	s.update(func(st *Status) { st.Version, st.Chunks = latest.Version, latest.Total })
	if t.root == nodeOf(&latest) {
		s.committed = true
		s.update(func(st *Status) { st.Committed = s.epoch })
		return nil
	}
	s.keep(t.root) // the transaction may land whatever is heard of it
	m := &storagev1.MsgCommitTree{Device: s.Device, Version: latest.Version + 1, Root: t.root.Hash[:], Total: t.root.Sum}
	r, err := s.Chain.CommitTree(ctx, m)
	if err != nil {
		return err
	}
	s.committed = true
	s.Log.Info("tree committed", "version", m.Version, "pieces", t.leaves, "chunks", m.Total, "in_force_from", r.Since)
	s.update(func(st *Status) { st.Version, st.Chunks, st.Committed = m.Version, m.Total, s.epoch })
	return nil
}

// rebuildEvery is how often the tree is built although nothing was put or deleted: pieces expire.
const rebuildEvery = time.Hour

// build makes the tree of what the node holds for renters now.
func (s *Service) build(ctx context.Context) (*tree, error) {
	t, err := build(s.Dir, func(yield func(leaf) error) error {
		return s.Pieces.Each(ctx, func(p Piece) error {
			if s.graves.Hidden(p.Key) || p.Size == 0 {
				return nil
			}
			expiry := p.Expiry
			if expiry == 0 {
				expiry = math.MaxInt64 // as long as the lease
			}
			l, err := challenge.NewLeaf(p.Lease, p.ID, p.Root, uint64(p.Size), expiry)
			if err != nil {
				return err
			}
			return yield(leaf{Leaf: l, lease: p.Lease, id: p.ID})
		})
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trees[t.root] = t
	s.kept[t.root] = s.epoch
	return t, nil
}

// audits answers what waits for an answer.
func (s *Service) audits(ctx context.Context) error {
	open, err := s.Chain.Audits(ctx, s.Device)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range open {
		if a.Deadline < s.Clock.Now().Unix() {
			continue
		}
		if err := s.answerAudit(ctx, a); err != nil {
			errs = append(errs, fmt.Errorf("answering audit %d: %w", a.Id, err))
			continue
		}
		s.Log.Info("audit answered", "audit", a.Id, "kind", a.Kind)
		s.update(func(st *Status) { st.Answers++ })
	}
	return errors.Join(errs...)
}

func (s *Service) answerAudit(ctx context.Context, a storagev1.Audit) error {
	// The tree in force when it was opened, and for an inclusion also now.
	var failed error
	for _, epoch := range []uint64{a.Epoch, s.epoch} {
		c, err := s.Chain.StorageChallenge(ctx, s.Device, epoch)
		if err != nil {
			return err
		}
		t, err := s.tree(nodeOf(c.Commitment))
		if err != nil {
			failed = err
			continue
		}
		if a.Kind == storagev1.AuditKind_AUDIT_KIND_ESCALATION {
			proofs, err := s.prove(t, a.Position)
			if err != nil {
				return err
			}
			return s.Chain.ProvePosition(ctx, &storagev1.MsgProvePosition{Audit: a.Id, Proof: proofs[0]})
		}
		place, found, err := t.of(piece.ID(a.Piece))
		if err != nil {
			failed = err
			continue
		}
		want := merkle.Leaf{ID: piece.ID(a.Piece), Root: piece.Root(a.PieceRoot), Chunks: a.Chunks, Expiry: a.Expiry}
		if !found {
			failed = fmt.Errorf("piece with leaf %x of lease %d is not in the tree", a.Piece, a.Lease)
			continue
		}
		if err := challenge.VerifyInclusion(place, t.root, want); err != nil {
			failed = err // another piece was stored under its id since
			continue
		}
		raw, err := place.MarshalBinary()
		if err != nil {
			return err
		}
		return s.Chain.ProveInclusion(ctx, &storagev1.MsgProveInclusion{Audit: a.Id, Proof: raw})
	}
	if a.Kind != storagev1.AuditKind_AUDIT_KIND_INCLUSION {
		return failed
	}
	release, found, err := s.releases.find(a.Lease, piece.ID(a.Piece), a.IssuedAt)
	if err != nil || !found {
		return errors.Join(failed, err)
	}
	raw, err := release.MarshalBinary()
	if err != nil {
		return err
	}
	return s.Chain.ProveInclusion(ctx, &storagev1.MsgProveInclusion{Audit: a.Id, Release: raw})
}

// keepEpochs is for how many epochs after a root was last heard of its tree is kept: it may be in a
// transaction, then in force for an epoch, and an audit may ask for what was in force when it opened.
const keepEpochs = 3

// sweep removes trees that nobody can ask for any more, and the deleted pieces that only they held.
func (s *Service) sweep(context.Context) error {
	s.mu.Lock()
	var old []*tree
	for root, t := range s.trees {
		since, known := s.kept[root]
		if !known {
			s.kept[root] = s.epoch // left by an earlier run
		} else if since+keepEpochs < s.epoch && t != s.built {
			old = append(old, t)
			delete(s.trees, root)
			delete(s.kept, root)
		}
	}
	trees := make([]*tree, 0, len(s.trees))
	for _, t := range s.trees {
		trees = append(trees, t)
	}
	s.mu.Unlock()
	var errs []error
	for _, t := range old {
		errs = append(errs, os.Remove(t.path))
	}
	errs = append(errs, s.graves.sweep(trees, s.Pieces.Delete))
	return errors.Join(errs...)
}

// answerTime is for how long after a receipt's expiry an audit that was opened before may still wait:
// the most that params allow.
const answerTime = 30 * 24 * time.Hour

// prune forgets releases that nobody can be answered with any more: those of leases that are closed and
// have no open audit, and those whose receipts expired long ago. Once an epoch.
func (s *Service) prune(ctx context.Context) error {
	leases := s.releases.leases()
	if s.pruned == s.epoch || len(leases) == 0 {
		return nil
	}
	open, err := s.Pieces.Open(ctx)
	if err != nil {
		return err
	}
	// After the leases: of one that was closed then, no more audits are opened.
	audits, err := s.Chain.Audits(ctx, s.Device)
	if err != nil {
		return err
	}
	asked := make(map[uint64]bool, len(open))
	for _, lease := range open {
		asked[lease] = true
	}
	for _, a := range audits {
		asked[a.Lease] = true
	}
	var errs []error
	for _, lease := range leases {
		if asked[lease] {
			errs = append(errs, s.releases.expire(lease, s.Clock.Now().Add(-answerTime).Unix()))
		} else {
			errs = append(errs, s.releases.drop(lease))
		}
	}
	s.pruned = s.epoch
	return errors.Join(errs...)
}

// Holds tells whether a tree that may be asked for has pieces of a lease. No service holds nothing.
func (s *Service) Holds(lease uint64) bool {
	if s == nil {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, t := range s.trees {
		if t.leases[lease] {
			return true
		}
	}
	return false
}

// Delete deletes the pieces that a lease's renter released: those that a tree holds are hidden until it
// goes, the others are returned for the caller to remove. ends is when the lease's own receipts expire,
// Unix seconds. The releases are durable before anything is gone.
func (s *Service) Delete(lease uint64, releases []piece.SignedRelease, ends int64) (free []piece.ID, hidden int, err error) {
	if s == nil {
		for i := range releases {
			free = append(free, releases[i].ID)
		}
		return free, 0, nil
	}
	s.mu.RLock()
	trees := make([]*tree, 0, len(s.trees))
	for _, t := range s.trees {
		if t.leases[lease] {
			trees = append(trees, t)
		}
	}
	s.mu.RUnlock()
	hide := make(map[Key]uint32)
	var keep []Released
	for _, r := range releases {
		k := Key{lease, r.ID}
		held, err := holds(trees, k)
		if err != nil {
			return nil, 0, err
		}
		p, there := s.Pieces.Find(lease, r.ID)
		if there && !s.graves.Hidden(k) {
			// What is not there is not kept a release of: a renter could fill the disk with them.
			expiry := p.Expiry
			if expiry == 0 {
				expiry = ends
			}
			keep = append(keep, Released{r, expiry})
			if held {
				hide[k] = p.Size
			}
		}
		if !held {
			free = append(free, r.ID)
		}
	}
	if err := s.releases.keep(lease, keep); err != nil {
		return nil, 0, err
	}
	return free, len(hide), s.graves.hide(hide)
}
