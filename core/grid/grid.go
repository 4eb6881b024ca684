// Package grid describes the part of an electricity grid that one community trades on: a tree whose
// root meets the utility, and whose every edge says what passing it costs, loses and may carry.
//
//	region --- substation --- feeder --- meter
//
// Energy is whole watt-hours in a slot of a quarter of an hour, prices are ticks of a community's
// own size. Everything about an edge is measured at its lower end: the fee is for each watt-hour that
// enters or leaves the lower node there, the capacity bounds just that flow, and the loss is the part
// of it that the upper end sees less of (upwards) or more of (downwards).
//
// INV-GRID-1: a Tree's order (parents before children, siblings together, by id) depends on its set of
// nodes alone.
package grid

import "fmt"

// WattHours of energy. Which way it flows is said where it is used.
type WattHours int64

// Watts of power.
type Watts int64

// Over returns the energy of w held for one slot, rounded down.
func (w Watts) Over() WattHours { return WattHours(w) / SlotsPerHour }

// Tick is a price, a fee or a difference of prices in units that a community fixes; a market of K
// ticks knows the prices 0 to K-1.
type Tick int32

const (
	// MaxTicks bounds how many prices a market knows.
	MaxTicks = 1 << 20
	// CommunityTicks bounds them on the chain, where every validator clears every market.
	CommunityTicks = 2048
)

// PPM counts millionths.
type PPM uint32

// Million is the whole in PPM.
const Million = 1_000_000

// Slot is a quarter of an hour since 1970-01-01T00:00Z.
type Slot uint64

// Lengths of slots.
const (
	SlotSeconds  = 900
	SlotsPerHour = 4
	SlotsPerDay  = 24 * SlotsPerHour
)

// SlotAt returns the slot that a time in Unix seconds lies in, and slot 0 for times before 1970.
func SlotAt(unix int64) Slot { return Slot(max(unix, 0) / SlotSeconds) }

// Start returns when s begins, in Unix seconds; the end is the next slot's start. Slots past
// MaxSlot have none.
func (s Slot) Start() int64 { return int64(min(s, MaxSlot)) * SlotSeconds }

// Hour returns the hour since 1970 that s lies in.
func (s Slot) Hour() uint64 { return uint64(s) / SlotsPerHour }

// Day returns the day (UTC) since 1970 that s lies in.
func (s Slot) Day() uint64 { return uint64(s) / SlotsPerDay }

// MaxSlot bounds slots, far beyond any that is real and far below what overflows as seconds.
const MaxSlot Slot = 1 << 40

// Kind is a node's place in the grid.
type Kind uint8

// Places in a grid, each below those before it; Place is any node of which nothing more is known.
const (
	Place Kind = iota
	Region
	Substation
	Feeder
	Meter
)

var kindNames = [...]string{"", "region", "substation", "feeder", "meter"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// ParseKind is the inverse of String.
func ParseKind(s string) (Kind, error) {
	for k, name := range kindNames {
		if s == name {
			return Kind(k), nil
		}
	}
	return Place, fmt.Errorf("%w %q: want region, substation, feeder or meter", ErrKind, s)
}
