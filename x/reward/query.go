package reward

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"github.com/cosmos/cosmos-sdk/types/query"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
)

// queryServer answers the module's queries.
type queryServer struct{ *Keeper }

// NewQueryServer is the module's query service over a keeper.
func NewQueryServer(k *Keeper) rewardv1.QueryServer { return queryServer{k} }

// Params gives the parameters.
func (s queryServer) Params(ctx context.Context, _ *rewardv1.QueryParamsRequest) (*rewardv1.QueryParamsResponse, error) {
	params, err := s.Keeper.Params(ctx)
	return &rewardv1.QueryParamsResponse{Params: params}, err
}

// Emission gives the schedule and how far it has come.
func (s queryServer) Emission(ctx context.Context, _ *rewardv1.QueryEmissionRequest) (*rewardv1.QueryEmissionResponse, error) {
	e, err := s.emission.Get(ctx)
	if err != nil {
		return nil, errorsmod.Wrap(err, "reading emission")
	}
	return &rewardv1.QueryEmissionResponse{
		Emission:  e,
		Supply:    s.bank.GetSupply(ctx, price.Denom).Amount,
		Scheduled: toInt(schedule(e).Issued(e.ElapsedSeconds)),
	}, nil
}

// Ledger gives a service's sums.
func (s queryServer) Ledger(ctx context.Context, req *rewardv1.QueryLedgerRequest) (*rewardv1.QueryLedgerResponse, error) {
	service, err := parseService("service", req.Service)
	if err != nil {
		return nil, err
	}
	l, err := s.ledger(ctx, service)
	return &rewardv1.QueryLedgerResponse{Ledger: l}, err
}

// Epochs lists a service's epochs that are kept, newest first where the request asks for reverse.
func (s queryServer) Epochs(ctx context.Context, req *rewardv1.QueryEpochsRequest) (*rewardv1.QueryEpochsResponse, error) {
	if _, err := parseService("service", req.Service); err != nil {
		return nil, err
	}
	epochs, page, err := query.CollectionFilteredPaginate(ctx, s.totals, req.Pagination,
		func(key epochKey, _ rewardv1.Epoch) (bool, error) { return key.K2() == req.Service, nil },
		func(_ epochKey, e rewardv1.Epoch) (rewardv1.Epoch, error) { return e, nil })
	return &rewardv1.QueryEpochsResponse{Epochs: epochs, Pagination: page}, errorsmod.Wrap(err, "listing epochs")
}

// Epoch gives what a service did in one epoch.
func (s queryServer) Epoch(ctx context.Context, req *rewardv1.QueryEpochRequest) (*rewardv1.QueryEpochResponse, error) {
	if _, err := parseService("service", req.Service); err != nil {
		return nil, err
	}
	e, err := s.total(ctx, req.Epoch, req.Service)
	return &rewardv1.QueryEpochResponse{Epoch: e}, err
}

// Roots lists the final reports of a service that claims may name.
func (s queryServer) Roots(ctx context.Context, req *rewardv1.QueryRootsRequest) (*rewardv1.QueryRootsResponse, error) {
	service, err := parseService("service", req.Service)
	if err != nil {
		return nil, err
	}
	roots, err := s.rootsOf(ctx, service)
	return &rewardv1.QueryRootsResponse{Roots: roots}, err
}

// Device gives what is known here of a device in an epoch; epoch 0 is the running one.
func (s queryServer) Device(ctx context.Context, req *rewardv1.QueryDeviceRequest) (*rewardv1.QueryDeviceResponse, error) {
	service, err := parseService("service", req.Service)
	if err != nil {
		return nil, err
	}
	epoch, err := s.epochOr(ctx, req.Epoch)
	if err != nil {
		return nil, err
	}
	own, err := s.fact(ctx, collections.Join3(epoch, req.Service, req.Device))
	if err != nil {
		return nil, err
	}
	f := score.Fact{Service: service, Epoch: epoch, Device: req.Device}
	if err := s.Complete(ctx, &f); err != nil {
		return nil, err
	}
	return &rewardv1.QueryDeviceResponse{Device: own, Need: f.Need, Boost: toInt(f.Boost)}, nil
}

// epochOr gives the number, or that of the running epoch for 0.
func (s queryServer) epochOr(ctx context.Context, number uint64) (uint64, error) {
	if number > 0 {
		return number, nil
	}
	current, err := s.epochs.Current(ctx)
	return current.Number, err
}

// Claimed gives what a device has been paid.
func (s queryServer) Claimed(ctx context.Context, req *rewardv1.QueryClaimedRequest) (*rewardv1.QueryClaimedResponse, error) {
	if _, err := parseService("service", req.Service); err != nil {
		return nil, err
	}
	c, err := s.claimedOf(ctx, req.Service, req.Device)
	return &rewardv1.QueryClaimedResponse{Amount: c.Amount}, err
}

// Map lists the cells of the need map in which something happened in an epoch.
func (s queryServer) Map(ctx context.Context, req *rewardv1.QueryMapRequest) (*rewardv1.QueryMapResponse, error) {
	service, err := parseService("service", req.Service)
	if err != nil {
		return nil, err
	}
	epoch, err := s.epochOr(ctx, req.Epoch)
	if err != nil {
		return nil, err
	}
	cells, page, err := query.CollectionPaginate(ctx, s.cells, req.Pagination,
		func(_ epochItemKey, c rewardv1.CellEpoch) (rewardv1.CellEpoch, error) {
			var err error
			if c.Need == 0 {
				c.Need, err = s.Keeper.Need(ctx, epoch, service, geo.Cell(c.Cell))
			}
			return c, err
		},
		func(options *query.CollectionsPaginateOptions[epochItemKey]) {
			prefix := collections.TripleSuperPrefix[uint64, uint32, uint64](epoch, req.Service)
			options.Prefix = &prefix
		})
	return &rewardv1.QueryMapResponse{Cells: cells, Pagination: page}, errorsmod.Wrap(err, "listing cells")
}

// Need gives how much a place needs a service now.
func (s queryServer) Need(ctx context.Context, req *rewardv1.QueryNeedRequest) (*rewardv1.QueryNeedResponse, error) {
	service, err := parseService("service", req.Service)
	if err != nil {
		return nil, err
	}
	place := geo.Cell(req.Cell)
	if !place.Valid() {
		return nil, errorsmod.Wrapf(ErrCell, "cell %x", req.Cell)
	}
	current, err := s.epochs.Current(ctx)
	if err != nil {
		return nil, err
	}
	need, err := s.Keeper.Need(ctx, current.Number, service, place)
	return &rewardv1.QueryNeedResponse{Need: need}, err
}

// Boosts lists the boosts of a sponsor, or of a cell, or all.
func (s queryServer) Boosts(ctx context.Context, req *rewardv1.QueryBoostsRequest) (*rewardv1.QueryBoostsResponse, error) {
	if req.Cell != 0 {
		if _, err := parseService("service", req.Service); err != nil {
			return nil, err
		}
		boosts, err := s.boostsOf(ctx, req.Service, req.Cell)
		return &rewardv1.QueryBoostsResponse{Boosts: boosts}, err
	}
	sponsor := ""
	if req.Sponsor != "" {
		var err error
		if _, sponsor, err = s.parseAccount("sponsor", req.Sponsor); err != nil {
			return nil, err
		}
	}
	boosts, page, err := query.CollectionFilteredPaginate(ctx, s.boosts, req.Pagination,
		func(_ uint64, b rewardv1.Boost) (bool, error) { return sponsor == "" || b.Sponsor == sponsor, nil },
		func(_ uint64, b rewardv1.Boost) (rewardv1.Boost, error) { return b, nil })
	return &rewardv1.QueryBoostsResponse{Boosts: boosts, Pagination: page}, errorsmod.Wrap(err, "listing boosts")
}

// Incomes gives what an owner's devices brought in a year.
func (s queryServer) Incomes(ctx context.Context, req *rewardv1.QueryIncomesRequest) (*rewardv1.QueryIncomesResponse, error) {
	_, owner, err := s.parseAccount("owner", req.Owner)
	if err != nil {
		return nil, err
	}
	if req.Year < 2000 || req.Year > 9999 {
		return nil, errorsmod.Wrapf(ErrField, "year %d: want 2000 to 9999", req.Year)
	}
	incomes, err := s.incomesOf(ctx, owner, req.Year)
	return &rewardv1.QueryIncomesResponse{Incomes: incomes}, err
}

// Relay gives what an owner lets others keep.
func (s queryServer) Relay(ctx context.Context, req *rewardv1.QueryRelayRequest) (*rewardv1.QueryRelayResponse, error) {
	_, owner, err := s.parseAccount("owner", req.Owner)
	if err != nil {
		return nil, err
	}
	fee, err := s.relay(ctx, owner)
	return &rewardv1.QueryRelayResponse{FeeBps: fee}, err
}
