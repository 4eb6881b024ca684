package piece

import (
	"errors"
	"fmt"
)

// ErrProof is wrapped by errors about chunks that do not belong where they are said to.
var ErrProof = errors.New("chunk proof does not hold")

// maxDepth bounds the path of the largest size that can be stated: 2^64 bytes are 2^54 chunks.
const maxDepth = 54

// Proof is the path from one chunk of a piece to its root.
type Proof struct {
	// Siblings are the chaining values beside the path, from the chunk upwards: none for a piece of
	// one chunk, at most 10 for a piece of MaxSize.
	Siblings [][32]byte
}

// Prove returns the path of chunk number chunk of a whole piece. It hashes all of data: 1 MiB takes
// about a millisecond, which is why nobody stores the tree.
func Prove(data []byte, chunk int) (Proof, error) {
	n := Chunks(uint64(len(data)))
	if chunk < 0 || uint64(chunk) >= n {
		return Proof{}, fmt.Errorf("proving chunk %d of a piece of %d chunks: %w", chunk, n, ErrProof)
	}
	var siblings [][32]byte
	first, index := uint64(0), uint64(chunk)
	for n > 1 {
		left := leftChunks(n)
		middle := min(left*ChunkSize, uint64(len(data)))
		var beside node
		if index < left {
			beside = subtree(data[middle:], first+left)
			data, n = data[:middle], left
		} else {
			beside = subtree(data[:middle], first)
			data, n = data[middle:], n-left
			first, index = first+left, index-left
		}
		siblings = append(siblings, beside.bytes())
	}
	for i, j := 0, len(siblings)-1; i < j; i, j = i+1, j-1 {
		siblings[i], siblings[j] = siblings[j], siblings[i]
	}
	return Proof{siblings}, nil
}

// subtree returns the chaining value, not at the root, of the subtree over data, whose first chunk
// has number first.
func subtree(data []byte, first uint64) node {
	n := Chunks(uint64(len(data)))
	if n == 1 {
		return chunkNode(data, first, 0)
	}
	left := leftChunks(n)
	l := subtree(data[:left*ChunkSize], first)
	r := subtree(data[left*ChunkSize:], first+left)
	return parentNode(&l, &r, 0)
}

// VerifyChunk checks that data is chunk number chunk of the piece of size bytes with that root.
// size must come from elsewhere (a receipt, a lease): a path alone does not bind the size of the
// piece, only the place of the chunk. Total: ErrProof for every input that does not hold.
func VerifyChunk(root Root, size uint64, chunk int, data []byte, p Proof) error {
	n := Chunks(size)
	if chunk < 0 || uint64(chunk) >= n {
		return fmt.Errorf("chunk %d of a piece of %d chunks: %w", chunk, n, ErrProof)
	}
	index := uint64(chunk)
	want := min(size-index*ChunkSize, ChunkSize)
	if uint64(len(data)) != want {
		return fmt.Errorf("chunk %d has %d bytes, want %d: %w", chunk, len(data), want, ErrProof)
	}
	// The way down from the root says on which side of each parent the path goes.
	var right [maxDepth]bool
	depth := 0
	for n > 1 {
		left := leftChunks(n)
		if right[depth] = index >= left; right[depth] {
			index, n = index-left, n-left
		} else {
			n = left
		}
		depth++
	}
	if len(p.Siblings) != depth {
		return fmt.Errorf("path of chunk %d has %d nodes, want %d: %w", chunk, len(p.Siblings), depth, ErrProof)
	}
	at := func(level int) uint32 {
		if level == 0 {
			return flagRoot
		}
		return 0
	}
	v := chunkNode(data, uint64(chunk), at(depth))
	for i := range p.Siblings {
		beside := nodeOf(&p.Siblings[i])
		level := depth - 1 - i
		if right[level] {
			v = parentNode(&beside, &v, at(level))
		} else {
			v = parentNode(&v, &beside, at(level))
		}
	}
	if v.bytes() != root {
		return fmt.Errorf("chunk %d is not under root %s: %w", chunk, root, ErrProof)
	}
	return nil
}

// MarshalBinary returns one byte with the number of siblings and then the siblings.
func (p Proof) MarshalBinary() ([]byte, error) {
	if len(p.Siblings) > maxDepth {
		return nil, fmt.Errorf("encoding a path of %d nodes, want at most %d: %w", len(p.Siblings), maxDepth, ErrProof)
	}
	b := make([]byte, 1, 1+32*len(p.Siblings))
	b[0] = byte(len(p.Siblings))
	for i := range p.Siblings {
		b = append(b, p.Siblings[i][:]...)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses all other bytes with ErrEncoding.
func (p *Proof) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] > maxDepth || len(b) != 1+32*int(b[0]) {
		return fmt.Errorf("%w of a chunk proof of %d bytes", ErrEncoding, len(b))
	}
	p.Siblings = make([][32]byte, b[0])
	for i := range p.Siblings {
		copy(p.Siblings[i][:], b[1+32*i:])
	}
	return nil
}
