package chainclient

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/core/price"
)

// The SDK, linked for comparison, starts a goroutine at init.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

func register() *devicev1.MsgRegister {
	return &devicev1.MsgRegister{Kind: "storage", Bond: sdk.Coin{Denom: Denom, Amount: sdk.NewInt64Coin(Denom, 0).Amount}}
}

func TestSendReturnsTheAnswerOfItsBlock(t *testing.T) {
	n, c := start(t, Config{})
	m := register()
	id, err := c.Register(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, uint64(registered), id)
	require.Empty(t, m.Owner, "the caller's message was changed")
	require.Equal(t, 1, n.handed)
}

func TestConcurrentSendsUseEachSequenceOnce(t *testing.T) {
	n, c := start(t, Config{})
	const senders = 40
	var group errgroup.Group
	for range senders {
		group.Go(func() error { return c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}) })
	}
	require.NoError(t, group.Wait())
	want := make([]uint64, senders)
	for i := range want {
		want[i] = uint64(i)
	}
	require.Equal(t, want, n.order)
	require.Equal(t, senders, n.handed, "some transaction was signed twice")
}

func TestSequenceTakenByAnotherProgram(t *testing.T) {
	n, c := start(t, Config{})
	require.NoError(t, c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}))
	n.set(func(n *node) { n.committed, n.checked = 5, 5 })
	require.NoError(t, c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}))
	require.Equal(t, []uint64{0, 5}, n.order)

	// Another program's transaction that is still in the mempool: the chain's sequence says 6,
	// the mempool 7, and only the next block brings them together.
	n.set(func(n *node) {
		n.committed, n.checked = 6, 7
		n.onCheck = func(uint64) {}
	})
	require.NoError(t, c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}))
	require.Equal(t, []uint64{0, 5, 6}, n.order)
}

func TestSequenceRacesUnderDisturbance(t *testing.T) {
	n, c := start(t, Config{})
	var others atomic.Uint64
	n.onCheck = func(sequence uint64) { // another program slips in before every fifth handover
		if sequence%5 == 3 && len(n.mempool) == 0 && others.Load() < 4 {
			others.Add(1)
			n.committed++
			n.checked++
		}
	}
	const senders = 20
	var group errgroup.Group
	for range senders {
		group.Go(func() error { return c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}) })
	}
	require.NoError(t, group.Wait())
	require.Len(t, n.order, senders)
	require.True(t, slices.IsSorted(n.order))
	require.Equal(t, senders, len(slices.Compact(slices.Clone(n.order))))
}

func TestForgottenTransactionIsHandedOverAgain(t *testing.T) {
	n, c := start(t, Config{})
	n.forget = func(handed int) bool { return handed < 3 }
	require.NoError(t, c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}))
	require.Equal(t, []uint64{0}, n.order)
	require.Equal(t, 3, n.handed)
}

// INV-SEND-ONCE
func TestTransactionThatNeverGetsInIsReportedDeadAndItsSequenceUsedAgain(t *testing.T) {
	n, c := start(t, Config{})
	n.forget = func(int) bool { return true }
	err := c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1})
	require.ErrorIs(t, err, ErrNotIncluded)
	n.set(func(n *node) { n.forget = nil })
	require.NoError(t, c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}))
	require.Equal(t, []uint64{0}, n.order)
}

// INV-SEND-ONCE
func TestLostAnswerDoesNotSendTwice(t *testing.T) {
	n, c := start(t, Config{})
	n.loseAnswer = 1
	require.NoError(t, c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}))
	require.Equal(t, []uint64{0}, n.order)
	require.NoError(t, c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}))
	require.Equal(t, []uint64{0, 1}, n.order)
}

func TestNodeThatRestartsIsWaitedFor(t *testing.T) {
	n, c := start(t, Config{Patience: time.Minute})
	n.set(func(n *node) { n.away = 4 })
	require.NoError(t, c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}))

	n.set(func(n *node) { n.away = 1 << 30 })
	_, err := c.Balance(t.Context(), "cairn1x")
	require.ErrorIs(t, err, ErrUnreachable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Balance(ctx, "cairn1x")
	require.Error(t, err)
}

func TestRefusalsAreTyped(t *testing.T) {
	n, c := start(t, Config{})
	n.refuse = &Code{"market", 9}
	err := c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1})
	require.ErrorIs(t, err, Code{"market", 9})
	require.NotErrorIs(t, err, Code{"market", 8})
	require.NotErrorIs(t, err, Code{"device", 9})
	require.ErrorContains(t, err, "price: zero")
	require.ErrorContains(t, err, "announcing device 1")
	require.Zero(t, n.handed, "a refused simulation was handed over")

	n.set(func(n *node) { n.refuse, n.fail = nil, &Code{"sdk", 5} })
	err = c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1})
	require.ErrorIs(t, err, ErrInsufficientFunds)
	var refusal *Error
	require.ErrorAs(t, err, &refusal)
	require.Len(t, refusal.TxHash, 64)
	require.Equal(t, "amount: too large", refusal.Log)

	n.set(func(n *node) { n.fail = nil })
	require.NoError(t, c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}), "a failed transaction uses up its sequence")
	require.Equal(t, []uint64{0, 1}, n.order)
}

func TestAccountThatTheChainHasNeverSeen(t *testing.T) {
	n, c := start(t, Config{})
	n.noAccount = true
	err := c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1})
	require.ErrorIs(t, err, ErrUnknownAddress)
	require.ErrorContains(t, err, c.Address())
}

func TestClientWithoutAccountOnlyReads(t *testing.T) {
	_, c := start(t, Config{})
	c.config.Account = nil
	require.Empty(t, c.Address())
	_, err := c.Send(t.Context(), &devicev1.MsgAnnounce{})
	require.ErrorIs(t, err, ErrNoAccount)
	balance, err := c.Balance(t.Context(), "cairn1x")
	require.NoError(t, err)
	require.Equal(t, "1.5 CAIRN", balance.Format())
}

func TestSendThatIsCancelledLeavesTheNextOneWorking(t *testing.T) {
	n, c := start(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	n.onCheck = func(uint64) { cancel() }
	err := c.Announce(ctx, &devicev1.MsgAnnounce{Id: 1})
	require.ErrorIs(t, err, context.Canceled)
	n.set(func(n *node) { n.onCheck = nil })
	require.NoError(t, c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}))
	require.Equal(t, []uint64{0, 1}, n.order)
}

func TestBankSend(t *testing.T) {
	n, c := start(t, Config{FeeGranter: "cairn1granter"})
	result, err := c.BankSend(t.Context(), "cairn1to", price.FromUint64(5))
	require.NoError(t, err)
	require.Equal(t, n.included[result.Hash].Height, result.Height)
}

func TestFee(t *testing.T) {
	for _, test := range []struct {
		base, price string
		gas         uint64
		want        string
		dynamic     bool
	}{
		{base: "1000000000000000000000000000", gas: 100_000, want: "200000000000000acairn", dynamic: true}, // 10^9 a gas, doubled
		{base: "", price: "0.025acairn", gas: 100_001, want: "2501acairn"},
		{base: "", price: "1uatom", gas: 100_000, want: ""},
		{base: "500000000000000000", price: "3acairn,1uatom", gas: 10, want: "30acairn", dynamic: true},
	} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			n, c := start(t, Config{})
			n.baseFee, n.price = test.base, test.price
			f, err := c.feeFor(t.Context(), test.gas)
			require.NoError(t, err)
			require.Equal(t, test.want, f.coins.String())
			require.Equal(t, test.dynamic, f.dynamic)
		})
	}
	n, c := start(t, Config{})
	n.price = "manyacairn"
	_, err := c.feeFor(t.Context(), 1)
	require.ErrorContains(t, err, "many")
	n.set(func(n *node) { n.baseFee = "-1" })
	_, err = c.feeFor(t.Context(), 1)
	require.Error(t, err)
}
