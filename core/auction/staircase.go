package auction

import (
	"slices"
	"sort"
)

// staircase is a node's net supply as a function of the level: start at level 0, and from each step on
// what stands beside it. Steps ascend strictly, net supplies too; start is never positive and the last
// never negative.
type staircase struct {
	start int64
	steps []stair
}

type stair struct {
	step int32
	net  int64 // above this step
}

// at returns the net supply at a level, which may lie above all steps.
func (s staircase) at(level int) int64 {
	i := sort.Search(len(s.steps), func(i int) bool { return int(s.steps[i].step) >= level })
	if i == 0 {
		return s.start
	}
	return s.steps[i-1].net
}

// clearing returns the first and the last step, of steps in all, that have a net supply between the
// levels below and above them. net must lie within the staircase.
func (s staircase) clearing(net int64, steps int) (first, last int) {
	if s.start < net {
		i := sort.Search(len(s.steps), func(i int) bool { return s.steps[i].net >= net })
		if i < len(s.steps) {
			first = int(s.steps[i].step)
		}
	}
	last = steps - 1
	if i := sort.Search(len(s.steps), func(i int) bool { return s.steps[i].net > net }); i < len(s.steps) {
		last = int(s.steps[i].step)
	}
	return first, last
}

// slope collects the rises of a staircase, by step; the level below all steps has its own.
type slope struct {
	start int64
	rise  []int64
	steps []int32 // those with a rise, in the order they came
}

func newSlope(steps int) *slope { return &slope{rise: make([]int64, steps)} }

func (s *slope) add(step int, rise int64) {
	if s.rise[step] == 0 && rise != 0 {
		s.steps = append(s.steps, int32(step))
	}
	s.rise[step] += rise
}

// order adds an order's step.
func (s *slope) order(side Side, step int, quantity int64) {
	if side == Buy {
		s.start -= quantity
	}
	s.add(step, quantity)
}

// child adds a staircase seen through an edge. Below the level where its net supply changes sign it
// imports, above it exports; the steps between the prices of the two are not seen at all.
func (s *slope) child(c staircase, e edge) {
	seen := e.upper(e.limit(c.start))
	net := c.start
	s.start += seen
	i := 0
	for ; i < len(c.steps) && net < 0; i++ {
		net = c.steps[i].net
		next := e.upper(e.limit(min(net, 0)))
		if at := e.importStep(int(c.steps[i].step)); at < 0 {
			s.start += next - seen
		} else {
			s.add(at, next-seen)
		}
		seen = next
	}
	if i > 0 && net > 0 {
		i-- // the step that changes the sign is seen twice: where imports end, where exports begin
	}
	for seen = 0; i < len(c.steps); i++ {
		at := e.exportStep(int(c.steps[i].step))
		if at >= len(s.rise) { // no price above pays for it, nor for what follows
			return
		}
		next := e.upper(e.limit(c.steps[i].net))
		s.add(at, next-seen)
		seen = next
	}
}

// sparse is how many steps of all may rise for sorting them to be cheaper than looking at all.
const sparse = 64

// take appends the staircase to arena and returns both; s is empty then.
func (s *slope) take(arena []stair) (staircase, []stair) {
	if len(s.steps) < len(s.rise)/sparse {
		slices.Sort(s.steps)
	} else {
		s.steps = s.steps[:0]
		for step, rise := range s.rise {
			if rise != 0 {
				s.steps = append(s.steps, int32(step))
			}
		}
	}
	c := staircase{start: s.start}
	from, net := len(arena), s.start
	for _, step := range s.steps {
		net += s.rise[step]
		arena = append(arena, stair{step, net})
		s.rise[step] = 0
	}
	s.start, s.steps = 0, s.steps[:0]
	c.steps = arena[from:len(arena):len(arena)]
	return c, arena
}
