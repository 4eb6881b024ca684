package report

import (
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/score"
)

// ErrFacts is wrapped by errors about facts that are not those of one epoch of one service.
var ErrFacts = errors.New("not the facts of the epoch")

// Plan is what an epoch's accounts follow from beside facts and previous accounts.
type Plan struct {
	Service score.Service
	Epoch   uint64
	Rules   score.Rules
	Pools   score.Pools
}

// Points sums the points of facts, which must ascend by device and be of the plan's service and
// epoch. ErrFacts, or score.ErrRules.
func (p Plan) Points(facts []score.Fact) (total uint64, err error) {
	if !p.Rules.Known() {
		return 0, fmt.Errorf("rules %d: %w", p.Rules, score.ErrRules)
	}
	for i, f := range facts {
		if f.Service != p.Service || f.Epoch != p.Epoch || i > 0 && facts[i-1].Device >= f.Device {
			return 0, fmt.Errorf("fact %d of device %d in epoch %d of %s: %w: want epoch %d of %s, ascending",
				i, f.Device, f.Epoch, f.Service, ErrFacts, p.Epoch, p.Service)
		}
		points, _ := p.Rules.Score(f)
		var over bool
		if total, over = score.AddPoints(total, points); over {
			return 0, fmt.Errorf("adding points of device %d: %w: the sum overflows", f.Device, ErrFacts)
		}
	}
	return total, nil
}

// Next gives the account of one device: what its leaf must be. before is its previous account, nil
// if it had none, f its fact, nil if there is none. False if it must have no leaf.
func (p Plan) Next(device uint64, before *score.Account, f *score.Fact, totalPoints uint64) (score.Account, bool) {
	if before == nil && f == nil {
		return score.Account{}, false
	}
	from := score.Account{Device: device}
	if before != nil {
		from = *before
	}
	return p.Rules.Next(from, f, p.Epoch, totalPoints, p.Pools), true
}

// Range is a stretch of devices: where it begins and ends in facts and in previous accounts.
type Range struct {
	Facts, Previous [2]int
}

// Cut cuts facts and previous accounts, both ascending by device, into at most n ranges of about
// the same size, no device in two.
func Cut(facts []score.Fact, previous []score.Account, n int) []Range {
	var ranges []Range
	var from Range
	for i := 1; i <= n; i++ {
		to := [2]int{len(facts), len(previous)}
		if i < n {
			switch { // at a device of the longer list
			case len(facts) >= len(previous) && len(facts) > 0:
				to[0] = len(facts) * i / n
				to[1], _ = find(previous, facts[to[0]].Device)
			case len(previous) > 0:
				to[1] = len(previous) * i / n
				to[0] = findFact(facts, previous[to[1]].Device)
			}
		}
		from.Facts[1], from.Previous[1] = to[0], to[1]
		if from.Facts[0] < to[0] || from.Previous[0] < to[1] {
			ranges = append(ranges, from)
		}
		from.Facts[0], from.Previous[0] = to[0], to[1]
	}
	return ranges
}

func findFact(facts []score.Fact, device uint64) int {
	low, high := 0, len(facts)
	for low < high {
		if mid := (low + high) / 2; facts[mid].Device < device {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// Accounts appends to out the accounts of a range, ascending: of every device with a previous
// account or a fact.
func (p Plan) Accounts(out []score.Account, facts []score.Fact, previous []score.Account, totalPoints uint64) []score.Account {
	for len(facts) > 0 || len(previous) > 0 {
		var (
			device uint64
			f      *score.Fact
			before *score.Account
		)
		if len(facts) > 0 && (len(previous) == 0 || facts[0].Device <= previous[0].Device) {
			device, f = facts[0].Device, &facts[0]
		}
		if len(previous) > 0 && (f == nil || previous[0].Device == device) {
			device, before = previous[0].Device, &previous[0]
		}
		if f != nil {
			facts = facts[1:]
		}
		if before != nil {
			previous = previous[1:]
		}
		if next, some := p.Next(device, before, f, totalPoints); some {
			out = append(out, next)
		}
	}
	return out
}

// Compute is the whole epoch: the tree of all accounts. facts and previous ascend by device. It is
// what the steps Points, Accounts, Hash and Join give, which a program with more than one core runs
// over ranges at the same time.
func (p Plan) Compute(facts []score.Fact, previous []score.Account) (*Tree[score.Account], error) {
	total, err := p.Points(facts)
	if err != nil {
		return nil, fmt.Errorf("scoring epoch %d of %s: %w", p.Epoch, p.Service, err)
	}
	accounts := make([]score.Account, 0, max(len(facts), len(previous)))
	tree, err := Build(p.Accounts(accounts, facts, previous, total))
	if err != nil {
		return nil, fmt.Errorf("building epoch %d of %s: %w", p.Epoch, p.Service, err)
	}
	return tree, nil
}
