package store

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/piece"
)

var benchSizes = []int{1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20}

func sizeName(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("size=%dMB", n>>20)
	}
	return fmt.Sprintf("size=%dKB", n>>10)
}

// BenchmarkCreate has the shape of the table in STORAGE.md: one goroutine without sync and hash, as
// Storj's own benchmark of hashstore does it, then what acknowledging takes: hash and shared sync.
func BenchmarkCreate(b *testing.B) {
	for _, mode := range []struct {
		name     string
		hashed   bool
		unsynced bool
		parallel int
	}{
		{"unsynced-unhashed", false, true, 0},
		{"synced-hashed", true, false, 0},
		{"synced-hashed-64", true, false, 64},
		{"unsynced-unhashed-8", false, true, 8},
	} {
		for _, size := range benchSizes {
			b.Run(mode.name+"/"+sizeName(size), func(b *testing.B) {
				s := openAt(b, b.TempDir(), func(c *Config) { c.Unsynced = mode.unsynced })
				data := content(1, size)
				root := piece.RootOf(data)
				var next atomic.Uint64
				create := func() error {
					w, err := s.Create(Key{1, id(next.Add(1))}, CreateOptions{Size: uint32(size)})
					if err != nil {
						return err
					}
					defer w.Abort()
					if _, err := w.Write(data); err != nil {
						return err
					}
					if mode.hashed {
						root = piece.RootOf(data)
					}
					_, err = w.Commit(root)
					return err
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				used := cpuTime(b)
				if mode.parallel > 0 {
					b.SetParallelism(mode.parallel / runtime.GOMAXPROCS(0))
					b.RunParallel(func(pb *testing.PB) {
						root := root
						for pb.Next() {
							w, err := s.Create(Key{1, id(next.Add(1))}, CreateOptions{Size: uint32(size)})
							if err == nil {
								_, err = w.Write(data)
							}
							if mode.hashed {
								root = piece.RootOf(data)
							}
							if err == nil {
								_, err = w.Commit(root)
							}
							if err != nil {
								b.Error(err)
								return
							}
						}
					})
				} else {
					for b.Loop() {
						if err := create(); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.StopTimer()
				b.ReportMetric(float64((cpuTime(b)-used).Microseconds())/float64(next.Load()), "cpu-us/op")
				b.ReportMetric(float64(next.Load())/b.Elapsed().Seconds(), "pieces/s")
				s.config.Unsynced = false
				s.abandon()
			})
		}
	}
}

// cachedFS writes everything through the operating system's cache.
type cachedFS struct{ FS }

func (c cachedFS) Open(name string, create bool) (File, error) {
	f, err := c.FS.Open(name, create)
	return cachedFile{f}, err
}

type cachedFile struct{ File }

func (f cachedFile) WriteDirect(p []byte, off int64) error {
	_, err := f.WriteAt(p, off)
	return err
}

// BenchmarkCache compares writing past the operating system's cache with writing through it, as
// eight writers do who share syncs, and shows what reading the same pieces afterwards costs.
func BenchmarkCache(b *testing.B) {
	for _, size := range []int{gatherSize + 1, 128 << 10, 256 << 10, 1 << 20} {
		for _, through := range []string{"past", "through"} {
			b.Run(fmt.Sprintf("size=%dKB/%s", size>>10, through), func(b *testing.B) {
				s := openAt(b, b.TempDir(), func(c *Config) {
					if through == "through" {
						c.FS = cachedFS{dirFS(c.Dir)}
					}
				})
				data := content(1, size)
				root := piece.RootOf(data)
				var next atomic.Uint64
				b.SetBytes(int64(size))
				b.SetParallelism(8 / runtime.GOMAXPROCS(0))
				b.ResetTimer()
				used := cpuTime(b)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						w, err := s.Create(Key{1, id(next.Add(1))}, CreateOptions{Size: uint32(size)})
						if err == nil {
							_, err = w.Write(data)
						}
						if err == nil {
							_, err = w.Commit(root)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.StopTimer()
				perGB := func(used time.Duration) float64 {
					return used.Seconds() / (float64(next.Load()) * float64(size) / 1e9)
				}
				b.ReportMetric(perGB(cpuTime(b)-used), "write-cpu-s/GB")
				used = cpuTime(b)
				for i := range next.Load() {
					r, err := s.Open(Key{1, id(i + 1)})
					require.NoError(b, err)
					require.NoError(b, r.Read(0, int64(size), func([]byte) error { return nil }))
					r.Close()
				}
				b.ReportMetric(perGB(cpuTime(b)-used), "read-cpu-s/GB")
				s.abandon()
			})
		}
	}
}

// BenchmarkRead reads whole pieces, with every block's checksum verified.
func BenchmarkRead(b *testing.B) {
	for _, parallel := range []bool{false, true} {
		for _, size := range benchSizes {
			name := "one/"
			if parallel {
				name = "parallel/"
			}
			b.Run(name+sizeName(size), func(b *testing.B) {
				s := openAt(b, b.TempDir(), func(c *Config) { c.Unsynced = true })
				n := uint64(max(64, min(2000, 64<<20/size)))
				for i := range n {
					_, err := s.Put(Key{1, id(i)}, content(i, size), CreateOptions{})
					require.NoError(b, err)
				}
				var next atomic.Uint64
				read := func() error {
					r, err := s.Open(Key{1, id(next.Add(1) % n)})
					if err != nil {
						return err
					}
					defer r.Close()
					return r.Read(0, int64(size), func([]byte) error { return nil })
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				used := cpuTime(b)
				if parallel {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if err := read(); err != nil {
								b.Error(err)
							}
						}
					})
				} else {
					for b.Loop() {
						if err := read(); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64((cpuTime(b)-used).Microseconds())/float64(next.Load()), "cpu-us/op")
				b.ReportMetric(float64(next.Load())/b.Elapsed().Seconds(), "pieces/s")
				s.abandon()
			})
		}
	}
}

// BenchmarkList describes all pieces of a lease, as the building of a tree does.
func BenchmarkList(b *testing.B) {
	for _, size := range []int{2 << 10, 16 << 10, 1 << 20} {
		b.Run(sizeName(size), func(b *testing.B) {
			s := openAt(b, b.TempDir(), func(c *Config) { c.Unsynced = true })
			n := uint64(max(64, min(2000, 64<<20/size)))
			for i := range n {
				_, err := s.Put(Key{1, id(i)}, content(i, size), CreateOptions{})
				require.NoError(b, err)
			}
			used := cpuTime(b)
			rounds := 0
			for b.Loop() {
				list, _, err := s.List(b.Context(), nil, 1, piece.ID{}, int(n))
				if err != nil || uint64(len(list)) != n {
					b.Fatal(len(list), err)
				}
				rounds++
			}
			b.ReportMetric(float64((cpuTime(b)-used).Nanoseconds())/float64(rounds)/float64(n), "cpu-ns/piece")
			s.abandon()
		})
	}
}

// BenchmarkRestart opens a store of a million pieces: through its checkpoint and a tail of 50,000
// records, and without any checkpoint.
func BenchmarkRestart(b *testing.B) {
	if os.Getenv("CAIRN_STORE_MILLION") == "" {
		b.Skip("set CAIRN_STORE_MILLION=1")
	}
	const pieces, tail = 1_000_000, 50_000
	dir := b.TempDir()
	s := openAt(b, dir, func(c *Config) { c.Unsynced = true })
	var wg sync.WaitGroup
	put := func(from, to uint64) {
		for g := range uint64(4) {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := from + g; i < to; i += 4 {
					if _, err := s.Put(Key{i % 20, id(i)}, content(i, 1024), CreateOptions{}); err != nil {
						b.Error(err)
						return
					}
				}
			}()
		}
		wg.Wait()
	}
	put(0, pieces-tail)
	require.NoError(b, s.Checkpoint())
	put(pieces-tail, pieces)
	s.abandon()
	for b.Loop() {
		start, used := time.Now(), cpuTime(b)
		s, err := OpenStore(Config{Dir: dir, MinFree: 1})
		require.NoError(b, err)
		b.ReportMetric((cpuTime(b) - used).Seconds(), "cpu-s/first-open")
		b.ReportMetric(time.Since(start).Seconds(), "s/first-open")
		st, err := s.Stats()
		require.NoError(b, err)
		require.EqualValues(b, pieces, st.Pieces)
		debug.FreeOSMemory() // as the node does after opening
		b.ReportMetric(float64(resident(b))/1e6, "MB-resident")
		require.NoError(b, s.Close())
		start = time.Now()
		s, err = OpenStore(Config{Dir: dir, MinFree: 1})
		require.NoError(b, err)
		b.ReportMetric(time.Since(start).Seconds(), "s/clean-open")
		require.NoError(b, s.Close())
		names, err := dirFS(dir).ReadDir(".")
		require.NoError(b, err)
		for _, n := range numbered(names, "checkpoint-") {
			require.NoError(b, os.Remove(dir+"/"+checkpointName(n)))
		}
		start = time.Now()
		s, err = OpenStore(Config{Dir: dir, MinFree: 1})
		require.NoError(b, err)
		b.ReportMetric(time.Since(start).Seconds(), "s/rebuild")
		require.NoError(b, s.Close())
	}
}

// cpuTime is what this process has used of the processor, which neighbours change less than time.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func resident(b *testing.B) (bytes uint64) {
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(b, err)
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
			require.NoError(b, err)
			return kb << 10
		}
	}
	return 0
}
