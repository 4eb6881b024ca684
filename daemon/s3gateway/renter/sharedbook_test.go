package renter

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/price"
)

// common is what gateways share, in memory: a transaction is what happens under its lock.
type common struct {
	mu       sync.Mutex
	promises map[Account]Promise
	down     error
}

func newCommon() *common { return &common{promises: map[Account]Promise{}} }

func (c *common) Update(a Account, next func(Promise) (Promise, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down != nil {
		return c.down
	}
	if _, err := next(c.promises[a]); err != nil { // a first try that the database had repeated
		return err
	}
	p, err := next(c.promises[a])
	if err == nil {
		c.promises[a] = p
	}
	return err
}

func (c *common) Each(fn func(Account, Promise)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a, p := range c.promises {
		fn(a, p)
	}
	return c.down
}

func openShared(t require.TestingT, c *common) *Book {
	b, err := OpenSharedBook(testChain, testSession, 0, c)
	require.NoError(t, err)
	return b
}

func TestGatewaysAddToOneChainOfVouchers(t *testing.T) {
	c := newCommon()
	one, two := openShared(t, c), openShared(t, c)
	a := Account{Lease: 1, Device: 2}
	v, err := one.Pay(a, 0, 100, terms(10_000))
	require.NoError(t, err)
	require.EqualValues(t, 100, v.Units)
	// The other gateway's demand was written before that voucher arrived.
	v, err = two.Pay(a, 0, 50, terms(10_000))
	require.NoError(t, err)
	require.EqualValues(t, 150, v.Units)
	require.EqualValues(t, 2, v.Seq)
	// Its voucher got lost: the same bytes count again, and are not promised again.
	v, err = two.Pay(a, 100, 70, terms(10_000))
	require.NoError(t, err)
	require.EqualValues(t, 170, v.Units)
	// It arrived: what comes in now is new.
	v, err = two.Pay(a, 170, 30, terms(10_000))
	require.NoError(t, err)
	require.EqualValues(t, 200, v.Units)
	require.EqualValues(t, 4, v.Seq)

	require.NoError(t, one.Refresh())
	require.Equal(t, two.Promised(a), one.Promised(a))
	// A gateway that opens later goes on from there.
	three := openShared(t, c)
	require.Equal(t, Promise{Seq: 4, Units: 200, Amount: price.FromUint64(300)}, three.Promised(a))
	_, err = three.Pay(a, 200, 100, terms(400))
	require.ErrorIs(t, err, ErrEscrowDry)

	c.down = errors.New("no database")
	_, err = three.Pay(a, 200, 1, terms(10_000))
	require.ErrorIs(t, err, c.down)
	require.EqualValues(t, 4, three.Promised(a).Seq)
}

// TestSharedPromisesNeverExceedWhatCameIn holds INV-VOUCHER-1 and 2 over several gateways: bytes come
// in, vouchers are signed, some arrive and others get lost; sequence numbers rise by one, and no
// voucher is for more than all gateways together received, but for what lost ones added where several
// gateways pay.
func TestSharedPromisesNeverExceedWhatCameIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCommon()
		a := Account{Lease: 1, Device: 2}
		books := make([]*Book, rapid.IntRange(1, 4).Draw(t, "gateways"))
		owed := make([]uint64, len(books)) // came in and is not known to be paid
		knows := make([]uint64, len(books))
		for i := range books {
			books[i] = openShared(t, c)
		}
		var received, held, seq, lost uint64
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, len(books)-1).Draw(t, "gateway")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				n := uint64(rapid.IntRange(1, 1000).Draw(t, "bytes"))
				received, owed[i] = received+n, owed[i]+n
			case 1: // a demand, which says what the device holds, arrives
				knows[i] = held
			default:
				if owed[i] == 0 {
					continue
				}
				units := uint64(rapid.IntRange(1, int(owed[i])).Draw(t, "units"))
				v, err := books[i].Pay(a, knows[i], units, terms(1<<40))
				if err != nil {
					t.Fatal(err)
				}
				if seq++; v.Seq != seq {
					t.Fatalf("sequence %d, want %d", v.Seq, seq)
				}
				if len(books) == 1 {
					lost = 0
				}
				if v.Units > received+lost {
					t.Fatal(fmt.Errorf("promised %d, received %d, lost %d", v.Units, received, lost))
				}
				if rapid.Bool().Draw(t, "arrives") {
					held, knows[i] = max(held, v.Units), max(knows[i], v.Units)
					owed[i] -= units
				} else {
					lost += units
				}
			}
		}
	})
}
