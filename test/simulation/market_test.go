package simulation

import (
	"crypto/ed25519"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/voucher"
)

const gib = 1 << 30

var marketOperations = []operation{
	{"market: create offer", 5, func(h *history) (move, bool) {
		d, some := h.device()
		by := h.mostly(d.Operator)
		return move{by: by, messages: msgs(&marketv1.MsgCreateOffer{
			Operator: by.text, Device: d.Id, Resource: "storage", Denom: app.Denom, Capacity: gib, MinSeconds: 10, MaxSeconds: 100_000,
			Stream: h.streamPrice(), Metered: h.meteredPrice(),
		})}, some
	}},
	{"market: update offer", 2, func(h *history) (move, bool) {
		o, some := h.offer()
		by := h.mostly(h.deviceAt(o.Device).Operator)
		return move{by: by, messages: msgs(&marketv1.MsgUpdateOffer{Operator: by.text, Id: o.Id, Stream: h.streamPrice(), Metered: h.meteredPrice(), Capacity: uint64(h.between(gib, 2*gib))})}, some
	}},
	{"market: close offer", 1, func(h *history) (move, bool) {
		o, some := h.offer()
		by := h.mostly(h.deviceAt(o.Device).Operator)
		return move{by: by, messages: msgs(&marketv1.MsgCloseOffer{Operator: by.text, Id: o.Id})}, some && h.random.IntN(3) == 0
	}},
	{"market: open lease", 10, func(h *history) (move, bool) {
		items := h.items(1, 3)
		by := h.person()
		return move{by: by, messages: msgs(&marketv1.MsgOpenLease{Consumer: by.text, SessionKey: public(session(by.text)), Items: items, Seconds: h.between(20, 900)})}, len(items) > 0
	}},
	{"market: amend lease", 4, func(h *history) (move, bool) {
		l, i, some := h.item()
		m := &marketv1.MsgAmendLease{Id: l.Id}
		switch h.random.IntN(3) {
		case 0:
			m.Items = h.items(1, 1)
		case 1:
			m.Seconds = h.between(1, 300)
		default:
			m.TopUps = []marketv1.TopUp{{Device: i.Device, Escrow: h.money(500), Units: uint64(h.between(0, gib/64))}}
		}
		by := h.mostly(l.Consumer)
		m.Consumer = by.text
		return move{by: by, messages: msgs(m)}, some
	}},
	{"market: close lease", 2, func(h *history) (move, bool) {
		l, _, some := h.item()
		by := h.mostly(l.Consumer)
		return move{by: by, messages: msgs(&marketv1.MsgCloseLease{Sender: by.text, Id: l.Id})}, some
	}},
	{"market: leave lease", 1, func(h *history) (move, bool) {
		_, i, some := h.item()
		by := h.mostly(h.deviceAt(i.Device).Operator)
		return move{by: by, messages: msgs(&marketv1.MsgCloseLease{Sender: by.text, Id: i.Lease, Devices: []uint64{i.Device}})}, some
	}},
	{"market: settle", 10, (*history).settle},
	{"market: create order", 4, func(h *history) (move, bool) {
		by := h.person()
		rule := marketv1.AwardRule_AWARD_RULE_CONSUMER
		if h.random.IntN(2) == 0 {
			rule = marketv1.AwardRule_AWARD_RULE_LOWEST
		}
		return say1(by, &marketv1.MsgCreateOrder{
			Consumer: by.text, SessionKey: public(session(by.text)), Resource: "storage", Denom: app.Denom, Units: uint64(h.between(1<<20, gib/64)),
			MaxStream: priced(2000, 1<<20), MaxMetered: priced(2_000_000, 1<<20), Devices: uint32(h.between(1, 3)), MinDevices: 1,
			Seconds: h.between(20, 600), Escrow: h.money(500), BiddingSeconds: h.between(5, 40), Rule: rule,
		})
	}},
	{"market: cancel order", 1, func(h *history) (move, bool) {
		o, some := h.order()
		by := h.mostly(o.Consumer)
		return move{by: by, messages: msgs(&marketv1.MsgCancelOrder{Consumer: by.text, Id: o.Id})}, some
	}},
	{"market: bid", 8, func(h *history) (move, bool) {
		o, some := h.order()
		with, one := h.offer()
		by := h.mostly(h.deviceAt(with.Device).Operator)
		return move{by: by, messages: msgs(&marketv1.MsgPlaceBid{Operator: by.text, Order: o.Id, Offer: with.Id, Stream: h.streamPrice(), Metered: h.meteredPrice()})}, some && one
	}},
	{"market: award", 4, func(h *history) (move, bool) {
		bids := map[uint64][]uint64{}
		for _, b := range h.state.market.Bids {
			bids[b.Order] = append(bids[b.Order], b.Device)
		}
		o, some := pick(h, where(h, h.state.market.Orders, func(o marketv1.Order) bool {
			return o.State == marketv1.OrderState_ORDER_STATE_OPEN && len(bids[o.Id]) > 0
		}))
		by := h.mostly(o.Consumer)
		devices := bids[o.Id]
		if len(devices) > int(o.Devices) {
			devices = devices[:o.Devices]
		}
		return move{by: by, messages: msgs(&marketv1.MsgAward{Consumer: by.text, Order: o.Id, Devices: devices})}, some
	}},
}

func priced(amount int64, per uint64) marketv1.Price {
	return marketv1.Price{Amount: math.NewInt(amount), Per: per}
}

func (h *history) streamPrice() marketv1.Price { return priced(h.between(0, 2000), 1<<20) }

func (h *history) meteredPrice() marketv1.Price { return priced(h.between(0, 2_000_000), 1<<20) }

// session is a consumer's key: vouchers and releases are signed with it.
func session(consumer string) ed25519.PrivateKey { return keyOf("session " + consumer) }

func (h *history) offer() (marketv1.Offer, bool) {
	return pick(h, where(h, h.state.market.Offers, func(o marketv1.Offer) bool {
		return o.State == marketv1.OfferState_OFFER_STATE_OPEN && h.deviceAt(o.Device).State == devicev1.DeviceState_DEVICE_STATE_ACTIVE
	}))
}

func (h *history) order() (marketv1.Order, bool) {
	return pick(h, where(h, h.state.market.Orders, func(o marketv1.Order) bool { return o.State == marketv1.OrderState_ORDER_STATE_OPEN }))
}

func (h *history) items(least, most int64) (items []marketv1.NewItem) {
	for range h.between(least, most) {
		if o, some := h.offer(); some {
			items = append(items, marketv1.NewItem{Offer: o.Id, Units: uint64(h.between(1<<20, gib/32)), Escrow: h.money(1000)})
		}
	}
	return items
}

// item draws one that still runs, and its lease.
func (h *history) item() (l marketv1.Lease, i marketv1.LeaseItem, some bool) {
	i, some = pick(h, where(h, h.state.market.Items, func(i marketv1.LeaseItem) bool { return i.State == marketv1.ItemState_ITEM_STATE_OPEN }))
	return h.lease(i.Lease), i, some
}

func (h *history) lease(id uint64) marketv1.Lease {
	for _, l := range h.state.market.Leases {
		if l.Id == id {
			return l
		}
	}
	return marketv1.Lease{}
}

func (h *history) settle() (move, bool) {
	l, i, some := h.item()
	if !some {
		return move{}, false
	}
	by := h.mostly(h.deviceAt(i.Device).Operator)
	m := &marketv1.MsgSettle{Sender: by.text, AcceptPartial: h.random.IntN(2) == 0}
	if h.random.IntN(2) == 0 {
		m.Streams = append(m.Streams, marketv1.ItemRef{Lease: i.Lease, Device: i.Device})
	}
	if len(m.Streams) == 0 || h.random.IntN(2) == 0 {
		total, err := price.FromBig(i.Vouched.Add(h.money(20)).BigInt())
		if err != nil {
			return move{}, false
		}
		key := session(l.Consumer)
		if h.rarely() {
			key = session("a thief")
		}
		v := voucher.Sign(key, voucher.Voucher{
			ChainID: chainID, Lease: i.Lease, Device: i.Device, Units: i.VouchedUnits + uint64(h.between(0, 1<<20)), Amount: total,
			Seq: i.Seq + uint64(h.between(0, 3)), Expiry: h.state.now + 1000,
		})
		m.Vouchers = append(m.Vouchers, marketv1.Voucher{
			Lease: v.Lease, Device: v.Device, Units: v.Units, Amount: math.NewIntFromBigInt(v.Amount.Big()), Seq: v.Seq, Expiry: v.Expiry, Signature: v.Signature[:],
		})
	}
	return move{by: by, messages: []sdk.Msg{m}}, true
}
