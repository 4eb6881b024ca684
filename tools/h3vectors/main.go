// Command h3vectors writes test/vectors/geo_rings.json: disks around cells as the H3 library of Uber
// computes them. It is a module of its own, for that library is C.
//
//	go run -C tools/h3vectors . > test/vectors/geo_rings.json
package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/uber/h3-go/v4"
)

type vector struct {
	Cell  string   `json:"cell"`
	Rings int      `json:"rings"`
	Disk  []string `json:"disk"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var cells []h3.Cell
	base, err := h3.Res0Cells()
	if err != nil {
		return fmt.Errorf("listing base cells: %w", err)
	}
	cells = append(cells, base...)
	for resolution := 1; resolution <= 12; resolution++ {
		pentagons, err := h3.Pentagons(resolution)
		if err != nil {
			return fmt.Errorf("listing pentagons: %w", err)
		}
		// Pentagons and the cells near them, where the grid is not regular.
		for _, p := range pentagons {
			near, err := p.GridDisk(1)
			if err != nil {
				return fmt.Errorf("disk around a pentagon: %w", err)
			}
			if resolution > 5 {
				near = near[:2]
			}
			cells = append(cells, near...)
		}
		random := rand.New(rand.NewPCG(uint64(resolution), 1))
		for range 40 {
			c, err := h3.LatLngToCell(h3.NewLatLng(random.Float64()*180-90, random.Float64()*360-180), resolution)
			if err != nil {
				return fmt.Errorf("placing a cell: %w", err)
			}
			cells = append(cells, c)
		}
	}
	var vectors []vector
	for i, c := range cells {
		if c == 0 {
			continue
		}
		v := vector{Cell: c.String(), Rings: 1 + i%2}
		disk, err := c.GridDisk(v.Rings)
		if err != nil {
			return fmt.Errorf("disk around %s: %w", c, err)
		}
		slices.Sort(disk)
		for _, near := range slices.Compact(disk) {
			if near != 0 {
				v.Disk = append(v.Disk, near.String())
			}
		}
		vectors = append(vectors, v)
	}
	out := json.NewEncoder(os.Stdout)
	return out.Encode(vectors)
}
