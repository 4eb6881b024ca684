package chainclient

import (
	"context"
	"fmt"

	bankv1beta1 "cosmossdk.io/api/cosmos/bank/v1beta1"
	basev1beta1 "cosmossdk.io/api/cosmos/base/v1beta1"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	anypb "github.com/cosmos/gogoproto/types/any"
	"google.golang.org/protobuf/proto"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/price"
)

// The methods below send one message each, wait for its block and return its answer. The
// sender's field may be left empty: it becomes the client's account. Messages are not changed.

// Register adds a device and returns its id (owner).
func (c *Client) Register(ctx context.Context, m *devicev1.MsgRegister) (uint64, error) {
	n := *m
	c.fill(&n.Owner)
	var r devicev1.MsgRegisterResponse
	if err := c.call(ctx, "registering device", &n, &r); err != nil {
		return 0, err
	}
	return r.Id, nil
}

// Announce sets a device's endpoint and model (operator).
func (c *Client) Announce(ctx context.Context, m *devicev1.MsgAnnounce) error {
	n := *m
	c.fill(&n.Operator)
	return c.call(ctx, fmt.Sprintf("announcing device %d", m.Id), &n, nil)
}

// Relocate sets where a device says it stands (owner).
func (c *Client) Relocate(ctx context.Context, m *devicev1.MsgRelocate) error {
	n := *m
	c.fill(&n.Owner)
	return c.call(ctx, fmt.Sprintf("relocating device %d", m.Id), &n, nil)
}

// RotateOperator replaces the account that acts for a device day to day (owner).
func (c *Client) RotateOperator(ctx context.Context, device uint64, operator string) error {
	return c.call(ctx, fmt.Sprintf("replacing the operator of device %d", device),
		&devicev1.MsgRotateOperator{Owner: c.Address(), Id: device, Operator: operator}, nil)
}

// Transfer offers a device to another owner, who has to accept it; to nobody withdraws (owner).
func (c *Client) Transfer(ctx context.Context, device uint64, to string) error {
	return c.call(ctx, fmt.Sprintf("offering device %d to another owner", device),
		&devicev1.MsgTransfer{Owner: c.Address(), Id: device, NewOwner: to}, nil)
}

// AcceptTransfer takes over a device that is offered to the account, which becomes its operator, too,
// unless another is named.
func (c *Client) AcceptTransfer(ctx context.Context, device uint64, operator string) error {
	c.fill(&operator)
	return c.call(ctx, fmt.Sprintf("taking over device %d", device),
		&devicev1.MsgAcceptTransfer{NewOwner: c.Address(), Id: device, Operator: operator}, nil)
}

// AddBond adds to what answers for a device's faults (owner).
func (c *Client) AddBond(ctx context.Context, device uint64, amount price.Amount) error {
	return c.call(ctx, fmt.Sprintf("adding %s to the bond of device %d", amount.Format(), device),
		&devicev1.MsgAddBond{Owner: c.Address(), Id: device, Amount: coin(amount)}, nil)
}

// Retire starts a device's leaving, or ends it when its time has come (owner).
func (c *Client) Retire(ctx context.Context, device uint64) (devicev1.MsgRetireResponse, error) {
	var r devicev1.MsgRetireResponse
	err := c.call(ctx, fmt.Sprintf("retiring device %d", device), &devicev1.MsgRetire{Owner: c.Address(), Id: device}, &r)
	return r, err
}

// CreateOffer puts capacity on sale and returns the offer's id (operator).
func (c *Client) CreateOffer(ctx context.Context, m *marketv1.MsgCreateOffer) (uint64, error) {
	n := *m
	c.fill(&n.Operator)
	var r marketv1.MsgCreateOfferResponse
	if err := c.call(ctx, fmt.Sprintf("offering device %d", m.Device), &n, &r); err != nil {
		return 0, err
	}
	return r.Id, nil
}

// UpdateOffer changes an offer for leases to come (operator).
func (c *Client) UpdateOffer(ctx context.Context, m *marketv1.MsgUpdateOffer) error {
	n := *m
	c.fill(&n.Operator)
	return c.call(ctx, fmt.Sprintf("changing offer %d", m.Id), &n, nil)
}

// CloseOffer takes no new leases (operator).
func (c *Client) CloseOffer(ctx context.Context, id uint64) error {
	return c.call(ctx, fmt.Sprintf("closing offer %d", id), &marketv1.MsgCloseOffer{Operator: c.Address(), Id: id}, nil)
}

// OpenLease takes offers, locks escrow and returns the lease's id (consumer).
func (c *Client) OpenLease(ctx context.Context, m *marketv1.MsgOpenLease) (uint64, error) {
	n := *m
	c.fill(&n.Consumer)
	var r marketv1.MsgOpenLeaseResponse
	if err := c.call(ctx, fmt.Sprintf("opening a lease over %d offers", len(m.Items)), &n, &r); err != nil {
		return 0, err
	}
	return r.Id, nil
}

// AmendLease adds devices, money, units or time to a lease (consumer).
func (c *Client) AmendLease(ctx context.Context, m *marketv1.MsgAmendLease) error {
	n := *m
	c.fill(&n.Consumer)
	return c.call(ctx, fmt.Sprintf("amending lease %d", m.Id), &n, nil)
}

// CloseLease ends a lease, or only its items of the devices named (consumer); an operator ends
// the item of its one device.
func (c *Client) CloseLease(ctx context.Context, id uint64, devices ...uint64) error {
	return c.call(ctx, fmt.Sprintf("closing lease %d", id), &marketv1.MsgCloseLease{Sender: c.Address(), Id: id, Devices: devices}, nil)
}

// Settle redeems vouchers and pays streams (anyone; owners are paid).
func (c *Client) Settle(ctx context.Context, m *marketv1.MsgSettle) (marketv1.MsgSettleResponse, error) {
	n := *m
	c.fill(&n.Sender)
	var r marketv1.MsgSettleResponse
	err := c.call(ctx, fmt.Sprintf("settling %d vouchers and %d streams", len(m.Vouchers), len(m.Streams)), &n, &r)
	return r, err
}

// CommitSnapshot replaces the account's pointer to its metadata snapshot (renter).
func (c *Client) CommitSnapshot(ctx context.Context, m *storagev1.MsgCommitSnapshot) error {
	n := *m
	c.fill(&n.Renter)
	return c.call(ctx, fmt.Sprintf("committing snapshot %d", m.Version), &n, nil)
}

// BankSend moves money from the account to an address.
func (c *Client) BankSend(ctx context.Context, to string, amount price.Amount) (TxResult, error) {
	b, err := proto.Marshal(&bankv1beta1.MsgSend{
		FromAddress: c.Address(), ToAddress: to,
		Amount: []*basev1beta1.Coin{{Denom: Denom, Amount: amount.String()}},
	})
	if err != nil {
		return TxResult{}, fmt.Errorf("packing transfer: %w", err)
	}
	r, err := c.send(ctx, []*anypb.Any{{TypeUrl: "/cosmos.bank.v1beta1.MsgSend", Value: b}})
	if err != nil {
		return TxResult{}, fmt.Errorf("sending %s to %s: %w", amount.Format(), to, err)
	}
	return r, nil
}

// coin is an amount of acairn as messages carry it.
func coin(amount price.Amount) sdk.Coin {
	return sdk.Coin{Denom: Denom, Amount: math.NewIntFromBigInt(amount.Big())}
}

func (c *Client) fill(sender *string) {
	if *sender == "" {
		*sender = c.Address()
	}
}

// call sends one message and decodes its response unless that is nil.
func (c *Client) call(ctx context.Context, what string, m, response Message) error {
	r, err := c.Send(ctx, m)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if response == nil {
		return nil
	}
	return r.Response(0, response)
}
