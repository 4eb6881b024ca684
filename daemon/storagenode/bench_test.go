package storagenode_test

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/daemon/storagenode/nodetest"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// BenchmarkNode is a client and a whole node: TLS, hash, log, shared fdatasync, signed and checked
// receipt; and reads with checksums. CPU time is that of both ends.
func BenchmarkNode(b *testing.B) {
	for _, what := range []string{"put", "get"} {
		for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", what, size>>10), func(b *testing.B) {
				chain := nodetest.NewChain(clock.System{})
				session := nodetest.Key(1)
				chain.Open(5, public(session), nodetest.Terms{Units: 1 << 40}, 9)
				p := nodetest.Start(b, chain, 9)
				c, err := p.Dial(context.Background(), 5, session, wire.Options{})
				require.NoError(b, err)
				defer c.Close()
				data := random(1, size)
				root := piece.RootOf(data)
				ctx := context.Background()
				const held = 64
				for i := range uint64(held) {
					_, err := c.PutBytes(ctx, pieceID(i), 0, &root, data)
					require.NoError(b, err)
				}
				const workers = 32
				var next atomic.Uint64
				done := make(chan error, workers)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				before := cpuTime(b)
				for range workers {
					go func() {
						for {
							n := next.Add(1)
							if n > uint64(b.N) {
								done <- nil
								return
							}
							var err error
							if what == "put" {
								id := piece.ID{1: 1, 2: byte(n), 3: byte(n >> 8), 4: byte(n >> 16), 5: byte(n >> 24)}
								_, err = c.PutBytes(ctx, id, 0, &root, data)
							} else {
								_, err = c.Get(ctx, pieceID(n%held), 0, int64(size), io.Discard)
							}
							if err != nil {
								done <- err
								return
							}
						}
					}()
				}
				for range workers {
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

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
