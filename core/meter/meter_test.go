package meter

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/signature"
)

const chain = "cairn-test-1"

// signer makes a key of a type from a seed, and what signs with it.
func signer(t KeyType, seed byte) (Key, func([]byte) [SignatureSize]byte) {
	raw := sha256.Sum256([]byte{seed})
	switch t {
	case Ed25519:
		private := ed25519.NewKeyFromSeed(raw[:])
		return Key{t, private.Public().(ed25519.PublicKey)}, func(m []byte) [SignatureSize]byte {
			return [SignatureSize]byte(ed25519.Sign(private, m))
		}
	case P256:
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw[:])
		if err != nil {
			panic(err)
		}
		public := elliptic.MarshalCompressed(elliptic.P256(), private.X, private.Y)
		return Key{t, public}, func(m []byte) [SignatureSize]byte {
			digest := sha256.Sum256(m)
			der, err := private.Sign(nil, digest[:], crypto.SHA256) // deterministic: RFC 6979
			if err != nil {
				panic(err)
			}
			var rs struct{ R, S *big.Int }
			if _, err := asn1.Unmarshal(der, &rs); err != nil {
				panic(err)
			}
			sig, err := signature.P256LowS(rs.R, rs.S)
			if err != nil {
				panic(err)
			}
			return sig
		}
	default:
		private := secp256k1.PrivKeyFromBytes(raw[:])
		return Key{t, private.PubKey().SerializeCompressed()}, func(m []byte) (sig [SignatureSize]byte) {
			digest := sha256.Sum256(m)
			s := secpecdsa.Sign(private, digest[:])
			r, v := s.R(), s.S()
			r.PutBytesUnchecked(sig[:32])
			v.PutBytesUnchecked(sig[32:])
			return sig
		}
	}
}

const noon Hour = 496_092 // 2026-08-05 12:00 UTC

// house is a meter with a source of 5 kW and a battery of 10 kWh near Berlin, and what signs for it.
func house(id uint64, t KeyType) (Meter, func(Frame) Signed) {
	key, sign := signer(t, byte(id))
	m := Meter{ID: id, Role: House, Node: 3, Key: key, Rating: Rating{
		Import: 20_000, Export: 10_000, Generation: 5_000, Storage: 5_000, Capacity: 10_000, Solar: true,
		Site: Site{5250, 1340},
	}}
	return m, func(f Frame) Signed { return Signed{f, sign(f.SignBytes())} }
}

// quiet is an hour in which the house generates 1 kW, uses 0.6 and exports the rest.
func quiet(m Meter) Frame {
	f := Frame{ChainID: chain, Meter: m.ID, First: noon.First(), Steps: 1, Seq: 1}
	for i := range MilliWattHours(5) {
		f.Readings = append(f.Readings, Registers{Import: 7_000_500, Export: 1_000_000 + i*100_000, Generation: 3_000_000 + i*250_000})
	}
	return f
}

func TestFramesHaveOneEncoding(t *testing.T) {
	for _, kind := range []KeyType{Ed25519, P256, Secp256k1} {
		rapid.Check(t, func(r *rapid.T) {
			_, sign := house(rapid.Uint64Range(1, 9).Draw(r, "meter"), kind)
			f := Frame{
				ChainID: chain, Meter: rapid.Uint64Min(1).Draw(r, "id"), First: grid.Slot(rapid.Uint64Range(0, maxSlot).Draw(r, "slot")),
				Steps: rapid.SampledFrom([]uint8{1, 3}).Draw(r, "steps"), Seq: rapid.Uint64Min(1).Draw(r, "seq"),
				Status: Status(rapid.Uint16Range(0, uint16(KnownStatus)).Draw(r, "status")),
			}
			slots := rapid.IntRange(1, HourSlots-int(f.First%HourSlots)).Draw(r, "slots")
			var at [registers]MilliWattHours
			for range 1 + slots*int(f.Steps) {
				for j := range at {
					at[j] += MilliWattHours(rapid.Int64Range(0, int64(MaxRegister-at[j])/16).Draw(r, "delta"))
				}
				f.Readings = append(f.Readings, ofArray(at))
			}
			s := sign(f)
			b, err := s.MarshalBinary()
			if err != nil {
				r.Fatalf("%v", err)
			}
			got, err := Parse(chain, b)
			if err != nil || got.Hash() != s.Hash() || got.Signature != s.Signature || !slices.Equal(got.Readings, s.Readings) {
				r.Fatalf("parsed %v, %v", got, err)
			}
			// INV-METER-2: slots add up to the registers.
			var sum Energy
			for i := range f.Slots() {
				a, e := sum.array(), Between(f.At(i), f.At(i+1)).array()
				for j := range a {
					a[j] += e[j]
				}
				sum = energyOf(a)
			}
			if sum != Between(f.Readings[0], f.Readings[len(f.Readings)-1]) {
				r.Fatalf("slots sum to %v", sum)
			}
			// A changed byte is another frame or none.
			bad := slices.Clone(b)
			i := rapid.IntRange(0, len(b)-SignatureSize-1).Draw(r, "byte")
			bad[i] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
			if got, err := Parse(chain, bad); err == nil && got.Hash() == s.Hash() {
				r.Fatalf("byte %d does not matter", i)
			}
		})
	}
}

func TestSignaturesBindFrameAndChain(t *testing.T) {
	for _, kind := range []KeyType{Ed25519, P256, Secp256k1} {
		m, sign := house(7, kind)
		if err := m.Key.Check(); err != nil {
			t.Fatal(err)
		}
		s := sign(quiet(m))
		if err := s.Verify(m.Key); err != nil {
			t.Fatalf("type %d: %v", kind, err)
		}
		for name, spoil := range map[string]func(*Signed){
			"chain":     func(s *Signed) { s.ChainID = "cairn-test-2" },
			"meter":     func(s *Signed) { s.Meter++ },
			"slot":      func(s *Signed) { s.First++ },
			"seq":       func(s *Signed) { s.Seq++ },
			"previous":  func(s *Signed) { s.Previous[3] = 1 },
			"status":    func(s *Signed) { s.Status = PowerFailed },
			"register":  func(s *Signed) { s.Readings = slices.Clone(s.Readings); s.Readings[4].Export++ },
			"signature": func(s *Signed) { s.Signature[9] ^= 1 },
		} {
			bad := s
			spoil(&bad)
			if err := bad.Verify(m.Key); !errors.Is(err, signature.ErrSignature) {
				t.Errorf("type %d: another %s: %v", kind, name, err)
			}
		}
		other, _ := house(8, kind)
		if bad := VerifyBatch([]Key{m.Key, other.Key, m.Key}, []Signed{s, s, s, s}); !slices.Equal(bad, []int{1, 3}) {
			t.Errorf("type %d: batch finds %v", kind, bad)
		}
	}
}

func TestFramesThatNoMeterMaySend(t *testing.T) {
	m, _ := house(7, Ed25519)
	for name, spoil := range map[string]func(*Frame){
		"no chain":           func(f *Frame) { f.ChainID = "" },
		"no meter":           func(f *Frame) { f.Meter = 0 },
		"two steps":          func(f *Frame) { f.Steps = 2 },
		"unknown status":     func(f *Frame) { f.Status = 1 << 15 },
		"no sequence":        func(f *Frame) { f.Seq = 0 },
		"two hours":          func(f *Frame) { f.First++ },
		"far future":         func(f *Frame) { f.First = math.MaxUint64 },
		"one reading":        func(f *Frame) { f.Readings = f.Readings[:1] },
		"five slots":         func(f *Frame) { f.Readings = append(f.Readings, f.Readings[4]) },
		"falling register":   func(f *Frame) { f.Readings[3].Import-- },
		"negative register":  func(f *Frame) { f.Readings[0].Import = -1 },
		"overflown register": func(f *Frame) { f.Readings[4].StoredIn = math.MaxInt64 },
	} {
		f := quiet(m)
		spoil(&f)
		if _, err := (Signed{Frame: f}).MarshalBinary(); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReceipts(t *testing.T) {
	key, sign := signer(Ed25519, 1)
	r := Receipt{ChainID: chain, Aggregator: 5, Community: 2, Meter: 7, Frame: [32]byte{9}, First: noon.First(), Slots: 4, At: noon.Begin() + 3700}
	s := SignedReceipt{r, sign(r.SignBytes())}
	b, err := s.MarshalBinary()
	if err != nil || len(b) != ReceiptSize {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	got, err := ParseReceipt(chain, b)
	if err != nil || got != s || got.Verify(key) != nil {
		t.Fatalf("%v, %v", got, err)
	}
	for i := range b[:len(b)-SignatureSize] {
		bad := slices.Clone(b)
		bad[i] ^= 0x40
		if got, err := ParseReceipt(chain, bad); err == nil && got.Verify(key) == nil {
			t.Errorf("byte %d does not matter", i)
		}
	}
}

// A leaf follows from its frames alone, and every rung that frames show by themselves is found.
func TestReplayClimbsTheLadder(t *testing.T) {
	for name, c := range map[string]struct {
		meter func(*Meter)
		spoil func(*Frame)
		want  Reason
	}{
		"quiet hour":      {nil, nil, None},
		"opened lid":      {nil, func(f *Frame) { f.Status = Tampered }, SelfReported},
		"too much export": {func(m *Meter) { m.Export = 300 }, nil, RatedPower},
		"too much sun":    {func(m *Meter) { m.Generation = 800 }, nil, RatedPower},
		"sun at night":    {func(m *Meter) { m.Site = Site{5250, -17000} }, nil, NightSun},
		"turbine at night": {func(m *Meter) {
			m.Site, m.Solar = Site{5250, -17000}, false
		}, nil, None},
		"out of nothing": {nil, func(f *Frame) {
			for i := range f.Readings {
				f.Readings[i].Generation = 3_000_000
			}
		}, SiteBalance},
		"bottomless battery": {nil, func(f *Frame) {
			for i := range f.Readings {
				f.Readings[i].StoredOut = 10_100_000 + MilliWattHours(i)*100_000
			}
		}, BatteryBalance},
	} {
		m, sign := house(7, Ed25519)
		if c.meter != nil {
			c.meter(&m)
		}
		f := quiet(m)
		if c.spoil != nil {
			c.spoil(&f)
		}
		evidence, err := Evidence([]Signed{sign(f)})
		if err != nil {
			t.Fatal(err)
		}
		l, err := Replay(chain, m, noon, evidence)
		if err != nil || l.Reason != c.want || l.Covered != 15 {
			t.Errorf("%s: %s (%v), want %s", name, l.Reason, err, c.want)
		}
		b, err := l.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back Leaf
		if err := back.UnmarshalBinary(b); err != nil || back != l {
			t.Errorf("%s: read back %v, %v", name, back, err)
		}
	}
}

func TestEvidenceThatMakesNoLeaf(t *testing.T) {
	m, sign := house(7, P256)
	half := func(first, n, from int) Frame {
		f := quiet(m)
		f.First += grid.Slot(first)
		f.Readings = f.Readings[from : from+n+1]
		return f
	}
	a, b := half(0, 2, 0), half(2, 2, 2)
	b.Seq, b.Previous = 2, a.Hash()
	whole, err := Evidence([]Signed{sign(a), sign(b)})
	if err != nil {
		t.Fatal(err)
	}
	if l, err := Replay(chain, m, noon, whole); err != nil || l.Reason != None || l.Covered != 15 {
		t.Fatalf("two frames: %v, %v", l, err)
	}
	gap := b
	gap.First, gap.Readings = gap.First+1, gap.Readings[1:]
	rolled := half(2, 2, 0)
	rolled.Seq = 2
	for name, c := range map[string]struct {
		frames []Signed
		want   error
		reason Reason
	}{
		"nothing":       {nil, ErrEvidence, None},
		"wrong order":   {[]Signed{sign(b), sign(a)}, ErrEvidence, None},
		"twice":         {[]Signed{sign(a), sign(a)}, ErrEvidence, None},
		"rolled back":   {[]Signed{sign(a), sign(rolled)}, ErrEvidence, None},
		"unsigned":      {[]Signed{{Frame: a}}, signature.ErrSignature, None},
		"gap in a hour": {[]Signed{sign(a), sign(gap)}, nil, Gap},
	} {
		evidence, err := Evidence(c.frames)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Replay(chain, m, noon, evidence)
		if !errors.Is(err, c.want) || l.Reason != c.reason {
			t.Errorf("%s: %s, %v", name, l.Reason, err)
		}
	}
	if _, err := Replay(chain, m, noon+1, whole); !errors.Is(err, ErrEvidence) {
		t.Errorf("another hour: %v", err)
	}
}

// leaves makes n believable leaves.
func leaves(n int) []Leaf {
	all := make([]Leaf, n)
	for i := range all {
		l := Leaf{Meter: uint64(2*i + 2), Role: House, Node: 1, Covered: 15, Evidence: sha256.Sum256([]byte{byte(i)})}
		if i%10 == 9 {
			l.Role = Head
		}
		for j := range l.Slots {
			l.Slots[j] = Energy{Import: grid.WattHours(i * 10), Export: grid.WattHours(j), Generation: 50, StoredIn: 2, StoredOut: 1}
		}
		all[i] = l
	}
	return all
}

// reference is the tree as the package comment has it, by recursion.
func reference(all []Leaf) Node {
	if len(all) == 1 {
		n := Node{Hash: sha256.Sum256(all[0].Append([]byte{6})), Leaves: 1}
		for i := range n.Totals {
			n.Totals[i] = all[0].flow(i)
		}
		return n
	}
	left := 1
	for left*2 < len(all) {
		left *= 2
	}
	l, r := reference(all[:left]), reference(all[left:])
	n := Node{Leaves: l.Leaves + r.Leaves}
	b := []byte{7}
	for _, c := range []Node{l, r} {
		raw, _ := c.MarshalBinary()
		b = append(b, raw...)
		for i := range n.Totals {
			a, f := &n.Totals[i], c.Totals[i]
			a.Import, a.Export, a.Generation = a.Import+f.Import, a.Export+f.Export, a.Generation+f.Generation
			a.StoredIn, a.StoredOut, a.Squares = a.StoredIn+f.StoredIn, a.StoredOut+f.StoredOut, a.Squares+f.Squares
			a.HeadImport, a.HeadExport = a.HeadImport+f.HeadImport, a.HeadExport+f.HeadExport
			a.Told, a.Heads = a.Told+f.Told, a.Heads+f.Heads
		}
	}
	n.Hash = sha256.Sum256(b)
	return n
}

// INV-METER-TREE.
func TestTreeIsTheReference(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8, 21, 64, 65} {
		all := leaves(n)
		tree, err := Build(all)
		if err != nil {
			t.Fatal(err)
		}
		root := tree.Root()
		if root != reference(all) {
			t.Fatalf("%d leaves: another root", n)
		}
		if err := root.Totals.Check(root.Leaves); err != nil {
			t.Fatal(err)
		}
		for i := range all {
			p, err := tree.Prove(i)
			if err != nil {
				t.Fatal(err)
			}
			b, err := p.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			var q Proof
			if err := q.UnmarshalBinary(b); err != nil {
				t.Fatal(err)
			}
			if err := q.Verify(root); err != nil {
				t.Fatalf("%d of %d: %v", i, n, err)
			}
			q.Leaf.Slots[0].Export++
			if err := q.Verify(root); !errors.Is(err, ErrProof) {
				t.Fatalf("%d of %d: changed leaf: %v", i, n, err)
			}
			a, err := tree.ProveAbsent(all[i].Meter + 1)
			if err != nil {
				t.Fatal(err)
			}
			if b, err = a.MarshalBinary(); err != nil {
				t.Fatal(err)
			}
			var c Absence
			if err := c.UnmarshalBinary(b); err != nil || c.Verify(root, all[i].Meter+1) != nil {
				t.Fatalf("absence after %d of %d: %v", i, n, err)
			}
			if c.Verify(root, all[i].Meter) == nil {
				t.Fatalf("leaf %d of %d is shown to be absent", i, n)
			}
		}
	}
	double := leaves(2)
	double[1].Meter = double[0].Meter
	if _, err := Build(double); !errors.Is(err, ErrLeaves) {
		t.Errorf("a meter twice: %v", err)
	}
}

// INV-METER-BALANCE holds for any flows, and its state says how far the head meter agrees.
func TestBalanceAddsUp(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := func(name string) grid.WattHours {
			return grid.WattHours(rapid.Int64Range(0, int64(MaxSum)).Draw(r, name))
		}
		f := Flow{
			Import: w("import"), Export: w("export"), Generation: w("generation"), StoredIn: w("in"), StoredOut: w("out"),
			HeadImport: w("head import"), HeadExport: w("head export"), Told: 3, Heads: rapid.Uint32Range(0, 1).Draw(r, "heads"),
		}
		b, err := f.Balance(20_000)
		if b.Produced+b.GridImport+b.StoredOut != b.Consumed+b.GridExport+b.StoredIn+b.Losses {
			r.Fatalf("%+v does not add up (%v)", b, err)
		}
	})
	f := Flow{Import: 100_000, Export: 20_000, Generation: 30_000, HeadImport: 81_000, Heads: 1, Told: 50, Squares: 50 * 200 * 200}
	for loss, want := range map[grid.WattHours]State{0: Balanced, 1_000: Balanced, 4_000: Watch, 40_000: Failed, -2_000: Failed} {
		g := f
		g.HeadImport = 80_000 + loss
		if b, err := g.Balance(20_000); err != nil || b.State != want || b.Losses != loss {
			t.Errorf("losses of %d: %s, %v", b.Losses, b.State, err)
		}
	}
	if _, err := (Flow{Export: 1_000_000, Told: 1}).Balance(0); !errors.Is(err, ErrBalance) {
		t.Errorf("export out of nothing: %v", err)
	}
}

// elevation is the sun's, in degrees, by the series of Meeus' Astronomical Algorithms, chapter 25.
func elevation(s Site, at time.Time) float64 {
	rad := math.Pi / 180
	n := float64(at.Unix())/86400 + 2440587.5 - 2451545
	century := n / 36525
	l := 280.46646 + century*(36000.76983+century*0.0003032)
	g := (357.52911 + century*(35999.05029-century*0.0001537)) * rad
	c := (1.914602-century*0.004817)*math.Sin(g) + 0.019993*math.Sin(2*g) + 0.000289*math.Sin(3*g)
	lambda, eps := (l+c)*rad, (23.439291-century*0.0130042)*rad
	ra := math.Atan2(math.Cos(eps)*math.Sin(lambda), math.Cos(lambda))
	dec := math.Asin(math.Sin(eps) * math.Sin(lambda))
	h := (280.46061837+360.98564736629*n+float64(s.Longitude)/100)*rad - ra
	phi := float64(s.Latitude) / 100 * rad
	return math.Asin(math.Sin(phi)*math.Sin(dec)+math.Cos(phi)*math.Cos(dec)*math.Cos(h)) / rad
}

func TestSunIsWhereAstronomySaysWithinADegree(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := Site{rapid.Int32Range(-9000, 9000).Draw(r, "lat"), rapid.Int32Range(-18000, 18000).Draw(r, "lon")}
		at := rapid.Int64Range(0, 4_102_444_800).Draw(r, "time") // 1970 to 2100
		got := math.Asin(math.Max(-1, math.Min(1, float64(s.Elevation(at))/unit))) / math.Pi * 180
		want := elevation(s, time.Unix(at, 0))
		if d := math.Abs(got - want); d > 1 && math.Abs(want) < 80 {
			r.Fatalf("%v at %d: %.3f, want %.3f", s, at, got, want)
		}
		// Never night while the sun is above the horizon.
		if slot := grid.SlotAt(at); want > 0 && s.Night(slot) {
			r.Fatalf("%v: night in slot %d with the sun at %.2f", s, slot, want)
		}
	})
	if !(Site{5250, 1340}).Night(grid.SlotAt(time.Date(2026, 12, 21, 23, 0, 0, 0, time.UTC).Unix())) {
		t.Error("no night in Berlin at midnight in winter")
	}
}

func TestReasonsSpeak(t *testing.T) {
	names := map[string]bool{}
	for _, r := range Reasons() {
		if r.String() == "" || len(r.Text()) < 20 || names[r.String()] || !r.Known() || r.Rung() > 6 {
			t.Errorf("reason %d: %q %q", r, r.String(), r.Text())
		}
		names[r.String()] = true
	}
	if Reason(999).Known() || Reason(999).Text() == "" {
		t.Error("an unknown reason is known")
	}
}

func TestNeighboursDispatchCulprits(t *testing.T) {
	street := []grid.WattHours{4000, 4100, 3900, 4050, 3950, 2000}
	if Outlier(4300, slices.Clone(street), 4) || !Outlier(6000, slices.Clone(street), 4) || Outlier(9999, street[:4], 4) {
		t.Error("neighbours are judged wrongly")
	}
	if !Answered(1000, 950, 90) || Answered(1000, 500, 90) || !Answered(-1000, -950, 90) || Answered(-1000, 950, 90) {
		t.Error("dispatch is judged wrongly")
	}
	// The third site invents 500 Wh of export in two slots: the head misses them.
	residual := []grid.WattHours{500, 10, 480}
	sites := [][]grid.WattHours{{300, 200, 300}, {-100, -100, -100}, {-500, -20, -500}}
	if got := Culprits(residual, 30, sites); !slices.Equal(got, []int{2}) {
		t.Errorf("culprits %v", got)
	}
}

func TestRoot(t *testing.T) {
	for _, n := range []uint64{0, 1, 2, 3, 4, 15, 16, 17, 1 << 32, 1<<62 - 1, 1 << 62, math.MaxUint64} {
		want := new(big.Int).Sqrt(new(big.Int).SetUint64(n)).Uint64()
		if got := root(n); got != want {
			t.Errorf("root of %d: %d, want %d", n, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	m, sign := house(7, Ed25519)
	b, err := sign(quiet(m)).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := Parse(chain, b); err == nil {
			again, err := s.MarshalBinary()
			if err != nil || string(again) != string(b) {
				t.Fatalf("%x reads as %x, %v", b, again, err)
			}
		}
		_, _ = Replay(chain, m, noon, b)
		var l Leaf
		if err := l.UnmarshalBinary(b); err == nil && string(l.Append(nil)) != string(b) {
			t.Fatalf("leaf %x has another encoding", b)
		}
		var p Proof
		if err := p.UnmarshalBinary(b); err == nil {
			_ = p.Verify(Node{Leaves: binary.BigEndian.Uint32(b)})
		}
		var a Absence
		if err := a.UnmarshalBinary(b); err == nil {
			_ = a.Verify(Node{Leaves: 9}, 4)
		}
	})
}

// BenchmarkIngest is what an aggregator does with a frame of each of many meters: read, check
// signatures together, make the leaf's slots.
func BenchmarkIngest(b *testing.B) {
	for _, kind := range []KeyType{Ed25519, P256, Secp256k1} {
		b.Run(fmt.Sprintf("type%d", kind), func(b *testing.B) {
			const n = 256
			keys, raw := make([]Key, n), make([][]byte, n)
			for i := range raw {
				m, sign := house(uint64(i+1), kind)
				keys[i] = m.Key
				raw[i], _ = sign(quiet(m)).MarshalBinary()
			}
			frames := make([]Signed, n)
			for b.Loop() {
				for i := range raw {
					var err error
					if frames[i], err = Parse(chain, raw[i]); err != nil {
						b.Fatal(err)
					}
					if e := Between(frames[i].At(0), frames[i].At(4)); e.Export != 400 {
						b.Fatal(e)
					}
				}
				if bad := VerifyBatch(keys, frames); bad != nil {
					b.Fatal(bad)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "frames/s")
			b.ReportMetric(float64(len(raw[0])), "bytes")
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	all := leaves(512)
	for b.Loop() {
		if _, err := Build(all); err != nil {
			b.Fatal(err)
		}
	}
}
