package meter

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cairn-network/cairn/core/grid"
)

// Role says what stands behind a meter.
type Role uint8

const (
	// House is a site's connection to the grid, perhaps with registers for its own source and battery.
	House Role = 1
	// Plant only generates or only stores.
	Plant Role = 2
	// Charger charges vehicles.
	Charger Role = 3
	// Head stands where the community hangs on the grid: its import is what the community took.
	Head Role = 4
)

// Valid says whether there is such a role.
func (r Role) Valid() bool { return r >= House && r <= Head }

// Meter is what the chain knows of a meter, as far as its hours depend on it.
type Meter struct {
	// ID of its device.
	ID   uint64
	Role Role
	// Node of the community's grid that it hangs at.
	Node grid.NodeID
	Key  Key
	Rating
}

// Leaf is one meter's hour.
type Leaf struct {
	Meter uint64
	Role  Role
	Node  grid.NodeID
	// Covered has bit i set where the hour's slot i was told.
	Covered uint8
	// Reason why nothing is believed of the hour beyond its totals; None if it is.
	Reason Reason
	// Opening and Closing are the registers at the beginning of the first told slot and at the end
	// of the last.
	Opening, Closing Registers
	// Slots are what flowed; nothing in slots that were not told.
	Slots [HourSlots]Energy
	// Evidence is SHA-256 of the signed frames that this follows from, one after the other.
	Evidence [sha256.Size]byte
}

// MaxSlotEnergy is the most that flows through a meter in a slot: 4 GW for a quarter of an hour.
const MaxSlotEnergy = 1_000_000_000

// MaxEvidence is the most bytes of frames that one meter's hour has: one frame a slot.
const MaxEvidence = HourSlots * MaxFrameBytes

// Evidence puts frames together as Replay takes them: in the order of their slots.
func Evidence(frames []Signed) ([]byte, error) {
	var all []byte
	for _, f := range frames {
		b, err := f.MarshalBinary()
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

// Frames reads evidence; ErrEvidence if it is not some frames of one meter and hour in the order of
// their slots, each the successor of the one before.
func Frames(chainID string, evidence []byte) ([]Signed, error) {
	if len(evidence) == 0 || len(evidence) > MaxEvidence {
		return nil, fmt.Errorf("%w: %d bytes, want 1..%d", ErrEvidence, len(evidence), MaxEvidence)
	}
	var frames []Signed
	for rest := evidence; len(rest) > 0; {
		var f Signed
		var err error
		if f, rest, err = parse(chainID, rest); err != nil {
			return nil, fmt.Errorf("%w: frame %d: %w", ErrEvidence, len(frames), err)
		}
		if n := len(frames); n > 0 {
			last := frames[n-1]
			switch {
			case f.Meter != last.Meter || HourOf(f.First) != HourOf(last.First):
				return nil, fmt.Errorf("%w: frame of meter %d in hour %d after meter %d in hour %d",
					ErrEvidence, f.Meter, HourOf(f.First), last.Meter, HourOf(last.First))
			case f.First < last.First+grid.Slot(last.Slots()):
				return nil, fmt.Errorf("%w: slot %d after slot %d", ErrEvidence, f.First, int(last.First)+last.Slots()-1)
			case f.Seq <= last.Seq:
				return nil, fmt.Errorf("%w: frame %d after %d", ErrEvidence, f.Seq, last.Seq)
			}
			if name, falls := last.Readings[len(last.Readings)-1].Falls(f.Readings[0]); falls {
				return nil, fmt.Errorf("%w: %s register falls between frames %d and %d", ErrEvidence, name, last.Seq, f.Seq)
			}
		}
		frames = append(frames, f)
	}
	return frames, nil
}

// Replay gives the leaf that follows from a meter's frames of an hour: what its leaf must be.
// ErrEvidence if none follows, signature.ErrSignature if a frame is not the meter's.
func Replay(chainID string, m Meter, hour Hour, evidence []byte) (Leaf, error) {
	frames, err := Frames(chainID, evidence)
	if err != nil {
		return Leaf{}, err
	}
	if f := frames[0]; f.Meter != m.ID || HourOf(f.First) != hour {
		return Leaf{}, fmt.Errorf("%w: of meter %d in hour %d, want meter %d in hour %d", ErrEvidence, f.Meter, HourOf(f.First), m.ID, hour)
	}
	for _, f := range frames {
		if err := f.Verify(m.Key); err != nil {
			return Leaf{}, err
		}
	}
	l := Leaf{Meter: m.ID, Role: m.Role, Node: m.Node, Evidence: sha256.Sum256(evidence)}
	if err := l.tell(frames); err != nil {
		return Leaf{}, err
	}
	l.Reason = Judge(m, hour, frames, l)
	return l, nil
}

// tell fills in registers and slots.
func (l *Leaf) tell(frames []Signed) error {
	l.Opening = frames[0].Readings[0]
	for _, f := range frames {
		l.Closing = f.Readings[len(f.Readings)-1]
		for i := range f.Slots() {
			at := int(f.First%HourSlots) + i
			e := Between(f.At(i), f.At(i+1))
			for j, v := range e.array() {
				if v > MaxSlotEnergy {
					return fmt.Errorf("%w: %s is %d Wh in slot %d, want at most %d", ErrEvidence, registerNames[j], v, at, MaxSlotEnergy)
				}
			}
			l.Slots[at] = e
			l.Covered |= 1 << at
		}
	}
	return nil
}

// LeafBytes is the size of an encoded leaf.
const LeafBytes = 8 + 1 + 4 + 1 + 2 + 2*registers*8 + HourSlots*registers*4 + sha256.Size

// Append appends the leaf as docs/format/frame.md lays it out.
func (l Leaf) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, l.Meter)
	b = binary.BigEndian.AppendUint32(append(b, byte(l.Role)), uint32(l.Node))
	b = binary.BigEndian.AppendUint16(append(b, l.Covered), uint16(l.Reason))
	for _, r := range []Registers{l.Opening, l.Closing} {
		for _, v := range r.array() {
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		}
	}
	for _, e := range l.Slots {
		for _, v := range e.array() {
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		}
	}
	return append(b, l.Evidence[:]...)
}

// Check refuses leaves that no tree may hold; ErrLeaves.
func (l Leaf) Check() error {
	if l.Meter == 0 || !l.Role.Valid() || l.Covered == 0 || l.Covered >= 1<<HourSlots || !l.Reason.Known() {
		return fmt.Errorf("%w: leaf of meter %d: role %d, covered %#x, reason %d", ErrLeaves, l.Meter, l.Role, l.Covered, l.Reason)
	}
	for _, r := range []Registers{l.Opening, l.Closing} {
		if err := r.Check(); err != nil {
			return fmt.Errorf("%w: leaf of meter %d: %w", ErrLeaves, l.Meter, err)
		}
	}
	for i, e := range l.Slots {
		for j, v := range e.array() {
			if v < 0 || v > MaxSlotEnergy || v > 0 && l.Covered&(1<<i) == 0 {
				return fmt.Errorf("%w: leaf of meter %d: %s is %d Wh in slot %d", ErrLeaves, l.Meter, registerNames[j], v, i)
			}
		}
	}
	return nil
}

// MarshalBinary gives LeafBytes bytes; ErrLeaves if Check refuses the leaf.
func (l Leaf) MarshalBinary() ([]byte, error) {
	if err := l.Check(); err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	return l.Append(make([]byte, 0, LeafBytes)), nil
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses all other bytes with ErrEncoding or
// ErrLeaves.
func (l *Leaf) UnmarshalBinary(b []byte) error {
	if len(b) != LeafBytes {
		return fmt.Errorf("reading leaf: %w: %d bytes, want %d", ErrEncoding, len(b), LeafBytes)
	}
	q := Leaf{
		Meter: binary.BigEndian.Uint64(b), Role: Role(b[8]), Node: grid.NodeID(binary.BigEndian.Uint32(b[9:])),
		Covered: b[13], Reason: Reason(binary.BigEndian.Uint16(b[14:])),
	}
	b = b[16:]
	for _, to := range []*Registers{&q.Opening, &q.Closing} {
		var a [registers]MilliWattHours
		for i := range a {
			v := binary.BigEndian.Uint64(b)
			if v > math.MaxInt64 {
				return fmt.Errorf("reading leaf: %w: %s register of %d mWh", ErrEncoding, registerNames[i], v)
			}
			a[i] = MilliWattHours(v)
			b = b[8:]
		}
		*to = ofArray(a)
	}
	for i := range q.Slots {
		var a [registers]grid.WattHours
		for j := range a {
			a[j] = grid.WattHours(binary.BigEndian.Uint32(b))
			b = b[4:]
		}
		q.Slots[i] = energyOf(a)
	}
	copy(q.Evidence[:], b)
	if err := q.Check(); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	*l = q
	return nil
}
