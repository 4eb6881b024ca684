package piece

import (
	"errors"
	"testing"
)

// pattern is the input of BLAKE3's official test vectors: bytes counting up to 250, again and again.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// INV-PIECE-1: the tree's root is the BLAKE3 hash, at all sizes around the edges of blocks, chunks
// and subtrees; every chunk has a proof, and no other chunk or place passes with it.
func TestProofsHoldAtTheirPlaceOnly(t *testing.T) {
	for _, size := range []int{0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3072, 3073, 4096, 4097, 5120, 6144, 7168, 8193, 31744} {
		data := pattern(size)
		root := RootOf(data)
		n := int(Chunks(uint64(size)))
		for i := range n {
			p, err := Prove(data, i)
			if err != nil {
				t.Fatal(err)
			}
			chunk := data[i*ChunkSize : min(size, (i+1)*ChunkSize)]
			if err := VerifyChunk(root, uint64(size), i, chunk, p); err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			for j := range n {
				if j == i {
					continue
				}
				if err := VerifyChunk(root, uint64(size), j, chunk, p); !errors.Is(err, ErrProof) {
					t.Fatalf("size %d: chunk %d passes for %d", size, i, j)
				}
			}
			if len(chunk) > 0 {
				bad := append([]byte(nil), chunk...)
				bad[len(bad)-1] ^= 1
				if err := VerifyChunk(root, uint64(size), i, bad, p); !errors.Is(err, ErrProof) {
					t.Fatalf("size %d: altered chunk %d passes", size, i)
				}
			}
		}
	}
}
