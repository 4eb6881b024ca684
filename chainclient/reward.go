package chainclient

import (
	"context"
	"fmt"

	"github.com/cosmos/cosmos-sdk/types/query"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
)

// RewardParams are the governed numbers of rewards.
func (c *Client) RewardParams(ctx context.Context) (rewardv1.Params, error) {
	r, err := rewardv1.NewQueryClient(c.conn).Params(ctx, &rewardv1.QueryParamsRequest{})
	if err != nil {
		return rewardv1.Params{}, fmt.Errorf("asking for the parameters of rewards: %w", queryError(err))
	}
	return r.Params, nil
}

// Claimed is what a device has been paid of what reports of a service give it.
func (c *Client) Claimed(ctx context.Context, service score.Service, device uint64) (price.Amount, error) {
	r, err := rewardv1.NewQueryClient(c.conn).Claimed(ctx, &rewardv1.QueryClaimedRequest{Service: uint32(service), Device: device})
	if err != nil {
		return price.Amount{}, fmt.Errorf("asking what device %d has claimed: %w", device, queryError(err))
	}
	amount, err := price.FromBig(r.Amount.BigInt())
	if err != nil {
		return price.Amount{}, fmt.Errorf("reading what device %d has claimed: %w", device, err)
	}
	return amount, nil
}

// Emission says how many coins exist and how far the schedule has come.
func (c *Client) Emission(ctx context.Context) (*rewardv1.QueryEmissionResponse, error) {
	r, err := rewardv1.NewQueryClient(c.conn).Emission(ctx, &rewardv1.QueryEmissionRequest{})
	if err != nil {
		return nil, fmt.Errorf("asking for the emission: %w", queryError(err))
	}
	return r, nil
}

// NeedMap lists the cells in which something happened in an epoch, 0 for the running one, with their
// need.
func (c *Client) NeedMap(ctx context.Context, service score.Service, epoch uint64) ([]rewardv1.CellEpoch, error) {
	q := rewardv1.NewQueryClient(c.conn)
	cells, err := pages(func(page *query.PageRequest) ([]rewardv1.CellEpoch, *query.PageResponse, error) {
		r, err := q.Map(ctx, &rewardv1.QueryMapRequest{Service: uint32(service), Epoch: epoch, Pagination: page})
		return r.GetCells(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing the need map: %w", err)
	}
	return cells, nil
}

// Need is how much a place needs a service now, per mille.
func (c *Client) Need(ctx context.Context, service score.Service, place geo.Cell) (uint32, error) {
	r, err := rewardv1.NewQueryClient(c.conn).Need(ctx, &rewardv1.QueryNeedRequest{Service: uint32(service), Cell: uint64(place)})
	if err != nil {
		return 0, fmt.Errorf("asking for the need of %s: %w", place, queryError(err))
	}
	return r.Need, nil
}

// Boosts lists sponsors' boosts; a sponsor narrows the list, empty does not.
func (c *Client) Boosts(ctx context.Context, sponsor string) ([]rewardv1.Boost, error) {
	q := rewardv1.NewQueryClient(c.conn)
	boosts, err := pages(func(page *query.PageRequest) ([]rewardv1.Boost, *query.PageResponse, error) {
		r, err := q.Boosts(ctx, &rewardv1.QueryBoostsRequest{Sponsor: sponsor, Pagination: page})
		return r.GetBoosts(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing boosts: %w", err)
	}
	return boosts, nil
}

// Claim pays devices' owners what a final report gives them, and says what owners got and what the
// account kept.
func (c *Client) Claim(ctx context.Context, service score.Service, epoch uint64, proofs [][]byte) (rewardv1.MsgClaimResponse, error) {
	var r rewardv1.MsgClaimResponse
	err := c.call(ctx, fmt.Sprintf("claiming for %d devices", len(proofs)),
		&rewardv1.MsgClaim{Payer: c.Address(), Service: uint32(service), Epoch: epoch, Proofs: proofs}, &r)
	return r, err
}

// ClaimCost is what Claim would cost in fees now.
func (c *Client) ClaimCost(ctx context.Context, service score.Service, epoch uint64, proofs [][]byte) (price.Amount, error) {
	cost, err := c.Cost(ctx, &rewardv1.MsgClaim{Payer: c.Address(), Service: uint32(service), Epoch: epoch, Proofs: proofs})
	if err != nil {
		return cost, fmt.Errorf("pricing a claim for %d devices: %w", len(proofs), err)
	}
	return cost, nil
}

// SetRelay says what others may keep of the claims that they send for the account, basis points.
func (c *Client) SetRelay(ctx context.Context, bps uint32) error {
	return c.call(ctx, "setting what relays may keep", &rewardv1.MsgSetRelay{Owner: c.Address(), FeeBps: bps}, nil)
}

// Boost escrows money for a cell of the need map and gives the boost's number.
func (c *Client) Boost(ctx context.Context, m *rewardv1.MsgBoost) (uint64, error) {
	n := *m
	c.fill(&n.Sponsor)
	var r rewardv1.MsgBoostResponse
	err := c.call(ctx, fmt.Sprintf("boosting cell %x", m.Cell), &n, &r)
	return r.Id, err
}

// EndBoost takes back what is left of a boost.
func (c *Client) EndBoost(ctx context.Context, id uint64) (price.Amount, error) {
	var r rewardv1.MsgEndBoostResponse
	if err := c.call(ctx, fmt.Sprintf("ending boost %d", id), &rewardv1.MsgEndBoost{Sender: c.Address(), Id: id}, &r); err != nil {
		return price.Amount{}, err
	}
	return price.FromBig(r.Refund.Amount.BigInt())
}

// Incomes are what an owner's devices brought in a year, by month and denomination.
func (c *Client) Incomes(ctx context.Context, owner string, year int) ([]rewardv1.Income, error) {
	r, err := rewardv1.NewQueryClient(c.conn).Incomes(ctx, &rewardv1.QueryIncomesRequest{Owner: owner, Year: uint32(max(year, 0))})
	if err != nil {
		return nil, fmt.Errorf("asking what %s earned in %d: %w", owner, year, queryError(err))
	}
	return r.Incomes, nil
}
