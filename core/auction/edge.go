package auction

import (
	"github.com/cairn-network/cairn/core/grid"
)

// A step is half a tick: step 2j are the asks at tick j, step 2j+1 its bids. A level is a point between
// steps: level k lies below step k, so K ticks have 2K steps and 2K+1 levels.

func (s Side) step(t grid.Tick) int { return 2*int(t) + int(s) }

// edge is a node's connection to its parent, as numbers to compute with. Flows are positive upwards.
type edge struct {
	fee      int
	loss     int64 // ppm, at most grid.MaxLoss
	capacity int64 // grid.MaxEnergy where unlimited
}

func edgeOf(e grid.Edge) edge {
	c := int64(e.Capacity)
	switch e.Capacity {
	case grid.Unlimited:
		c = int64(grid.MaxEnergy)
	case grid.Closed:
		c = 0
	}
	return edge{int(e.Fee), int64(e.Loss), c}
}

// exportPrice is the highest price below the edge at which its lower end may sell into price p above:
// p less the part lost, less the fee. Negative if there is none.
func (e edge) exportPrice(p int) int {
	return floorDiv(p*int(grid.Million-e.loss), grid.Million) - e.fee
}

// importPrice is the lowest price below the edge at which its lower end may buy out of price p above.
func (e edge) importPrice(p int) int {
	return ceilDiv(p*grid.Million, int(grid.Million-e.loss)) + e.fee
}

// exportStep is the step above the edge at which a step below it comes to be sold there: an ask at the
// least price that pays for it, a bid that gives way to that sale at the same.
func (e edge) exportStep(s int) int {
	return 2*ceilDiv((s/2+e.fee)*grid.Million, int(grid.Million-e.loss)) + s%2
}

// importStep is the last step above the edge at which the lower end still buys what a step below it is
// about: a bid buys no longer, an ask is bought instead. Negative if it never buys that.
func (e edge) importStep(s int) int {
	p := floorDiv((s/2-e.fee)*int(grid.Million-e.loss), grid.Million)
	if e.importPrice(p) == s/2 {
		return 2*p + s%2
	}
	return 2*p + 1
}

// exportLevel is the level below the edge up to which all is sold at level k above it: the steps that
// exportStep places below k.
func (e edge) exportLevel(k int) int {
	p := k / 2
	below := e.exportPrice(p - 1)
	if k%2 == 0 {
		return max(2*(below+1), 0)
	}
	return max(2*(below+1)+e.exportPrice(p)-below, 0)
}

// importLevel is the level below the edge from which all is bought at level k above it.
func (e edge) importLevel(k int) int { return 2*e.importPrice(k/2) + k%2 }

// limit bounds a flow at the lower end by the edge's capacity.
func (e edge) limit(flow int64) int64 { return min(max(flow, -e.capacity), e.capacity) }

// upper returns what the upper end sees of a flow at the lower: less of what comes, more of what goes.
// What is received is what was sent less the loss, which is rounded down: an edge never bills more
// than it loses.
func (e edge) upper(lower int64) int64 {
	if lower < 0 {
		return lower - -lower*e.loss/(grid.Million-e.loss) // the most that may be sent for it
	}
	return lower - lower*e.loss/grid.Million
}

// lower is an inverse of upper: where several flows look the same above, upwards the largest.
func (e edge) lower(upper int64) int64 {
	if upper < 0 {
		return upper - upper*e.loss/grid.Million
	}
	return upper + upper*e.loss/(grid.Million-e.loss)
}

// floorDiv and ceilDiv divide by a positive number, rounding down and up.
func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func ceilDiv(a, b int) int { return -floorDiv(-a, b) }
