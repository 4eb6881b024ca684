package chainclient

import (
	"context"
	"fmt"

	"github.com/cosmos/cosmos-sdk/types/query"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
)

// StorageParams are the governed numbers of storage.
func (c *Client) StorageParams(ctx context.Context) (storagev1.Params, error) {
	r, err := storagev1.NewQueryClient(c.conn).Params(ctx, &storagev1.QueryParamsRequest{})
	if err != nil {
		return storagev1.Params{}, fmt.Errorf("asking for the parameters of storage: %w", queryError(err))
	}
	return r.Params, nil
}

// StorageChallenge is what a device is asked in an epoch, and its answer if one came.
func (c *Client) StorageChallenge(ctx context.Context, device, epoch uint64) (storagev1.Challenge, error) {
	r, err := storagev1.NewQueryClient(c.conn).Challenge(ctx, &storagev1.QueryChallengeRequest{Device: device, Epoch: epoch})
	if err != nil {
		return storagev1.Challenge{}, fmt.Errorf("asking for the challenge to device %d in epoch %d: %w", device, epoch, queryError(err))
	}
	return r.Challenge, nil
}

// Commitment is the latest commitment of a device; ErrNotFound if it never made one.
func (c *Client) Commitment(ctx context.Context, device uint64) (storagev1.Commitment, error) {
	r, err := storagev1.NewQueryClient(c.conn).Commitment(ctx, &storagev1.QueryCommitmentRequest{Device: device})
	if err != nil {
		return storagev1.Commitment{}, fmt.Errorf("asking for the commitment of device %d: %w", device, queryError(err))
	}
	return *r.Latest, nil
}

// Standing is how a device does at proving; ErrNotFound if it never committed to anything.
func (c *Client) Standing(ctx context.Context, device uint64) (storagev1.Standing, error) {
	r, err := storagev1.NewQueryClient(c.conn).Standing(ctx, &storagev1.QueryStandingRequest{Device: device})
	if err != nil {
		return storagev1.Standing{}, fmt.Errorf("asking for the standing of device %d: %w", device, queryError(err))
	}
	return r.Standing, nil
}

// Standings are those of all devices that ever committed to anything, by device.
func (c *Client) Standings(ctx context.Context) ([]storagev1.Standing, error) {
	q := storagev1.NewQueryClient(c.conn)
	all, err := pages(func(page *query.PageRequest) ([]storagev1.Standing, *query.PageResponse, error) {
		r, err := q.Standings(ctx, &storagev1.QueryStandingsRequest{Pagination: page})
		return r.GetStandings(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing standings: %w", err)
	}
	return all, nil
}

// Faults are the recorded faults of a device, of all devices for 0.
func (c *Client) Faults(ctx context.Context, device uint64) ([]storagev1.Fault, error) {
	q := storagev1.NewQueryClient(c.conn)
	all, err := pages(func(page *query.PageRequest) ([]storagev1.Fault, *query.PageResponse, error) {
		r, err := q.Faults(ctx, &storagev1.QueryFaultsRequest{Device: device, Pagination: page})
		return r.GetFaults(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing faults: %w", err)
	}
	return all, nil
}

// Audits are the open audits of a device, of all devices for 0.
func (c *Client) Audits(ctx context.Context, device uint64) ([]storagev1.Audit, error) {
	q := storagev1.NewQueryClient(c.conn)
	all, err := pages(func(page *query.PageRequest) ([]storagev1.Audit, *query.PageResponse, error) {
		r, err := q.Audits(ctx, &storagev1.QueryAuditsRequest{Device: device, Pagination: page})
		return r.GetAudits(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing audits: %w", err)
	}
	return all, nil
}

// CommitTree says what a device holds (operator).
func (c *Client) CommitTree(ctx context.Context, m *storagev1.MsgCommitTree) (r storagev1.MsgCommitTreeResponse, err error) {
	n := *m
	c.fill(&n.Operator)
	err = c.call(ctx, fmt.Sprintf("committing to tree %d of device %d", m.Version, m.Device), &n, &r)
	return r, err
}

// Prove answers the running epoch's challenge to a device (operator).
func (c *Client) Prove(ctx context.Context, m *storagev1.MsgProve) (r storagev1.MsgProveResponse, err error) {
	n := *m
	c.fill(&n.Operator)
	err = c.call(ctx, fmt.Sprintf("answering the challenge to device %d in epoch %d", m.Device, m.Epoch), &n, &r)
	return r, err
}

// ReportFault points at a challenge that was not answered, for a bounty (anyone).
func (c *Client) ReportFault(ctx context.Context, device, epoch uint64) (r storagev1.MsgReportFaultResponse, err error) {
	m := &storagev1.MsgReportFault{Reporter: c.Address(), Device: device, Epoch: epoch}
	err = c.call(ctx, fmt.Sprintf("reporting device %d for epoch %d", device, epoch), m, &r)
	return r, err
}

// AuditInclusion asks a device for a piece that it gave a receipt for (anyone with the receipt).
func (c *Client) AuditInclusion(ctx context.Context, receipt []byte) (r storagev1.MsgAuditInclusionResponse, err error) {
	m := &storagev1.MsgAuditInclusion{Opener: c.Address(), Receipt: receipt}
	err = c.call(ctx, "opening an inclusion audit", m, &r)
	return r, err
}

// ProveInclusion answers an inclusion audit (operator).
func (c *Client) ProveInclusion(ctx context.Context, m *storagev1.MsgProveInclusion) error {
	n := *m
	c.fill(&n.Operator)
	return c.call(ctx, fmt.Sprintf("answering inclusion audit %d", m.Audit), &n, nil)
}

// Escalate asks on chain for a position that a device did not show to a drawn peer (its operator).
func (c *Client) Escalate(ctx context.Context, m *storagev1.MsgEscalate) (r storagev1.MsgEscalateResponse, err error) {
	n := *m
	c.fill(&n.Operator)
	err = c.call(ctx, fmt.Sprintf("escalating position %d of device %d in epoch %d", m.Index, m.Device, m.Epoch), &n, &r)
	return r, err
}

// ProvePosition answers an escalation (operator).
func (c *Client) ProvePosition(ctx context.Context, m *storagev1.MsgProvePosition) error {
	n := *m
	c.fill(&n.Operator)
	return c.call(ctx, fmt.Sprintf("answering escalation %d", m.Audit), &n, nil)
}

// CloseAudit ends an audit that was not answered in time (anyone).
func (c *Client) CloseAudit(ctx context.Context, audit uint64) (r storagev1.MsgCloseAuditResponse, err error) {
	err = c.call(ctx, fmt.Sprintf("closing audit %d", audit), &storagev1.MsgCloseAudit{Sender: c.Address(), Audit: audit}, &r)
	return r, err
}
