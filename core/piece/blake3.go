package piece

import (
	"encoding/binary"
	"math/bits"
)

// What follows is the part of BLAKE3 that bulk implementations keep to themselves: the chaining
// values of chunks and parents, which are the nodes of a piece's tree. Sections are those of the
// BLAKE3 paper (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020-01-09).

// node is a chaining value, 32 bytes as eight little-endian words.
type node [8]uint32

// iv is table 1: the initial chaining value of unkeyed hashing.
var iv = node{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// Domain flags, table 3.
const (
	flagChunkStart = 1 << 0
	flagChunkEnd   = 1 << 1
	flagParent     = 1 << 2
	flagRoot       = 1 << 3
)

const blockSize = 64

// schedule is the order of message words in each of the seven rounds: table 2 applied again and again.
var schedule = [7][16]uint8{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
	{3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
	{10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
	{12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
	{9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
	{11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
}

// compress is the compression function of section 2.2, truncated to a chaining value. State words
// live in locals: an array would be spilled and cost twice the time.
func compress(cv *node, m *[16]uint32, counter uint64, blockLen, flags uint32) node {
	v0, v1, v2, v3, v4, v5, v6, v7 := cv[0], cv[1], cv[2], cv[3], cv[4], cv[5], cv[6], cv[7]
	v8, v9, v10, v11 := iv[0], iv[1], iv[2], iv[3]
	v12, v13, v14, v15 := uint32(counter), uint32(counter>>32), blockLen, flags
	for i := range schedule {
		s := &schedule[i]
		v0, v4, v8, v12 = mix(v0, v4, v8, v12, m[s[0]&15], m[s[1]&15])
		v1, v5, v9, v13 = mix(v1, v5, v9, v13, m[s[2]&15], m[s[3]&15])
		v2, v6, v10, v14 = mix(v2, v6, v10, v14, m[s[4]&15], m[s[5]&15])
		v3, v7, v11, v15 = mix(v3, v7, v11, v15, m[s[6]&15], m[s[7]&15])
		v0, v5, v10, v15 = mix(v0, v5, v10, v15, m[s[8]&15], m[s[9]&15])
		v1, v6, v11, v12 = mix(v1, v6, v11, v12, m[s[10]&15], m[s[11]&15])
		v2, v7, v8, v13 = mix(v2, v7, v8, v13, m[s[12]&15], m[s[13]&15])
		v3, v4, v9, v14 = mix(v3, v4, v9, v14, m[s[14]&15], m[s[15]&15])
	}
	return node{v0 ^ v8, v1 ^ v9, v2 ^ v10, v3 ^ v11, v4 ^ v12, v5 ^ v13, v6 ^ v14, v7 ^ v15}
}

func mix(a, b, c, d, x, y uint32) (uint32, uint32, uint32, uint32) {
	a += b + x
	d = bits.RotateLeft32(d^a, -16)
	c += d
	b = bits.RotateLeft32(b^c, -12)
	a += b + y
	d = bits.RotateLeft32(d^a, -8)
	c += d
	b = bits.RotateLeft32(b^c, -7)
	return a, b, c, d
}

// chunkNode returns the chaining value of chunk number index, at most ChunkSize bytes (section 2.4);
// root is flagRoot if the chunk is the whole piece, else 0.
func chunkNode(chunk []byte, index uint64, root uint32) node {
	cv := iv
	flags := uint32(flagChunkStart)
	for len(chunk) > blockSize {
		m := words(chunk[:blockSize])
		cv = compress(&cv, &m, index, blockSize, flags)
		chunk, flags = chunk[blockSize:], 0
	}
	var last [blockSize]byte
	copy(last[:], chunk)
	m := words(last[:])
	return compress(&cv, &m, index, uint32(len(chunk)), flags|flagChunkEnd|root)
}

// parentNode returns the chaining value over two children (section 2.5); root is flagRoot at the
// top of the tree, else 0.
func parentNode(left, right *node, root uint32) node {
	var m [16]uint32
	copy(m[:8], left[:])
	copy(m[8:], right[:])
	return compress(&iv, &m, 0, blockSize, flagParent|root)
}

func words(block []byte) (m [16]uint32) {
	_ = block[blockSize-1]
	for i := range m {
		m[i] = binary.LittleEndian.Uint32(block[4*i:])
	}
	return m
}

func (n node) bytes() (b [32]byte) {
	for i, w := range n {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	return b
}

func nodeOf(b *[32]byte) (n node) {
	for i := range n {
		n[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return n
}

// leftChunks returns how many of n > 1 chunks are under the left child: the largest power of two
// below n (section 2.1).
func leftChunks(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }
