package chainclient

import (
	"context"
	"fmt"

	bankv1beta1 "cosmossdk.io/api/cosmos/bank/v1beta1"
	"github.com/cosmos/cosmos-sdk/types/query"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/price"
)

// pageSize is how many entries of a list one call asks for.
const pageSize = 500

// DeviceParams are the governed numbers of the registry.
func (c *Client) DeviceParams(ctx context.Context) (devicev1.Params, error) {
	r, err := devicev1.NewQueryClient(c.conn).Params(ctx, &devicev1.QueryParamsRequest{})
	if err != nil {
		return devicev1.Params{}, fmt.Errorf("asking for the registry's parameters: %w", queryError(err))
	}
	return r.Params, nil
}

// Device is one device by id.
func (c *Client) Device(ctx context.Context, id uint64) (devicev1.Device, error) {
	r, err := devicev1.NewQueryClient(c.conn).Device(ctx, &devicev1.QueryDeviceRequest{Id: id})
	if err != nil {
		return devicev1.Device{}, fmt.Errorf("asking for device %d: %w", id, queryError(err))
	}
	return r.Device, nil
}

// DeviceByKey is the device with this public key.
func (c *Client) DeviceByKey(ctx context.Context, key []byte) (devicev1.Device, error) {
	r, err := devicev1.NewQueryClient(c.conn).DeviceByKey(ctx, &devicev1.QueryDeviceByKeyRequest{Key: key})
	if err != nil {
		return devicev1.Device{}, fmt.Errorf("asking for the device with key %x: %w", key, queryError(err))
	}
	return r.Device, nil
}

// DeviceFilter narrows a list of devices; empty fields do not.
type DeviceFilter struct{ Owner, Operator, Kind string }

// Devices are all devices that pass the filter, by id.
func (c *Client) Devices(ctx context.Context, filter DeviceFilter) ([]devicev1.Device, error) {
	q := devicev1.NewQueryClient(c.conn)
	devices, err := pages(func(page *query.PageRequest) ([]devicev1.Device, *query.PageResponse, error) {
		r, err := q.Devices(ctx, &devicev1.QueryDevicesRequest{
			Owner: filter.Owner, Operator: filter.Operator, Kind: filter.Kind, Pagination: page,
		})
		return r.GetDevices(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing devices: %w", err)
	}
	return devices, nil
}

// Nonce is what the next registration by owner is signed over.
func (c *Client) Nonce(ctx context.Context, owner string) (uint64, error) {
	r, err := devicev1.NewQueryClient(c.conn).Nonce(ctx, &devicev1.QueryNonceRequest{Owner: owner})
	if err != nil {
		return 0, fmt.Errorf("asking for the registration nonce of %s: %w", owner, queryError(err))
	}
	return r.Nonce, nil
}

// MarketParams are the governed numbers of the market.
func (c *Client) MarketParams(ctx context.Context) (marketv1.Params, error) {
	r, err := marketv1.NewQueryClient(c.conn).Params(ctx, &marketv1.QueryParamsRequest{})
	if err != nil {
		return marketv1.Params{}, fmt.Errorf("asking for the market's parameters: %w", queryError(err))
	}
	return r.Params, nil
}

// Offer is one offer by id.
func (c *Client) Offer(ctx context.Context, id uint64) (marketv1.Offer, error) {
	r, err := marketv1.NewQueryClient(c.conn).Offer(ctx, &marketv1.QueryOfferRequest{Id: id})
	if err != nil {
		return marketv1.Offer{}, fmt.Errorf("asking for offer %d: %w", id, queryError(err))
	}
	return r.Offer, nil
}

// OfferFilter narrows a list of offers; zero fields do not.
type OfferFilter struct {
	Resource string
	Device   uint64
	OnlyOpen bool
}

// Offers are all offers that pass the filter.
func (c *Client) Offers(ctx context.Context, filter OfferFilter) ([]marketv1.Offer, error) {
	q := marketv1.NewQueryClient(c.conn)
	offers, err := pages(func(page *query.PageRequest) ([]marketv1.Offer, *query.PageResponse, error) {
		r, err := q.Offers(ctx, &marketv1.QueryOffersRequest{
			Resource: filter.Resource, Device: filter.Device, OnlyOpen: filter.OnlyOpen, Pagination: page,
		})
		return r.GetOffers(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing offers: %w", err)
	}
	return offers, nil
}

// Lease is one lease with its items.
func (c *Client) Lease(ctx context.Context, id uint64) (marketv1.Lease, []marketv1.LeaseItem, error) {
	r, err := marketv1.NewQueryClient(c.conn).Lease(ctx, &marketv1.QueryLeaseRequest{Id: id})
	if err != nil {
		return marketv1.Lease{}, nil, fmt.Errorf("asking for lease %d: %w", id, queryError(err))
	}
	return r.Lease, r.Items, nil
}

// Leases are all leases of a consumer, without their items; an empty consumer means everyone's.
func (c *Client) Leases(ctx context.Context, consumer string) ([]marketv1.Lease, error) {
	q := marketv1.NewQueryClient(c.conn)
	leases, err := pages(func(page *query.PageRequest) ([]marketv1.Lease, *query.PageResponse, error) {
		r, err := q.Leases(ctx, &marketv1.QueryLeasesRequest{Consumer: consumer, Pagination: page})
		return r.GetLeases(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing leases: %w", err)
	}
	return leases, nil
}

// Item is one device's part of a lease, with what its stream owes by now.
func (c *Client) Item(ctx context.Context, lease, device uint64) (marketv1.QueryItemResponse, error) {
	r, err := marketv1.NewQueryClient(c.conn).Item(ctx, &marketv1.QueryItemRequest{Lease: lease, Device: device})
	if err != nil {
		return marketv1.QueryItemResponse{}, fmt.Errorf("asking for device %d in lease %d: %w", device, lease, queryError(err))
	}
	return *r, nil
}

// DeviceItems are the lease items of a device that are not closed.
func (c *Client) DeviceItems(ctx context.Context, device uint64) ([]marketv1.LeaseItem, error) {
	q := marketv1.NewQueryClient(c.conn)
	items, err := pages(func(page *query.PageRequest) ([]marketv1.LeaseItem, *query.PageResponse, error) {
		r, err := q.DeviceItems(ctx, &marketv1.QueryDeviceItemsRequest{Device: device, OnlyOpen: true, Pagination: page})
		return r.GetItems(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing lease items of device %d: %w", device, err)
	}
	return items, nil
}

// Reputation is what the chain has seen of a device in the market.
func (c *Client) Reputation(ctx context.Context, device uint64) (marketv1.Reputation, error) {
	r, err := marketv1.NewQueryClient(c.conn).Reputation(ctx, &marketv1.QueryReputationRequest{Device: device})
	if err != nil {
		return marketv1.Reputation{}, fmt.Errorf("asking for the reputation of device %d: %w", device, queryError(err))
	}
	return r.Reputation, nil
}

// Totals is what has been settled since the chain began, by denomination: for a device, for a resource,
// or, with 0 and "", for everything.
func (c *Client) Totals(ctx context.Context, device uint64, resource string) ([]marketv1.Total, error) {
	r, err := marketv1.NewQueryClient(c.conn).Totals(ctx, &marketv1.QueryTotalsRequest{Device: device, Resource: resource})
	if err != nil {
		return nil, fmt.Errorf("asking for the totals of device %d, resource %q: %w", device, resource, queryError(err))
	}
	return r.Totals, nil
}

// Snapshot is a renter's anchor; ErrNotFound when there is none.
func (c *Client) Snapshot(ctx context.Context, renter string) (storagev1.Snapshot, error) {
	r, err := storagev1.NewQueryClient(c.conn).Snapshot(ctx, &storagev1.QuerySnapshotRequest{Renter: renter})
	if err != nil {
		return storagev1.Snapshot{}, fmt.Errorf("asking for the snapshot of %s: %w", renter, queryError(err))
	}
	return r.Snapshot, nil
}

// Balance is what an address holds; nothing for one that the chain has never seen.
func (c *Client) Balance(ctx context.Context, address string) (price.Amount, error) {
	r, err := bankv1beta1.NewQueryClient(c.conn).Balance(ctx, &bankv1beta1.QueryBalanceRequest{Address: address, Denom: Denom})
	if err != nil {
		return price.Amount{}, fmt.Errorf("asking for the balance of %s: %w", address, queryError(err))
	}
	a, err := price.ParseDecimal(r.GetBalance().GetAmount())
	if err != nil {
		return price.Amount{}, fmt.Errorf("balance of %s: %w", address, err)
	}
	return a, nil
}

// pages collects a list page by page. Its errors are turned by queryError.
func pages[T any](next func(*query.PageRequest) ([]T, *query.PageResponse, error)) ([]T, error) {
	var all []T
	request := &query.PageRequest{Limit: pageSize}
	for {
		page, response, err := next(request)
		if err != nil {
			return nil, queryError(err)
		}
		all = append(all, page...)
		if response == nil || len(response.NextKey) == 0 {
			return all, nil
		}
		request = &query.PageRequest{Key: response.NextKey, Limit: pageSize}
	}
}
