package app_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"cosmossdk.io/log/v2"
	abci "github.com/cometbft/cometbft/abci/types"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/protoio"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/stretchr/testify/require"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/app/node"
	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/internal/modkit"
	"github.com/cairn-network/cairn/x/audit"
)

// seat is one validator of a quorum.
type seat struct {
	operator user
	key      cmted25519.PrivKey
	beacon   beacon.PrivateKey
}

func (s seat) address() []byte { return s.key.PubKey().Address() }

// quorum plays consensus among validators over one application, which stands for that of each: they
// are all the same. It goes through every step that consensus does.
type quorum struct {
	t      *testing.T
	db     dbm.DB
	app    *app.App
	seats  []seat // in the order of votes
	height int64
	last   abci.ExtendedCommitInfo // votes on the last block
	inputs []*abci.RequestFinalizeBlock
	hashes [][]byte

	genesis *abci.RequestInitChain
	// says, if set, gives what a validator's vote carries instead of its own.
	says func(validator int, own []byte) []byte
	// late, if set, replaces what a vote carries after the block was decided, which nobody verifies.
	late func(validator int, own []byte) []byte
}

// newQuorum has n validators and epochs of 6 blocks, the votes for which come in blocks 5 to 7.
func newQuorum(t *testing.T, n int) *quorum {
	t.Helper()
	app.Configure()
	genesis := node.Genesis{ChainID: chainID, Time: genesisTime}
	q := &quorum{t: t, db: dbm.NewMemDB()}
	for i := range n {
		name := fmt.Sprint("val", i)
		s := seat{
			operator: newUser(name), key: cmted25519.GenPrivKeyFromSecret([]byte(name)),
			beacon: beacon.NewKey(sha256.Sum256([]byte("beacon " + name))),
		}
		q.seats = append(q.seats, s)
		genesis.Accounts = append(genesis.Accounts, node.Account{Address: s.operator.address(), Coins: sdk.NewCoins(cairn(1000))})
		genesis.Validators = append(genesis.Validators, node.Validator{
			Moniker: name, Operator: s.operator.address(), Key: s.key.PubKey(), Stake: cairn(100).Amount, Beacon: s.beacon.Public(),
		})
	}
	genesis.Edit = func(cdc codec.JSONCodec, state map[string]json.RawMessage) error {
		return node.SetModule(cdc, state, audit.ModuleName, func(g *auditv1.GenesisState) {
			g.Params.Beacon.EpochBlocks, g.Params.Beacon.CollectBlocks, g.Params.Beacon.RetainEpochs = 6, 3, 8
			g.Params.Report.WindowBlocks, g.Params.Report.DeadlineBlocks = 2, 2
			g.Params.Report.ServeBlocks, g.Params.Report.UnbondingBlocks = 2, 100
		})
	}
	slices.SortFunc(q.seats, func(a, b seat) int { return bytes.Compare(a.address(), b.address()) })
	document, err := genesis.Document()
	require.NoError(t, err)
	consensus := document.Consensus.Params.ToProto()
	q.genesis = &abci.RequestInitChain{
		ChainId: chainID, Time: genesisTime, InitialHeight: 1, AppStateBytes: document.AppState, ConsensusParams: &consensus,
	}
	q.open()
	_, err = q.app.InitChain(q.genesis)
	require.NoError(t, err)
	return q
}

func (q *quorum) open() {
	opened, err := app.New(log.NewNopLogger(), q.db, testSettings(q.t.TempDir()), baseapp.SetChainID(chainID))
	require.NoError(q.t, err)
	q.app = opened
	q.t.Cleanup(func() { _ = opened.Close() })
}

func (q *quorum) now() time.Time { return genesisTime.Add(time.Duration(q.height) * time.Second) }

func commitOf(votes abci.ExtendedCommitInfo) abci.CommitInfo {
	commit := abci.CommitInfo{Round: votes.Round}
	for _, v := range votes.Votes {
		commit.Votes = append(commit.Votes, abci.VoteInfo{Validator: v.Validator, BlockIdFlag: v.BlockIdFlag})
	}
	return commit
}

// propose gives the block that a proposer makes for the next height.
func (q *quorum) propose() [][]byte {
	q.t.Helper()
	prepared, err := q.app.PrepareProposal(&abci.RequestPrepareProposal{
		Height: q.height + 1, Time: q.now(), MaxTxBytes: 1 << 20, LocalLastCommit: q.last, ProposerAddress: q.seats[0].address(),
	})
	require.NoError(q.t, err)
	return prepared.Txs
}

// accepts says whether validators take a proposed block, which commits to the last block with these votes.
func (q *quorum) accepts(txs [][]byte, commit abci.CommitInfo) bool {
	q.t.Helper()
	processed, err := q.app.ProcessProposal(&abci.RequestProcessProposal{
		Height: q.height + 1, Time: q.now(), Txs: txs, ProposedLastCommit: commit, ProposerAddress: q.seats[0].address(),
		Hash: []byte(fmt.Sprint(q.height + 1)),
	})
	require.NoError(q.t, err)
	return processed.Status == abci.ResponseProcessProposal_ACCEPT
}

// next makes one block with transactions behind what the proposer puts there.
func (q *quorum) next(txs ...[]byte) []*abci.ExecTxResult {
	q.t.Helper()
	proposed := append(q.propose(), txs...)
	require.True(q.t, q.accepts(proposed, commitOf(q.last)), "the proposer's block at height %d is refused", q.height+1)
	return q.decide(proposed)
}

// decide lets everybody vote for a block and executes it.
func (q *quorum) decide(txs [][]byte) []*abci.ExecTxResult {
	q.t.Helper()
	commit := commitOf(q.last)
	q.height++
	hash := []byte(fmt.Sprint(q.height))
	votes := abci.ExtendedCommitInfo{}
	for i, s := range q.seats {
		q.app.SetBeaconSigner(app.BeaconSigner{Validator: s.address(), Keys: []beacon.PrivateKey{s.beacon}})
		extended, err := q.app.ExtendVote(q.t.Context(), &abci.RequestExtendVote{Height: q.height, Hash: hash, Time: q.now()})
		require.NoError(q.t, err)
		says := extended.VoteExtension
		if q.says != nil {
			says = q.says(i, says)
		}
		verified, err := q.app.VerifyVoteExtension(&abci.RequestVerifyVoteExtension{
			Height: q.height, Hash: hash, ValidatorAddress: s.address(), VoteExtension: says,
		})
		require.NoError(q.t, err)
		vote := abci.ExtendedVoteInfo{Validator: abci.Validator{Address: s.address(), Power: 100}, BlockIdFlag: cmtproto.BlockIDFlagAbsent}
		if verified.Status == abci.ResponseVerifyVoteExtension_ACCEPT {
			if q.late != nil {
				says = q.late(i, says)
			}
			vote.BlockIdFlag, vote.VoteExtension, vote.ExtensionSignature = cmtproto.BlockIDFlagCommit, says, q.signExtension(s, says)
		}
		votes.Votes = append(votes.Votes, vote)
	}
	input := &abci.RequestFinalizeBlock{
		Height: q.height, Time: q.now(), Txs: txs, DecidedLastCommit: commit, ProposerAddress: q.seats[0].address(),
		Hash: hash, NextValidatorsHash: cmttypes.Tx("validators").Hash(),
	}
	response, err := q.app.FinalizeBlock(input)
	require.NoError(q.t, err)
	_, err = q.app.Commit()
	require.NoError(q.t, err)
	q.inputs, q.hashes, q.last = append(q.inputs, input), append(q.hashes, response.AppHash), votes
	require.NoError(q.t, modkit.Check(q.ctx(), q.app.Audit.Invariants()))
	return response.TxResults
}

func (q *quorum) signExtension(s seat, extension []byte) []byte {
	message, err := protoio.MarshalDelimited(&cmtproto.CanonicalVoteExtension{Extension: extension, Height: q.height, ChainId: chainID})
	require.NoError(q.t, err)
	signature, err := s.key.Sign(message)
	require.NoError(q.t, err)
	return signature
}

func (q *quorum) ctx() sdk.Context { return q.app.NewContext(true) }

func (q *quorum) until(height int64) {
	q.t.Helper()
	for q.height < height {
		q.next()
	}
}

func (q *quorum) epoch() auditv1.Epoch {
	q.t.Helper()
	epoch, err := q.app.Audit.Current(q.ctx())
	require.NoError(q.t, err)
	return epoch
}

func (q *quorum) record(validator int) auditv1.BeaconRecord {
	q.t.Helper()
	res, err := audit.NewQueryServer(q.app.Audit).Contributor(q.ctx(), &auditv1.QueryContributorRequest{
		Validator: sdk.ValAddress(q.seats[validator].operator.address()).String(),
	})
	require.NoError(q.t, err)
	return res.Contributor.Record
}

func hasVotes(txs [][]byte) bool {
	return len(txs) > 0 && bytes.HasPrefix(txs[0], []byte("cairn/votes/v1\x00\x00"))
}

func TestOutputsTravelInVotesAndEpochsTurn(t *testing.T) {
	for _, n := range []int{1, 4, 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			q := newQuorum(t, n)
			for number := uint64(2); number <= 4; number++ {
				start := int64(number-1)*6 + 1
				for q.height < start {
					proposed := q.propose()
					require.Equal(t, q.height+1 >= start-2, hasVotes(proposed), "height %d", q.height+1)
					for i, result := range q.next() {
						require.Zero(t, result.Code, "entry %d of block %d", i, q.height)
					}
				}
				epoch := q.epoch()
				require.Equal(t, number, epoch.Number)
				require.Equal(t, start, epoch.StartHeight)
				require.EqualValues(t, n, epoch.Outputs)
				require.EqualValues(t, 10_000, epoch.PowerBps)
			}
			for i := range n {
				require.EqualValues(t, 3, q.record(i).Contributed)
				require.Zero(t, q.record(i).Missed+q.record(i).Invalid)
			}
		})
	}
}

// Transactions run beside the votes, and their place in the block is theirs.
func TestTransactionsRunBehindTheVotes(t *testing.T) {
	q := newQuorum(t, 4)
	q.until(5)
	c := &chain{t: t, app: q.app, height: q.height, time: q.now()}
	from, to := q.seats[0].operator, newUser("somebody")
	results := q.next(c.sign(from, 0, banktypes.NewMsgSend(from.address(), to.address(), sdk.NewCoins(cairn(1)))), []byte("no transaction"))
	require.Len(t, results, 3)
	require.Zero(t, results[0].Code)
	require.Zero(t, results[1].Code, results[1].Log)
	require.NotZero(t, results[2].Code)
	require.Equal(t, cairn(1).Amount, c.balance(to.address()))
}

func TestABlockWithOtherVotesIsRefused(t *testing.T) {
	const mark = "cairn/votes/v1\x00\x00"
	q := newQuorum(t, 4)
	q.until(5) // votes are due in block 6
	good := q.propose()
	require.Len(t, good, 1)
	commit := commitOf(q.last)
	votes := func(edit func(*abci.ExtendedCommitInfo)) [][]byte {
		var v abci.ExtendedCommitInfo
		require.NoError(t, v.Unmarshal(good[0][len(mark):]))
		edit(&v)
		raw, err := v.Marshal()
		require.NoError(t, err)
		return [][]byte{append([]byte(mark), raw...)}
	}
	absent := func(i int) func(*abci.ExtendedCommitInfo) {
		return func(v *abci.ExtendedCommitInfo) {
			v.Votes[i] = abci.ExtendedVoteInfo{Validator: v.Votes[i].Validator, BlockIdFlag: cmtproto.BlockIDFlagAbsent}
		}
	}
	for _, c := range []struct {
		name string
		txs  [][]byte
		want bool
	}{
		{"as proposed", good, true},
		{"the same, taken apart and put together", votes(func(*abci.ExtendedCommitInfo) {}), true},
		{"with a transaction", [][]byte{good[0], []byte("tx")}, true},
		{"one vote left out", votes(absent(2)), true},
		{"two votes left out", votes(func(v *abci.ExtendedCommitInfo) { absent(1)(v); absent(2)(v) }), false},
		{"missing", nil, false},
		{"a transaction in its place", [][]byte{[]byte("tx")}, false},
		{"twice", [][]byte{good[0], good[0]}, false},
		{"not at the front", [][]byte{[]byte("tx"), good[0]}, false},
		{"and others behind", [][]byte{good[0], []byte(mark)}, false},
		{"empty", [][]byte{[]byte(mark)}, false},
		{"cut short", [][]byte{good[0][:len(good[0])-1]}, false},
		{"padded with a field nobody knows", [][]byte{append(slices.Clone(good[0]), 0x7a, 1, 0)}, false},
		{"padded with the round again", [][]byte{append(slices.Clone(good[0]), 0x08, 0)}, false},
		{"another round", votes(func(v *abci.ExtendedCommitInfo) { v.Round = 1 }), false},
		{"a vote too few", votes(func(v *abci.ExtendedCommitInfo) { v.Votes = v.Votes[:3] }), false},
		{"a vote too many", votes(func(v *abci.ExtendedCommitInfo) { v.Votes = append(v.Votes, v.Votes[0]) }), false},
		{"another order", votes(func(v *abci.ExtendedCommitInfo) { v.Votes[0], v.Votes[1] = v.Votes[1], v.Votes[0] }), false},
		{"more power", votes(func(v *abci.ExtendedCommitInfo) { v.Votes[0].Validator.Power = 1000 }), false},
		{"another extension", votes(func(v *abci.ExtendedCommitInfo) { v.Votes[0].VoteExtension[20] ^= 1 }), false},
		{"no extension", votes(func(v *abci.ExtendedCommitInfo) { v.Votes[0].VoteExtension = nil }), false},
		{"no signature", votes(func(v *abci.ExtendedCommitInfo) { v.Votes[0].ExtensionSignature = nil }), false},
		{"another's vote", votes(func(v *abci.ExtendedCommitInfo) {
			v.Votes[0].VoteExtension, v.Votes[0].ExtensionSignature = v.Votes[1].VoteExtension, v.Votes[1].ExtensionSignature
		}), false},
		{"a vote for nothing that says something", votes(func(v *abci.ExtendedCommitInfo) { v.Votes[0].BlockIdFlag = cmtproto.BlockIDFlagAbsent }), false},
		{"a vote turned into one for nothing", votes(func(v *abci.ExtendedCommitInfo) {
			v.Votes[0] = abci.ExtendedVoteInfo{Validator: v.Votes[0].Validator, BlockIdFlag: cmtproto.BlockIDFlagNil}
		}), false},
		{"megabytes", votes(func(v *abci.ExtendedCommitInfo) { v.Votes[0].VoteExtension = make([]byte, 2<<20) }), false},
	} {
		require.Equal(t, c.want, q.accepts(c.txs, commit), c.name)
	}

	// A vote that is not in the commit cannot be brought.
	commit.Votes[3].BlockIdFlag = cmtproto.BlockIDFlagAbsent
	require.False(t, q.accepts(good, commit), "a vote that the commit lacks")
	require.True(t, q.accepts(votes(absent(3)), commit))

	// Yesterday's votes are not today's.
	q.next()
	require.False(t, q.accepts(good, commitOf(q.last)), "the last block's votes")

	// Where none are due there are none.
	q.until(8)
	require.Empty(t, q.propose())
	require.False(t, q.accepts(good, commitOf(q.last)), "votes out of season")
	require.True(t, q.accepts(nil, commitOf(q.last)))
}

// One of four sends rubbish, too much, another's, or nothing, for several epochs: they turn with the other
// three, and what it did is on record.
func TestOneBadValidatorChangesNothing(t *testing.T) {
	const bad = 2
	for name, c := range map[string]struct {
		says, late func(q *quorum, own []byte) []byte
		invalid    bool
	}{
		"nothing":            {says: func(*quorum, []byte) []byte { return nil }},
		"rubbish":            {says: func(*quorum, []byte) []byte { return bytes.Repeat([]byte{0xa5}, beacon.MaxExtensionSize) }, invalid: true},
		"too much":           {says: func(*quorum, []byte) []byte { return make([]byte, beacon.MaxExtensionSize+1) }},
		"too much, too late": {late: func(*quorum, []byte) []byte { return make([]byte, 1<<16) }},
		"another's": {says: func(q *quorum, own []byte) []byte {
			for i, v := range q.last.Votes {
				if i != bad && len(v.VoteExtension) > 0 {
					return v.VoteExtension
				}
			}
			return nil
		}, invalid: true},
		"an old one": {says: func(q *quorum, own []byte) []byte {
			return beacon.Extension{Epoch: 1, Proof: q.seats[bad].beacon.Prove(beacon.Round{ChainID: chainID, Epoch: 1})}.Marshal()
		}, invalid: true},
		"only in the last moment": {says: func(q *quorum, own []byte) []byte {
			if q.height%6 == 0 {
				return own
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQuorum(t, 4)
			spoil := func(f func(*quorum, []byte) []byte) func(int, []byte) []byte {
				if f == nil {
					return nil
				}
				return func(validator int, own []byte) []byte {
					if validator == bad {
						return f(q, own)
					}
					return own
				}
			}
			q.says, q.late = spoil(c.says), spoil(c.late)
			q.until(19)
			require.EqualValues(t, 4, q.epoch().Number)
			require.GreaterOrEqual(t, q.epoch().Outputs, uint32(3))
			require.Equal(t, c.invalid, q.record(bad).Invalid > 0)
			require.EqualValues(t, 3, q.record(bad).Contributed+q.record(bad).Missed)
			if name == "only in the last moment" {
				require.EqualValues(t, 3, q.record(bad).Contributed)
				return
			}
			require.EqualValues(t, 3, q.record(bad).MissedInARow)
			for i := range 4 {
				if i != bad {
					require.EqualValues(t, 3, q.record(i).Contributed)
				}
			}
		})
	}
}

// Blocks that a dishonest supermajority decided anyway do not stop whoever executes them.
func TestVotesInDecidedBlocksNeverStopTheChain(t *testing.T) {
	q := newQuorum(t, 4)
	mark := []byte("cairn/votes/v1\x00\x00")
	for q.height < 20 {
		good := q.propose()
		for _, txs := range [][][]byte{nil, {mark}, {append(slices.Clone(mark), 0xff, 0xff)}, {[]byte("tx"), mark}, good} {
			if q.height < 20 {
				q.decide(txs)
			}
		}
	}
	require.Greater(t, q.epoch().Number, uint64(1))
}

// The same blocks give the same hashes, restarts in between included.
func TestReplayOfVotesGivesTheSameHashes(t *testing.T) {
	q := newQuorum(t, 4)
	q.says = func(validator int, own []byte) []byte {
		if validator == int(q.height)%5 {
			return []byte{byte(q.height)}
		}
		return own
	}
	q.until(20)
	require.EqualValues(t, 4, q.epoch().Number)

	again := &quorum{t: t, db: dbm.NewMemDB()}
	again.open()
	_, err := again.app.InitChain(q.genesis)
	require.NoError(t, err)
	for i, input := range q.inputs {
		response, err := again.app.FinalizeBlock(input)
		require.NoError(t, err)
		require.Equal(t, q.hashes[i], response.AppHash, "height %d", input.Height)
		_, err = again.app.Commit()
		require.NoError(t, err)
		if i%3 == 0 {
			require.NoError(t, again.app.Close())
			again.open()
		}
	}
}

// A mempool takes no votes.
func TestVotesAreNoTransaction(t *testing.T) {
	q := newQuorum(t, 1)
	q.until(5)
	votes := q.propose()[0]
	_, err := q.app.TxDecode(votes)
	require.Error(t, err)
	response, err := q.app.CheckTx(&abci.RequestCheckTx{Tx: votes})
	require.True(t, err != nil || response.Code != 0)
}
