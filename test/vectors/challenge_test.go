package vectors

import (
	"crypto/ed25519"
	"math"
	"testing"

	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
)

// drawCases are what is asked of draws: intervals around which a draw is due or not, and totals with
// and without a number of tries.
var drawCases = struct {
	intervals []uint32
	totals    []uint64
}{[]uint32{0, 1, 2, 6, 48, math.MaxUint32}, []uint64{0, 1, 2, 1000, 1 << 40, 1<<63 + 1, math.MaxUint64}}

func challenges(t *testing.T) file {
	f := file{About: "core/challenge, docs/format/challenge.md. due lists the answers for intervals 0, 1, 2, 6, 48, 4294967295; positions are the first 4 of a tree of so many chunks. The tree has pieces of lease 7, piece ids 01 00.., 02 00.. and so on, of pattern(size), expiry 1800000000, ascending by leaf id. Seeds of Ed25519 keys are one byte 32 times."}
	for _, d := range []struct {
		beacon                    byte
		epoch, challenger, device uint64
	}{{0, 1, 0, 1}, {1, 7, 0, 3}, {1, 7, 0, 4}, {1, 8, 0, 3}, {0xff, math.MaxUint64, 0, math.MaxUint64}, {1, 7, 5, 3}, {1, 7, 3, 5}, {1, 7, 3, 3}} {
		var beacon [32]byte
		for i := range beacon {
			beacon[i] = d.beacon
		}
		draw, named := challenge.New(beacon, d.epoch, d.device), of("beacon", beacon, "epoch", d.epoch, "device", d.device)
		if d.challenger > 0 {
			draw = challenge.NewPeer(beacon, d.epoch, d.challenger, d.device)
			named = of("beacon", beacon, "epoch", d.epoch, "challenger", d.challenger, "device", d.device)
		}
		var due []bool
		for _, n := range drawCases.intervals {
			due = append(due, draw.Due(n))
		}
		f.Cases = append(f.Cases, append(named, field{"due", due}))
		for _, total := range drawCases.totals {
			f.Cases = append(f.Cases, append(named, of("total", total, "positions", spelled(draw.Positions(4, total)))...))
		}
	}
	f.Cases = append(append(f.Cases, proofs(t)...), release(t))
	return f
}

// spelled gives numbers as the files have them.
func spelled(numbers []uint64) []any {
	var all []any
	for _, n := range numbers {
		all = append(all, of("", n)[0].value)
	}
	return all
}

// proofs are those of the first and last chunk of every piece in a small tree.
func proofs(t *testing.T) []any {
	var cases []any
	sizes := []int{1, 1023, 1024, 1025, 5000, 64 << 10}
	leaves := make(map[piece.ID]int) // size by leaf id
	var sorted []merkle.Leaf
	for i, size := range sizes {
		id := piece.ID{byte(i + 1)}
		leaf, err := challenge.NewLeaf(7, id, piece.RootOf(pattern(size)), uint64(size), 1_800_000_000)
		if err != nil {
			t.Fatal(err)
		}
		leaves[leaf.ID] = size
		sorted = insert(sorted, leaf)
		cases = append(cases, of("lease", 7, "piece_id", [32]byte(id), "leaf_id", [32]byte(leaf.ID), "size", size, "chunks", leaf.Chunks))
	}
	tree, err := merkle.Build(sorted)
	if err != nil {
		t.Fatal(err)
	}
	root := tree.Root()
	cases = append(cases, of("root", root.Hash, "total", root.Sum))
	first := uint64(0)
	for i := range tree.Len() {
		leaf := tree.Leaf(i)
		for _, x := range unique(int(first), int(first+leaf.Chunks-1)) {
			path, chunk, err := tree.ProveAt(uint64(x))
			if err != nil {
				t.Fatal(err)
			}
			p, err := challenge.Prove(path, pattern(leaves[leaf.ID]), chunk)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Verify(root, uint64(x)); err != nil {
				t.Fatal(err)
			}
			cases = append(cases, of("position", x, "size", leaves[leaf.ID], "chunk", chunk, "proof", marshal(t, p)))
		}
		first += leaf.Chunks
	}
	return cases
}

// insert keeps leaves ascending by id.
func insert(leaves []merkle.Leaf, leaf merkle.Leaf) []merkle.Leaf {
	at := 0
	for at < len(leaves) && string(leaves[at].ID[:]) < string(leaf.ID[:]) {
		at++
	}
	leaves = append(leaves, merkle.Leaf{})
	copy(leaves[at+1:], leaves[at:])
	leaves[at] = leaf
	return leaves
}

// release answers an audit of a piece that its renter needs no more.
func release(t *testing.T) object {
	session := key(3)
	r := piece.SignRelease(session, piece.Release{ChainID: "cairn-1", Lease: 7, Device: 9, ID: piece.ID{1}, Until: 1_790_000_000})
	if err := r.Verify(session.Public().(ed25519.PublicKey)); err != nil {
		t.Fatal(err)
	}
	return of("chain_id", r.ChainID, "lease", r.Lease, "device", r.Device, "piece_id", r.ID.String(), "until", r.Until,
		"seed_byte", 3, "sign_bytes", r.SignBytes(), "release", marshal(t, r))
}
