package possession

import (
	"context"
	"sync"
	"time"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// What one client may ask for in an epoch. A peer may ask for each of its positions twice, as an answer
// may be lost on the way.
const (
	maxPeerAnswers  = 2 * challenge.PeerPositions
	maxLeaseAnswers = 1024
	// maxProofs is how many answers are worked on at once.
	maxProofs = 2
	// lookEvery is how often a question about an epoch not heard of makes the node look for a new one.
	lookEvery = time.Second
)

// era is what questions of an epoch are about.
type era struct {
	epoch  uint64
	beacon [32]byte
	weak   bool
	odds   uint32
	root   merkle.Node // in force
}

func eraOf(c *storagev1.Challenge) era {
	e := era{epoch: c.Epoch, weak: c.Weak, odds: c.Terms.PeerOdds, root: nodeOf(c.Commitment)}
	copy(e.beacon[:], c.Beacon)
	return e
}

// desk is where questions that come off chain are taken: it knows the running epoch and the one before,
// and how much each client has asked for. Safe for concurrent use.
type desk struct {
	slots chan struct{}

	mu     sync.Mutex
	now    era
	before era
	asked  map[asker]int // in the running epoch
	looked time.Time
}

// asker is a peer or a lease.
type asker struct{ peer, lease uint64 }

func newDesk() *desk { return &desk{slots: make(chan struct{}, maxProofs), asked: map[asker]int{}} }

// enter begins an epoch.
func (d *desk) enter(e era) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.epoch > d.now.epoch {
		d.before, d.now = d.now, e
		clear(d.asked)
	}
}

// find gives an epoch that questions may be about.
func (d *desk) find(epoch uint64) (era, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case epoch == 0:
	case epoch == d.now.epoch:
		return d.now, true
	case epoch == d.before.epoch:
		return d.before, true
	}
	return era{}, false
}

// look says whether it is time to look for a new epoch.
func (d *desk) look(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if age := now.Sub(d.looked); age >= 0 && age < lookEvery {
		return false
	}
	d.looked = now
	return true
}

// take counts a question; false when the client has had its share.
func (d *desk) take(a asker, most int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asked[a] >= most {
		return false
	}
	d.asked[a]++
	return true
}

// refresh looks for an epoch that clients may have heard of first.
func (s *Service) refresh(ctx context.Context) error {
	if !s.desk.look(s.Clock.Now()) {
		return nil
	}
	running, err := s.Chain.CurrentEpoch(ctx)
	if err != nil {
		return err
	}
	if _, known := s.desk.find(running.Number); known {
		return nil
	}
	c, err := s.Chain.StorageChallenge(ctx, s.Device, running.Number)
	if err == nil {
		s.desk.enter(eraOf(&c))
	}
	return err
}

// era gives an epoch that a question is about.
func (s *Service) era(ctx context.Context, epoch uint64) (era, error) {
	e, known := s.desk.find(epoch)
	if known {
		return e, nil
	}
	if err := s.refresh(ctx); err != nil {
		return e, err
	}
	if e, known = s.desk.find(epoch); !known {
		return e, wire.Errorf(wire.ErrRange, "epoch %d is not running", epoch)
	}
	return e, nil
}

// drawn says whether the epoch's beacon drew a peer to ask this device.
func (s *Service) drawn(e era, peer uint64) (challenge.Draw, bool) {
	draw := challenge.NewPeer(e.beacon, e.epoch, peer, s.Device)
	return draw, !e.weak && peer != s.Device && e.root.Sum > 0 && draw.Due(e.odds)
}

// Drawn says whether the running epoch, or the one before, lets a peer ask: before anything is done for
// it. The epoch that a question names decides.
func (s *Service) Drawn(ctx context.Context, peer uint64) bool {
	if s.drawnNow(peer) {
		return true
	}
	return s.refresh(ctx) == nil && s.drawnNow(peer)
}

func (s *Service) drawnNow(peer uint64) bool {
	s.desk.mu.Lock()
	now, before := s.desk.now, s.desk.before
	s.desk.mu.Unlock()
	_, due := s.drawn(now, peer)
	_, was := s.drawn(before, peer)
	return due || was
}

// Ask answers a peer: the encoded proof (core/challenge.Proof) of the position that an index draws for
// it. The peer's key must have been checked. Errors are those of the wire.
func (s *Service) Ask(ctx context.Context, peer, epoch uint64, index uint32) ([]byte, error) {
	e, err := s.era(ctx, epoch)
	if err != nil {
		return nil, err
	}
	draw, due := s.drawn(e, peer)
	switch {
	case !due:
		return nil, wire.Errorf(wire.ErrUnauthorized, "epoch %d did not draw device %d to ask", epoch, peer)
	case index >= challenge.PeerPositions:
		return nil, wire.Errorf(wire.ErrRange, "index %d of %d", index, challenge.PeerPositions)
	case !s.desk.take(asker{peer: peer}, maxPeerAnswers):
		return nil, wire.Errorf(wire.ErrBusy, "device %d has asked %d times in epoch %d", peer, maxPeerAnswers, epoch)
	}
	done, err := s.desk.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	t, err := s.tree(e.root)
	if err != nil {
		return nil, err
	}
	proofs, err := s.prove(t, draw.Position(index, e.root.Sum))
	if err != nil {
		return nil, err
	}
	return proofs[0], nil
}

// Inclusion answers a renter: the encoded proof (core/merkle.Proof) that its piece is in the tree in
// force in an epoch. Errors are those of the wire; ErrNotFound where it is not.
func (s *Service) Inclusion(ctx context.Context, lease uint64, id piece.ID, epoch uint64) ([]byte, error) {
	e, err := s.era(ctx, epoch)
	if err != nil {
		return nil, err
	}
	if !s.desk.take(asker{lease: lease}, maxLeaseAnswers) {
		return nil, wire.Errorf(wire.ErrBusy, "lease %d has asked %d times in epoch %d", lease, maxLeaseAnswers, epoch)
	}
	done, err := s.desk.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if e.root.Sum == 0 {
		return nil, wire.ErrNotFound
	}
	t, err := s.tree(e.root)
	if err != nil {
		return nil, err
	}
	p, found, err := t.of(challenge.LeafID(lease, id))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, wire.ErrNotFound
	}
	return p.MarshalBinary()
}

// begin waits for one of the places at which answers are worked on.
func (d *desk) begin(ctx context.Context) (done func(), err error) {
	select {
	case d.slots <- struct{}{}:
		return func() { <-d.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
