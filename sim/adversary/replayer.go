package adversary

import (
	"encoding/binary"

	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
)

// Replayer proves honestly for a week, keeps every proof it makes, then throws all data away and
// answers with what it has: the proof of that position if it was ever asked for it, else any other.
// Trees and proofs are real ones. Its tree is far smaller than any provider's, so that positions come
// again as often as they ever could.
type Replayer struct{}

const (
	replayPieces = 32
	replayBytes  = 16 << 10 // a piece
	replayWarmUp = 7 * 24   // epochs
)

// Name of the attack.
func (Replayer) Name() string { return "proof replayer" }

// Claims of the attack.
func (Replayer) Claims() string {
	return "positions follow from beacon, epoch and device: an old proof shows another position, and keeping all is storing"
}

// Play runs the attack. The share is how much of what it held the proofs may take up, in percent of
// the bytes; with proofs of 1.5 KB for each KiB that is what it saves less of.
func (Replayer) Play(seed uint64, share int) Outcome {
	w := NewWorld(seed)
	w.Crowd(6)
	// Small trees, and a bond as small: what matters is the ratio.
	const bytes = replayPieces * replayBytes
	attacker := w.Sit("replayer", Rent)
	w.Register(attacker, BondFor(TB), 1).Store(bytes)
	twin := w.Twin(attacker)
	d := attacker.Devices[0]
	data, tree := w.pieces()
	root := tree.Root()
	kept := make(map[uint64]challenge.Proof)
	room := max(1, replayPieces*replayBytes/piece.ChunkSize*share/100)
	last := challenge.Proof{}
	d.Show = func(w *World, d *Device, positions []uint64) bool {
		for _, x := range positions {
			proof, some := kept[x]
			switch {
			case w.Epoch <= replayWarmUp:
				proof = prove(tree, data, x)
				if last = proof; len(kept) < room {
					kept[x] = proof
				}
			case !some:
				proof = last
			}
			if proof.Verify(root, x) != nil {
				return false
			}
		}
		return true
	}
	w.Run(replayWarmUp)
	d.Disk = min(bytes, uint64(len(kept))*piece.ChunkSize)
	w.Run(month)
	out := Outcome{
		Profit: beyond(attacker.Purse, twin.Purse), Twin: twin.Purse, Must: 1000,
		FalsePositives: falsePositives(w, attacker),
	}
	if attacker.Caught > replayWarmUp {
		out.Detected = attacker.Caught - replayWarmUp
	}
	return out
}

// pieces makes the data of a small provider, and its tree.
func (w *World) pieces() (data [][]byte, tree *merkle.Tree) {
	leaves := make([]merkle.Leaf, replayPieces)
	for i := range leaves {
		b := make([]byte, replayBytes)
		for j := 0; j < len(b); j += 8 {
			binary.BigEndian.PutUint64(b[j:], w.Random.Uint64())
		}
		// Ids ascend, so that leaf i is piece i.
		leaf := merkle.Leaf{Root: piece.RootOf(b), Chunks: piece.Chunks(replayBytes), Expiry: 1}
		leaf.ID[0] = byte(i)
		leaves[i], data = leaf, append(data, b)
	}
	tree, err := merkle.Build(leaves)
	if err != nil {
		panic(err) // ids ascend
	}
	return data, tree
}

func prove(tree *merkle.Tree, data [][]byte, x uint64) challenge.Proof {
	path, chunk, err := tree.ProveAt(x)
	if err != nil {
		panic(err) // positions are below the total
	}
	proof, err := challenge.Prove(path, data[path.Leaf.ID[0]], chunk)
	if err != nil {
		panic(err)
	}
	return proof
}
