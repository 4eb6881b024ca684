package geo

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// Indexes from the public documentation and test suite of the H3 library.
func TestKnownCells(t *testing.T) {
	for _, c := range []struct {
		cell       Cell
		resolution int
		pentagon   bool
	}{
		{0x8928308280fffff, 9, false}, // San Francisco
		{0x85283473fffffff, 5, false},
		{0x8001fffffffffff, 0, false},
		{0x8009fffffffffff, 0, true}, // base cell 4
		{0x821c07fffffffff, 2, true}, // base cell 14
		{0x8f28308280f18f2, 15, false},
	} {
		if err := c.cell.Check(c.resolution); err != nil {
			t.Error(err)
		}
		if c.cell.Pentagon() != c.pentagon {
			t.Errorf("%s: pentagon is %v", c.cell, !c.pentagon)
		}
	}
}

func TestParentOfKnownCell(t *testing.T) {
	for resolution, want := range map[int]Cell{9: 0x8928308280fffff, 8: 0x8828308281fffff, 5: 0x85283083fffffff, 0: 0x8029fffffffffff} {
		if got, ok := Cell(0x8928308280fffff).Parent(resolution); !ok || got != want {
			t.Errorf("parent at %d is %s, %v; want %s", resolution, got, ok, want)
		}
	}
	for _, resolution := range []int{-1, 10, 16} {
		if p, ok := Cell(0x8928308280fffff).Parent(resolution); ok {
			t.Errorf("parent at %d is %s", resolution, p)
		}
	}
}

func TestCheckNamesTheFault(t *testing.T) {
	for _, c := range []struct {
		cell Cell
		want error
	}{
		{0, ErrCell},
		{0x8928308280fffff | 1<<63, ErrCell},
		{0x9928308280fffff, ErrCell},                    // a reserved bit
		{0x1128308280fffff, ErrCell},                    // mode 2, a directed edge
		{0x80f5fffffffffff, ErrCell},                    // base cell 122
		{0x8928308280ffffe, ErrCell},                    // unused digit 6
		{0x89283082bffffff, ErrCell},                    // digit 7 within
		{0x8108bffffffffff&^(0x7<<42) | 1<<42, ErrCell}, // pentagon's missing child
		{0x8828308281fffff, ErrResolution},
	} {
		if err := c.cell.Check(9); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.cell, err, c.want)
		}
	}
}

// There are 2 + 120*7^r cells at resolution r (H3 documentation, "Tables of cell statistics").
func TestEveryCellOfTheCoarseResolutions(t *testing.T) {
	power := 1
	for r := range 4 {
		valid, pentagonCount := 0, 0
		for base := range 128 {
			for path := range power {
				c := Cell(1)<<59 | Cell(r)<<52 | Cell(base)<<45 | (1<<45 - 1)
				rest := path
				for d := 1; d <= r; d++ {
					shift := (MaxResolution - d) * 3
					c = c&^(7<<shift) | Cell(rest%7)<<shift
					rest /= 7
				}
				if c.Valid() {
					valid++
					if c.Pentagon() {
						pentagonCount++
					}
				}
			}
		}
		if want := 2 + 120*power; valid != want || pentagonCount != 12 {
			t.Errorf("resolution %d: %d cells and %d pentagons, want %d and 12", r, valid, pentagonCount, want)
		}
		power *= 7
	}
}

// drawCell draws a valid cell.
func drawCell(t *rapid.T) Cell {
	r := rapid.IntRange(0, MaxResolution).Draw(t, "resolution")
	c := Cell(1)<<59 | Cell(r)<<52 | Cell(rapid.IntRange(0, 121).Draw(t, "base"))<<45 | (1<<45 - 1)
	for d := 1; d <= r; d++ {
		shift := (MaxResolution - d) * 3
		c = c&^(7<<shift) | Cell(rapid.IntRange(0, 6).Draw(t, "digit"))<<shift
	}
	if !c.Valid() {
		t.Skip("below a pentagon's missing child")
	}
	return c
}

func TestParents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCell(t)
		fine := rapid.IntRange(0, c.Resolution()).Draw(t, "fine")
		coarse := rapid.IntRange(0, fine).Draw(t, "coarse")
		p, ok := c.Parent(fine)
		if !ok || p.Check(fine) != nil {
			t.Fatalf("parent of %s at %d is %s, %v", c, fine, p, ok)
		}
		direct, _ := c.Parent(coarse)
		if stepwise, _ := p.Parent(coarse); stepwise != direct {
			t.Fatalf("%s at %d: %s by way of %d, else %s", c, coarse, stepwise, fine, direct)
		}
	})
}

func FuzzCell(f *testing.F) {
	f.Add(uint64(0x8928308280fffff), 5)
	f.Add(uint64(0), -1)
	f.Fuzz(func(t *testing.T, index uint64, resolution int) {
		c := Cell(index)
		p, ok := c.Parent(resolution)
		if ok && (!c.Valid() || p.Check(resolution) != nil) {
			t.Fatalf("parent of %s at %d is %s", c, resolution, p)
		}
		if c.Valid() != (c.Check(c.Resolution()) == nil) {
			t.Fatalf("%s: Valid and Check differ", c)
		}
	})
}
