package adversary

import (
	"fmt"
	"math"
	"testing"
)

// A withholder gets one bit for each of its validators and nothing more, as long as one block of each
// window is an honest proposer's.
func TestWithholdingIsWorthOneBitAValidator(t *testing.T) {
	const epochs = 4_000
	for _, chance := range []uint64{10_000, 500_000} {
		for own := range 5 { // up to a third
			w := Withholder{Validators: 12, Own: own, Window: 8, Chance: chance}
			suited, captured := w.Play(1, epochs)
			if captured > 0 {
				t.Fatal("windows captured without a proposer")
			}
			rate, bound := float64(suited)/epochs, w.Bound()/million
			noise := 4 * math.Sqrt(bound*(1-bound)/epochs)
			t.Logf("chance %4.1f %%, %d validators held back: %5.1f %% of epochs suit, bound %5.1f %%", float64(chance)/10_000, own, 100*rate, 100*bound)
			if rate > bound+noise {
				t.Errorf("%d validators: %.3f of epochs suit, bound %.3f", own, rate, bound)
			}
			if rate < bound-noise { // else the attack is not the best there is
				t.Errorf("%d validators: %.3f of epochs suit, the best attack gets %.3f", own, rate, bound)
			}
		}
	}
}

// An adversary that proposes a third of the blocks rarely has all of a window; the longer the window, the
// less often.
func TestALongerWindowIsSeldomCaptured(t *testing.T) {
	const epochs = 3_000
	before := 1.0
	for _, window := range []int{1, 2, 4, 8} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			w := Withholder{Validators: 6, Own: 1, Window: window, Proposers: 33, Chance: 10_000}
			suited, captured := w.Play(2, epochs)
			rate, want := float64(captured)/epochs, math.Pow(0.33, float64(window))
			t.Logf("window of %d: captured in %.2f %% of epochs (one in three each: %.2f %%), %.1f %% of epochs suit",
				window, 100*rate, 100*want, 100*float64(suited)/epochs)
			if math.Abs(rate-want) > 4*math.Sqrt(want*(1-want)/epochs)+1.0/epochs {
				t.Errorf("captured in %.4f of epochs, want %.4f", rate, want)
			}
			if rate > before {
				t.Errorf("a longer window was captured more often")
			}
			before = rate
		})
	}
}
