// Package vectors holds what other implementations of the formats in docs/format can be checked
// against. The test computes every vector with core/ and compares it with the files beside it.
//
//	go test ./test/vectors -update    writes the files anew
//
// In the files bytes are hexadecimal, numbers of 64 bits and more decimal strings. An input called
// pattern(n) is n bytes, byte i being i mod 251.
package vectors

import (
	"bytes"
	"crypto/ed25519"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/cairn-network/cairn/core/address"
	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/core/segment"
	"github.com/cairn-network/cairn/core/voucher"
)

var update = flag.Bool("update", false, "write the vector files")

// file is one JSON file. Cases keep their order.
type file struct {
	About string `json:"about"`
	Cases []any  `json:"cases"`
}

func TestVectors(t *testing.T) {
	for name, compute := range map[string]func(*testing.T) file{
		"price": prices, "address": addresses, "device": registrations, "voucher": vouchers, "receipt": receipts,
		"piece": pieces, "erasure": erasures, "segment": segments, "seal": seals, "merkle": sumTrees, "beacon": beacons,
		"report": reports, "challenge": challenges, "clearing": clearings, "flex": flexibility,
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			enc := json.NewEncoder(&out)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			if err := enc.Encode(compute(t)); err != nil {
				t.Fatal(err)
			}
			path := name + ".json"
			if *update {
				if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%s: %s", path, firstDifference(out.String(), string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	line := 1
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			end := min(i+60, len(got), len(want))
			return fmt.Sprintf("line %d: computed ...%q, the file has ...%q", line, got[i:end], want[i:end])
		}
		if got[i] == '\n' {
			line++
		}
	}
	return fmt.Sprintf("computed %d bytes, the file has %d", len(got), len(want))
}

// object keeps the order of its fields in JSON.
type object []field

type field struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(f.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		b.Write(append(append(name, ':'), value...))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// of builds an object from names and values in turn.
func of(pairs ...any) object {
	o := make(object, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		value := pairs[i+1]
		switch v := value.(type) {
		case []byte:
			value = hex.EncodeToString(v)
		case [20]byte:
			value = hex.EncodeToString(v[:])
		case [32]byte:
			value = hex.EncodeToString(v[:])
		case piece.Root:
			value = v.String()
		case uint64:
			value = strconv.FormatUint(v, 10)
		case int64:
			value = strconv.FormatInt(v, 10)
		}
		o = append(o, field{pairs[i].(string), value})
	}
	return o
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// key returns the Ed25519 key whose seed is n 32 times.
func key(n byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32)) }

func public(k ed25519.PrivateKey) []byte { return k.Public().(ed25519.PublicKey) }

func marshal(t *testing.T, v encoding.BinaryMarshaler) []byte {
	t.Helper()
	b, err := v.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func amount(t *testing.T, s string) price.Amount {
	t.Helper()
	a, err := price.ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func prices(t *testing.T) file {
	f := file{About: "core/price: text of amounts in acairn; floor(units * seconds * amount / per). No value: refused."}
	for _, s := range []string{
		"1.5CAIRN", "1.5 CAIRN", "2cairn", "123acairn", "0CAIRN", "0.000000000000000001CAIRN", "340282366920938463463374607431768211455acairn",
		"", "1", "-1CAIRN", ".5CAIRN", "1.CAIRN", "1.5acairn", "1e3CAIRN", "1  CAIRN", "0.0000000000000000001CAIRN", "340282366920938463463374607431768211456acairn",
	} {
		o := of("text", s)
		if a, err := price.Parse(s); err == nil {
			o = append(o, of("acairn", a.String(), "formatted", a.Format())...)
		}
		f.Cases = append(f.Cases, o)
	}
	const most = 1<<64 - 1
	for _, c := range []struct {
		amount              string
		per, units, seconds uint64
	}{
		{"0", 1, most, most},
		{"1", 3, 2, 1},
		{"1", 3, 3, 1},
		{"7", 1_000_000_007, 1 << 40, 86_400},
		{"340282366920938463463374607431768211455", most, most, 1},
		{"340282366920938463463374607431768211455", 1, 2, 1},
		{"1", 1, most, most},
		{"340282366920938463463374607431768211455", most, most, most},
		{"1", 0, 1, 1},
	} {
		o := of("amount", c.amount, "per", c.per, "units", c.units, "seconds", c.seconds)
		if cost, err := (price.Rate{Amount: amount(t, c.amount), Per: c.per}).StreamCost(c.units, c.seconds); err == nil {
			o = append(o, of("cost", cost.String())...)
		}
		f.Cases = append(f.Cases, o)
	}
	return f
}

func addresses(t *testing.T) file {
	f := file{About: "core/address: one account in two spellings. No bytes: refused."}
	for _, a := range [][20]byte{{}, {19: 1}, [20]byte(pattern(20)), [20]byte(bytes.Repeat([]byte{0xff}, 20))} {
		f.Cases = append(f.Cases, of("bytes", a, "bech32", address.Bech32(a), "hex", address.Hex(a)))
	}
	good := address.Bech32([20]byte(pattern(20)))
	valoper, err := address.EncodeBech32("cairnvaloper", pattern(20))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"", "alice", valoper, good[:len(good)-1], good[:10] + "q" + good[11:], "C" + good[1:], "0x00", "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"} {
		if _, err := address.Parse(s); err == nil {
			t.Errorf("%q is an address", s)
		}
		f.Cases = append(f.Cases, of("refused", s))
	}
	return f
}

func registrations(*testing.T) file {
	f := file{About: "core/device: what a device key signs to be registered. Seeds of Ed25519 keys are one byte 32 times."}
	for nonce := range uint64(2) {
		owner := address.Bech32([20]byte(pattern(20)))
		b := device.RegistrationBytes("cairn-devnet-1", owner, nonce)
		f.Cases = append(f.Cases, of("chain_id", "cairn-devnet-1", "owner", owner, "nonce", nonce, "sign_bytes", b,
			"seed_byte", 1, "public_key", public(key(1)), "signature", ed25519.Sign(key(1), b)))
	}
	return f
}

func vouchers(t *testing.T) file {
	f := file{About: "core/voucher, docs/format/voucher.md. Seeds of Ed25519 keys are one byte 32 times."}
	for i, v := range []voucher.Voucher{
		{ChainID: "c", Lease: 1, Device: 1, Seq: 1, Expiry: 1},
		{ChainID: "cairn-devnet-1", Lease: 7, Device: 9, Units: 1 << 24, Amount: amount(t, "1500000000000000000"), Seq: 3, Expiry: 1_800_000_000},
		{
			ChainID: "abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRST-01", Lease: 1<<64 - 1, Device: 1<<64 - 1, Units: 1<<64 - 1,
			Amount: price.Amount{Hi: 1<<64 - 1, Lo: 1<<64 - 1}, Seq: 1<<64 - 1, Expiry: 1<<63 - 1,
		},
	} {
		k := key(byte(i + 1))
		s := voucher.Sign(k, v)
		f.Cases = append(f.Cases, of("chain_id", v.ChainID, "lease", v.Lease, "device", v.Device, "units", v.Units, "amount", v.Amount.String(),
			"seq", v.Seq, "expiry", v.Expiry, "sign_bytes", v.SignBytes(), "seed_byte", i+1, "public_key", public(k),
			"signature", s.Signature[:], "encoding", marshal(t, s)))
	}
	good := marshal(t, voucher.Sign(key(1), voucher.Voucher{ChainID: "c", Lease: 1, Device: 1, Seq: 1, Expiry: 1}))
	for why, bad := range ordered(
		"empty", nil,
		"version 2", append([]byte{2}, good[1:]...),
		"a byte too many", append(bytes.Clone(good), 0),
		"a byte too few", good[:len(good)-1],
		"chain id of no bytes", append([]byte{1, 0}, good[3:]...),
		"chain id with a space", append([]byte{1, 1, ' '}, good[3:]...),
		"lease 0", zero(good, 3, 8),
		"device 0", zero(good, 11, 8),
		"sequence 0", zero(good, 43, 8),
		"expiry 0", zero(good, 51, 8),
	) {
		if err := new(voucher.Signed).UnmarshalBinary(bad); err == nil {
			t.Errorf("a voucher with %s decodes", why)
		}
		f.Cases = append(f.Cases, of("refused", why, "encoding", bad))
	}
	return f
}

// ordered yields pairs of name and bytes in turn.
func ordered(pairs ...any) func(func(string, []byte) bool) {
	return func(yield func(string, []byte) bool) {
		for i := 0; i < len(pairs); i += 2 {
			b, _ := pairs[i+1].([]byte)
			if !yield(pairs[i].(string), b) {
				return
			}
		}
	}
}

func zero(b []byte, at, n int) []byte {
	b = bytes.Clone(b)
	clear(b[at : at+n])
	return b
}

func receipts(t *testing.T) file {
	f := file{About: "core/piece, docs/format/receipt.md. Seeds of Ed25519 keys are one byte 32 times."}
	for i, r := range []piece.Receipt{
		{ChainID: "c", Lease: 1, Device: 1, Root: piece.RootOf(pattern(1)), Size: 1, Expiry: 2, IssuedAt: 1},
		{
			ChainID: "cairn-devnet-1", Lease: 7, Device: 9, ID: piece.ID(pattern(32)), Root: piece.RootOf(pattern(piece.MaxSize)), Size: piece.MaxSize,
			Expiry: 1_800_000_000, IssuedAt: 1_790_000_000,
		},
	} {
		k := key(byte(i + 1))
		s := piece.SignReceipt(k, r)
		f.Cases = append(f.Cases, of("chain_id", r.ChainID, "lease", r.Lease, "device", r.Device, "piece_id", r.ID.String(), "root", r.Root,
			"size", r.Size, "expiry", r.Expiry, "issued_at", r.IssuedAt, "sign_bytes", r.SignBytes(), "seed_byte", i+1, "public_key", public(k),
			"signature", s.Signature, "encoding", marshal(t, s)))
	}
	good := marshal(t, piece.SignReceipt(key(1), piece.Receipt{ChainID: "c", Lease: 1, Device: 1, Size: 1, Expiry: 2, IssuedAt: 1}))
	large := bytes.Clone(good)
	large[83] = 0xff
	for why, bad := range ordered(
		"empty", nil,
		"version 0", append([]byte{0}, good[1:]...),
		"a byte too many", append(bytes.Clone(good), 0),
		"lease 0", zero(good, 3, 8),
		"device 0", zero(good, 11, 8),
		"size 0", zero(good, 83, 4),
		"size above 1 MiB", large,
		"expiry before issue", zero(good, 87, 8),
		"issued at 0", zero(good, 95, 8),
	) {
		if err := new(piece.SignedReceipt).UnmarshalBinary(bad); err == nil {
			t.Errorf("a receipt with %s decodes", why)
		}
		f.Cases = append(f.Cases, of("refused", why, "encoding", bad))
	}
	return f
}

func pieces(t *testing.T) file {
	f := file{About: "core/piece, docs/format/piece.md: roots and chunk proofs of pattern(size); ids derived from secret pattern(32) and segment pattern(16)."}
	for _, n := range []int{0, 1, 64, 1023, 1024, 1025, 2049, 3072, 16384, 65600, piece.MaxSize} {
		data := pattern(n)
		f.Cases = append(f.Cases, of("size", n, "root", piece.RootOf(data), "chunks", piece.Chunks(uint64(n))))
		for _, chunk := range unique(0, int(piece.Chunks(uint64(n)))/2, int(piece.Chunks(uint64(n)))-1) {
			p, err := piece.Prove(data, chunk)
			if err != nil {
				t.Fatal(err)
			}
			f.Cases = append(f.Cases, of("size", n, "chunk", chunk, "proof", marshal(t, p)))
		}
	}
	for _, index := range []uint8{0, 1, 255} {
		id := piece.DeriveID([32]byte(pattern(32)), [16]byte(pattern(16)), index)
		f.Cases = append(f.Cases, of("index", index, "piece_id", id.String()))
	}
	return f
}

func unique(ascending ...int) []int {
	var out []int
	for _, n := range ascending {
		if len(out) == 0 || out[len(out)-1] != n {
			out = append(out, n)
		}
	}
	return out
}

func encode(t *testing.T, c erasure.Class, data []byte) (erasure.Geometry, [][]byte) {
	t.Helper()
	codec, err := erasure.NewCodec(c)
	if err != nil {
		t.Fatal(err)
	}
	g := c.Geometry(len(data))
	out := make([][]byte, c.Total)
	for i := range out {
		out[i] = make([]byte, g.PieceSize)
	}
	if err := codec.Encode(data, out); err != nil {
		t.Fatal(err)
	}
	return g, out
}

func pieceRoots(all [][]byte) (roots []piece.Root) {
	for _, p := range all {
		roots = append(roots, piece.RootOf(p))
	}
	return roots
}

func erasures(t *testing.T) file {
	f := file{About: "core/erasure, docs/format/segment.md: roots of all pieces of segments pattern(size); the first case has the pieces themselves."}
	for i, c := range append([]erasure.Class{erasure.Dev}, erasure.Classes()...) {
		sizes := []int{200}
		if i > 0 {
			sizes = []int{1, c.K*erasure.ShareSize - 1, c.K*erasure.ShareSize + 1, 3*c.K*erasure.ShareSize + 1000}
		}
		for _, n := range sizes {
			g, all := encode(t, c, pattern(n))
			o := of("class", c.Name, "k", c.K, "total", c.Total, "size", n, "stripes", g.Stripes, "last_share_size", g.LastShareSize, "piece_size", g.PieceSize)
			if i == 0 {
				var text []string
				for _, p := range all {
					text = append(text, hex.EncodeToString(p))
				}
				o = append(o, of("pieces", text)...)
			} else {
				o = append(o, of("piece_roots", pieceRootText(all))...)
			}
			f.Cases = append(f.Cases, o)
		}
	}
	return f
}

func pieceRootText(all [][]byte) (text []string) {
	for _, r := range pieceRoots(all) {
		text = append(text, r.String())
	}
	return text
}

func segments(t *testing.T) file {
	f := file{About: "core/segment, docs/format/segment.md: roots over the roots of pieces, piece i being pattern(i), and paths to them."}
	for _, n := range []int{1, 2, 3, 10, 44, 256} {
		var roots []piece.Root
		for i := range n {
			roots = append(roots, piece.RootOf(pattern(i)))
		}
		f.Cases = append(f.Cases, of("pieces", n, "root", segment.Root(roots)))
		for _, i := range unique(0, n/2, n-1) {
			p, err := segment.RootProof(roots, i)
			if err != nil {
				t.Fatal(err)
			}
			path := []string{}
			for _, s := range p.Siblings {
				path = append(path, hex.EncodeToString(s[:]))
			}
			f.Cases = append(f.Cases, of("pieces", n, "index", i, "siblings", path))
		}
	}
	return f
}

func seals(t *testing.T) file {
	f := file{About: "core/seal, docs/format/seal.md: keys from the seed pattern(64), and what is sealed with them. Plaintexts are pattern(size); of large sealed segments the BLAKE3 hash."}
	root := seal.FromSeed(pattern(64))
	bucket := root.Bucket("photos")
	prefix, err := bucket.Prefix("2026/trip/")
	if err != nil {
		t.Fatal(err)
	}
	f.Cases = append(f.Cases,
		of("root", [32]byte(root)),
		of("session", 0, "public_key", public(root.SessionKey(0))),
		of("session", 1, "public_key", public(root.SessionKey(1))),
		of("snapshot_key", [32]byte(root.Snapshot())),
		of("bucket", "photos", "key", [32]byte(bucket), "piece_secret", bucket.PieceSecret()),
		of("bucket", "photos", "prefix", "2026/trip/", "key", [32]byte(prefix)),
		of("bucket", "photos", "object", "2026/trip/a.jpg", "key", [32]byte(bucket.Object("2026/trip/a.jpg"))),
		of("bucket", "photos", "object", "", "key", [32]byte(bucket.Object(""))),
	)
	for _, path := range []string{"a", "2026/trip/a.jpg", "//a/", ""} {
		f.Cases = append(f.Cases, of("bucket", "photos", "path", path, "encrypted", bucket.EncryptPath(path)))
	}
	f.Cases = append(f.Cases, of("box", "purpose", "plaintext", pattern(20), "context", pattern(3),
		"sealed", root.Box("purpose").Seal(nil, pattern(20), pattern(3))))
	under, err := bucket.GrantPrefix("photos", "2026/trip/")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []seal.Grant{bucket.GrantObject("photos", "2026/trip/a.jpg"), under, bucket.GrantVerify("photos")} {
		text, err := g.Encode()
		if err != nil {
			t.Fatal(err)
		}
		f.Cases = append(f.Cases, of("grant", uint8(g.Kind), "bucket", g.Bucket, "path", g.Path, "text", text))
	}
	for _, suite := range []seal.Suite{seal.AES256GCM, seal.XChaCha20Poly1305} {
		d, err := seal.NewDataKey(bytes.NewReader(pattern(32)), suite)
		if err != nil {
			t.Fatal(err)
		}
		f.Cases = append(f.Cases, of("suite", suite, "data_key", d.Key, "wrapped_for", "2026/trip/a.jpg",
			"wrapped", bucket.Object("2026/trip/a.jpg").Wrap(d)))
		for _, n := range []int{0, 100, seal.Room(0), seal.Room(0) + 1, 100_000} {
			sealed, err := d.Segment([16]byte(pattern(16)), 5).Seal(nil, pattern(n))
			if err != nil {
				t.Fatal(err)
			}
			o := of("suite", suite, "object_id", pattern(16), "segment", 5, "size", n, "sealed_size", len(sealed))
			if n <= 100 {
				o = append(o, of("sealed", sealed)...)
			} else {
				o = append(o, of("header", sealed[:seal.HeaderSize], "sealed_blake3", piece.RootOf(sealed))...)
			}
			f.Cases = append(f.Cases, o)
		}
	}
	return f
}

func sumTrees(t *testing.T) file {
	f := file{About: "core/merkle: leaf i of n has id 32 times byte i+1, root BLAKE3(pattern(i)), i%7+1 chunks, expiry 1000+i."}
	for _, n := range []int{1, 2, 3, 5, 8, 100} {
		var leaves []merkle.Leaf
		for i := range n {
			leaves = append(leaves, merkle.Leaf{
				ID: piece.ID(bytes.Repeat([]byte{byte(i + 1)}, 32)), Root: piece.RootOf(pattern(i)),
				Chunks: uint64(i%7 + 1), Expiry: int64(1000 + i),
			})
		}
		tree, err := merkle.Build(leaves)
		if err != nil {
			t.Fatal(err)
		}
		root := tree.Root()
		f.Cases = append(f.Cases, of("leaves", n, "root", root.Hash, "sum", root.Sum))
		for _, x := range unique(0, int(root.Sum)/2, int(root.Sum)-1) {
			p, chunk, err := tree.ProveAt(uint64(x))
			if err != nil {
				t.Fatal(err)
			}
			f.Cases = append(f.Cases, of("leaves", n, "position", x, "chunk", chunk, "proof", marshal(t, p)))
		}
	}
	return f
}
