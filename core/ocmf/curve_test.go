package ocmf

import (
	"bytes"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// affine is the naive reference: schoolbook arithmetic on big integers, one addition a bit.
type affine struct {
	p, a, b, order *big.Int
	gx, gy         *big.Int
}

func reference(c Curve) affine {
	w := weierstrassTable[c]
	g := w.multiples[0]
	return affine{p: w.field.big, a: w.bigA, b: w.bigB, order: w.order, gx: out(w.field, g.x), gy: out(w.field, g.y)}
}

// out returns a residue as a number.
func out(m *modulus, x residue) *big.Int {
	one := residue{1}
	x = m.mul(&x, &one)
	n := new(big.Int)
	for i := m.limbs - 1; i >= 0; i-- {
		n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(x[i]))
	}
	return n
}

// add adds points; nil is infinity.
func (c affine) add(x1, y1, x2, y2 *big.Int) (x, y *big.Int) {
	switch {
	case x1 == nil:
		return x2, y2
	case x2 == nil:
		return x1, y1
	}
	slope := new(big.Int)
	if x1.Cmp(x2) == 0 {
		if new(big.Int).Mod(new(big.Int).Add(y1, y2), c.p).Sign() == 0 {
			return nil, nil
		}
		slope.Mul(x1, x1).Mul(slope, big.NewInt(3)).Add(slope, c.a)
		slope.Mul(slope, new(big.Int).ModInverse(new(big.Int).Mod(new(big.Int).Lsh(y1, 1), c.p), c.p))
	} else {
		slope.Sub(y2, y1)
		slope.Mul(slope, new(big.Int).ModInverse(new(big.Int).Mod(new(big.Int).Sub(x2, x1), c.p), c.p))
	}
	slope.Mod(slope, c.p)
	x = new(big.Int).Mul(slope, slope)
	x.Sub(x, x1).Sub(x, x2).Mod(x, c.p)
	y = new(big.Int).Sub(x1, x)
	y.Mul(y, slope).Sub(y, y1).Mod(y, c.p)
	return x, y
}

func (c affine) mul(k, x, y *big.Int) (rx, ry *big.Int) {
	for i := k.BitLen() - 1; i >= 0; i-- {
		rx, ry = c.add(rx, ry, rx, ry)
		if k.Bit(i) == 1 {
			rx, ry = c.add(rx, ry, x, y)
		}
	}
	return rx, ry
}

func (c affine) truncate(digest []byte) *big.Int {
	e := new(big.Int).SetBytes(digest)
	if excess := 8*len(digest) - c.order.BitLen(); excess > 0 {
		e.Rsh(e, uint(excess))
	}
	return e
}

func (c affine) verify(x, y *big.Int, digest []byte, r, s *big.Int) bool {
	if r.Sign() <= 0 || s.Sign() <= 0 || r.Cmp(c.order) >= 0 || s.Cmp(c.order) >= 0 {
		return false
	}
	w := new(big.Int).ModInverse(s, c.order)
	u := new(big.Int).Mul(c.truncate(digest), w)
	v := new(big.Int).Mul(r, w)
	ux, uy := c.mul(u.Mod(u, c.order), c.gx, c.gy)
	vx, vy := c.mul(v.Mod(v, c.order), x, y)
	px, _ := c.add(ux, uy, vx, vy)
	return px != nil && new(big.Int).Mod(px, c.order).Cmp(r) == 0
}

// sign signs with the nonce k; private key, nonce and digest must not conspire to a zero.
func (c affine) sign(private, k *big.Int, digest []byte) (r, s *big.Int) {
	x, _ := c.mul(k, c.gx, c.gy)
	r = new(big.Int).Mod(x, c.order)
	s = new(big.Int).Mul(r, private)
	s.Add(s, c.truncate(digest)).Mul(s, new(big.Int).ModInverse(k, c.order)).Mod(s, c.order)
	return r, s
}

// signer is a meter's key pair for tests.
type signer struct {
	curve   Curve
	seed    uint64
	private *big.Int
	key     Key
}

func newSigner(t interface{ Fatal(...any) }, c Curve, seed uint64) signer {
	if s, ok := signers[signer{curve: c, seed: seed}]; ok {
		return s
	}
	ref := reference(c)
	private := new(big.Int).SetBytes(expand(seed, "private", 48))
	private.Mod(private, new(big.Int).Sub(ref.order, big.NewInt(1))).Add(private, big.NewInt(1))
	x, y := ref.mul(private, ref.gx, ref.gy)
	point := append(x.FillBytes(make([]byte, c.Size())), y.FillBytes(make([]byte, c.Size()))...)
	key, err := NewKey(c, point)
	if err != nil {
		t.Fatal(err)
	}
	s := signer{c, seed, private, key}
	signers[signer{curve: c, seed: seed}] = s
	return s
}

// signers keeps the keys that were made, which is slow; tests here run one after the other.
var signers = map[signer]signer{}

// expand returns n bytes that depend on seed and label.
func expand(seed uint64, label string, n int) (b []byte) {
	for i := uint64(0); len(b) < n; i++ {
		h := sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte(label), seed), i))
		b = append(b, h[:]...)
	}
	return b[:n]
}

func (s signer) sign(payload []byte) (r, sig *big.Int) {
	digest := sha256.Sum256(payload)
	ref := reference(s.curve)
	k := new(big.Int).SetBytes(expand(binary.BigEndian.Uint64(digest[:8]), "nonce", 48))
	k.Mod(k, new(big.Int).Sub(ref.order, big.NewInt(1))).Add(k, big.NewInt(1))
	return ref.sign(s.private, k, digest[:])
}

// derOf writes a signature as DER does.
func derOf(r, s *big.Int) []byte {
	integer := func(n *big.Int) []byte {
		b := n.Bytes()
		if len(b) == 0 || b[0] >= 0x80 {
			b = append([]byte{0}, b...)
		}
		return append([]byte{2, byte(len(b))}, b...)
	}
	body := append(integer(r), integer(s)...)
	if len(body) > 127 {
		return append([]byte{0x30, 0x81, byte(len(body))}, body...)
	}
	return append([]byte{0x30, byte(len(body))}, body...)
}

func drawCurve(t *rapid.T) Curve { return rapid.SampledFrom(Curves[:]).Draw(t, "curve") }

func TestConstantsOfTheCurves(t *testing.T) {
	for _, c := range Curves {
		w, ref := weierstrassTable[c], reference(c)
		if !ref.p.ProbablyPrime(32) || !ref.order.ProbablyPrime(32) || ref.p.BitLen() != 8*c.Size() || ref.order.BitLen() != 8*c.Size() {
			t.Errorf("%s: modulus or order", c)
		}
		if !onCurve(c, ref.gx.Bytes(), ref.gy.Bytes()) {
			t.Errorf("%s: generator is not on the curve", c)
		}
		if x, _ := ref.mul(ref.order, ref.gx, ref.gy); x != nil {
			t.Errorf("%s: order times generator is not infinity", c)
		}
		if p := w.combine(w.order, new(big.Int), w.multiples[0]); !p.z.isZero() {
			t.Errorf("%s: order times generator is not infinity, fast", c)
		}
		if p := new(big.Int).And(ref.p, big.NewInt(3)); p.Int64() != 3 {
			t.Errorf("%s: decompress wants a prime of 3 modulo 4", c)
		}
		if c.Gas() == 0 || c.Size() > maxSize {
			t.Errorf("%s: size %d, gas %d", c, c.Size(), c.Gas())
		}
		if named, ok := CurveByName(c.String()); !ok || named != c {
			t.Errorf("%s is called %s", c, named)
		}
	}
	if c := Curve(8); c.Valid() || c.Size() != 0 || c.Gas() != 0 || c.String() != "unknown curve" {
		t.Errorf("%v", c)
	}
}

// The generators and parameters of the curves that Go has are Go's.
func TestConstantsAgreeWithTheStandardLibrary(t *testing.T) {
	for c, std := range map[Curve]elliptic.Curve{Secp256r1: elliptic.P256(), Secp384r1: elliptic.P384()} {
		ref, p := reference(c), std.Params()
		if ref.p.Cmp(p.P) != 0 || ref.order.Cmp(p.N) != 0 || ref.b.Cmp(p.B) != 0 || ref.gx.Cmp(p.Gx) != 0 || ref.gy.Cmp(p.Gy) != 0 {
			t.Errorf("%s", c)
		}
	}
}

func TestFieldArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCurve(t)
		m := weierstrassTable[c].field
		if rapid.Bool().Draw(t, "order") {
			m = newModulus(weierstrassTable[c].order)
		}
		number := func(name string) *big.Int {
			switch rapid.IntRange(0, 3).Draw(t, name+" kind") {
			case 0:
				return big.NewInt(rapid.Int64Range(0, 3).Draw(t, name))
			case 1:
				return new(big.Int).Sub(m.big, big.NewInt(rapid.Int64Range(1, 3).Draw(t, name)))
			default:
				n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 48, 48).Draw(t, name))
				return n.Mod(n, m.big)
			}
		}
		x, y := number("x"), number("y")
		rx, ry := m.from(x), m.from(y)
		for name, got := range map[string]residue{"+": m.add(&rx, &ry), "-": m.sub(&rx, &ry), "*": m.mul(&rx, &ry)} {
			want := new(big.Int)
			switch name {
			case "+":
				want.Add(x, y)
			case "-":
				want.Sub(x, y)
			case "*":
				want.Mul(x, y)
			}
			if want.Mod(want, m.big); out(m, got).Cmp(want) != 0 {
				t.Fatalf("%s: %x %s %x = %x, want %x", c, x, name, y, out(m, got), want)
			}
		}
	})
}

// INV-OCMF-2: on every curve, by our code and by the libraries', a signature holds if and only if it
// holds by the schoolbook.
func TestVerifyAgreesWithTheSchoolbook(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCurve(t)
		s, ref := newSigner(t, c, rapid.Uint64Range(0, 3).Draw(t, "key")), reference(c)
		payload := []byte(fmt.Sprint("payload ", rapid.IntRange(0, 100).Draw(t, "payload")))
		digest := sha256.Sum256(payload)
		r, sig := s.sign(payload)
		switch rapid.IntRange(0, 8).Draw(t, "change") {
		case 0:
			r.Add(r, big.NewInt(1))
		case 1:
			sig.Sub(ref.order, sig) // the other spelling of a valid one
		case 2:
			r, sig = sig, r
		case 3:
			digest[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 4:
			special := []*big.Int{new(big.Int), big.NewInt(1), new(big.Int).Sub(ref.order, big.NewInt(1)), ref.order, ref.p, new(big.Int).Add(ref.order, big.NewInt(1))}
			r, sig = rapid.SampledFrom(special).Draw(t, "r"), rapid.SampledFrom(special).Draw(t, "s")
		case 5:
			sig.Add(sig, ref.order)
		}
		size := c.Size()
		x, y := new(big.Int).SetBytes(s.key.point[:size]), new(big.Int).SetBytes(s.key.point[size:2*size])
		want := ref.verify(x, y, digest[:], r, sig)
		if got := verify(s.key, digest[:], r.Bytes(), sig.Bytes()); got != want {
			t.Fatalf("%s: %v, want %v: digest %x, r %x, s %x", c, got, want, digest, r, sig)
		}
		if got := weierstrassTable[c].verify(x.Bytes(), y.Bytes(), digest[:], r, sig); got != want {
			t.Fatalf("%s by our own code: %v, want %v: digest %x, r %x, s %x", c, got, want, digest, r, sig)
		}
	})
}

// Keys that make the two products of a verification meet: equal, opposite, and infinity.
func TestVerifyWithKeysAtTheGenerator(t *testing.T) {
	for _, c := range Curves {
		ref := reference(c)
		for _, private := range []*big.Int{big.NewInt(1), big.NewInt(2), new(big.Int).Sub(ref.order, big.NewInt(1)), new(big.Int).Sub(ref.order, big.NewInt(2))} {
			x, y := ref.mul(private, ref.gx, ref.gy)
			for _, payload := range []string{"", "a", "bc"} {
				digest := sha256.Sum256([]byte(payload))
				e := ref.truncate(digest[:])
				// With r = e the two multiples are equal, with r = -e opposite.
				for _, r := range []*big.Int{new(big.Int).Mod(e, ref.order), new(big.Int).Mod(new(big.Int).Neg(e), ref.order)} {
					for _, s := range []int64{1, 2, 12345} {
						want := ref.verify(x, y, digest[:], r, big.NewInt(s))
						if got := weierstrassTable[c].verify(x.Bytes(), y.Bytes(), digest[:], r, big.NewInt(s)); got != want {
							t.Errorf("%s, private key %x: %v, want %v", c, private, got, want)
						}
					}
				}
				r, s := ref.sign(private, big.NewInt(3), digest[:])
				if !weierstrassTable[c].verify(x.Bytes(), y.Bytes(), digest[:], r, s) {
					t.Errorf("%s, private key %x: a good signature is refused", c, private)
				}
			}
		}
	}
}

func TestKeysOffTheCurveAreRefused(t *testing.T) {
	for _, c := range Curves {
		s := newSigner(t, c, 1)
		point := s.key.Point()
		for name, change := range map[string]func([]byte) []byte{
			"a changed bit": func(p []byte) []byte { p[3] ^= 4; return p },
			"zero":          func(p []byte) []byte { return make([]byte, len(p)) },
			"short":         func(p []byte) []byte { return p[1:] },
			"long":          func(p []byte) []byte { return append(p, 0) },
			"nothing":       func([]byte) []byte { return nil },
			"a coordinate not below p": func(p []byte) []byte {
				for i := range c.Size() {
					p[i] = 0xff
				}
				return p
			},
		} {
			if _, err := NewKey(c, change(bytes.Clone(point))); ReasonOf(err) != KeyInvalid {
				t.Errorf("%s, %s: %v", c, name, err)
			}
		}
		compressed := append([]byte{2 + point[len(point)-1]&1}, point[:c.Size()]...)
		if key, err := NewKey(c, compressed); err != nil || key != s.key {
			t.Errorf("%s compressed: %s, %v", c, key, err)
		}
		if key, err := KeyFromBytes(s.key.Bytes()); err != nil || key != s.key {
			t.Errorf("%s: %s, %v", c, key, err)
		}
	}
	for _, b := range [][]byte{nil, {0}, {9, 1}, {4}, {4, 0}} {
		if _, err := KeyFromBytes(b); ReasonOf(err) != KeyInvalid {
			t.Errorf("%x: %v", b, err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, c := range Curves {
		s := newSigner(b, c, 1)
		digest := sha256.Sum256([]byte("payload"))
		r, sig := s.sign([]byte("payload"))
		b.Run(c.String(), func(b *testing.B) {
			for b.Loop() {
				if !verify(s.key, digest[:], r.Bytes(), sig.Bytes()) {
					b.Fatal("a good signature is refused")
				}
			}
		})
		b.Run("own "+c.String(), func(b *testing.B) {
			size := c.Size()
			for b.Loop() {
				if !weierstrassTable[c].verify(s.key.point[:size], s.key.point[size:2*size], digest[:], r, sig) {
					b.Fatal("a good signature is refused")
				}
			}
		})
	}
}
