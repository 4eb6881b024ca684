package s3

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestUploadIDsSortByTimeAndKnowTheirKey(t *testing.T) {
	var ids uploadIDs
	now := time.UnixMilli(1_770_000_000_000)
	last := ""
	for i := range 10_000 { // more than fit into a millisecond, and a clock that steps back
		at := now
		if i == 5000 {
			at = now.Add(-time.Hour)
		}
		id, err := ids.next(at, "b", "k")
		if err != nil {
			t.Fatal(err)
		}
		if id <= last {
			t.Fatalf("id %d, %s, is not above %s", i, id, last)
		}
		last = id
		u := uuid.MustParse(id)
		if u.Version() != 8 || u.Variant() != uuid.RFC4122 {
			t.Fatalf("%s has version %d, variant %s", id, u.Version(), u.Variant())
		}
		if !uploadOf(u, "b", "k") || uploadOf(u, "b", "l") || uploadOf(u, "bk", "") {
			t.Fatalf("%s does not know its key", id)
		}
	}
	if uploadOf(uuid.New(), "b", "k") {
		t.Error("a random UUID passes for an upload id")
	}
}

func TestUploadIDsAreUnique(t *testing.T) {
	var ids uploadIDs
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				id, err := ids.next(time.Now(), "b", "k")
				mu.Lock()
				if err != nil || seen[id] {
					t.Errorf("id %s, %v", id, err)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
