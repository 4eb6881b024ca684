package inclusion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

const me, answerSeconds = "cairn1renter", 60

var start = time.Unix(1_000_000, 0)

// chain keeps audits as x/storage does; an epoch lasts 100 seconds.
type chain struct {
	clock    *clock.Fake
	audits   map[uint64]storagev1.Audit
	faults   []storagev1.Fault
	next     uint64
	refusal  error
	nobody   bool // has committed to anything
	receipts []piece.SignedReceipt
}

func (c *chain) epoch() uint64 { return 10 + uint64(c.clock.Now().Sub(start)/(100*time.Second)) }

func (c *chain) Address() string { return me }

func (c *chain) CurrentEpoch(ctx context.Context) (auditv1.Epoch, error) {
	return c.Epoch(ctx, c.epoch())
}

func (c *chain) Epoch(_ context.Context, number uint64) (auditv1.Epoch, error) {
	return auditv1.Epoch{Number: number, StartTime: start.Add(time.Duration(int64(number)-10) * 100 * time.Second)}, nil
}

func (c *chain) StorageParams(context.Context) (p storagev1.Params, err error) {
	p.Possession.SettleEpochs = 3
	return p, nil
}

func (c *chain) StorageChallenge(_ context.Context, device, epoch uint64) (r storagev1.Challenge, err error) {
	if c.nobody {
		return r, fmt.Errorf("commitment: %w", chainclient.ErrNotFound)
	}
	return storagev1.Challenge{Device: device, Epoch: epoch, Commitment: &storagev1.Commitment{Device: device, Root: make([]byte, 32), Total: 9}}, nil
}

func (c *chain) Audits(context.Context, uint64) (list []storagev1.Audit, err error) {
	for _, a := range c.audits {
		list = append(list, a)
	}
	return list, nil
}

func (c *chain) Faults(context.Context, uint64) ([]storagev1.Fault, error) { return c.faults, nil }

func (c *chain) AuditInclusion(_ context.Context, raw []byte) (r storagev1.MsgAuditInclusionResponse, err error) {
	var s piece.SignedReceipt
	if err := errors.Join(c.refusal, s.UnmarshalBinary(raw)); err != nil {
		return r, err
	}
	c.receipts = append(c.receipts, s)
	c.next++
	c.audits[c.next] = storagev1.Audit{
		Id: c.next, Kind: storagev1.AuditKind_AUDIT_KIND_INCLUSION, Device: s.Device, Opener: me, Deadline: c.clock.Now().Unix() + answerSeconds,
	}
	return storagev1.MsgAuditInclusionResponse{Audit: c.next}, nil
}

func (c *chain) CloseAudit(_ context.Context, id uint64) (r storagev1.MsgCloseAuditResponse, err error) {
	a, there := c.audits[id]
	if !there || a.Deadline >= c.clock.Now().Unix() {
		return r, &chainclient.Error{Code: chainclient.ErrAuditDeadline}
	}
	delete(c.audits, id)
	c.faults = append(c.faults, storagev1.Fault{Device: a.Device, Kind: storagev1.FaultKind_FAULT_KIND_INCLUSION, Subject: id})
	return r, nil
}

// network is nodes that answer as the test says.
type network struct {
	answer  map[uint64]error // by device
	gone    map[metabase.SegmentID]bool
	missing []metabase.Piece
	asked   []piece.Receipt
}

func (n *network) Inclusion(_ context.Context, r piece.Receipt, _ uint64, _ merkle.Node) error {
	n.asked = append(n.asked, r)
	return n.answer[r.Device]
}

func (n *network) Wanted(_ context.Context, id metabase.SegmentID, _ uint64) (bool, error) {
	return !n.gone[id], nil
}

func (n *network) Missing(_ metabase.SegmentID, p metabase.Piece) { n.missing = append(n.missing, p) }

type rig struct {
	*testing.T
	chain   *chain
	network *network
	sampler *Sampler
}

// newRig has ten settled receipts of each of devices 1 to 3.
func newRig(t *testing.T) *rig {
	book, err := OpenBook(filepath.Join(t.TempDir(), "receipts"))
	if err != nil {
		t.Fatal(err)
	}
	for device := uint64(1); device <= 3; device++ {
		for n := range 10 {
			book.Add(metabase.SegmentID{byte(n)}, uint8(device), receipt(device, n, start.Unix()-1000))
		}
	}
	c := clock.NewFake(start)
	r := &rig{
		T: t, chain: &chain{clock: c, audits: map[uint64]storagev1.Audit{}},
		network: &network{answer: map[uint64]error{}, gone: map[metabase.SegmentID]bool{}},
	}
	r.sampler = New(Deps{Book: book, Chain: r.chain, Network: r.network, Clock: c, Log: slog.New(slog.DiscardHandler)})
	return r
}

func (r *rig) step() {
	r.Helper()
	if err := r.sampler.Step(r.Context()); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) pass(d time.Duration) {
	r.Helper()
	r.chain.clock.Advance(d)
	r.step()
}

func TestAFewPiecesAnEpochOfAllDevices(t *testing.T) {
	r := newRig(t)
	r.step()
	r.step()
	of := map[uint64]int{}
	for _, a := range r.network.asked {
		of[a.Device]++
	}
	if len(r.network.asked) != 8 || of[1] < 2 || of[2] < 2 || of[3] < 2 {
		t.Fatalf("asked %v", of)
	}
	r.pass(100 * time.Second)
	if s := r.sampler.Status(); s.Shown != 16 || s.Denied != 0 || len(r.chain.receipts) != 0 {
		t.Errorf("status %+v, %d audits", s, len(r.chain.receipts))
	}
}

// A node that says that a piece is not in its tree is taken to the chain at once, and its fault is
// claimed when the deadline has passed.
func TestDeniedPiecesGoToTheChain(t *testing.T) {
	for name, answer := range map[string]error{"says so": wire.ErrNotFound, "shows another tree": wire.ErrCorrupt} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.network.answer[2] = fmt.Errorf("looking: %w", answer)
			r.step()
			if len(r.chain.audits) != 2 || r.chain.receipts[0].Device != 2 || len(r.network.missing) == 0 {
				t.Fatalf("audits %v, missing %v", r.chain.audits, r.network.missing)
			}
			r.pass((answerSeconds - 1) * time.Second)
			if len(r.chain.faults) != 0 {
				t.Fatal("closed before the deadline")
			}
			r.pass(2 * time.Second)
			if len(r.chain.faults) != 2 || r.sampler.Status().Caught != 2 || len(r.chain.audits) != 0 {
				t.Fatalf("faults %v, status %+v", r.chain.faults, r.sampler.Status())
			}
		})
	}
}

func TestNothingCommittedIsNothingIncluded(t *testing.T) {
	r := newRig(t)
	r.chain.nobody = true
	for device := uint64(1); device <= 3; device++ {
		r.network.answer[device] = wire.ErrNotFound
	}
	r.step()
	if len(r.chain.audits) != 2 {
		t.Fatalf("%d audits, want the most of an epoch", len(r.chain.audits))
	}
}

// A node that is away for a while is not taken to the chain; one that stays away is, unless it seems to be
// this gateway that reaches nobody.
func TestUnreachableNodes(t *testing.T) {
	r := newRig(t)
	away := errors.New("connection refused")
	r.network.answer[1] = away
	r.step()
	r.network.answer[1] = nil
	r.pass(15 * time.Second)
	if s := r.sampler.Status(); s.Shown != 8 || s.Denied != 0 {
		t.Fatalf("status %+v", s)
	}
	r = newRig(t)
	r.network.answer[1] = away
	for range 3 {
		r.step()
		r.chain.clock.Advance(30 * time.Second)
	}
	if r.step(); len(r.chain.audits) == 0 || len(r.network.missing) != 0 {
		t.Fatalf("audits %v, missing %v", r.chain.audits, r.network.missing)
	}
	r = newRig(t)
	for device := uint64(1); device <= 3; device++ {
		r.network.answer[device] = away
	}
	for range 4 {
		r.step()
		r.chain.clock.Advance(25 * time.Second)
	}
	if len(r.chain.audits) != 0 {
		t.Fatalf("audits %v, and nobody was reached", r.chain.audits)
	}
}

// A node that answers on chain what it did not show off chain costs the deposit each time: it is taken
// there less and less often.
func TestAnswersOnChainMakePatient(t *testing.T) {
	r := newRig(t)
	r.network.answer[2] = wire.ErrNotFound
	opened := 0
	for range 40 {
		r.step()
		opened += len(r.chain.audits)
		clear(r.chain.audits) // all are answered
		r.chain.clock.Advance(100 * time.Second)
	}
	if opened == 0 || opened > 20 {
		t.Errorf("%d audits in 40 epochs", opened)
	}
	if s := r.sampler.Status(); s.Caught != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestDeletedUnsettledAndExpiredPiecesAreNotAskedFor(t *testing.T) {
	r := newRig(t)
	for n := range 10 {
		r.network.gone[metabase.SegmentID{byte(n)}] = true
	}
	late := receipt(9, 1, start.Unix()-300) // issued in epoch 7, settled in epoch 11
	r.sampler.Book.Add(metabase.SegmentID{99}, 0, late)
	r.step()
	if len(r.network.asked) != 0 {
		t.Fatalf("asked for %v", r.network.asked)
	}
	r.pass(100 * time.Second)
	if len(r.network.asked) != 1 || r.network.asked[0].ID != late.ID {
		t.Fatalf("asked for %v", r.network.asked)
	}
	for range 10 {
		r.pass(100 * time.Second)
	}
	if devices := r.sampler.Book.Devices(); len(devices) != 1 {
		t.Errorf("receipts of deleted pieces are kept of %v", devices)
	}
}
