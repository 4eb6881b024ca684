package renter

import (
	"context"
	"net/netip"
	"time"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/core/price"
)

// Resource is what storage devices offer on the market; its unit is the byte.
const Resource = "storage"

// Chain is what the engine asks of the chain. All methods are safe for concurrent use.
type Chain interface {
	// ChainID names the chain that vouchers and receipts are bound to.
	ChainID() string
	// Consumer is the bech32 address of the account that pays.
	Consumer() string
	// Nodes lists the devices that offer storage, each with its open offer, by device id.
	// Jailed and retiring devices are part of the list, so that a shortage can be explained.
	Nodes(ctx context.Context) ([]Node, error)
	// Leases lists the consumer's leases, newest first.
	Leases(ctx context.Context) ([]marketv1.Lease, error)
	// Lease gives a lease with its items.
	Lease(ctx context.Context, id uint64) (marketv1.Lease, []marketv1.LeaseItem, error)
	// MarketParams are the bounds that a lease must keep to.
	MarketParams(ctx context.Context) (marketv1.Params, error)
	// Balance is what the consumer has left to spend in denom.
	Balance(ctx context.Context, denom string) (price.Amount, error)
	// OpenLease and AmendLease return when the transaction is in a block and succeeded.
	OpenLease(ctx context.Context, msg *marketv1.MsgOpenLease) (id uint64, err error)
	AmendLease(ctx context.Context, msg *marketv1.MsgAmendLease) error
	// CloseLease ends the parts of a lease that are with some devices, likewise; what is left of
	// their escrow comes back.
	CloseLease(ctx context.Context, id uint64, devices ...uint64) error
}

// Standing says whether the chain lets a device take new data.
type Standing uint8

// Standings of a device on the chain.
const (
	StandingActive Standing = iota
	StandingJailed
	StandingRetiring
)

// Node is a storage device and its offer, as the chain tells them.
type Node struct {
	Device   uint64
	Owner    string // bech32
	Endpoint string // host:port
	Region   string // ISO 3166-1 alpha-2, empty where undeclared
	Key      []byte // as the chain registers it, Ed25519 or P-256
	Standing Standing
	// Bond is what the chain can take from it for proven faults.
	Bond price.Amount
	// Faults are challenges of the chain that it failed since it last passed one.
	Faults uint32
	Offer  Offer
}

// Offer is what a node asks for its disk. A zero ID means that it has no open offer.
type Offer struct {
	ID       uint64
	Denom    string
	Stream   price.Rate // per byte reserved and second
	Metered  price.Rate // per byte served
	Capacity uint64     // bytes that may be reserved
	Reserved uint64     // bytes that leases reserve by now
	// Bounds on the length of a lease; a zero MaxTerm is no bound.
	MinTerm, MaxTerm time.Duration
}

// Free is what of the offer nobody has reserved, in bytes.
func (o Offer) Free() uint64 {
	if o.Reserved >= o.Capacity {
		return 0
	}
	return o.Capacity - o.Reserved
}

// Network is the part of a node's address that counts as one place: /24 of IPv4, /48 of IPv6.
// It is empty where that cannot be told (a host name, an unparsable endpoint).
func (n Node) Network() string {
	addr, err := netip.ParseAddrPort(n.Endpoint)
	if err != nil {
		return ""
	}
	ip := addr.Addr().Unmap()
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}
