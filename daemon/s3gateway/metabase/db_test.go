package metabase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/piece"
)

func openDB(t testing.TB, kv KV, opts ...Option) *DB {
	t.Helper()
	db, err := New(context.Background(), kv, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func onDatabases(t *testing.T, fn func(*testing.T, *DB)) {
	onBackends(t, func(t *testing.T, kv KV) { fn(t, openDB(t, kv)) })
}

// put stores an object and its segments.
func put(t testing.TB, db *DB, o Object, segs ...Segment) Object {
	t.Helper()
	o, err := db.PutObject(context.Background(), o, segs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func makeBucket(t testing.TB, db *DB, name string, v Versioning) {
	t.Helper()
	if err := db.CreateBucket(context.Background(), Bucket{Name: name, Versioning: v}); err != nil {
		t.Fatal(err)
	}
}

var segmentCount uint64

// newSegment makes a segment with pieces on the given devices.
func newSegment(bucket string, devices ...uint64) Segment {
	segmentCount++
	s := Segment{Bucket: bucket, Class: "dev", PlainSize: 100, SealedSize: 200, Lease: 7, Risk: segmentCount % 5}
	for i := range s.ID {
		s.ID[i] = byte(segmentCount >> (8 * (i % 8)))
	}
	for i, d := range devices {
		s.Pieces = append(s.Pieces, Piece{Index: uint8(i), Device: d})
		s.PieceRoots = append(s.PieceRoots, piece.Root{byte(i)})
	}
	return s
}

func segmented(bucket, key string, segs ...Segment) Object {
	e := Extent{ObjectID: [16]byte(segs[0].ID), WrappedKey: []byte("wrapped")}
	for _, s := range segs {
		e.Segments = append(e.Segments, SegmentRef{ID: s.ID, Size: s.PlainSize})
		e.Size += int64(s.PlainSize)
	}
	return Object{Bucket: bucket, Key: key, Size: e.Size, ETag: "etag", Extents: []Extent{e}}
}

func inline(bucket, key, content string) Object {
	segmentCount++
	var id [16]byte
	copy(id[:], fmt.Sprintf("inline%08d", segmentCount))
	return Object{
		Bucket: bucket, Key: key, Size: int64(len(content)), ETag: content,
		Extents: []Extent{{ObjectID: id, Size: int64(len(content)), IsInline: true, Inline: []byte(content)}},
	}
}

// checkInvariants holds INV-META-1 to INV-META-3 and INV-META-6 against all rows.
func checkInvariants(t require, db *DB) {
	refs := map[SegmentID]uint32{}
	usage, counted := map[string]Usage{}, map[string]Usage{}
	inlines := map[[16]byte]bool{}
	have := map[string]bool{}
	note := func(extents []Extent) {
		for _, e := range extents {
			if e.IsInline {
				inlines[e.ObjectID] = true
			}
			for _, s := range e.Segments {
				refs[s.ID]++
			}
		}
	}
	err := db.kv.View(context.Background(), func(tx Tx) error {
		newest := map[string]VersionID{}
		return tx.Scan([]byte{0}, nil, func(k, v []byte) (Next, error) {
			have[string(k)] = true
			switch k[0] {
			case tableCurrent, tableVersion:
				o, err := readObject(k, v)
				if err != nil {
					return Next{}, err
				}
				id := o.Bucket + "\x00" + o.Key
				if k[0] == tableCurrent {
					newest[id] = o.Version
					if o.DeleteMarker {
						t.Fatalf("INV-META-1: delete marker of %q is current", o.Key)
					}
				} else if cur, ok := newest[id]; ok && bytes.Compare(o.Version[:], cur[:]) >= 0 {
					t.Fatalf("INV-META-1: %q has version %s above its current %s", o.Key, o.Version, cur)
				} else if !ok && !o.DeleteMarker {
					t.Fatalf("INV-META-1: newest version %s of %q is live but not current", o.Version, o.Key)
				} else if !ok {
					newest[id] = VersionID(bytes.Repeat([]byte{0xFF}, 16)) // a marker is on top: what follows is history
				}
				note(o.Extents)
				u := usage[o.Bucket]
				if k[0] == tableCurrent {
					u.Objects++
				}
				u.Versions, u.Bytes = u.Versions+1, u.Bytes+uint64(o.Size)
				usage[o.Bucket] = u
			case tableUsage:
				var u Usage
				if err := decode("usage", v, &u); err != nil {
					return Next{}, err
				}
				if name, _, err := takeString(k[1:]); err == nil && u != (Usage{}) {
					counted[name] = u
				}
			case tablePart:
				var p Part
				if err := decode("part", v, &p); err != nil {
					return Next{}, err
				}
				note(p.Extents)
			}
			return Continue(), nil
		})
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if !maps.Equal(usage, counted) {
		t.Fatalf("INV-META-6: usage says %+v, there is %+v", counted, usage)
	}
	derivedRows := map[string]bool{}
	err = db.EachSegment(context.Background(), SegmentID{}, func(s Segment) bool {
		if s.Refs != refs[s.ID] || s.Refs == 0 {
			t.Fatalf("INV-META-2: segment %s counts %d references, has %d", s.ID, s.Refs, refs[s.ID])
		}
		delete(refs, s.ID)
		for _, p := range s.Pieces {
			derivedRows[string(deviceSegmentKey(p.Device, s.ID))] = true
		}
		derivedRows[string(riskKey(s.Risk, s.ID))] = true
		return true
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if len(refs) > 0 {
		t.Fatalf("INV-META-2: %d segments are named and do not exist", len(refs))
	}
	for k := range have {
		switch k[0] {
		case tableDeviceSegment, tableRisk:
			if !derivedRows[k] {
				t.Fatalf("INV-META-3: stray index row %q", k)
			}
			delete(derivedRows, k)
		case tableInline:
			if !inlines[[16]byte([]byte(k[1:]))] {
				t.Fatalf("inline row %q belongs to nothing", k)
			}
			delete(inlines, [16]byte([]byte(k[1:])))
		}
	}
	if len(derivedRows) > 0 || len(inlines) > 0 {
		t.Fatalf("INV-META-3: %d index rows and %d inline rows are missing", len(derivedRows), len(inlines))
	}
}

func TestObjectLifeWithoutVersions(t *testing.T) {
	onDatabases(t, func(t *testing.T, db *DB) {
		ctx := context.Background()
		if _, err := db.PutObject(ctx, inline("b", "k", "x"), nil, nil); !errors.Is(err, ErrNoBucket) {
			t.Fatalf("PutObject without a bucket: %v", err)
		}
		makeBucket(t, db, "b", Unversioned)
		if err := db.CreateBucket(ctx, Bucket{Name: "b"}); !errors.Is(err, ErrBucketExists) {
			t.Fatalf("second CreateBucket: %v", err)
		}
		if _, _, err := db.Object(ctx, "b", "k", ""); !errors.Is(err, ErrNoObject) {
			t.Fatalf("Object of nothing: %v", err)
		}
		s1, s2 := newSegment("b", 1, 2, 3), newSegment("b", 2, 3, 4)
		put(t, db, segmented("b", "k", s1, s2), s1, s2)
		checkInvariants(t, db)
		ids, err := db.SegmentsOnDevice(ctx, 2, SegmentID{}, 10)
		if err != nil || len(ids) != 2 {
			t.Fatalf("SegmentsOnDevice gave %v, %v", ids, err)
		}
		// Overwriting drops the former segments into the garbage queue.
		put(t, db, inline("b", "k", "small"))
		checkInvariants(t, db)
		devices, err := db.GarbageDevices(ctx)
		if err != nil || !slices.Equal(devices, []uint64{1, 2, 3, 4}) {
			t.Fatalf("GarbageDevices gave %v, %v", devices, err)
		}
		list, err := db.Garbage(ctx, 2, 10)
		if err != nil || len(list) != 2 || list[0].Bucket != "b" || list[0].Lease != 7 {
			t.Fatalf("Garbage gave %+v, %v", list, err)
		}
		if err := db.GarbageGone(ctx, list); err != nil {
			t.Fatal(err)
		}
		if devices, _ = db.GarbageDevices(ctx); !slices.Equal(devices, []uint64{1, 3, 4}) {
			t.Fatalf("after GarbageGone: %v", devices)
		}
		o, _, err := db.Object(ctx, "b", "k", "")
		if err != nil || string(o.Extents[0].Inline) != "small" || !o.Null || !o.Latest {
			t.Fatalf("Object gave %+v, %v", o, err)
		}
		if err := db.DeleteBucket(ctx, "b"); !errors.Is(err, ErrBucketNotEmpty) {
			t.Fatalf("DeleteBucket of a full one: %v", err)
		}
		d, err := db.DeleteObject(ctx, "b", "k", "", nil)
		if err != nil || d.DeleteMarker || d.Version != o.Version {
			t.Fatalf("DeleteObject gave %+v, %v", d, err)
		}
		checkInvariants(t, db)
		if err := db.DeleteBucket(ctx, "b"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestConditionDecidesInTheTransaction(t *testing.T) {
	onDatabases(t, func(t *testing.T, db *DB) {
		ctx := context.Background()
		makeBucket(t, db, "b", Unversioned)
		errTaken := errors.New("taken")
		ifAbsent := func(cur *Object) error {
			if cur != nil {
				return errTaken
			}
			return nil
		}
		results := make(chan error)
		for i := range 20 {
			go func() {
				_, err := db.PutObject(ctx, Object{Bucket: "b", Key: "k", ETag: fmt.Sprint(i)}, nil, ifAbsent)
				results <- err
			}()
		}
		won := 0
		for range 20 {
			switch err := <-results; {
			case err == nil:
				won++
			case !errors.Is(err, errTaken):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d of 20 conditional writes won, want 1", won)
		}
	})
}

func TestUploadsBecomeObjects(t *testing.T) {
	onDatabases(t, func(t *testing.T, db *DB) {
		ctx := context.Background()
		makeBucket(t, db, "b", Unversioned)
		if err := db.CreateUpload(ctx, Upload{Bucket: "b", Key: "k", ID: "u"}); err != nil {
			t.Fatal(err)
		}
		putPart := func(n int32, s Segment) {
			t.Helper()
			p := Part{Number: n, Size: 100, ETag: fmt.Sprint(n), Extents: segmented("b", "k", s).Extents}
			if _, err := db.PutPart(ctx, "b", "k", "u", p, []Segment{s}); err != nil {
				t.Fatal(err)
			}
			checkInvariants(t, db)
		}
		s1, s2, s3, again := newSegment("b", 1), newSegment("b", 2), newSegment("b", 3), newSegment("b", 4)
		putPart(3, s3)
		putPart(1, s1)
		putPart(2, s2)
		putPart(1, again) // replaces part 1
		if devices, err := db.GarbageDevices(ctx); err != nil || !slices.Equal(devices, []uint64{1}) {
			t.Fatalf("a replaced part left garbage on %v, %v", devices, err)
		}
		_, parts, more, err := db.Parts(ctx, "b", "k", "u", 1, 1)
		if err != nil || !more || len(parts) != 1 || parts[0].Number != 2 {
			t.Fatalf("Parts gave %+v, %v, %v", parts, more, err)
		}
		o, err := db.CompleteUpload(ctx, "b", "k", "u", nil, func(_ Upload, parts []Part) (Object, []int32, error) {
			return Object{Size: 200, ETag: "x-2"}, []int32{1, 3}, nil
		})
		if err != nil || o.Upload != "u" || len(o.Extents) != 2 || o.Extents[0].Segments[0].ID != again.ID {
			t.Fatalf("CompleteUpload gave %+v, %v", o, err)
		}
		checkInvariants(t, db)
		if _, err := db.Upload(ctx, "b", "k", "u"); !errors.Is(err, ErrNoUpload) {
			t.Fatalf("upload after completion: %v", err)
		}
		if devices, err := db.GarbageDevices(ctx); err != nil || !slices.Equal(devices, []uint64{1, 2}) {
			t.Fatalf("an unused part left garbage on %v, %v", devices, err)
		}
	})
}

func TestUpdateSegmentMovesPieces(t *testing.T) {
	onDatabases(t, func(t *testing.T, db *DB) {
		ctx := context.Background()
		makeBucket(t, db, "b", Unversioned)
		s := newSegment("b", 1, 2, 3)
		put(t, db, segmented("b", "k", s), s)
		err := db.UpdateSegment(ctx, s.ID, map[uint64]bool{1: true}, func(s *Segment) error {
			s.Pieces = []Piece{{Index: 0, Device: 9}, {Index: 2, Device: 3}}
			s.Risk, s.Refs = 0, 99
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		checkInvariants(t, db)
		// Device 1 is lost: nothing to delete there. Device 2 must delete its piece.
		if devices, err := db.GarbageDevices(ctx); err != nil || !slices.Equal(devices, []uint64{2}) {
			t.Fatalf("garbage on %v, %v", devices, err)
		}
		if ids, err := db.SegmentsByRisk(ctx, 0, 10); err != nil || len(ids) != 1 || ids[0] != s.ID {
			t.Fatalf("SegmentsByRisk gave %v, %v", ids, err)
		}
		if err := db.UpdateSegment(ctx, s.ID, nil, func(s *Segment) error { s.Root[0]++; return nil }); err == nil {
			t.Fatal("UpdateSegment let the root change")
		}
		if err := db.Discard(ctx, []Segment{s}); err == nil {
			t.Fatal("Discard took a segment in use")
		}
	})
}

func TestCopySharesSegments(t *testing.T) {
	onDatabases(t, func(t *testing.T, db *DB) {
		ctx := context.Background()
		makeBucket(t, db, "b", Unversioned)
		s := newSegment("b", 1)
		o, err := db.PutObject(ctx, segmented("b", "k", s), []Segment{s}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"copy", "k"} { // the second replaces its own source
			c := o
			c.Key = key
			if _, err := db.CopyObject(ctx, c, nil); err != nil {
				t.Fatal(err)
			}
			checkInvariants(t, db)
		}
		for _, key := range []string{"k", "copy"} {
			if devices, _ := db.GarbageDevices(ctx); len(devices) != 0 {
				t.Fatalf("garbage while %s names the segment: %v", key, devices)
			}
			if _, err := db.DeleteObject(ctx, "b", key, "", nil); err != nil {
				t.Fatal(err)
			}
			checkInvariants(t, db)
		}
		if devices, _ := db.GarbageDevices(ctx); !slices.Equal(devices, []uint64{1}) {
			t.Fatalf("garbage after the last copy went: %v", devices)
		}
		if _, err := db.CopyObject(ctx, o, nil); !errors.Is(err, ErrNoSegment) {
			t.Fatalf("copy of a source that is gone: %v", err)
		}
	})
}

// TestVersionsModel drives a versioned bucket with random operations beside a
// naive model, and compares listings of every kind.
func TestVersionsModel(t *testing.T) {
	onBackends(t, func(t *testing.T, kv KV) {
		now := time.Unix(1_700_000_000, 0)
		db := openDB(t, kv, WithNow(func() time.Time { return now }))
		round := 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			m := &versionModel{bucket: fmt.Sprintf("bucket-%d", round), versions: map[string][]modelVersion{}}
			makeBucket(t, db, m.bucket, Versioning(rapid.IntRange(0, 2).Draw(rt, "versioning")))
			for range rapid.IntRange(1, 25).Draw(rt, "steps") {
				now = now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(rt, "clock")) * time.Millisecond)
				m.step(rt, db)
			}
			checkInvariants(rt, db)
			m.compare(rt, db)
		})
	})
}

type modelVersion struct {
	name   string // as clients know it
	etag   string
	marker bool
}

type versionModel struct {
	bucket   string
	versions map[string][]modelVersion // newest first
	writes   int
}

func (m *versionModel) keys() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"a", "a/b", "a/b/c", "a/d", "b", "b//x", "c\x00d", "é/ü", "zz"})
}

// store puts v on top of a key's versions as the bucket's state says.
func (m *versionModel) store(key string, v modelVersion, null bool) {
	if null {
		m.remove(key, NullVersion)
	}
	m.versions[key] = append([]modelVersion{v}, m.versions[key]...)
}

func (m *versionModel) remove(key, name string) {
	m.versions[key] = slices.DeleteFunc(m.versions[key], func(v modelVersion) bool { return v.name == name })
	if len(m.versions[key]) == 0 {
		delete(m.versions, key)
	}
}

func (m *versionModel) step(t *rapid.T, db *DB) {
	ctx := context.Background()
	key := m.keys().Draw(t, "key")
	b, err := db.Bucket(ctx, m.bucket)
	if err != nil {
		t.Fatalf("%v", err)
	}
	switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
	case op < 5:
		m.writes++
		o := inline(m.bucket, key, fmt.Sprint("v", m.writes))
		var segs []Segment
		if rapid.Bool().Draw(t, "large") {
			s := newSegment(m.bucket, 1, 2)
			o, segs = segmented(m.bucket, key, s), []Segment{s}
			o.ETag = fmt.Sprint("v", m.writes)
		}
		o, err := db.PutObject(ctx, o, segs, nil)
		if err != nil {
			t.Fatalf("PutObject: %v", err)
		}
		m.store(key, modelVersion{name: o.VersionName(), etag: o.ETag}, o.Null)
	case op < 7:
		d, err := db.DeleteObject(ctx, m.bucket, key, "", nil)
		if err != nil {
			t.Fatalf("DeleteObject: %v", err)
		}
		if b.Versioning == Unversioned {
			delete(m.versions, key)
			return
		}
		m.store(key, modelVersion{name: Object{Version: d.Version, Null: d.Null}.VersionName(), marker: true}, d.Null)
	case op < 9:
		name := NullVersion
		if list := m.versions[key]; len(list) > 0 {
			name = list[rapid.IntRange(0, len(list)-1).Draw(t, "which")].name
		}
		if _, err := db.DeleteObject(ctx, m.bucket, key, name, nil); err != nil {
			t.Fatalf("DeleteObject of version %s: %v", name, err)
		}
		m.remove(key, name)
	default:
		if b.Versioning == Unversioned && rapid.Bool().Draw(t, "stay") {
			return
		}
		to := Versioning(rapid.IntRange(1, 2).Draw(t, "to"))
		if err := db.UpdateBucket(ctx, m.bucket, func(b *Bucket) error { b.Versioning = to; return nil }); err != nil {
			t.Fatalf("UpdateBucket: %v", err)
		}
	}
}

func (m *versionModel) compare(t *rapid.T, db *DB) {
	ctx := context.Background()
	for key, list := range m.versions {
		for i, v := range list {
			o, _, err := db.Object(ctx, m.bucket, key, v.name)
			if err != nil || o.ETag != v.etag || o.DeleteMarker != v.marker || o.Latest != (i == 0) {
				t.Fatalf("Object(%q, %s) = %+v, %v; want %+v, newest %v", key, v.name, o, err, v, i == 0)
			}
		}
		o, _, err := db.Object(ctx, m.bucket, key, "")
		if err != nil || o.VersionName() != list[0].name {
			t.Fatalf("newest of %q is %s, %v; want %s", key, o.VersionName(), err, list[0].name)
		}
	}
	prefix := rapid.SampledFrom([]string{"", "a", "a/", "b/", "z", "nothing"}).Draw(t, "prefix")
	delimiter := rapid.SampledFrom([]string{"", "/", "/b"}).Draw(t, "delimiter")
	limit := rapid.IntRange(1, 4).Draw(t, "limit")
	m.compareObjects(t, db, prefix, delimiter, limit)
	m.compareVersions(t, db, prefix, delimiter, limit)
}

// compareObjects pages through current objects and holds the union against
// the naive listing.
func (m *versionModel) compareObjects(t *rapid.T, db *DB, prefix, delimiter string, limit int) {
	var want []string
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(m.versions)) {
		if m.versions[key][0].marker || !strings.HasPrefix(key, prefix) {
			continue
		}
		if p, ok := roll(key, prefix, delimiter); ok {
			if !seen[p] {
				want = append(want, p+"...")
			}
			seen[p] = true
			continue
		}
		want = append(want, key)
	}
	var got []string
	q := ListQuery{Bucket: m.bucket, Prefix: prefix, Delimiter: delimiter, Limit: limit}
	for {
		page, err := db.ListObjects(context.Background(), q)
		if err != nil {
			t.Fatalf("ListObjects: %v", err)
		}
		if n := len(page.Objects) + len(page.Prefixes); n > limit || page.Truncated && n < limit {
			t.Fatalf("page of %d entries, limit %d, truncated %v", n, limit, page.Truncated)
		}
		for _, o := range page.Objects {
			got = append(got, o.Key)
		}
		for _, p := range page.Prefixes {
			got = append(got, p+"...")
		}
		if !page.Truncated {
			break
		}
		q.After = page.Next
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("listing %q by %q in pages of %d gave %q, want %q", prefix, delimiter, limit, got, want)
	}
}

func (m *versionModel) compareVersions(t *rapid.T, db *DB, prefix, delimiter string, limit int) {
	var want []string
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(m.versions)) {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if p, ok := roll(key, prefix, delimiter); ok {
			if !seen[p] {
				want = append(want, p+"...")
			}
			seen[p] = true
			continue
		}
		for i, v := range m.versions[key] {
			want = append(want, fmt.Sprint(key, "@", v.name, v.marker, i == 0))
		}
	}
	var got []string
	q := VersionQuery{Bucket: m.bucket, Prefix: prefix, Delimiter: delimiter, Limit: limit}
	for {
		page, err := db.ListVersions(context.Background(), q)
		if err != nil {
			t.Fatalf("ListVersions: %v", err)
		}
		if n := len(page.Versions) + len(page.Prefixes); n > limit || page.Truncated && n < limit {
			t.Fatalf("page of %d versions, limit %d, truncated %v", n, limit, page.Truncated)
		}
		var lines []string
		for _, o := range page.Versions {
			lines = append(lines, fmt.Sprint(o.Key, "@", o.VersionName(), o.DeleteMarker, o.Latest))
		}
		for _, p := range page.Prefixes {
			lines = append(lines, p+"...")
		}
		got = append(got, lines...)
		if !page.Truncated {
			break
		}
		q.AfterKey, q.AfterVersion = page.NextKey, page.NextVersion
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("versions of %q by %q in pages of %d gave %q, want %q", prefix, delimiter, limit, got, want)
	}
}

// TestAcknowledgedSurvivesPowerCut keeps only what was synced and reopens
// (INV-META-4).
func TestAcknowledgedSurvivesPowerCut(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		fs := vfs.NewCrashableMem()
		kv, err := newPebbleKV("meta", PebbleOptions{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		db := openDB(t, kv)
		makeBucket(t, db, "b", Unversioned)
		var acknowledged []string
		for i := range 20 + rng.IntN(60) {
			key := fmt.Sprintf("k%03d", i)
			if _, err := db.PutObject(context.Background(), inline("b", key, strings.Repeat("x", 1+rng.IntN(4000))), nil, nil); err != nil {
				t.Fatal(err)
			}
			acknowledged = append(acknowledged, key)
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0, RNG: rng})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		after, err := OpenPebble("meta", PebbleOptions{FS: crashed})
		if err != nil {
			t.Fatalf("seed %d: opening after the crash: %v", seed, err)
		}
		for _, key := range acknowledged {
			if _, _, err := after.Object(context.Background(), "b", key, ""); err != nil {
				t.Errorf("seed %d: acknowledged %s is lost: %v", seed, key, err)
			}
		}
		checkInvariants(t, after)
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCorruptRowSaysWhere(t *testing.T) {
	kv := backends["pebble"](t)
	db := openDB(t, kv)
	makeBucket(t, db, "b", Unversioned)
	err := kv.Update(context.Background(), func(tx Tx) error { return tx.Set(currentKey("b", "k"), []byte{0xFF}) })
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = db.Object(context.Background(), "b", "k", "")
	var c *CorruptionError
	if !errors.As(err, &c) || !strings.Contains(c.Where, "k") {
		t.Fatalf("reading a corrupt row gave %v", err)
	}
}

func BenchmarkPutSmall(b *testing.B) {
	db, err := OpenPebble(b.TempDir(), PebbleOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	makeBucket(b, db, "b", Unversioned)
	content := strings.Repeat("x", 4096+80)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			o := inline("b", fmt.Sprintf("k%016x", rand.Uint64()), "")
			rnd := [16]byte{}
			for i := range rnd {
				rnd[i] = byte(rand.Uint32())
			}
			o.Extents[0].ObjectID, o.Extents[0].Inline = rnd, []byte(content)
			if _, err := db.PutObject(context.Background(), o, nil, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
