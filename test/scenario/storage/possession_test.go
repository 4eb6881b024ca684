package storage_test

import (
	"context"
	"crypto/ed25519"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/daemon/storagenode"
	"github.com/cairn-network/cairn/daemon/storagenode/nodetest"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// patience bounds every wait; what is waited for takes milliseconds on a quiet machine.
const patience = 2 * time.Minute

// network is storage nodes that prove what they hold to a chain that the test plays, and watch each other
// over the wire.
type network struct {
	*testing.T
	chain     *nodetest.Chain
	storage   *nodetest.Possession
	providers []*nodetest.Provider
	paths     map[uint64]string
	receipts  map[piece.ID]piece.SignedReceipt // of what is stored
	drawn     *rand.Rand
}

func newNetwork(t *testing.T, nodes int) *network {
	n := &network{
		T: t, chain: nodetest.NewChain(clock.System{}), paths: map[uint64]string{},
		receipts: map[piece.ID]piece.SignedReceipt{}, drawn: rand.New(rand.NewPCG(1, 2)),
	}
	n.storage = nodetest.NewPossession(n.chain)
	devices := make([]uint64, nodes)
	for i := range devices {
		devices[i] = uint64(i + 1)
	}
	n.chain.Open(lease, session.Public().(ed25519.PublicKey), nodetest.Terms{Units: 1 << 30}, devices...)
	for _, d := range devices {
		n.paths[d] = t.TempDir()
		n.providers = append(n.providers, nodetest.Start(t, n.chain, d, func(deps *storagenode.Deps) {
			deps.Config.Path, deps.Config.Poll = n.paths[d], 100*time.Millisecond
			deps.Possession = n.storage.Of(d)
		}))
	}
	return n
}

// client speaks for the renter to a node.
func (n *network) client(p *nodetest.Provider) *wire.Conn {
	n.Helper()
	c, err := p.Dial(n.Context(), lease, session, wire.Options{})
	require.NoError(n, err)
	n.Cleanup(func() { c.Close() })
	return c
}

// put stores pieces of all sizes on a node.
func (n *network) put(p *nodetest.Provider, pieces int) {
	n.Helper()
	c := n.client(p)
	for range pieces {
		var id piece.ID
		for i := range id {
			id[i] = byte(n.drawn.Uint32())
		}
		data := make([]byte, 1+n.drawn.IntN(40_000))
		for i := range data {
			data[i] = byte(n.drawn.Uint32())
		}
		receipt, err := c.PutBytes(n.Context(), id, 0, nil, data)
		require.NoError(n, err)
		n.receipts[id] = receipt
	}
}

// some is the receipt of one of the pieces on a node.
func (n *network) some(device uint64) piece.SignedReceipt {
	n.Helper()
	for _, r := range n.receipts {
		if r.Device == device {
			return r
		}
	}
	n.Fatalf("nothing is stored on device %d", device)
	return piece.SignedReceipt{}
}

func (n *network) await(what string, happened func() bool) {
	n.Helper()
	require.Eventually(n, happened, patience, 5*time.Millisecond, what)
}

// epoch turns the epoch and waits until every device but those has proven what it holds.
func (n *network) epoch(but ...uint64) {
	n.Helper()
	n.storage.NextEpoch()
	n.await("challenges are answered", func() bool {
		for _, device := range n.storage.Due() {
			if len(but) == 0 || but[0] != device {
				return false
			}
		}
		return true
	})
}

// settle turns epochs until the trees in force hold exactly what the renter stored.
func (n *network) settle() {
	n.Helper()
	want := make(map[uint64]uint64)
	for _, r := range n.receipts {
		want[r.Device] += piece.Chunks(uint64(r.Size))
	}
	for range 20 {
		n.epoch()
		settled := true
		for _, p := range n.providers {
			settled = settled && n.root(p.Device).Sum == want[p.Device]
		}
		if settled {
			return
		}
		// The next tree is committed once in an epoch, perhaps before the last piece was there.
		epoch := n.epochNow()
		n.await("nodes have seen the epoch", func() bool {
			for _, p := range n.providers {
				if s, err := p.Node.Status(); err != nil || s.Possession.Committed != epoch {
					return false
				}
			}
			return true
		})
	}
	n.Fatal("the trees never came to hold what was stored")
}

// committed waits until a device's latest commitment is as it should be.
func (n *network) committed(device uint64, may func(*storagev1.Commitment) bool) {
	n.Helper()
	n.await("the tree is committed", func() bool {
		c, err := n.storage.Of(device).Commitment(n.Context(), device)
		return err == nil && may(&c)
	})
}

func (n *network) asked() (asked, escalated uint64) {
	for _, p := range n.providers {
		s, err := p.Node.Status()
		require.NoError(n, err)
		asked += s.Possession.Asked
		escalated += s.Possession.Escalated
	}
	return asked, escalated
}

// root is that of a device's tree in force.
func (n *network) root(device uint64) (root merkle.Node) {
	if c := n.storage.InForce(device); c != nil {
		root.Sum = c.Total
		copy(root.Hash[:], c.Root)
	}
	return root
}

// TestHonestNodesAreNeverAtFault: whatever renters put and delete, whoever asks off chain or on it, and
// however often nodes stop and start in between: every question has its answer.
func TestHonestNodesAreNeverAtFault(t *testing.T) {
	n := newNetwork(t, 3)
	for _, p := range n.providers {
		n.put(p, 20)
	}
	n.settle()
	for round := range 6 {
		for _, p := range n.providers {
			kept, gone := n.some(p.Device), piece.SignedReceipt{}
			audited := n.storage.Audit(t, kept)
			// The renter deletes a piece, and asks for it all the same, as whoever has the receipt may.
			for id, r := range n.receipts {
				if r.Device == p.Device && id != kept.ID {
					gone = r
					break
				}
			}
			c := n.client(p)
			require.NoError(t, n.included(p, gone))
			require.NoError(t, c.Delete(t.Context(), []piece.ID{gone.ID}))
			delete(n.receipts, gone.ID)
			_, err := c.Stat(t.Context(), gone.ID)
			require.ErrorIs(t, err, wire.ErrNotFound)
			again := n.storage.Audit(t, gone)
			if round%2 == 1 {
				p.Stop()
				p.Restart()
			}
			n.await("audits are answered", func() bool { return n.storage.Answered(audited) == "proof" && n.storage.Answered(again) != "" })
			n.put(p, 2)
			// Once no tree has it, the release alone answers.
			n.Cleanup(func() {
				if t.Failed() {
					t.Logf("round %d, device %d: audits %d and %d", round, p.Device, audited, again)
				}
			})
		}
		n.settle()
	}
	var last []piece.SignedReceipt
	for _, p := range n.providers {
		gone := n.some(p.Device)
		require.NoError(t, n.client(p).Delete(t.Context(), []piece.ID{gone.ID}))
		delete(n.receipts, gone.ID)
		last = append(last, gone)
	}
	n.settle()
	for _, r := range last {
		id := n.storage.Audit(t, r)
		n.await("a release answers", func() bool { return n.storage.Answered(id) == "release" })
	}
	n.await("peers have been asked", func() bool { asked, _ := n.asked(); return asked > 0 })
	require.Empty(t, n.storage.Faults())
}

// included asks a node, off chain, to show a piece in its tree. A node that has not heard of the epoch yet
// is asked again.
func (n *network) included(p *nodetest.Provider, r piece.SignedReceipt) (err error) {
	n.Helper()
	c := n.client(p)
	n.await("the node has heard of the epoch", func() bool {
		err = c.Inclusion(n.Context(), r.Receipt, n.epochNow(), n.root(p.Device))
		return wire.CodeOf(err) != wire.ErrRange
	})
	return err
}

func (n *network) epochNow() uint64 {
	e, err := n.storage.Of(1).CurrentEpoch(n.Context())
	require.NoError(n, err)
	return e.Number
}

// TestLostDataIsFoundByPeersAndByReceipts: a node whose files are emptied is caught three ways: it misses
// the chain's challenge, shows nothing to a drawn peer, who takes it to the chain, and cannot show a piece
// that it signed for once it leaves it out of its tree.
func TestLostDataIsFoundByPeersAndByReceipts(t *testing.T) {
	n := newNetwork(t, 3)
	for _, p := range n.providers {
		n.put(p, 20)
	}
	n.settle()
	victim := n.providers[0]
	lost := n.some(victim.Device)
	erased := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(n.paths[victim.Device], "logs"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			erased++
			err = os.Truncate(path, 0)
		}
		return err
	}))
	require.Positive(t, erased)
	n.epoch(victim.Device)
	n.await("a peer takes it to the chain", func() bool { return len(n.storage.Open()) > 0 })
	for _, a := range n.storage.Open() {
		require.Equal(t, victim.Device, a.Device)
		n.storage.Expire(a.Id)
	}
	n.epoch(victim.Device) // in which whoever asked looks after what it asked
	n.awaitFault(victim.Device, storagev1.FaultKind_FAULT_KIND_ESCALATION)
	n.awaitFault(victim.Device, storagev1.FaultKind_FAULT_KIND_CHALLENGE)

	// It comes to itself: what it cannot read it leaves out, and passes again. The receipt remains.
	victim.Stop()
	victim.Restart()
	before := n.storage.InForce(victim.Device).Version
	n.epoch(victim.Device)
	n.committed(victim.Device, func(c *storagev1.Commitment) bool { return c.Version > before && c.Total == 0 })
	n.epoch()
	require.ErrorIs(t, n.included(victim, lost), wire.ErrNotFound)
	id := n.storage.Audit(t, lost)
	n.epoch()
	require.Empty(t, n.storage.Answered(id))
	n.storage.Expire(id)
	_, err := n.storage.Of(2).CloseAudit(context.Background(), id)
	require.NoError(t, err)
	n.awaitFault(victim.Device, storagev1.FaultKind_FAULT_KIND_INCLUSION)
	for _, f := range n.storage.Faults() {
		require.Equal(t, victim.Device, f.Device, "an honest node is at fault: %s %d", f.Kind, f.Subject)
	}
}

func (n *network) awaitFault(device uint64, kind storagev1.FaultKind) {
	n.Helper()
	n.await(kind.String(), func() bool {
		for _, f := range n.storage.Faults() {
			if f.Device == device && f.Kind == kind {
				return true
			}
		}
		return false
	})
}
