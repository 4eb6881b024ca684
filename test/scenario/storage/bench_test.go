package storage_test

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkPutGet moves 256 MiB at 8/14/20 through 24 real nodes on loopback, all in this process:
// both ends of every connection, every disk write, and the comparison of what comes back.
func BenchmarkPutGet(b *testing.B) {
	const size = 256 << 20
	r := newRig(b, 24)
	measure := func(b *testing.B, op func()) {
		b.SetBytes(size)
		before := cpu()
		b.ResetTimer()
		for b.Loop() {
			op()
		}
		b.ReportMetric((cpu()-before).Seconds()/float64(b.N)/size*1e9, "cpu-s/GB")
	}
	var o object
	b.Run("put", func(b *testing.B) {
		measure(b, func() {
			var err error
			o, err = r.store(b.Context(), "small-net", size)
			require.NoError(b, err)
		})
	})
	b.Run("get", func(b *testing.B) {
		measure(b, func() { require.NoError(b, r.check(b.Context(), o)) })
	})
}

// BenchmarkSmall stores objects of 64 KiB, 64 side by side, through 12 nodes.
func BenchmarkSmall(b *testing.B) {
	r := newRig(b, 12)
	before := cpu()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, err := r.store(b.Context(), "", 64<<10)
			require.NoError(b, err)
		}
	})
	b.ReportMetric((cpu()-before).Seconds()*1e3/float64(b.N), "cpu-ms/op")
}

// TestMemoryStaysFlat holds that the engine's memory does not grow with the object: the heap while
// 512 MiB run through is no larger than the budget and what the nodes, in this process, take.
func TestMemoryStaysFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("moves half a gigabyte")
	}
	r := newRig(t, 12)
	var most atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		var m runtime.MemStats
		for {
			select {
			case <-ticker.C:
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapInuse))
			case <-stop:
				return
			}
		}
	}()
	o, err := r.store(t.Context(), "dev", 512<<20)
	require.NoError(t, err)
	require.NoError(t, r.check(t.Context(), o))
	close(stop)
	<-done
	const nodes = 12 * 8 << 20
	require.Less(t, most.Load(), uint64(150<<20+nodes))
	t.Logf("largest heap, nodes included: %d MiB", most.Load()>>20)
}

// cpu is the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
