package energy

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"github.com/cosmos/cosmos-sdk/types/query"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
)

// queryServer answers the module's queries.
type queryServer struct{ k *Keeper }

// NewQueryServer is the module's query service over a keeper.
func NewQueryServer(k *Keeper) energyv1.QueryServer { return queryServer{k} }

// Params gives the parameters.
func (q queryServer) Params(ctx context.Context, _ *energyv1.QueryParamsRequest) (*energyv1.QueryParamsResponse, error) {
	params, err := q.k.Params(ctx)
	return &energyv1.QueryParamsResponse{Params: params}, err
}

// Station gives one station.
func (q queryServer) Station(ctx context.Context, req *energyv1.QueryStationRequest) (*energyv1.QueryStationResponse, error) {
	s, err := q.k.station(ctx, req.Device)
	return &energyv1.QueryStationResponse{Station: s}, err
}

// Stations lists all stations.
func (q queryServer) Stations(ctx context.Context, req *energyv1.QueryStationsRequest) (*energyv1.QueryStationsResponse, error) {
	list, page, err := query.CollectionPaginate(ctx, q.k.stations, req.Pagination,
		func(_ uint64, s energyv1.Station) (energyv1.Station, error) { return s, nil })
	if err != nil {
		return nil, errorsmod.Wrap(err, "listing stations")
	}
	return &energyv1.QueryStationsResponse{Stations: list, Pagination: page}, nil
}

// Tariff gives one tariff.
func (q queryServer) Tariff(ctx context.Context, req *energyv1.QueryTariffRequest) (*energyv1.QueryTariffResponse, error) {
	t, err := q.k.tariff(ctx, req.Id)
	return &energyv1.QueryTariffResponse{Tariff: t}, err
}

// Session gives one session.
func (q queryServer) Session(ctx context.Context, req *energyv1.QuerySessionRequest) (*energyv1.QuerySessionResponse, error) {
	s, err := q.k.session(ctx, req.Id)
	return &energyv1.QuerySessionResponse{Session: s}, err
}

// Sessions lists sessions of a station, of a driver, or all.
func (q queryServer) Sessions(ctx context.Context, req *energyv1.QuerySessionsRequest) (*energyv1.QuerySessionsResponse, error) {
	var (
		list []energyv1.Session
		page *query.PageResponse
		err  error
	)
	switch {
	case req.Station != 0 && req.Driver != "":
		return nil, errorsmod.Wrap(ErrField, "station and driver: want one of both")
	case req.Station != 0:
		list, page, err = listed(ctx, q.k.sessions.Indexes.Station, q.k.session, req.Station, req.Pagination)
	case req.Driver != "":
		_, driver, parse := q.k.parseAccount("driver", req.Driver)
		if parse != nil {
			return nil, parse
		}
		list, page, err = listed(ctx, q.k.sessions.Indexes.Driver, q.k.session, driver, req.Pagination)
	default:
		list, page, err = query.CollectionPaginate(ctx, q.k.sessions, req.Pagination,
			func(_ uint64, s energyv1.Session) (energyv1.Session, error) { return s, nil })
	}
	if err != nil {
		return nil, errorsmod.Wrap(err, "listing sessions")
	}
	return &energyv1.QuerySessionsResponse{Sessions: list, Pagination: page}, nil
}

// listed reads a page of what an index has under a reference.
func listed[R, K, V any](
	ctx context.Context,
	index query.Collection[collections.Pair[R, K], collections.NoValue],
	load func(context.Context, K) (V, error),
	under R,
	page *query.PageRequest,
) ([]V, *query.PageResponse, error) {
	return query.CollectionPaginate(ctx, index, page,
		func(ref collections.Pair[R, K], _ collections.NoValue) (V, error) { return load(ctx, ref.K2()) },
		query.WithCollectionPaginationPairPrefix[R, K](under))
}
