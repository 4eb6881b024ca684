package auction

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"sort"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// BasisPoints count ten-thousandths.
type BasisPoints uint32

const whole BasisPoints = 10_000

// ErrTerms and ErrPosition are wrapped by errors about imbalances that cannot be settled.
var (
	ErrTerms    = errors.New("invalid imbalance terms")
	ErrPosition = errors.New("position out of range")
)

// Terms are what missing a contract costs.
type Terms struct {
	// Free is what anyone may be off without a penalty, FreeShare the same as a part of the contract; the
	// larger of both counts.
	Free      grid.WattHours
	FreeShare BasisPoints
	// Spread lies on both sides of the community's price where one's surplus covers the other's lack.
	Spread grid.Tick
	// Short and Long are the penalties on what the utility has to balance: added to the price of what is
	// missing, taken from that of what is too much. Long is at most the whole.
	Short, Long BasisPoints
}

// DefaultTerms are 50 Wh or 5 %, one tick, a tenth.
var DefaultTerms = Terms{Free: 50, FreeShare: 500, Spread: 1, Short: 1000, Long: 1000}

// Check returns what makes t no terms.
func (t Terms) Check() error {
	if t.Free < 0 || t.Free > MaxQuantity || t.FreeShare > whole || t.Short > whole || t.Long > whole || t.Spread < 0 || t.Spread >= grid.CommunityTicks {
		return fmt.Errorf("%w: %+v", ErrTerms, t)
	}
	return nil
}

// Position is what someone sold, and what the meter counted.
type Position struct {
	ID OrderID
	// Contract and Actual net supply to the grid: positive delivered, negative taken.
	Contract, Actual grid.WattHours
	// Escrow is the most that this position can cost.
	Escrow price.Amount
}

// Imbalance is how one position was settled.
type Imbalance struct {
	// Off is what counts of Actual less Contract: all of it, but for a lack that Escrow does not
	// cover. What is beyond is no business of the market: the utility delivered it.
	Off grid.WattHours
	// Netted was covered by others that were off the other way.
	Netted grid.WattHours
	// Penalised had a spread or a penalty in its price.
	Penalised grid.WattHours
	// Money is paid for a lack and received for a surplus.
	Money price.Amount
}

// Balance is the settlement of all positions of a slot.
//
// INV-ENERGY-8: what is paid for lacks and ToCommunity is the sum of what is received for surpluses,
// ToUtility and ToPool, to the last base unit; nobody pays more than their escrow.
type Balance struct {
	Positions []Imbalance
	// ToUtility pays for what the community lacked in all, ToCommunity for what it had too much.
	ToUtility, ToCommunity price.Amount
	// ToPool is what remains: penalties, spreads and roundings, for those who keep the grid even.
	ToPool price.Amount
}

// SettleImbalance prices what a slot's positions were off. community is the price at the root, tick
// what a tick is worth.
//
//  1. Lacks and surpluses within the tolerance are netted in the community at its price, what lies
//     beyond at that price and Spread.
//  2. What is left on one side goes to the utility: a lack costs the larger of the community's and the
//     retail price, a surplus earns the smaller of the community's and the feed-in price; beyond the
//     tolerance, with the penalty.
//
// A tolerance at the community's price that nobody is there to net would be paid by someone else, and so
// there is none.
func SettleImbalance(positions []Position, community grid.Tick, u Utility, t Terms, tick price.Amount) (Balance, error) {
	if err := t.Check(); err != nil {
		return Balance{}, err
	}
	if u.FeedIn < 0 || u.FeedIn > u.Retail || u.Retail >= grid.CommunityTicks || community < 0 || community >= grid.CommunityTicks {
		return Balance{}, fmt.Errorf("%w: buys at %d, sells at %d, community at %d", ErrUtility, u.FeedIn, u.Retail, community)
	}
	b := balancer{
		positions: positions, terms: t,
		netted: [2][2]int64{
			{int64(max(community-t.Spread, 0)), int64(community)},
			{int64(community + t.Spread), int64(community)},
		},
		utility: [2]int64{int64(min(community, u.FeedIn)), int64(max(community, u.Retail))},
		purse:   purse{rate: price.Rate{Amount: tick, Per: PerTick}},
		Balance: Balance{Positions: make([]Imbalance, len(positions))},
	}
	if err := b.measure(); err != nil {
		return Balance{}, err
	}
	b.net()
	var balance int64
	for i := range b.Positions {
		balance += int64(b.Positions[i].Off)
		b.price(i)
	}
	b.ToUtility = b.out(max(-balance, 0) * int64(u.Retail))
	b.ToCommunity = b.in(max(balance, 0) * int64(u.FeedIn))
	var err error
	b.ToPool, err = b.rest(len(positions))
	return b.Balance, err
}

// TrueUp settles what readings that came late differ from the estimates that were settled in their place:
// an imbalance without tolerance or penalty. Others' settlements stand.
func TrueUp(late []Position, community grid.Tick, u Utility, tick price.Amount) (Balance, error) {
	return SettleImbalance(late, community, u, Terms{}, tick)
}

// Sides of an imbalance, and parts of one.
const (
	long, short    = 0, 1
	beyond, inside = 0, 1
)

// balancer is the work of one SettleImbalance. Prices are in ticks.
type balancer struct {
	Balance
	purse
	positions []Position
	terms     Terms
	netted    [2][2]int64 // by side and part
	utility   [2]int64    // by side
	parts     [][2]grid.WattHours
	covered   [][2]grid.WattHours // of each part, what others cover
}

func sideOf(off grid.WattHours) int {
	if off < 0 {
		return short
	}
	return long
}

// measure finds how far each position is off, and how much of it is within the tolerance.
func (b *balancer) measure() error {
	b.parts = make([][2]grid.WattHours, len(b.positions))
	b.covered = make([][2]grid.WattHours, len(b.positions))
	if len(b.positions) > MaxOrders {
		return fmt.Errorf("%w: %d positions, at most %d", ErrBook, len(b.positions), MaxOrders)
	}
	var total grid.WattHours
	for i, p := range b.positions {
		if max(p.Contract, p.Actual) > MaxQuantity || min(p.Contract, p.Actual) < -MaxQuantity {
			return fmt.Errorf("position %d: %w: contract of %d Wh, actually %d, at most %d", i, ErrPosition, p.Contract, p.Actual, MaxQuantity)
		}
		off := p.Actual - p.Contract
		if off < 0 {
			off = -b.affordable(-off, p.Escrow)
		}
		free := max(b.terms.Free, max(p.Contract, -p.Contract)*grid.WattHours(b.terms.FreeShare)/grid.WattHours(whole))
		size := max(off, -off)
		if total += size; total > grid.MaxEnergy {
			return fmt.Errorf("%w: position %d brings imbalances above %d Wh", ErrBook, i, grid.MaxEnergy)
		}
		b.Positions[i].Off = off
		b.parts[i] = [2]grid.WattHours{inside: min(size, free), beyond: max(size-free, 0)}
	}
	return nil
}

// affordable is how much of a lack an escrow covers at the worst price.
func (b *balancer) affordable(lack grid.WattHours, escrow price.Amount) grid.WattHours {
	worst := max(b.netted[short][beyond], ceilPart(b.utility[short], whole+b.terms.Short))
	return grid.WattHours(sort.Search(int(lack), func(q int) bool {
		cost, rest, err := b.rate.Accrue(uint64(int64(q+1)*worst), 1, 0)
		c := cost.Cmp(escrow)
		return err != nil || c > 0 || c == 0 && rest > 0
	}))
}

// net lets surpluses cover lacks: what is within the tolerance first, then the rest, pro rata.
func (b *balancer) net() {
	var sum [2][2]grid.WattHours
	for i, parts := range b.parts {
		side := sideOf(b.Positions[i].Off)
		sum[side][inside] += parts[inside]
		sum[side][beyond] += parts[beyond]
	}
	covered := min(sum[long][inside]+sum[long][beyond], sum[short][inside]+sum[short][beyond])
	for _, side := range []int{long, short} {
		left := covered
		for _, part := range []int{inside, beyond} {
			b.cover(side, part, min(left, sum[side][part]))
			left -= min(left, sum[side][part])
		}
	}
}

func (b *balancer) cover(side, part int, total grid.WattHours) {
	var portions []portion
	for i, parts := range b.parts {
		if sideOf(b.Positions[i].Off) == side && parts[part] > 0 {
			portions = append(portions, portion{index: i, quantity: int64(parts[part])})
		}
	}
	share(int64(total), portions, func(x, y portion) int {
		p, q := b.positions[x.index].ID, b.positions[y.index].ID
		return cmp.Or(bytes.Compare(p[:], q[:]), cmp.Compare(x.quantity, y.quantity))
	})
	for _, p := range portions {
		b.covered[p.index][part] = grid.WattHours(p.part)
		b.Positions[p.index].Netted += grid.WattHours(p.part)
	}
}

// price settles position i.
func (b *balancer) price(i int) {
	p := &b.Positions[i]
	side := sideOf(p.Off)
	var worth int64
	for _, part := range []int{inside, beyond} {
		covered := int64(b.covered[i][part])
		left := int64(b.parts[i][part]) - covered
		worth += covered * b.netted[side][part]
		switch rest := left * b.utility[side]; {
		case part == inside:
			worth += rest
		case side == short:
			worth += ceilPart(rest, whole+b.terms.Short)
		default:
			worth += rest * int64(whole-b.terms.Long) / int64(whole)
		}
	}
	p.Penalised = b.parts[i][beyond]
	if side == short {
		p.Money = b.in(worth)
	} else {
		p.Money = b.out(worth)
	}
}

// ceilPart returns so many ten-thousandths of v, rounded up.
func ceilPart(v int64, part BasisPoints) int64 {
	return (v*int64(part) + int64(whole) - 1) / int64(whole)
}
