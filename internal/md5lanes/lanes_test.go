package md5lanes

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ways are a group as this processor runs it, and one without lanes.
var ways = map[string]func(*Group){
	"chosen": func(*Group) {},
	"none":   func(g *Group) { g.once.Do(func() {}) },
}

func random(seed uint64, size int) []byte {
	b := make([]byte, size)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// TestSumsAreThoseOfMD5 runs more streams than lanes through a group, of lengths around every border,
// in writes of all sizes, side by side, and compares each with crypto/md5, also half-way.
func TestSumsAreThoseOfMD5(t *testing.T) {
	lengths := []int{
		0, 1, 63, 64, 700_001, joinAfter - 1, joinAfter, joinAfter + 17, joinAfter + 63,
		joinAfter + slotSize, joinAfter + slotSize + 1, 3 << 20,
	}
	for name, set := range ways {
		t.Run(name, func(t *testing.T) {
			g := new(Group)
			set(g)
			var running sync.WaitGroup
			for i := range 2 * Lanes {
				running.Go(func() {
					r := rand.New(rand.NewPCG(uint64(i), 1))
					for round := range 4 {
						data := random(uint64(i*10+round), lengths[r.IntN(len(lengths))])
						h := g.New()
						for at := 0; at < len(data); {
							n := min(len(data)-at, 1+r.IntN(1<<(1+r.IntN(18))))
							written, err := h.Write(data[at : at+n])
							if err != nil || written != n {
								t.Errorf("wrote %d of %d: %v", written, n, err)
							}
							at += n
							if r.IntN(50) == 0 {
								if want := md5.Sum(data[:at]); !bytes.Equal(h.Sum(nil), want[:]) {
									t.Errorf("stream %d: wrong after %d bytes", i, at)
								}
							}
						}
						want := md5.Sum(data)
						if got := h.Sum([]byte("x")); !bytes.Equal(got, append([]byte("x"), want[:]...)) {
							t.Errorf("stream %d of %d bytes: %x, want %x", i, len(data), got[1:], want)
						}
						h.Close()
					}
				})
			}
			running.Wait()
			for i := range g.lanes {
				require.Equal(t, lane{}, g.lanes[i], "a lane was not given back")
			}
		})
	}
}

// TestKernel compares single calls with crypto/md5.
func TestKernel(t *testing.T) {
	if blocks := together(); blocks != nil {
		for _, n := range []int{1, 2, 5, slotSize / md5.BlockSize} {
			slots := random(uint64(n), Lanes*slotSize)
			var state [4][Lanes]uint32
			words, _, _, ok := dissect(md5.New())
			require.True(t, ok, "crypto/md5 has changed its layout: lanes are never used")
			for w := range state {
				for i := range state[w] {
					state[w][i] = words[w]
				}
			}
			blocks(&state, &slots[0], n)
			for i := range Lanes {
				d := md5.New()
				_, _ = d.Write(slots[i*slotSize : i*slotSize+n*md5.BlockSize])
				want, _, _, _ := dissect(d)
				require.Equal(t, want, [4]uint32{state[0][i], state[1][i], state[2][i], state[3][i]}, "lane %d of %d blocks", i, n)
			}
		}
	}
}

// BenchmarkUploads is the CPU time of a byte of several uploads side by side, against crypto/md5.
func BenchmarkUploads(b *testing.B) {
	const size = 32 << 20
	data := random(1, 64<<10)
	for _, streams := range []int{1, 2, 4, 8} {
		for name, set := range ways {
			b.Run(fmt.Sprintf("streams=%d/%s", streams, name), func(b *testing.B) {
				b.SetBytes(int64(streams) * size)
				used := cpuTime(b)
				for b.Loop() {
					g := new(Group)
					set(g)
					var running sync.WaitGroup
					for range streams {
						running.Go(func() {
							h := g.New()
							defer h.Close()
							for at := 0; at < size; at += len(data) {
								_, _ = h.Write(data)
							}
							h.Sum(nil)
						})
					}
					running.Wait()
				}
				b.ReportMetric((cpuTime(b)-used).Seconds()*1e9/float64(b.N*streams*size), "cpu-s/GB")
			})
		}
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
