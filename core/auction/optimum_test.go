package auction

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cairn-network/cairn/core/grid"
)

// random is a market on a random tree: fees, capacities and a utility on most, losses where asked.
func random(r *rand.Rand, nodes, orders int, ticks grid.Tick, losses bool) (Market, []Order) {
	all := []grid.Node{{ID: 1}}
	depth := []int{0, 0}
	for id := 2; id <= nodes; id++ {
		parent := 1 + r.IntN(id-1)
		for depth[parent] >= grid.MaxDepth {
			parent = 1 + r.IntN(id-1)
		}
		depth = append(depth, depth[parent]+1)
		all = append(all, grid.Node{ID: grid.NodeID(id), Parent: grid.NodeID(parent)})
	}
	for i := range all {
		e := &all[i].Edge
		e.Fee = grid.Tick(r.IntN(int(ticks) / 10))
		if r.IntN(2) == 0 {
			e.Capacity = grid.WattHours(1 + r.IntN(6000))
		}
		if losses {
			e.Loss = grid.PPM(r.IntN(80_000))
		}
	}
	tree, err := grid.New(all)
	if err != nil {
		panic(err)
	}
	m := Market{Tree: tree, Ticks: ticks}
	if r.IntN(4) > 0 {
		feedIn := r.IntN(int(ticks) / 2)
		m.Utility = &Utility{FeedIn: grid.Tick(feedIn), Retail: grid.Tick(feedIn + r.IntN(int(ticks)-feedIn))}
	}
	book := make([]Order, orders)
	for i := range book {
		book[i] = Order{
			ID: orderID(uint64(i)), Node: int32(r.IntN(nodes)), Side: Side(r.IntN(2)),
			Price: grid.Tick(r.IntN(int(ticks))), Quantity: grid.WattHours(1 + r.IntN(2000)),
		}
	}
	return m, book
}

// program writes the market as a linear program: all that welfare is made of, nothing of how it is
// found.
func program(m Market, book []Order) string {
	var gain, bounds strings.Builder
	balance := make([]strings.Builder, m.Tree.Len())
	for i, o := range book {
		sign, flow := "-", "+"
		if o.Side == Buy {
			sign, flow = "+", "-"
		}
		fmt.Fprintf(&gain, " %s %d q%d\n", sign, o.Price, i)
		fmt.Fprintf(&balance[o.Node], " %s q%d", flow, i)
		fmt.Fprintf(&bounds, " 0 <= q%d <= %d\n", i, o.Quantity)
	}
	for i := range m.Tree.Len() {
		n := m.Tree.Node(i)
		keeps := 1 - float64(n.Loss)/grid.Million
		up, down := -float64(n.Fee), -float64(n.Fee)
		fmt.Fprintf(&balance[i], " - up%d + down%d", i, i)
		parent := m.Tree.Parent(i)
		switch {
		case parent >= 0:
			fmt.Fprintf(&balance[parent], " + %.17g up%d - %.17g down%d", keeps, i, 1/keeps, i)
		case m.Utility != nil:
			up += keeps * float64(m.Utility.FeedIn)
			down -= float64(m.Utility.Retail) / keeps
		default:
			bounds.WriteString(" up0 = 0\n down0 = 0\n")
		}
		fmt.Fprintf(&gain, " %+.17g up%d %+.17g down%d\n", up, i, down, i)
		if n.Capacity != grid.Unlimited && (i > 0 || m.Utility != nil) {
			fmt.Fprintf(&bounds, " 0 <= up%d <= %d\n 0 <= down%d <= %d\n", i, n.Capacity, i, n.Capacity)
		}
	}
	var lp strings.Builder
	fmt.Fprintf(&lp, "Maximize\n welfare:\n%sSubject To\n", gain.String())
	for i := range balance {
		fmt.Fprintf(&lp, " node%d:%s = 0\n", i, balance[i].String())
	}
	fmt.Fprintf(&lp, "Bounds\n%sEnd\n", bounds.String())
	return lp.String()
}

// solve has GLPK find the optimum.
func solve(t *testing.T, lp string) float64 {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "market.lp"), filepath.Join(dir, "optimum")
	if err := os.WriteFile(in, []byte(lp), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command("glpsol", "--lp", in, "--write", out).CombinedOutput(); err != nil {
		t.Fatalf("glpsol: %v\n%s", err, said)
	}
	answer, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(answer)) { // s bas ROWS COLUMNS f f OBJECTIVE
		if f := strings.Fields(line); len(f) == 7 && f[0] == "s" {
			if f[4] != "f" || f[5] != "f" {
				t.Fatalf("glpsol found no optimum: %s", line)
			}
			optimum, err := strconv.ParseFloat(f[6], 64)
			if err != nil {
				t.Fatal(err)
			}
			return optimum
		}
	}
	t.Fatalf("glpsol's answer has no solution line:\n%s", answer)
	return 0
}

// INV-ENERGY-6.
func TestWelfareIsTheOptimumOfALinearProgram(t *testing.T) {
	if _, err := exec.LookPath("glpsol"); err != nil {
		t.Skip("glpsol is not installed (Debian: apt-get install glpk-utils)")
	}
	t.Run("without losses", func(t *testing.T) {
		for seed := range uint64(240) {
			r := rand.New(rand.NewPCG(seed, 1))
			m, book := random(r, 1+r.IntN(25), r.IntN(150), 200, false)
			optimum, got := solve(t, program(m, book)), mustClear(t, m, book).welfare()
			if diff := optimum - float64(got); diff > 1e-6*max(1, optimum) || diff < -1e-6*max(1, optimum) {
				t.Fatalf("tree %d of %d nodes and %d orders: welfare %d, GLPK finds %f", seed, m.Tree.Len(), len(book), got, optimum)
			}
		}
	})
	// Whole ticks cost less than a tick a watt-hour on each of the edges it crosses, of which a path has
	// at most as many as the tree; watt-hours rounded in favour of who receives them gain less than one
	// at each edge.
	t.Run("with losses", func(t *testing.T) {
		const ticks = 1000
		var sum, best float64
		for seed := range uint64(120) {
			r := rand.New(rand.NewPCG(seed, 2))
			m, book := random(r, 1+r.IntN(25), r.IntN(150), ticks, true)
			c := mustClear(t, m, book)
			optimum, got := solve(t, program(m, book)), float64(c.welfare())
			edges := float64(m.Tree.Len())
			var traded float64
			for _, o := range book {
				traded += float64(o.Quantity)
			}
			if got > optimum+edges*ticks || got < optimum-edges*(traded+ticks) {
				t.Fatalf("tree %d of %d nodes and %d orders: welfare %f, GLPK finds %f", seed, m.Tree.Len(), len(book), got, optimum)
			}
			sum, best = sum+got, best+optimum
		}
		if off := sum/best - 1; off < -0.001 || off > 0.001 {
			t.Errorf("%+.3f %% from the optima of all trees together, at most 0.1 %% expected", 100*off)
		} else {
			t.Logf("%+.5f %% from the optima of all trees together", 100*off)
		}
	})
}
