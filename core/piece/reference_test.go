package piece

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"testing"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"
)

// reference is BLAKE3 as its paper defines it, over slices and without any care for speed: the naive
// twin of compress, chunkNode, parentNode and subtree.
type reference struct{}

var referenceIV = [8]uint32{0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19}

var referencePermutation = [16]int{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8}

func (reference) compress(cv [8]uint32, block []byte, counter uint64, blockLen, flags uint32) [8]uint32 {
	var m [16]uint32
	padded := make([]byte, 64)
	copy(padded, block)
	for i := range m {
		m[i] = binary.LittleEndian.Uint32(padded[4*i:])
	}
	v := append(cv[:], referenceIV[:4]...)
	v = append(v, uint32(counter), uint32(counter>>32), blockLen, flags)
	g := func(a, b, c, d int, x, y uint32) {
		v[a] += v[b] + x
		v[d] = bits.RotateLeft32(v[d]^v[a], -16)
		v[c] += v[d]
		v[b] = bits.RotateLeft32(v[b]^v[c], -12)
		v[a] += v[b] + y
		v[d] = bits.RotateLeft32(v[d]^v[a], -8)
		v[c] += v[d]
		v[b] = bits.RotateLeft32(v[b]^v[c], -7)
	}
	for range 7 {
		for i, q := range [8][4]int{
			{0, 4, 8, 12},
			{1, 5, 9, 13},
			{2, 6, 10, 14},
			{3, 7, 11, 15},
			{0, 5, 10, 15},
			{1, 6, 11, 12},
			{2, 7, 8, 13},
			{3, 4, 9, 14},
		} {
			g(q[0], q[1], q[2], q[3], m[2*i], m[2*i+1])
		}
		var next [16]uint32
		for i, from := range referencePermutation {
			next[i] = m[from]
		}
		m = next
	}
	var out [8]uint32
	for i := range out {
		out[i] = v[i] ^ v[i+8]
	}
	return out
}

func (r reference) node(data []byte, first uint64, root uint32) [8]uint32 {
	if len(data) <= 1024 {
		cv := referenceIV
		for start := 0; ; start += 64 {
			block := data[start:min(len(data), start+64)]
			flags := uint32(0)
			if start == 0 {
				flags |= 1
			}
			if start+64 < len(data) {
				cv = r.compress(cv, block, first, 64, flags)
				continue
			}
			return r.compress(cv, block, first, uint32(len(block)), flags|2|root)
		}
	}
	left := 1024
	for left*2 < len(data) {
		left *= 2
	}
	var block []byte
	for _, child := range [2][8]uint32{r.node(data[:left], first, 0), r.node(data[left:], first+uint64(left/1024), 0)} {
		for _, w := range child {
			block = binary.LittleEndian.AppendUint32(block, w)
		}
	}
	return r.compress(referenceIV, block, 0, 64, 4|root)
}

func (r reference) hash(data []byte) (out [32]byte) {
	for i, w := range r.node(data, 0, 8) {
		binary.LittleEndian.PutUint32(out[4*i:], w)
	}
	return out
}

// The lengths of BLAKE3's official test vectors (test_vectors.json), whose input is pattern.
var officialLengths = []int{
	0, 1, 2, 3, 4, 5, 6, 7, 8, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 2048, 2049, 3072, 3073,
	4096, 4097, 5120, 5121, 6144, 6145, 7168, 7169, 8192, 8193, 16384, 31744, 102400,
}

// Hashes of the official vectors, at the edges of chunks and of uneven trees.
var official = map[int]string{
	0:     "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
	1:     "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
	1023:  "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
	1024:  "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
	1025:  "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
	2049:  "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030",
	3072:  "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2",
	3073:  "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3",
	5121:  "628bd2cb2004694adaab7bbd778a25df25c47b9d4155a55f8fbd79f2fe154cff",
	7169:  "a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817",
	8193:  "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b",
	16384: "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4",
	31744: "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
}

// INV-PIECE-1: bulk hasher, tree and reference agree, and with the official vectors.
func TestRootsMatchReferenceAndOfficialVectors(t *testing.T) {
	for _, n := range officialLengths {
		data := pattern(n)
		want := reference{}.hash(data)
		if s, ok := official[n]; ok && hex.EncodeToString(want[:]) != s {
			t.Errorf("%d bytes: reference gives %x, official %s", n, want, s)
		}
		if RootOf(data) != want {
			t.Errorf("%d bytes: RootOf differs from the reference", n)
		}
		if n > ChunkSize {
			if got := subtree(data, 0); got != node(reference{}.node(data, 0, 0)) {
				t.Errorf("%d bytes: subtree differs from the reference", n)
			}
		}
		h := NewHasher()
		for rest := data; len(rest) > 0; {
			k := min(len(rest), 333)
			h.Write(rest[:k])
			rest = rest[k:]
		}
		for range 2 { // reading the root leaves the hasher as it was
			if h.Root() != want {
				t.Errorf("%d bytes: Hasher differs from the reference", n)
			}
		}
	}
}

func TestNodesMatchReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunk := rapid.SliceOfN(rapid.Byte(), 0, ChunkSize).Draw(t, "chunk")
		index := rapid.Uint64().Draw(t, "index")
		root := rapid.SampledFrom([]uint32{0, flagRoot}).Draw(t, "root")
		if got := chunkNode(chunk, index, root); got != node(reference{}.node(chunk, index, root)) {
			t.Fatalf("chunk %d of %d bytes differs", index, len(chunk))
		}
	})
}

// INV-PIECE-2: proofs of any shape are judged, not crashed on; and encode in one way.
func FuzzVerifyChunk(f *testing.F) {
	data := pattern(3000)
	root := RootOf(data)
	for i := range 3 {
		p, _ := Prove(data, i)
		b, _ := p.MarshalBinary()
		f.Add(uint64(len(data)), i, data[i*ChunkSize:min(len(data), (i+1)*ChunkSize)], b)
	}
	f.Add(uint64(1)<<63, 5, data[:ChunkSize], []byte{0})
	f.Fuzz(func(t *testing.T, size uint64, chunk int, content, proof []byte) {
		var p Proof
		if p.UnmarshalBinary(proof) != nil {
			return
		}
		if again, err := p.MarshalBinary(); err != nil || !bytes.Equal(again, proof) {
			t.Fatalf("%x is read and written as %x, %v", proof, again, err)
		}
		if VerifyChunk(root, size, chunk, content, p) != nil || size != uint64(len(data)) {
			return
		}
		if !bytes.Equal(content, data[chunk*ChunkSize:min(len(data), (chunk+1)*ChunkSize)]) {
			t.Fatalf("false content of chunk %d passes", chunk)
		}
	})
}

func TestHugeSizesAreJudged(t *testing.T) {
	for _, size := range []uint64{0, 1, 1 << 40, 1 << 63, 1<<64 - 1} {
		for _, chunk := range []int{-1, 0, 1, 1 << 53, 1<<63 - 1} {
			for _, depth := range []int{0, 10, 54, 55} {
				err := VerifyChunk(Root{}, size, chunk, make([]byte, ChunkSize), Proof{make([][32]byte, depth)})
				if !errors.Is(err, ErrProof) {
					t.Errorf("size %d chunk %d depth %d: %v", size, chunk, depth, err)
				}
			}
		}
	}
	if _, err := (Proof{make([][32]byte, 55)}).MarshalBinary(); !errors.Is(err, ErrProof) {
		t.Error(err)
	}
	for _, chunk := range []int{-1, 1, 1 << 62} {
		if _, err := Prove(nil, chunk); !errors.Is(err, ErrProof) {
			t.Error(err)
		}
	}
}

func BenchmarkRootOf(b *testing.B) {
	for _, n := range []int{4 << 10, 64 << 10, MaxSize} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			data := pattern(n)
			b.SetBytes(int64(n))
			for b.Loop() {
				RootOf(data)
			}
		})
	}
	b.Run("naive", func(b *testing.B) {
		data := pattern(MaxSize)
		b.SetBytes(MaxSize)
		for b.Loop() {
			reference{}.hash(data)
		}
	})
}

func BenchmarkHasher(b *testing.B) {
	data := pattern(16 << 10)
	b.SetBytes(MaxSize)
	b.ReportAllocs()
	h := NewHasher()
	for b.Loop() {
		h.Reset()
		for range MaxSize / len(data) {
			h.Write(data)
		}
		h.Root()
	}
}

// BenchmarkVerifyChunk is a provider's proof of one chunk of the largest piece: depth 10.
func BenchmarkVerifyChunk(b *testing.B) {
	data := pattern(MaxSize)
	root := RootOf(data)
	p, err := Prove(data, 777)
	if err != nil {
		b.Fatal(err)
	}
	chunk := data[777*ChunkSize : 778*ChunkSize]
	b.ReportAllocs()
	for b.Loop() {
		if err := VerifyChunk(root, MaxSize, 777, chunk, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProve(b *testing.B) {
	data := pattern(MaxSize)
	for b.Loop() {
		if _, err := Prove(data, 777); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChunkNode compares our chaining value of one chunk with the bulk library's hash of it.
func BenchmarkChunkNode(b *testing.B) {
	chunk := pattern(ChunkSize)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(ChunkSize)
		for b.Loop() {
			chunkNode(chunk, 7, 0)
		}
	})
	b.Run("library", func(b *testing.B) {
		b.SetBytes(ChunkSize)
		for b.Loop() {
			blake3.Sum256(chunk)
		}
	})
}
