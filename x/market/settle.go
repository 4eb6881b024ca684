package market

import (
	"crypto/ed25519"
	"errors"

	errorsmod "cosmossdk.io/errors"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	corevoucher "github.com/cairn-network/cairn/core/voucher"
)

// settleAll redeems vouchers and pays streams, all or nothing. With partial, what has been paid or
// has closed meanwhile is passed over and an escrow gives what it still holds.
func (b *book) settleAll(vouchers []marketv1.Voucher, streams []marketv1.ItemRef, partial bool) error {
	checked, err := b.verify(vouchers)
	if err != nil {
		return err
	}
	for n, v := range vouchers {
		if err := b.settleVoucher(v, checked[n], partial); err != nil {
			return errorsmod.Wrapf(err, "vouchers[%d] of lease %d, device %d", n, v.Lease, v.Device)
		}
	}
	for n, ref := range streams {
		if err := b.settleStream(ref); err != nil && !(partial && passable(err)) {
			return errorsmod.Wrapf(err, "streams[%d] of lease %d, device %d", n, ref.Lease, ref.Device)
		}
	}
	return nil
}

// passable says whether an error is about an item that another message got to first.
func passable(err error) bool {
	return errors.Is(err, ErrVoucherStale) || errors.Is(err, ErrItemClosed)
}

// verify checks the form of all vouchers and, in one batch, their signatures by the session keys of
// their leases.
func (b *book) verify(vouchers []marketv1.Voucher) ([]voucher, error) {
	b.ctx.GasMeter().ConsumeGas(uint64(len(vouchers))*gasVoucher, "market vouchers")
	var (
		checked = make([]voucher, len(vouchers))
		signed  = make([]corevoucher.Signed, len(vouchers))
		keys    = make([]ed25519.PublicKey, len(vouchers))
		chain   = b.ctx.ChainID()
	)
	for n, v := range vouchers {
		named := func(err error) error {
			return errorsmod.Wrapf(err, "vouchers[%d] of lease %d, device %d", n, v.Lease, v.Device)
		}
		amount, err := parsePositive("amount", v.Amount)
		if err != nil {
			return nil, named(err)
		}
		if len(v.Signature) != ed25519.SignatureSize {
			return nil, named(errorsmod.Wrapf(ErrSignature, "signature of %d bytes: want %d", len(v.Signature), ed25519.SignatureSize))
		}
		if v.Seq == 0 {
			return nil, named(errorsmod.Wrap(ErrField, "seq 0: want at least 1"))
		}
		if b.now > v.Expiry {
			return nil, named(errorsmod.Wrapf(ErrVoucherExpired, "expiry %d, block time %d", v.Expiry, b.now))
		}
		l, err := b.lease(v.Lease)
		if err != nil {
			return nil, named(err)
		}
		checked[n] = voucher{amount: amount, units: v.Units, seq: v.Seq}
		keys[n] = l.value.SessionKey
		signed[n] = corevoucher.Signed{
			Voucher: corevoucher.Voucher{
				ChainID: chain,
				Lease:   v.Lease,
				Device:  v.Device,
				Units:   v.Units,
				Amount:  amount,
				Seq:     v.Seq,
				Expiry:  v.Expiry,
			},
			Signature: [ed25519.SignatureSize]byte(v.Signature),
		}
	}
	if bad := corevoucher.VerifyBatch(keys, signed); len(bad) > 0 {
		n := bad[0]
		return nil, errorsmod.Wrapf(ErrSignature, "vouchers[%d] of lease %d, device %d is not signed by session key %x for chain %s (%d of %d do not hold)",
			n, vouchers[n].Lease, vouchers[n].Device, keys[n], chain, len(bad), len(vouchers))
	}
	return checked, nil
}

// settleVoucher redeems a verified voucher and pays its item's stream on the way.
func (b *book) settleVoucher(v marketv1.Voucher, checked voucher, partial bool) error {
	l, i, err := b.payable(v.Lease, v.Device)
	if err != nil {
		if partial && passable(err) {
			return nil
		}
		return err
	}
	unpaid, err := b.settle(l, i, &checked)
	switch {
	case err != nil && partial && passable(err):
		_, err = b.settle(l, i, nil)
		return err
	case err != nil:
		return err
	case unpaid.IsPositive() && !partial:
		return errorsmod.Wrapf(ErrEscrowDry, "amount %s: the escrow lacks %s", checked.amount, unpaid)
	}
	return nil
}

// settleStream pays an item's stream.
func (b *book) settleStream(ref marketv1.ItemRef) error {
	l, i, err := b.payable(ref.Lease, ref.Device)
	if err != nil {
		return err
	}
	_, err = b.settle(l, i, nil)
	return err
}

// payable takes an item that can still be paid from.
func (b *book) payable(lease, device uint64) (leaseVolume, itemVolume, error) {
	l, err := b.lease(lease)
	if err != nil {
		return nil, nil, err
	}
	i, err := b.item(lease, device)
	if err != nil {
		return nil, nil, err
	}
	if i.value.State == marketv1.ItemState_ITEM_STATE_CLOSED {
		return nil, nil, errorsmod.Wrapf(ErrItemClosed, "lease %d, device %d", lease, device)
	}
	if until, ending := b.graceEnd(l.value.Lease, i.value.LeaseItem); ending && b.now >= until {
		return nil, nil, errorsmod.Wrapf(ErrItemClosed, "lease %d, device %d: grace window ended at %d, block time %d", lease, device, until, b.now)
	}
	return l, i, nil
}
