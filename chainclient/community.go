package chainclient

import (
	"context"
	"fmt"

	"github.com/cosmos/cosmos-sdk/types/query"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/community"
	"github.com/cairn-network/cairn/core/meter"
	"github.com/cairn-network/cairn/core/price"
)

// Community is one energy community, and the terms that it trades by now; ErrNotFound.
func (c *Client) Community(ctx context.Context, id uint64) (energyv1.Community, energyv1.Terms, error) {
	r, err := energyv1.NewQueryClient(c.conn).Community(ctx, &energyv1.QueryCommunityRequest{Id: id})
	if err != nil {
		return energyv1.Community{}, energyv1.Terms{}, fmt.Errorf("asking for community %d: %w", id, queryError(err))
	}
	return r.Community, r.Terms, nil
}

// Communities are all energy communities, by id.
func (c *Client) Communities(ctx context.Context) ([]energyv1.Community, error) {
	q := energyv1.NewQueryClient(c.conn)
	all, err := pages(func(page *query.PageRequest) ([]energyv1.Community, *query.PageResponse, error) {
		r, err := q.Communities(ctx, &energyv1.QueryCommunitiesRequest{Pagination: page})
		return r.GetCommunities(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing communities: %w", err)
	}
	return all, nil
}

// CommunityHour is what was committed of an hour, and whether it is final; ErrNotFound.
func (c *Client) CommunityHour(ctx context.Context, id uint64, hour meter.Hour) (h energyv1.Hour, final bool, err error) {
	r, err := energyv1.NewQueryClient(c.conn).Hour(ctx, &energyv1.QueryHourRequest{Community: id, Hour: uint64(hour)})
	if err != nil {
		return h, false, fmt.Errorf("asking for hour %d of community %d: %w", hour, id, queryError(err))
	}
	return r.Hour, r.Final, nil
}

// CommunityInputs are terms and members with their standings as they hold for an hour.
func (c *Client) CommunityInputs(ctx context.Context, id uint64, hour meter.Hour) (energyv1.QueryInputsResponse, error) {
	r, err := energyv1.NewQueryClient(c.conn).Inputs(ctx, &energyv1.QueryInputsRequest{Community: id, Hour: uint64(hour)})
	if err != nil {
		return energyv1.QueryInputsResponse{}, fmt.Errorf("asking for what hour %d of community %d follows from: %w", hour, id, queryError(err))
	}
	return *r, nil
}

// Membership is the community that a meter is in; ErrNotFound.
func (c *Client) Membership(ctx context.Context, device uint64) (energyv1.Member, error) {
	r, err := energyv1.NewQueryClient(c.conn).Membership(ctx, &energyv1.QueryMembershipRequest{Device: device})
	if err != nil {
		return energyv1.Member{}, fmt.Errorf("asking for the community of meter %d: %w", device, queryError(err))
	}
	return r.Member, nil
}

// CommunityFunds are what went into an account and out of it, and what holds for it from the next hour on.
func (c *Client) CommunityFunds(ctx context.Context, id uint64, account community.AccountID) (energyv1.Funds, energyv1.Standing, error) {
	r, err := energyv1.NewQueryClient(c.conn).Funds(ctx, &energyv1.QueryFundsRequest{Community: id, Account: uint64(account)})
	if err != nil {
		return energyv1.Funds{}, energyv1.Standing{}, fmt.Errorf("asking for the funds of account %d: %w", account, queryError(err))
	}
	return r.Funds, r.Standing, nil
}

// EnergyDemands are the open demands to the aggregator of a community.
func (c *Client) EnergyDemands(ctx context.Context, id uint64) ([]energyv1.Demand, error) {
	q := energyv1.NewQueryClient(c.conn)
	all, err := pages(func(page *query.PageRequest) ([]energyv1.Demand, *query.PageResponse, error) {
		r, err := q.Demands(ctx, &energyv1.QueryDemandsRequest{Community: id, Pagination: page})
		return r.GetDemands(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing demands of community %d: %w", id, err)
	}
	return all, nil
}

// CreateCommunity begins a community and returns its id (manager).
func (c *Client) CreateCommunity(ctx context.Context, m *energyv1.MsgCreateCommunity) (uint64, error) {
	n := *m
	c.fill(&n.Manager)
	var r energyv1.MsgCreateCommunityResponse
	err := c.call(ctx, "creating a community", &n, &r)
	return r.Id, err
}

// JoinCommunity makes a meter a member and returns the first hour (operator).
func (c *Client) JoinCommunity(ctx context.Context, m *energyv1.MsgJoinCommunity) (meter.Hour, error) {
	n := *m
	c.fill(&n.Operator)
	var r energyv1.MsgJoinCommunityResponse
	err := c.call(ctx, fmt.Sprintf("joining community %d with meter %d", m.Community, m.Device), &n, &r)
	return meter.Hour(r.Since), err
}

// SetLimits says at which prices, in ticks, a meter trades with neighbours (operator).
func (c *Client) SetLimits(ctx context.Context, id, device uint64, sellAbove, buyBelow int32) error {
	return c.call(ctx, fmt.Sprintf("setting the limits of meter %d", device), &energyv1.MsgSetLimits{
		Operator: c.Address(), Community: id, Device: device, SellAbove: sellAbove, BuyBelow: buyBelow,
	}, nil)
}

// DepositEnergy pays into an account of a community (anyone).
func (c *Client) DepositEnergy(ctx context.Context, id uint64, account community.AccountID, amount price.Amount) error {
	return c.call(ctx, fmt.Sprintf("paying %s into account %d", amount.Format(), account), &energyv1.MsgDeposit{
		Sender: c.Address(), Community: id, Account: uint64(account), Amount: coin(amount),
	}, nil)
}

// WithdrawEnergy asks for money of an account and returns the hour that must be final before
// ClaimEnergy pays it (its owner, or its meter's operator).
func (c *Client) WithdrawEnergy(ctx context.Context, id uint64, account community.AccountID, amount price.Amount) (meter.Hour, error) {
	var r energyv1.MsgWithdrawResponse
	err := c.call(ctx, fmt.Sprintf("asking for %s of account %d", amount.Format(), account), &energyv1.MsgWithdraw{
		Sender: c.Address(), Community: id, Account: uint64(account), Amount: coin(amount),
	}, &r)
	return meter.Hour(r.Hour), err
}

// ClaimEnergy has paid out what an account asked for, by its proof or absence under the final accounts
// (anyone).
func (c *Client) ClaimEnergy(ctx context.Context, m *energyv1.MsgClaim) (energyv1.MsgClaimResponse, error) {
	n := *m
	c.fill(&n.Sender)
	var r energyv1.MsgClaimResponse
	err := c.call(ctx, fmt.Sprintf("claiming for account %d", m.Account), &n, &r)
	return r, err
}

// CommitHour commits to an hour and returns when it is final, Unix seconds (aggregator's operator).
func (c *Client) CommitHour(ctx context.Context, m *energyv1.MsgCommitHour) (finalAt int64, err error) {
	n := *m
	c.fill(&n.Operator)
	var r energyv1.MsgCommitHourResponse
	err = c.call(ctx, fmt.Sprintf("committing hour %d of community %d", m.Hour, m.Community), &n, &r)
	return r.FinalAt, err
}

// ServeEnergyData answers a demand (aggregator's operator).
func (c *Client) ServeEnergyData(ctx context.Context, m *energyv1.MsgServeData) (faulty bool, err error) {
	n := *m
	c.fill(&n.Operator)
	var r energyv1.MsgServeDataResponse
	err = c.call(ctx, fmt.Sprintf("answering demand %d", m.Demand), &n, &r)
	return r.Faulty, err
}
