package signature_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/signature"
)

func key(n int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%032d", n))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// INV-SIGN-1.
func TestDomainsAreDistinctAndBindTheChain(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range []signature.Domain{signature.Voucher, signature.Receipt, signature.Device} {
		for _, chain := range []string{"", "cairn-1", "cairn-2"} {
			p := string(d.Preamble(nil, chain))
			if len(p) != signature.PreambleSize || seen[p] || !strings.HasPrefix(p, "cairn/") {
				t.Errorf("domain %q on %q: %q", d, chain, p)
			}
			seen[p] = true
		}
	}
}

// torsion holds the fourteen encodings of the eight points of small order, six of them not canonical.
var torsion = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

// ZIP-215: with s = 0 and points of small order for key and R, in any encoding, a signature holds for
// every message. Implementations differ on these; ours must not, alone or in batches of any size.
func TestSmallOrderPointsAreJudgedTheSameEverywhere(t *testing.T) {
	all := signature.NewBatch(0)
	disagreements := 0
	for _, a := range torsion {
		for _, r := range torsion {
			pub, _ := hex.DecodeString(a)
			sig, _ := hex.DecodeString(r + strings.Repeat("00", 32))
			msg := []byte("Zcash")
			if err := signature.Verify(pub, msg, sig); err != nil {
				t.Errorf("key %s, R %s: %v", a, r, err)
			}
			if !ed25519.Verify(pub, msg, sig) {
				disagreements++
			}
			one := signature.NewBatch(2)
			one.Add(pub, msg, sig)
			one.Add(public(key(1)), msg, ed25519.Sign(key(1), msg))
			if bad := one.Verify(); bad != nil {
				t.Errorf("key %s, R %s: in a batch: %v", a, r, bad)
			}
			all.Add(pub, msg, sig)
		}
	}
	if bad := all.Verify(); bad != nil {
		t.Errorf("in one batch of all: %v", bad)
	}
	if disagreements == 0 {
		t.Error("these signatures tell no rules apart")
	}
}

func TestMalleableSignaturesAreRefused(t *testing.T) {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	msg := []byte("message")
	sig := ed25519.Sign(key(1), msg)
	little := slices.Clone(sig[32:])
	slices.Reverse(little)
	s := new(big.Int).SetBytes(little)
	s.Add(s, order).FillBytes(little)
	slices.Reverse(little)
	copy(sig[32:], little)
	if err := signature.Verify(public(key(1)), msg, sig); !errors.Is(err, signature.ErrSignature) {
		t.Fatal(err)
	}
	b := signature.NewBatch(1)
	b.Add(public(key(1)), msg, sig)
	if bad := b.Verify(); !slices.Equal(bad, []int{0}) {
		t.Fatal(bad)
	}
}

// INV-SIGN-2.
func TestBatchAgreesWithOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{0, 1, 2, 3, 17, 64, 65, 100}).Draw(t, "n")
		b := signature.NewBatch(n)
		var want []int
		for i := range n {
			k := key(rapid.IntRange(0, 5).Draw(t, "key"))
			msg := fmt.Appendf(nil, "message %d", rapid.IntRange(0, 3).Draw(t, "message"))
			pub, sig := slices.Clone(public(k)), ed25519.Sign(k, msg)
			if rapid.IntRange(0, 30).Draw(t, "fault") == 0 {
				switch rapid.IntRange(0, 4).Draw(t, "kind") {
				case 0:
					sig[rapid.IntRange(0, 63).Draw(t, "byte")] ^= 1
				case 1:
					pub[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1
				case 2:
					sig = sig[:rapid.IntRange(0, 63).Draw(t, "length")]
				case 3:
					pub = pub[:rapid.IntRange(0, 31).Draw(t, "length")]
				case 4:
					msg = append(msg, '!')
				}
			}
			b.Add(pub, msg, sig)
			if signature.Verify(pub, msg, sig) != nil {
				want = append(want, i)
			}
		}
		if got := b.Verify(); !slices.Equal(got, want) {
			t.Fatalf("batch says %v are bad, one by one %v", got, want)
		}
	})
}

// Two invalid signatures whose errors cancel out in an unweighted sum must not pass.
func TestErrorsDoNotCancelOut(t *testing.T) {
	msg := []byte("message")
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	shift := func(sig []byte, by int64) []byte {
		out := slices.Clone(sig)
		slices.Reverse(out[32:])
		s := new(big.Int).SetBytes(out[32:])
		s.Add(s, big.NewInt(by)).Mod(s, order).FillBytes(out[32:])
		slices.Reverse(out[32:])
		return out
	}
	b := signature.NewBatch(2)
	b.Add(public(key(1)), msg, shift(ed25519.Sign(key(1), msg), 1))
	b.Add(public(key(2)), msg, shift(ed25519.Sign(key(2), msg), -1))
	if bad := b.Verify(); !slices.Equal(bad, []int{0, 1}) {
		t.Fatal(bad)
	}
}

func TestCheckChainID(t *testing.T) {
	for id, ok := range map[string]bool{
		"cairn-devnet-1": true, "c": true, strings.Repeat("x", 50): true,
		"": false, strings.Repeat("x", 51): false, "a b": false, "a\x00": false, "é": false, "a\n": false,
	} {
		if err := signature.CheckChainID(id); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	msg := []byte("message")
	f.Add([]byte(public(key(1))), msg, ed25519.Sign(key(1), msg))
	f.Fuzz(func(t *testing.T, pub, msg, sig []byte) {
		b := signature.NewBatch(1)
		b.Add(pub, msg, sig)
		if err := signature.Verify(pub, msg, sig); (err == nil) != (b.Verify() == nil) {
			t.Fatalf("one by one: %v; batch disagrees", err)
		}
		if len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, msg, sig) && signature.Verify(pub, msg, sig) != nil {
			t.Fatal("the standard library accepts what ZIP-215, which is laxer, does not")
		}
		_ = signature.VerifyP256(pub, msg, sig)
	})
}

func benchmarkBatch(b *testing.B, n, keys int) {
	batch := signature.NewBatch(n)
	for i := range n {
		msg := fmt.Appendf(nil, "%0104d", i)
		k := key(i % keys)
		batch.Add(public(k), msg, ed25519.Sign(k, msg))
	}
	b.ReportAllocs()
	for b.Loop() {
		if bad := batch.Verify(); bad != nil {
			b.Fatal(bad)
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "signatures/s")
}

func BenchmarkBatch(b *testing.B) {
	for _, n := range []int{16, 64, 65, 128, 256, 1000} {
		b.Run(fmt.Sprintf("%d/keys=%d", n, n), func(b *testing.B) { benchmarkBatch(b, n, n) })
	}
	b.Run("1000/keys=1", func(b *testing.B) { benchmarkBatch(b, 1000, 1) })
}

func BenchmarkVerify(b *testing.B) {
	msg := fmt.Appendf(nil, "%0104d", 1)
	pub, sig := public(key(1)), ed25519.Sign(key(1), msg)
	for b.Loop() {
		if err := signature.Verify(pub, msg, sig); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "signatures/s")
}
