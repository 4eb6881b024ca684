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
	// Profit is what the attack brought its player: all that it gained or, where the same player
	// would have earned honestly by the same means, what it gained beyond that (Twin).
	Profit, Twin Money
	// Bound is the most that the attack may bring where the network keeps it small, but not from
	// paying; none for those that must lose.
	Bound Money
	// Detected is after how many epochs the attacker was first caught; 0 for never. Must is in how
	// many of all runs it has to be, per mille.
	Detected uint64
	Must     int
	// FalsePositives counts faults that honest players were found guilty of.
	FalsePositives int
}

// Scenarios lists all attacks.
var Scenarios = []Scenario{
	SelfDealer{},
	SelfDealer{Flood: 10},
	Sybil{Fakes: 100},
	Dropper{Percent: 1},
	Dropper{Percent: 5},
	Dropper{Percent: 50},
	Dropper{Percent: 1, Junk: true},
	Dropper{Percent: 5, Junk: true},
	Dropper{Percent: 50, Junk: true},
	Rebuilder{},
	Rebuilder{Accomplices: true},
	Replayer{},
	DataWithholder{},
	RootLiar{Lie: LeafLie},
	RootLiar{Lie: MissingLie},
	RootLiar{Lie: SumsLie},
	RootLiar{Lie: WithheldLie},
	BeaconWithholder{},
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

// beyond is what a player gained more than its honest twin.
func beyond(attacker, twin Money) Money {
	gain := Zero()
	gain.Int.Sub(attacker.Int, twin.Int)
	return gain
}
