package geo

import "slices"

// Directions of a cell's neighbours, as digits of an index name them.
const (
	center = 0
	axisK  = 1
	axisJK = 3
	axisIK = 5
	axes   = 6
)

// turned gives, by digit, the digit a sixth of a turn counter-clockwise, and turnedBack clockwise.
var (
	turned     = [7]uint8{0, 5, 3, 1, 6, 4, 2}
	turnedBack = [7]uint8{0, 3, 6, 2, 5, 1, 4}
)

// Disk gives the cells at most rings steps from a valid cell, itself among them, ascending: 1, 7, 19,
// 37, ... cells, and fewer where one of the twelve pentagons is near. The cost grows with the number of
// cells. Nil for what is no cell.
func (c Cell) Disk(rings int) []Cell {
	if !c.Valid() || rings < 0 {
		return nil
	}
	disk, edge := []Cell{c}, []Cell{c}
	for range rings {
		var next []Cell
		for _, at := range edge {
			for direction := uint8(1); direction <= axes; direction++ {
				if near, exists := at.neighbor(direction); exists && !slices.Contains(disk, near) {
					disk, next = append(disk, near), append(next, near)
				}
			}
		}
		edge = next
	}
	slices.Sort(disk)
	return disk
}

// Neighbors gives the cells that share an edge with a valid cell, ascending: six, or five of a pentagon.
func (c Cell) Neighbors() []Cell {
	disk := c.Disk(1)
	return slices.DeleteFunc(disk, func(near Cell) bool { return near == c })
}

// neighbor gives the cell one step in a direction of the cell's own axes; false in the direction that a
// pentagon lacks. The algorithm is that of the H3 core library (h3NeighborRotations): add the step to
// the finest digit, carry into coarser ones, and at the coarsest turn the index into the axes of the
// base cell that it has come to.
func (c Cell) neighbor(direction uint8) (Cell, bool) {
	from, leading := c.base(), c.leading()
	at, rotations := c.step(direction)
	to := at.base()
	if !at.onPentagon() {
		for range rotations {
			at = at.turn(&turned)
		}
		return at, true
	}
	if at.leading() == axisK { // in the part that the pentagon lacks
		switch {
		case from != to:
			at = at.turn(&turnedBack)
		case leading == center:
			return 0, false
		case leading == axisJK:
			at = at.turn(&turned)
		case leading == axisIK:
			at = at.turn(&turnedBack)
		default: // only from an index that is no cell
			return 0, false
		}
	}
	for range rotations {
		at = at.turnPentagon()
	}
	return at, true
}

// step adds a direction to the finest digit and carries. It gives how far the axes of the base cell
// that it has come to are turned.
func (c Cell) step(direction uint8) (to Cell, rotations uint8) {
	for r := c.Resolution(); r > 0; r-- {
		digits, carries := &digitEven, &carryEven
		if r%2 == 1 {
			digits, carries = &digitOdd, &carryOdd
		}
		digit := c.digit(r)
		c = c.withDigit(r, digits[digit][direction])
		if direction = carries[digit][direction]; direction == center {
			return c, 0
		}
	}
	from := c.base()
	if baseNeighbors[from][direction] == noBase {
		// The edge of the missing neighbour borders the next one; the index turns with it.
		direction = axisIK
		c = c.turn(&turned)
	}
	return c&^(0x7f<<baseBit) | Cell(baseNeighbors[from][direction])<<baseBit, baseRotations[from][direction]
}

// turn turns all digits by a table.
func (c Cell) turn(by *[7]uint8) Cell {
	for r := 1; r <= c.Resolution(); r++ {
		c = c.withDigit(r, by[c.digit(r)])
	}
	return c
}

// turnPentagon turns all digits counter-clockwise around a pentagon, which has nothing in direction K:
// an index that comes to it is turned once more.
func (c Cell) turnPentagon() Cell {
	c = c.turn(&turned)
	if c.leading() == axisK {
		c = c.turn(&turned)
	}
	return c
}

// leading is the first digit that is not 0, or 0.
func (c Cell) leading() int {
	for r := 1; r <= c.Resolution(); r++ {
		if d := c.digit(r); d != center {
			return d
		}
	}
	return center
}

func (c Cell) withDigit(r int, digit uint8) Cell {
	shift := (MaxResolution - r) * digitBits
	return c&^(7<<shift) | Cell(digit)<<shift
}
