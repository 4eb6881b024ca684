package chainclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	basequeryv1beta1 "cosmossdk.io/api/cosmos/base/query/v1beta1"
	basev1beta1 "cosmossdk.io/api/cosmos/base/v1beta1"
	distributionv1beta1 "cosmossdk.io/api/cosmos/distribution/v1beta1"
	govv1 "cosmossdk.io/api/cosmos/gov/v1"
	stakingv1beta1 "cosmossdk.io/api/cosmos/staking/v1beta1"
	upgradev1beta1 "cosmossdk.io/api/cosmos/upgrade/v1beta1"
	anypb "github.com/cosmos/gogoproto/types/any"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	stdany "google.golang.org/protobuf/types/known/anypb"

	"github.com/cairn-network/cairn/core/price"
)

// Proposal is what governance decides on, as people read it.
type Proposal struct {
	ID       uint64    `json:"id"`
	Title    string    `json:"title"`
	Summary  string    `json:"summary"`
	Proposer string    `json:"proposer"`
	Status   string    `json:"status"` // deposit, voting, passed, rejected or failed
	Failure  string    `json:"failure,omitempty"`
	Deposit  string    `json:"deposit"`
	Ends     time.Time `json:"ends"` // of the deposit or voting period, whichever it is in or was last
	// Actions are what happens if it passes.
	Actions []Action `json:"actions"`
	Tally   Tally    `json:"tally"`
}

// Action is a message of a proposal.
type Action struct {
	Type string `json:"type"` // full name of the message
	// Changes of parameters against those in force now; empty for other messages, and once in force.
	Changes []Change `json:"changes,omitempty"`
	// Text is the message in words or JSON.
	Text string `json:"text"`
}

// Tally is how the votes stand, in bonded acairn.
type Tally struct {
	Yes     price.Amount `json:"yes"`
	No      price.Amount `json:"no"`
	Veto    price.Amount `json:"veto"`
	Abstain price.Amount `json:"abstain"`
	// Bonded is all that could vote.
	Bonded price.Amount `json:"bonded"`
}

// GovernanceTerms are the rules of voting.
type GovernanceTerms struct {
	MinDeposit price.Amount
	Voting     time.Duration
	// Quorum of what is bonded, Threshold of yes among yes, no and veto, VetoThreshold among all, as
	// decimals.
	Quorum, Threshold, VetoThreshold string
}

// GovernanceTerms are the rules of voting in force.
func (c *Client) GovernanceTerms(ctx context.Context) (GovernanceTerms, error) {
	r, err := govv1.NewQueryClient(c.conn).Params(ctx, &govv1.QueryParamsRequest{ParamsType: "voting"})
	if err != nil {
		return GovernanceTerms{}, fmt.Errorf("asking for the rules of voting: %w", queryError(err))
	}
	p := r.GetParams()
	t := GovernanceTerms{Voting: p.GetVotingPeriod().AsDuration(), Quorum: p.GetQuorum(), Threshold: p.GetThreshold(), VetoThreshold: p.GetVetoThreshold()}
	t.MinDeposit, err = acairn(p.GetMinDeposit())
	return t, err
}

// acairn is the amount of the network's coin among coins.
func acairn(coins []*basev1beta1.Coin) (price.Amount, error) {
	for _, coin := range coins {
		if coin.GetDenom() == Denom {
			return price.ParseDecimal(coin.GetAmount())
		}
	}
	return price.Amount{}, nil
}

// statuses are a proposal's, as people name them.
var statuses = map[govv1.ProposalStatus]string{
	govv1.ProposalStatus_PROPOSAL_STATUS_DEPOSIT_PERIOD: "deposit",
	govv1.ProposalStatus_PROPOSAL_STATUS_VOTING_PERIOD:  "voting",
	govv1.ProposalStatus_PROPOSAL_STATUS_PASSED:         "passed",
	govv1.ProposalStatus_PROPOSAL_STATUS_REJECTED:       "rejected",
	govv1.ProposalStatus_PROPOSAL_STATUS_FAILED:         "failed",
}

// Proposals are those of a status, or all for an empty one, the newest first. Tallies of those that
// are being voted on are not counted: ask for Proposal.
func (c *Client) Proposals(ctx context.Context, status string) ([]Proposal, error) {
	request := &govv1.QueryProposalsRequest{Pagination: &basequeryv1beta1.PageRequest{Limit: pageSize, Reverse: true}}
	if status != "" {
		for value, name := range statuses {
			if name == status {
				request.ProposalStatus = value
			}
		}
		if request.ProposalStatus == 0 {
			return nil, fmt.Errorf("status %q: want deposit, voting, passed, rejected or failed", status)
		}
	}
	var all []Proposal
	for {
		r, err := govv1.NewQueryClient(c.conn).Proposals(ctx, request)
		if err != nil {
			return nil, fmt.Errorf("listing proposals: %w", queryError(err))
		}
		for _, p := range r.GetProposals() {
			read, err := c.proposal(ctx, p)
			if err != nil {
				return nil, err
			}
			all = append(all, read)
		}
		next := r.GetPagination().GetNextKey()
		if len(next) == 0 {
			return all, nil
		}
		request.Pagination = &basequeryv1beta1.PageRequest{Key: next, Limit: pageSize, Reverse: true}
	}
}

// Proposal is one proposal with the votes as they stand now.
func (c *Client) Proposal(ctx context.Context, id uint64) (Proposal, error) {
	q := govv1.NewQueryClient(c.conn)
	r, err := q.Proposal(ctx, &govv1.QueryProposalRequest{ProposalId: id})
	if err != nil {
		return Proposal{}, fmt.Errorf("asking for proposal %d: %w", id, queryError(err))
	}
	p, err := c.proposal(ctx, r.GetProposal())
	if err != nil || p.Status == "deposit" {
		return p, err
	}
	tally, err := q.TallyResult(ctx, &govv1.QueryTallyResultRequest{ProposalId: id})
	if err != nil {
		return Proposal{}, fmt.Errorf("asking for the votes of proposal %d: %w", id, queryError(err))
	}
	if p.Tally, err = readTally(tally.GetTally()); err != nil {
		return Proposal{}, fmt.Errorf("votes of proposal %d: %w", id, err)
	}
	pool, err := stakingv1beta1.NewQueryClient(c.conn).Pool(ctx, &stakingv1beta1.QueryPoolRequest{})
	if err != nil {
		return Proposal{}, fmt.Errorf("asking for what is bonded: %w", queryError(err))
	}
	p.Tally.Bonded, err = price.ParseDecimal(pool.GetPool().GetBondedTokens())
	return p, err
}

func readTally(t *govv1.TallyResult) (tally Tally, err error) {
	for _, part := range []struct {
		to   *price.Amount
		text string
	}{
		{&tally.Yes, t.GetYesCount()},
		{&tally.No, t.GetNoCount()},
		{&tally.Veto, t.GetNoWithVetoCount()},
		{&tally.Abstain, t.GetAbstainCount()},
	} {
		if part.text == "" {
			continue
		}
		if *part.to, err = price.ParseDecimal(part.text); err != nil {
			return Tally{}, err
		}
	}
	return tally, nil
}

func (c *Client) proposal(ctx context.Context, p *govv1.Proposal) (Proposal, error) {
	result := Proposal{
		ID: p.GetId(), Title: p.GetTitle(), Summary: p.GetSummary(), Proposer: p.GetProposer(),
		Status: statuses[p.GetStatus()], Failure: p.GetFailedReason(), Ends: p.GetDepositEndTime().AsTime(),
	}
	if p.GetVotingEndTime() != nil {
		result.Ends = p.GetVotingEndTime().AsTime()
	}
	deposit, err := acairn(p.GetTotalDeposit())
	if err != nil {
		return Proposal{}, fmt.Errorf("deposit of proposal %d: %w", result.ID, err)
	}
	result.Deposit = deposit.Format()
	if result.Tally, err = readTally(p.GetFinalTallyResult()); err != nil {
		return Proposal{}, fmt.Errorf("votes of proposal %d: %w", result.ID, err)
	}
	for _, m := range p.GetMessages() {
		action, err := c.action(ctx, m.GetTypeUrl(), m.GetValue())
		if err != nil {
			return Proposal{}, fmt.Errorf("proposal %d: %w", result.ID, err)
		}
		result.Actions = append(result.Actions, action)
	}
	return result, nil
}

// Actions says what messages would do, as Proposal does.
func (c *Client) Actions(ctx context.Context, messages []*anypb.Any) ([]Action, error) {
	actions := make([]Action, len(messages))
	for i, m := range messages {
		var err error
		if actions[i], err = c.action(ctx, m.TypeUrl, m.Value); err != nil {
			return nil, err
		}
	}
	return actions, nil
}

// action reads a message of a proposal.
func (c *Client) action(ctx context.Context, url string, value []byte) (Action, error) {
	a := Action{Type: strings.TrimPrefix(url, "/")}
	if proposed, ok := updated(url, value); ok {
		now, err := c.Params(ctx, proposed.Module)
		if err != nil {
			return Action{}, err
		}
		a.Changes = now.Changes(proposed)
		a.Text = "parameters of " + proposed.Module
		return a, nil
	}
	kind, ok := find[protoreflect.MessageDescriptor](protoreflect.FullName(a.Type))
	if !ok {
		a.Text = fmt.Sprintf("%d bytes that this program cannot read", len(value))
		return a, nil
	}
	m := dynamicpb.NewMessage(kind)
	if err := proto.Unmarshal(value, m); err != nil {
		return Action{}, fmt.Errorf("reading %s: %w", a.Type, err)
	}
	a.Text = showMessage(m)
	return a, nil
}

// Propose hands in a proposal and returns its id. The messages act in governance's name.
func (c *Client) Propose(ctx context.Context, title, summary string, deposit price.Amount, messages ...*anypb.Any) (uint64, error) {
	m := &govv1.MsgSubmitProposal{Proposer: c.Address(), Title: title, Summary: summary}
	if !deposit.IsZero() {
		m.InitialDeposit = []*basev1beta1.Coin{{Denom: Denom, Amount: deposit.String()}}
	}
	if len(messages) == 0 {
		m.Metadata = title // the chain wants one of the two
	}
	for _, message := range messages {
		m.Messages = append(m.Messages, &stdany.Any{TypeUrl: message.TypeUrl, Value: message.Value})
	}
	r, err := c.sendDynamic(ctx, fmt.Sprintf("proposing %q", title), m)
	if err != nil {
		return 0, err
	}
	if len(r.responses) != 1 {
		return 0, fmt.Errorf("proposing %q: transaction %s has %d responses", title, r.Hash, len(r.responses))
	}
	var answer govv1.MsgSubmitProposalResponse
	if err := proto.Unmarshal(r.responses[0].Value, &answer); err != nil {
		return 0, fmt.Errorf("proposing %q: reading the answer: %w", title, err)
	}
	return answer.GetProposalId(), nil
}

// VoteOptions are the votes there are, as people name them.
var VoteOptions = []string{"yes", "no", "abstain", "veto"}

// Vote votes with all that the account has bonded.
func (c *Client) Vote(ctx context.Context, id uint64, option string) error {
	options := map[string]govv1.VoteOption{
		"yes": govv1.VoteOption_VOTE_OPTION_YES, "no": govv1.VoteOption_VOTE_OPTION_NO,
		"abstain": govv1.VoteOption_VOTE_OPTION_ABSTAIN, "veto": govv1.VoteOption_VOTE_OPTION_NO_WITH_VETO,
	}
	value, ok := options[option]
	if !ok {
		return fmt.Errorf("vote %q: want %s", option, strings.Join(VoteOptions, ", "))
	}
	_, err := c.sendDynamic(ctx, fmt.Sprintf("voting on proposal %d", id), &govv1.MsgVote{ProposalId: id, Voter: c.Address(), Option: value})
	return err
}

// DepositOn adds to a proposal's deposit; it comes back unless the proposal is vetoed.
func (c *Client) DepositOn(ctx context.Context, id uint64, amount price.Amount) error {
	_, err := c.sendDynamic(ctx, fmt.Sprintf("depositing on proposal %d", id), &govv1.MsgDeposit{
		ProposalId: id, Depositor: c.Address(), Amount: []*basev1beta1.Coin{{Denom: Denom, Amount: amount.String()}},
	})
	return err
}

func (c *Client) sendDynamic(ctx context.Context, what string, m proto.Message) (TxResult, error) {
	packed, err := packDynamic(m)
	if err != nil {
		return TxResult{}, err
	}
	r, err := c.send(ctx, []*anypb.Any{packed})
	if err != nil {
		return TxResult{}, fmt.Errorf("%s: %w", what, err)
	}
	return r, nil
}

// Rehearse has the node run a proposal's messages as governance would, at the present state, and
// keeps nothing of it: what they would be refused for shows before anyone votes. The error is the
// chain's own.
func (c *Client) Rehearse(ctx context.Context, messages ...*anypb.Any) error {
	if c.config.Account == nil {
		return ErrNoAccount
	}
	chainID, err := c.ChainID(ctx)
	if err != nil {
		return err
	}
	// A simulation checks no signature; governance has signed nothing and never will.
	_, err = c.simulate(ctx, draft{messages: messages, chainID: chainID})
	return err
}

// Spend is the message that pays from the community pool.
func Spend(to string, amount price.Amount) (*anypb.Any, error) {
	return packDynamic(&distributionv1beta1.MsgCommunityPoolSpend{
		Authority: Governance(), Recipient: to, Amount: []*basev1beta1.Coin{{Denom: Denom, Amount: amount.String()}},
	})
}

// Upgrade is the message that stops the chain at a height for a release of a name.
func Upgrade(name string, height int64, info string) (*anypb.Any, error) {
	return packDynamic(&upgradev1beta1.MsgSoftwareUpgrade{
		Authority: Governance(), Plan: &upgradev1beta1.Plan{Name: name, Height: height, Info: info},
	})
}

// ParseMessage reads a message as JSON with its full name in "@type". An empty authority becomes
// governance.
func ParseMessage(raw []byte) (*anypb.Any, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("reading a message: %w", err)
	}
	var url string
	if err := json.Unmarshal(fields["@type"], &url); err != nil || url == "" {
		return nil, errors.New(`reading a message: want its full name in "@type", such as "/cairn.device.v1.MsgBan"`)
	}
	delete(fields, "@type")
	kind, ok := find[protoreflect.MessageDescriptor](protoreflect.FullName(strings.TrimPrefix(url, "/")))
	if !ok {
		return nil, fmt.Errorf("reading a message: %s is not known", url)
	}
	rest, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", url, err)
	}
	m := dynamicpb.NewMessage(kind)
	if err := protojson.Unmarshal(rest, m); err != nil {
		return nil, fmt.Errorf("reading %s: %w", url, err)
	}
	if authority := kind.Fields().ByName("authority"); authority != nil && authority.Kind() == protoreflect.StringKind && !m.Has(authority) {
		m.Set(authority, protoreflect.ValueOfString(Governance()))
	}
	return packDynamic(m)
}
