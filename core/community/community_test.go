package community

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/auction"
	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/meter"
	"github.com/cairn-network/cairn/core/price"
)

const hour meter.Hour = 500_000

// street is two feeders under one substation; a tick is 1,000 acairn a kilowatt-hour.
func street(tb testing.TB) Terms {
	tree, err := grid.New([]grid.Node{
		{ID: 1, Kind: grid.Substation},
		{ID: 2, Parent: 1, Kind: grid.Feeder, Edge: grid.Edge{Fee: 2}},
		{ID: 3, Parent: 1, Kind: grid.Feeder, Edge: grid.Edge{Fee: 3}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return Terms{Tree: tree, Ticks: 400, Utility: auction.Utility{Retail: 300, FeedIn: 80}, Tick: price.FromUint64(1000), Loss: 30_000}
}

// leaf is a house whose registers stood at opening and moved by import and export each slot.
func leaf(id uint64, node grid.NodeID, opening meter.Registers, imported, exported grid.WattHours) meter.Leaf {
	l := meter.Leaf{Meter: id, Role: meter.House, Node: node, Covered: 15, Opening: opening, Closing: opening, Evidence: sha256.Sum256([]byte{byte(id)})}
	l.Closing.Import += meter.MilliWattHours(4*imported) * 1000
	l.Closing.Export += meter.MilliWattHours(4*exported) * 1000
	l.Closing.Generation += meter.MilliWattHours(4*exported) * 1000
	for i := range l.Slots {
		l.Slots[i] = meter.Energy{Import: imported, Export: exported, Generation: exported}
	}
	return l
}

func member(id AccountID, node grid.NodeID, paid uint64) Member {
	return Member{ID: id, Node: node, Role: meter.House, BuyBelow: 399, PaidIn: price.FromUint64(paid)}
}

// account of some id after an hour.
func (s *Settled) account(tb testing.TB, id AccountID) Account {
	i, found := find(s.Accounts, id)
	if !found {
		tb.Fatalf("no account %d", id)
	}
	return s.Accounts[i]
}

// INV-ENERGY-ZERO.
func zeroSum(tb interface{ Fatalf(string, ...any) }, accounts []Account) {
	var earned, owed price.Amount
	for _, a := range accounts {
		earned, _ = earned.Add(a.Earned)
		owed, _ = owed.Add(a.Owed)
	}
	if earned != owed {
		tb.Fatalf("%s are earned and %s owed", earned, owed)
	}
}

// One house sells a kilowatt-hour in each slot to its neighbour across the substation: five ticks of
// fees lie between their prices, and both do better than with the utility.
func TestNeighboursTrade(t *testing.T) {
	in := Input{
		Terms: street(t), Hour: hour,
		Leaves:  []meter.Leaf{leaf(5, 2, meter.Registers{}, 0, 1000), leaf(9, 3, meter.Registers{}, 1000, 0)},
		Members: []Member{member(5, 2, 0), member(9, 3, 10_000_000), member(Utility, 0, 10_000_000)},
	}
	s, err := Settle(in)
	if err != nil {
		t.Fatal(err)
	}
	zeroSum(t, s.Accounts)
	sold, bought := s.account(t, 5).Earned.Lo, s.account(t, 9).Owed.Lo
	if s.Prices[0][2]-s.Prices[0][1] != 5 || sold <= 4*80_000 || bought >= 4*300_000 || bought-sold != 4*5_000 {
		t.Errorf("prices %v, sold for %d, bought for %d", s.Prices[0], sold, bought)
	}
	if a, b := s.account(t, OfEdge(2)).Earned.Lo, s.account(t, OfEdge(3)).Earned.Lo; a != 4*2_000 || b != 4*3_000 {
		t.Errorf("edges got %d and %d", a, b)
	}
	if b := s.Balances[0]; b.Shared != 1000 || b.State != meter.Unmetered {
		t.Errorf("balance %+v", b)
	}
}

// Who cannot pay the hour at the utility's price does not take part; a utility that cannot pay buys for 0.
func TestNobodyTradesOnCredit(t *testing.T) {
	in := Input{
		Terms: street(t), Hour: hour,
		Leaves:  []meter.Leaf{leaf(5, 2, meter.Registers{}, 0, 1000), leaf(9, 3, meter.Registers{}, 1000, 0)},
		Members: []Member{member(5, 2, 0), member(9, 3, 1_199_999), member(Utility, 0, 0)},
	}
	s, err := Settle(in)
	if err != nil {
		t.Fatal(err)
	}
	zeroSum(t, s.Accounts)
	for _, a := range s.Accounts {
		if !a.Owed.IsZero() || !a.Earned.IsZero() {
			t.Errorf("account %d: %+v", a.ID, a)
		}
	}
}

// A lost hour is not lost: the next leaf tells what flowed, and the utility's prices settle it. Registers
// that fell settle nothing.
func TestALostHourHeals(t *testing.T) {
	first := Input{
		Terms: street(t), Hour: hour, Leaves: []meter.Leaf{leaf(9, 3, meter.Registers{Import: 5_000_000}, 1000, 0)},
		Members: []Member{member(9, 3, 100_000_000), member(Utility, 0, 0)},
	}
	s, err := Settle(first)
	if err != nil {
		t.Fatal(err)
	}
	next := first
	next.Hour, next.Before = hour+2, s.Accounts
	opening := first.Leaves[0].Closing
	opening.Import += 2_500_000
	next.Leaves = []meter.Leaf{leaf(9, 3, opening, 0, 0)}
	healed, err := Settle(next)
	if err != nil {
		t.Fatal(err)
	}
	zeroSum(t, healed.Accounts)
	if got := healed.account(t, 9).Owed.Lo - s.account(t, 9).Owed.Lo; got != 2500*300 {
		t.Errorf("%d for the lost hour", got)
	}
	opening.Import = 1
	next.Leaves = []meter.Leaf{leaf(9, 3, opening, 1000, 0)}
	rolled, err := Settle(next)
	if err != nil || rolled.Held[0] != meter.RolledBack || rolled.account(t, 9).Owed != s.account(t, 9).Owed {
		t.Errorf("rolled back: %v, %v", rolled, err)
	}
}

func TestInputsOfNoHour(t *testing.T) {
	good := func() Input {
		return Input{
			Terms: street(t), Hour: hour,
			Leaves:  []meter.Leaf{leaf(5, 2, meter.Registers{}, 0, 1000)},
			Members: []Member{member(5, 2, 0), member(Utility, 0, 0)},
		}
	}
	for name, spoil := range map[string]func(*Input){
		"no grid":          func(in *Input) { in.Terms.Tree = nil },
		"stranger":         func(in *Input) { in.Leaves[0].Meter = 6 },
		"another node":     func(in *Input) { in.Leaves[0].Node = 3 },
		"another role":     func(in *Input) { in.Leaves[0].Role = meter.Head },
		"twice":            func(in *Input) { in.Leaves = append(in.Leaves, in.Leaves[0]) },
		"hour again":       func(in *Input) { in.Before = []Account{{ID: 5, Hour: hour}} },
		"order of members": func(in *Input) { in.Members[0], in.Members[1] = in.Members[1], in.Members[0] },
	} {
		in := good()
		spoil(&in)
		if _, err := Settle(in); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Any run of hours keeps the books: money sums to zero, nobody is overdrawn, the same inputs give the
// same hour, and every account has a proof.
func TestAnyHoursKeepTheBooks(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		terms := street(t)
		var members []Member
		registers := map[uint64]meter.Registers{}
		for id := uint64(1); id <= 6; id++ {
			m := member(AccountID(id), grid.NodeID(1+id%3), rapid.Uint64Range(0, 5_000_000).Draw(r, "paid"))
			m.SellAbove, m.BuyBelow = grid.Tick(rapid.IntRange(0, 399).Draw(r, "sell")), grid.Tick(rapid.IntRange(0, 399).Draw(r, "buy"))
			members = append(members, m)
		}
		members = append(members, member(Utility, 0, rapid.Uint64Range(0, 3_000_000).Draw(r, "utility")))
		var before []Account
		for h := hour; h < hour+4; h++ {
			in := Input{Terms: terms, Hour: h, Members: members, Before: before}
			for id := uint64(1); id <= 6; id++ {
				if rapid.IntRange(0, 4).Draw(r, "silent") == 0 {
					continue
				}
				w := func(name string) grid.WattHours { return grid.WattHours(rapid.Int64Range(0, 3000).Draw(r, name)) }
				l := leaf(id, grid.NodeID(1+id%3), registers[id], w("import"), w("export"))
				registers[id] = l.Closing
				if rapid.IntRange(0, 9).Draw(r, "held") == 0 {
					l.Reason = meter.NightSun
				}
				in.Leaves = append(in.Leaves, l)
			}
			s, err := Settle(in)
			if err != nil {
				r.Fatalf("%v", err)
			}
			again, err := Settle(in)
			if err != nil || again.Root != s.Root {
				r.Fatalf("another hour from the same inputs: %v", err)
			}
			zeroSum(r, s.Accounts)
			for _, m := range members {
				i, found := find(s.Accounts, m.ID)
				if !found {
					continue
				}
				a := s.Accounts[i]
				has, _ := m.PaidIn.Add(a.Earned)
				if has.Cmp(a.Owed) < 0 {
					r.Fatalf("INV-ENERGY-FUNDED: account %d owes %s of %s", m.ID, a.Owed, has)
				}
			}
			before = s.Accounts
		}
		tree, err := BuildAccounts(before)
		if err != nil {
			r.Fatalf("%v", err)
		}
		var raw []byte
		for _, a := range before {
			raw = a.Append(raw)
			p, err := tree.Prove(a.ID)
			if err != nil {
				r.Fatalf("%v", err)
			}
			b, err := p.MarshalBinary()
			if err != nil {
				r.Fatalf("%v", err)
			}
			var q Proof
			if err := q.UnmarshalBinary(b); err != nil || q.Verify(tree.Root()) != nil {
				r.Fatalf("proof of %d: %v", a.ID, err)
			}
			if q.Account.Earned, _ = q.Account.Earned.Add(price.FromUint64(1)); q.Verify(tree.Root()) == nil {
				r.Fatalf("account %d has more than it earned", a.ID)
			}
			if none, err := tree.ProveAbsent(a.ID + 1<<20); err != nil || none.Verify(tree.Root(), a.ID+1<<20) != nil || none.Verify(tree.Root(), a.ID) == nil {
				r.Fatalf("absence beside %d: %v", a.ID, err)
			}
		}
		if back, err := Accounts(raw); err != nil || len(back) != len(before) {
			r.Fatalf("%v", err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(Account{ID: 7}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Account
		if err := a.UnmarshalBinary(b); err == nil && !bytes.Equal(a.Append(nil), b) {
			t.Fatalf("%x has another encoding", b)
		}
		var p Proof
		if err := p.UnmarshalBinary(b); err == nil {
			_ = p.Verify(Node{Leaves: uint32(len(b))})
		}
		var q Absence
		if err := q.UnmarshalBinary(b); err == nil {
			_ = q.Verify(Node{Leaves: 3}, 5)
		}
		_, _ = Leaves(b)
		_, _ = Accounts(b)
	})
}

// BenchmarkSettle is one hour of the largest community.
func BenchmarkSettle(b *testing.B) {
	in := Input{Terms: street(b), Hour: hour}
	in.Terms.Ticks, in.Terms.Utility = 2048, auction.Utility{Retail: 1500, FeedIn: 400}
	for id := uint64(1); id <= MaxMembers; id++ {
		node := grid.NodeID(2 + id%2)
		in.Leaves = append(in.Leaves, leaf(id, node, meter.Registers{}, grid.WattHours(id%7*100), grid.WattHours(id%5*100)))
		m := member(AccountID(id), node, 1<<40)
		m.SellAbove, m.BuyBelow = grid.Tick(id*3%2048), grid.Tick(id*5%2048)
		in.Members = append(in.Members, m)
	}
	in.Members = append(in.Members, member(Utility, 0, 1<<50))
	first, err := Settle(in)
	if err != nil {
		b.Fatal(err)
	}
	in.Hour, in.Before = hour+1, first.Accounts
	for i := range in.Leaves {
		in.Leaves[i].Opening = in.Leaves[i].Closing
	}
	for b.Loop() {
		if _, err := Settle(in); err != nil {
			b.Fatal(err)
		}
	}
}
