package meter

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/signature"
)

// Status is what a meter says of itself, a set of bits.
type Status uint16

const (
	// ClockUnsynced says that the meter's clock has not been set from outside for a day.
	ClockUnsynced Status = 1 << iota
	// Estimated says that some readings were computed, not measured.
	Estimated
	// Tampered says that the meter noticed an opened lid or a strong magnet.
	Tampered
	// PowerFailed says that there was no power for a part of the frame's time.
	PowerFailed
	// Replaced says that the meter's inside was exchanged: registers begin anew.
	Replaced

	// KnownStatus are all bits with a meaning; no other may be set.
	KnownStatus = ClockUnsynced | Estimated | Tampered | PowerFailed | Replaced
)

const (
	frameVersion = 1
	// MaxSteps is how many steps a slot may have: readings every five minutes.
	MaxSteps = 3
	// MaxFrameBytes is the most that a signed frame has.
	MaxFrameBytes = frameHead + registers*(1+MaxSteps*HourSlots)*maxVarint + SignatureSize

	frameHead = 1 + 8 + 8 + 1 + 1 + 2 + 8 + sha256.Size
	maxVarint = 9 // of MaxRegister
)

// Frame is a run of readings within one hour.
type Frame struct {
	ChainID string
	// Meter is the id of its device, at least 1.
	Meter uint64
	// First slot that the frame covers.
	First grid.Slot
	// Steps of a slot: 1 for readings every 15 minutes, 3 for every 5.
	Steps  uint8
	Status Status
	// Seq rises by one from frame to frame, beginning with 1.
	Seq uint64
	// Previous is the Hash of the meter's last frame; zero for its first.
	Previous [sha256.Size]byte
	// Readings at the beginning of the first slot, and at the end of each step: 1 + slots x steps.
	Readings []Registers
}

// Slots is how many slots a frame that Check accepts covers, 1 to HourSlots.
func (f Frame) Slots() int {
	if f.Steps == 0 {
		return 0
	}
	return (len(f.Readings) - 1) / int(f.Steps)
}

// At is the reading at the beginning of slot First+i, i up to Slots.
func (f Frame) At(i int) Registers { return f.Readings[i*int(f.Steps)] }

// Check refuses, naming the field, frames that no meter may send; ErrFrame.
func (f Frame) Check() error {
	if err := signature.CheckChainID(f.ChainID); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	switch {
	case f.Meter == 0:
		return fmt.Errorf("%w: meter is 0", ErrFrame)
	case f.Steps != 1 && f.Steps != MaxSteps:
		return fmt.Errorf("%w: %d steps a slot, want 1 or %d", ErrFrame, f.Steps, MaxSteps)
	case f.Status&^KnownStatus != 0:
		return fmt.Errorf("%w: status %#x has unknown bits", ErrFrame, f.Status)
	case f.Seq == 0:
		return fmt.Errorf("%w: sequence is 0", ErrFrame)
	case f.First > maxSlot:
		return fmt.Errorf("%w: first slot %d, want at most %d", ErrFrame, f.First, uint64(maxSlot))
	case len(f.Readings) < 2 || (len(f.Readings)-1)%int(f.Steps) != 0 || f.Slots() > HourSlots:
		return fmt.Errorf("%w: %d readings with %d steps a slot, want those of 1 to %d slots", ErrFrame, len(f.Readings), f.Steps, HourSlots)
	case int(f.First%HourSlots)+f.Slots() > HourSlots:
		return fmt.Errorf("%w: slots %d to %d are not within one hour", ErrFrame, f.First, int(f.First)+f.Slots()-1)
	}
	for i, r := range f.Readings {
		if err := r.Check(); err != nil {
			return fmt.Errorf("reading %d: %w", i, err)
		}
		if i > 0 {
			if name, falls := f.Readings[i-1].Falls(r); falls {
				return fmt.Errorf("%w: %s register falls at reading %d", ErrFrame, name, i)
			}
		}
	}
	return nil
}

// maxSlot keeps times within 2^40 seconds.
const maxSlot = 1 << 30

// appendBody appends what docs/format/frame.md gives, all but preamble and signature.
func (f Frame) appendBody(b []byte) []byte {
	b = append(b, frameVersion)
	b = binary.BigEndian.AppendUint64(b, f.Meter)
	b = binary.BigEndian.AppendUint64(b, uint64(f.First))
	b = append(b, f.Steps, byte(f.Slots()))
	b = binary.BigEndian.AppendUint16(b, uint16(f.Status))
	b = binary.BigEndian.AppendUint64(b, f.Seq)
	b = append(b, f.Previous[:]...)
	var last [registers]MilliWattHours
	for _, r := range f.Readings {
		now := r.array()
		for i, v := range now {
			b = binary.AppendUvarint(b, uint64(v-last[i]))
		}
		last = now
	}
	return b
}

// SignBytes is what the meter signs. It means something only for frames that Check accepts.
func (f Frame) SignBytes() []byte {
	b := signature.Frame.Preamble(make([]byte, 0, signature.PreambleSize+MaxFrameBytes), f.ChainID)
	return f.appendBody(b)
}

// Hash names a frame: SHA-256 of SignBytes.
func (f Frame) Hash() [sha256.Size]byte { return sha256.Sum256(f.SignBytes()) }

// Overlaps says whether two frames of one meter tell of the same slot. A meter that signs two
// different such frames has lied in one of them.
func (f Frame) Overlaps(g Frame) bool {
	return f.First < g.First+grid.Slot(g.Slots()) && g.First < f.First+grid.Slot(f.Slots())
}

// Signed is a frame with its meter's signature over SignBytes.
type Signed struct {
	Frame
	Signature [SignatureSize]byte
}

// Verify checks the signature and nothing else; signature.ErrKey or signature.ErrSignature.
func (s Signed) Verify(key Key) error {
	if err := key.Verify(s.SignBytes(), s.Signature[:]); err != nil {
		return fmt.Errorf("verifying frame %d of meter %d: %w", s.Seq, s.Meter, err)
	}
	return nil
}

// VerifyBatch checks frames[i] by keys[i] and gives the positions, ascending, of those that do not
// hold; nil when all do. Ed25519 signatures are checked together, at about half the price. A frame
// without a key is bad. Deterministic: it may run in consensus.
func VerifyBatch(keys []Key, frames []Signed) (bad []int) {
	var (
		batch = signature.NewBatch(len(frames))
		place []int // in frames, of each of the batch's
		fails = make([]bool, len(frames))
	)
	for i, f := range frames {
		switch {
		case i >= len(keys):
			fails[i] = true
		case keys[i].Type == Ed25519:
			batch.Add(keys[i].Bytes, f.SignBytes(), frames[i].Signature[:])
			place = append(place, i)
		default:
			fails[i] = keys[i].Verify(f.SignBytes(), frames[i].Signature[:]) != nil
		}
	}
	for _, i := range batch.Verify() {
		fails[place[i]] = true
	}
	for i, fail := range fails {
		if fail {
			bad = append(bad, i)
		}
	}
	return bad
}

// MarshalBinary gives the one encoding of s; ErrFrame if Check refuses it. The chain id is not part
// of it: frames travel within one chain.
func (s Signed) MarshalBinary() ([]byte, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("encoding frame: %w", err)
	}
	b := s.appendBody(make([]byte, 0, MaxFrameBytes))
	return append(b, s.Signature[:]...), nil
}

// Parse reads one frame as MarshalBinary wrote it and refuses all other bytes with ErrEncoding or
// ErrFrame. The signature is not verified.
func Parse(chainID string, b []byte) (Signed, error) {
	s, rest, err := parse(chainID, b)
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%w: %d bytes too many", ErrEncoding, len(rest))
	}
	if err != nil {
		return Signed{}, fmt.Errorf("reading frame: %w", err)
	}
	return s, nil
}

// parse reads the frame that b begins with.
func parse(chainID string, b []byte) (s Signed, rest []byte, err error) {
	if len(b) < frameHead || b[0] != frameVersion {
		return s, nil, fmt.Errorf("%w: %d bytes, want version %d and a head of %d bytes", ErrEncoding, len(b), frameVersion, frameHead)
	}
	s.ChainID = chainID
	s.Meter = binary.BigEndian.Uint64(b[1:])
	s.First = grid.Slot(binary.BigEndian.Uint64(b[9:]))
	s.Steps = b[17]
	slots := int(b[18])
	s.Status = Status(binary.BigEndian.Uint16(b[19:]))
	s.Seq = binary.BigEndian.Uint64(b[21:])
	copy(s.Previous[:], b[29:])
	b = b[frameHead:]
	if s.Steps > MaxSteps || slots > HourSlots {
		return s, nil, fmt.Errorf("%w: %d slots of %d steps", ErrEncoding, slots, s.Steps)
	}
	s.Readings = make([]Registers, 1+slots*int(s.Steps))
	var now [registers]MilliWattHours
	for i := range s.Readings {
		for j := range now {
			v, n := binary.Uvarint(b)
			if n <= 0 || n > 1 && b[n-1] == 0 || v > uint64(MaxRegister-now[j]) {
				return s, nil, fmt.Errorf("%w: %s register of reading %d", ErrEncoding, registerNames[j], i)
			}
			now[j] += MilliWattHours(v)
			b = b[n:]
		}
		s.Readings[i] = ofArray(now)
	}
	if len(b) < SignatureSize {
		return s, nil, fmt.Errorf("%w: %d bytes of signature, want %d", ErrEncoding, len(b), SignatureSize)
	}
	copy(s.Signature[:], b)
	return s, b[SignatureSize:], s.Check()
}
