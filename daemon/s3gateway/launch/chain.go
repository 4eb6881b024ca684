package launch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
)

// chain is renter.Chain over a chain client: it joins devices with their offers and turns the
// chain's numbers into the renter's.
type chain struct {
	*chainclient.Client
	id string
}

var _ renter.Chain = (*chain)(nil)

// newChain asks for the chain's id, which everything signed is bound to.
func newChain(ctx context.Context, client *chainclient.Client) (*chain, error) {
	id, err := client.ChainID(ctx)
	if err != nil {
		return nil, err
	}
	return &chain{client, id}, nil
}

// ChainID implements renter.Chain.
func (c *chain) ChainID() string { return c.id }

// Consumer implements renter.Chain.
func (c *chain) Consumer() string { return c.Address() }

// Balance implements renter.Chain. Only the network's own denomination is known here.
func (c *chain) Balance(ctx context.Context, denom string) (price.Amount, error) {
	if denom != chainclient.Denom {
		return price.Amount{}, fmt.Errorf("balance in %q: only %s is supported", denom, chainclient.Denom)
	}
	return c.Client.Balance(ctx, c.Address())
}

// Leases implements renter.Chain.
func (c *chain) Leases(ctx context.Context) ([]marketv1.Lease, error) {
	leases, err := c.Client.Leases(ctx, c.Address())
	slices.SortFunc(leases, func(a, b marketv1.Lease) int { return -cmp.Compare(a.Id, b.Id) })
	return leases, err
}

// Nodes implements renter.Chain: every storage device with the cheapest of its open offers.
func (c *chain) Nodes(ctx context.Context) ([]renter.Node, error) {
	devices, err := c.Devices(ctx, chainclient.DeviceFilter{Kind: "storage"})
	if err != nil {
		return nil, err
	}
	offers, err := c.Offers(ctx, chainclient.OfferFilter{Resource: renter.Resource, OnlyOpen: true})
	if err != nil {
		return nil, err
	}
	standings, err := c.Standings(ctx)
	if err != nil {
		return nil, err
	}
	faults := make(map[uint64]uint32, len(standings))
	for _, s := range standings {
		faults[s.Device] = s.ConsecutiveFaults
	}
	best := make(map[uint64]renter.Offer, len(offers))
	for _, o := range offers {
		offer, err := convertOffer(o)
		if err != nil {
			continue // a price that no amount of money can pay
		}
		if known, ok := best[o.Device]; !ok || offer.Stream.Cmp(known.Stream) < 0 {
			best[o.Device] = offer
		}
	}
	nodes := make([]renter.Node, 0, len(devices))
	for _, d := range devices {
		n, ok := convertDevice(d)
		if !ok {
			continue
		}
		n.Offer, n.Faults = best[d.Id], faults[d.Id]
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b renter.Node) int { return cmp.Compare(a.Device, b.Device) })
	return nodes, nil
}

// convertDevice reports false for devices that a renter cannot speak with: retired ones, and
// those whose key is not one that TLS between us carries.
func convertDevice(d devicev1.Device) (renter.Node, bool) {
	n := renter.Node{Device: d.Id, Owner: d.Owner, Endpoint: d.Endpoint, Region: d.Region, Key: d.Pubkey.Key}
	if device.CheckKey(int32(d.Pubkey.Type), n.Key) != nil {
		return n, false
	}
	if d.Bond.Denom == chainclient.Denom {
		bond, err := price.FromBig(d.Bond.Amount.BigInt())
		if err != nil {
			return n, false
		}
		n.Bond = bond
	}
	switch d.State {
	case devicev1.DeviceState_DEVICE_STATE_ACTIVE:
		n.Standing = renter.StandingActive
	case devicev1.DeviceState_DEVICE_STATE_JAILED:
		n.Standing = renter.StandingJailed
	case devicev1.DeviceState_DEVICE_STATE_RETIRING:
		n.Standing = renter.StandingRetiring
	default:
		return n, false
	}
	return n, true
}

func convertOffer(o marketv1.Offer) (renter.Offer, error) {
	stream, err := price.FromBig(o.Stream.Amount.BigInt())
	if err != nil {
		return renter.Offer{}, fmt.Errorf("offer %d, storage price: %w", o.Id, err)
	}
	metered, err := price.FromBig(o.Metered.Amount.BigInt())
	if err != nil {
		return renter.Offer{}, fmt.Errorf("offer %d, egress price: %w", o.Id, err)
	}
	return renter.Offer{
		ID: o.Id, Denom: o.Denom,
		Stream:   price.Rate{Amount: stream, Per: max(o.Stream.Per, 1)},
		Metered:  price.Rate{Amount: metered, Per: max(o.Metered.Per, 1)},
		Capacity: o.Capacity, Reserved: o.Reserved,
		MinTerm: time.Duration(o.MinSeconds) * time.Second, MaxTerm: time.Duration(o.MaxSeconds) * time.Second,
	}, nil
}
