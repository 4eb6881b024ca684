package challenge

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
)

var (
	// ErrProof is wrapped by errors about answers that do not show what was asked for.
	ErrProof = errors.New("possession proof does not hold")
	// ErrEncoding is wrapped by errors about bytes that are no proof in its only encoding.
	ErrEncoding = errors.New("invalid possession proof encoding")
	// ErrLeaf is wrapped by errors about pieces that no provider's tree may hold.
	ErrLeaf = errors.New("piece cannot be in a tree")
)

// MaxChunks is the weight of the largest piece.
const MaxChunks = piece.MaxSize / piece.ChunkSize

// maxPath is the length of the path in the largest piece.
const maxPath = 10

// MaxProof is the length in bytes of the longest proof.
const MaxProof = 2 + piece.ChunkSize + 1 + 32*maxPath + 81 + 41*merkle.MaxDepth

// LeafID returns the id of a piece in its provider's tree. It binds the lease: ids are chosen by
// renters, and two of them may choose the same one.
func LeafID(lease uint64, id piece.ID) piece.ID {
	var b [16 + 8 + 32]byte
	copy(b[:], leafDomain)
	binary.BigEndian.PutUint64(b[16:], lease)
	copy(b[24:], id[:])
	return sha256.Sum256(b[:])
}

// NewLeaf returns the leaf of a piece of size bytes. ErrLeaf for an empty piece: who commits to one
// commits to no storage, and would be credited with a chunk that everybody can show.
func NewLeaf(lease uint64, id piece.ID, root piece.Root, size uint64, expiry int64) (merkle.Leaf, error) {
	if size == 0 || size > piece.MaxSize {
		return merkle.Leaf{}, fmt.Errorf("%w: piece %s has %d bytes, want 1..%d", ErrLeaf, id, size, piece.MaxSize)
	}
	return merkle.Leaf{ID: LeafID(lease, id), Root: root, Chunks: piece.Chunks(size), Expiry: expiry}, nil
}

// Proof shows the chunk at one position of a tree.
//
// A leaf states a piece's chunks, not its bytes. That is enough: BLAKE3 hashes the number and the
// length of every chunk into its node, so under one piece root there is at most one chunk of each
// number, with one length, and a leaf that states more chunks than the piece has holds positions
// that nothing answers. Only the last chunk's length is left to the piece; it must be 1 to 1,024,
// and an empty piece is no leaf at all.
type Proof struct {
	// Chunk is the chunk's bytes, 1 to piece.ChunkSize.
	Chunk []byte
	// Path leads from the chunk to the root of its piece.
	Path piece.Proof
	// Tree leads from the piece's leaf to the root of the tree.
	Tree merkle.Proof
}

// Prove makes the proof of the chunk with that number of a piece, given all its bytes and its place
// in the tree. It does not check that the bytes are the piece's: Verify would tell.
func Prove(tree merkle.Proof, data []byte, chunk uint64) (Proof, error) {
	if chunk >= piece.Chunks(uint64(len(data))) {
		return Proof{}, fmt.Errorf("%w: no chunk %d in %d bytes", ErrProof, chunk, len(data))
	}
	path, err := piece.Prove(data, int(chunk))
	if err != nil {
		return Proof{}, fmt.Errorf("proving chunk %d: %w", chunk, err)
	}
	first := chunk * piece.ChunkSize
	return Proof{
		Chunk: data[first:min(first+piece.ChunkSize, uint64(len(data)))],
		Path:  path,
		Tree:  tree,
	}, nil
}

// Verify checks that p shows the chunk at position x of the tree with that root and total; ErrProof.
func (p Proof) Verify(root merkle.Node, x uint64) error {
	leaf := p.Tree.Leaf
	if leaf.Chunks > MaxChunks {
		return fmt.Errorf("%w: leaf %s has %d chunks, want at most %d", ErrProof, leaf.ID, leaf.Chunks, MaxChunks)
	}
	chunk, err := p.Tree.VerifyAt(root, x)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	// The size that VerifyChunk wants: whole chunks, and for the last one what was shown of it, which
	// its hash binds.
	size := leaf.Chunks * piece.ChunkSize
	if chunk == leaf.Chunks-1 {
		if len(p.Chunk) == 0 || len(p.Chunk) > piece.ChunkSize {
			return fmt.Errorf("%w: last chunk has %d bytes, want 1..%d", ErrProof, len(p.Chunk), piece.ChunkSize)
		}
		size -= uint64(piece.ChunkSize - len(p.Chunk))
	}
	if err := piece.VerifyChunk(leaf.Root, size, int(chunk), p.Chunk, p.Path); err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	return nil
}

// VerifyInclusion checks that a tree with that root holds a leaf, which may state a later expiry
// than the one wanted; ErrProof.
func VerifyInclusion(p merkle.Proof, root merkle.Node, want merkle.Leaf) error {
	has := p.Leaf
	if has.ID != want.ID || has.Root != want.Root || has.Chunks != want.Chunks || has.Expiry < want.Expiry {
		return fmt.Errorf("%w: leaf %s with root %s, %d chunks, expiry %d is not leaf %s with root %s, %d chunks, expiry %d", ErrProof,
			has.ID, has.Root, has.Chunks, has.Expiry, want.ID, want.Root, want.Chunks, want.Expiry)
	}
	if _, err := p.Verify(root); err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	return nil
}

// MarshalBinary returns the chunk's length in two bytes, the chunk, its path and the tree's, each in
// its own encoding (core/piece, core/merkle). ErrEncoding for what no proof has.
func (p Proof) MarshalBinary() ([]byte, error) {
	if len(p.Chunk) == 0 || len(p.Chunk) > piece.ChunkSize || len(p.Path.Siblings) > maxPath {
		return nil, fmt.Errorf("%w: chunk of %d bytes, path of %d nodes", ErrEncoding, len(p.Chunk), len(p.Path.Siblings))
	}
	path, err := p.Path.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	tree, err := p.Tree.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	b := make([]byte, 0, 2+len(p.Chunk)+len(path)+len(tree))
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Chunk)))
	b = append(b, p.Chunk...)
	b = append(b, path...)
	return append(b, tree...), nil
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses all other bytes with ErrEncoding.
// p.Chunk is part of b.
func (p *Proof) UnmarshalBinary(b []byte) error {
	if len(b) > MaxProof || len(b) < 2 {
		return fmt.Errorf("%w: %d bytes, want 2..%d", ErrEncoding, len(b), MaxProof)
	}
	n := int(binary.BigEndian.Uint16(b))
	rest := b[2:]
	if n == 0 || n > piece.ChunkSize || len(rest) <= n {
		return fmt.Errorf("%w: chunk of %d bytes in %d", ErrEncoding, n, len(b))
	}
	var q Proof
	q.Chunk, rest = rest[:n:n], rest[n:]
	path := 1 + 32*int(rest[0])
	if rest[0] > maxPath || len(rest) < path {
		return fmt.Errorf("%w: path of %d nodes in %d bytes", ErrEncoding, rest[0], len(rest))
	}
	if err := q.Path.UnmarshalBinary(rest[:path]); err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if err := q.Tree.UnmarshalBinary(rest[path:]); err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	*p = q
	return nil
}
