package chainclient

import (
	"context"
	"fmt"

	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/types/query"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/price"
)

// EnergyParams are the governed numbers of energy and charging.
func (c *Client) EnergyParams(ctx context.Context) (energyv1.Params, error) {
	r, err := energyv1.NewQueryClient(c.conn).Params(ctx, &energyv1.QueryParamsRequest{})
	if err != nil {
		return energyv1.Params{}, fmt.Errorf("asking for the parameters of energy: %w", queryError(err))
	}
	return r.Params, nil
}

// Station is one charging station by its device; ErrNotFound.
func (c *Client) Station(ctx context.Context, device uint64) (energyv1.Station, error) {
	r, err := energyv1.NewQueryClient(c.conn).Station(ctx, &energyv1.QueryStationRequest{Device: device})
	if err != nil {
		return energyv1.Station{}, fmt.Errorf("asking for station %d: %w", device, queryError(err))
	}
	return r.Station, nil
}

// Stations are all charging stations, by device.
func (c *Client) Stations(ctx context.Context) ([]energyv1.Station, error) {
	q := energyv1.NewQueryClient(c.conn)
	stations, err := pages(func(page *query.PageRequest) ([]energyv1.Station, *query.PageResponse, error) {
		r, err := q.Stations(ctx, &energyv1.QueryStationsRequest{Pagination: page})
		return r.GetStations(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing stations: %w", err)
	}
	return stations, nil
}

// Tariff is one price list; ErrNotFound. It never changes.
func (c *Client) Tariff(ctx context.Context, id uint64) (energyv1.Tariff, error) {
	r, err := energyv1.NewQueryClient(c.conn).Tariff(ctx, &energyv1.QueryTariffRequest{Id: id})
	if err != nil {
		return energyv1.Tariff{}, fmt.Errorf("asking for tariff %d: %w", id, queryError(err))
	}
	return r.Tariff, nil
}

// ChargingSession is one session with its bill, if it has one; ErrNotFound.
func (c *Client) ChargingSession(ctx context.Context, id uint64) (energyv1.Session, error) {
	r, err := energyv1.NewQueryClient(c.conn).Session(ctx, &energyv1.QuerySessionRequest{Id: id})
	if err != nil {
		return energyv1.Session{}, fmt.Errorf("asking for session %d: %w", id, queryError(err))
	}
	return r.Session, nil
}

// ChargingFilter narrows a list of sessions to those of a station or of a driver, not both; zero
// values do not.
type ChargingFilter struct {
	Station uint64
	Driver  string
}

// ChargingSessions are all sessions that pass the filter, by id.
func (c *Client) ChargingSessions(ctx context.Context, filter ChargingFilter) ([]energyv1.Session, error) {
	q := energyv1.NewQueryClient(c.conn)
	sessions, err := pages(func(page *query.PageRequest) ([]energyv1.Session, *query.PageResponse, error) {
		r, err := q.Sessions(ctx, &energyv1.QuerySessionsRequest{Station: filter.Station, Driver: filter.Driver, Pagination: page})
		return r.GetSessions(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	return sessions, nil
}

// SetStation puts a station on offer or changes it for sessions to come (operator).
func (c *Client) SetStation(ctx context.Context, m *energyv1.MsgSetStation) (version uint64, err error) {
	n := *m
	c.fill(&n.Operator)
	var r energyv1.MsgSetStationResponse
	err = c.call(ctx, fmt.Sprintf("setting station %d", m.Device), &n, &r)
	return r.Version, err
}

// PublishTariff keeps a price list (OCPI 2.2.1 JSON in CAIRN) on the chain and returns its id.
func (c *Client) PublishTariff(ctx context.Context, document []byte) (uint64, error) {
	var r energyv1.MsgPublishTariffResponse
	err := c.call(ctx, "publishing a tariff", &energyv1.MsgPublishTariff{Publisher: c.Address(), Document: document}, &r)
	return r.Id, err
}

// OpenSession locks money for charging at a connector (driver). tariff is the one the driver has seen.
func (c *Client) OpenSession(ctx context.Context, station uint64, connector uint32, tariff uint64, escrow price.Amount) (energyv1.MsgOpenSessionResponse, error) {
	var r energyv1.MsgOpenSessionResponse
	err := c.call(ctx, fmt.Sprintf("opening a session at connector %d of station %d", connector, station), &energyv1.MsgOpenSession{
		Driver: c.Address(), Station: station, Connector: connector, Tariff: tariff, Escrow: coin(escrow),
	}, &r)
	return r, err
}

// StartSession says that charging has begun and returns by when to bill, Unix seconds (operator).
func (c *Client) StartSession(ctx context.Context, session uint64) (billBy int64, err error) {
	var r energyv1.MsgStartSessionResponse
	err = c.call(ctx, fmt.Sprintf("starting session %d", session), &energyv1.MsgStartSession{Operator: c.Address(), Session: session}, &r)
	return r.BillBy, err
}

// SettleSession bills a session from its records (operator).
func (c *Client) SettleSession(ctx context.Context, m *energyv1.MsgSettleSession) (energyv1.Bill, error) {
	n := *m
	c.fill(&n.Operator)
	var r energyv1.MsgSettleSessionResponse
	err := c.call(ctx, fmt.Sprintf("billing session %d", m.Session), &n, &r)
	return r.Bill, err
}

// CancelSession gives up a session that has not begun; the money comes back at once (driver).
func (c *Client) CancelSession(ctx context.Context, session uint64) error {
	return c.call(ctx, fmt.Sprintf("cancelling session %d", session), &energyv1.MsgCancelSession{Driver: c.Address(), Session: session}, nil)
}

// CloseSession has done what is due for a session whose deadline has passed (anyone).
func (c *Client) CloseSession(ctx context.Context, session uint64) (energyv1.SessionState, error) {
	var r energyv1.MsgCloseSessionResponse
	err := c.call(ctx, fmt.Sprintf("closing session %d", session), &energyv1.MsgCloseSession{Sender: c.Address(), Session: session}, &r)
	return r.State, err
}

// DisputeSession objects to a bill whose payout waits and returns by when the station answers, Unix
// seconds (driver).
func (c *Client) DisputeSession(ctx context.Context, session uint64, reason string) (answerBy int64, err error) {
	var r energyv1.MsgDisputeSessionResponse
	err = c.call(ctx, fmt.Sprintf("disputing session %d", session), &energyv1.MsgDisputeSession{Driver: c.Address(), Session: session, Reason: reason}, &r)
	return r.AnswerBy, err
}

// AnswerDispute says what the station gives back (operator).
func (c *Client) AnswerDispute(ctx context.Context, session uint64, giveBack price.Amount) error {
	return c.call(ctx, fmt.Sprintf("answering the dispute of session %d", session), &energyv1.MsgAnswerDispute{
		Operator: c.Address(), Session: session, GiveBack: math.NewIntFromBigInt(giveBack.Big()),
	}, nil)
}
