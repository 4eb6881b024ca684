package nodetest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/daemon/storagenode"
)

// Possession plays what x/storage does with commitments, proofs and audits. Every device is challenged in
// every epoch, and drawn to ask every other. Epochs turn, and deadlines pass, when the test says so. Safe
// for concurrent use.
type Possession struct {
	chain *Chain

	mu          sync.Mutex
	epoch       uint64
	commitments map[uint64][]storagev1.Commitment // by device, ascending
	proofs      map[[2]uint64]bool                // device, epoch
	audits      map[uint64]storagev1.Audit
	faults      []storagev1.Fault
	answered    map[uint64]string // audits, by whether a proof or a release answered
	next        uint64
}

// NewPossession begins with epoch 1.
func NewPossession(chain *Chain) *Possession {
	return &Possession{
		chain: chain, epoch: 1, commitments: map[uint64][]storagev1.Commitment{}, proofs: map[[2]uint64]bool{},
		audits: map[uint64]storagev1.Audit{}, answered: map[uint64]string{},
	}
}

// Of is the chain as a device's operator uses it.
func (p *Possession) Of(device uint64) storagenode.PossessionChain { return &operator{p, device} }

// NextEpoch turns the epoch.
func (p *Possession) NextEpoch() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	return p.epoch
}

// InForce is a device's commitment in the running epoch, nil for none.
func (p *Possession) InForce(device uint64) *storagev1.Commitment {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inForce(device, p.epoch)
}

func (p *Possession) inForce(device, epoch uint64) *storagev1.Commitment {
	var found *storagev1.Commitment
	for _, c := range p.commitments[device] {
		if c.Since <= epoch {
			found = &c
		}
	}
	return found
}

// Due lists the devices that have not answered the running epoch's challenge.
func (p *Possession) Due() []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var due []uint64
	for device := range p.commitments {
		if c := p.inForce(device, p.epoch); c != nil && c.Total > 0 && !p.proofs[[2]uint64{device, p.epoch}] {
			due = append(due, device)
		}
	}
	slices.Sort(due)
	return due
}

// Faults are those recorded so far.
func (p *Possession) Faults() []storagev1.Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.faults)
}

// Open lists the audits that wait.
func (p *Possession) Open() []storagev1.Audit {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []storagev1.Audit
	for _, a := range p.audits {
		list = append(list, a)
	}
	return list
}

// Expire lets an audit's deadline pass.
func (p *Possession) Expire(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.audits[id]
	a.Deadline = p.chain.Clock.Now().Unix() - 1
	p.audits[id] = a
}

// Audit opens an inclusion audit of a receipt's piece.
func (p *Possession) Audit(t testing.TB, r piece.SignedReceipt) uint64 {
	t.Helper()
	leaf, err := challenge.NewLeaf(r.Lease, r.ID, r.Root, uint64(r.Size), r.Expiry)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open(storagev1.Audit{
		Kind: storagev1.AuditKind_AUDIT_KIND_INCLUSION, Device: r.Device, Opener: "cairn1renter", Epoch: p.epoch,
		Lease: r.Lease, Piece: leaf.ID[:], PieceRoot: leaf.Root[:], Chunks: leaf.Chunks, Expiry: leaf.Expiry, IssuedAt: r.IssuedAt,
	})
}

func (p *Possession) open(a storagev1.Audit) uint64 {
	p.next++
	a.Id, a.Deadline = p.next, 1<<40
	p.audits[a.Id] = a
	return a.Id
}

// Answered says with what an audit was answered: "proof", "release", or nothing yet.
func (p *Possession) Answered(id uint64) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answered[id]
}

func beacon(epoch uint64) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, epoch))
}

func nodeOf(c *storagev1.Commitment) (n merkle.Node) {
	if c != nil {
		n.Sum = c.Total
		copy(n.Hash[:], c.Root)
	}
	return n
}

// operator is the chain to one device.
type operator struct {
	*Possession
	device uint64
}

var errRefused = errors.New("refused")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errRefused}, args...)...)
}

func (o *operator) Address() string { return fmt.Sprintf("cairn1operator%d", o.device) }

func (o *operator) CurrentEpoch(context.Context) (auditv1.Epoch, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return auditv1.Epoch{Number: o.epoch}, nil
}

func (o *operator) StorageChallenge(_ context.Context, device, epoch uint64) (storagev1.Challenge, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asks(device, epoch), nil
}

func (o *operator) asks(device, epoch uint64) storagev1.Challenge {
	b := beacon(epoch)
	c := storagev1.Challenge{Device: device, Epoch: epoch, Beacon: b[:], Commitment: o.inForce(device, epoch), Terms: storagev1.Terms{PeerOdds: 1}}
	if c.Commitment != nil && c.Commitment.Total > 0 {
		c.Challenged = true
		c.Positions = challenge.New(b, epoch, device).Positions(4, c.Commitment.Total)
	}
	if o.proofs[[2]uint64{device, epoch}] {
		c.Proof = &storagev1.Proof{}
	}
	return c
}

func (o *operator) Commitment(_ context.Context, device uint64) (storagev1.Commitment, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.commitments[device]
	if len(all) == 0 {
		return storagev1.Commitment{}, chainclient.ErrNotFound
	}
	return all[len(all)-1], nil
}

func (o *operator) Audits(_ context.Context, device uint64) ([]storagev1.Audit, error) {
	return slices.DeleteFunc(o.Open(), func(a storagev1.Audit) bool { return device != 0 && a.Device != device }), nil
}

func (o *operator) Standings(context.Context) ([]storagev1.Standing, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []storagev1.Standing
	for device := range o.commitments {
		list = append(list, storagev1.Standing{Device: device})
	}
	return list, nil
}

func (o *operator) CommitTree(_ context.Context, m *storagev1.MsgCommitTree) (r storagev1.MsgCommitTreeResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.commitments[m.Device]
	if m.Device != o.device || m.Version != uint64(len(all))+1 {
		return r, refuse("version %d of device %d", m.Version, m.Device)
	}
	r.Since = o.epoch + 1
	o.commitments[m.Device] = append(all, storagev1.Commitment{Device: m.Device, Version: m.Version, Root: m.Root, Total: m.Total, Since: r.Since})
	return r, nil
}

func (o *operator) Prove(_ context.Context, m *storagev1.MsgProve) (r storagev1.MsgProveResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.asks(m.Device, m.Epoch)
	if m.Device != o.device || m.Epoch != o.epoch || !c.Challenged || c.Proof != nil || len(m.Proofs) != len(c.Positions) {
		return r, refuse("proof of device %d in epoch %d", m.Device, m.Epoch)
	}
	for i, x := range c.Positions {
		if err := verify(m.Proofs[i], nodeOf(c.Commitment), x); err != nil {
			return r, err
		}
	}
	o.proofs[[2]uint64{m.Device, m.Epoch}] = true
	return r, nil
}

func verify(raw []byte, root merkle.Node, x uint64) error {
	var p challenge.Proof
	return errors.Join(p.UnmarshalBinary(raw), p.Verify(root, x))
}

// answerable gives an open audit of this device.
func (o *operator) answerable(id uint64, kind storagev1.AuditKind) (storagev1.Audit, error) {
	a, there := o.audits[id]
	if !there || a.Kind != kind || a.Device != o.device || a.Deadline < o.chain.Clock.Now().Unix() {
		return a, refuse("audit %d", id)
	}
	return a, nil
}

func (o *operator) ProveInclusion(_ context.Context, m *storagev1.MsgProveInclusion) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	a, err := o.answerable(m.Audit, storagev1.AuditKind_AUDIT_KIND_INCLUSION)
	if err != nil {
		return err
	}
	by := "release"
	if len(m.Release) > 0 {
		var r piece.SignedRelease
		key := ed25519.PublicKey(o.chain.session(a.Lease))
		if err := errors.Join(r.UnmarshalBinary(m.Release), r.Verify(key)); err != nil {
			return err
		}
		if r.Device != a.Device || challenge.LeafID(r.Lease, r.ID) != piece.ID(a.Piece) || !r.Covers(a.IssuedAt) {
			return refuse("release of piece %s until %d", r.ID, r.Until)
		}
	} else {
		by = "proof"
		var p merkle.Proof
		if err := p.UnmarshalBinary(m.Proof); err != nil {
			return err
		}
		want := merkle.Leaf{ID: piece.ID(a.Piece), Root: piece.Root(a.PieceRoot), Chunks: a.Chunks, Expiry: a.Expiry}
		if err := challenge.VerifyInclusion(p, nodeOf(o.inForce(a.Device, o.epoch)), want); err != nil {
			if challenge.VerifyInclusion(p, nodeOf(o.inForce(a.Device, a.Epoch)), want) != nil {
				return err
			}
		}
	}
	o.answered[a.Id] = by
	delete(o.audits, a.Id)
	return nil
}

func (o *operator) ProvePosition(_ context.Context, m *storagev1.MsgProvePosition) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	a, err := o.answerable(m.Audit, storagev1.AuditKind_AUDIT_KIND_ESCALATION)
	if err == nil {
		err = verify(m.Proof, nodeOf(o.inForce(a.Device, a.Epoch)), a.Position)
	}
	if err != nil {
		return err
	}
	o.answered[a.Id] = "proof"
	delete(o.audits, a.Id)
	return nil
}

func (o *operator) Escalate(_ context.Context, m *storagev1.MsgEscalate) (r storagev1.MsgEscalateResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.inForce(m.Device, m.Epoch)
	if m.Challenger != o.device || m.Epoch != o.epoch || c == nil || o.inForce(o.device, m.Epoch) == nil || m.Index >= challenge.PeerPositions {
		return r, &chainclient.Error{Code: chainclient.ErrNotDrawn}
	}
	for _, a := range o.audits {
		if a.Device == m.Device && a.Kind == storagev1.AuditKind_AUDIT_KIND_ESCALATION {
			return r, &chainclient.Error{Code: chainclient.ErrTooManyAudits}
		}
	}
	draw := challenge.NewPeer(beacon(m.Epoch), m.Epoch, m.Challenger, m.Device)
	r.Audit = o.open(storagev1.Audit{
		Kind: storagev1.AuditKind_AUDIT_KIND_ESCALATION, Device: m.Device, Opener: o.Address(), Epoch: m.Epoch,
		Position: draw.Position(m.Index, c.Total), Challenger: m.Challenger,
	})
	return r, nil
}

func (o *operator) CloseAudit(_ context.Context, id uint64) (r storagev1.MsgCloseAuditResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a, there := o.audits[id]
	switch {
	case !there:
		return r, &chainclient.Error{Code: chainclient.ErrNoAudit}
	case a.Deadline >= o.chain.Clock.Now().Unix():
		return r, &chainclient.Error{Code: chainclient.ErrAuditDeadline}
	}
	delete(o.audits, id)
	kind := storagev1.FaultKind_FAULT_KIND_INCLUSION
	if a.Kind == storagev1.AuditKind_AUDIT_KIND_ESCALATION {
		kind = storagev1.FaultKind_FAULT_KIND_ESCALATION
	}
	o.faults = append(o.faults, storagev1.Fault{Device: a.Device, Kind: kind, Subject: id, Reporter: o.Address()})
	return r, nil
}

func (o *operator) Faults(_ context.Context, device uint64) ([]storagev1.Fault, error) {
	return slices.DeleteFunc(o.Possession.Faults(), func(f storagev1.Fault) bool { return device != 0 && f.Device != device }), nil
}

func (o *operator) ReportFault(_ context.Context, device, epoch uint64) (r storagev1.MsgReportFaultResponse, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := storagev1.Fault{Device: device, Kind: storagev1.FaultKind_FAULT_KIND_CHALLENGE, Subject: epoch, Reporter: o.Address()}
	known := slices.ContainsFunc(o.faults, func(g storagev1.Fault) bool {
		return g.Device == f.Device && g.Kind == f.Kind && g.Subject == f.Subject
	})
	switch c := o.asks(device, epoch); {
	case known:
		return r, &chainclient.Error{Code: chainclient.ErrFaultReported}
	case epoch >= o.epoch, !c.Challenged, c.Proof != nil:
		return r, &chainclient.Error{Code: chainclient.ErrNoFault}
	}
	o.faults = append(o.faults, f)
	return r, nil
}
