package market

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// queryServer answers the module's queries.
type queryServer struct{ k *Keeper }

// NewQueryServer is the module's query service over a keeper.
func NewQueryServer(k *Keeper) marketv1.QueryServer { return queryServer{k} }

// Params gives the parameters.
func (s queryServer) Params(ctx context.Context, _ *marketv1.QueryParamsRequest) (*marketv1.QueryParamsResponse, error) {
	params, err := s.k.Params(ctx)
	return &marketv1.QueryParamsResponse{Params: params}, err
}

// Offer gives one offer.
func (s queryServer) Offer(ctx context.Context, req *marketv1.QueryOfferRequest) (*marketv1.QueryOfferResponse, error) {
	o, err := s.k.offer(ctx, req.Id)
	return &marketv1.QueryOfferResponse{Offer: o}, err
}

// Offers lists offers by device or else by resource; a condition that names no index filters.
func (s queryServer) Offers(ctx context.Context, req *marketv1.QueryOffersRequest) (*marketv1.QueryOffersResponse, error) {
	var (
		found []marketv1.Offer
		page  *query.PageResponse
		err   error
	)
	switch {
	case req.Device != 0:
		found, page, err = listed(ctx, s.k.offers.Indexes.Device, s.k.offer,
			stateOf(req.Device, marketv1.OfferState_OFFER_STATE_OPEN, req.OnlyOpen),
			func(o marketv1.Offer) bool { return req.Resource == "" || o.Resource == req.Resource }, req.Pagination)
	case req.Resource != "":
		found, page, err = listed(ctx, s.k.offers.Indexes.Resource, s.k.offer,
			stateOf(req.Resource, marketv1.OfferState_OFFER_STATE_OPEN, req.OnlyOpen), nil, req.Pagination)
	default:
		found, page, err = query.CollectionFilteredPaginate(ctx, s.k.offers, req.Pagination,
			func(_ uint64, o marketv1.Offer) (bool, error) {
				return !req.OnlyOpen || o.State == marketv1.OfferState_OFFER_STATE_OPEN, nil
			},
			func(_ uint64, o marketv1.Offer) (marketv1.Offer, error) { return o, nil })
	}
	if err != nil {
		return nil, errorsmod.Wrap(err, "listing offers")
	}
	return &marketv1.QueryOffersResponse{Offers: found, Pagination: page}, nil
}

// Lease gives a lease with its items.
func (s queryServer) Lease(ctx context.Context, req *marketv1.QueryLeaseRequest) (*marketv1.QueryLeaseResponse, error) {
	l, err := s.k.lease(ctx, req.Id)
	if err != nil {
		return nil, err
	}
	res := &marketv1.QueryLeaseResponse{Lease: l}
	err = s.k.items.Walk(ctx, collections.NewPrefixedPairRange[uint64, uint64](req.Id), func(_ itemKey, i marketv1.LeaseItem) (bool, error) {
		res.Items = append(res.Items, i)
		return false, nil
	})
	return res, errorsmod.Wrapf(err, "reading items of lease %d", req.Id)
}

// Leases lists leases, all or a consumer's.
func (s queryServer) Leases(ctx context.Context, req *marketv1.QueryLeasesRequest) (*marketv1.QueryLeasesResponse, error) {
	var (
		found []marketv1.Lease
		page  *query.PageResponse
		err   error
	)
	if req.Consumer != "" {
		_, consumer, addressErr := s.k.parseAccount("consumer", req.Consumer)
		if addressErr != nil {
			return nil, addressErr
		}
		found, page, err = listed(ctx, s.k.leases.Indexes.Consumer, s.k.lease, consumer, nil, req.Pagination)
	} else {
		found, page, err = query.CollectionPaginate(ctx, s.k.leases, req.Pagination,
			func(_ uint64, l marketv1.Lease) (marketv1.Lease, error) { return l, nil })
	}
	if err != nil {
		return nil, errorsmod.Wrap(err, "listing leases")
	}
	return &marketv1.QueryLeasesResponse{Leases: found, Pagination: page}, nil
}

// Item gives one item with what its stream has earned by the block queried, and its lease.
func (s queryServer) Item(ctx context.Context, req *marketv1.QueryItemRequest) (*marketv1.QueryItemResponse, error) {
	l, err := s.k.lease(ctx, req.Lease)
	if err != nil {
		return nil, err
	}
	i, err := s.k.item(ctx, req.Lease, req.Device)
	if err != nil {
		return nil, err
	}
	dry, err := dryAt(i)
	if err != nil {
		return nil, err
	}
	settled := i
	accrued, err := accrue(&settled, min(sdk.UnwrapSDKContext(ctx).BlockTime().Unix(), l.ExpiresAt))
	return &marketv1.QueryItemResponse{Item: i, Accrued: accrued, DryAt: dry, LeaseInfo: l}, err
}

// DeviceItems lists a device's items.
func (s queryServer) DeviceItems(ctx context.Context, req *marketv1.QueryDeviceItemsRequest) (*marketv1.QueryDeviceItemsResponse, error) {
	load := func(ctx context.Context, key itemKey) (marketv1.LeaseItem, error) {
		return s.k.item(ctx, key.K1(), key.K2())
	}
	found, page, err := listed(ctx, s.k.items.Indexes.Device, load,
		stateOf(req.Device, marketv1.ItemState_ITEM_STATE_OPEN, req.OnlyOpen), nil, req.Pagination)
	if err != nil {
		return nil, errorsmod.Wrapf(err, "listing items of device %d", req.Device)
	}
	return &marketv1.QueryDeviceItemsResponse{Items: found, Pagination: page}, nil
}

// Order gives an order with its bids.
func (s queryServer) Order(ctx context.Context, req *marketv1.QueryOrderRequest) (*marketv1.QueryOrderResponse, error) {
	o, err := s.k.order(ctx, req.Id)
	if err != nil {
		return nil, err
	}
	bids, err := s.k.bidsOf(ctx, req.Id)
	return &marketv1.QueryOrderResponse{Order: o, Bids: bids}, err
}

// Orders lists orders, all or of a resource.
func (s queryServer) Orders(ctx context.Context, req *marketv1.QueryOrdersRequest) (*marketv1.QueryOrdersResponse, error) {
	var (
		found []marketv1.Order
		page  *query.PageResponse
		err   error
	)
	if req.Resource != "" {
		found, page, err = listed(ctx, s.k.orders.Indexes.Resource, s.k.order,
			stateOf(req.Resource, marketv1.OrderState_ORDER_STATE_OPEN, req.OnlyOpen), nil, req.Pagination)
	} else {
		found, page, err = query.CollectionFilteredPaginate(ctx, s.k.orders, req.Pagination,
			func(_ uint64, o marketv1.Order) (bool, error) {
				return !req.OnlyOpen || o.State == marketv1.OrderState_ORDER_STATE_OPEN, nil
			},
			func(_ uint64, o marketv1.Order) (marketv1.Order, error) { return o, nil })
	}
	if err != nil {
		return nil, errorsmod.Wrap(err, "listing orders")
	}
	return &marketv1.QueryOrdersResponse{Orders: found, Pagination: page}, nil
}

// Reputation gives what the market has seen of a device.
func (s queryServer) Reputation(ctx context.Context, req *marketv1.QueryReputationRequest) (*marketv1.QueryReputationResponse, error) {
	r, err := s.k.reputation(ctx, req.Device)
	return &marketv1.QueryReputationResponse{Reputation: r}, err
}

// Totals gives what has been settled for a device, a resource or everything, by denomination.
func (s queryServer) Totals(ctx context.Context, req *marketv1.QueryTotalsRequest) (*marketv1.QueryTotalsResponse, error) {
	if req.Device != 0 && req.Resource != "" {
		return nil, errorsmod.Wrapf(ErrField, "device %d and resource %q: name one of them", req.Device, modkit.Clip(req.Resource))
	}
	totals, err := s.k.totalsOf(ctx, req.Device, req.Resource)
	return &marketv1.QueryTotalsResponse{Totals: totals}, err
}

// stateOf is the key of a state index for what belongs to something: in one state only, or, as a
// prefix, in any.
func stateOf[K any, S ~int32](belongs K, state S, only bool) collections.Pair[K, int32] {
	if only {
		return collections.Join(belongs, int32(state))
	}
	return collections.PairPrefix[K, int32](belongs)
}

// listed pages through the values under a key, or prefix of keys, of an index.
func listed[R, K, V any](
	ctx context.Context,
	index query.Collection[collections.Pair[R, K], collections.NoValue],
	load func(context.Context, K) (V, error),
	under R,
	wanted func(V) bool,
	page *query.PageRequest,
) ([]V, *query.PageResponse, error) {
	var filter func(collections.Pair[R, K], collections.NoValue) (bool, error)
	if wanted != nil {
		filter = func(ref collections.Pair[R, K], _ collections.NoValue) (bool, error) {
			v, err := load(ctx, ref.K2())
			return err == nil && wanted(v), err
		}
	}
	return query.CollectionFilteredPaginate(ctx, index, page, filter,
		func(ref collections.Pair[R, K], _ collections.NoValue) (V, error) { return load(ctx, ref.K2()) },
		query.WithCollectionPaginationPairPrefix[R, K](under))
}
