package possession

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// city is a chain with devices 1 to 4, of which everyone is drawn to ask everyone.
type city struct {
	clock     *clock.Fake
	epoch     uint64
	weak      bool
	idle      map[uint64]bool // that have committed to nothing
	audits    map[uint64]storagev1.Audit
	faults    []storagev1.Fault
	next      uint64
	refusal   error
	escalated []*storagev1.MsgEscalate
}

func (c *city) Address() string { return "cairn1watcher" }

func (c *city) CurrentEpoch(context.Context) (auditv1.Epoch, error) {
	return auditv1.Epoch{Number: c.epoch}, nil
}

func (c *city) StorageChallenge(_ context.Context, id, epoch uint64) (r storagev1.Challenge, err error) {
	if c.idle[id] {
		return r, fmt.Errorf("commitment: %w", chainclient.ErrNotFound)
	}
	b := sha256.Sum256(binary.BigEndian.AppendUint64(nil, epoch))
	root := sha256.Sum256(binary.BigEndian.AppendUint64(nil, id))
	return storagev1.Challenge{
		Device: id, Epoch: epoch, Beacon: b[:], Weak: c.weak, Terms: storagev1.Terms{PeerOdds: 1},
		Commitment: &storagev1.Commitment{Device: id, Root: root[:], Total: 1000 * id},
	}, nil
}

func (c *city) Standings(context.Context) (list []storagev1.Standing, err error) {
	for id := uint64(1); id <= 4; id++ {
		list = append(list, storagev1.Standing{Device: id})
	}
	return list, nil
}

func (c *city) Audits(context.Context, uint64) (list []storagev1.Audit, err error) {
	for _, a := range c.audits {
		list = append(list, a)
	}
	return list, nil
}

func (c *city) Faults(context.Context, uint64) ([]storagev1.Fault, error) { return c.faults, nil }

func (c *city) Escalate(_ context.Context, m *storagev1.MsgEscalate) (r storagev1.MsgEscalateResponse, err error) {
	if c.refusal != nil {
		return r, c.refusal
	}
	c.escalated = append(c.escalated, m)
	c.next++
	c.audits[c.next] = storagev1.Audit{
		Id: c.next, Kind: storagev1.AuditKind_AUDIT_KIND_ESCALATION, Device: m.Device, Opener: c.Address(), Deadline: c.clock.Now().Unix() + 60,
	}
	return r, nil
}

func (c *city) CloseAudit(_ context.Context, id uint64) (r storagev1.MsgCloseAuditResponse, err error) {
	a, there := c.audits[id]
	if !there || a.Deadline >= c.clock.Now().Unix() {
		return r, &chainclient.Error{Code: chainclient.ErrAuditDeadline}
	}
	delete(c.audits, id)
	return r, nil
}

// street is peers that answer as the test says.
type street struct {
	mu    sync.Mutex
	fails map[uint64]error
	asked map[uint64][]wire.Question
}

func (s *street) Ask(_ context.Context, id uint64, q wire.Question) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[id] = append(s.asked[id], q)
	return s.fails[id]
}

func newWatcher(t *testing.T) (w *Watcher, c *city, s *street, pass func(time.Duration)) {
	clk := clock.NewFake(time.Unix(1000, 0))
	c = &city{clock: clk, epoch: 7, idle: map[uint64]bool{}, audits: map[uint64]storagev1.Audit{}}
	s = &street{fails: map[uint64]error{}, asked: map[uint64][]wire.Question{}}
	w = &Watcher{Device: 1, Chain: c, Peers: s, Clock: clk, Log: slog.New(slog.DiscardHandler), Every: time.Second}
	pass = func(d time.Duration) {
		t.Helper()
		clk.Advance(d)
		if err := w.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return w, c, s, pass
}

func TestDrawnPeersAreAskedOnceAnEpoch(t *testing.T) {
	_, c, s, pass := newWatcher(t)
	c.idle[4] = true
	pass(0)
	pass(time.Second)
	for _, id := range []uint64{2, 3} {
		if len(s.asked[id]) != peerQuestions {
			t.Fatalf("device %d was asked %d times", id, len(s.asked[id]))
		}
		challenged, err := c.StorageChallenge(t.Context(), id, 7)
		if err != nil {
			t.Fatal(err)
		}
		draw := challenge.NewPeer([32]byte(challenged.Beacon), 7, 1, id)
		seen := map[uint32]bool{}
		for _, q := range s.asked[id] {
			if seen[q.Index] || q.Epoch != 7 || q.Root != nodeOf(challenged.Commitment) || q.Position != draw.Position(q.Index, 1000*id) {
				t.Errorf("device %d was asked %+v", id, q)
			}
			seen[q.Index] = true
		}
	}
	if len(s.asked[1])+len(s.asked[4]) != 0 || len(c.escalated) != 0 {
		t.Errorf("asked %v, escalated %v", s.asked, c.escalated)
	}
	clear(s.asked)
	c.epoch, c.weak = 8, true
	pass(time.Second)
	if len(s.asked) != 0 {
		t.Errorf("asked %v by a weak beacon", s.asked)
	}
	c.epoch, c.weak, c.idle[1] = 9, false, true
	pass(time.Second)
	if len(s.asked) != 0 {
		t.Errorf("asked %v, and holds nothing itself", s.asked)
	}
}

// What is not shown at the third try goes to the chain, once, and is ended when nobody answered; who
// answered there is left alone for a while.
func TestWhatIsNotShownGoesToTheChain(t *testing.T) {
	w, c, s, pass := newWatcher(t)
	s.fails[3] = wire.ErrCorrupt
	pass(0)
	pass(time.Second)
	if len(c.escalated) != 0 {
		t.Fatal("taken to the chain after two tries")
	}
	pass(3 * time.Second) // not yet its turn
	if len(s.asked[3]) != 2 {
		t.Fatalf("asked %d times", len(s.asked[3]))
	}
	pass(time.Second)
	pass(time.Minute)
	if len(c.escalated) != 1 || c.escalated[0].Device != 3 || c.escalated[0].Challenger != 1 || c.escalated[0].Epoch != 7 ||
		c.escalated[0].Index != s.asked[3][0].Index {
		t.Fatalf("escalated %v", c.escalated)
	}
	pass(time.Second)
	if len(c.audits) != 0 || w.stats.Caught != 1 || w.stats.Escalated != 1 {
		t.Fatalf("audits %v, %+v", c.audits, w.stats)
	}

	epochs := 0
	for ; epochs < 64; epochs++ {
		c.epoch++
		for range 4 {
			pass(5 * time.Second)
			clear(c.audits) // it answers on the chain each time
		}
	}
	if n := len(c.escalated); n < 3 || n > 9 {
		t.Errorf("%d escalations in %d epochs of a device that answers on chain only", n, epochs)
	}
	if w.stats.Caught != 1 {
		t.Errorf("%+v", w.stats)
	}
}

func TestRefusedEscalationsEnd(t *testing.T) {
	_, c, s, pass := newWatcher(t)
	s.fails[2] = errors.New("connection refused")
	c.refusal = &chainclient.Error{Code: chainclient.ErrTooManyAudits}
	for range 12 {
		pass(2 * time.Second)
	}
	if n := len(s.asked[2]); n != peerTries {
		t.Errorf("asked %d times, want %d", n, peerTries)
	}
}
