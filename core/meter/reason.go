package meter

import (
	"fmt"
	"slices"

	"github.com/cairn-network/cairn/core/grid"
)

// Reason says why a reading is not believed, by the rung of the ladder of honesty that it fell on.
// Numbers are kept: they stand in leaves.
type Reason uint16

const (
	// None means: nothing speaks against the reading.
	None Reason = 0

	// Rung 0: what the frames themselves show.

	// BadSignature means: the frame is not signed by the meter's key.
	BadSignature Reason = 1
	// RolledBack means: a register shows less than before.
	RolledBack Reason = 2
	// Gap means: slots are missing between two frames.
	Gap Reason = 3
	// FutureSlot means: the frame tells of a slot that has not ended.
	FutureSlot Reason = 4
	// DoubleFrame means: two different frames tell of one slot.
	DoubleFrame Reason = 5
	// Overflow means: more in one slot than any meter can count.
	Overflow Reason = 6
	// SelfReported means: the meter itself says that it was opened or exchanged, or that it guessed.
	SelfReported Reason = 7
	// Late means: the frame came after the hour was closed.
	Late Reason = 8

	// Rung 1: physics.

	// RatedPower means: more than the site's equipment can do.
	RatedPower Reason = 16
	// NightSun means: solar power while the sun was below the horizon.
	NightSun Reason = 17

	// Rung 2: the site's own balance.

	// SiteBalance means: more went out of the site than came in and was generated.
	SiteBalance Reason = 32
	// BatteryBalance means: the battery gave more than it took and can hold.
	BatteryBalance Reason = 33

	// Rung 3: the feeder.

	// FeederSum means: the meters of the feeder do not add up to its head meter.
	FeederSum Reason = 48

	// Rung 4: the neighbours.

	// Neighbours means: far more for each installed kilowatt than others nearby.
	Neighbours Reason = 64

	// Rung 5: the network asked.

	// Dispatch means: the battery or charger did not do what it was asked to.
	Dispatch Reason = 80

	// Rung 6: somebody went and looked.

	// Audit means: what stands there is not what was registered.
	Audit Reason = 96
)

var reasons = []struct {
	Reason
	name, text string
}{
	{None, "none", "The reading is believed."},
	{BadSignature, "bad signature", "The reading is not signed with the key that this meter is registered with. If the box was exchanged, register its new key."},
	{RolledBack, "rolled back", "A register shows less than it did before. Meters only count up; if the meter was exchanged, register the new one."},
	{Gap, "gap", "Readings of some quarters of an hour are missing. What flowed meanwhile is settled with the utility's prices once the next reading arrives."},
	{FutureSlot, "future slot", "The reading is of a time that has not come. Set the clock of the box."},
	{DoubleFrame, "double frame", "The meter told two different readings for the same quarter of an hour. One of them is false."},
	{Overflow, "overflow", "The reading is higher than any meter can count in a quarter of an hour."},
	{SelfReported, "self-reported", "The meter says of itself that it was opened or exchanged, or that it guessed the reading."},
	{Late, "late", "The reading came after its hour was closed. Nothing is lost: the next one settles what it told."},
	{RatedPower, "rated power", "More flowed than the equipment registered at this site can do. If you have added some, register it."},
	{NightSun, "night sun", "Solar power was reported while the sun was below the horizon at the registered place. Check the place and the clock."},
	{SiteBalance, "site balance", "More left the site than came in and was generated there. A meter may be wired the wrong way round."},
	{BatteryBalance, "battery balance", "The battery gave more than it had taken and can hold."},
	{FeederSum, "feeder sum", "The meters of this feeder do not add up to what its head meter counted. Until that is found, generation here is held back."},
	{Neighbours, "neighbours", "For its size this site reports far more solar power than the sites around it."},
	{Dispatch, "dispatch", "The device was asked to charge, discharge or pause and did not."},
	{Audit, "audit", "An inspection found something else than what is registered."},
}

// Known says whether there is such a reason.
func (r Reason) Known() bool { _, ok := r.find(); return ok }

func (r Reason) find() (int, bool) {
	i := slices.IndexFunc(reasons, func(e struct {
		Reason
		name, text string
	},
	) bool {
		return e.Reason == r
	})
	return i, i >= 0
}

// String is the reason's name.
func (r Reason) String() string {
	if i, ok := r.find(); ok {
		return reasons[i].name
	}
	return fmt.Sprintf("reason %d", uint16(r))
}

// Text says to the meter's owner what it means and what to do.
func (r Reason) Text() string {
	if i, ok := r.find(); ok {
		return reasons[i].text
	}
	return "This version of the program does not know the reason."
}

// Rung is the rung of the ladder, 0 to 6.
func (r Reason) Rung() int { return int(r) / 16 }

// Reasons are all there are, ascending.
func Reasons() []Reason {
	all := make([]Reason, len(reasons))
	for i, r := range reasons {
		all[i] = r.Reason
	}
	return all
}

// Class is what a meter's key is worth.
type Class uint8

const (
	// ClassC keys lie in software.
	ClassC Class = 0
	// ClassD readings are signed by the cloud of the device's maker.
	ClassD Class = 1
	// ClassB keys lie in an attested secure element.
	ClassB Class = 2
	// ClassA meters are type approved, their keys signed by their maker or who installed them.
	ClassA Class = 3
)

var classNames = [...]string{"C", "D", "B", "A"}

// Valid says whether there is such a class.
func (c Class) Valid() bool { return c <= ClassA }

func (c Class) String() string {
	if c.Valid() {
		return classNames[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Rating is what can be at most, as registered.
type Rating struct {
	// Import and Export power of the connection, Generation of the site's own source.
	Import, Export, Generation grid.Watts
	// Storage is the power of the battery, Capacity what it holds.
	Storage  grid.Watts
	Capacity grid.WattHours
	// Solar says that Generation needs the sun.
	Solar bool
	// Site is roughly where it stands.
	Site  Site
	Class Class
}

// MaxPower bounds the powers of a Rating: 4 GW, as much as the largest power stations.
const MaxPower grid.Watts = 4_000_000_000

// MaxCapacity bounds storage: 100 GWh.
const MaxCapacity grid.WattHours = 100_000_000_000

// Check refuses, naming the field, ratings that nothing has; ErrFrame.
func (r Rating) Check() error {
	for _, p := range []struct {
		name string
		grid.Watts
	}{{"import", r.Import}, {"export", r.Export}, {"generation", r.Generation}, {"storage", r.Storage}} {
		if p.Watts < 0 || p.Watts > MaxPower {
			return fmt.Errorf("%w: rated %s is %d W, want 0..%d", ErrFrame, p.name, p.Watts, MaxPower)
		}
	}
	if r.Capacity < 0 || r.Capacity > MaxCapacity {
		return fmt.Errorf("%w: capacity is %d Wh, want 0..%d", ErrFrame, r.Capacity, MaxCapacity)
	}
	if !r.Class.Valid() {
		return fmt.Errorf("%w: class %d", ErrFrame, r.Class)
	}
	return r.Site.check()
}

const (
	// ratedMargin over the rated power, in percent: fuses are slow and ratings are round.
	ratedMargin = 110
	// floor in watt hours below which a slot is not judged: the steps in which meters count.
	floor grid.WattHours = 10
)

// MaxSlot is the most that equipment of some power moves in a slot and is believed.
func MaxSlot(w grid.Watts) grid.WattHours {
	return grid.WattHours(w)*ratedMargin/100/HourSlots + floor
}

// Judge gives what frames and leaf of one meter's hour show by themselves: rungs 0 to 2 of the
// ladder. The lowest rung counts, and on it the first slot.
func Judge(m Meter, hour Hour, frames []Signed, l Leaf) Reason {
	for _, f := range frames {
		if f.Status&(Tampered|Estimated|Replaced) != 0 {
			return SelfReported
		}
	}
	for i := 1; i < len(frames); i++ {
		if frames[i].Previous != frames[i-1].Hash() || frames[i].First != frames[i-1].First+grid.Slot(frames[i-1].Slots()) {
			return Gap
		}
	}
	for i, e := range l.Slots {
		if r := m.physics(e, hour.First()+grid.Slot(i)); r != None {
			return r
		}
	}
	for i, e := range l.Slots {
		// A head stands on a line, not before a site: what leaves it was generated by others.
		if m.Role != Head && l.Covered&(1<<i) != 0 && e.Load() < -(floor+(e.Export+e.StoredIn)/50) {
			return SiteBalance
		}
	}
	if m.Capacity > 0 && l.Closing.StoredOut.WattHours() > l.Closing.StoredIn.WattHours()+m.Capacity+floor {
		return BatteryBalance
	}
	return None
}

// physics judges one slot against what the meter's site can do.
func (m Meter) physics(e Energy, s grid.Slot) Reason {
	for _, flow := range []struct {
		energy grid.WattHours
		rated  grid.Watts
	}{{e.Import, m.Import}, {e.Export, m.Export}, {e.Generation, m.Generation}, {e.StoredIn, m.Storage}, {e.StoredOut, m.Storage}} {
		if flow.energy > MaxSlot(flow.rated) {
			return RatedPower
		}
	}
	if m.Solar && e.Generation > nightFloor && m.Site.Night(s) {
		return NightSun
	}
	return None
}

// nightFloor is what the registers' own steps may show of an inverter that sleeps.
const nightFloor grid.WattHours = 1

// Feeder is what is compared on rung 3: a feeder's head against its meters, in one slot. Energies are
// at most MaxSum.
type Feeder struct {
	// Head is what the head meter counted from the grid less what it counted back.
	Head grid.WattHours
	// Sum of what the meters counted in less what they counted out.
	Sum grid.WattHours
	// Squares as Flow has them.
	Squares uint64
	// Loss is what the lines may lose of what flows.
	Loss grid.PPM
	// Through is what flowed through the meters both ways.
	Through grid.WattHours
	// Meters is how many meters told the slot.
	Meters uint32
}

// State is how far a slot's ledger is believed.
type State uint8

const (
	// Unmetered means: there is no head meter to compare with.
	Unmetered State = 0
	// Balanced means: within what losses and the accuracy of meters explain.
	Balanced State = 1
	// Watch means: within twice that.
	Watch State = 2
	// Failed means: beyond it.
	Failed State = 3
)

var stateNames = [...]string{"unmetered", "balanced", "watch", "failed"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Tolerance is how far head and sum may lie apart without loss: three times the root of the summed
// squares of each meter's class accuracy (1 % of its reading), and the steps of all registers.
func (f Feeder) Tolerance() grid.WattHours {
	// Squares are of tenths: a hundredth of a reading is a tenth of its tenth.
	return grid.WattHours(3*root(f.Squares)/10) + floor + grid.WattHours(f.Meters)
}

// State compares: what is lost between head and meters must be neither negative nor above Loss, but
// for Tolerance.
func (f Feeder) State() State {
	lost := f.Head - f.Sum
	loss := grid.WattHours(min(f.Loss, grid.Million))
	allowed := f.Through/grid.Million*loss + f.Through%grid.Million*loss/grid.Million + 1
	tolerance := f.Tolerance()
	switch {
	case lost >= -tolerance && lost <= allowed+tolerance:
		return Balanced
	case lost >= -2*tolerance && lost <= 2*(allowed+tolerance):
		return Watch
	}
	return Failed
}

// root is floor(sqrt(n)).
func root(n uint64) uint64 {
	if n < 2 {
		return n
	}
	x := uint64(1) << 32
	if n < 1<<62 {
		x = n/2 + 1
		if x > 1<<32 {
			x = 1 << 32
		}
	}
	for {
		y := (x + n/x) / 2
		if y >= x {
			return min(x, 1<<32-1)
		}
		x = y
	}
}

// Yield is what a site generated in some time for each kilowatt of its source, in watt hours.
func Yield(e grid.WattHours, rated grid.Watts) grid.WattHours {
	if rated <= 0 {
		return 0
	}
	return e * 1000 / grid.WattHours(rated)
}

// MinNeighbours is how many sites make a neighbourhood.
const MinNeighbours = 5

// Outlier is rung 4: it says whether a yield lies more than k times the median deviation above the
// median of its neighbours' yields, which are left in order. Fewer than MinNeighbours say nothing.
// A fiftieth of the median and the floor stand for deviations that are too alike.
func Outlier(yield grid.WattHours, neighbours []grid.WattHours, k int) bool {
	if len(neighbours) < MinNeighbours {
		return false
	}
	slices.Sort(neighbours)
	median := neighbours[len(neighbours)/2]
	deviations := make([]grid.WattHours, len(neighbours))
	for i, y := range neighbours {
		if deviations[i] = y - median; y < median {
			deviations[i] = median - y
		}
	}
	slices.Sort(deviations)
	mad := max(deviations[len(deviations)/2], median/50, floor)
	return yield-median > grid.WattHours(k)*mad
}

// Answered is rung 5: whether a device that was asked to move asked watt hours in a slot (in is
// positive, out negative) did at least that share of it, in percent.
func Answered(asked, did grid.WattHours, percent int) bool {
	if asked < 0 {
		asked, did = -asked, -did
	}
	return did+floor >= asked*grid.WattHours(percent)/100
}

// Culprits is who could be behind a feeder that failed over some slots: the meters, by place in
// sites, without whose reading the residual would be within tolerance in every failed slot. residual
// is head less sum, and sites what each meter counted in less out, slot by slot.
func Culprits(residual []grid.WattHours, tolerance grid.WattHours, sites [][]grid.WattHours) []int {
	var found []int
	for i, site := range sites {
		explains, failed := len(site) == len(residual), false
		for t := 0; explains && t < len(residual); t++ {
			if abs(residual[t]) <= tolerance {
				continue
			}
			failed = true
			// Without the site's reading, its true flow is unknown; what it told must be able to make
			// up the whole residual.
			explains = abs(residual[t]) <= abs(site[t])+tolerance && (residual[t] > 0) == (site[t] < 0)
		}
		if explains && failed {
			found = append(found, i)
		}
	}
	return found
}

func abs(e grid.WattHours) grid.WattHours {
	if e < 0 {
		return -e
	}
	return e
}
