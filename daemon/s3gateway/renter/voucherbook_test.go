package renter

import (
	"bytes"
	"crypto/ed25519"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/voucher"
)

var testSession = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

const testChain = "cairn-test-1"

func openBook(t require.TestingT, path string, slack uint64) *Book {
	b, err := OpenBook(path, testChain, testSession, slack)
	require.NoError(t, err)
	return b
}

func terms(limit uint64) Terms {
	return Terms{
		Metered: price.Rate{Amount: price.FromUint64(3), Per: 2},
		Limit:   price.FromUint64(limit),
		Expiry:  2_000_000_000,
	}
}

func TestBookPaysWhatCameInAndNoMoreThanTheEscrow(t *testing.T) {
	b := openBook(t, filepath.Join(t.TempDir(), "book"), 0)
	defer b.Close()
	a := Account{Lease: 1, Device: 2}
	v, err := b.Pay(a, 0, 100, terms(1000))
	require.NoError(t, err)
	require.NoError(t, v.Verify(testSession.Public().(ed25519.PublicKey)))
	require.Equal(t, voucher.Voucher{ChainID: testChain, Lease: 1, Device: 2, Units: 100, Amount: price.FromUint64(150), Seq: 1, Expiry: 2_000_000_000}, v.Voucher)
	// The first voucher got lost: the node holds nothing, 30 more bytes came.
	v, err = b.Pay(a, 0, 130, terms(1000))
	require.NoError(t, err)
	require.Equal(t, uint64(130), v.Units)
	// A node that says it holds more than was ever promised is paid from the books.
	v, err = b.Pay(a, 1<<60, 70, terms(1000))
	require.NoError(t, err)
	require.Equal(t, uint64(200), v.Units)
	_, err = b.Pay(a, 200, 900, terms(1649))
	require.ErrorIs(t, err, ErrEscrowDry)
	v, err = b.Pay(a, 200, 900, terms(1650))
	require.NoError(t, err)
	require.Equal(t, uint64(4), v.Seq, "a refusal uses up no sequence number")
	_, err = b.Pay(a, 1100, math.MaxUint64-5, terms(1650))
	require.ErrorIs(t, err, ErrOverclaim)
}

// TestBookSurvivesCrash holds INV-VOUCHER-1: whatever prefix of the log survives after the last
// signature that left, the next voucher supersedes every one that left.
func TestBookSurvivesCrash(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "book")
		require.NoError(t, os.RemoveAll(path))
		b := openBook(t, path, 0)
		last := make(map[Account]voucher.Signed)
		for range rapid.IntRange(1, 60).Draw(t, "operations") {
			a := Account{Lease: 1, Device: uint64(rapid.IntRange(1, 3).Draw(t, "device"))}
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0: // crash: no Close, and a torn record behind the last synced one
				torn := rapid.SliceOfN(rapid.Byte(), 0, bookRecordSize-1).Draw(t, "torn")
				f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
				require.NoError(t, err)
				_, err = f.Write(torn)
				require.NoError(t, err)
				require.NoError(t, f.Close())
				b.file.Close()
				b = openBook(t, path, 0)
			case 1:
				require.NoError(t, b.Close())
				b = openBook(t, path, 0)
			default:
				held := last[a].Units // or what an older voucher, which arrived, said
				if rapid.Bool().Draw(t, "lost") {
					held = rapid.Uint64Range(0, held).Draw(t, "held")
				}
				v, err := b.Pay(a, held, rapid.Uint64Range(0, 1000).Draw(t, "bytes"), terms(1<<40))
				require.NoError(t, err)
				if old, ok := last[a]; ok {
					require.NoError(t, voucher.Supersedes(old.Voucher, v.Voucher))
				}
				last[a] = v
			}
		}
		require.NoError(t, b.Close())
	})
}

func TestBookGrantsSlackOnlyAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	a := Account{Lease: 1, Device: 2}
	b := openBook(t, path, 50)
	require.Zero(t, b.TakeSlack(a), "a new book has nothing to make good")
	_, err := b.Pay(a, 0, 10, terms(1000))
	require.NoError(t, err)
	b.file.Close() // crash

	b = openBook(t, path, 50)
	require.Equal(t, uint64(50), b.TakeSlack(a))
	require.Zero(t, b.TakeSlack(a), "slack is granted once")
	require.NoError(t, b.Close())

	b = openBook(t, path, 50)
	require.Zero(t, b.TakeSlack(a), "after a clean end there is none")
	require.NoError(t, b.Close())
}

func TestBookAdoptsItsOwnForgottenVouchers(t *testing.T) {
	a := Account{Lease: 4, Device: 5}
	old := openBook(t, filepath.Join(t.TempDir(), "old"), 0)
	v, err := old.Pay(a, 0, 500, terms(1<<20))
	require.NoError(t, err)
	require.NoError(t, old.Close())

	b := openBook(t, filepath.Join(t.TempDir(), "new"), 0)
	defer b.Close()
	forged := v
	forged.Units++
	require.Error(t, b.Adopt(forged))
	foreign := v
	foreign.ChainID = "other-1"
	require.Error(t, b.Adopt(foreign))
	require.NoError(t, b.Adopt(v))
	require.Equal(t, Promise{Seq: 1, Units: 500, Amount: price.FromUint64(750)}, b.Promised(a))
	next, err := b.Pay(a, 500, 1, terms(1<<20))
	require.NoError(t, err)
	require.NoError(t, voucher.Supersedes(v.Voucher, next.Voucher))
}

func TestBookSharesSyncsAmongSigners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	b := openBook(t, path, 0)
	var group sync.WaitGroup
	const devices, each = 16, 20
	for d := range devices {
		group.Go(func() {
			a := Account{Lease: 1, Device: uint64(d + 1)}
			for i := range each {
				if _, err := b.Pay(a, uint64(i)*10, 10, terms(1<<30)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.NoError(t, b.Close())
	b = openBook(t, path, 0)
	for d := range devices {
		require.Equal(t, uint64(each), b.Promised(Account{Lease: 1, Device: uint64(d + 1)}).Seq)
	}
	require.NoError(t, b.Close())
}

func TestBookSaysWhereItIsDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	b := openBook(t, path, 0)
	a := Account{Lease: 1, Device: 1}
	for i := range uint64(3) {
		_, err := b.Pay(a, i, 1, terms(1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, b.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[bookRecordSize+20] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o600))
	_, err = OpenBook(path, testChain, testSession, 0)
	require.ErrorIs(t, err, ErrBookDamaged)
	require.ErrorContains(t, err, "byte 60")
}

func FuzzParseBook(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendBookRecord(nil, bookPromise, Account{1, 2}, Promise{Seq: 3, Units: 4, Amount: price.FromUint64(5)}))
	f.Add(appendBookRecord(nil, bookCleanEnd, Account{}, Promise{}))
	f.Fuzz(func(t *testing.T, data []byte) {
		promises, _, err := parseBook(data)
		if err != nil {
			return
		}
		var again []byte
		for a, p := range promises {
			again = appendBookRecord(again, bookPromise, a, p)
		}
		reread, _, err := parseBook(again)
		if err != nil || len(reread) != len(promises) {
			t.Fatalf("%d promises read back as %d: %v", len(promises), len(reread), err)
		}
	})
}
