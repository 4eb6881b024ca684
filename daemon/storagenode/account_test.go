package storagenode

import (
	"context"
	"crypto/ed25519"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

const testChain = "cairn-test-1"

func testKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

// billed is a wire.Client that keeps the bills.
type billed struct{ bills chan wire.Demand }

func (b *billed) Demand(_ context.Context, d wire.Demand) error {
	select {
	case b.bills <- d:
	default:
	}
	return nil
}
func (b *billed) RemoteAddr() net.Addr { return &net.TCPAddr{} }

func testItem(now time.Time) Item {
	return Item{
		Lease: 5, Device: 9, SessionKey: testKey(1).Public().(ed25519.PublicKey), Units: 1 << 30,
		Metered: price.Rate{Amount: price.FromUint64(2), Per: 1000}, State: ItemOpen,
		ExpiresAt: now.Add(time.Hour), Escrow: price.FromUint64(1_000_000),
	}
}

func testVoucher(now time.Time, units, seq uint64) voucher.Voucher {
	return voucher.Voucher{ChainID: testChain, Lease: 5, Device: 9, Units: units, Amount: price.FromUint64(units * 2 / 1000), Seq: seq, Expiry: now.Add(time.Hour).Unix()}
}

// TestVouchersThatDoNotPay has every way to cheat with a voucher.
func TestVouchersThatDoNotPay(t *testing.T) {
	fake := clock.NewFake(time.Unix(1_800_000_000, 0))
	path := filepath.Join(t.TempDir(), "vouchers")
	l, err := openLedger(path)
	require.NoError(t, err)
	a := newAccounts(l, 1000, fake)
	acc := a.open(5)
	item := testItem(fake.Now())
	good := testVoucher(fake.Now(), 10_000, 3)
	require.NoError(t, a.pay(acc, testChain, &item, voucher.Sign(testKey(1), good)))
	for name, test := range map[string]struct {
		change func(*voucher.Voucher)
		want   wire.Code
	}{
		"replayed":             {func(v *voucher.Voucher) {}, wire.ErrBadVoucher},
		"older":                {func(v *voucher.Voucher) { v.Seq = 2; v.Units = 20_000; v.Amount = price.FromUint64(40) }, wire.ErrBadVoucher},
		"fewer units":          {func(v *voucher.Voucher) { v.Seq = 4; v.Units = 9000 }, wire.ErrBadVoucher},
		"smaller amount":       {func(v *voucher.Voucher) { v.Seq = 4; v.Amount = price.FromUint64(19) }, wire.ErrBadVoucher},
		"more units, no money": {func(v *voucher.Voucher) { v.Seq = 4; v.Units = 20_000 }, wire.ErrBadVoucher},
		"another chain":        {func(v *voucher.Voucher) { v.Seq = 4; v.ChainID = "other-1" }, wire.ErrBadVoucher},
		"another lease":        {func(v *voucher.Voucher) { v.Seq = 4; v.Lease = 6 }, wire.ErrBadVoucher},
		"another device":       {func(v *voucher.Voucher) { v.Seq = 4; v.Device = 8 }, wire.ErrBadVoucher},
		"about to expire":      {func(v *voucher.Voucher) { v.Seq = 4; v.Expiry = fake.Now().Add(time.Minute).Unix() }, wire.ErrBadVoucher},
		"above the escrow":     {func(v *voucher.Voucher) { v.Seq = 4; v.Amount = price.FromUint64(1_000_001) }, wire.ErrUnpaid},
	} {
		v := good
		test.change(&v)
		require.ErrorIs(t, a.pay(acc, testChain, &item, voucher.Sign(testKey(1), v)), test.want, name)
	}
	next := testVoucher(fake.Now(), 11_000, 4)
	require.ErrorIs(t, a.pay(acc, testChain, &item, voucher.Sign(testKey(2), next)), wire.ErrBadVoucher, "signed by a stranger")
	_, paid := acc.state()
	require.EqualValues(t, 10_000, paid)
	require.NoError(t, a.pay(acc, testChain, &item, voucher.Sign(testKey(1), next)))
	require.NoError(t, l.close())

	// Only the best is kept, and a torn end is cut off.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.Write([]byte{200, 0, 0, 0, 1, 2, 3, 4, 5, 6})
	require.NoError(t, err)
	require.NoError(t, f.Close())
	l, err = openLedger(path)
	require.NoError(t, err)
	v, ok := l.get(5)
	require.True(t, ok)
	require.EqualValues(t, 4, v.Seq)
	require.Len(t, l.all(), 1)
	served, paid := newAccounts(l, 1000, fake).open(5).state()
	require.EqualValues(t, 11_000, served)
	require.EqualValues(t, 11_000, paid)
	require.NoError(t, l.close())
}

// TestCreditIsTheMostThatIsServedUnpaid holds INV-NODE-3.
func TestCreditIsTheMostThatIsServedUnpaid(t *testing.T) {
	fake := clock.NewFake(time.Unix(1_800_000_000, 0))
	l, err := openLedger(filepath.Join(t.TempDir(), "vouchers"))
	require.NoError(t, err)
	a := newAccounts(l, 10_000, fake)
	a.patience = time.Millisecond
	client := &billed{bills: make(chan wire.Demand, 100)}
	ctx := context.Background()
	acc := a.open(5)
	for range 10 {
		require.NoError(t, acc.charge(ctx, client, 1000))
	}
	d := <-client.bills
	require.EqualValues(t, 6000, d.Served, "billed half-way, before anyone has to wait")
	require.ErrorIs(t, acc.charge(ctx, client, 1), wire.ErrUnpaid)

	// Coming back at once does not help; after a while the debt is written off, once.
	a.close(acc)
	acc = a.open(5)
	require.ErrorIs(t, acc.charge(ctx, client, 1), wire.ErrUnpaid)
	a.close(acc)
	fake.Advance(forgiveInterval)
	acc = a.open(5)
	require.NoError(t, acc.charge(ctx, client, 10_000))
	a.close(acc)
	acc = a.open(5)
	require.ErrorIs(t, acc.charge(ctx, client, 1), wire.ErrUnpaid)

	// A voucher wakes those who wait.
	acc.patience = time.Minute
	waiting := make(chan error, 1)
	go func() { waiting <- acc.charge(ctx, client, 5000) }()
	item := testItem(fake.Now())
	require.NoError(t, a.pay(acc, testChain, &item, voucher.Sign(testKey(1), testVoucher(fake.Now(), 20_000, 1))))
	require.NoError(t, <-waiting)
}

func FuzzLedger(f *testing.F) {
	b, err := appendLedger(nil, voucher.Sign(testKey(1), testVoucher(time.Unix(1_800_000_000, 0), 10, 1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		good := parseLedger(b, func(v voucher.Signed) {
			if err := v.Check(); err != nil {
				t.Fatal(err)
			}
			n++
		})
		if good > len(b) || good < n*ledgerFrame {
			t.Fatalf("%d records in %d bytes of %d", n, good, len(b))
		}
	})
}
