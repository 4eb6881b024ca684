package seal

import (
	"fmt"
	"testing"
)

func BenchmarkSeal(b *testing.B) {
	for _, suite := range suites {
		for _, n := range []int{4 << 10, MaxPlaintext(16 << 20)} {
			b.Run(fmt.Sprintf("suite=%d/%d", suite, n), func(b *testing.B) {
				k, plain := testKey(suite, 1), fill(n)
				dst := make([]byte, 0, SealedSize(n))
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := k.Seal(dst, plain); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, suite := range suites {
		for _, n := range []int{4 << 10, MaxPlaintext(16 << 20)} {
			b.Run(fmt.Sprintf("suite=%d/%d", suite, n), func(b *testing.B) {
				k := testKey(suite, 1)
				sealed, err := k.Seal(nil, fill(n))
				if err != nil {
					b.Fatal(err)
				}
				dst := make([]byte, 0, n)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := k.Open(dst, sealed); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkSealRecord is what a streaming writer does for each share.
func BenchmarkSealRecord(b *testing.B) {
	s, err := testKey(AES256GCM, 1).Sealer()
	if err != nil {
		b.Fatal(err)
	}
	plain := fill(Room(1))
	dst := make([]byte, 0, RecordSize)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.SealRecord(dst, 1, Inner, plain); err != nil {
			b.Fatal(err)
		}
	}
}
