// Package community is the money of one hour of an energy community: what every member owes and is
// owed after the hour's readings were traded, the same on chain and off.
//
// # Mental model
//
// An hour has leaves (core/meter), one a meter; each meter has an account, and so have the edges of
// the grid, the utility and what roundings leave. Settle takes the accounts before the hour, the
// hour's leaves and the members' standing limits, and gives the accounts after it and the local prices.
// An aggregator computes it off chain and commits to the root of the accounts; whoever doubts it hands
// the same inputs to the chain, which computes it again.
//
// Accounts are cumulative: what was earned and owed since the community began. The tree's root carries
// the sums of both.
//
//	account  SHA-256(0x08 || account, 88 bytes)      sums: 1, earned, owed
//	node     SHA-256(0x09 || left || right)          sums: of both
//
// where a child is hash (32 bytes) || leaves (4) || earned (16) || owed (16), numbers big-endian.
//
// # Invariants
//
//   - INV-ENERGY-ZERO: under every root of Settle, earned sums to exactly what owed sums to.
//   - INV-ENERGY-FUNDED: nobody owes more after an hour than was paid in and earned before it: who
//     cannot pay the hour at the utility's price does not take part in it.
//   - INV-ENERGY-PURE: Settle depends on nothing but its arguments.
package community

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cairn-network/cairn/core/auction"
	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/meter"
	"github.com/cairn-network/cairn/core/price"
)

var (
	// ErrInput is wrapped by errors about inputs from which no hour follows.
	ErrInput = errors.New("not the inputs of an hour")
	// ErrProof is wrapped by errors about accounts that are not under a root as they are said to be.
	ErrProof = errors.New("account proof does not hold")
	// ErrEncoding is wrapped by errors about bytes that are nothing in its only encoding.
	ErrEncoding = errors.New("invalid account encoding")
)

// MaxMembers is how many meters one community has at most, MaxNodes how many nodes its grid: what a
// chain computes again in one message.
const (
	MaxMembers = 512
	MaxNodes   = 64
)

// AccountID names an account: a meter's is the id of its device, below 2^62.
type AccountID uint64

const (
	edges AccountID = 1 << 62
	// Utility is whom the community buys from and sells to.
	Utility AccountID = 1 << 63
	// Rounding gets what roundings leave.
	Rounding AccountID = 1<<63 | 1
)

// OfEdge is the account of the edge above a node.
func OfEdge(node grid.NodeID) AccountID { return edges | AccountID(node) }

// Edge gives the node of an edge's account, false if it is another's.
func (a AccountID) Edge() (grid.NodeID, bool) {
	return grid.NodeID(a), a&^(1<<32-1) == edges
}

// IsMeter says whether it is a meter's account.
func (a AccountID) IsMeter() bool { return a > 0 && a < edges }

// Account is what a member, an edge or the utility earned and owed since the community began.
type Account struct {
	ID AccountID
	// Hour of a meter's last leaf, and the registers that it closed with; 0 before the first.
	Hour         meter.Hour
	Closing      meter.Registers
	Earned, Owed price.Amount
}

// Terms are what a community trades by.
type Terms struct {
	Tree *grid.Tree
	// Ticks is how many prices there are.
	Ticks   grid.Tick
	Utility auction.Utility
	// Tick is what one tick is worth, in acairn for a kilowatt-hour.
	Tick price.Amount
	// Loss is what the community's lines may lose.
	Loss grid.PPM
}

// Member is what the chain knows of an account at the beginning of an hour.
type Member struct {
	ID AccountID
	// Node and Role of a meter, as registered; leaves must say the same.
	Node  grid.NodeID
	Role  meter.Role
	Class meter.Class
	// SellAbove and BuyBelow bound the prices at which a meter's surplus and need are traded with
	// neighbours.
	SellAbove, BuyBelow grid.Tick
	// PaidIn less Withdrawn is what somebody put in for the account.
	PaidIn, Withdrawn price.Amount
}

// Input is all that an hour follows from.
type Input struct {
	Terms Terms
	Hour  meter.Hour
	// Leaves ascend by meter, Members and Before by id. Before are the accounts after the last hour.
	Leaves  []meter.Leaf
	Members []Member
	Before  []Account
}

// Settled is an hour after it was traded.
type Settled struct {
	// Readings is the root over the leaves.
	Readings meter.Node
	// Balances of the hour's slots.
	Balances [meter.HourSlots]meter.Balance
	// Prices by slot and node, in the tree's order.
	Prices [meter.HourSlots][]grid.Tick
	// Accounts after the hour, ascending by id.
	Accounts []Account
	Root     Node
	// Held says of each leaf why it was not traded; meter.None if it was.
	Held []meter.Reason
}

// settler is one run of Settle.
type settler struct {
	Input
	accounts []Account
	// of each leaf: its member, its account and the node's place in the tree.
	member  []int
	account []int
	node    []int32
	buys    []bool // funds suffice
	utility auction.Utility
	out     Settled
}

// Settle trades an hour. It fails only for inputs that are none: leaves of unknown meters or out of
// order, nodes that the grid does not have, sums out of range.
func Settle(in Input) (*Settled, error) {
	s := settler{Input: in, accounts: slices.Clone(in.Before), utility: in.Terms.Utility}
	for _, step := range []func() error{s.check, s.place, s.judge, s.fund, s.heal, s.trade} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("settling hour %d: %w", in.Hour, err)
		}
	}
	s.out.Accounts = s.accounts
	tree, err := BuildAccounts(s.accounts)
	if err != nil {
		return nil, err
	}
	s.out.Root = tree.Root()
	return &s.out, nil
}

// check holds the inputs to their form and computes root and balances.
func (s *settler) check() error {
	if s.Terms.Tree == nil || s.Terms.Tree.Len() > MaxNodes {
		return fmt.Errorf("%w: no grid, or of more than %d nodes", ErrInput, MaxNodes)
	}
	if len(s.Leaves) > MaxMembers || len(s.Members) > MaxMembers+MaxNodes+2 {
		return fmt.Errorf("%w: %d leaves, %d members, at most %d", ErrInput, len(s.Leaves), len(s.Members), MaxMembers)
	}
	for i := range s.Members {
		if i > 0 && s.Members[i-1].ID >= s.Members[i].ID {
			return fmt.Errorf("%w: member %d after %d", ErrInput, s.Members[i].ID, s.Members[i-1].ID)
		}
	}
	for i := range s.accounts {
		if i > 0 && s.accounts[i-1].ID >= s.accounts[i].ID {
			return fmt.Errorf("%w: account %d after %d", ErrInput, s.accounts[i].ID, s.accounts[i-1].ID)
		}
	}
	tree, err := meter.Build(s.Leaves)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	s.out.Readings = tree.Root()
	for i, f := range s.out.Readings.Totals {
		// Members who consume less than nothing make the slot fail, not the hour.
		b, err := f.Balance(s.Terms.Loss)
		if err != nil {
			b.State = meter.Failed
		}
		s.out.Balances[i] = b
	}
	return nil
}

// place finds or opens the accounts of leaves, edges, utility and rounding.
func (s *settler) place() error {
	want := []AccountID{Utility, Rounding}
	for i := range s.Terms.Tree.Len() {
		want = append(want, OfEdge(s.Terms.Tree.Node(i).ID))
	}
	for _, l := range s.Leaves {
		want = append(want, AccountID(l.Meter))
	}
	for _, id := range want {
		if _, found := find(s.accounts, id); !found {
			s.accounts = append(s.accounts, Account{ID: id})
			slices.SortFunc(s.accounts, func(a, b Account) int { return cmp.Compare(a.ID, b.ID) })
		}
	}
	for _, l := range s.Leaves {
		m, found := s.find(AccountID(l.Meter))
		if !found || !m.ID.IsMeter() || m.Node != l.Node || m.Role != l.Role {
			return fmt.Errorf("%w: leaf of meter %d as role %d at node %d, which is not registered", ErrInput, l.Meter, l.Role, l.Node)
		}
		at, found := s.Terms.Tree.Index(l.Node)
		if !found {
			return fmt.Errorf("%w: meter %d hangs at node %d, which the grid does not have", ErrInput, l.Meter, l.Node)
		}
		account, _ := find(s.accounts, AccountID(l.Meter))
		member, _ := slices.BinarySearchFunc(s.Members, AccountID(l.Meter), func(m Member, id AccountID) int { return cmp.Compare(m.ID, id) })
		s.member, s.account, s.node = append(s.member, member), append(s.account, account), append(s.node, int32(at))
	}
	return nil
}

func find(accounts []Account, id AccountID) (int, bool) {
	return slices.BinarySearchFunc(accounts, id, func(a Account, id AccountID) int { return cmp.Compare(a.ID, id) })
}

func (s *settler) find(id AccountID) (Member, bool) {
	i, found := slices.BinarySearchFunc(s.Members, id, func(m Member, id AccountID) int { return cmp.Compare(m.ID, id) })
	if !found {
		return Member{ID: id}, false
	}
	return s.Members[i], true
}

// judge says which leaves are not traded: what they show by themselves, and registers that have
// fallen since the meter's last leaf.
func (s *settler) judge() error {
	s.out.Held = make([]meter.Reason, len(s.Leaves))
	for i, l := range s.Leaves {
		s.out.Held[i] = l.Reason
		a := s.accounts[s.account[i]]
		if a.Hour >= s.Hour {
			return fmt.Errorf("%w: meter %d had a leaf in hour %d", ErrInput, l.Meter, a.Hour)
		}
		if _, falls := a.Closing.Falls(l.Opening); falls && a.Hour > 0 {
			s.out.Held[i] = meter.RolledBack
		}
	}
	return nil
}

// funds is what an account can spend; zero for one that is overdrawn.
func (s *settler) funds(m Member, a Account) price.Amount {
	has, over := m.PaidIn.Add(a.Earned)
	gone, over2 := m.Withdrawn.Add(a.Owed)
	left, under := has.Sub(gone)
	if over || over2 || under {
		return price.Amount{}
	}
	return left
}

// cost is what some ticks times watt-hours are worth, rounded up twice: more than any way of
// rounding parts of it up.
func (s *settler) cost(value uint64) (price.Amount, error) {
	c, err := price.Rate{Amount: s.Terms.Tick, Per: auction.PerTick}.Cost(value)
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrInput, err)
	}
	sum, over := c.Add(price.FromUint64(2 * (meter.HourSlots + 1)))
	if over {
		return c, fmt.Errorf("%w: a cost is out of range", ErrInput)
	}
	return sum, nil
}

// late is what a meter's registers counted between its last leaf and this one.
func (s *settler) late(i int) meter.Energy {
	a := s.accounts[s.account[i]]
	if a.Hour == 0 || s.out.Held[i] == meter.RolledBack {
		return meter.Energy{}
	}
	return meter.Between(a.Closing, s.Leaves[i].Opening)
}

// fund says who can pay the hour at the utility's price, and whether the utility can pay for all that
// it may be sold: if not, it buys nothing at more than 0.
func (s *settler) fund() error {
	exported := uint64(0)
	s.buys = make([]bool, len(s.Leaves))
	for i, l := range s.Leaves {
		late := s.late(i)
		needs := uint64(max(late.Import, 0))
		gives := uint64(max(late.Export, 0))
		for _, e := range l.Slots {
			needs += uint64(max(e.Import-e.Export, 0))
			gives += uint64(max(e.Export-e.Import, 0))
		}
		if needs > uint64(meter.MaxSum) || gives > uint64(meter.MaxSum) {
			return fmt.Errorf("%w: meter %d caught up with %d Wh", ErrInput, l.Meter, needs+gives)
		}
		exported += gives
		cost, err := s.cost(needs * uint64(s.utility.Retail))
		if err != nil {
			return err
		}
		s.buys[i] = s.funds(s.Members[s.member[i]], s.accounts[s.account[i]]).Cmp(cost) >= 0
	}
	u, _ := s.find(Utility)
	at, _ := find(s.accounts, Utility)
	cost, err := s.cost(exported * uint64(s.utility.FeedIn))
	if err != nil {
		return err
	}
	if s.funds(u, s.accounts[at]).Cmp(cost) < 0 {
		s.utility.FeedIn = 0
	}
	return nil
}

// earn and owe move an amount into an account.
func (s *settler) earn(id AccountID, amount price.Amount) error {
	return s.add(id, amount, func(a *Account) *price.Amount { return &a.Earned })
}

func (s *settler) owe(id AccountID, amount price.Amount) error {
	return s.add(id, amount, func(a *Account) *price.Amount { return &a.Owed })
}

func (s *settler) add(id AccountID, amount price.Amount, to func(*Account) *price.Amount) error {
	at, found := find(s.accounts, id)
	if !found {
		return fmt.Errorf("%w: no account %d", ErrInput, id)
	}
	sum, over := to(&s.accounts[at]).Add(amount)
	if over {
		return fmt.Errorf("%w: account %d is out of range", ErrInput, id)
	}
	*to(&s.accounts[at]) = sum
	return nil
}

// settles says whether a leaf takes part in trading.
func (s *settler) settles(i int) bool {
	return s.Leaves[i].Role != meter.Head && s.out.Held[i] == meter.None
}

// heal settles with the utility what registers counted while no leaf told of it, and remembers where
// each meter stands now.
func (s *settler) heal() error {
	for i, l := range s.Leaves {
		late := s.late(i)
		if s.settles(i) {
			if late.Import > 0 && s.buys[i] {
				if err := s.transfer(AccountID(l.Meter), Utility, late.Import, s.utility.Retail); err != nil {
					return err
				}
			}
			if late.Export > 0 {
				if err := s.transfer(Utility, AccountID(l.Meter), late.Export, s.utility.FeedIn); err != nil {
					return err
				}
			}
		}
		a := &s.accounts[s.account[i]]
		a.Hour, a.Closing = s.Hour, l.Closing
	}
	return nil
}

// transfer moves what some energy is worth at a price, rounded down, from one account to another.
func (s *settler) transfer(from, to AccountID, e grid.WattHours, p grid.Tick) error {
	worth, err := price.Rate{Amount: s.Terms.Tick, Per: auction.PerTick}.Cost(uint64(e) * uint64(p))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	if err := s.owe(from, worth); err != nil {
		return err
	}
	return s.earn(to, worth)
}

// trade clears each slot and books it.
func (s *settler) trade() error {
	market := auction.Market{Tree: s.Terms.Tree, Ticks: s.Terms.Ticks, Utility: &s.utility}
	for slot := range meter.HourSlots {
		var readings []auction.Reading
		var of []int
		for i, l := range s.Leaves {
			e := l.Slots[slot]
			surplus := e.Export - e.Import
			m := s.Members[s.member[i]]
			switch {
			case !s.settles(i) || surplus == 0,
				surplus < 0 && !s.buys[i],
				// Where the feeder does not add up, keys in software are not believed.
				surplus > 0 && s.out.Balances[slot].State == meter.Failed && m.Class < meter.ClassB:
				continue
			}
			readings = append(readings, auction.Reading{
				ID: orderID(s.Hour, slot, l.Meter), Node: s.node[i], Surplus: surplus, SellAbove: m.SellAbove, BuyBelow: m.BuyBelow,
			})
			of = append(of, i)
		}
		settled, err := market.SettleMetered(readings, s.Terms.Tick)
		if err != nil {
			return fmt.Errorf("%w: slot %d: %w", ErrInput, slot, err)
		}
		for j, share := range settled.Shares {
			id := AccountID(s.Leaves[of[j]].Meter)
			if readings[j].Surplus > 0 {
				err = s.earn(id, share.Money)
			} else {
				err = s.owe(id, share.Money)
			}
			if err != nil {
				return err
			}
		}
		for n, toll := range settled.Tolls {
			edge := OfEdge(s.Terms.Tree.Node(n).ID)
			if err := errors.Join(s.earn(edge, toll.Fee), s.earn(edge, toll.Rent)); err != nil {
				return err
			}
		}
		if err := errors.Join(s.earn(Utility, settled.ToUtility), s.owe(Utility, settled.ToCommunity), s.earn(Rounding, settled.Rounding)); err != nil {
			return err
		}
		for _, n := range settled.Nodes {
			s.out.Prices[slot] = append(s.out.Prices[slot], n.Price)
		}
	}
	return nil
}

// orderID breaks ties between readings, so that they do not fall to the lowest number every time.
func orderID(hour meter.Hour, slot int, m uint64) auction.OrderID {
	b := binary.BigEndian.AppendUint64(nil, uint64(hour))
	b = binary.BigEndian.AppendUint64(append(b, byte(slot)), m)
	return sha256.Sum256(b)
}
