package launch

import (
	"context"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

func TestPlacementNamesTheWorstFirst(t *testing.T) {
	ctx := context.Background()
	db, err := metabase.OpenPebble("meta", metabase.PebbleOptions{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, bucket := range []string{"photos", "other"} {
		if err := db.CreateBucket(ctx, metabase.Bucket{Name: bucket}); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			s := metabase.Segment{
				ID: metabase.SegmentID{bucket[0], byte(i)}, Bucket: bucket, Class: "dev", PlainSize: 100, SealedSize: 200, Lease: 7,
				Risk: uint64(10 - i), Pieces: []metabase.Piece{{Index: 0, Device: uint64(i + 1)}, {Index: 3, Device: 9}},
			}
			object := metabase.Object{Bucket: bucket, Key: s.ID.String(), Size: 100, Extents: []metabase.Extent{{Size: 100, Segments: []metabase.SegmentRef{{ID: s.ID, Size: 100}}}}}
			if _, err := db.PutObject(ctx, object, []metabase.Segment{s}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := place(ctx, db, "photos", 3)
	if err != nil {
		t.Fatal(err)
	}
	if p.SegmentsTotal == nil || *p.SegmentsTotal != 5 || len(p.Segments) != 3 {
		t.Fatalf("placement %+v", p)
	}
	for i, s := range p.Segments {
		if want := []uint64{uint64(5 - i), 9}; !slices.Equal(s.Pieces, want) {
			t.Errorf("segment %d lies on %v, want %v", i, s.Pieces, want)
		}
	}
	if len(p.Classes) != 1 || p.Classes[0] != (PlacementClass{"dev", 4, 6, 8, 10}) {
		t.Errorf("classes %+v", p.Classes)
	}
	if none, err := place(ctx, db, "none", 3); err != nil || len(none.Segments) != 0 || *none.SegmentsTotal != 0 {
		t.Errorf("of an unknown bucket: %+v, %v", none, err)
	}
	gone := metabase.SegmentID{'x'}
	if left, err := present(ctx, db, []metabase.SegmentID{gone, {'p', 1}}); err != nil || len(left) != 1 {
		t.Errorf("beside one that has gone: %d segments, %v", len(left), err)
	}
}
