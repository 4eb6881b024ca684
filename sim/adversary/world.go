// Package adversary plays attackers against the pure rules of the network, with what the attack
// costs: bonds, deposits, disks, fees. Everything follows from a seed.
//
// # Mental model
//
// A Scenario is one attack at one size: it plays a number of epochs from a seed and says what the
// attacker has gained or lost (Outcome), beside an honest twin that had the same means in the same
// world. Most scenarios play in a World: providers with devices, consumers who pay them, challenges
// drawn at random, and the rules of core/score and core/emission as the chain and its reporters apply
// them. What an attack costs is stated in Costs; where in doubt it is stated in the attacker's
// favour: its disks can be free, it is never slow, and it knows all rules.
//
// The test of this package plays every scenario over many seeds and sizes, fails where one does not
// lose, and prints the table.
package adversary

import (
	"cmp"
	"math/big"
	"math/rand/v2"
	"slices"

	"github.com/cairn-network/cairn/core/emission"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
)

const (
	// EpochSeconds is the length of an epoch.
	EpochSeconds = 3600
	yearSeconds  = 365 * 24 * 3600
	monthSeconds = 30 * 24 * 3600
	// GiB in bytes.
	GiB = uint64(1) << 30
	// TB in bytes.
	TB = uint64(1_000_000_000_000)
)

// Money is an amount that may be a loss, acairn.
type Money struct{ *big.Int }

// Zero is no money.
func Zero() Money { return Money{new(big.Int)} }

// CAIRN is whole CAIRN, or thousandths for a negative number of decimals.
func CAIRN(milli int64) price.Amount {
	a, _ := price.FromUint64(1_000_000_000_000_000).MulDiv(uint64(milli), 1)
	return a
}

// Add adds a gain.
func (m Money) Add(a price.Amount) { m.Int.Add(m.Int, a.Big()) }

// Sub adds a loss.
func (m Money) Sub(a price.Amount) { m.Int.Sub(m.Int, a.Big()) }

// Float is in CAIRN, for people.
func (m Money) Float() float64 {
	f, _ := new(big.Rat).SetFrac(m.Int, new(big.Int).SetUint64(1_000_000_000_000_000_000)).Float64()
	return f
}

// Costs is what things cost in the world.
type Costs struct {
	// Capital is what locked money would have earned elsewhere, per mille a year.
	Capital uint64
	// Deposit of a device: comes back, but is locked.
	Deposit price.Amount
	// Disk is a TB for a month, for whoever really holds the bytes.
	Disk price.Amount
	// FeeBps is burned of every payment, basis points.
	FeeBps uint64
	// Message is the gas of one message.
	Message price.Amount
}

// DefaultCosts are those of the default genesis, with disks and capital at what they cost.
func DefaultCosts() Costs {
	return Costs{Capital: 100, Deposit: CAIRN(1000), Disk: CAIRN(1500), FeeBps: 250, Message: CAIRN(0)}
}

// Law is what the chain does to devices that fail.
type Law struct {
	Terms score.Terms
	// Schedule and Weight (per mille) of the service's bootstrap pool, Usage (per mille) of the
	// average of what was burned, smoothed over Smoothing epochs.
	Schedule  emission.Schedule
	Weight    uint32
	Usage     uint32
	Smoothing uint32
	// Samples is how many chunks a challenge asks for; every device is challenged every Every epochs.
	Samples int
	Every   uint64
	// SlashBps is taken of the bond for a challenge that was not answered or answered wrongly, and
	// JailEpochs is how long the device earns nothing for it.
	SlashBps   uint64
	JailEpochs uint64
}

// DefaultLaw is the default genesis's.
func DefaultLaw() Law {
	total, _ := CAIRN(1000).MulDiv(500_000_000, 1)
	return Law{
		Terms: score.Terms{
			Usage: score.UsagePerMille, Yield: 80 * EpochSeconds * 1_000_000_000 / yearSeconds, Share: 50,
			Hold: [4]uint32{500, 250, 0, 0}, NeedHold: 500, ReleaseEpochs: 24, Miss: 100, Fault: 1000,
		},
		Schedule: emission.Schedule{Total: total, HalvingSeconds: 4 * yearSeconds},
		Weight:   300, Usage: score.UsagePerMille, Smoothing: 7,
		Samples: 4, Every: 1, SlashBps: 100, JailEpochs: 4,
	}
}

// Answer is what a device says to a challenge of one chunk.
type Answer int

// Answers.
const (
	Right Answer = iota
	Wrong
	None
)

// Device is one device in the world.
type Device struct {
	ID   uint64
	Seat *Seat
	Bond price.Amount
	Tier uint32
	// Tree is what it has committed to, bytes, Held what of it it can prove, and Disk what it pays
	// disks for: less than Held if it can compute what it is asked for.
	Tree, Held, Disk uint64
	Leased           uint64
	// Respond, if set, answers instead of what Held says. position is below Tree.
	Respond func(w *World, d *Device, position uint64) Answer

	jailed  uint64 // until the end of this epoch
	burned  price.Amount
	account score.Account
	claimed price.Amount
}

// Account is the device's account in the last report.
func (d *Device) Account() score.Account { return d.account }

// Seat is one player's place in the world: its devices and its money.
type Seat struct {
	Name    string
	Devices []*Device
	// Purse is what it has gained or lost so far. Bonds and deposits are not spent, but what they
	// would have earned elsewhere is; what is slashed is.
	Purse Money
	// Play, if set, acts at the beginning of each epoch.
	Play func(w *World, s *Seat)
	// Caught is the first epoch in which a challenge showed a fault of it; Faults counts them.
	Caught uint64
	Faults int
}

// World is one run.
type World struct {
	Random *rand.Rand
	Costs  Costs
	Law    Law
	Epoch  uint64
	Seats  []*Seat

	average price.Amount
	paid    price.Amount // of all payments in the epoch
	burned  price.Amount // in the epoch
	// Burned and Minted are sums over the run.
	Burned, Minted price.Amount
	next           uint64
}

// NewWorld makes an empty world.
func NewWorld(seed uint64) *World {
	return &World{Random: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), Costs: DefaultCosts(), Law: DefaultLaw(), Epoch: 1}
}

// Sit gives a player a seat.
func (w *World) Sit(name string, play func(*World, *Seat)) *Seat {
	s := &Seat{Name: name, Play: play, Purse: Zero()}
	w.Seats = append(w.Seats, s)
	return s
}

// Register gives a seat a device with a bond.
func (w *World) Register(s *Seat, bond price.Amount, tier uint32) *Device {
	w.next++
	d := &Device{ID: w.next, Seat: s, Bond: bond, Tier: tier, account: score.Account{Device: w.next}}
	s.Devices = append(s.Devices, d)
	s.Purse.Sub(w.Costs.Message)
	return d
}

// Store gives a device bytes of data that consumers have leased and that it really holds.
func (d *Device) Store(bytes uint64) {
	d.Tree, d.Held, d.Disk, d.Leased = d.Tree+bytes, d.Held+bytes, d.Disk+bytes, d.Leased+bytes
}

// Pay makes a buyer pay a device: the fee is burned, the rest is the owner's. nil buys for somebody
// outside of the world.
func (w *World) Pay(buyer *Seat, d *Device, gross price.Amount) {
	fee := gross.Share(price.FromUint64(w.Costs.FeeBps), price.FromUint64(10_000))
	net, _ := gross.Sub(fee)
	if buyer != nil {
		buyer.Purse.Sub(gross)
	}
	d.Seat.Purse.Add(net)
	d.burned, _ = d.burned.Add(fee)
	w.burned, _ = w.burned.Add(fee)
	w.Burned, _ = w.Burned.Add(fee)
	w.paid, _ = w.paid.Add(gross)
}

// Volume is what everyone has paid in the epoch so far.
func (w *World) Volume() price.Amount { return w.paid }

// Honest adds a provider that stores what consumers lease, at a price of 4 CAIRN for a TB and month,
// and answers all challenges.
func (w *World) Honest(name string, bytes uint64, bond price.Amount, tier uint32) *Seat {
	s := w.Sit(name, func(w *World, s *Seat) {
		for _, d := range s.Devices {
			gross, _ := price.Rate{Amount: CAIRN(4000), Per: TB * monthSeconds}.StreamCost(d.Leased, EpochSeconds)
			w.Pay(nil, d, gross)
		}
	})
	w.Register(s, bond, tier).Store(bytes)
	return s
}

// Crowd adds n honest providers of different sizes.
func (w *World) Crowd(n int) {
	for range n {
		bytes := TB/2 + w.Random.Uint64N(8*TB)
		bond, _ := CAIRN(20_000).MulDiv(bytes, TB)
		w.Honest("honest", bytes, bond, uint32(w.Random.IntN(3)))
	}
}

// Run plays so many epochs and lets everybody claim at the end.
func (w *World) Run(epochs int) {
	for range epochs {
		w.turn()
	}
	for _, d := range w.devices() {
		w.Claim(d)
	}
}

// Claim pays a device's owner what its account says, less what it has been paid.
func (w *World) Claim(d *Device) {
	due, less := d.account.Paid.Sub(d.claimed)
	if less || due.IsZero() {
		return
	}
	d.claimed = d.account.Paid
	d.Seat.Purse.Add(due)
	d.Seat.Purse.Sub(w.Costs.Message)
	w.Minted, _ = w.Minted.Add(due)
}

func (w *World) devices() []*Device {
	var all []*Device
	for _, s := range w.Seats {
		all = append(all, s.Devices...)
	}
	slices.SortFunc(all, func(a, b *Device) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// turn plays one epoch: everybody acts, devices are challenged, the epoch is reported.
func (w *World) turn() {
	for _, s := range w.Seats {
		if s.Play != nil {
			s.Play(w, s)
		}
	}
	devices := w.devices()
	facts := make([]score.Fact, len(devices))
	points := uint64(0)
	for i, d := range devices {
		w.keep(d)
		facts[i] = w.challenge(d)
		of, _ := score.RulesV1.Score(facts[i])
		points += of
	}
	pools := w.pools()
	for i, d := range devices {
		d.account = score.RulesV1.Next(d.account, &facts[i], w.Epoch, points, pools)
		d.burned = price.Amount{}
	}
	w.burned, w.paid = price.Amount{}, price.Amount{}
	w.Epoch++
}

// keep charges a device's owner for an epoch of its disk and locked money.
func (w *World) keep(d *Device) {
	disk, _ := price.Rate{Amount: w.Costs.Disk, Per: TB * monthSeconds}.StreamCost(d.Disk, EpochSeconds)
	d.Seat.Purse.Sub(disk)
	locked, _ := d.Bond.Add(w.Costs.Deposit)
	cost, _ := locked.MulDiv(w.Costs.Capital*EpochSeconds, 1000*yearSeconds)
	d.Seat.Purse.Sub(cost)
}

// challenge asks a device for chunks of its tree and says what is known of it afterwards.
func (w *World) challenge(d *Device) score.Fact {
	f := score.Fact{
		Device: d.ID, Epoch: w.Epoch, Service: score.Storage, Leased: d.Leased, Burned: d.burned, Bond: d.Bond, Tier: d.Tier, Need: score.MinNeed,
	}
	switch {
	case d.jailed >= w.Epoch:
		f.Standing = score.Jailed
		return f
	case d.Tree == 0 || (w.Epoch+d.ID)%max(w.Law.Every, 1) != 0:
		f.Proved = d.Tree
		return f
	}
	f.Challenged = true
	answer := Right
	for range w.Law.Samples {
		if got := d.answer(w, w.Random.Uint64N(d.Tree)); got != Right {
			answer = got
			break
		}
	}
	d.Seat.Purse.Sub(w.Costs.Message)
	switch answer {
	case Right:
		f.Passed, f.Proved = 1, d.Tree
		return f
	case Wrong:
		f.Failed = 1
	}
	w.punish(d)
	return f
}

func (d *Device) answer(w *World, position uint64) Answer {
	if d.Respond != nil {
		return d.Respond(w, d, position)
	}
	if position < d.Held {
		return Right
	}
	return None // who does not have it knows better than to guess
}

// punish takes a part of the bond and sends the device to jail.
func (w *World) punish(d *Device) {
	slash := d.Bond.Share(price.FromUint64(w.Law.SlashBps), price.FromUint64(10_000))
	d.Bond, _ = d.Bond.Sub(slash)
	d.Seat.Purse.Sub(slash)
	d.jailed = w.Epoch + w.Law.JailEpochs
	d.Seat.Faults++
	if d.Seat.Caught == 0 {
		d.Seat.Caught = w.Epoch
	}
}

// pools of the epoch, as x/reward computes them.
func (w *World) pools() score.Pools {
	issued := w.Law.Schedule.Between((w.Epoch-1)*EpochSeconds, w.Epoch*EpochSeconds)
	w.average = emission.Smooth(w.average, w.burned, w.Law.Smoothing)
	return score.Pools{
		Usage:       w.average.Share(price.FromUint64(uint64(w.Law.Usage)), price.FromUint64(1000)),
		Bootstrap:   emission.Split(issued, []uint32{w.Law.Weight})[0],
		TotalBurned: w.burned,
		Terms:       w.Law.Terms,
	}
}
