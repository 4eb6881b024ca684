package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/piece"
)

// modelPiece is what a naive store would hold.
type modelPiece struct {
	seed   uint64
	size   int
	expiry int64
}

// model drives a store and a map side by side.
type model struct {
	fs      *memFS
	s       *Store
	now     int64
	held    map[Key]modelPiece   // acknowledged
	doubt   map[Key][]modelPiece // after a crash, instead of what held says, perhaps one of these
	gone    map[Key]bool         // after a crash perhaps deleted
	dropped map[uint64]bool      // leases whose drop failed
	seeds   uint64
	faults  bool
}

func (m *model) open(t *rapid.T) {
	s, err := OpenStore(Config{
		FS: m.fs, MinFree: 1, LogSize: 200 << 10, Now: func() time.Time { return time.Unix(m.now, 0) },
	})
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	m.s = s
}

func (m *model) expired(p modelPiece) bool { return p.expiry != 0 && p.expiry <= m.now }

// check compares one key.
func (m *model) check(t *rapid.T, k Key) {
	want, ok := m.held[k]
	if ok && m.expired(want) {
		ok = false
	}
	got, info, err := m.s.Get(k)
	switch {
	case !ok && errors.Is(err, ErrNotFound):
	case !ok:
		t.Fatalf("piece %s: want none, got %d bytes, %v", k, len(got), err)
	case err != nil:
		t.Fatalf("piece %s: %v", k, err)
	case !bytes.Equal(got, content(want.seed, want.size)) || info.Root != piece.RootOf(got) || info.Expiry != want.expiry:
		t.Fatalf("piece %s: wrong content", k)
	}
}

// settle finds out, after a reopening, how operations of unknown outcome ended.
func (m *model) settle(t *rapid.T) {
	keys := map[Key]bool{}
	for k := range m.held {
		keys[k] = true
	}
	for k := range m.doubt {
		keys[k] = true
	}
	for k := range keys {
		got, _, err := m.s.Get(k)
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatalf("after a crash, piece %s: %v", k, err)
		}
		var now *modelPiece
		candidates := m.doubt[k]
		if h, ok := m.held[k]; ok {
			candidates = append(slices.Clone(candidates), h)
		}
		for _, c := range candidates {
			if err == nil && bytes.Equal(got, content(c.seed, c.size)) {
				now = &c
			}
		}
		h, held := m.held[k]
		lost := m.gone[k] || m.dropped[k.Lease]
		switch {
		case err == nil && now == nil:
			t.Fatalf("after a crash, piece %s has bytes that nobody wrote", k)
		case err == nil:
			m.held[k] = *now
		case held && !m.expired(h) && !lost:
			t.Fatalf("after a crash, acknowledged piece %s is lost", k)
		case held && lost:
			delete(m.held, k)
		}
	}
	m.doubt, m.gone, m.dropped = map[Key][]modelPiece{}, map[Key]bool{}, map[uint64]bool{}
}

// counters compares every counter with what the model and the files say (INV-STORE-6).
func (m *model) counters(t *rapid.T) {
	st, err := m.s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	var pieces, size, live int64
	for _, p := range m.held {
		if m.expired(p) {
			continue
		}
		pieces++
		size += int64(p.size)
		live += packed.extent(uint32(p.size))
	}
	if st.Pieces < pieces || st.PieceBytes < size || st.LiveBytes+st.TrashBytes < live {
		t.Fatalf("stats %+v, want at least %d pieces of %d bytes, %d live", st, pieces, size, live)
	}
	walked := map[uint32]int64{}
	var walkedPieces int64
	m.s.table.walk(0, 0, func(e entry) bool {
		walked[e.log] += m.s.log(e.log).shape.extent(e.bytes())
		walkedPieces++
		return true
	})
	if walkedPieces != st.Pieces {
		t.Fatalf("%d pieces in the index, %d counted", walkedPieces, st.Pieces)
	}
	var disk, dead int64
	for id, l := range m.s.logs {
		tail, pending, _, _ := l.state()
		if pending != 0 || l.live.Load() != walked[id] {
			t.Fatalf("log %d: %d live counted, %d in the index, %d pending", id, l.live.Load(), walked[id], pending)
		}
		disk += tail
		dead += tail - l.shape.start() - walked[id]
	}
	if st.DiskBytes != disk || st.DeadBytes != dead || m.s.disk.Load() != disk || m.s.incoming.Load() != 0 || dead < 0 {
		t.Fatalf("stats %+v, booked %d, incoming %d; want %d on disk, %d dead", st, m.s.disk.Load(), m.s.incoming.Load(), disk, dead)
	}
}

// crowd makes a store stream larger pieces as if n others were being gathered, until it is undone.
func crowd(s *Store, n int) (undo func()) {
	for range n {
		s.gathers <- struct{}{}
	}
	return func() {
		for range n {
			<-s.gathers
		}
	}
}

// TestModel lets a store and a map run side by side through writes, deletions, compactions,
// restarts, power cuts and faults of the disk.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{fs: newMemFS(), now: 1_800_000_000, held: map[Key]modelPiece{}, doubt: map[Key][]modelPiece{}, gone: map[Key]bool{}, dropped: map[uint64]bool{}}
		m.open(t)
		key := rapid.Custom(func(t *rapid.T) Key {
			return Key{uint64(rapid.IntRange(1, 3).Draw(t, "lease")), id(uint64(rapid.IntRange(0, 12).Draw(t, "id")))}
		})
		sizes := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, 40_000), rapid.IntRange(60_000, 150_000))
		put := func(t *rapid.T, abort bool) {
			k := key.Draw(t, "key")
			m.seeds++
			p := modelPiece{seed: m.seeds, size: sizes.Draw(t, "size")}
			if rapid.IntRange(0, 4).Draw(t, "expires") == 0 {
				p.expiry = m.now + int64(rapid.IntRange(1, 3*7*24*3600).Draw(t, "in"))
			}
			until := m.now + int64(rapid.SampledFrom([]int{0, 1e6, 2e6}).Draw(t, "until"))
			if rapid.Bool().Draw(t, "crowded") {
				defer crowd(m.s, wholeGathers)()
			}
			w, err := m.s.Create(k, CreateOptions{Size: uint32(p.size), Expiry: p.expiry, Until: until})
			if h, ok := m.held[k]; ok && !m.expired(h) {
				if !errors.Is(err, ErrExists) {
					t.Fatalf("creating %s twice: %v", k, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("creating %s: %v", k, err)
			}
			data := content(p.seed, p.size)
			rest := data
			for len(rest) > 0 && err == nil {
				n := min(len(rest), rapid.IntRange(1, 70_000).Draw(t, "part"))
				if abort && rapid.Bool().Draw(t, "now") {
					w.Abort()
					return
				}
				_, err = w.Write(rest[:n])
				rest = rest[n:]
			}
			if abort {
				w.Abort()
				return
			}
			if err == nil {
				_, err = w.Commit(piece.RootOf(data))
			}
			w.Abort()
			switch {
			case err == nil:
				m.held[k] = p
				delete(m.doubt, k)
				delete(m.gone, k)
			case m.faults:
				m.doubt[k] = append(m.doubt[k], p)
			default:
				t.Fatalf("putting %s: %v", k, err)
			}
		}
		reopen := func(t *rapid.T, fs *memFS) {
			m.fs = fs
			m.faults = false
			m.open(t)
			m.settle(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"put":   func(t *rapid.T) { put(t, false) },
			"put2":  func(t *rapid.T) { put(t, false) },
			"abort": func(t *rapid.T) { put(t, true) },
			"get":   func(t *rapid.T) { m.check(t, key.Draw(t, "key")) },
			"delete": func(t *rapid.T) {
				k := key.Draw(t, "key")
				other := key.Draw(t, "other")
				_, err := m.s.Delete(k.Lease, []piece.ID{k.ID, other.ID})
				for _, d := range []Key{k, {k.Lease, other.ID}} {
					if err == nil {
						delete(m.held, d)
						delete(m.doubt, d)
						delete(m.gone, d)
					} else if m.faults {
						if _, _, gerr := m.s.Get(d); errors.Is(gerr, ErrNotFound) {
							// Gone for now; the model follows when the store is opened again.
							if h, ok := m.held[d]; ok {
								m.doubt[d] = append(m.doubt[d], h)
								delete(m.held, d)
							}
						} else {
							m.gone[d] = true
						}
					} else {
						t.Fatalf("deleting: %v", err)
					}
				}
			},
			"drop": func(t *rapid.T) {
				lease := uint64(rapid.IntRange(1, 3).Draw(t, "lease"))
				if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
					if err := m.s.Trash(lease); err != nil && !m.faults {
						t.Fatal(err)
					}
					return
				}
				if err := m.s.Drop(lease); err != nil {
					if !m.faults {
						t.Fatal(err)
					}
					m.dropped[lease] = true
					return
				}
				for k := range m.held {
					if k.Lease == lease {
						delete(m.held, k)
					}
				}
				for k := range m.doubt {
					if k.Lease == lease {
						delete(m.doubt, k)
					}
				}
			},
			"checkpoint": func(t *rapid.T) {
				if err := m.s.Checkpoint(); err != nil && !m.faults {
					t.Fatal(err)
				}
			},
			"compact": func(t *rapid.T) {
				if err := m.s.Tidy(context.Background()); err != nil && !m.faults {
					t.Fatal(err)
				}
			},
			"time": func(t *rapid.T) { m.now += int64(rapid.IntRange(1, 5*24*3600).Draw(t, "seconds")) },
			"restart": func(t *rapid.T) {
				if err := m.s.Close(); err != nil && !m.faults {
					t.Fatal(err)
				}
				m.fs.fault = nil
				m.fs.locked = false
				reopen(t, m.fs)
			},
			"kill": func(t *rapid.T) {
				// The process goes, the machine stays: the next one sees what was never synced.
				m.fs.fault = nil
				m.fs.locked = false
				reopen(t, m.fs)
			},
			"power cut": func(t *rapid.T) {
				seed := rapid.Uint64().Draw(t, "seed")
				reopen(t, m.fs.crash(rand.New(rand.NewPCG(seed, 0))))
			},
			"lose checkpoints": func(t *rapid.T) {
				// Not after deletions that only a checkpoint knows: those come back, as documented.
				if rapid.IntRange(0, 3).Draw(t, "really") > 0 || m.faults {
					return
				}
				if err := m.s.Close(); err != nil {
					t.Fatal(err)
				}
				names, _ := m.fs.ReadDir(".")
				bit := rapid.Uint32().Draw(t, "bit")
				for _, n := range names {
					if b := m.fs.files[n].data; strings.HasPrefix(n, "checkpoint-") && len(b) > 0 {
						b[int(bit/8)%len(b)] ^= 1 << (bit % 8)
					}
				}
				m.open(t)
				for k, h := range m.held {
					if !m.expired(h) {
						m.check(t, k)
					}
				}
				// What was deleted before may be back.
				for lease := range 4 {
					for n := range 13 {
						k := Key{uint64(lease), id(uint64(n))}
						if h, ok := m.held[k]; !ok || m.expired(h) {
							delete(m.held, k)
							if _, err := m.s.Delete(k.Lease, []piece.ID{k.ID}); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
				m.doubt = map[Key][]modelPiece{}
			},
			"fault": func(t *rapid.T) {
				after := rapid.IntRange(0, 6).Draw(t, "after")
				which := rapid.SampledFrom([]string{"write", "sync", "truncate", "open", "syncdir", "rename"}).Draw(t, "which")
				err := rapid.SampledFrom([]error{syscall.EIO, syscall.ENOSPC}).Draw(t, "error")
				m.faults = true
				m.fs.fault = func(op, name string) error {
					if op != which {
						return nil
					}
					if after--; after >= 0 {
						return nil
					}
					m.fs.fault = nil // once
					return fmt.Errorf("%s %s: %w", op, name, err)
				}
			},
			"": func(t *rapid.T) {
				for k := range m.held {
					m.check(t, k)
					break
				}
				m.counters(t)
			},
		})
		for k := range m.held {
			m.check(t, k)
		}
	})
}
