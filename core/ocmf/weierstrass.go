package ocmf

import "math/big"

// weierstrass is a curve y^2 = x^3 + ax + b over a prime field, of prime order, with a generator.
type weierstrass struct {
	field      *modulus
	a, b       residue
	bigA, bigB *big.Int
	order      *big.Int
	// multiples are the generator's odd multiples 1, 3, 5, ... 2^generatorWindow-1.
	multiples [1 << (generatorWindow - 1)]point
}

// Windows of the signed digits that scalars are written in: a table of the generator's multiples is
// made once, one of the key's for each signature.
const (
	generatorWindow = 6
	keyWindow       = 5
)

// point has Jacobian coordinates: (x/z^2, y/z^3), the point at infinity where z is 0.
type point struct{ x, y, z residue }

// weierstrassTable is indexed by Curve. Sources: SEC 2 version 2 sections 2.2 and 2.4 to 2.5, and
// version 1 for secp192r1; RFC 5639 sections 3.4 and 3.6 for brainpool.
var weierstrassTable = [...]*weierstrass{
	Secp192k1: newWeierstrass(
		"fffffffffffffffffffffffffffffffffffffffeffffee37",
		"0",
		"3",
		"fffffffffffffffffffffffe26f2fc170f69466a74defd8d",
		"db4ff10ec057e9ae26b07d0280b7f4341da5d1b1eae06c7d",
		"9b2f2f6d9c5628a7844163d015be86344082aa88d95e2f9d"),
	Secp256k1: newWeierstrass(
		"fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
		"0",
		"7",
		"fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
		"79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
		"483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"),
	Secp192r1: newWeierstrass(
		"fffffffffffffffffffffffffffffffeffffffffffffffff",
		"fffffffffffffffffffffffffffffffefffffffffffffffc",
		"64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1",
		"ffffffffffffffffffffffff99def836146bc9b1b4d22831",
		"188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012",
		"07192b95ffc8da78631011ed6b24cdd573f977a11e794811"),
	Secp256r1: newWeierstrass(
		"ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
		"ffffffff00000001000000000000000000000000fffffffffffffffffffffffc",
		"5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
		"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
		"6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
		"4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
	Brainpool256r1: newWeierstrass(
		"a9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377",
		"7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9",
		"26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6",
		"a9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7",
		"8bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262",
		"547ef835c3dac4fd97f8461a14611dc9c27745132ded8e545c1d54c72f046997"),
	Secp384r1: newWeierstrass(
		"fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
		"fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000fffffffc",
		"b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
		"ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
		"aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
		"3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f"),
	Brainpool384r1: newWeierstrass(
		"8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53",
		"7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826",
		"04a8c7dd22ce28268b39b55416f0447c2fb77de107dcd2a62e880ea53eeb62d57cb4390295dbc9943ab78696fa504c11",
		"8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565",
		"1d1c64f068cf45ffa2a63a81b7c13f6b8847a3e77ef14fe3db7fcafe0cbd10e8e826e03436d646aaef87b2e247d4af1e",
		"8abe1d7520f9c2a45cb1eb8e95cfd55262b70b29feec5864e19c054ff99129280e4646217791811142820341263c5315"),
}

func number(hexadecimal string) *big.Int {
	n, _ := new(big.Int).SetString(hexadecimal, 16) // constants
	return n
}

func newWeierstrass(p, a, b, order, x, y string) *weierstrass {
	field := newModulus(number(p))
	w := &weierstrass{field: field, bigA: number(a), bigB: number(b), order: number(order)}
	w.a, w.b = field.from(w.bigA), field.from(w.bigB)
	w.odd(w.multiples[:], point{field.from(number(x)), field.from(number(y)), field.one})
	return w
}

// odd fills table with p's odd multiples p, 3p, 5p, ...
func (w *weierstrass) odd(table []point, p point) {
	table[0] = p
	twice := w.double(&p)
	for i := 1; i < len(table); i++ {
		table[i] = w.add(&table[i-1], &twice)
	}
}

// onCurve tells whether (x, y), big-endian, is a point of the curve other than infinity.
func onCurve(c Curve, x, y []byte) bool {
	w := weierstrassTable[c]
	f := w.field
	bigX, bigY := new(big.Int).SetBytes(x), new(big.Int).SetBytes(y)
	if bigX.Cmp(f.big) >= 0 || bigY.Cmp(f.big) >= 0 {
		return false
	}
	rx, ry := f.from(bigX), f.from(bigY)
	left := f.mul(&ry, &ry)
	right := f.mul(&rx, &rx)
	right = f.add(&right, &w.a)
	right = f.mul(&right, &rx)
	right = f.add(&right, &w.b)
	return left == right
}

// double returns 2p (Cohen, Miyaji, Ono 1998; any a).
func (w *weierstrass) double(p *point) point {
	f := w.field
	yy := f.mul(&p.y, &p.y)
	s := f.mul(&p.x, &yy)
	s = f.add(&s, &s)
	s = f.add(&s, &s) // 4xy^2
	m := f.mul(&p.x, &p.x)
	mm := f.add(&m, &m)
	m = f.add(&m, &mm) // 3x^2
	if !w.a.isZero() {
		zz := f.mul(&p.z, &p.z)
		zz = f.mul(&zz, &zz)
		zz = f.mul(&zz, &w.a)
		m = f.add(&m, &zz) // + az^4
	}
	var q point
	q.x = f.mul(&m, &m)
	q.x = f.sub(&q.x, &s)
	q.x = f.sub(&q.x, &s)
	yyyy := f.mul(&yy, &yy)
	for range 3 {
		yyyy = f.add(&yyyy, &yyyy)
	}
	s = f.sub(&s, &q.x)
	q.y = f.mul(&m, &s)
	q.y = f.sub(&q.y, &yyyy)
	q.z = f.mul(&p.y, &p.z)
	q.z = f.add(&q.z, &q.z)
	return q
}

// add returns p+q for any two points, equal, opposite and infinite ones included.
func (w *weierstrass) add(p, q *point) point {
	if p.z.isZero() {
		return *q
	}
	if q.z.isZero() {
		return *p
	}
	f := w.field
	pzz, qzz := f.mul(&p.z, &p.z), f.mul(&q.z, &q.z)
	u1, u2 := f.mul(&p.x, &qzz), f.mul(&q.x, &pzz)
	s1, s2 := f.mul(&p.y, &qzz), f.mul(&q.y, &pzz)
	s1, s2 = f.mul(&s1, &q.z), f.mul(&s2, &p.z)
	h, r := f.sub(&u2, &u1), f.sub(&s2, &s1)
	if h.isZero() {
		if r.isZero() {
			return w.double(p)
		}
		return point{} // opposite points
	}
	hh := f.mul(&h, &h)
	hhh := f.mul(&hh, &h)
	v := f.mul(&u1, &hh)
	var sum point
	sum.x = f.mul(&r, &r)
	sum.x = f.sub(&sum.x, &hhh)
	sum.x = f.sub(&sum.x, &v)
	sum.x = f.sub(&sum.x, &v)
	v = f.sub(&v, &sum.x)
	sum.y = f.mul(&r, &v)
	s1 = f.mul(&s1, &hhh)
	sum.y = f.sub(&sum.y, &s1)
	sum.z = f.mul(&p.z, &q.z)
	sum.z = f.mul(&sum.z, &h)
	return sum
}

// digits writes k, 0 or more, as a sum of digit*2^i with odd digits below 2^(window-1) in size, the
// least significant first (width-w non-adjacent form).
func digits(k *big.Int, window uint) []int8 {
	k = new(big.Int).Set(k)
	var out []int8
	half, full := int64(1)<<(window-1), int64(1)<<window
	for k.Sign() > 0 {
		var d int64
		if k.Bit(0) == 1 {
			for i := range window {
				d |= int64(k.Bit(int(i))) << i //nolint:gosec // a small window
			}
			if d >= half {
				d -= full
			}
			k.Sub(k, big.NewInt(d))
		}
		out = append(out, int8(d)) //nolint:gosec // below 2^5
		k.Rsh(k, 1)
	}
	return out
}

// combine returns u*G + v*q.
func (w *weierstrass) combine(u, v *big.Int, q point) point {
	var table [1 << (keyWindow - 2)]point
	w.odd(table[:], q)
	us, vs := digits(u, generatorWindow+1), digits(v, keyWindow)
	var sum point
	for i := max(len(us), len(vs)) - 1; i >= 0; i-- {
		if !sum.z.isZero() {
			sum = w.double(&sum)
		}
		if i < len(us) && us[i] != 0 {
			w.addDigit(&sum, w.multiples[:], us[i])
		}
		if i < len(vs) && vs[i] != 0 {
			w.addDigit(&sum, table[:], vs[i])
		}
	}
	return sum
}

// addDigit adds d times the table's point to sum.
func (w *weierstrass) addDigit(sum *point, table []point, d int8) {
	if d > 0 {
		*sum = w.add(sum, &table[d>>1])
		return
	}
	p := table[-d>>1]
	p.y = w.field.neg(&p.y)
	*sum = w.add(sum, &p)
}

// verify tells whether (r, s) is an ECDSA signature of digest by the point (x, y), which must be on
// the curve (SEC 1 section 4.1.4).
func (w *weierstrass) verify(x, y, digest []byte, r, s *big.Int) bool {
	if r.Sign() <= 0 || s.Sign() <= 0 || r.Cmp(w.order) >= 0 || s.Cmp(w.order) >= 0 {
		return false
	}
	e := new(big.Int).SetBytes(digest)
	if excess := 8*len(digest) - w.order.BitLen(); excess > 0 {
		e.Rsh(e, uint(excess))
	}
	inverse := new(big.Int).ModInverse(s, w.order)
	u := e.Mul(e, inverse)
	u.Mod(u, w.order)
	v := inverse.Mul(inverse, r)
	v.Mod(v, w.order)
	f := w.field
	q := point{f.from(new(big.Int).SetBytes(x)), f.from(new(big.Int).SetBytes(y)), f.one}
	sum := w.combine(u, v, q)
	if sum.z.isZero() {
		return false
	}
	// x/z^2 mod p, taken mod the order, is r: x is r*z^2, or (r+order)*z^2 where that is below p.
	zz := f.mul(&sum.z, &sum.z)
	for candidate := new(big.Int).Set(r); candidate.Cmp(f.big) < 0; candidate.Add(candidate, w.order) {
		c := f.from(candidate)
		if f.mul(&c, &zz) == sum.x {
			return true
		}
	}
	return false
}
