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

// compress is the compression function of section 2.2, truncated to a chaining value: seven rounds,
// the message words of each permuted by table 2. Written out with constant indexes and the state in
// locals, because a loop over a table of indexes costs half as much time again.
func compress(cv *node, m *[16]uint32, counter uint64, blockLen, flags uint32) node {
	v0, v1, v2, v3, v4, v5, v6, v7 := cv[0], cv[1], cv[2], cv[3], cv[4], cv[5], cv[6], cv[7]
	v8, v9, v10, v11 := iv[0], iv[1], iv[2], iv[3]
	v12, v13, v14, v15 := uint32(counter), uint32(counter>>32), blockLen, flags

	v0, v4, v8, v12 = mix(v0, v4, v8, v12, m[0], m[1])
	v1, v5, v9, v13 = mix(v1, v5, v9, v13, m[2], m[3])
	v2, v6, v10, v14 = mix(v2, v6, v10, v14, m[4], m[5])
	v3, v7, v11, v15 = mix(v3, v7, v11, v15, m[6], m[7])
	v0, v5, v10, v15 = mix(v0, v5, v10, v15, m[8], m[9])
	v1, v6, v11, v12 = mix(v1, v6, v11, v12, m[10], m[11])
	v2, v7, v8, v13 = mix(v2, v7, v8, v13, m[12], m[13])
	v3, v4, v9, v14 = mix(v3, v4, v9, v14, m[14], m[15])

	v0, v4, v8, v12 = mix(v0, v4, v8, v12, m[2], m[6])
	v1, v5, v9, v13 = mix(v1, v5, v9, v13, m[3], m[10])
	v2, v6, v10, v14 = mix(v2, v6, v10, v14, m[7], m[0])
	v3, v7, v11, v15 = mix(v3, v7, v11, v15, m[4], m[13])
	v0, v5, v10, v15 = mix(v0, v5, v10, v15, m[1], m[11])
	v1, v6, v11, v12 = mix(v1, v6, v11, v12, m[12], m[5])
	v2, v7, v8, v13 = mix(v2, v7, v8, v13, m[9], m[14])
	v3, v4, v9, v14 = mix(v3, v4, v9, v14, m[15], m[8])

	v0, v4, v8, v12 = mix(v0, v4, v8, v12, m[3], m[4])
	v1, v5, v9, v13 = mix(v1, v5, v9, v13, m[10], m[12])
	v2, v6, v10, v14 = mix(v2, v6, v10, v14, m[13], m[2])
	v3, v7, v11, v15 = mix(v3, v7, v11, v15, m[7], m[14])
	v0, v5, v10, v15 = mix(v0, v5, v10, v15, m[6], m[5])
	v1, v6, v11, v12 = mix(v1, v6, v11, v12, m[9], m[0])
	v2, v7, v8, v13 = mix(v2, v7, v8, v13, m[11], m[15])
	v3, v4, v9, v14 = mix(v3, v4, v9, v14, m[8], m[1])

	v0, v4, v8, v12 = mix(v0, v4, v8, v12, m[10], m[7])
	v1, v5, v9, v13 = mix(v1, v5, v9, v13, m[12], m[9])
	v2, v6, v10, v14 = mix(v2, v6, v10, v14, m[14], m[3])
	v3, v7, v11, v15 = mix(v3, v7, v11, v15, m[13], m[15])
	v0, v5, v10, v15 = mix(v0, v5, v10, v15, m[4], m[0])
	v1, v6, v11, v12 = mix(v1, v6, v11, v12, m[11], m[2])
	v2, v7, v8, v13 = mix(v2, v7, v8, v13, m[5], m[8])
	v3, v4, v9, v14 = mix(v3, v4, v9, v14, m[1], m[6])

	v0, v4, v8, v12 = mix(v0, v4, v8, v12, m[12], m[13])
	v1, v5, v9, v13 = mix(v1, v5, v9, v13, m[9], m[11])
	v2, v6, v10, v14 = mix(v2, v6, v10, v14, m[15], m[10])
	v3, v7, v11, v15 = mix(v3, v7, v11, v15, m[14], m[8])
	v0, v5, v10, v15 = mix(v0, v5, v10, v15, m[7], m[2])
	v1, v6, v11, v12 = mix(v1, v6, v11, v12, m[5], m[3])
	v2, v7, v8, v13 = mix(v2, v7, v8, v13, m[0], m[1])
	v3, v4, v9, v14 = mix(v3, v4, v9, v14, m[6], m[4])

	v0, v4, v8, v12 = mix(v0, v4, v8, v12, m[9], m[14])
	v1, v5, v9, v13 = mix(v1, v5, v9, v13, m[11], m[5])
	v2, v6, v10, v14 = mix(v2, v6, v10, v14, m[8], m[12])
	v3, v7, v11, v15 = mix(v3, v7, v11, v15, m[15], m[1])
	v0, v5, v10, v15 = mix(v0, v5, v10, v15, m[13], m[3])
	v1, v6, v11, v12 = mix(v1, v6, v11, v12, m[0], m[10])
	v2, v7, v8, v13 = mix(v2, v7, v8, v13, m[2], m[6])
	v3, v4, v9, v14 = mix(v3, v4, v9, v14, m[4], m[7])

	v0, v4, v8, v12 = mix(v0, v4, v8, v12, m[11], m[15])
	v1, v5, v9, v13 = mix(v1, v5, v9, v13, m[5], m[0])
	v2, v6, v10, v14 = mix(v2, v6, v10, v14, m[1], m[9])
	v3, v7, v11, v15 = mix(v3, v7, v11, v15, m[8], m[6])
	v0, v5, v10, v15 = mix(v0, v5, v10, v15, m[14], m[10])
	v1, v6, v11, v12 = mix(v1, v6, v11, v12, m[2], m[12])
	v2, v7, v8, v13 = mix(v2, v7, v8, v13, m[3], m[4])
	v3, v4, v9, v14 = mix(v3, v4, v9, v14, m[7], m[13])

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
