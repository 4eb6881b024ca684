package audit_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/internal/modkit"
	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// TestEpochMachine casts votes of every kind, in any mix, over many blocks, with keys and params that
// change meanwhile. Nothing that votes say makes a block fail; INV-EPOCH and INV-HOOK hold after
// every one; an epoch lasts at least as long as it should and never longer than the last resort; and
// a second chain, which gets each block's votes in another order, has the same state.
func TestEpochMachine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(rt, "validators")
		v, twin := newValidators(t, n), newValidators(t, n)
		announced := map[int]int{}
		var old [][]byte
		rt.Repeat(map[string]func(*rapid.T){
			"": func(rt *rapid.T) {
				for _, invariant := range v.keeper.Invariants() {
					require.NoErrorf(rt, invariant.Check(v.Ctx), "%s", invariant.Name)
				}
				require.Equal(rt, v.Hash(), twin.Hash())
			},
			"block": func(rt *rapid.T) {
				before := v.current(rt)
				params, err := v.keeper.Params(v.Ctx)
				require.NoError(rt, err)
				votes := make([]audit.Vote, 0, n+1)
				for i := range n {
					votes = append(votes, audit.Vote{
						Validator: consensusAddress(i), Power: rapid.Int64Range(0, 1<<40).Draw(rt, "power"),
						Extension: v.drawExtension(rt, i, old),
					})
				}
				v.Pass(1)
				twin.Pass(1)
				require.NoError(rt, v.keeper.Advance(v.Ctx, votes))
				require.NoError(rt, twin.keeper.Advance(twin.Ctx, rapid.Permutation(votes).Draw(rt, "order")))
				after := v.current(rt)
				lasted := v.Ctx.BlockHeight() - before.StartHeight
				p := params.Beacon
				if after.Number == before.Number {
					require.Less(rt, lasted, int64(p.EpochBlocks+p.PatienceBlocks+p.LastResortBlocks), "an epoch without end")
					return
				}
				require.Equal(rt, before.Number+1, after.Number)
				require.GreaterOrEqual(rt, lasted, int64(p.EpochBlocks))
				if lasted < int64(p.EpochBlocks+p.PatienceBlocks) {
					require.Greater(rt, after.PowerBps, p.MinPowerBps)
				}
				require.NotEqual(rt, before.Beacon, after.Beacon)
			},
			"keep an extension": func(rt *rapid.T) {
				old = append(old, v.extension(rt, rapid.IntRange(0, n-1).Draw(rt, "whose")))
			},
			"announce": func(rt *rapid.T) {
				i := rapid.IntRange(0, n-1).Draw(rt, "who")
				announced[i]++
				key := beaconKey(1000*(i+1) + announced[i])
				_, err := v.announce(i, key)
				require.NoError(rt, err)
				_, err = twin.announce(i, key)
				require.NoError(rt, err)
				if rapid.Bool().Draw(rt, "switches at once") {
					v.keys[i], twin.keys[i] = key, key
				}
			},
			"vote on params": func(rt *rapid.T) {
				params := shortEpochs()
				params.Beacon.EpochBlocks = rapid.Uint32Range(4, 9).Draw(rt, "epoch")
				params.Beacon.CollectBlocks = rapid.Uint32Range(1, params.Beacon.EpochBlocks-1).Draw(rt, "window")
				params.Beacon.PatienceBlocks = rapid.Uint32Range(1, 4).Draw(rt, "patience")
				params.Beacon.LastResortBlocks = rapid.Uint32Range(1, 4).Draw(rt, "last resort")
				if blocks := v.Ctx.BlockHeight() - v.current(rt).StartHeight; blocks >= 4 {
					return // so that the bounds above are those that held all along
				}
				for _, chain := range []*validators{v, twin} {
					_, err := audit.NewMsgServer(chain.keeper).UpdateParams(chain.Ctx, &auditv1.MsgUpdateParams{Authority: governance, Params: params})
					require.NoError(rt, err)
				}
			},
			"export and import": func(rt *rapid.T) {
				before := v.Hash(audit.StoreKey)
				exported, err := v.keeper.ExportGenesis(v.Ctx)
				require.NoError(rt, err)
				require.NoError(rt, audit.ValidateGenesis(exported))
				v.Clear(audit.StoreKey)
				require.NoError(rt, v.keeper.InitGenesis(v.Ctx, exported))
				require.Equal(rt, before, v.Hash(audit.StoreKey))
			},
		})
	})
}

// drawExtension is what validator i's vote may carry, honest more often than not.
func (v *validators) drawExtension(rt *rapid.T, i int, old [][]byte) []byte {
	switch rapid.SampledFrom([]string{"right", "right", "right", "none", "none", "noise", "bit", "foreign", "old"}).Draw(rt, "extension") {
	case "right":
		return v.extension(rt, i)
	case "noise":
		return rapid.SliceOfN(rapid.Byte(), 0, 2*beacon.MaxExtensionSize).Draw(rt, "noise")
	case "bit":
		e := v.extension(rt, i)
		bit := rapid.IntRange(0, 8*len(e)-1).Draw(rt, "bit")
		e[bit/8] ^= 1 << (bit % 8)
		return e
	case "foreign":
		return v.extension(rt, rapid.IntRange(0, len(v.keys)-1).Draw(rt, "whose"))
	case "old":
		if len(old) > 0 {
			return slices.Clone(rapid.SampledFrom(old).Draw(rt, "which"))
		}
	}
	return nil
}

// No bytes in a vote make a block fail, nor become an output without the validator's key.
func FuzzAdvance(f *testing.F) {
	v := newValidators(f, 2)
	v.until(f, 5, 1)
	f.Add([]byte{}, int64(100))
	f.Add(v.extension(f, 0), int64(100))
	f.Add(v.extension(f, 1), int64(-1))
	own := v.extension(f, 0)
	f.Fuzz(func(t *testing.T, extension []byte, power int64) {
		ctx, _ := v.Ctx.WithBlockHeight(6).CacheContext()
		require.NoError(t, v.keeper.Advance(ctx, []audit.Vote{{Validator: consensusAddress(0), Power: power, Extension: extension}}))
		require.NoError(t, modkit.Check(ctx, v.keeper.Invariants()))
		res, err := audit.NewQueryServer(v.keeper).CurrentEpoch(ctx, &auditv1.QueryCurrentEpochRequest{})
		require.NoError(t, err)
		for _, o := range res.Outputs {
			if o.Validator == stage.Spell(stage.Account(0)) {
				require.Equal(t, own, extension)
			}
		}
	})
}
