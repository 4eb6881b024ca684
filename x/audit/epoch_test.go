package audit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/stretchr/testify/require"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/internal/modkit"
	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/internal/stage"
)

var governance = stage.Spell(authtypes.NewModuleAddress(govtypes.ModuleName))

// stakers is a set of validators. Validator n is operated by account n.
type stakers struct {
	byConsensus map[string]stakingtypes.Validator
	// lost is what each validator has been slashed, by consensus address.
	lost map[string]math.Int
	// sick are validators that cannot be slashed, by consensus address.
	sick map[string]bool
}

// Slash takes from 1,000,000 tokens a unit of power, and from validators that are bonded.
func (s stakers) Slash(_ context.Context, address sdk.ConsAddress, _, power int64, share math.LegacyDec) (math.Int, error) {
	if s.sick[string(address)] {
		return math.Int{}, stakingtypes.ErrNoValidatorFound
	}
	taken := share.MulInt64(power * 1_000_000).TruncateInt()
	before, some := s.lost[string(address)]
	if !some {
		before = math.ZeroInt()
	}
	s.lost[string(address)] = before.Add(taken)
	return taken, nil
}

func (s stakers) ValidatorByConsAddr(_ context.Context, address sdk.ConsAddress) (stakingtypes.ValidatorI, error) {
	v, ok := s.byConsensus[string(address)]
	if !ok {
		return nil, stakingtypes.ErrNoValidatorFound
	}
	return v, nil
}

func (s stakers) Validator(_ context.Context, operator sdk.ValAddress) (stakingtypes.ValidatorI, error) {
	for _, v := range s.byConsensus {
		if v.OperatorAddress == stage.Spell(operator) {
			return v, nil
		}
	}
	return nil, stakingtypes.ErrNoValidatorFound
}

func consensusAddress(n int) sdk.ConsAddress {
	hash := sha256.Sum256(fmt.Appendf(nil, "consensus %d", n))
	return hash[:20]
}

// validators is a chain whose votes the test casts.
type validators struct {
	*stage.Stage
	keeper *audit.Keeper
	keys   []beacon.PrivateKey
	set    stakers
}

// lost is what validator n has been slashed.
func (v *validators) lost(n int) int64 {
	if lost, some := v.set.lost[string(consensusAddress(n))]; some {
		return lost.Int64()
	}
	return 0
}

func beaconKey(n int) beacon.PrivateKey {
	return beacon.NewKey(sha256.Sum256(fmt.Appendf(nil, "beacon %d", n)))
}

// shortEpochs lets epochs of 6 blocks turn in 12 at the latest.
func shortEpochs() auditv1.Params {
	params := audit.DefaultParams()
	params.Beacon.EpochBlocks, params.Beacon.CollectBlocks = 6, 3
	params.Beacon.PatienceBlocks, params.Beacon.LastResortBlocks = 3, 3
	params.Beacon.RetainEpochs = 8
	params.Report.WindowBlocks, params.Report.DeadlineBlocks, params.Report.ServeBlocks, params.Report.UnbondingBlocks = 2, 2, 2, 100
	return params
}

// newValidators makes a chain of n validators with keys in force, before its first block.
func newValidators(tb testing.TB, n int) *validators {
	tb.Helper()
	s := stage.New(tb, audit.StoreKey)
	set := stakers{map[string]stakingtypes.Validator{}, map[string]math.Int{}, map[string]bool{}}
	genesis := audit.DefaultGenesis()
	genesis.Params = shortEpochs()
	v := &validators{Stage: s, set: set}
	for i := range n {
		set.byConsensus[string(consensusAddress(i))] = stakingtypes.Validator{OperatorAddress: stage.Spell(stage.Account(i)), Status: stakingtypes.Bonded}
		key := beaconKey(i)
		public := key.Public()
		v.keys = append(v.keys, key)
		genesis.Keys = append(genesis.Keys, auditv1.BeaconKey{Validator: stage.Spell(stage.Account(i)), Key: public[:], FromEpoch: 1})
	}
	v.keeper = audit.NewKeeper(audit.Deps{
		Codec: s.Codec, Store: s.Store(audit.StoreKey), Accounts: s.Addresses, Validators: s.Addresses,
		Staking: set, Bank: s.Bank, Source: beacon.VRF{}, Authority: governance,
	})
	require.NoError(tb, audit.ValidateGenesis(genesis))
	require.NoError(tb, v.keeper.InitGenesis(s.Ctx, genesis))
	return v
}

// extension is what validator n says when it does as it should.
func (v *validators) extension(tb require.TestingT, n int) []byte {
	round, err := v.keeper.NextRound(v.Ctx)
	require.NoError(tb, err)
	return beacon.Extension{Epoch: round.Epoch, Proof: v.keys[n].Prove(round)}.Marshal()
}

// votes are those of all validators, with an extension from those listed.
func (v *validators) votes(tb require.TestingT, from ...int) []audit.Vote {
	votes := make([]audit.Vote, len(v.keys))
	for i := range v.keys {
		votes[i] = audit.Vote{Validator: consensusAddress(i), Power: 100}
		if slices.Contains(from, i) {
			votes[i].Extension = v.extension(tb, i)
		}
	}
	return votes
}

// block runs one block that brings votes, and checks every invariant.
func (v *validators) block(tb require.TestingT, votes []audit.Vote) {
	v.Pass(1)
	require.NoError(tb, v.keeper.Advance(v.Ctx, votes))
	require.NoError(tb, modkit.Check(v.Ctx, v.keeper.Invariants()))
}

// until runs blocks with votes of those listed up to a height.
func (v *validators) until(tb require.TestingT, height int64, from ...int) {
	for v.Ctx.BlockHeight() < height {
		v.block(tb, v.votes(tb, from...))
	}
}

func (v *validators) current(tb require.TestingT) auditv1.Epoch {
	epoch, err := v.keeper.Current(v.Ctx)
	require.NoError(tb, err)
	return epoch
}

func (v *validators) record(tb require.TestingT, n int) auditv1.BeaconRecord {
	res, err := audit.NewQueryServer(v.keeper).Contributor(v.Ctx, &auditv1.QueryContributorRequest{Validator: stage.Spell(stage.Account(n))})
	require.NoError(tb, err)
	return res.Contributor.Record
}

func all(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func TestErrorCodesKeepTheirMeaning(t *testing.T) {
	stage.GoldenErrors(t, audit.ModuleName, "testdata/errors.golden")
}

func TestAnEpochTurnsWhenItsTimeHasCome(t *testing.T) {
	for _, n := range []int{1, 2, 4, 7, 40} {
		v := newValidators(t, n)
		first := v.current(t)
		require.EqualValues(t, 1, first.Number)
		require.True(t, first.Weak, "nobody contributed to the first beacon")
		require.EqualValues(t, 1, first.StartHeight)

		v.until(t, 6, all(n)...)
		require.EqualValues(t, 1, v.current(t).Number, "five blocks after the start")
		v.until(t, 7, all(n)...)
		second := v.current(t)
		require.EqualValues(t, 2, second.Number)
		require.EqualValues(t, 7, second.StartHeight)
		require.EqualValues(t, n, second.Outputs)
		require.EqualValues(t, 10_000, second.PowerBps)
		require.False(t, second.Weak)

		round := beacon.Round{ChainID: stage.ChainID, Epoch: 2, Previous: beacon.Value(first.Beacon)}
		var contributions []beacon.Contribution
		for i, key := range v.keys {
			public, proof := key.Public(), key.Prove(round)
			output, err := beacon.VRF{}.Verify(round, public[:], proof[:])
			require.NoError(t, err)
			contributions = append(contributions, beacon.Contribution{Validator: [20]byte(stage.Account(i)), Output: output})
		}
		want := beacon.VRF{}.Mix(round, contributions)
		require.Equal(t, want[:], second.Beacon)

		v.until(t, 13, all(n)...)
		require.EqualValues(t, 3, v.current(t).Number)
		old, err := v.keeper.EpochAt(v.Ctx, 2)
		require.NoError(t, err)
		require.Equal(t, second, old)
		_, err = v.keeper.EpochAt(v.Ctx, 4)
		require.ErrorIs(t, err, audit.ErrUnknownEpoch)
		require.EqualValues(t, 2, v.record(t, 0).Contributed)
	}
}

// More than half must have contributed; after three blocks any output is enough, after three more
// none is needed, and the beacon says so.
func TestAnEpochWaitsForPowerButNotForEver(t *testing.T) {
	for _, c := range []struct {
		name    string
		from    []int
		height  int64
		outputs uint32
		power   uint32
	}{
		{"all", []int{0, 1, 2, 3}, 7, 4, 10_000},
		{"three of four", []int{0, 1, 3}, 7, 3, 7_500},
		{"just half", []int{0, 1}, 10, 2, 5_000},
		{"one", []int{2}, 10, 1, 2_500},
		{"none", nil, 13, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newValidators(t, 4)
			v.until(t, c.height-1, c.from...)
			require.EqualValues(t, 1, v.current(t).Number)
			v.until(t, c.height, c.from...)
			epoch := v.current(t)
			require.EqualValues(t, 2, epoch.Number)
			require.Equal(t, c.outputs, epoch.Outputs)
			require.Equal(t, c.power, epoch.PowerBps)
			require.Equal(t, c.outputs == 0, epoch.Weak)
			for i := range 4 {
				record := v.record(t, i)
				contributed := slices.Contains(c.from, i)
				require.Equal(t, contributed, record.Contributed == 1, "validator %d: %+v", i, record)
				require.Equal(t, !contributed, record.Missed == 1 && record.MissedInARow == 1, "validator %d: %+v", i, record)
				require.Zero(t, record.Invalid)
			}
		})
	}
}

// An output that is not in a beacon costs stake, but not where there was none at all, not before a
// validator has had a key in force for a while, and not where votes have set the price to nothing.
func TestAMissedOutputCostsStake(t *testing.T) {
	turns := func(t *testing.T, v *validators, from ...int) {
		for epoch := v.current(t).Number; v.current(t).Number == epoch; {
			v.block(t, v.votes(t, from...))
		}
	}
	const price = 100 * 10 // power x ppm
	v := newValidators(t, 4)
	turns(t, v, all(4)...)
	turns(t, v, 0, 1, 2)
	require.EqualValues(t, price, v.lost(3))
	turns(t, v)
	require.EqualValues(t, price, v.lost(3), "a weak beacon is nobody's choice")
	require.Zero(t, v.lost(0))
	turns(t, v, 1, 2, 3)
	require.EqualValues(t, price, v.lost(0))
	require.EqualValues(t, price, v.lost(3))

	v = newValidators(t, 4)
	for range 8 {
		turns(t, v, 0, 1, 2)
	}
	require.Zero(t, v.lost(3), "who never contributed has time to bring its key in force")
	turns(t, v, 0, 1, 2)
	require.EqualValues(t, price, v.lost(3))

	v = newValidators(t, 4)
	params, err := v.keeper.Params(v.Ctx)
	require.NoError(t, err)
	params.Beacon.MissedOutputPpm = 0
	_, err = audit.NewMsgServer(v.keeper).UpdateParams(v.Ctx, &auditv1.MsgUpdateParams{Authority: governance, Params: params})
	require.NoError(t, err)
	turns(t, v, all(4)...)
	turns(t, v, 0, 1, 2)
	require.Zero(t, v.lost(3))
}

// A validator that cannot be charged is named, and the others pay.
func TestAFailedChargeSparesNobodyElse(t *testing.T) {
	v := newValidators(t, 5)
	turns := func(from ...int) {
		for epoch := v.current(t).Number; v.current(t).Number == epoch; {
			v.block(t, v.votes(t, from...))
		}
	}
	turns(all(5)...)
	v.set.sick[string(consensusAddress(3))] = true
	turns(0, 1)
	require.Positive(t, v.lost(2))
	require.Zero(t, v.lost(3))
	require.Positive(t, v.lost(4))
	res, err := audit.NewQueryServer(v.keeper).HookFailures(v.Ctx, &auditv1.QueryHookFailuresRequest{})
	require.NoError(t, err)
	require.Len(t, res.Failures, 1)
	require.Equal(t, "missed output of "+stage.Spell(stage.Account(3)), res.Failures[0].Hook)
}

// Outputs may come in different blocks of the window; leaving one out of a block takes nothing back.
func TestOutputsOfAllBlocksOfTheWindowCount(t *testing.T) {
	v := newValidators(t, 4)
	v.until(t, 3, all(4)...) // before the window, which is blocks 5 to 7: not looked at
	outputs := func() int {
		res, err := audit.NewQueryServer(v.keeper).CurrentEpoch(v.Ctx, &auditv1.QueryCurrentEpochRequest{})
		require.NoError(t, err)
		require.EqualValues(t, 7, res.NextHeight)
		return len(res.Outputs)
	}
	v.until(t, 4)
	require.Zero(t, outputs())
	v.block(t, v.votes(t, 0))
	v.block(t, v.votes(t, 2, 3))
	require.Equal(t, 3, outputs())
	v.block(t, v.votes(t, 3))
	require.EqualValues(t, 3, v.current(t).Outputs)
	require.Zero(t, v.record(t, 3).Invalid, "the same output twice is no offence")
}

func TestWhatIsNoOutputIsCountedAndLeftOut(t *testing.T) {
	v := newValidators(t, 4)
	old := v.extension(t, 1)
	v.until(t, 13, all(4)...)
	good := v.extension(t, 1)
	flipped := slices.Clone(good)
	flipped[40] ^= 1
	version := slices.Clone(good)
	version[0] = 2
	future := slices.Clone(good)
	future[8]++
	previous := slices.Clone(good)
	previous[8]--
	round, err := v.keeper.NextRound(v.Ctx)
	require.NoError(t, err)
	unregistered := beacon.Extension{Epoch: round.Epoch, Proof: beaconKey(99).Prove(round)}.Marshal()
	v.until(t, 16)
	for _, c := range []struct {
		name      string
		extension []byte
		counted   bool
	}{
		{"nothing", nil, false},
		{"one byte", []byte{1}, true},
		{"too short", good[:len(good)-1], true},
		{"too long", append(slices.Clone(good), 0), true},
		{"a megabyte", make([]byte, 1<<20), true},
		{"another version", version, true},
		{"a flipped bit", flipped, true},
		{"an epoch to come", future, true},
		{"replayed, two epochs old", old, true},
		// A vote on the block that turns the epoch is cast before it has: no offence.
		{"of the epoch that has just turned", previous, false},
		{"another validator's", v.extension(t, 0), true},
		{"of a key nobody announced", unregistered, true},
		{"zeros", make([]byte, beacon.ExtensionSize), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := v.record(t, 1).Invalid
			cached, _ := v.Ctx.CacheContext()
			cached = cached.WithBlockHeight(17).WithEventManager(sdk.NewEventManager())
			require.NoError(t, v.keeper.Advance(cached, []audit.Vote{{Validator: consensusAddress(1), Power: 100, Extension: c.extension}}))
			res, err := audit.NewQueryServer(v.keeper).CurrentEpoch(cached, &auditv1.QueryCurrentEpochRequest{})
			require.NoError(t, err)
			require.Empty(t, res.Outputs)
			record, err := audit.NewQueryServer(v.keeper).Contributor(cached, &auditv1.QueryContributorRequest{Validator: stage.Spell(stage.Account(1))})
			require.NoError(t, err)
			want := before
			if c.counted {
				want++
			}
			require.Equal(t, want, record.Contributor.Record.Invalid)
			require.Equal(t, c.counted, strings.Contains(fmt.Sprint(cached.EventManager().Events()), "EventBeaconOutputRefused"))
		})
	}
	// All that, and the chain goes on.
	v.until(t, 19, 0, 2, 3)
	require.EqualValues(t, 4, v.current(t).Number)
}

func TestVotesOfStrangersAndOddPowersAreHarmless(t *testing.T) {
	v := newValidators(t, 3)
	v.until(t, 6, all(3)...)
	votes := v.votes(t, 0, 1, 2)
	votes[2].Power = -5
	votes = append(votes, audit.Vote{Validator: consensusAddress(77), Power: 1 << 60, Extension: v.extension(t, 0)},
		audit.Vote{Validator: nil, Power: 1}, votes[0])
	v.block(t, votes)
	require.EqualValues(t, 2, v.current(t).Number)
	require.EqualValues(t, 3, v.current(t).Outputs)
}

// The largest powers that consensus allows do not overflow.
func TestPowersAtTheirLimit(t *testing.T) {
	v := newValidators(t, 3)
	const most = 1<<63/8 - 1
	v.until(t, 4)
	votes := v.votes(t, 0)
	votes[0].Power, votes[1].Power, votes[2].Power = most/2, most/4, most/4
	v.block(t, votes)
	v.block(t, votes)
	v.block(t, votes)
	require.EqualValues(t, 1, v.current(t).Number, "half is not more than half")
	votes = v.votes(t, 1)
	votes[0].Power, votes[1].Power, votes[2].Power = most/2, most/4, most/4
	v.block(t, votes)
	require.EqualValues(t, 2, v.current(t).Number)
	require.InDelta(t, 7_500, v.current(t).PowerBps, 1)
}

func (v *validators) announce(n int, key beacon.PrivateKey) (uint64, error) {
	public, proof := key.Public(), key.ProveOwner(stage.ChainID, [20]byte(stage.Account(n)))
	res, err := audit.NewMsgServer(v.keeper).AnnounceBeaconKey(v.Ctx, &auditv1.MsgAnnounceBeaconKey{
		Operator: stage.Spell(stage.Account(n)), Key: public[:], Proof: proof[:],
	})
	if err != nil {
		return 0, err
	}
	return res.FromEpoch, nil
}

// A new key waits until an epoch whose beacon nobody can know yet; until then the old one counts.
func TestAKeyTakesOverTwoEpochsLater(t *testing.T) {
	v := newValidators(t, 2)
	from, err := v.announce(1, beaconKey(50))
	require.NoError(t, err)
	require.EqualValues(t, 3, from)
	from, err = v.announce(1, beaconKey(51)) // on second thoughts
	require.NoError(t, err)
	require.EqualValues(t, 3, from)

	v.until(t, 7, 0, 1)
	require.EqualValues(t, 2, v.current(t).Outputs, "the old key contributes to epoch 2")
	v.until(t, 12, 0, 1)
	require.EqualValues(t, 1, v.record(t, 1).Contributed)
	require.NotZero(t, v.record(t, 1).Invalid, "the old key no longer counts")
	v.keys[1] = beaconKey(51)
	wanted, err := v.keeper.WantedKey(v.Ctx, consensusAddress(1))
	require.NoError(t, err)
	public := v.keys[1].Public()
	require.Equal(t, public[:], wanted)
	v.until(t, 13, 0, 1)
	require.EqualValues(t, 2, v.current(t).Outputs, "the new key contributes to epoch 3")

	// A third: the second is in force in between.
	from, err = v.announce(1, beaconKey(52))
	require.NoError(t, err)
	require.EqualValues(t, 5, from)
	v.until(t, 19, 0, 1)
	require.EqualValues(t, 4, v.current(t).Number)
	require.EqualValues(t, 2, v.current(t).Outputs)
	v.keys[1] = beaconKey(52)
	v.until(t, 25, 0, 1)
	require.EqualValues(t, 5, v.current(t).Number)
	require.EqualValues(t, 2, v.current(t).Outputs)
}

func TestBadAnnouncementsChangeNothing(t *testing.T) {
	v := newValidators(t, 2)
	key, own := beaconKey(9), [20]byte(stage.Account(0))
	public, proof := key.Public(), key.ProveOwner(stage.ChainID, own)
	foreign := key.ProveOwner("cairn-other-1", own)
	others := key.ProveOwner(stage.ChainID, [20]byte(stage.Account(1)))
	operator := stage.Spell(stage.Account(0))
	small := make([]byte, 32)
	small[0] = 1
	for _, c := range []struct {
		name string
		msg  auditv1.MsgAnnounceBeaconKey
		want error
	}{
		{"nobody", auditv1.MsgAnnounceBeaconKey{Key: public[:], Proof: proof[:]}, audit.ErrAddress},
		{"no address", auditv1.MsgAnnounceBeaconKey{Operator: "cairn1xyz", Key: public[:], Proof: proof[:]}, audit.ErrAddress},
		{"no validator", auditv1.MsgAnnounceBeaconKey{Operator: stage.Spell(stage.Account(5)), Key: public[:], Proof: proof[:]}, audit.ErrUnknownValidator},
		{"no key", auditv1.MsgAnnounceBeaconKey{Operator: operator, Proof: proof[:]}, audit.ErrField},
		{"a long key", auditv1.MsgAnnounceBeaconKey{Operator: operator, Key: make([]byte, 1000), Proof: proof[:]}, audit.ErrField},
		{"a key of small order", auditv1.MsgAnnounceBeaconKey{Operator: operator, Key: small, Proof: proof[:]}, audit.ErrField},
		{"no proof", auditv1.MsgAnnounceBeaconKey{Operator: operator, Key: public[:]}, audit.ErrKeyProof},
		{"a proof for another chain", auditv1.MsgAnnounceBeaconKey{Operator: operator, Key: public[:], Proof: foreign[:]}, audit.ErrKeyProof},
		{"a proof for another validator", auditv1.MsgAnnounceBeaconKey{Operator: operator, Key: public[:], Proof: others[:]}, audit.ErrKeyProof},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := v.Hash()
			_, err := audit.NewMsgServer(v.keeper).AnnounceBeaconKey(v.Ctx, &c.msg)
			require.ErrorIs(t, err, c.want)
			require.Equal(t, before, v.Hash())
		})
	}
	_, err := audit.NewMsgServer(v.keeper).AnnounceBeaconKey(v.Ctx, &auditv1.MsgAnnounceBeaconKey{Operator: operator, Key: public[:], Proof: proof[:]})
	require.NoError(t, err)
}

func TestOnlyGovernanceChangesBeaconParamsAndWithinBounds(t *testing.T) {
	v := newValidators(t, 1)
	server := audit.NewMsgServer(v.keeper)
	update := func(authority string, edit func(*auditv1.BeaconParams)) error {
		params, err := v.keeper.Params(v.Ctx)
		require.NoError(t, err)
		edit(&params.Beacon)
		_, err = server.UpdateParams(v.Ctx, &auditv1.MsgUpdateParams{Authority: authority, Params: params})
		return err
	}
	require.ErrorIs(t, update(stage.Spell(stage.Account(0)), func(*auditv1.BeaconParams) {}), audit.ErrNotAuthority)
	for name, edit := range map[string]func(*auditv1.BeaconParams){
		"no epoch":                func(p *auditv1.BeaconParams) { p.EpochBlocks = 0 },
		"endless epoch":           func(p *auditv1.BeaconParams) { p.EpochBlocks = 1 << 31 },
		"no window":               func(p *auditv1.BeaconParams) { p.CollectBlocks = 0 },
		"window as long as epoch": func(p *auditv1.BeaconParams) { p.CollectBlocks = p.EpochBlocks },
		"a third is enough":       func(p *auditv1.BeaconParams) { p.MinPowerBps = 3_333 },
		"two thirds are not":      func(p *auditv1.BeaconParams) { p.MinPowerBps = 6_667 },
		"no patience":             func(p *auditv1.BeaconParams) { p.PatienceBlocks = 0 },
		"no last resort":          func(p *auditv1.BeaconParams) { p.LastResortBlocks = 1 << 30 },
		"forgetful":               func(p *auditv1.BeaconParams) { p.RetainEpochs = 7 },
		"elephantine":             func(p *auditv1.BeaconParams) { p.RetainEpochs = 100_001 },
		"no gas":                  func(p *auditv1.BeaconParams) { p.HookGas = 0 },
		"all gas":                 func(p *auditv1.BeaconParams) { p.HookGas = 1 << 60 },
	} {
		require.ErrorIs(t, update(governance, edit), audit.ErrParams, name)
	}
	require.NoError(t, update(governance, func(p *auditv1.BeaconParams) { p.EpochBlocks = 4; p.CollectBlocks = 1 }))
	v.until(t, 5, 0)
	require.EqualValues(t, 2, v.current(t).Number)
}

// hook is another module's work at an epoch's end.
type hook func(context.Context, auditv1.Epoch) error

func (h hook) AfterEpoch(ctx context.Context, ended auditv1.Epoch) error { return h(ctx, ended) }

// Whatever one hook does, the others run, what it wrote is undone, and its failure is on record.
func TestAFailingHookIsUndoneRecordedAndAlone(t *testing.T) {
	v := newValidators(t, 1)
	mint := func(ctx context.Context, n int) {
		v.Bank.Mint(ctx, stage.Account(100+n), sdk.NewInt64Coin("acairn", 1))
	}
	minted := func(n int) bool {
		return v.Bank.GetBalance(v.Ctx, stage.Account(100+n), "acairn").Amount.Equal(math.OneInt())
	}
	var ended []uint64
	well := func(n int) hook {
		return func(ctx context.Context, e auditv1.Epoch) error {
			ended = append(ended, e.Number)
			if e.Number == 1 {
				mint(ctx, n)
			}
			return nil
		}
	}
	badly := func(n int, how func(context.Context) error) hook {
		return func(ctx context.Context, e auditv1.Epoch) error {
			if e.Number > 1 {
				return nil
			}
			mint(ctx, n)
			return how(ctx)
		}
	}
	v.keeper.SetHooks(
		audit.Hook{Name: "first", Hooks: well(0)},
		audit.Hook{Name: "error", Hooks: badly(1, func(context.Context) error { return audit.ErrUnknownEpoch.Wrap("no such thing") })},
		audit.Hook{Name: "panic", Hooks: badly(2, func(context.Context) error { panic("all is lost") })},
		audit.Hook{Name: "index", Hooks: badly(3, func(context.Context) error { var none []int; _ = none[len(none)]; return nil })},
		audit.Hook{Name: "odd", Hooks: badly(4, func(context.Context) error { panic(&struct{ a int }{1}) })},
		audit.Hook{Name: "gas", Hooks: badly(5, func(ctx context.Context) error {
			sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(audit.DefaultParams().Beacon.HookGas+1, "walking every device")
			return nil
		})},
		audit.Hook{Name: "last", Hooks: well(6)},
	)
	v.Forget()
	v.until(t, 7, 0)
	require.Equal(t, []uint64{1, 1}, ended)
	require.True(t, minted(0))
	require.True(t, minted(6))
	for n := 1; n <= 5; n++ {
		require.False(t, minted(n), "what hook %d did is not undone", n)
	}
	require.NoError(t, v.Bank.Check(v.Ctx))
	require.Equal(t, 5, v.Recorded("cairn.audit.v1.EventHookFailed"))
	res, err := audit.NewQueryServer(v.keeper).HookFailures(v.Ctx, &auditv1.QueryHookFailuresRequest{})
	require.NoError(t, err)
	got := map[string]string{}
	for _, f := range res.Failures {
		require.EqualValues(t, 1, f.Epoch)
		require.EqualValues(t, 7, f.Height)
		got[f.Hook] = f.Error
	}
	require.Len(t, got, 5)
	require.Equal(t, map[string]string{
		"error": "error audit 2", "panic": "panic", "index": "panic", "odd": "panic", "gas": "out of gas",
	}, got)
	said := fmt.Sprint(v.Ctx.EventManager().Events())
	for _, words := range []string{"no such thing", "all is lost", "out of range", "walking every device"} {
		require.Contains(t, said, words)
	}
}

// Old epochs go, with the failures in them, and no more than two a block.
func TestOldEpochsAreForgotten(t *testing.T) {
	v := newValidators(t, 1)
	v.keeper.SetHooks(audit.Hook{Name: "sick", Hooks: hook(func(context.Context, auditv1.Epoch) error { return errors.New("again") })})
	v.until(t, 6*20+1, 0)
	require.EqualValues(t, 21, v.current(t).Number)
	for number := range uint64(22) {
		_, err := v.keeper.EpochAt(v.Ctx, number)
		require.Equal(t, number >= 13, err == nil, "epoch %d: %v", number, err)
	}
	failures, err := audit.NewQueryServer(v.keeper).HookFailures(v.Ctx, &auditv1.QueryHookFailuresRequest{})
	require.NoError(t, err)
	require.Len(t, failures.Failures, 8)
	epochs, err := audit.NewQueryServer(v.keeper).Epochs(v.Ctx, &auditv1.QueryEpochsRequest{})
	require.NoError(t, err)
	require.Len(t, epochs.Epochs, 9)
	contributors, err := audit.NewQueryServer(v.keeper).Contributors(v.Ctx, &auditv1.QueryContributorsRequest{})
	require.NoError(t, err)
	require.Len(t, contributors.Contributors, 1)
	require.EqualValues(t, 20, contributors.Contributors[0].Record.Contributed)
}

// An export taken at any moment, outputs half collected, restores the same state and the same future.
func TestExportedEpochsGoOn(t *testing.T) {
	v := newValidators(t, 3)
	v.keeper.SetHooks(audit.Hook{Name: "sick", Hooks: hook(func(context.Context, auditv1.Epoch) error { return errors.New("again") })})
	v.until(t, 11, 0, 1)
	_, err := v.announce(2, beaconKey(60))
	require.NoError(t, err)
	before := v.Hash(audit.StoreKey)
	exported, err := v.keeper.ExportGenesis(v.Ctx)
	require.NoError(t, err)
	require.NoError(t, audit.ValidateGenesis(exported))
	require.NotEmpty(t, exported.Outputs)
	require.NotEmpty(t, exported.HookFailures)
	v.Clear(audit.StoreKey)
	require.NoError(t, v.keeper.InitGenesis(v.Ctx, exported))
	require.Equal(t, before, v.Hash(audit.StoreKey))
	v.until(t, 13, 0, 1, 2)
	require.EqualValues(t, 3, v.current(t).Number)
}

func TestBadGenesisIsRefused(t *testing.T) {
	v := newValidators(t, 2)
	v.until(t, 11, 0, 1)
	for name, spoil := range map[string]func(*auditv1.GenesisState){
		"params":          func(g *auditv1.GenesisState) { g.Params.Beacon.EpochBlocks = 0 },
		"epoch 0":         func(g *auditv1.GenesisState) { g.Epochs[0].Number = 0 },
		"a gap":           func(g *auditv1.GenesisState) { g.Epochs[1].Number++ },
		"heights":         func(g *auditv1.GenesisState) { g.Epochs[1].StartHeight = g.Epochs[0].StartHeight },
		"no height":       func(g *auditv1.GenesisState) { g.Epochs[0].StartHeight = 0 },
		"short beacon":    func(g *auditv1.GenesisState) { g.Epochs[0].Beacon = g.Epochs[0].Beacon[1:] },
		"too much power":  func(g *auditv1.GenesisState) { g.Epochs[1].PowerBps = 10_001 },
		"false weakness":  func(g *auditv1.GenesisState) { g.Epochs[1].Weak = true },
		"false strength":  func(g *auditv1.GenesisState) { g.Epochs[0].Weak = false },
		"bad key":         func(g *auditv1.GenesisState) { g.Keys[0].Key = make([]byte, 32) },
		"bad next key":    func(g *auditv1.GenesisState) { g.Keys[0].NextKey = []byte{1} },
		"short output":    func(g *auditv1.GenesisState) { g.Outputs[0].Output = nil },
		"negative power":  func(g *auditv1.GenesisState) { g.Outputs[0].Power = -1 },
		"a key twice":     func(g *auditv1.GenesisState) { g.Keys[1].Validator = g.Keys[0].Validator },
		"an output twice": func(g *auditv1.GenesisState) { g.Outputs[1].Validator = g.Outputs[0].Validator },
		"a record twice":  func(g *auditv1.GenesisState) { g.Records[1].Validator = g.Records[0].Validator },
	} {
		exported, err := v.keeper.ExportGenesis(v.Ctx)
		require.NoError(t, err)
		require.NoError(t, audit.ValidateGenesis(exported))
		spoil(exported)
		require.Error(t, audit.ValidateGenesis(exported), name)
	}
}

// A proposer that sees everybody's outputs tries every subset of them in the last block of the window,
// for a beacon that it likes. An honest block before it has fixed all outputs but the one that was
// held back: two beacons are all it can choose from, where without that block there were 2^n.
func TestAProposerCannotGrindWhatAnHonestOneHasCollected(t *testing.T) {
	const n = 6
	seeds := func(honest bool) map[string]bool {
		v := newValidators(t, n)
		v.until(t, 5)
		honestly := v.votes(t)
		if honest {
			honestly = v.votes(t, all(n-1)...) // the adversary, n-1, holds its own back
		}
		v.block(t, honestly)
		seen := map[string]bool{}
		for subset := range 1 << n {
			cached, _ := v.Ctx.WithBlockHeight(7).CacheContext()
			votes := v.votes(t)
			for i := range n {
				if subset>>i&1 == 1 {
					votes[i].Extension = v.extension(t, i)
				}
			}
			require.NoError(t, v.keeper.Advance(cached, votes))
			epoch, err := v.keeper.Current(cached)
			require.NoError(t, err)
			if epoch.Number == 2 {
				seen[string(epoch.Beacon)] = true
			}
		}
		return seen
	}
	require.Len(t, seeds(true), 2)
	require.Len(t, seeds(false), 22, "every subset of more than half: 15+6+1")
}

// Blocks cost the same however many epochs are kept; nothing else in the store grows. 100 validators.
func BenchmarkAdvance(b *testing.B) {
	for _, kept := range []int{1_000, 100_000} { // the most that params allow
		for _, c := range []struct {
			name   string
			offset int64
		}{{"idle", 1}, {"collect", 5}, {"turn", 6}} {
			b.Run(fmt.Sprintf("%s/%d_epochs", c.name, kept), func(b *testing.B) {
				v := newValidators(b, 100)
				params := shortEpochs()
				params.Beacon.RetainEpochs = 100_000
				genesis := &auditv1.GenesisState{Params: params}
				exported, err := v.keeper.ExportGenesis(v.Ctx)
				require.NoError(b, err)
				genesis.Keys = exported.Keys
				for i := range kept {
					genesis.Epochs = append(genesis.Epochs, auditv1.Epoch{
						Number: uint64(i) + 1, StartHeight: int64(i)*6 + 1, Beacon: bytes.Repeat([]byte{1}, 32), Weak: true,
					})
				}
				v.Clear(audit.StoreKey)
				require.NoError(b, v.keeper.InitGenesis(v.Ctx, genesis))
				v.Ctx = v.Ctx.WithBlockHeight(int64(kept-1)*6 + 1)
				v.Commit()
				votes := v.votes(b, all(100)...)
				at := v.Ctx.WithBlockHeight(v.Ctx.BlockHeight() + c.offset)
				for b.Loop() {
					cached, _ := at.CacheContext()
					require.NoError(b, v.keeper.Advance(cached, votes))
				}
			})
		}
	}
}
