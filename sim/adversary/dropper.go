package adversary

import (
	"fmt"

	"github.com/cairn-network/cairn/core/price"
)

// month is how long providers' attacks are played, epochs.
const month = 30 * 24

// Dropper has thrown away a part of what it holds for its customers, and saves the disks.
type Dropper struct {
	// Percent of its bytes that are gone.
	Percent uint64
	// Junk says that it commits to a tree without what is gone, and fills it up with bytes that it can
	// compute: it passes every challenge, and only its customers' receipts tell.
	Junk bool
	// Unbonded says that nothing answers for it but what it earns.
	Unbonded bool
}

// Name of the attack.
func (a Dropper) Name() string {
	if a.Junk {
		return fmt.Sprintf("data dropper, %d %%, junk instead", a.Percent)
	}
	return fmt.Sprintf("data dropper, %d %%", a.Percent)
}

// Claims of the attack.
func (a Dropper) Claims() string {
	if a.Junk {
		return "no challenge finds it; inclusion audits of one piece a day do, and a fault costs more than the disks"
	}
	return "challenges ask for random chunks: a fault costs bond, pay and what is held back, more than the disks"
}

// Play runs the attack. The share is that of all bytes in the network that the dropper took on.
func (a Dropper) Play(seed uint64, share int) Outcome {
	w := NewWorld(seed)
	w.Crowd(6)
	attacker := w.Sit("dropper", Rent)
	w.Fleet(attacker, share)
	if a.Unbonded {
		for _, d := range attacker.Devices {
			d.Bond = price.Amount{}
		}
	}
	twin := w.Twin(attacker)
	for _, d := range attacker.Devices {
		gone := d.Held / 100 * a.Percent
		d.Disk -= gone
		if a.Junk {
			d.Kept -= gone
		} else {
			d.Held -= gone
		}
	}
	w.Run(month)
	out := Outcome{
		Profit: beyond(attacker.Purse, twin.Purse), Twin: twin.Purse, Detected: attacker.Caught,
		FalsePositives: falsePositives(w, attacker),
	}
	switch {
	case !a.Junk && a.Percent == 1:
		out.Must = 960 // of one device, in a month
	case !a.Junk || a.Percent >= 50:
		out.Must = 1000
	}
	return out
}

// Twin gives another player the same devices with the same obligations, which it honours.
func (w *World) Twin(of *Seat) *Seat {
	twin := w.Sit("twin", of.Play)
	for _, d := range of.Devices {
		w.Register(twin, d.Bond, d.Tier).Store(d.Tree)
	}
	return twin
}
