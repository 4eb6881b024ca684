package metabase

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// churn makes some random changes of every kind.
func churn(t *testing.T, db *DB, rng *rand.Rand, n int) {
	t.Helper()
	ctx := context.Background()
	for range n {
		key := fmt.Sprintf("k%d", rng.IntN(12))
		var err error
		switch rng.IntN(7) {
		case 0:
			_, err = db.DeleteObject(ctx, "b", key, "", nil)
		case 1:
			put(t, db, inline("b", key, "content"))
		case 2:
			err = db.SetValue(ctx, key, []byte{byte(rng.Uint32())})
		case 3:
			err = db.CreateUpload(ctx, Upload{Bucket: "b", Key: key, ID: fmt.Sprint(rng.Uint64())})
		case 4:
			err = db.UpdateBucket(ctx, "b", func(b *Bucket) error { b.Policy = []byte(key); return nil })
		default:
			s := newSegment("b", rng.Uint64N(4), 4+rng.Uint64N(4))
			put(t, db, segmented("b", key, s), s)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// content is everything that a snapshot holds.
func content(t *testing.T, db *DB) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := db.Snapshot(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSnapshotAndDeltasRebuild holds INV-META-5 across backends: what one wrote
// the other rebuilds, first whole, then by deltas.
func TestSnapshotAndDeltasRebuild(t *testing.T) {
	ctx := context.Background()
	for _, way := range [][2]string{{"pebble", "postgres"}, {"postgres", "pebble"}} {
		t.Run(way[0]+" to "+way[1], func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			from := openDB(t, backends[way[0]](t))
			makeBucket(t, from, "b", VersioningEnabled)
			churn(t, from, rng, 30)
			to := openDB(t, backends[way[1]](t))
			if err := to.Restore(ctx, bytes.NewReader(content(t, from))); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				checkInvariants(t, to)
				since, err := to.Sequence(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(content(t, from), content(t, to)) {
					t.Fatalf("contents differ at sequence number %d", since)
				}
				churn(t, from, rng, 20)
				var delta bytes.Buffer
				upto, err := from.Changes(ctx, since, &delta)
				if err != nil {
					t.Fatal(err)
				}
				if err := to.Restore(ctx, &delta); err != nil {
					t.Fatalf("delta %d to %d: %v", since, upto, err)
				}
				if err := from.TrimChanges(ctx, since); err != nil {
					t.Fatal(err)
				}
			}
			// What was trimmed needs a full snapshot.
			if _, err := from.Changes(ctx, 1, io.Discard); !errors.Is(err, ErrTrimmed) {
				t.Errorf("Changes since a trimmed number: %v", err)
			}
			// The restored one goes on by itself.
			churn(t, to, rng, 10)
			checkInvariants(t, to)
		})
	}
}

func TestRestoreRefuses(t *testing.T) {
	ctx := context.Background()
	from := openDB(t, backends["pebble"](t))
	makeBucket(t, from, "b", Unversioned)
	for i := range 2500 { // several transactions
		put(t, from, inline("b", fmt.Sprint(i), "x"))
	}
	full := content(t, from)
	seq, err := from.Sequence(ctx)
	if err != nil {
		t.Fatal(err)
	}
	put(t, from, inline("b", "more", "x"))
	var delta bytes.Buffer
	if _, err := from.Changes(ctx, seq, &delta); err != nil {
		t.Fatal(err)
	}
	if err := from.Restore(ctx, bytes.NewReader(full)); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("full snapshot into a full metabase: %v", err)
	}
	if err := from.Restore(ctx, bytes.NewReader(delta.Bytes())); !errors.Is(err, ErrGap) {
		t.Errorf("delta onto another state: %v", err)
	}
	kv := backends["pebble"](t)
	to := openDB(t, kv)
	for name, bad := range map[string][]byte{
		"cut off":       full[:len(full)-40],
		"no digest":     full[:len(full)-32],
		"flipped bit":   flipped(full, len(full)/2),
		"flipped tail":  flipped(full, len(full)-1),
		"trailing byte": append(bytes.Clone(full), 0),
		"empty":         nil,
	} {
		err := to.Restore(ctx, bytes.NewReader(bad))
		var c *CorruptionError
		if !errors.As(err, &c) {
			t.Errorf("%s: %v, want a CorruptionError", name, err)
		}
		empty := true
		if err := kv.View(ctx, func(tx Tx) error {
			return tx.Scan([]byte{0}, nil, func(k, _ []byte) (Next, error) { empty = false; return Stop(), nil })
		}); err != nil {
			t.Fatal(err)
		}
		if !empty {
			t.Errorf("%s: rows are left behind", name)
		}
	}
	if err := to.Restore(ctx, bytes.NewReader(full)); err != nil {
		t.Fatalf("a good snapshot after bad ones: %v", err)
	}
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 4
	return b
}

// TestInterruptedRestoreIsUndone stops a restore as a crash would.
func TestInterruptedRestoreIsUndone(t *testing.T) {
	onBackends(t, func(t *testing.T, kv KV) {
		ctx := context.Background()
		from := openDB(t, backends["pebble"](t))
		makeBucket(t, from, "b", Unversioned)
		for i := range 1500 {
			put(t, from, inline("b", fmt.Sprint(i), "x"))
		}
		full := content(t, from)
		db := openDB(t, kv)
		err := db.kv.Update(ctx, func(tx Tx) error {
			for i := range 1200 {
				if err := tx.Set(bucketKey(fmt.Sprint(i)), nil); err != nil {
					return err
				}
			}
			return tx.Set(stateRestoring, nil)
		})
		if err != nil {
			t.Fatal(err)
		}
		db = openDB(t, kv)
		if err := db.Restore(ctx, bytes.NewReader(full)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(content(t, db), full) {
			t.Fatal("the restored content differs")
		}
	})
}

func FuzzRestore(f *testing.F) {
	kv := backends["pebble"](f)
	db := openDB(f, kv)
	makeBucket(f, db, "b", VersioningEnabled)
	s := newSegment("b", 1, 2)
	put(f, db, segmented("b", "k", s), s)
	put(f, db, inline("b", "k", "x"))
	var full, delta bytes.Buffer
	if _, err := db.Snapshot(context.Background(), &full); err != nil {
		f.Fatal(err)
	}
	if _, err := db.Changes(context.Background(), 1, &delta); err != nil {
		f.Fatal(err)
	}
	f.Add(full.Bytes())
	f.Add(delta.Bytes())
	f.Add(binary.AppendUvarint(append(full.Bytes()[:25:25], rowSet), 1<<40))
	f.Fuzz(func(t *testing.T, data []byte) {
		sr, err := newSnapshotReader(bytes.NewReader(data))
		for err == nil {
			var row snapshotRow
			if row, err = sr.next(); err == nil && row.key[0] == tableSegment {
				_ = index(row.key, row.value, func([]byte) error { return nil })
			}
		}
		var c *CorruptionError
		if !errors.Is(err, io.EOF) && !errors.As(err, &c) {
			t.Fatalf("reading gave %v, which says not where", err)
		}
	})
}

// FuzzRows reads arbitrary bytes as rows of every table.
func FuzzRows(f *testing.F) {
	f.Add(currentKey("b", "k"), []byte{0xA0})
	f.Add(versionKey("b", "k\x00", VersionID{1}), []byte{0xA1, 1, 2})
	f.Add(uploadKey("b", "k", "u"), []byte{0xBF, 0xFF})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if len(key) == 0 {
			return
		}
		if o, err := readObject(key, value); err == nil && strings.HasPrefix(string(key), string(currentKey(o.Bucket, o.Key))) {
			if _, err := encMode.Marshal(o); err != nil {
				t.Fatalf("a row that decodes does not encode: %v", err)
			}
		}
		_, _ = readUpload(key, value)
		var s Segment
		_ = decode("segment", value, &s)
		var b Bucket
		_ = decode("bucket", value, &b)
		_, _ = ParseVersionID(string(value))
	})
}
