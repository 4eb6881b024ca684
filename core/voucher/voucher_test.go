package voucher_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/signature"
	"github.com/cairn-network/cairn/core/voucher"
)

func key(n int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%032d", n))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func draw(t *rapid.T) voucher.Voucher {
	return voucher.Voucher{
		ChainID: rapid.StringMatching(`[!-~]{1,50}`).Draw(t, "chain"),
		Lease:   rapid.Uint64Min(1).Draw(t, "lease"),
		Device:  rapid.Uint64Min(1).Draw(t, "device"),
		Units:   rapid.Uint64().Draw(t, "units"),
		Amount:  price.Amount{Hi: rapid.Uint64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")},
		Seq:     rapid.Uint64Min(1).Draw(t, "seq"),
		Expiry:  rapid.Int64Min(1).Draw(t, "expiry"),
	}
}

// mutations change one field each.
var mutations = map[string]func(*voucher.Voucher){
	"chain":    func(v *voucher.Voucher) { v.ChainID += "x" },
	"lease":    func(v *voucher.Voucher) { v.Lease++ },
	"device":   func(v *voucher.Voucher) { v.Device++ },
	"units":    func(v *voucher.Voucher) { v.Units++ },
	"amount":   func(v *voucher.Voucher) { v.Amount.Lo++ },
	"amount's": func(v *voucher.Voucher) { v.Amount.Hi++ },
	"sequence": func(v *voucher.Voucher) { v.Seq++ },
	"expiry":   func(v *voucher.Voucher) { v.Expiry++ },
}

// INV-VOUCHER-2.
func TestSignatureBindsEveryField(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := draw(t)
		s := voucher.Sign(key(1), v)
		if err := s.Verify(public(key(1))); err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(public(key(2))); !errors.Is(err, signature.ErrSignature) {
			t.Fatalf("another key: %v", err)
		}
		for field, mutate := range mutations {
			bad := s
			mutate(&bad.Voucher)
			if err := bad.Verify(public(key(1))); !errors.Is(err, signature.ErrSignature) {
				t.Fatalf("another %s: %v", field, err)
			}
		}
	})
}

// Chain id and fields cannot run into each other: only the whole voucher gives its bytes.
func TestSignBytesAreInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t), draw(t)
		if len(a.SignBytes()) != voucher.SignedSize {
			t.Fatalf("%d bytes", len(a.SignBytes()))
		}
		if bytes.Equal(a.SignBytes(), b.SignBytes()) != (a == b) {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
}

func TestEncodingRoundTripsAndIsTheOnlyOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := voucher.Sign(key(1), draw(t))
		b, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var got voucher.Signed
		if err := got.UnmarshalBinary(b); err != nil || got != s {
			t.Fatalf("%+v, %v; want %+v", got, err, s)
		}
		for _, bad := range [][]byte{nil, b[:1], b[:len(b)-1], append(bytes.Clone(b), 0)} {
			if err := got.UnmarshalBinary(bad); !errors.Is(err, voucher.ErrEncoding) {
				t.Fatalf("%d of %d bytes: %v", len(bad), len(b), err)
			}
		}
		b[0]++
		if err := got.UnmarshalBinary(b); !errors.Is(err, voucher.ErrEncoding) || got != s {
			t.Fatalf("another version: %v", err)
		}
	})
}

func TestBadFieldsAreNamed(t *testing.T) {
	good := voucher.Voucher{ChainID: "cairn-1", Lease: 1, Device: 2, Seq: 1, Expiry: 100}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for field, spoil := range map[string]func(*voucher.Voucher){
		"chain id": func(v *voucher.Voucher) { v.ChainID = "" },
		"bytes":    func(v *voucher.Voucher) { v.ChainID = strings.Repeat("x", 300) },
		"lease":    func(v *voucher.Voucher) { v.Lease = 0 },
		"device":   func(v *voucher.Voucher) { v.Device = 0 },
		"sequence": func(v *voucher.Voucher) { v.Seq = 0 },
		"expiry":   func(v *voucher.Voucher) { v.Expiry = -1 },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Check(); !errors.Is(err, voucher.ErrField) || !strings.Contains(err.Error(), field) {
			t.Errorf("bad %s: %v", field, err)
		}
		if _, err := voucher.Sign(key(1), bad).MarshalBinary(); !errors.Is(err, voucher.ErrField) {
			t.Errorf("bad %s encodes: %v", field, err)
		}
	}
}

// INV-VOUCHER-1: whatever order vouchers come in, and however often, what counts is the highest, and
// it never falls.
func TestOnlyTheHighestVoucherCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := voucher.Voucher{ChainID: "cairn-1", Lease: 1, Device: 2, Expiry: 100}
		var issued []voucher.Voucher
		for range rapid.IntRange(1, 20).Draw(t, "issued") {
			v.Seq += rapid.Uint64Range(1, 3).Draw(t, "seq")
			v.Units += rapid.Uint64Range(0, 100).Draw(t, "units")
			v.Amount, _ = v.Amount.Add(price.FromUint64(rapid.Uint64Range(0, 100).Draw(t, "amount")))
			issued = append(issued, v)
		}
		last := voucher.Voucher{ChainID: "cairn-1", Lease: 1, Device: 2}
		for range 60 {
			next := rapid.SampledFrom(issued).Draw(t, "delivered")
			err := voucher.Supersedes(last, next)
			if (err == nil) != (next.Seq > last.Seq) {
				t.Fatalf("%d after %d: %v", next.Seq, last.Seq, err)
			}
			if err == nil {
				last = next
			}
		}
		if err := voucher.Supersedes(last, v); err != nil && last != v {
			t.Fatalf("the last voucher does not count: %v", err)
		}
	})
}

func TestSupersedes(t *testing.T) {
	old := voucher.Voucher{ChainID: "cairn-1", Lease: 1, Device: 2, Units: 10, Amount: price.FromUint64(10), Seq: 5, Expiry: 100}
	for what, test := range map[string]struct {
		change func(*voucher.Voucher)
		want   error
	}{
		"next":          {func(v *voucher.Voucher) { v.Seq, v.Units, v.Amount.Lo = 6, 11, 11 }, nil},
		"more money":    {func(v *voucher.Voucher) { v.Seq, v.Amount.Hi = 6, 1 }, nil},
		"same promise":  {func(v *voucher.Voucher) { v.Seq = math.MaxUint64 }, nil},
		"other chain":   {func(v *voucher.Voucher) { v.Seq, v.ChainID = 6, "cairn-2" }, voucher.ErrForeign},
		"other lease":   {func(v *voucher.Voucher) { v.Seq, v.Lease = 6, 2 }, voucher.ErrForeign},
		"other device":  {func(v *voucher.Voucher) { v.Seq, v.Device = 6, 1 }, voucher.ErrForeign},
		"replay":        {func(v *voucher.Voucher) {}, voucher.ErrStale},
		"same sequence": {func(v *voucher.Voucher) { v.Units, v.Amount.Lo = 99, 99 }, voucher.ErrStale},
		"earlier":       {func(v *voucher.Voucher) { v.Seq = 4 }, voucher.ErrStale},
		"less money":    {func(v *voucher.Voucher) { v.Seq, v.Amount.Lo = 6, 9 }, voucher.ErrLower},
		"fewer units":   {func(v *voucher.Voucher) { v.Seq, v.Units = 6, 9 }, voucher.ErrLower},
	} {
		next := old
		test.change(&next)
		if err := voucher.Supersedes(old, next); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", what, err, test.want)
		}
	}
}

func TestVerifyBatchNamesTheBadOnes(t *testing.T) {
	var pubs []ed25519.PublicKey
	var vs []voucher.Signed
	for i := range 200 {
		v := voucher.Voucher{ChainID: "cairn-1", Lease: uint64(i + 1), Device: 2, Seq: 1, Expiry: 100}
		pubs, vs = append(pubs, public(key(i%7))), append(vs, voucher.Sign(key(i%7), v))
	}
	if bad := voucher.VerifyBatch(pubs, vs); bad != nil {
		t.Fatal(bad)
	}
	if bad := voucher.VerifyBatch(nil, nil); bad != nil {
		t.Fatal(bad)
	}
	vs[3].Units++
	vs[100].ChainID = "cairn-2"
	pubs[150] = pubs[151]
	if bad := voucher.VerifyBatch(pubs[:199], vs); !slices.Equal(bad, []int{3, 100, 150, 199}) {
		t.Fatal(bad)
	}
}

func FuzzUnmarshalBinary(f *testing.F) {
	b, _ := voucher.Sign(key(1), voucher.Voucher{ChainID: "cairn-1", Lease: 1, Device: 2, Seq: 1, Expiry: 100}).MarshalBinary()
	f.Add(b)
	f.Add(b[:60])
	f.Fuzz(func(t *testing.T, b []byte) {
		var s voucher.Signed
		if s.UnmarshalBinary(b) != nil {
			return
		}
		if again, err := s.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is read and written as %x, %v", b, again, err)
		}
		_ = s.Verify(public(key(1)))
	})
}

func batch(n int) (pubs []ed25519.PublicKey, vs []voucher.Signed, encoded [][]byte) {
	for i := range n {
		v := voucher.Voucher{ChainID: "cairn-devnet-1", Lease: uint64(i + 1), Device: 2, Units: 1 << 24, Amount: price.FromUint64(1 << 60), Seq: 9, Expiry: 1 << 31}
		s := voucher.Sign(key(i), v)
		b, _ := s.MarshalBinary()
		pubs, vs, encoded = append(pubs, public(key(i))), append(vs, s), append(encoded, b)
	}
	return pubs, vs, encoded
}

// BenchmarkSettle is a settlement's work on vouchers: each decoded, compared with the last one, all
// verified in one batch under different keys.
func BenchmarkSettle(b *testing.B) {
	const n = 1000
	pubs, vs, encoded := batch(n)
	last := vs[0].Voucher
	b.ReportAllocs()
	for b.Loop() {
		got := make([]voucher.Signed, n)
		for i := range encoded {
			if err := got[i].UnmarshalBinary(encoded[i]); err != nil {
				b.Fatal(err)
			}
			last.Lease, last.Seq = got[i].Lease, 1
			if err := voucher.Supersedes(last, got[i].Voucher); err != nil {
				b.Fatal(err)
			}
		}
		if bad := voucher.VerifyBatch(pubs, got); bad != nil {
			b.Fatal(bad)
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "vouchers/s")
}

// BenchmarkVerify is the naive twin of BenchmarkSettle.
func BenchmarkVerify(b *testing.B) {
	pubs, vs, _ := batch(1)
	for b.Loop() {
		if err := vs[0].Verify(pubs[0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "vouchers/s")
}

func BenchmarkSign(b *testing.B) {
	_, vs, _ := batch(1)
	k := key(1)
	for b.Loop() {
		voucher.Sign(k, vs[0].Voucher)
	}
}
