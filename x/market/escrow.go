package market

import (
	"errors"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/core/price"
)

// Each function here computes on one item and knows no store. What it gives back has left the
// item's escrow and must be paid.

// accrue brings an open item's stream up to a time, Unix seconds, and gives what it has earned
// since accrued_at. What is less than a base unit is carried, so that the sum over any schedule
// of calls is that of one call at the end. An escrow that runs dry stops the stream: the time
// that it could not pay for is never paid, whoever adds money later.
func accrue(item *marketv1.LeaseItem, until int64) (math.Int, error) {
	if item.State != marketv1.ItemState_ITEM_STATE_OPEN || until <= item.AccruedAt {
		return math.ZeroInt(), nil
	}
	rate, err := parsePrice("stream", item.Stream)
	if err != nil {
		return math.Int{}, err
	}
	cost, carry, err := rate.Accrue(item.Units, uint64(until-item.AccruedAt), item.Carry)
	if err != nil && !errors.Is(err, price.ErrRange) {
		return math.Int{}, errorsmod.Wrap(ErrPrice, err.Error())
	}
	earned := toInt(cost)
	if err != nil || earned.GTE(item.Escrow) { // more than 128 bits is more than any escrow
		earned, carry = item.Escrow, 0
	}
	item.AccruedAt = until
	item.Carry = carry
	item.Streamed = item.Streamed.Add(earned)
	item.Escrow = item.Escrow.Sub(earned)
	return earned, nil
}

// dryAt gives the time, Unix seconds, at which an open item's stream alone empties its escrow;
// 0 for never.
func dryAt(item marketv1.LeaseItem) (int64, error) {
	if item.State != marketv1.ItemState_ITEM_STATE_OPEN {
		return 0, nil
	}
	earns := func(seconds uint64) (bool, error) { // whether that many seconds earn all of the escrow
		trial := item
		trial.AccruedAt = 0
		if _, err := accrue(&trial, int64(seconds)); err != nil {
			return false, err
		}
		return trial.Escrow.IsZero(), nil
	}
	// Doubling, then halving: no division of 256 bits, and exact.
	const horizon = uint64(1) << 40
	var least, most uint64 = 0, 1
	for {
		all, err := earns(most)
		if err != nil {
			return 0, err
		}
		if all {
			break
		}
		if most >= horizon {
			return 0, nil
		}
		least, most = most, most*2
	}
	for least+1 < most {
		middle := least + (most-least)/2
		all, err := earns(middle)
		if err != nil {
			return 0, err
		}
		if all {
			most = middle
		} else {
			least = middle
		}
	}
	return item.AccruedAt + int64(most), nil
}

// voucher is a voucher of a message after its form has been checked.
type voucher struct {
	amount price.Amount
	units  uint64
	seq    uint64
}

// redeem gives what a voucher pays beyond what vouchers have been paid already, and how much of it
// the escrow does not hold. A voucher is worth what its amount exceeds the amount paid by: replay
// and reordering pay nothing. Its sequence may equal the last one only to collect what that one
// could not be paid.
func redeem(item *marketv1.LeaseItem, v voucher) (paid, unpaid math.Int, err error) {
	amount := toInt(v.amount)
	switch {
	case v.seq < item.Seq:
		return math.Int{}, math.Int{}, errorsmod.Wrapf(ErrVoucherStale, "seq %d after %d", v.seq, item.Seq)
	case amount.LTE(item.Vouched):
		return math.Int{}, math.Int{}, errorsmod.Wrapf(ErrVoucherStale, "amount %s, %s has been paid", amount, item.Vouched)
	case v.units < item.VouchedUnits:
		return math.Int{}, math.Int{}, errorsmod.Wrapf(ErrVoucherStale, "units %d after %d", v.units, item.VouchedUnits)
	}
	due := amount.Sub(item.Vouched)
	paid = math.MinInt(due, item.Escrow)
	item.Seq, item.VouchedUnits = v.seq, v.units
	item.Vouched = item.Vouched.Add(paid)
	item.Escrow = item.Escrow.Sub(paid)
	return paid, due.Sub(paid), nil
}
