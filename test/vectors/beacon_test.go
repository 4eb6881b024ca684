package vectors

import (
	"bytes"
	"testing"

	"github.com/cairn-network/cairn/core/beacon"
)

func beacons(*testing.T) file {
	f := file{About: "core/beacon, docs/format/beacon.md. Seeds of keys are one byte 32 times. A beacon without outputs is weak."}
	round := beacon.Round{ChainID: "cairn-devnet-1", Epoch: 1}
	for validators := range 4 {
		var (
			outputs       []any
			contributions []beacon.Contribution
		)
		for i := validators; i > 0; i-- {
			key := beacon.NewKey([beacon.SeedSize]byte(bytes.Repeat([]byte{byte(i)}, beacon.SeedSize)))
			public, proof := key.Public(), key.Prove(round)
			output, err := beacon.VRF{}.Verify(round, public[:], proof[:])
			if err != nil {
				panic(err)
			}
			c := beacon.Contribution{Validator: [beacon.ValidatorSize]byte(bytes.Repeat([]byte{byte(i)}, beacon.ValidatorSize)), Output: output}
			contributions = append(contributions, c)
			owner := key.ProveOwner(round.ChainID, c.Validator)
			outputs = append(outputs, of("validator", c.Validator, "seed_byte", i, "public_key", public[:], "owner_proof", owner[:],
				"extension", beacon.Extension{Epoch: round.Epoch, Proof: proof}.Marshal(), "output", output[:]))
		}
		value := beacon.VRF{}.Mix(round, contributions)
		f.Cases = append(f.Cases, of("chain_id", round.ChainID, "epoch", round.Epoch, "previous", [32]byte(round.Previous),
			"input", round.Input(), "outputs", outputs, "beacon", [32]byte(value)))
		round = beacon.Round{ChainID: round.ChainID, Epoch: round.Epoch + 1, Previous: value}
	}
	return f
}
