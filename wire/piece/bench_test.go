package piece

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/voucher"
)

// sink takes and gives bytes and does nothing else: no disk, no hash, one signature for all. What
// remains is the protocol.
type sink struct {
	zeros   []byte
	receipt piece.SignedReceipt
}

func (s *sink) Admit(context.Context, Hello, []byte, Client) (Service, Terms, error) {
	return s, Terms{Time: time.Now(), MaxPiece: piece.MaxSize, Credit: 1 << 40}, nil
}

func (s *sink) Put(ctx context.Context, h PutHeader, body *Body) (piece.SignedReceipt, error) {
	for {
		if _, err := body.Next(ctx); errors.Is(err, io.EOF) {
			return s.receipt, nil
		} else if err != nil {
			return s.receipt, err
		}
	}
}

func (s *sink) Get(ctx context.Context, _ piece.ID, _, n uint32, out *Download) error {
	if err := out.Begin(ctx, Info{Size: n}); err != nil {
		return err
	}
	for n > 0 {
		part := min(n, DataSize)
		if err := out.Write(ctx, s.zeros[:part]); err != nil {
			return err
		}
		n -= part
	}
	return nil
}

func (s *sink) Delete(context.Context, []piece.SignedRelease) error         { return nil }
func (s *sink) Ask(context.Context, uint64, uint32) ([]byte, error)         { return nil, nil }
func (s *sink) Inclusion(context.Context, piece.ID, uint64) ([]byte, error) { return nil, nil }
func (s *sink) Stat(context.Context, piece.ID) (Info, error)                { return Info{}, nil }
func (s *sink) Voucher(context.Context, voucher.Signed) error               { return nil }
func (s *sink) Close()                                                      {}
func (s *sink) List(context.Context, []Listed, piece.ID, int) ([]Listed, bool, error) {
	return nil, false, nil
}

func (s *sink) Challenge(context.Context, piece.ID, uint32) ([]byte, piece.Proof, error) {
	return nil, piece.Proof{}, nil
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWire measures CPU time of both ends together, as the table in research/storage.md does:
// per request for 4 KiB, per byte for 1 MiB. The client checks the signature of every receipt, which
// is most of a small put; BenchmarkReceipt says how much.
func BenchmarkWire(b *testing.B) {
	data := random(1, piece.MaxSize)
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		for _, what := range []string{"put", "get"} {
			for _, parallel := range []int{1, 8} {
				b.Run(fmt.Sprintf("%s/%dKiB/streams=%d", what, size>>10, parallel), func(b *testing.B) {
					s := &sink{zeros: make([]byte, DataSize)}
					id := piece.ID{1}
					root := piece.RootOf(data[:size])
					s.receipt = piece.SignReceipt(deviceKey, piece.Receipt{
						ChainID: testChain, Lease: testLease, Device: testDevice, ID: id,
						Root: root, Size: uint32(size), Expiry: time.Now().Unix() + 9999, IssuedAt: time.Now().Unix(),
					})
					address, _ := start(b, s)
					c := dialTest(b, address, Options{MaxSkew: time.Hour})
					var left atomic.Int64
					left.Store(int64(b.N))
					done := make(chan error, parallel)
					b.SetBytes(int64(size))
					b.ReportAllocs()
					b.ResetTimer()
					before := cpuTime(b)
					for range parallel {
						go func() {
							ctx := context.Background()
							for left.Add(-1) >= 0 {
								var err error
								if what == "put" {
									_, err = c.PutBytes(ctx, id, 0, &root, data[:size])
								} else {
									_, err = c.Get(ctx, id, 0, int64(size), io.Discard)
								}
								if err != nil {
									done <- err
									return
								}
							}
							done <- nil
						}()
					}
					for range parallel {
						require.NoError(b, <-done)
					}
					cpu := cpuTime(b) - before
					b.StopTimer()
					b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-us/op")
					b.ReportMetric(float64(b.N)*float64(size)/1e6/cpu.Seconds(), "MB/cpu-s")
				})
			}
		}
	}
}

// BenchmarkReceipt is the part of a put that signatures cost.
func BenchmarkReceipt(b *testing.B) {
	r := piece.Receipt{ChainID: testChain, Lease: testLease, Device: testDevice, Size: 5, Expiry: 9999, IssuedAt: 5}
	signed := piece.SignReceipt(deviceKey, r)
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			piece.SignReceipt(deviceKey, r)
		}
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if err := signed.Verify(public(deviceKey)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
