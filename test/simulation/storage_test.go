package simulation

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/x/storage"
)

var storageOperations = []operation{
	{"storage: commit snapshot", 1, func(h *history) (move, bool) {
		by := h.person()
		version := uint64(1)
		for _, s := range h.state.storage.Snapshots {
			if s.Renter == by.text {
				version = s.Version + 1
			}
		}
		return say1(by, &storagev1.MsgCommitSnapshot{Renter: by.text, Version: version, Root: make([]byte, 32), Pointer: []byte("somewhere")})
	}},
	{"storage: commit tree", 12, (*history).commitTree},
	{"storage: prove", 24, (*history).prove},
	{"storage: report fault", 5, func(h *history) (move, bool) {
		// Whom somebody saw miss a challenge.
		type missed struct{ device, epoch uint64 }
		answered := map[missed]bool{}
		for _, p := range h.state.storage.Possession.Proofs {
			answered[missed{p.Device, p.Epoch}] = true
		}
		var all []missed
		for _, s := range h.state.storage.Possession.Standings {
			for epoch := max(h.state.epoch.Number, 3) - 3; epoch < h.state.epoch.Number; epoch++ {
				if m := (missed{s.Device, epoch}); !answered[m] || h.random.IntN(20) == 0 {
					all = append(all, m)
				}
			}
		}
		m, some := pick(h, all)
		by := h.person()
		return move{by: by, messages: msgs(&storagev1.MsgReportFault{Reporter: by.text, Device: m.device, Epoch: m.epoch})}, some
	}},
	{"storage: audit inclusion", 4, func(h *history) (move, bool) {
		l, i, some := h.item()
		d := h.deviceAt(i.Device)
		key := h.devices[string(d.Pubkey.Key)]
		if !some || key == nil {
			return move{}, false
		}
		p := pieceOf(i, h.random.IntN(pieces))
		receipt := piece.SignReceipt(key, piece.Receipt{
			ChainID: chainID, Lease: i.Lease, Device: i.Device, ID: p.id, Root: piece.RootOf(p.data), Size: uint32(len(p.data)), Expiry: forever, IssuedAt: l.OpenedAt,
		})
		by := h.mostly(l.Consumer)
		return say1(by, &storagev1.MsgAuditInclusion{Opener: by.text, Receipt: h.bytesOf(receipt)})
	}},
	{"storage: prove inclusion", 6, (*history).proveInclusion},
	{"storage: escalate", 4, func(h *history) (move, bool) {
		a, some := pick(h, h.state.storage.Possession.Standings)
		b, _ := pick(h, h.state.storage.Possession.Standings)
		by := h.mostly(h.deviceAt(a.Device).Operator)
		return move{by: by, messages: msgs(&storagev1.MsgEscalate{
			Operator: by.text, Challenger: a.Device, Device: b.Device, Epoch: h.state.epoch.Number, Index: uint32(h.random.IntN(challenge.PeerPositions)),
		})}, some
	}},
	{"storage: prove position", 6, (*history).provePosition},
	{"storage: close audit", 2, func(h *history) (move, bool) {
		a, some := pick(h, where(h, h.state.storage.Possession.Audits, func(a storagev1.Audit) bool { return a.Deadline < h.state.now }))
		by := h.person()
		return move{by: by, messages: msgs(&storagev1.MsgCloseAudit{Sender: by.text, Audit: a.Id})}, some
	}},
}

const (
	pieces  = 3 // of a lease item
	forever = 1 << 40
)

// onePiece is a piece of an item, the same whenever it is asked for.
type onePiece struct {
	id   piece.ID
	data []byte
}

func pieceOf(i marketv1.LeaseItem, n int) onePiece {
	seed := keyOf(string(rune(n)) + "piece").Seed()
	random := rand.New(rand.NewChaCha8([32]byte(seed)))
	data := make([]byte, 300+random.IntN(5000))
	for at := range data {
		data[at] = byte(i.Lease*31 + i.Device*7 + uint64(at*(n+1)))
	}
	return onePiece{id: piece.ID{byte(i.Lease), byte(i.Lease >> 8), byte(i.Device), byte(n)}, data: data}
}

// holding is what a device committed to.
type holding struct {
	tree *merkle.Tree
	data map[piece.ID][]byte // by leaf
}

// hold builds the tree over a device's pieces of all items that run.
func (h *history) hold(device uint64) *holding {
	o := &holding{data: make(map[piece.ID][]byte)}
	var leaves []merkle.Leaf
	for _, i := range h.state.market.Items {
		if i.Device != device || i.State != marketv1.ItemState_ITEM_STATE_OPEN {
			continue
		}
		for n := range pieces {
			p := pieceOf(i, n)
			leaf, err := challenge.NewLeaf(i.Lease, p.id, piece.RootOf(p.data), uint64(len(p.data)), forever)
			require.NoError(h.tb, err)
			leaves = append(leaves, leaf)
			o.data[leaf.ID] = p.data
		}
	}
	slices.SortFunc(leaves, func(a, b merkle.Leaf) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	var err error
	o.tree, err = merkle.Build(leaves)
	require.NoError(h.tb, err)
	return o
}

func (h *history) commitTree() (move, bool) {
	i, some := pick(h, h.state.market.Items)
	if !some {
		return move{}, false
	}
	version := uint64(1)
	for _, s := range h.state.storage.Possession.Standings {
		if s.Device == i.Device {
			version = s.Version + 1
		}
	}
	held := h.hold(i.Device)
	root := held.tree.Root()
	by := h.mostly(h.deviceAt(i.Device).Operator)
	m := &storagev1.MsgCommitTree{Operator: by.text, Device: i.Device, Version: version, Root: root.Hash[:], Total: root.Sum}
	return move{by: by, messages: msgs(m), then: func(r *abci.ExecTxResult) {
		if r.Code == 0 {
			h.trees[string(root.Hash[:])] = held
		}
	}}, true
}

// proof shows the chunk at a position of a tree; nil for a tree that nobody has.
func (h *history) proof(root []byte, x uint64) []byte {
	held := h.trees[string(root)]
	if held == nil {
		return nil
	}
	path, chunk, err := held.tree.ProveAt(x)
	require.NoError(h.tb, err)
	p, err := challenge.Prove(path, held.data[path.Leaf.ID], chunk)
	require.NoError(h.tb, err)
	return h.bytesOf(p)
}

func (h *history) prove() (move, bool) {
	standing, some := pick(h, h.state.storage.Possession.Standings)
	if !some {
		return move{}, false
	}
	asked, err := storage.NewQueryServer(h.app.Storage).Challenge(h.ctx(), &storagev1.QueryChallengeRequest{Device: standing.Device})
	if err != nil || !asked.Challenge.Challenged || asked.Challenge.Proof != nil && !h.rarely() || asked.Challenge.Commitment == nil {
		return move{}, false
	}
	by := h.mostly(h.deviceAt(standing.Device).Operator)
	m := &storagev1.MsgProve{Operator: by.text, Device: standing.Device, Epoch: asked.Challenge.Epoch}
	for _, x := range asked.Challenge.Positions {
		m.Proofs = append(m.Proofs, h.proof(asked.Challenge.Commitment.Root, x))
	}
	if h.rarely() { // another's, or the same twice
		m.Proofs[0] = m.Proofs[len(m.Proofs)-1]
	}
	return say1(by, m)
}

func (h *history) audit(kind storagev1.AuditKind) (storagev1.Audit, bool) {
	return pick(h, where(h, h.state.storage.Possession.Audits, func(a storagev1.Audit) bool { return a.Kind == kind && a.Deadline >= h.state.now }))
}

func (h *history) proveInclusion() (move, bool) {
	a, some := h.audit(storagev1.AuditKind_AUDIT_KIND_INCLUSION)
	if !some || len(a.Piece) != 32 {
		return move{}, false
	}
	by := h.mostly(h.deviceAt(a.Device).Operator)
	m := &storagev1.MsgProveInclusion{Operator: by.text, Audit: a.Id}
	for _, epoch := range []uint64{a.Epoch, h.state.epoch.Number} {
		c, err := h.app.Storage.InForce(h.ctx(), a.Device, epoch)
		if errors.Is(err, storage.ErrNoCommitment) {
			continue
		}
		require.NoError(h.tb, err)
		held := h.trees[string(c.Root)]
		if held == nil {
			continue
		}
		for n := range held.tree.Len() {
			if held.tree.Leaf(n).ID == piece.ID(a.Piece) {
				p, err := held.tree.Prove(n)
				require.NoError(h.tb, err)
				m.Proof = h.bytesOf(p)
				return say1(by, m)
			}
		}
	}
	// It is not in the tree; at times the renter has let it go.
	for n := range pieces {
		for _, i := range h.state.market.Items {
			p := pieceOf(i, n)
			if i.Lease == a.Lease && i.Device == a.Device && challenge.LeafID(i.Lease, p.id) == piece.ID(a.Piece) {
				m.Release = h.bytesOf(piece.SignRelease(session(h.lease(i.Lease).Consumer), piece.Release{
					ChainID: chainID, Lease: i.Lease, Device: i.Device, ID: p.id, Until: h.state.now,
				}))
				return move{by: by, messages: msgs(m)}, h.random.IntN(3) == 0
			}
		}
	}
	return move{}, false
}

func (h *history) provePosition() (move, bool) {
	a, some := h.audit(storagev1.AuditKind_AUDIT_KIND_ESCALATION)
	if !some {
		return move{}, false
	}
	c, err := h.app.Storage.InForce(h.ctx(), a.Device, a.Epoch)
	if err != nil {
		return move{}, false
	}
	by := h.mostly(h.deviceAt(a.Device).Operator)
	if a.Position >= c.Total {
		return move{}, false
	}
	return say1(by, &storagev1.MsgProvePosition{Operator: by.text, Audit: a.Id, Proof: h.proof(c.Root, a.Position)})
}
