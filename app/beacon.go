package app

import (
	"bytes"
	"errors"
	"fmt"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
	"github.com/cosmos/cosmos-sdk/baseapp"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/x/audit"
)

// How the beacon's outputs get from validators into the state:
//
// While outputs are collected, every validator adds its own to the vote for a block (extendVote). The
// next proposer puts the votes that it has seen at the front of its block, as bytes that are no
// transaction (prepareProposal); validators refuse a block without them, with others', or with any
// where none are due (processProposal). Executing the block hands them to x/audit (beginBlock), which
// judges what they say.
//
// A vote is refused for nothing but too long an extension: a rule that could depend on what a node
// has seen so far would let validators disagree on votes, and stop the chain.

// votesMark stands at the front of the votes in a block. No transaction begins like this: as the
// start of a protobuf message it is a group, which a transaction has none of.
const votesMark = "cairn/votes/v1\x00\x00"

// Bounds on the bytes of the votes in a block: for all of them, and for each.
const (
	votesBytes = 64
	voteBytes  = beacon.MaxExtensionSize + 64 + 64 // extension, its signature, address and framing
)

// errVotes is wrapped by errors about the votes in a block.
var errVotes = errors.New("invalid votes in block")

// BeaconSigner is what a node contributes to beacons with.
type BeaconSigner struct {
	Validator sdk.ConsAddress
	// Keys are the validator's: that in force and successors.
	Keys []beacon.PrivateKey
}

// SetBeaconSigner makes the node contribute to beacons while it validates. It is called before
// consensus starts.
func (app *App) SetBeaconSigner(signer BeaconSigner) { app.beaconSigner = signer }

// buildBeacon puts the votes into blocks; prepare and process handle the block's transactions.
func (app *App) buildBeacon(prepare sdk.PrepareProposalHandler, process sdk.ProcessProposalHandler) {
	app.SetExtendVoteHandler(app.extendVote)
	app.SetVerifyVoteExtensionHandler(verifyExtension)
	app.SetPrepareProposal(app.prepareProposal(prepare))
	app.SetProcessProposal(app.processProposal(process))
}

// extendVote adds the node's output to its vote while outputs are collected, once its key is in force
// and until the output is in the state. The state is that before the block being voted on.
func (app *App) extendVote(ctx sdk.Context, req *abci.RequestExtendVote) (*abci.ResponseExtendVote, error) {
	silent := &abci.ResponseExtendVote{VoteExtension: []byte{}}
	if len(app.beaconSigner.Keys) == 0 {
		return silent, nil
	}
	if collects, err := app.Audit.Collects(ctx, req.Height+1); err != nil || !collects {
		return silent, err
	}
	wanted, err := app.Audit.WantedKey(ctx, app.beaconSigner.Validator)
	if err != nil {
		return silent, err
	}
	for _, key := range app.beaconSigner.Keys {
		if public := key.Public(); bytes.Equal(public[:], wanted) {
			round, err := app.Audit.NextRound(ctx)
			if err != nil {
				return silent, err
			}
			return &abci.ResponseExtendVote{VoteExtension: beacon.Extension{Epoch: round.Epoch, Proof: key.Prove(round)}.Marshal()}, nil
		}
	}
	return silent, nil
}

func verifyExtension(_ sdk.Context, req *abci.RequestVerifyVoteExtension) (*abci.ResponseVerifyVoteExtension, error) {
	status := abci.ResponseVerifyVoteExtension_ACCEPT
	if len(req.VoteExtension) > beacon.MaxExtensionSize {
		status = abci.ResponseVerifyVoteExtension_REJECT
	}
	return &abci.ResponseVerifyVoteExtension{Status: status}, nil
}

// bringsVotes says whether the block at the context's height, built on the context's state, begins
// with votes.
func (app *App) bringsVotes(ctx sdk.Context) (bool, error) {
	params := ctx.ConsensusParams().Abci
	if params == nil || params.VoteExtensionsEnableHeight == 0 || ctx.BlockHeight() <= params.VoteExtensionsEnableHeight {
		return false, nil
	}
	return app.Audit.Collects(ctx, ctx.BlockHeight())
}

func (app *App) prepareProposal(next sdk.PrepareProposalHandler) sdk.PrepareProposalHandler {
	return func(ctx sdk.Context, req *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
		if brings, err := app.bringsVotes(ctx); err != nil {
			return nil, fmt.Errorf("preparing a block: %w", err)
		} else if !brings {
			return next(ctx, req)
		}
		votes, err := marshalVotes(withoutOversized(req.LocalLastCommit))
		if err != nil {
			return nil, fmt.Errorf("preparing a block: %w", err)
		}
		rest := *req
		rest.MaxTxBytes = max(0, rest.MaxTxBytes-cmttypes.ComputeProtoSizeForTxs([]cmttypes.Tx{votes}))
		resp, err := next(ctx, &rest)
		if err != nil {
			return nil, err
		}
		resp.Txs = append([][]byte{votes}, resp.Txs...)
		return resp, nil
	}
}

func (app *App) processProposal(next sdk.ProcessProposalHandler) sdk.ProcessProposalHandler {
	return func(ctx sdk.Context, req *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
		txs, err := app.checkVotes(ctx, req)
		if err != nil {
			app.Logger().Warn("refusing a proposed block", "height", req.Height, "error", err)
			return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}, nil
		}
		rest := *req
		rest.Txs = txs
		return next(ctx, &rest)
	}
}

// checkVotes checks the votes at the front of a proposed block, or that there are none where none
// are due, and returns the block's transactions.
func (app *App) checkVotes(ctx sdk.Context, req *abci.RequestProcessProposal) ([][]byte, error) {
	brings, err := app.bringsVotes(ctx)
	if err != nil {
		return nil, err
	}
	txs := req.Txs
	if brings {
		if len(txs) == 0 {
			return nil, fmt.Errorf("%w: missing", errVotes)
		}
		votes, err := parseVotes(txs[0])
		if err != nil {
			return nil, err
		}
		if err := matchesCommit(votes, req.ProposedLastCommit); err != nil {
			return nil, err
		}
		if err := baseapp.ValidateVoteExtensions(ctx, app.Staking, 0, "", votes); err != nil {
			return nil, fmt.Errorf("%w: %w", errVotes, err)
		}
		txs = txs[1:]
	}
	for i, tx := range txs {
		if hasVotesMark(tx) {
			return nil, fmt.Errorf("%w: out of place, %d from the end", errVotes, len(txs)-i)
		}
	}
	return txs, nil
}

// matchesCommit holds votes to the last commit in the same block: a proposer may leave a vote out,
// and cannot add one. The rest (who, in which order, with what power) ValidateVoteExtensions compares.
func matchesCommit(votes abci.ExtendedCommitInfo, commit abci.CommitInfo) error {
	if len(votes.Votes) != len(commit.Votes) {
		return fmt.Errorf("%w: %d of them, the commit has %d", errVotes, len(votes.Votes), len(commit.Votes))
	}
	for i, vote := range votes.Votes {
		switch vote.BlockIdFlag {
		case commit.Votes[i].BlockIdFlag, cmtproto.BlockIDFlagAbsent:
		default:
			return fmt.Errorf("%w: vote %d is %s, in the commit %s", errVotes, i, vote.BlockIdFlag, commit.Votes[i].BlockIdFlag)
		}
		if vote.BlockIdFlag != cmtproto.BlockIDFlagCommit && len(vote.VoteExtension)+len(vote.ExtensionSignature) > 0 {
			return fmt.Errorf("%w: vote %d is %s and has an extension", errVotes, i, vote.BlockIdFlag)
		}
		if len(vote.VoteExtension) > beacon.MaxExtensionSize {
			return fmt.Errorf("%w: extension %d has %d bytes, at most %d", errVotes, i, len(vote.VoteExtension), beacon.MaxExtensionSize)
		}
	}
	return nil
}

// withoutOversized leaves out votes with too long an extension. Consensus lets one through only
// when it comes after the block was decided, so the others still are more than two thirds.
func withoutOversized(commit abci.ExtendedCommitInfo) abci.ExtendedCommitInfo {
	kept := abci.ExtendedCommitInfo{Round: commit.Round, Votes: make([]abci.ExtendedVoteInfo, len(commit.Votes))}
	for i, vote := range commit.Votes {
		if len(vote.VoteExtension) > beacon.MaxExtensionSize {
			vote = abci.ExtendedVoteInfo{Validator: vote.Validator, BlockIdFlag: cmtproto.BlockIDFlagAbsent}
		}
		kept.Votes[i] = vote
	}
	return kept
}

func marshalVotes(votes abci.ExtendedCommitInfo) ([]byte, error) {
	raw, err := votes.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encoding votes: %w", err)
	}
	return append([]byte(votesMark), raw...), nil
}

func hasVotesMark(tx []byte) bool { return bytes.HasPrefix(tx, []byte(votesMark)) }

// parseVotes reads the votes at the front of a block in their only encoding.
func parseVotes(b []byte) (abci.ExtendedCommitInfo, error) {
	var votes abci.ExtendedCommitInfo
	if !hasVotesMark(b) {
		return votes, fmt.Errorf("%w: missing", errVotes)
	}
	raw := b[len(votesMark):]
	if err := votes.Unmarshal(raw); err != nil {
		return votes, fmt.Errorf("%w: %w", errVotes, err)
	}
	if len(raw) > votesBytes+voteBytes*len(votes.Votes) {
		return votes, fmt.Errorf("%w: %d bytes for %d", errVotes, len(raw), len(votes.Votes))
	}
	if again, err := votes.Marshal(); err != nil || !bytes.Equal(again, raw) {
		return votes, fmt.Errorf("%w: not in their only encoding", errVotes)
	}
	return votes, nil
}

// collect hands a block's votes to x/audit, which starts a new epoch when it is time. Powers are
// those of the decided commit. Votes that do not parse are none: the block is decided.
func (app *App) collect(ctx sdk.Context, req *abci.RequestFinalizeBlock) error {
	votes := make([]audit.Vote, len(req.DecidedLastCommit.Votes))
	for i, vote := range req.DecidedLastCommit.Votes {
		votes[i] = audit.Vote{Validator: vote.Validator.Address, Power: vote.Validator.Power}
	}
	if len(req.Txs) > 0 {
		brought, err := parseVotes(req.Txs[0])
		if err == nil && len(brought.Votes) == len(votes) {
			for i, vote := range brought.Votes {
				if vote.BlockIdFlag == cmtproto.BlockIDFlagCommit && bytes.Equal(vote.Validator.Address, votes[i].Validator) {
					votes[i].Extension = vote.VoteExtension
				}
			}
		}
	}
	if err := app.Audit.Advance(ctx, votes); err != nil {
		return fmt.Errorf("advancing the epoch: %w", err)
	}
	return nil
}
