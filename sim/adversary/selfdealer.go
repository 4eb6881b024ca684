package adversary

import (
	"fmt"

	"github.com/cairn-network/cairn/core/price"
)

// SelfDealer buys from itself: it leases its own device and pays itself, for the share of all
// payments in the network that the size says, to draw usage rewards. It stores data that it can
// compute, so that its disk is free, and bonds as much as the largest honest provider.
type SelfDealer struct {
	// Flood, if set, multiplies what it pays beyond its share: trading more does not help.
	Flood uint64
}

// Name of the attack.
func (a SelfDealer) Name() string {
	if a.Flood > 0 {
		return fmt.Sprintf("self-dealer, volume x%d", a.Flood)
	}
	return "self-dealer"
}

// Claims of the attack.
func (SelfDealer) Claims() string {
	return "pays itself for leases: the fee is burned, and usage gives back at most 0.9 of what was burned"
}

// Play runs the attack.
func (a SelfDealer) Play(seed uint64, share int) Outcome {
	const epochs = 72
	w := NewWorld(seed)
	w.Crowd(12)
	bond := CAIRN(160_000)
	twin := w.Honest("twin", 4*TB, bond, 1)
	attacker := w.Sit("self-dealer", func(w *World, s *Seat) {
		// Everyone else has paid already: it adds what makes the share of the whole its own.
		gross := w.Volume().Share(price.FromUint64(uint64(share)), price.FromUint64(uint64(100-share)))
		if share >= 50 {
			gross, _ = w.Volume().MulDiv(uint64(share), uint64(100-share))
		}
		if a.Flood > 0 {
			gross, _ = gross.MulDiv(a.Flood, 1)
		}
		w.Pay(s, s.Devices[0], gross)
	})
	d := w.Register(attacker, bond, 1)
	d.Store(4 * TB)
	d.Disk = 0
	w.Run(epochs)
	return Outcome{Profit: attacker.Purse, Twin: twin.Purse, FalsePositives: falsePositives(w, attacker)}
}

// Sybil is a fleet of devices that exist in name only: each leases itself for next to nothing, and
// computes the data that it is asked for. No challenge can tell it from a disk; the point is that it
// does not pay.
type Sybil struct{ Fakes int }

// Name of the attack.
func (a Sybil) Name() string { return fmt.Sprintf("Sybil fleet of %d", a.Fakes) }

// Claims of the attack.
func (Sybil) Claims() string {
	return "many devices in name only: bootstrap pays at most a yield on bonds, less than the bonds would earn elsewhere"
}

// Play runs the attack. The share is that of all bytes in the network that the fleet says it holds.
func (a Sybil) Play(seed uint64, share int) Outcome {
	const epochs = 48
	w := NewWorld(seed)
	w.Crowd(12)
	total := uint64(0)
	for _, d := range w.devices() {
		total += d.Tree
	}
	each := total / uint64(100-min(share, 99)) * uint64(share) / uint64(a.Fakes)
	bond := CAIRN(20_000)
	twin := w.Honest("twin", 4*TB, bond, 0)
	attacker := w.Sit("sybil", func(w *World, s *Seat) {
		for _, d := range s.Devices {
			w.Pay(s, d, price.FromUint64(1_000_000)) // a lease has to cost something
		}
	})
	for range a.Fakes {
		d := w.Register(attacker, bond, 0)
		d.Store(max(each, GiB))
		d.Disk = 0
	}
	w.Run(epochs)
	return Outcome{Profit: attacker.Purse, Twin: twin.Purse, FalsePositives: falsePositives(w, attacker)}
}
