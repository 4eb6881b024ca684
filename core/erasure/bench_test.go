package erasure

import (
	"fmt"
	"testing"

	"github.com/klauspost/reedsolomon"
)

// measured are the classes whose speed is a goal: small-net, standard, wide.
var measured = []Class{SmallNet, Standard, Wide}

// BenchmarkEncode codes one full segment; MB/s of segment.
func BenchmarkEncode(b *testing.B) {
	for _, c := range measured {
		b.Run(fmt.Sprintf("%s/%d-of-%d", c.Name, c.K, c.Total), func(b *testing.B) {
			codec := newCodec(b, c)
			segment := fill(c.MaxSegment(), 1)
			g := c.Geometry(len(segment))
			pieces := make([][]byte, c.Total)
			for i := range pieces {
				pieces[i] = make([]byte, g.PieceSize)
			}
			b.SetBytes(int64(len(segment)))
			b.ReportAllocs()
			for b.Loop() {
				if err := codec.Encode(segment, pieces); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// optimal is a class coded only as far as upload waits for: k/optimal, as the goals are stated.
func optimal(c Class) Class {
	c.Total = c.Optimal
	return c
}

// BenchmarkEncodeStripe codes one stripe that is in cache: what a streaming writer does. The naive
// twin codes the whole segment in one call, as a library's first example would.
func BenchmarkEncodeStripe(b *testing.B) {
	for _, c := range measured {
		c = optimal(c)
		b.Run(fmt.Sprintf("stripe/%d-of-%d", c.K, c.Total), func(b *testing.B) {
			codec := newCodec(b, c)
			shares := make([][]byte, c.Total)
			for i := range shares {
				shares[i] = fill(ShareSize, uint64(i))
			}
			b.SetBytes(int64(c.K * ShareSize))
			b.ReportAllocs()
			for b.Loop() {
				if err := codec.EncodeStripe(shares); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("naive-whole-segment/%d-of-%d", c.K, c.Total), func(b *testing.B) {
			rs, err := reedsolomon.New(c.K, c.Total-c.K, reedsolomon.WithMaxGoroutines(1))
			if err != nil {
				b.Fatal(err)
			}
			share := (c.MaxSegment() + c.K - 1) / c.K
			shares := make([][]byte, c.Total)
			for i := range shares {
				shares[i] = fill(share, uint64(i))
			}
			b.SetBytes(int64(c.K * share))
			for b.Loop() {
				if err := rs.Encode(shares); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecode restores a full segment with as many data pieces lost as can be, and with none.
func BenchmarkDecode(b *testing.B) {
	for _, c := range measured {
		codec := newCodec(b, c)
		segment := fill(c.MaxSegment(), 1)
		_, pieces := encode(b, codec, segment)
		for _, lost := range []int{0, min(c.K, c.Total-c.K)} {
			b.Run(fmt.Sprintf("%s/lost=%d", c.Name, lost), func(b *testing.B) {
				kept := make([][]byte, len(pieces))
				copy(kept[lost:], pieces[lost:])
				b.SetBytes(int64(len(segment)))
				b.ReportAllocs()
				for b.Loop() {
					if err := codec.Decode(segment, kept); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRebuild computes one lost piece of a full segment.
func BenchmarkRebuild(b *testing.B) {
	for _, c := range measured {
		b.Run(c.Name, func(b *testing.B) {
			codec := newCodec(b, c)
			segment := fill(c.MaxSegment(), 1)
			_, pieces := encode(b, codec, segment)
			b.SetBytes(int64(len(segment)))
			for b.Loop() {
				if err := codec.Rebuild(pieces, []int{0}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
