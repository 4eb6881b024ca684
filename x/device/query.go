package device

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
)

// queryServer answers the module's queries.
type queryServer struct{ *Keeper }

// NewQueryServer is the module's query service over a keeper.
func NewQueryServer(k *Keeper) devicev1.QueryServer { return queryServer{k} }

// Params gives the parameters.
func (s queryServer) Params(ctx context.Context, _ *devicev1.QueryParamsRequest) (*devicev1.QueryParamsResponse, error) {
	params, err := s.Keeper.Params(ctx)
	return &devicev1.QueryParamsResponse{Params: params}, err
}

// Device gives one device.
func (s queryServer) Device(ctx context.Context, req *devicev1.QueryDeviceRequest) (*devicev1.QueryDeviceResponse, error) {
	d, err := s.Keeper.Device(ctx, req.Id)
	if err == nil {
		d.Tier, err = s.tier(ctx, d)
	}
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
	for i := 0; i < len(found) && err == nil; i++ {
		found[i].Tier, err = s.tier(ctx, found[i])
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
	if err == nil {
		d.Tier, err = s.tier(ctx, d)
	}
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

// Tier is what is known of a device now.
func (s queryServer) Tier(ctx context.Context, req *devicev1.QueryTierRequest) (*devicev1.QueryTierResponse, error) {
	d, err := s.Keeper.Device(ctx, req.Device)
	if err != nil {
		return nil, err
	}
	res := &devicev1.QueryTierResponse{}
	if res.Tier, err = s.tier(ctx, d); err != nil {
		return nil, err
	}
	res.Proves, res.DoesNotProve = labels[res.Tier].proves, labels[res.Tier].not
	err = s.attestations.Walk(ctx, collections.NewPrefixedPairRange[uint64, int32](d.Id), func(_ attestationKey, a devicev1.Attestation) (bool, error) {
		void, err := s.void(ctx, d, a)
		status := devicev1.AttestationStatus{Attestation: a}
		if void != nil {
			status.Void = void.Error()
		}
		res.Attestations = append(res.Attestations, status)
		return false, err
	})
	return res, errorsmod.Wrapf(err, "listing attestations of device %d", d.Id)
}

// Challenge is what evidence about a device must be made over now: the statement with the newest
// beacon that nobody could foresee.
func (s queryServer) Challenge(ctx context.Context, req *devicev1.QueryChallengeRequest) (*devicev1.QueryChallengeResponse, error) {
	d, err := s.Keeper.Device(ctx, req.Device)
	if err != nil {
		return nil, err
	}
	params, err := s.Keeper.Params(ctx)
	if err != nil {
		return nil, err
	}
	current, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	number := current.Number
	e, err := s.fresh(ctx, number, params.Attestation.BeaconEpochs)
	for back := uint64(1); back < min(params.Attestation.BeaconEpochs, number, maxChallengeSearch) && errors.Is(err, ErrStale); back++ {
		e, err = s.fresh(ctx, number-back, params.Attestation.BeaconEpochs)
	}
	if err != nil {
		return nil, err
	}
	return &devicev1.QueryChallengeResponse{Epoch: e.Number, Challenge: subject(sdk.UnwrapSDKContext(ctx), d, e).Statement()}, nil
}

// maxChallengeSearch bounds how many epochs a query looks back for a beacon that is not weak.
const maxChallengeSearch = 100

// Trust lists trust anchors, of one use or all.
func (s queryServer) Trust(ctx context.Context, req *devicev1.QueryTrustRequest) (*devicev1.QueryTrustResponse, error) {
	var options []func(*query.CollectionsPaginateOptions[trustKey])
	if req.Use != devicev1.TrustUse_TRUST_USE_UNSPECIFIED {
		options = append(options, query.WithCollectionPaginationPairPrefix[int32, []byte](int32(req.Use)))
	}
	found, page, err := query.CollectionPaginate(ctx, s.trust, req.Pagination,
		func(_ trustKey, a devicev1.TrustAnchor) (devicev1.TrustAnchor, error) { return a, nil }, options...)
	return &devicev1.QueryTrustResponse{Trust: found, Pagination: page}, errorsmod.Wrap(err, "listing trust anchors")
}

// Credentials lists those of an owner.
func (s queryServer) Credentials(ctx context.Context, req *devicev1.QueryCredentialsRequest) (*devicev1.QueryCredentialsResponse, error) {
	_, owner, err := s.parseAccount("owner", req.Owner)
	if err != nil {
		return nil, err
	}
	found, page, err := query.CollectionPaginate(ctx, s.credentials, req.Pagination,
		func(_ credentialKey, c devicev1.Credential) (devicev1.Credential, error) { return c, nil },
		func(o *query.CollectionsPaginateOptions[credentialKey]) {
			prefix := collections.TriplePrefix[string, uint64, string](owner)
			o.Prefix = &prefix
		})
	return &devicev1.QueryCredentialsResponse{Credentials: found, Pagination: page}, errorsmod.Wrapf(err, "listing credentials of %s", owner)
}

// Rules lists region rules.
func (s queryServer) Rules(ctx context.Context, req *devicev1.QueryRulesRequest) (*devicev1.QueryRulesResponse, error) {
	found, page, err := query.CollectionPaginate(ctx, s.rules, req.Pagination,
		func(_ ruleKey, r devicev1.Rule) (devicev1.Rule, error) { return r, nil })
	return &devicev1.QueryRulesResponse{Rules: found, Pagination: page}, errorsmod.Wrap(err, "listing rules")
}

// Permitted says whether a device may sell a resource now.
func (s queryServer) Permitted(ctx context.Context, req *devicev1.QueryPermittedRequest) (*devicev1.QueryPermittedResponse, error) {
	err := s.Keeper.Permitted(ctx, req.Device, req.Resource)
	switch {
	case err == nil:
		return &devicev1.QueryPermittedResponse{Permitted: true}, nil
	case errors.Is(err, ErrNotPermitted), errors.Is(err, ErrBanned):
		return &devicev1.QueryPermittedResponse{Reason: err.Error()}, nil
	default:
		return nil, err
	}
}

// Ban gives the ban of a device, past or present.
func (s queryServer) Ban(ctx context.Context, req *devicev1.QueryBanRequest) (*devicev1.QueryBanResponse, error) {
	b, err := s.ban(ctx, req.Device)
	return &devicev1.QueryBanResponse{Ban: b, InForce: inForce(b, sdk.UnwrapSDKContext(ctx).BlockTime().Unix())}, err
}

// Bans lists bans, past and present.
func (s queryServer) Bans(ctx context.Context, req *devicev1.QueryBansRequest) (*devicev1.QueryBansResponse, error) {
	found, page, err := query.CollectionPaginate(ctx, s.bans, req.Pagination,
		func(_ uint64, b devicev1.Ban) (devicev1.Ban, error) { return b, nil })
	return &devicev1.QueryBansResponse{Bans: found, Pagination: page}, errorsmod.Wrap(err, "listing bans")
}
