package market_test

import (
	"bytes"
	"errors"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
)

// One item that cannot be paid out, by an error or by a panic, holds up neither the others nor the
// chain, changes nothing, and is tried again.
func TestBadItemIsPutOffAndHoldsUpNothing(t *testing.T) {
	paidHalf := false // the owner of the bad item has its money, the fee is not burned yet
	for name, refuse := range map[string]func() error{
		"error":                       func() error { return errors.New("account is blocked") },
		"panic":                       func() error { panic("index out of range") },
		"panic after money has moved": func() error { paidHalf = true; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.sellers(t, 3)
			f.rich(consumer(0))
			open := opening()
			open.Items = nil
			for n := range 3 {
				open.Items = append(open.Items, marketv1.NewItem{Offer: uint64(n + 1), Units: 10, Escrow: amount(10_000)})
			}
			lease := f.lease(t, open)
			f.Bank.Refuse = func(to sdk.AccAddress) error {
				if bytes.Equal(to, owner(1)) {
					return refuse()
				}
				return nil
			}
			f.Bank.RefuseBurn = func() error {
				if paidHalf {
					paidHalf = false
					panic("burning")
				}
				return nil
			}
			f.Pass(1000)
			f.Forget()
			before := f.balance(owner(1))
			f.block(t, 1)
			want(t, "paid to the owner of the bad item", f.balance(owner(1)).Sub(before), 0)
			for device, state := range map[uint64]marketv1.ItemState{
				1: marketv1.ItemState_ITEM_STATE_CLOSING, 2: marketv1.ItemState_ITEM_STATE_OPEN, 3: marketv1.ItemState_ITEM_STATE_CLOSING,
			} {
				if item := f.item(t, lease, device); item.State != state {
					t.Errorf("item of device %d is %s, want %s", device, item.State, state)
				}
			}
			if n := f.Recorded("cairn.market.v1.EventDeadlinePostponed"); n != 1 {
				t.Errorf("%d events of postponement, want 1", n)
			}
			if n := f.Recorded("cairn.market.v1.EventSettled"); n != 2 {
				t.Errorf("%d events of settlement, want 2: what was undone must not be told", n)
			}
			f.check(t)
			f.restart(t)
			f.Bank.Refuse, f.Bank.RefuseBurn = nil, nil
			f.Pass(3600)
			f.block(t, 1)
			if item := f.item(t, lease, 2); item.State != marketv1.ItemState_ITEM_STATE_CLOSING || !item.Streamed.Equal(amount(1000)) {
				t.Errorf("after the retry: %s, streamed %s", item.State, item.Streamed)
			}
			f.check(t)
		})
	}
}

func TestBlockWorksOffABoundedNumberOfDeadlines(t *testing.T) {
	f := newFixture(t)
	f.params(t, func(p *marketv1.Params) { p.DeadlinesPerBlock = 2 })
	f.sellers(t, 5)
	f.rich(consumer(0))
	open := opening()
	open.Items = nil
	for n := range 5 {
		open.Items = append(open.Items, marketv1.NewItem{Offer: uint64(n + 1), Units: 10, Escrow: amount(10_000)})
	}
	lease := f.lease(t, open)
	f.Pass(1000)
	for closing := 2; closing <= 6; closing += 2 {
		f.block(t, 1)
		n := 0
		for device := range uint64(5) {
			if f.item(t, lease, device+1).State == marketv1.ItemState_ITEM_STATE_CLOSING {
				n++
			}
		}
		if n != min(closing, 5) {
			t.Fatalf("%d items are closing, want %d", n, min(closing, 5))
		}
		f.check(t)
	}
}

// When the queue is behind, messages see what the clock says, not what the queue has come to.
func TestLateQueueChangesNothingForMessages(t *testing.T) {
	f := newFixture(t)
	f.sellers(t, 1)
	f.rich(consumer(0))
	lease := f.lease(t, opening())
	f.Pass(1500) // expired 500 ago, the queue has not run
	if _, err := f.settle(f.signed(session(0), nil)); err != nil {
		t.Fatalf("a voucher in the grace window: %v", err)
	}
	want(t, "streamed up to the expiry", f.item(t, lease, 1).Streamed, 10_000)
	_, err := f.msg.AmendLease(f.Ctx, &marketv1.MsgAmendLease{Consumer: stage.Spell(consumer(0)), Id: lease, Seconds: 10_000})
	if !errors.Is(err, market.ErrLeaseExpired) {
		t.Fatalf("extending it: %v", err)
	}
	f.Pass(market.DefaultParams().GraceSeconds)
	late := f.signed(session(0), func(v *marketv1.Voucher) { v.Seq, v.Amount = 2, amount(500) })
	if _, err := f.settle(late); !errors.Is(err, market.ErrItemClosed) {
		t.Fatalf("a voucher after the grace window: %v", err)
	}
	f.block(t, 1)
	f.block(t, 1)
	if item := f.item(t, lease, 1); item.State != marketv1.ItemState_ITEM_STATE_CLOSED {
		t.Fatalf("it is %s", item.State)
	}
	f.check(t)
}
