package geo

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestDisksAreThoseOfH3 compares with vectors that tools/h3vectors makes from Uber's library: all base
// cells, all pentagons and their neighbours at 12 resolutions, and cells anywhere.
func TestDisksAreThoseOfH3(t *testing.T) {
	raw, err := os.ReadFile("../../test/vectors/geo_rings.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Cell  string
		Rings int
		Disk  []string
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 1000 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		want := make([]Cell, len(v.Disk))
		for i, text := range v.Disk {
			want[i] = parse(t, text)
		}
		slices.Sort(want)
		if got := parse(t, v.Cell).Disk(v.Rings); !slices.Equal(got, want) {
			t.Fatalf("disk of %d around %s is %v, want %v", v.Rings, v.Cell, got, want)
		}
	}
}

func parse(t *testing.T, text string) Cell {
	index, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return Cell(index)
}

// anyCell draws a valid cell.
func anyCell(t *rapid.T, resolution int) Cell {
	c := Cell(modeCell)<<59 | Cell(resolution)<<resolutionBit | Cell(rapid.IntRange(0, baseCells-1).Draw(t, "base"))<<baseBit
	for r := 1; r <= MaxResolution; r++ {
		digit := uint8(unusedDigit)
		if r <= resolution {
			digit = uint8(rapid.IntRange(0, 6).Draw(t, "digit"))
		}
		c = c.withDigit(r, digit)
	}
	if !c.Valid() { // on the missing side of a pentagon
		c = c.turn(&turned)
	}
	return c
}

// TestNeighborsAreMutual: a neighbour's neighbours include the cell, there are six, or five of a
// pentagon, and all are cells of the same resolution.
func TestNeighborsAreMutual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCell(t, rapid.IntRange(0, MaxResolution).Draw(t, "resolution"))
		near := c.Neighbors()
		want := 6
		if c.Pentagon() {
			want = 5
		}
		if len(near) != want {
			t.Fatalf("%s has neighbours %v", c, near)
		}
		for _, n := range near {
			if err := n.Check(c.Resolution()); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(n.Neighbors(), c) {
				t.Fatalf("%s is a neighbour of %s, but not the other way", n, c)
			}
		}
	})
}

func TestDiskOfNoCell(t *testing.T) {
	for _, c := range []Cell{0, 1, 1 << 63, ^Cell(0)} {
		if got := c.Disk(2); got != nil {
			t.Errorf("disk around %s is %v", c, got)
		}
	}
	if got := Cell(0x8001fffffffffff).Disk(-1); got != nil {
		t.Errorf("disk of -1 is %v", got)
	}
}

func FuzzDisk(f *testing.F) {
	f.Add(uint64(0x8001fffffffffff))
	f.Add(uint64(0x8809fffffffffff))
	f.Add(uint64(0x85283473fffffff))
	f.Fuzz(func(t *testing.T, index uint64) {
		disk := Cell(index).Disk(2)
		if len(disk) > 19 {
			t.Fatalf("%d cells", len(disk))
		}
		for _, c := range disk {
			if !c.Valid() {
				t.Fatalf("%s in the disk around %s is no cell", c, Cell(index))
			}
		}
	})
}

func BenchmarkDisk(b *testing.B) {
	c := Cell(0x85283473fffffff)
	for b.Loop() {
		c.Disk(2)
	}
}
