package adversary

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/cairn-network/cairn/core/price"
)

var (
	seeds  = flag.Int("seeds", 10, "runs of each attack and size; 1,000 in tools/ladder.sh")
	first  = flag.Uint64("first", 1, "seed of the first run, of which the others follow")
	only   = flag.String("only", "", "attacks whose names contain this, all when empty")
	output = flag.String("json", "", "file to write the table to, as JSON")
)

// sizes are shares of the network in percent.
var sizes = []int{1, 5, 10, 20, 33}

// row is a line of the table: one attack at one size over all seeds.
type row struct {
	Attack string `json:"attack"`
	Share  int    `json:"share_percent"`
	First  uint64 `json:"first_seed"`
	Seeds  int    `json:"seeds"`
	// CAIRN: the mean, what it is below at 95 % confidence, the best of all runs for the attacker, and
	// the most that it may be.
	Profit float64 `json:"profit_mean"`
	Upper  float64 `json:"profit_upper_95"`
	Best   float64 `json:"profit_best"`
	Bound  float64 `json:"profit_bound"`
	Twin   float64 `json:"honest_twin_mean"`
	// Of the runs: how many found the attacker, and after how many epochs.
	Detected       float64 `json:"detected"`
	Median         uint64  `json:"epochs_to_detect_median"`
	Worst          uint64  `json:"epochs_to_detect_p99"`
	FalsePositives int     `json:"false_positives"`
	must           float64
	pays           bool // more than it may
}

// TestTable plays all attacks over all seeds and sizes, prints what came of it, and fails where one
// pays in the mean at 95 % confidence, was found less often than it must be, or an honest player was
// accused.
func TestTable(t *testing.T) {
	t.Logf("seeds %d to %d of each attack and size", *first, *first+uint64(*seeds)-1)
	var rows []row
	for _, s := range Scenarios {
		if !strings.Contains(s.Name(), *only) {
			continue
		}
		for _, share := range sizes {
			r := play(s, share, *seeds)
			rows = append(rows, r)
			if r.pays {
				t.Errorf("%s at %d %%: gains %g CAIRN in the mean (below %g at 95 %% confidence), may be %g", r.Attack, share, r.Profit, r.Upper, r.Bound)
			}
			if r.Detected < r.must {
				t.Errorf("%s at %d %%: found in %g %% of the runs, want %g %%", r.Attack, share, 100*r.Detected, 100*r.must)
			}
			if r.FalsePositives > 0 {
				t.Errorf("%s at %d %%: %d honest players were accused", r.Attack, share, r.FalsePositives)
			}
		}
	}
	t.Log("\n" + table(rows))
	if *output != "" {
		raw, err := json.MarshalIndent(rows, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(*output, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// play runs one attack at one size from n seeds, on all cores.
func play(s Scenario, share, n int) row {
	outcomes := make([]Outcome, n)
	var wait sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		wait.Go(func() {
			for i := worker; i < n; i += workers {
				outcomes[i] = s.Play(*first+uint64(i), share)
			}
		})
	}
	wait.Wait()
	r := row{Attack: s.Name(), Share: share, First: *first, Seeds: n, Best: outcomes[0].Profit.Float()}
	var found []uint64
	over, squares := 0.0, 0.0 // of what exceeds the bound
	for _, o := range outcomes {
		profit := o.Profit.Float()
		r.Profit += profit / float64(n)
		r.Twin += o.Twin.Float() / float64(n)
		if o.Bound.Int != nil {
			r.Bound += o.Bound.Float() / float64(n)
			profit -= o.Bound.Float()
		}
		over += profit / float64(n)
		squares += profit * profit / float64(n)
		r.Best = max(r.Best, o.Profit.Float())
		r.FalsePositives += o.FalsePositives
		r.must = max(r.must, float64(o.Must)/1000)
		if o.Detected > 0 {
			found = append(found, o.Detected)
		}
	}
	// One-sided, by the normal approximation; a few seeds show the mean and no more.
	noise := 1.645 * math.Sqrt(max(0, squares-over*over)/float64(n))
	r.Upper = r.Profit + noise
	r.pays = over+noise > 0
	if n < 100 {
		r.pays = over > 0
	}
	r.Detected = float64(len(found)) / float64(n)
	if n < 100 { // too few to tell 99 of 100 from all
		r.must *= 0.9
	}
	if slices.Sort(found); len(found) > 0 {
		r.Median, r.Worst = found[len(found)/2], found[len(found)*99/100]
	}
	return r
}

func table(rows []row) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "attack\tshare\tprofit\t95 % below\tbest run\tmay be\thonest twin\tfound\tafter\tp99\tfalse\t")
	for _, r := range rows {
		after, worst := "-", "-"
		if r.Detected > 0 {
			after, worst = fmt.Sprint(r.Median), fmt.Sprint(r.Worst)
		}
		fmt.Fprintf(w, "%s\t%d %%\t%.4g\t%.4g\t%.4g\t%.4g\t%.4g\t%.4g %%\t%s\t%s\t%d\t\n",
			r.Attack, r.Share, r.Profit, r.Upper, r.Best, r.Bound, r.Twin, 100*r.Detected, after, worst, r.FalsePositives)
	}
	w.Flush()
	return text.String()
}

// TestRunsAreReproducible: the same seed gives the same outcome.
func TestRunsAreReproducible(t *testing.T) {
	for _, s := range Scenarios {
		a, b := s.Play(7, 10), s.Play(7, 10)
		if a.Profit.Cmp(b.Profit.Int) != 0 || a.Twin.Cmp(b.Twin.Int) != 0 || a.Detected != b.Detected {
			t.Errorf("%s: %v and %v from one seed", s.Name(), a, b)
		}
	}
}

// TestFakesPayWhereCapitalIsCheap shows that the table can fail, and where the line is: a world that
// paid more on a bond than the bond would earn elsewhere would draw fakes.
func TestFakesPayWhereCapitalIsCheap(t *testing.T) {
	for _, tc := range []struct {
		capital uint64 // per mille a year; the yield is 80
		gains   bool
	}{{100, false}, {40, true}} {
		w := NewWorld(1)
		w.Costs.Capital = tc.capital
		w.Crowd(12)
		fakes := w.Sit("sybil", nil)
		for range 10 {
			d := w.Register(fakes, CAIRN(20_000), 1)
			d.Store(TB)
			d.Disk = 0
		}
		w.Run(72)
		if gain := fakes.Purse.Sign() > 0; gain != tc.gains {
			t.Errorf("with capital at %d per mille a year fakes end with %g CAIRN", tc.capital, fakes.Purse.Float())
		}
	}
}

// TestDroppingPaysWithoutABond shows what the bond is for: who has none, and customers who pay on, saves
// the disks for what pay and held-back amounts it loses. Customers should ask for a bond.
func TestDroppingPaysWithoutABond(t *testing.T) {
	for _, tc := range []struct {
		attack Dropper
		gains  bool
	}{{Dropper{Percent: 50, Unbonded: true}, true}, {Dropper{Percent: 50}, false}} {
		r := play(tc.attack, 5, 4)
		t.Logf("%+v: %.3g CAIRN beyond the honest twin's %.3g", tc.attack, r.Profit, r.Twin)
		if gains := r.Profit > 0; gains != tc.gains {
			t.Errorf("%+v: %g CAIRN", tc.attack, r.Profit)
		}
	}
}

// TestHoldingOutputsBackPaysWhereItIsFree shows what the price of a missing output is for.
func TestHoldingOutputsBackPaysWhereItIsFree(t *testing.T) {
	for _, tc := range []struct {
		attack BeaconWithholder
		gains  bool
	}{{BeaconWithholder{Free: true}, true}, {BeaconWithholder{}, false}} {
		r := play(tc.attack, 33, 4)
		t.Logf("%+v: %.3g CAIRN beyond the honest twin's %.3g", tc.attack, r.Profit, r.Twin)
		if gains := r.Profit > 0; gains != tc.gains {
			t.Errorf("%+v: %g CAIRN", tc.attack, r.Profit)
		}
	}
}

// TestRebuildingWouldPayIfItWereServed shows what keeps it from paying: that nodes serve a lease's
// session key only, and, were that not so, what customers read.
func TestRebuildingWouldPayIfItWereServed(t *testing.T) {
	for _, tc := range []struct {
		attack Rebuilder
		gains  bool
	}{
		{Rebuilder{}, false},
		{Rebuilder{Served: true}, true},
		{Rebuilder{Served: true, Read: 30}, true},
		{Rebuilder{Served: true, Read: 60}, false},
	} {
		r := play(tc.attack, 5, 4)
		t.Logf("%+v: %.3g CAIRN beyond the honest twin's %.3g", tc.attack, r.Profit, r.Twin)
		if gains := r.Profit > 0; gains != tc.gains {
			t.Errorf("%+v: %g CAIRN", tc.attack, r.Profit)
		}
	}
}

// TestSelfDealerLosesATenthOfWhatItBurnsAtLeast: with nothing else in its account.
func TestSelfDealerLosesATenthOfWhatItBurnsAtLeast(t *testing.T) {
	w := NewWorld(1)
	w.Crowd(5)
	attacker := w.Sit("self-dealer", func(w *World, s *Seat) { w.Pay(s, s.Devices[0], CAIRN(1_000_000)) })
	d := w.Register(attacker, price.Amount{}, 0)
	d.Store(TB)
	d.Disk = 0
	const epochs = 50
	w.Run(epochs)
	burned := epochs * 1000 * 0.025
	if lost := -attacker.Purse.Float(); lost < burned/10 || lost > burned {
		t.Errorf("lost %g CAIRN, burned %g", lost, burned)
	}
}

// TestWorldKeepsItsBooks: what is minted stays below what the pools allow, and honest providers that
// hold what they say are never accused and make a living.
func TestWorldKeepsItsBooks(t *testing.T) {
	w := NewWorld(3)
	w.Crowd(10)
	w.Run(100)
	for _, s := range w.Seats {
		if s.Faults > 0 || s.Purse.Sign() <= 0 {
			t.Errorf("an honest provider has %d faults and %g CAIRN", s.Faults, s.Purse.Float())
		}
	}
	schedule := w.Law.Schedule.Issued(100 * EpochSeconds)
	budget, _ := schedule.Add(w.Burned)
	if w.Minted.Cmp(budget) > 0 || w.Minted.IsZero() {
		t.Errorf("minted %s of %s", w.Minted.Format(), budget.Format())
	}
}
