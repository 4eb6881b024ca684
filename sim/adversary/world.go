// Package adversary plays attackers against the pure rules of the network, with what the attack
// costs: bonds, deposits, disks, fees. Everything follows from a seed.
//
// # Mental model
//
// A Scenario is one attack at one size: it plays a number of epochs from a seed and says what the
// attacker has gained or lost (Outcome), beside an honest twin that had the same means in the same
// world. Most scenarios play in a World: providers with devices, consumers who pay them, challenges
// drawn by core/challenge from the epoch's beacon, and the rules of core/score and core/emission as the
// chain and its reporters apply them. What an attack costs is stated in Costs, what the chain does about
// it in Law, with the numbers of the default genesis (test/adversary holds them to it); where in doubt
// it is stated in the attacker's favour: it is never slow, knows all rules, reports its own faults for
// the bounty, and its customers go on paying it whatever it does.
//
// The test of this package plays every scenario over many seeds and sizes, fails where one does not
// lose, and prints the table (docs/spec/adversaries.md).
package adversary

import (
	"cmp"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"slices"

	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/emission"
	"github.com/cairn-network/cairn/core/piece"
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
	// Interval is how many epochs lie between two challenges of a device in the mean, Positions how
	// many chunks each asks for, and Fresh for how many epochs an answer stands.
	Interval, Positions uint32
	Fresh               uint64
	// SlashBps is taken of what is left of the bond for a fault, and BountyBps of that goes to whoever
	// pointed at it.
	SlashBps, BountyBps uint64
	// JailEpochs is how long the device earns nothing for a fault; each further one in a row doubles
	// it, up to MaxJailEpochs.
	JailEpochs, MaxJailEpochs uint64
	// MissedOutputPPM is what a validator loses of its stake for an output that is missing from a beacon.
	MissedOutputPPM uint64
	// Audits is how many epochs lie between two pieces that a device's customers ask for on chain, by
	// their receipts (inclusion audits). It is what customers do, not a rule: one piece a day here.
	Audits uint64
}

// DefaultLaw is the default genesis's.
func DefaultLaw() Law {
	total, _ := CAIRN(1000).MulDiv(500_000_000, 1)
	return Law{
		Terms: score.Terms{
			Usage: score.UsagePerMille, Yield: 80 * EpochSeconds * 1_000_000_000 / yearSeconds, Share: 50,
			Hold: [4]uint32{500, 250, 0, 0}, NeedHold: 500, ReleaseEpochs: 15 * 24, Miss: 100, Fault: 1000,
		},
		Schedule: emission.Schedule{Total: total, HalvingSeconds: 4 * yearSeconds},
		Weight:   300, Usage: score.UsagePerMille, Smoothing: 7,
		Interval: 6, Positions: 4, Fresh: 48, SlashBps: 200, BountyBps: 1000, JailEpochs: 6, MaxJailEpochs: 14 * 24,
		MissedOutputPPM: 10, Audits: 24,
	}
}

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
	// Promised is what it gave receipts for, and Kept what of that is in its tree, which is what
	// customers can audit.
	Promised, Kept uint64
	// Show, if set, answers a challenge of the chain instead of what Held says.
	Show func(w *World, d *Device, positions []uint64) bool

	jailed  uint64 // until the end of this epoch
	inARow  uint64 // faults
	missed  int    // faults of the epoch before, not yet pointed at
	passed  uint64 // last epoch in which it passed a challenge, 0 for none
	covered uint64 // what that challenge was drawn over, bytes
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
	// Caught is the first epoch in which the chain showed a fault of it; Faults counts them.
	Caught uint64
	Faults int
}

// World is one run.
type World struct {
	Random *rand.Rand
	Costs  Costs
	Law    Law
	Epoch  uint64
	// Beacon of the epoch; Bend, if set, lets an adversary choose it instead of chance.
	Beacon [32]byte
	Bend   func(w *World) [32]byte
	Seats  []*Seat
	// The last epoch that was reported: its facts and accounts, ascending by device, the accounts
	// before it, and its pools.
	Facts         []score.Fact
	After, Before []score.Account
	Pools         score.Pools

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
	d.Promised, d.Kept = d.Promised+bytes, d.Kept+bytes
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

// Rent has customers outside of the world pay for everything that is leased of a seat's devices, at 4
// CAIRN for a TB and month.
func Rent(w *World, s *Seat) {
	for _, d := range s.Devices {
		gross, _ := price.Rate{Amount: CAIRN(4000), Per: TB * monthSeconds}.StreamCost(d.Leased, EpochSeconds)
		w.Pay(nil, d, gross)
	}
}

// Honest adds a provider that stores what consumers lease and answers all challenges.
func (w *World) Honest(name string, bytes uint64, bond price.Amount, tier uint32) *Seat {
	s := w.Sit(name, Rent)
	w.Register(s, bond, tier).Store(bytes)
	return s
}

// fleetPercent is the share of the network's bytes that one device of a fleet holds.
const fleetPercent = 5

// Fleet gives a seat devices that hold the share of all bytes there are so far and its own, in percent.
func (w *World) Fleet(s *Seat, share int) {
	total := uint64(0)
	for _, d := range w.devices() {
		total += d.Tree
	}
	n := uint64(max(1, share/fleetPercent))
	each := total / uint64(100-share) * uint64(share) / n
	for range n {
		w.Register(s, BondFor(each), 1).Store(each)
	}
}

// Crowd adds n honest providers of different sizes.
func (w *World) Crowd(n int) {
	for range n {
		bytes := TB/2 + w.Random.Uint64N(8*TB)
		w.Honest("honest", bytes, BondFor(bytes), uint32(w.Random.IntN(3)))
	}
}

// BondFor is what an honest provider bonds for so many bytes: 20 CAIRN for a TB, five months' rent.
func BondFor(bytes uint64) price.Amount {
	bond, _ := CAIRN(20_000).MulDiv(bytes, TB)
	return bond
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

// turn plays one epoch: its beacon is drawn, everybody acts, devices are challenged, the epoch is
// reported.
func (w *World) turn() {
	for i := 0; i < len(w.Beacon); i += 8 {
		binary.BigEndian.PutUint64(w.Beacon[i:], w.Random.Uint64())
	}
	if w.Bend != nil {
		w.Beacon = w.Bend(w)
	}
	for _, s := range w.Seats {
		if s.Play != nil {
			s.Play(w, s)
		}
	}
	devices := w.devices()
	w.Facts, w.Before, w.After = make([]score.Fact, len(devices)), make([]score.Account, len(devices)), make([]score.Account, len(devices))
	points := uint64(0)
	for i, d := range devices {
		w.keep(d)
		w.Facts[i], w.Before[i] = w.challenge(d), d.account
		of, _ := score.RulesV1.Score(w.Facts[i])
		points += of
	}
	w.Pools = w.pools()
	for i, d := range devices {
		d.account = score.RulesV1.Next(d.account, &w.Facts[i], w.Epoch, points, w.Pools)
		d.burned = price.Amount{}
		w.After[i] = d.account
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

// challenge asks a device for chunks of its tree and says what is known of it afterwards, as x/storage
// does: a challenge that is missed in one epoch is pointed at in the next.
func (w *World) challenge(d *Device) score.Fact {
	f := score.Fact{
		Device: d.ID, Epoch: w.Epoch, Service: score.Storage, Leased: d.Leased, Burned: d.burned, Bond: d.Bond, Tier: d.Tier, Need: score.MinNeed,
	}
	if d.jailed >= w.Epoch {
		f.Standing |= score.Jailed
	}
	if d.missed > 0 {
		f.Standing |= score.Faulted
		for range d.missed {
			w.punish(d)
		}
		d.missed, d.passed = 0, 0
	}
	w.audit(d)
	draw := challenge.New(w.Beacon, w.Epoch, d.ID)
	chunks := d.Tree / piece.ChunkSize
	f.Challenged = chunks > 0 && draw.Due(w.Law.Interval)
	switch {
	case !f.Challenged:
		if d.passed > 0 && w.Epoch-d.passed <= w.Law.Fresh {
			f.Proved = min(d.covered, d.Tree)
		}
	case d.shows(w, draw.Positions(w.Law.Positions, chunks)):
		d.Seat.Purse.Sub(w.Costs.Message)
		d.passed, d.covered, d.inARow = w.Epoch, d.Tree, 0
		f.Passed, f.Proved = w.Law.Positions, d.Tree
	default:
		w.catch(d) // in this epoch's fact already
	}
	return f
}

// audit has a device's customers ask on chain for one piece that it gave a receipt for, at the pace of
// the law: it must be in the tree.
func (w *World) audit(d *Device) {
	if d.Kept < d.Promised && w.Random.Uint64N(w.Law.Audits) == 0 && w.Random.Uint64N(d.Promised) >= d.Kept {
		w.catch(d)
	}
}

// catch notes a fault, which somebody points at in the next epoch.
func (w *World) catch(d *Device) {
	d.missed++
	d.Seat.Faults++
	if d.Seat.Caught == 0 {
		d.Seat.Caught = w.Epoch
	}
}

// shows answers a challenge.
func (d *Device) shows(w *World, positions []uint64) bool {
	if d.Show != nil {
		return d.Show(w, d, positions)
	}
	for _, x := range positions {
		if x >= d.Held/piece.ChunkSize {
			return false
		}
	}
	return true
}

// punish takes a part of what is left of the bond and sends the device to jail. The bounty comes back
// to the owner of the device: nothing keeps it from being the first to point at itself.
func (w *World) punish(d *Device) {
	whole := price.FromUint64(10_000)
	slash := d.Bond.Share(price.FromUint64(w.Law.SlashBps), whole)
	d.Bond, _ = d.Bond.Sub(slash)
	d.Seat.Purse.Sub(slash)
	d.Seat.Purse.Add(slash.Share(price.FromUint64(w.Law.BountyBps), whole))
	term := w.Law.JailEpochs
	for range min(d.inARow, 63) {
		term = min(2*term, w.Law.MaxJailEpochs)
	}
	d.inARow++
	d.jailed = max(d.jailed, w.Epoch+term)
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
