package reward_test

import (
	"bytes"
	"testing"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// FuzzClaim: no bytes make a claim panic, and only the report's own proofs are paid.
func FuzzClaim(f *testing.F) {
	network := newFixture(f)
	network.devices(5)
	for id := uint64(1); id <= 5; id++ {
		network.proves(f, id, 0, id*100*gib)
	}
	epoch := network.final(f)
	var honest [][]byte
	for id := uint64(1); id <= 5; id++ {
		honest = append(honest, network.proof(f, id))
		f.Add(network.proof(f, id))
	}
	f.Add([]byte{})
	f.Add(honest[0][:90])
	f.Fuzz(func(t *testing.T, raw []byte) {
		ctx, _ := network.Ctx.CacheContext()
		_, err := network.msg.Claim(ctx, &rewardv1.MsgClaim{Payer: stage.Spell(owner(9)), Service: storage, Epoch: epoch, Proofs: [][]byte{raw}})
		own := false
		for _, h := range honest {
			own = own || bytes.Equal(h, raw)
		}
		if (err == nil) != own {
			t.Fatalf("claim with %x: %v", raw, err)
		}
	})
}

// FuzzMessages: no message panics, fails without a registered error, changes the state where it
// fails, or breaks an invariant where it does not.
func FuzzMessages(f *testing.F) { play(f).Fuzz(f) }
