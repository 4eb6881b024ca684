package reporter

import (
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// errSame says that two trees have no difference: their roots should not differ then.
var errSame = errors.New("trees are the same")

// need is a part that has to be seen.
type need struct {
	index uint64
	depth uint8
}

// differenceOf gives the first device whose leaf differs between two trees, and its place in the
// second.
func differenceOf[L report.Leaf](mine, theirs *report.Tree[L]) (device uint64, place report.PlaceOf[L], err error) {
	a, b := mine.Leaves(), theirs.Leaves()
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	switch {
	case i == len(a) && i == len(b):
		return 0, place, errSame
	case i == len(b) || i < len(a) && deviceOf(a[i]) < deviceOf(b[i]):
		device = deviceOf(a[i]) // left out
	default:
		device = deviceOf(b[i]) // wrong, or put in
	}
	place, err = theirs.Place(device)
	return device, place, err
}

func deviceOf[L report.Leaf](l L) uint64 {
	switch l := any(l).(type) {
	case report.Input:
		return l.Device
	case score.Account:
		return l.Device
	}
	return 0
}

// difference gives the same of a tree of which only its root and verified parts are known, or what
// part has to be seen to go on.
func difference[L report.Leaf](mine *report.Tree[L], root report.Root, parts []report.PartOf[L]) (device uint64, place report.PlaceOf[L], next *need, err error) {
	i, next, err := firstDifference(mine, root, parts)
	if err != nil || next != nil {
		return 0, place, next, err
	}
	leaves := mine.Leaves()
	var theirs *report.ProofOf[L]
	if i < root.Leaves {
		p, need, err := proofFrom(parts, i, root.Leaves)
		if err != nil || need != nil {
			return 0, place, need, err
		}
		theirs = &p
	}
	if theirs != nil && (i >= uint64(len(leaves)) || deviceOf(leaves[i]) >= deviceOf(theirs.Leaf)) {
		return deviceOf(theirs.Leaf), report.PlaceOf[L]{Proof: theirs}, nil, nil // wrong, or put in
	}
	// Left out: it would stand between i-1 and i.
	absent := report.AbsenceOf[L]{After: theirs}
	if i > 0 {
		p, need, err := proofFrom(parts, i-1, root.Leaves)
		if err != nil || need != nil {
			return 0, place, need, err
		}
		absent.Before = &p
	}
	return deviceOf(leaves[i]), report.PlaceOf[L]{Absent: &absent}, nil, nil
}

// firstDifference gives the index of the first leaf that differs; root.Leaves where the tree ends
// before mine does.
func firstDifference[L report.Leaf](mine *report.Tree[L], root report.Root, parts []report.PartOf[L]) (uint64, *need, error) {
	if over, ok := mine.Over(0, root.Leaves); root.Leaves == 0 || ok && over == root {
		if uint64(len(mine.Leaves())) == root.Leaves {
			return 0, nil, errSame
		}
		return root.Leaves, nil, nil
	}
	at := need{}
	for {
		part := partAt(parts, at)
		if part == nil {
			return 0, &at, nil
		}
		found := false
		for _, e := range part.Below {
			if over, ok := mine.Over(e.First, e.Node.Leaves); ok && over == e.Node {
				continue
			}
			if e.Leaf != nil {
				return e.First, nil, nil
			}
			at, found = need{e.First, at.depth + report.PartLevels}, true
			break
		}
		if !found {
			return 0, nil, fmt.Errorf("part at leaf %d, depth %d: %w", at.index, at.depth, errSame)
		}
	}
}

func partAt[L report.Leaf](parts []report.PartOf[L], at need) *report.PartOf[L] {
	for i, p := range parts {
		if p.Index == at.index && p.Depth == at.depth {
			return &parts[i]
		}
	}
	return nil
}

// proofFrom gives the proof of a leaf from the part that shows it, or that part.
func proofFrom[L report.Leaf](parts []report.PartOf[L], index, leaves uint64) (report.ProofOf[L], *need, error) {
	for _, p := range parts {
		proof, err := p.Prove(index)
		if err == nil {
			return proof, nil, nil
		}
	}
	at := need{index, report.Depth(index, leaves)}
	if partAt(parts, at) != nil {
		return report.ProofOf[L]{}, nil, fmt.Errorf("leaf %d is not in the part that must show it", index)
	}
	return report.ProofOf[L]{}, &at, nil
}
