package energy

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/community"
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

// Community gives a community with its terms now.
func (q queryServer) Community(ctx context.Context, req *energyv1.QueryCommunityRequest) (*energyv1.QueryCommunityResponse, error) {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	c, err := q.k.community(ctx, req.Id)
	if err != nil {
		return nil, err
	}
	if c, err = q.k.finalise(sdkCtx, c); err != nil {
		return nil, err
	}
	terms, err := q.k.termsAt(ctx, c.Id, thisHour(sdkCtx))
	return &energyv1.QueryCommunityResponse{Community: c, Terms: terms}, err
}

// Communities lists all communities.
func (q queryServer) Communities(ctx context.Context, req *energyv1.QueryCommunitiesRequest) (*energyv1.QueryCommunitiesResponse, error) {
	list, page, err := query.CollectionPaginate(ctx, q.k.communities, req.Pagination,
		func(_ uint64, c energyv1.Community) (energyv1.Community, error) { return c, nil })
	if err != nil {
		return nil, errorsmod.Wrap(err, "listing communities")
	}
	return &energyv1.QueryCommunitiesResponse{Communities: list, Pagination: page}, nil
}

// Hour gives what was committed of an hour.
func (q queryServer) Hour(ctx context.Context, req *energyv1.QueryHourRequest) (*energyv1.QueryHourResponse, error) {
	h, err := q.k.hour(ctx, req.Community, req.Hour)
	if err != nil {
		return nil, err
	}
	c, err := q.k.community(ctx, req.Community)
	if err != nil {
		return nil, err
	}
	if c, err = q.k.finalise(sdk.UnwrapSDKContext(ctx), c); err != nil {
		return nil, err
	}
	return &energyv1.QueryHourResponse{Hour: h, Final: h.Hour <= c.FinalHour}, nil
}

// Inputs gives terms and members with their standings as they hold for an hour.
func (q queryServer) Inputs(ctx context.Context, req *energyv1.QueryInputsRequest) (*energyv1.QueryInputsResponse, error) {
	terms, err := q.k.termsAt(ctx, req.Community, req.Hour)
	if err != nil {
		return nil, err
	}
	res := &energyv1.QueryInputsResponse{Terms: terms}
	refs, err := q.k.members.Indexes.Community.MatchExact(ctx, req.Community)
	if err != nil {
		return nil, errorsmod.Wrap(err, "reading members")
	}
	keys, err := refs.PrimaryKeys()
	if err != nil {
		return nil, errorsmod.Wrap(err, "reading members")
	}
	for _, key := range keys {
		m, err := q.k.members.Get(ctx, key)
		if err != nil {
			return nil, errorsmod.Wrapf(err, "reading member %d", key.K1())
		}
		if m.Since <= req.Hour && (m.Until == 0 || m.Until > req.Hour) {
			res.Members = append(res.Members, m)
		}
	}
	accounts := []uint64{uint64(community.Utility)}
	for _, m := range res.Members {
		accounts = append(accounts, m.Device)
	}
	for _, account := range accounts {
		s, err := q.k.standing(ctx, req.Community, account, req.Hour)
		if err != nil {
			return nil, err
		}
		res.Standings = append(res.Standings, s)
	}
	return res, nil
}

// Membership gives the community that a meter is in.
func (q queryServer) Membership(ctx context.Context, req *energyv1.QueryMembershipRequest) (*energyv1.QueryMembershipResponse, error) {
	m, err := q.k.membership(ctx, req.Device, thisHour(sdk.UnwrapSDKContext(ctx))+1)
	return &energyv1.QueryMembershipResponse{Member: m}, err
}

// Funds gives an account's money that went in and out.
func (q queryServer) Funds(ctx context.Context, req *energyv1.QueryFundsRequest) (*energyv1.QueryFundsResponse, error) {
	f, err := q.k.funds(ctx, req.Community, req.Account)
	if err != nil {
		return nil, err
	}
	s, err := q.k.standing(ctx, req.Community, req.Account, thisHour(sdk.UnwrapSDKContext(ctx))+1)
	return &energyv1.QueryFundsResponse{Funds: f, Standing: s}, err
}

// Demands lists the open demands.
func (q queryServer) Demands(ctx context.Context, req *energyv1.QueryDemandsRequest) (*energyv1.QueryDemandsResponse, error) {
	list, page, err := query.CollectionFilteredPaginate(ctx, q.k.demands, req.Pagination,
		func(_ uint64, d energyv1.Demand) (bool, error) {
			return req.Community == 0 || d.Community == req.Community, nil
		},
		func(_ uint64, d energyv1.Demand) (energyv1.Demand, error) { return d, nil })
	if err != nil {
		return nil, errorsmod.Wrap(err, "listing demands")
	}
	return &energyv1.QueryDemandsResponse{Demands: list, Pagination: page}, nil
}
