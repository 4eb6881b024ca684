package adversary

// Scenario is one attack.
type Scenario interface {
	// Name of the attack, as the table shows it.
	Name() string
	// Claims says in one line what is shown: what the attacker does and why it loses.
	Claims() string
	// Play runs the attack from a seed, at a share of the network in percent.
	Play(seed uint64, share int) Outcome
}

// Outcome is how one run ended.
type Outcome struct {
	// Profit is the attacker's, Twin that of an honest player with the same means.
	Profit, Twin Money
	// Detected is after how many epochs the attacker was first caught; 0 for never. MustDetect says
	// that an attack counts as defended only if it was.
	Detected   uint64
	MustDetect bool
	// FalsePositives counts faults that honest players were found guilty of.
	FalsePositives int
}

// Scenarios lists all attacks.
var Scenarios = []Scenario{
	SelfDealer{},
	SelfDealer{Flood: 10},
	Sybil{Fakes: 100},
	Thief{},
}

// falsePositives counts the faults of all seats but one.
func falsePositives(w *World, guilty *Seat) int {
	n := 0
	for _, s := range w.Seats {
		if s != guilty {
			n += s.Faults
		}
	}
	return n
}
