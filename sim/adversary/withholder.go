package adversary

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/piece"
)

// Withholder has some of the validators, and holds their outputs back until it has seen all others'.
// It wants the beacon to be one of those that suit it: its own device not challenged, say. In the
// last block of the window it sends the subset of its outputs that gives such a beacon, if one does. It costs
// nothing but being seen: its money is in what it does with the beacon, which the other scenarios count.
type Withholder struct {
	// Validators of equal power, of which Own are the adversary's.
	Validators, Own int
	// Window is in how many blocks outputs are collected.
	Window int
	// Proposers is what share of the blocks the adversary proposes, in percent.
	Proposers int
	// Chance is how many beacons of a million suit it.
	Chance uint64
}

const million = 1_000_000

// Bound is the most that holding back alone gets: how many epochs of a million begin with a beacon that
// suits the adversary, if all its bits are there in every one: 1-(1-q)^(2^Own).
func (w Withholder) Bound() float64 {
	miss := 1.0
	for range uint64(1) << w.Own {
		miss *= 1 - float64(w.Chance)/million
	}
	return million * (1 - miss)
}

// Play runs so many epochs from a seed. It gives how many began with a beacon that suits the adversary, and in
// how many it proposed every block of the window, which let it leave honest outputs out too.
func (w Withholder) Play(seed uint64, epochs int) (suited, captured int) {
	chance := rand.New(rand.NewPCG(seed, 0))
	round := beacon.Round{ChainID: "cairn-sim-1", Epoch: 2}
	for range epochs {
		outputs := make([]beacon.Contribution, w.Validators)
		for i := range outputs {
			binary.BigEndian.PutUint64(outputs[i].Validator[:], chance.Uint64())
			for j := range 8 { // a verifiable random function's outputs look like chance to all but its owner
				binary.BigEndian.PutUint64(outputs[i].Output[8*j:], chance.Uint64())
			}
		}
		all := true
		for range w.Window {
			all = all && chance.IntN(100) < w.Proposers
		}
		found, value := w.choose(round, outputs, all)
		if found {
			suited++
		}
		if all {
			captured++
		}
		round = beacon.Round{ChainID: round.ChainID, Epoch: round.Epoch + 1, Previous: value}
	}
	return suited, captured
}

// choose tries every set of outputs that the adversary can bring about: all honest ones and any of its own
// or, if it proposed every block of the window, any set of more than two thirds. More than half must be there.
func (w Withholder) choose(round beacon.Round, outputs []beacon.Contribution, captured bool) (bool, beacon.Value) {
	free := w.Own
	if captured {
		free = w.Validators
	}
	var first beacon.Value
	fixed := outputs[free:]
	for subset := range uint64(1) << free {
		chosen := fixed[:len(fixed):len(fixed)]
		for i := range free {
			if subset>>i&1 == 0 { // everything first: what an honest one would do
				chosen = append(chosen, outputs[i])
			}
		}
		if 2*len(chosen) <= w.Validators || captured && 3*len(chosen) <= 2*w.Validators {
			continue // no epoch would turn, or no block be decided
		}
		value := beacon.VRF{}.Mix(round, chosen)
		if subset == 0 {
			first = value
		}
		if w.suits(value) {
			return true, value
		}
	}
	return false, first
}

func (w Withholder) suits(v beacon.Value) bool {
	return binary.BigEndian.Uint64(v[:])%million < w.Chance
}

// BeaconWithholder is a Withholder that has dropped half of what one device holds, and picks beacons
// that do not ask it for that half. One device is what the bits of its validators can spare reliably.
// Its validators pay for each output that is missing.
type BeaconWithholder struct {
	// Free says that a missing output costs nothing; for comparison.
	Free bool
}

const (
	simValidators = 12
	// simStake of each validator, thousandths of CAIRN: far less than what a network is worth.
	simStake = 10_000_000
)

// Name of the attack.
func (BeaconWithholder) Name() string { return "beacon withholder, half dropped" }

// Claims of the attack.
func (BeaconWithholder) Claims() string {
	return "spares one device by holding outputs back, one bit a validator: each missing output costs stake"
}

// Play runs the attack. The share is that of the validators.
func (a BeaconWithholder) Play(seed uint64, share int) Outcome {
	own := (simValidators*share + 50) / 100
	w := NewWorld(seed)
	w.Crowd(6)
	attacker := w.Sit("withholder", Rent)
	w.Register(attacker, BondFor(4*TB), 1).Store(4 * TB)
	twin := w.Twin(attacker)
	d := attacker.Devices[0]
	half := d.Held / 2
	d.Held, d.Disk = half, half
	round := beacon.Round{ChainID: "cairn-sim-1", Epoch: 2}
	seen := uint64(0)
	missed, _ := CAIRN(simStake).MulDiv(w.Law.MissedOutputPPM, million)
	w.Bend = func(w *World) [32]byte {
		outputs := make([]beacon.Contribution, simValidators)
		for i := range outputs {
			binary.BigEndian.PutUint64(outputs[i].Validator[:], w.Random.Uint64())
			binary.BigEndian.PutUint64(outputs[i].Output[:], w.Random.Uint64())
		}
		var best [32]byte
		held := uint64(0)
		for subset := range uint64(1) << own { // everything first: what an honest one would do
			chosen := outputs[own:simValidators:simValidators]
			for i := range own {
				if subset>>i&1 == 0 {
					chosen = append(chosen, outputs[i])
				}
			}
			value := [32]byte(beacon.VRF{}.Mix(round, chosen))
			draw := challenge.New(value, w.Epoch, d.ID)
			spared := !draw.Due(w.Law.Interval) || d.shows(w, draw.Positions(w.Law.Positions, d.Tree/piece.ChunkSize))
			if subset == 0 || spared {
				best, held = value, subset
			}
			if spared {
				if subset > 0 && seen == 0 {
					seen = w.Epoch
				}
				break
			}
		}
		for range bits.OnesCount64(held) {
			if !a.Free {
				attacker.Purse.Sub(missed)
			}
		}
		round = beacon.Round{ChainID: round.ChainID, Epoch: round.Epoch + 1, Previous: best}
		return best
	}
	w.Run(month)
	out := Outcome{
		Profit: beyond(attacker.Purse, twin.Purse), Twin: twin.Purse, Detected: seen, FalsePositives: falsePositives(w, attacker),
	}
	if seen == 0 {
		out.Detected = attacker.Caught
	}
	return out
}
