package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

const (
	// maxPlaced is the most segments that one answer names.
	maxPlaced = 256
	// maxScanned is the most segments, of all buckets together, that are looked at for one answer,
	// so that asking costs the same however much is stored.
	maxScanned = 4096
)

// Placement is where the pieces of a bucket's segments lie, most at risk first (GET /placement).
type Placement struct {
	Bucket  string           `json:"bucket"`
	Classes []PlacementClass `json:"classes"` // of the segments below
	// SegmentsTotal counts the bucket's segments; absent where not all were looked at.
	SegmentsTotal *int               `json:"segments_total,omitempty"`
	Segments      []PlacementSegment `json:"segments"`
}

// PlacementClass is an erasure.Class by its numbers of pieces.
type PlacementClass struct {
	Name    string `json:"name"`
	K       int    `json:"k"`
	Repair  int    `json:"repair"`
	Optimal int    `json:"optimal"`
	Total   int    `json:"total"`
}

// PlacementSegment is one segment and the devices that signed for a piece of it.
type PlacementSegment struct {
	ID     string   `json:"id"`
	Size   uint32   `json:"size"` // bytes, before coding
	Class  string   `json:"class"`
	Pieces []uint64 `json:"pieces"`
}

// servePlacement answers ?bucket=NAME&limit=N.
func (g *gateway) servePlacement(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 || limit > maxPlaced {
		limit = maxPlaced
	}
	placement, err := place(r.Context(), g.db, query.Get("bucket"), limit)
	if err != nil {
		g.Log.Warn("answering where pieces lie", "error", err)
		http.Error(w, `{"error":"the metadata cannot be read"}`, http.StatusServiceUnavailable)
		return
	}
	body, err := json.Marshal(placement)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

// present reads segments without those that have gone since they were listed.
func present(ctx context.Context, db *metabase.DB, ids []metabase.SegmentID) ([]metabase.Segment, error) {
	segments, err := db.Segments(ctx, ids...)
	if !errors.Is(err, metabase.ErrNoSegment) {
		return segments, err
	}
	segments = nil
	for _, id := range ids {
		one, err := db.Segments(ctx, id)
		switch {
		case err == nil:
			segments = append(segments, one...)
		case !errors.Is(err, metabase.ErrNoSegment):
			return nil, err
		}
	}
	return segments, nil
}

// place reads up to limit segments of a bucket in the order of their risk.
func place(ctx context.Context, db *metabase.DB, bucket string, limit int) (Placement, error) {
	p := Placement{Bucket: bucket, Classes: []PlacementClass{}, Segments: []PlacementSegment{}}
	ids, err := db.SegmentsByRisk(ctx, math.MaxUint64, maxScanned)
	if err != nil {
		return Placement{}, fmt.Errorf("listing segments by risk: %w", err)
	}
	found, classes := 0, map[string]bool{}
	for batch := range slices.Chunk(ids, maxPlaced) {
		segments, err := present(ctx, db, batch)
		if err != nil {
			return Placement{}, fmt.Errorf("reading segments: %w", err)
		}
		for _, s := range segments {
			if s.Bucket != bucket {
				continue
			}
			if found++; found > limit {
				continue
			}
			placed := PlacementSegment{ID: s.ID.String(), Size: s.PlainSize, Class: s.Class, Pieces: []uint64{}}
			for _, piece := range s.Pieces {
				placed.Pieces = append(placed.Pieces, piece.Device)
			}
			p.Segments, classes[s.Class] = append(p.Segments, placed), true
		}
	}
	if len(ids) < maxScanned {
		p.SegmentsTotal = &found
	}
	for _, c := range erasure.Classes() {
		if classes[c.Name] {
			p.Classes = append(p.Classes, PlacementClass{c.Name, c.K, c.Repair, c.Optimal, c.Total})
		}
	}
	return p, nil
}
