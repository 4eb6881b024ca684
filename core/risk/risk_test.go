package risk

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/erasure"
)

func draw(t *rapid.T) (erasure.Class, []Piece) {
	c := rapid.SampledFrom(erasure.Classes()).Draw(t, "class")
	pieces := make([]Piece, rapid.IntRange(0, c.Total).Draw(t, "pieces"))
	groups := rapid.Uint64Range(1, 80).Draw(t, "groups")
	for i := range pieces {
		pieces[i].State = State(rapid.Uint8Range(uint8(Lost), uint8(Healthy)).Draw(t, "state"))
		pieces[i].Group = rapid.Uint64Range(1, groups).Draw(t, "group")
	}
	return c, pieces
}

// INV-RISK-1.
func TestAboveTheThresholdAnyGroupMayFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, pieces := draw(t)
		for i := range pieces {
			pieces[i].State = Healthy
		}
		if Of(c, pieces) < Threshold(c) {
			return
		}
		for _, gone := range pieces {
			left := 0
			for _, p := range pieces {
				if p.Group != gone.Group {
					left++
				}
			}
			if left < c.K {
				t.Fatalf("%s: score %d, but without group %d there are %d pieces", c.Name, Of(c, pieces), gone.Group, left)
			}
		}
	})
}

// INV-RISK-2.
func TestWorseIsNeverSafer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, pieces := draw(t)
		if len(pieces) == 0 {
			return
		}
		before := Of(c, slices.Clone(pieces))
		i := rapid.IntRange(0, len(pieces)-1).Draw(t, "which")
		if pieces[i].State > Lost && rapid.Bool().Draw(t, "worse") {
			pieces[i].State--
		} else {
			weight := map[uint64]int64{}
			for j, p := range pieces {
				if j != i {
					weight[p.Group] += p.State.weight()
				}
			}
			to := pieces[rapid.IntRange(0, len(pieces)-1).Draw(t, "to")].Group
			if weight[to] < weight[pieces[i].Group] {
				return
			}
			pieces[i].Group = to
		}
		if after := Of(c, pieces); after > before {
			t.Fatalf("%s: %d before, %d after", c.Name, before, after)
		}
	})
}

func spread(n int, s State) []Piece {
	pieces := make([]Piece, n)
	for i := range pieces {
		pieces[i] = Piece{s, uint64(i)}
	}
	return pieces
}

func TestOrder(t *testing.T) {
	c := erasure.SmallNet
	clumped := spread(c.Optimal, Healthy)
	for i := range clumped {
		clumped[i].Group = uint64(i % 3)
	}
	away := append(spread(c.Repair, Healthy), spread(c.Optimal, Away)[c.Repair:]...)
	ascending := []struct {
		what   string
		pieces []Piece
	}{
		{"nothing left", nil},
		{"one piece too few", spread(c.K-1, Healthy)},
		{"just readable", spread(c.K, Healthy)},
		{"twenty pieces in three groups, counted as eighteen", clumped},
		{"fresh", spread(c.Optimal, Healthy)},
	}
	for i := 1; i < len(ascending); i++ {
		a, b := ascending[i-1], ascending[i]
		if Of(c, a.pieces) >= Of(c, b.pieces) {
			t.Errorf("%q is not more urgent than %q", a.what, b.what)
		}
	}
	if Of(c, spread(c.Repair, Healthy)) > Threshold(c) || Of(c, spread(c.Repair+1, Healthy)) <= Threshold(c) {
		t.Error("the threshold is not at Repair healthy pieces")
	}
	if Of(c, away) <= Threshold(c) {
		t.Error("providers away for a moment cause repair")
	}
	if Readable(away) != c.Repair || Readable(spread(3, Leaving)) != 3 {
		t.Error("readable pieces are miscounted")
	}
}
