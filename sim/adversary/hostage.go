package adversary

// DataWithholder holds everything, passes every challenge, and serves nobody: it wants a ransom for the
// segments of which it was given so many pieces that those of the others do not restore them. It runs
// under as many names and networks as it likes. Its customers rebuild the rest from others, pay until
// the escrow that they have put down is used up, and never come back.
type DataWithholder struct{}

const (
	// ransomYears is what a customer pays for a segment held hostage: so many years of its rent.
	ransomYears = 10
	yearMonths  = 12
	// aheadEpochs is for how long customers put down escrow.
	aheadEpochs = 30 * 24
)

// Name of the attack.
func (DataWithholder) Name() string { return "data withholder" }

// Claims of the attack.
func (DataWithholder) Claims() string {
	return "serves nobody and wants a ransom: a fleet seldom has so many pieces that the others' do not restore a segment"
}

// Play runs the attack. The share is that of all bytes in the network that the withholder took on.
func (a DataWithholder) Play(seed uint64, share int) Outcome {
	w := NewWorld(seed)
	w.Crowd(6)
	attacker := w.Sit("withholder", func(w *World, s *Seat) {
		if w.Epoch <= aheadEpochs {
			Rent(w, s)
		}
	})
	w.Fleet(attacker, share)
	twin := w.Sit("twin", Rent)
	w.Fleet(twin, share)
	w.Run(aheadEpochs)
	rent := Zero()
	for _, d := range attacker.Devices {
		rent.Add(perTB(CAIRN(4000), ransomYears*yearMonths*monthSeconds, d.Leased))
		d.Tree, d.Held, d.Disk, d.Leased, d.Promised, d.Kept = 0, 0, 0, 0, 0, 0 // the leases are over
	}
	// The ransom is for whole segments, of which it holds a part.
	ransom := rent.Float() * w.hostages(share)
	attacker.Purse.Add(CAIRN(int64(1000 * ransom)))
	w.Run(2 * month)
	// Customers find it at the first read; the chain has nothing against it.
	return Outcome{
		Profit: beyond(attacker.Purse, twin.Purse), Twin: twin.Purse, Detected: 1, FalsePositives: falsePositives(w, attacker),
	}
}

// hostages is how many segments a fleet with a share of all nodes, in percent, can hold hostage, for
// each segment that its pieces add up to.
func (w *World) hostages(share int) float64 {
	const segments = 5000
	c, given, held := rebuildClass, 0, 0
	for range segments {
		pieces := 0
		for range c.Optimal {
			if w.Random.IntN(100) < share {
				pieces++
			}
		}
		if given += pieces; c.Optimal-pieces < c.K {
			held += c.Optimal
		}
	}
	return float64(held) / float64(max(given, 1))
}
