package renter_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/core/segment"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter/rentertest"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// object is one stored stream.
type object struct {
	req  renter.StoreRequest
	data []byte
	segs []metabase.Segment
}

func request(class string) renter.StoreRequest {
	req := renter.StoreRequest{Bucket: "photos", Class: class}
	rand.Read(req.ObjectID[:])
	key, err := seal.NewDataKey(rand.Reader, seal.AES256GCM)
	if err != nil {
		panic(err)
	}
	req.Key = key
	return req
}

func content(n int, seed uint64) []byte {
	var s [32]byte
	s[0] = byte(seed)
	b := make([]byte, n)
	mathrand.NewChaCha8(s).Read(b)
	return b
}

func store(t *testing.T, n *rentertest.Network, class string, size int) object {
	t.Helper()
	o := object{req: request(class), data: content(size, uint64(size))}
	segs, got, err := n.Engine.Store(t.Context(), o.req, bytes.NewReader(o.data))
	require.NoError(t, err)
	require.Equal(t, int64(size), got)
	o.segs = segs
	return o
}

func fetch(ctx context.Context, n *rentertest.Network, o object, off, length int) ([]byte, error) {
	var out bytes.Buffer
	err := n.Engine.Fetch(ctx, o.req.Key, o.req.ObjectID, o.segs, int64(off), int64(length), &out)
	return out.Bytes(), err
}

func requireFetch(t *testing.T, n *rentertest.Network, o object, off, length int) {
	t.Helper()
	got, err := fetch(t.Context(), n, o, off, length)
	require.NoError(t, err)
	require.True(t, bytes.Equal(o.data[off:off+length], got), "bytes %d+%d of %d differ", off, length, len(o.data))
}

func TestStoreAndFetchAllSizes(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{Nodes: 24})
	for _, class := range []string{"", "dev", "small", "small-net"} {
		c := erasure.Small
		if class != "" {
			c, _ = erasure.ClassByName(class)
		}
		full := segment.PlaintextSize(c)
		stripe := c.K * (seal.RecordSize - seal.TagSize)
		for _, size := range []int{0, 1, 4 << 10, 16304, 16305, 16368, stripe - 64, stripe - 63, 3*stripe + 5, 256 << 10, 256<<10 + 1, full - 1, full, full + 1, 2*full + 12345} {
			t.Run(fmt.Sprintf("%s/%d", class, size), func(t *testing.T) {
				o := store(t, n, class, size)
				checkSegments(t, n, o)
				requireFetch(t, n, o, 0, size)
				if size > 0 {
					requireFetch(t, n, o, size-1, 1)
					requireFetch(t, n, o, size/2, 0)
					requireFetch(t, n, o, size/3, size/2)
				}
				_, err := fetch(t.Context(), n, o, size, 1)
				require.ErrorIs(t, err, renter.ErrRange)
			})
		}
	}
}

// checkSegments holds INV-STORE-1 and INV-STORE-2 against what the nodes hold.
func checkSegments(t *testing.T, n *rentertest.Network, o object) {
	t.Helper()
	total := 0
	for _, s := range o.segs {
		class, ok := erasure.ClassByName(s.Class)
		require.True(t, ok)
		require.Len(t, s.PieceRoots, class.Total)
		require.Equal(t, segment.Root(s.PieceRoots), s.Root)
		require.Len(t, s.Pieces, class.Optimal)
		require.Equal(t, "photos", s.Bucket)
		owners, indexes := make(map[string]bool), make(map[uint8]bool)
		for _, p := range s.Pieces {
			node := n.Node(p.Device)
			require.False(t, owners[node.Owner], "two pieces with %s", node.Owner)
			require.False(t, indexes[p.Index], "piece %d twice", p.Index)
			owners[node.Owner], indexes[p.Index] = true, true
			require.True(t, node.Holds(piece.DeriveID(rentertest.PieceSecret("photos"), s.ID, p.Index)))
		}
		total += int(s.PlainSize)
	}
	require.Equal(t, len(o.data), total)
}

func TestFetchRanges(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{})
	o := store(t, n, "dev", 9<<20)
	r := mathrand.New(mathrand.NewPCG(1, 2))
	for range 60 {
		off := r.IntN(len(o.data))
		length := min(len(o.data)-off, 1+r.IntN(1<<uint(1+r.IntN(23))))
		requireFetch(t, n, o, off, length)
	}
}

func TestStoreFailsWithItsReader(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{})
	broken := errors.New("client hung up")
	_, _, err := n.Engine.Store(t.Context(), request("dev"), io.MultiReader(bytes.NewReader(content(10<<20, 1)), iotestErr{broken}))
	require.ErrorIs(t, err, broken)
	// What was stored before is queued for deletion.
	require.NotEmpty(t, n.Trash.Segments())
	for _, s := range n.Trash.Segments() {
		require.NotEmpty(t, s.Pieces)
	}
}

type iotestErr struct{ err error }

func (r iotestErr) Read([]byte) (int, error) { return 0, r.err }

func TestFetchSurvivesDeadNodes(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{})
	o := store(t, n, "dev", 9<<20)
	// Optimal 8, K 4: any four nodes may die.
	for _, p := range o.segs[0].Pieces[:4] {
		n.Node(p.Device).Kill()
	}
	requireFetch(t, n, o, 0, len(o.data))
	requireFetch(t, n, o, 5<<20, 100)
	for _, p := range o.segs[0].Pieces[4:5] {
		n.Node(p.Device).Kill()
	}
	_, err := fetch(t.Context(), n, o, 0, len(o.data))
	require.ErrorIs(t, err, renter.ErrUnavailable)
}

func TestFetchFindsLiars(t *testing.T) {
	for _, fault := range []rentertest.Fault{{Corrupt: true}, {CorruptRanges: true}} {
		t.Run(fmt.Sprintf("%+v", fault), func(t *testing.T) {
			caught := make(map[metabase.Piece]bool)
			n := rentertest.New(t, rentertest.Options{Corrupt: func(_ metabase.SegmentID, p metabase.Piece) { caught[p] = true }})
			o := store(t, n, "dev", 5<<20)
			liars := make(map[uint64]bool)
			for _, p := range o.segs[0].Pieces {
				if p.Index < 2 {
					n.Node(p.Device).SetFault(fault)
					liars[p.Device] = true
				}
			}
			requireFetch(t, n, o, 1000, 40_000)
			require.NotEmpty(t, caught)
			for p := range caught {
				require.True(t, liars[p.Device], "device %d is honest", p.Device)
			}
			requireFetch(t, n, o, 0, len(o.data))
			for _, s := range n.Pool.Status() {
				if s.Bad > 0 {
					require.Equal(t, "distrusted after bad data", s.Excluded)
				}
			}
		})
	}
}

func TestFetchOfAForeignKeyBlamesNobody(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{})
	o := store(t, n, "dev", 100_000)
	other := request("dev")
	err := n.Engine.Fetch(t.Context(), other.Key, o.req.ObjectID, o.segs, 0, 100_000, io.Discard)
	require.ErrorIs(t, err, renter.ErrSegmentCorrupt)
	for _, s := range n.Pool.Status() {
		require.Zero(t, s.Bad)
	}
}

func TestStoreReplacesNodesThatFail(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{})
	store(t, n, "dev", 1000) // opens the lease
	n.Nodes[0].Kill()
	n.Nodes[1].SetFault(rentertest.Fault{Refuse: wire.ErrNoSpace})
	n.Nodes[2].SetFault(rentertest.Fault{FalseReceipts: true})
	n.Nodes[3].SetFault(rentertest.Fault{Refuse: wire.ErrInternal})
	for range 3 {
		o := store(t, n, "dev", 6<<20)
		checkSegments(t, n, o)
		requireFetch(t, n, o, 0, len(o.data))
		for _, s := range o.segs {
			for _, p := range s.Pieces {
				require.Greater(t, p.Device, uint64(4))
			}
		}
	}
	states := make(map[uint64]renter.NodeStatus)
	for _, s := range n.Pool.Status() {
		states[s.Device] = s
	}
	require.Equal(t, "offline", states[1].State)
	require.Equal(t, uint64(1), min(1, states[3].Bad), "a false receipt counts")
}

func TestStoreNamesWhoIsMissing(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{Nodes: 10})
	store(t, n, "dev", 1000)
	n.Nodes[0].Kill()
	n.Nodes[1].SetFault(rentertest.Fault{Refuse: wire.ErrNoSpace})
	n.Ledger.SetStanding(3, renter.StandingJailed)
	require.NoError(t, n.Leases.Step(t.Context()))
	_, _, err := n.Engine.Store(t.Context(), request("dev"), bytes.NewReader(content(100_000, 1)))
	require.ErrorIs(t, err, renter.ErrTooFewNodes)
	var shortage *renter.ShortageError
	require.ErrorAs(t, err, &shortage)
	require.Equal(t, 7, shortage.Found)
	require.Equal(t, 8, shortage.Needed)
	require.Equal(t, map[renter.Reason][]uint64{
		renter.ReasonOffline: {1}, renter.ReasonFull: {2}, renter.ReasonJailed: {3},
	}, shortage.Excluded)
	require.NotEmpty(t, n.Trash.Segments(), "what was stored is discarded")

	req := request("dev")
	req.Durability = renter.Repairable
	segs, _, err := n.Engine.Store(t.Context(), req, bytes.NewReader(content(100_000, 1)))
	require.ErrorIs(t, err, renter.ErrTooFewNodes, "Repair+2 is Optimal in the dev class")
	require.Empty(t, segs)
}

func TestStoreHedgesSlowNodes(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{})
	store(t, n, "dev", 1000)
	gate := make(chan struct{})
	defer close(gate)
	n.Nodes[0].SetFault(rentertest.Fault{HangPuts: gate})
	n.Nodes[1].SetFault(rentertest.Fault{HangPuts: gate})
	for range 4 {
		o := store(t, n, "dev", 5<<20)
		for _, s := range o.segs {
			for _, p := range s.Pieces {
				require.Greater(t, p.Device, uint64(2))
			}
		}
	}
}

func TestFetchHedgesSlowNodes(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{})
	o := store(t, n, "dev", 5<<20)
	gate := make(chan struct{})
	defer close(gate)
	for _, p := range o.segs[0].Pieces {
		if p.Index < 2 {
			n.Node(p.Device).SetFault(rentertest.Fault{HangGets: gate})
		}
	}
	requireFetch(t, n, o, 0, len(o.data))
	requireFetch(t, n, o, 10, 10)
}

func TestReadingIsPaid(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{})
	o := store(t, n, "dev", 20<<20)
	for range 3 {
		requireFetch(t, n, o, 0, len(o.data))
	}
	lease := n.Pool.Lease()
	for _, node := range n.Nodes {
		served, best := node.Served(lease.ID)
		require.Less(t, served-best.Units, node.Credit+1<<20, "device %d serves on credit for ever", node.Device)
		require.LessOrEqual(t, best.Units, served, "device %d was paid for more than it served", node.Device)
		want, err := rentertest.Metered.Cost(best.Units)
		require.NoError(t, err)
		require.Equal(t, want, best.Amount)
	}
}

func TestDebtsOutliveConnections(t *testing.T) {
	dir := t.TempDir()
	n := rentertest.New(t, rentertest.Options{Dir: dir})
	o := store(t, n, "dev", 4<<20)
	for i := range 12 { // each round leaves up to half a credit unpaid
		requireFetch(t, n, o, 0, len(o.data))
		if i%2 == 0 {
			for _, node := range n.Nodes {
				node.Kill()
				require.NoError(t, node.Start())
			}
			continue
		}
		require.NoError(t, n.Close())
		n = rentertest.New(t, rentertest.Options{Dir: dir, Ledger: n.Ledger})
		require.NoError(t, n.Leases.Step(t.Context()))
	}
}

func TestSmallObjectsFallBackWhenNodesDie(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{Nodes: 25})
	before := store(t, n, "", 10_000)
	require.Equal(t, "small", before.segs[0].Class)
	// The pool does not know yet that sixteen are gone: small needs ten nodes, eight are left.
	holds := map[uint64]bool{}
	for _, p := range before.segs[0].Pieces[2:] {
		holds[p.Device] = true
	}
	left := len(n.Nodes)
	for _, node := range n.Nodes {
		if left > 8 && !holds[node.Device] {
			node.Kill()
			left--
		}
	}
	require.Equal(t, 8, left)
	after := store(t, n, "", 10_000)
	require.Equal(t, "dev", after.segs[0].Class)
	checkSegments(t, n, after)
	requireFetch(t, n, after, 0, 10_000)
	requireFetch(t, n, before, 0, 10_000)
	again := store(t, n, "", 10_000)
	require.Equal(t, "dev", again.segs[0].Class)
	// Any four of the eight may go now.
	for _, p := range after.segs[0].Pieces[:4] {
		n.Node(p.Device).Kill()
	}
	requireFetch(t, n, after, 0, 10_000)
}
