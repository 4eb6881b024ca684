package device

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"github.com/cosmos/cosmos-sdk/types/query"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
)

// queryServer answers the module's queries.
type queryServer struct {
	*Keeper
	*devicev1.UnimplementedQueryServer
}

// NewQueryServer is the module's query service over a keeper.
func NewQueryServer(k *Keeper) devicev1.QueryServer { return queryServer{Keeper: k} }

// Params gives the parameters.
func (s queryServer) Params(ctx context.Context, _ *devicev1.QueryParamsRequest) (*devicev1.QueryParamsResponse, error) {
	params, err := s.Keeper.Params(ctx)
	return &devicev1.QueryParamsResponse{Params: params}, err
}

// Device gives one device.
func (s queryServer) Device(ctx context.Context, req *devicev1.QueryDeviceRequest) (*devicev1.QueryDeviceResponse, error) {
	d, err := s.Keeper.Device(ctx, req.Id)
	return &devicev1.QueryDeviceResponse{Device: d}, err
}

// Devices lists devices by id. The narrowest index given (operator, owner, kind, in that order)
// is walked, the other conditions filter what it yields.
func (s queryServer) Devices(ctx context.Context, req *devicev1.QueryDevicesRequest) (*devicev1.QueryDevicesResponse, error) {
	owner, err := s.parseOr("owner", req.Owner, "")
	if err != nil {
		return nil, err
	}
	operator, err := s.parseOr("operator", req.Operator, "")
	if err != nil {
		return nil, err
	}
	wanted := func(d devicev1.Device) bool {
		return (owner == "" || d.Owner == owner) &&
			(operator == "" || d.Operator == operator) &&
			(req.Kind == "" || d.Kind == req.Kind)
	}
	var found []devicev1.Device
	var page *query.PageResponse
	switch {
	case operator != "":
		found, page, err = s.listed(ctx, s.devices.Indexes.Operator, operator, wanted, req.Pagination)
	case owner != "":
		found, page, err = s.listed(ctx, s.devices.Indexes.Owner, owner, wanted, req.Pagination)
	case req.Kind != "":
		found, page, err = s.listed(ctx, s.devices.Indexes.Kind, req.Kind, wanted, req.Pagination)
	default:
		found, page, err = query.CollectionPaginate(ctx, s.devices, req.Pagination,
			func(_ uint64, d devicev1.Device) (devicev1.Device, error) { return d, nil })
	}
	if err != nil {
		return nil, errorsmod.Wrap(err, "listing devices")
	}
	return &devicev1.QueryDevicesResponse{Devices: found, Pagination: page}, nil
}

// listed pages through the devices under one key of an index.
func (k *Keeper) listed(
	ctx context.Context,
	index query.Collection[collections.Pair[string, uint64], collections.NoValue],
	key string,
	wanted func(devicev1.Device) bool,
	page *query.PageRequest,
) ([]devicev1.Device, *query.PageResponse, error) {
	return query.CollectionFilteredPaginate(ctx, index, page,
		func(ref collections.Pair[string, uint64], _ collections.NoValue) (bool, error) {
			d, err := k.Device(ctx, ref.K2())
			return err == nil && wanted(d), err
		},
		func(ref collections.Pair[string, uint64], _ collections.NoValue) (devicev1.Device, error) {
			return k.Device(ctx, ref.K2())
		},
		query.WithCollectionPaginationPairPrefix[string, uint64](key))
}

// DeviceByKey finds a device by its public key.
func (s queryServer) DeviceByKey(ctx context.Context, req *devicev1.QueryDeviceByKeyRequest) (*devicev1.QueryDeviceByKeyResponse, error) {
	id, err := s.devices.Indexes.Key.MatchExact(ctx, req.Key)
	if errors.Is(err, collections.ErrNotFound) {
		return nil, errorsmod.Wrapf(ErrNotFound, "key %x", req.Key)
	}
	if err != nil {
		return nil, errorsmod.Wrap(err, "looking up device key")
	}
	d, err := s.Keeper.Device(ctx, id)
	return &devicev1.QueryDeviceByKeyResponse{Device: d}, err
}

// Nonce is what the next registration by an owner must be signed over.
func (s queryServer) Nonce(ctx context.Context, req *devicev1.QueryNonceRequest) (*devicev1.QueryNonceResponse, error) {
	_, owner, err := s.parseAccount("owner", req.Owner)
	if err != nil {
		return nil, err
	}
	nonce, err := s.nonce(ctx, owner)
	return &devicev1.QueryNonceResponse{Nonce: nonce}, err
}
