package beacon

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519/extra/ecvrf"
	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The library is held to RFC 9381 appendix B.4, examples 19 to 21 (ECVRF-EDWARDS25519-SHA512-ELL2).
// Drafts up to 10 had other proofs under the same suite number.
func TestTheFunctionIsThatOfRFC9381(t *testing.T) {
	for _, v := range []struct{ seed, public, alpha, pi, beta string }{
		{
			"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
			"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
			"",
			"7d9c633ffeee27349264cf5c667579fc583b4bda63ab71d001f89c10003ab46f14adf9a3cd8b8412d9038531e865c341cafa73589b023d14311c331a9ad15ff2fb37831e00f0acaa6d73bc9997b06501",
			"9d574bf9b8302ec0fc1e21c3ec5368269527b87b462ce36dab2d14ccf80c53cccf6758f058c5b1c856b116388152bbe509ee3b9ecfe63d93c3b4346c1fbc6c54",
		},
		{
			"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
			"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
			"72",
			"47b327393ff2dd81336f8a2ef10339112401253b3c714eeda879f12c509072ef055b48372bb82efbdce8e10c8cb9a2f9d60e93908f93df1623ad78a86a028d6bc064dbfc75a6a57379ef855dc6733801",
			"38561d6b77b71d30eb97a062168ae12b667ce5c28caccdf76bc88e093e4635987cd96814ce55b4689b3dd2947f80e59aac7b7675f8083865b46c89b2ce9cc735",
		},
		{
			"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
			"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
			"af82",
			"926e895d308f5e328e7aa159c06eddbe56d06846abf5d98c2512235eaa57fdce35b46edfc655bc828d44ad09d1150f31374e7ef73027e14760d42e77341fe05467bb286cc2c9d7fde29120a0b2320d04",
			"121b7f9b9aaaa29099fc04a94ba52784d44eac976dd1a3cca458733be5cd090a7b5fbd148444f17f8daf1fb55cb04b1ae85a626e30a54b4b0f8abf4a43314a58",
		},
	} {
		key := NewKey([SeedSize]byte(unhex(t, v.seed)))
		public := key.Public()
		if hex.EncodeToString(public[:]) != v.public {
			t.Errorf("public key %x, want %s", public, v.public)
		}
		if pi := ecvrf.Prove(key.key, unhex(t, v.alpha)); hex.EncodeToString(pi) != v.pi {
			t.Errorf("alpha %q: proof %x, want %s", v.alpha, pi, v.pi)
		}
		output, err := verify(unhex(t, v.alpha), unhex(t, v.public), unhex(t, v.pi))
		if err != nil || hex.EncodeToString(output[:]) != v.beta {
			t.Errorf("alpha %q: output %x, %v, want %s", v.alpha, output, err, v.beta)
		}
	}
}

func testKey(n byte) PrivateKey { return NewKey([SeedSize]byte(bytes.Repeat([]byte{n}, SeedSize))) }

func drawRound(t *rapid.T, name string) Round {
	return Round{
		ChainID:  rapid.StringMatching(`[!-~]{1,50}`).Draw(t, name+" chain"),
		Epoch:    rapid.Uint64().Draw(t, name+" epoch"),
		Previous: Value(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name+" previous")),
	}
}

// INV-BEACON-1: a proof shows one output, and holds for its key and its round alone, with every bit
// of it as it is.
func TestAProofHoldsForItsKeyAndRoundAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, round := testKey(rapid.Byte().Draw(t, "key")), drawRound(t, "round")
		public, proof := key.Public(), key.Prove(round)
		output, err := VRF{}.Verify(round, public[:], proof[:])
		if err != nil {
			t.Fatal(err)
		}
		if again := key.Prove(round); again != proof {
			t.Fatal("two proofs by one key for one round")
		}
		if other := drawRound(t, "other"); other != round {
			if _, err := (VRF{}).Verify(other, public[:], proof[:]); !errors.Is(err, ErrProof) {
				t.Fatalf("holds for %+v: %v", other, err)
			}
		}
		if _, err := (VRF{}).Verify(round, testKeyBytes(255), proof[:]); !errors.Is(err, ErrProof) && public != testKey(255).Public() {
			t.Fatalf("holds for another key: %v", err)
		}
		bit := rapid.IntRange(0, 8*ProofSize-1).Draw(t, "bit")
		proof[bit/8] ^= 1 << (bit % 8)
		if changed, err := (VRF{}).Verify(round, public[:], proof[:]); err == nil && changed != output {
			t.Fatalf("bit %d changed: another output", bit)
		} else if err == nil {
			t.Fatalf("bit %d changed: still holds", bit)
		}
	})
}

func testKeyBytes(n byte) []byte {
	public := testKey(n).Public()
	return public[:]
}

func TestWrongSizesAreRefused(t *testing.T) {
	round := Round{ChainID: "c", Epoch: 2}
	proof := testKey(1).Prove(round)
	for _, n := range []int{0, 31, 33, 64} {
		if _, err := (VRF{}).Verify(round, make([]byte, n), proof[:]); !errors.Is(err, ErrKey) {
			t.Errorf("key of %d bytes: %v", n, err)
		}
		if _, err := ParseKey(make([]byte, n)); !errors.Is(err, ErrKey) {
			t.Errorf("parsing a key of %d bytes: %v", n, err)
		}
	}
	for _, n := range []int{0, ProofSize - 1, ProofSize + 1} {
		if _, err := (VRF{}).Verify(round, testKeyBytes(1), make([]byte, n)); !errors.Is(err, ErrProof) {
			t.Errorf("proof of %d bytes: %v", n, err)
		}
	}
}

// For a key of small order every output would be the same; a key in another spelling would give its
// owner a second output.
func TestKeysOfSmallOrderAndOtherSpellingsAreRefused(t *testing.T) {
	bad := []string{
		"0100000000000000000000000000000000000000000000000000000000000000", // neutral
		"0000000000000000000000000000000000000000000000000000000000000000", // order 4
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // order 2
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // neutral, y above the prime
		"0100000000000000000000000000000000000000000000000000000000000080", // neutral, sign of zero
		"0200000000000000000000000000000000000000000000000000000000000000", // no point
	}
	round := Round{ChainID: "c", Epoch: 2}
	proof := testKey(1).Prove(round)
	for _, s := range bad {
		if _, err := ParseKey(unhex(t, s)); !errors.Is(err, ErrKey) {
			t.Errorf("%s is parsed: %v", s, err)
		}
		if _, err := (VRF{}).Verify(round, unhex(t, s), proof[:]); err == nil {
			t.Errorf("a proof holds for %s", s)
		}
	}
	if _, err := ParseKey(testKeyBytes(7)); err != nil {
		t.Error(err)
	}
}

// INV-BEACON-2.
func TestMixingKnowsNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		round := drawRound(t, "round")
		contributions := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Contribution {
			c := Contribution{}
			copy(c.Validator[:], rapid.SliceOfN(rapid.Byte(), ValidatorSize, ValidatorSize).Draw(t, "validator"))
			copy(c.Output[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "output"))
			return c
		}), 0, 8, func(c Contribution) [ValidatorSize]byte { return c.Validator }).Draw(t, "contributions")
		value := VRF{}.Mix(round, contributions)
		kept := slices.Clone(contributions)
		if (VRF{}).Mix(round, rapid.Permutation(contributions).Draw(t, "order")) != value {
			t.Fatal("another order, another beacon")
		}
		if !slices.Equal(kept, contributions) {
			t.Fatal("mixing moved its input")
		}
		if len(contributions) > 0 {
			if (VRF{}).Mix(round, contributions[1:]) == value {
				t.Fatal("a contribution does not count")
			}
			contributions[0].Output[63] ^= 1
			if (VRF{}).Mix(round, contributions) == value {
				t.Fatal("an output does not count")
			}
		}
		other := drawRound(t, "other")
		if other != round && (VRF{}).Mix(other, kept) == value {
			t.Fatal("the round does not count")
		}
	})
}

// A naive twin: the layout of docs/format/beacon.md, spelled out.
func TestMixIsTheHashOfItsLayout(t *testing.T) {
	round := Round{ChainID: "cairn-test-1", Epoch: 0x0102, Previous: Value{9}}
	a, b := Contribution{Validator: [20]byte{1}, Output: Output{2}}, Contribution{Validator: [20]byte{3}, Output: Output{4}}
	var layout []byte
	layout = append(layout, "cairn/mix/v1\x00\x00\x00\x00"...)
	layout = append(layout, sha256Of("cairn-test-1")...)
	layout = append(layout, 0, 0, 0, 0, 0, 0, 1, 2)
	layout = append(layout, round.Previous[:]...)
	layout = append(layout, 0, 0, 0, 2)
	for _, c := range []Contribution{a, b} {
		layout = append(append(layout, c.Validator[:]...), c.Output[:]...)
	}
	if got := (VRF{}).Mix(round, []Contribution{b, a}); !bytes.Equal(got[:], sha256Of(string(layout))) {
		t.Errorf("%x", got)
	}
}

func TestOwnersProofHoldsForOneValidatorAndChain(t *testing.T) {
	key, validator := testKey(1), [ValidatorSize]byte{5}
	proof := key.ProveOwner("cairn-1", validator)
	if err := VerifyOwner("cairn-1", validator, testKeyBytes(1), proof[:]); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another chain":     VerifyOwner("cairn-2", validator, testKeyBytes(1), proof[:]),
		"another validator": VerifyOwner("cairn-1", [ValidatorSize]byte{6}, testKeyBytes(1), proof[:]),
		"another key":       VerifyOwner("cairn-1", validator, testKeyBytes(2), proof[:]),
	} {
		if !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	round := key.Prove(Round{ChainID: "cairn-1", Epoch: 1})
	if err := VerifyOwner("cairn-1", validator, testKeyBytes(1), round[:]); !errors.Is(err, ErrProof) {
		t.Errorf("an output passes as a proof of ownership: %v", err)
	}
}

func FuzzParseExtension(f *testing.F) {
	f.Add([]byte{})
	f.Add(Extension{Epoch: 7, Proof: testKey(1).Prove(Round{ChainID: "c", Epoch: 7})}.Marshal())
	f.Add(bytes.Repeat([]byte{1}, ExtensionSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseExtension(b)
		if err != nil {
			if !errors.Is(err, ErrExtension) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(e.Marshal(), b) {
			t.Fatalf("%x has another encoding, %x", b, e.Marshal())
		}
		if len(b) > MaxExtensionSize {
			t.Fatalf("%d bytes", len(b))
		}
	})
}

// Whatever a vote carries, checking it gives an output or an error, never a panic.
func FuzzVerify(f *testing.F) {
	round := Round{ChainID: "c", Epoch: 7}
	proof := testKey(1).Prove(round)
	f.Add(testKeyBytes(1), proof[:])
	f.Add(make([]byte, ed25519.PublicKeySize), make([]byte, ProofSize))
	f.Fuzz(func(t *testing.T, key, b []byte) {
		if _, err := (VRF{}).Verify(round, key, b); err == nil && (!bytes.Equal(key, testKeyBytes(1)) || !bytes.Equal(b, proof[:])) {
			t.Fatalf("%x holds for %x", b, key)
		}
		if _, err := ParseKey(key); err != nil && !errors.Is(err, ErrKey) {
			t.Fatal(err)
		}
	})
}

func BenchmarkProve(b *testing.B) {
	key, round := testKey(1), Round{ChainID: "cairn-1", Epoch: 2}
	for b.Loop() {
		key.Prove(round)
	}
}

func BenchmarkVerify(b *testing.B) {
	round := Round{ChainID: "cairn-1", Epoch: 2}
	proof := testKey(1).Prove(round)
	public := testKeyBytes(1)
	for b.Loop() {
		if _, err := (VRF{}).Verify(round, public, proof[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func sha256Of(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}
