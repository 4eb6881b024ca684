package adversary

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/cairn-network/cairn/core/beacon"
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
