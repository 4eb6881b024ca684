package metabase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase/pgtest"
)

// backends opens a fresh, empty store of every kind.
var backends = map[string]func(testing.TB) KV{
	"pebble": func(t testing.TB) KV {
		kv, err := newPebbleKV("meta", PebbleOptions{FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { kv.Close() })
		return kv
	},
	"postgres": func(t testing.TB) KV {
		kv, err := newPostgresKV(context.Background(), pgtest.New(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { kv.Close() })
		return kv
	},
}

// onBackends runs a test against every kind of store.
func onBackends(t *testing.T, fn func(*testing.T, KV)) {
	for _, name := range slices.Sorted(maps.Keys(backends)) {
		t.Run(name, func(t *testing.T) { fn(t, backends[name](t)) })
	}
}

func collect(t require, tx Tx, start, end []byte) (got []string) {
	err := tx.Scan(start, end, func(k, v []byte) (Next, error) {
		got = append(got, string(k)+"="+string(v))
		return Continue(), nil
	})
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return got
}

// require is what testing.T and rapid.T have in common.
type require interface{ Fatalf(string, ...any) }

func TestKVReadsItsOwnWritesAndUndoesErrors(t *testing.T) {
	onBackends(t, func(t *testing.T, kv KV) {
		ctx := context.Background()
		boom := errors.New("boom")
		err := kv.Update(ctx, func(tx Tx) error {
			for i := range 2500 {
				if err := tx.Set(fmt.Appendf(nil, "k%04d", i), []byte{byte(i)}); err != nil {
					return err
				}
			}
			if got := collect(t, tx, []byte("k"), []byte("l")); len(got) != 2500 {
				t.Errorf("a scan saw %d of 2500 rows of its own transaction", len(got))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// Writes before and after a scan in the same failing update both vanish.
		err = kv.Update(ctx, func(tx Tx) error {
			if err := tx.Set([]byte("a"), []byte("1")); err != nil {
				return err
			}
			if err := tx.Delete([]byte("k0000")); err != nil {
				return err
			}
			if got := collect(t, tx, nil, []byte("k0002")); !slices.Equal(got, []string{"a=1", "k0001=\x01"}) {
				t.Errorf("scan within an update gave %q", got)
			}
			if err := tx.Set([]byte("b"), nil); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatalf("Update returned %v, want the function's own error", err)
		}
		err = kv.View(ctx, func(tx Tx) error {
			if got := collect(t, tx, nil, []byte("k0002")); !slices.Equal(got, []string{"k0000=\x00", "k0001=\x01"}) {
				t.Errorf("after a failed update: %q", got)
			}
			if err := tx.Set([]byte("x"), nil); !errors.Is(err, errReadOnly) {
				t.Errorf("Set in a View gave %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestKVSeekSkips(t *testing.T) {
	onBackends(t, func(t *testing.T, kv KV) {
		ctx := context.Background()
		err := kv.Update(ctx, func(tx Tx) error {
			for i := range 3000 {
				if err := tx.Set(fmt.Appendf(nil, "%04d", i), nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		err = kv.View(ctx, func(tx Tx) error {
			return tx.Scan([]byte("0000"), nil, func(k, _ []byte) (Next, error) {
				got = append(got, string(k))
				switch string(k) {
				case "0002":
					return Seek([]byte("0003")), nil
				case "0003":
					return Seek([]byte("1500x")), nil
				case "1501":
					return Seek([]byte("2999")), nil
				case "2999":
					return Stop(), nil
				}
				return Continue(), nil
			})
		})
		want := []string{"0000", "0001", "0002", "0003", "1501", "2999"}
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	})
}

// TestKVUpdatesDoNotOverlap counts in one row from many goroutines: a lost
// update would lose a count.
func TestKVUpdatesDoNotOverlap(t *testing.T) {
	onBackends(t, func(t *testing.T, kv KV) {
		ctx := context.Background()
		const workers, each = 16, 25
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for i := range each {
					err := kv.Update(ctx, func(tx Tx) error {
						n, err := number(tx, []byte("count"))
						if err != nil {
							return err
						}
						if err := setNumber(tx, []byte("count"), n+1); err != nil {
							return err
						}
						if i%5 == 0 { // every fifth fails and must leave no trace
							return errKey
						}
						return nil
					})
					if err != nil && !errors.Is(err, errKey) {
						t.Errorf("Update: %v", err)
					}
				}
			})
		}
		wg.Wait()
		err := kv.View(ctx, func(tx Tx) error {
			n, err := number(tx, []byte("count"))
			if n != workers*each*4/5 {
				t.Errorf("counted %d, want %d", n, workers*each*4/5)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestKVClosed(t *testing.T) {
	onBackends(t, func(t *testing.T, kv KV) {
		if err := kv.Close(); err != nil {
			t.Fatal(err)
		}
		nothing := func(Tx) error { return nil }
		if err := kv.View(context.Background(), nothing); !errors.Is(err, errClosed) {
			t.Errorf("View after Close: %v", err)
		}
		if err := kv.Update(context.Background(), nothing); !errors.Is(err, errClosed) {
			t.Errorf("Update after Close: %v", err)
		}
		if err := kv.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

// TestKVModel compares a store with a map under random updates, some of which
// fail half-way.
func TestKVModel(t *testing.T) {
	onBackends(t, func(t *testing.T, kv KV) {
		ctx := context.Background()
		round := 0
		rapid.Check(t, func(t *rapid.T) {
			round++
			prefix := fmt.Sprintf("%06d/", round)
			model := map[string]string{}
			key := rapid.StringMatching(`[ab\x00\xff]{0,4}`)
			for range rapid.IntRange(1, 8).Draw(t, "updates") {
				next := maps.Clone(model)
				fails := rapid.Bool().Draw(t, "fails")
				steps := rapid.IntRange(1, 8).Draw(t, "steps")
				err := kv.Update(ctx, func(tx Tx) error {
					for range steps {
						k := prefix + key.Draw(t, "key")
						switch rapid.IntRange(0, 3).Draw(t, "step") {
						case 0:
							v := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "value")
							next[k] = string(v)
							if err := tx.Set([]byte(k), v); err != nil {
								return err
							}
						case 1:
							delete(next, k)
							if err := tx.Delete([]byte(k)); err != nil {
								return err
							}
						case 2:
							v, err := tx.Get([]byte(k))
							want, ok := next[k]
							if err != nil || (v != nil) != ok || string(v) != want {
								t.Fatalf("Get(%q) = %q, %v; want %q, %v", k, v, err, want, ok)
							}
						case 3:
							compare(t, tx, prefix, next)
						}
					}
					if fails {
						return errKey
					}
					return nil
				})
				if fails != errors.Is(err, errKey) || err != nil && !fails {
					t.Fatalf("Update: %v", err)
				}
				if !fails {
					model = next
				}
				if err := kv.View(ctx, func(tx Tx) error { compare(t, tx, prefix, model); return nil }); err != nil {
					t.Fatalf("View: %v", err)
				}
			}
		})
	})
}

func compare(t require, tx Tx, prefix string, model map[string]string) {
	var want []string
	for _, k := range slices.Sorted(maps.Keys(model)) {
		want = append(want, k+"="+model[k])
	}
	if got := collect(t, tx, []byte(prefix), after([]byte(prefix))); !slices.Equal(got, want) {
		t.Fatalf("rows are %q, want %q", got, want)
	}
}

// TestStringOrder holds that encoded strings sort like strings, and read back.
func TestStringOrder(t *testing.T) {
	gen := rapid.StringMatching(`[a\x00\x01\xff]{0,5}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		ka, kb := appendString(nil, a), appendString(nil, b)
		if bytes.Compare(ka, kb) != cmp(a, b) {
			t.Fatalf("%q and %q sort differently from %x and %x", a, b, ka, kb)
		}
		got, rest, err := takeString(append(ka, kb...))
		if err != nil || got != a || !bytes.Equal(rest, kb) {
			t.Fatalf("takeString gave %q, %x, %v", got, rest, err)
		}
	})
}

func cmp(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
