package seal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

var suites = []Suite{AES256GCM, XChaCha20Poly1305}

func testKey(suite Suite, number uint32) SegmentKey {
	d := DataKey{Suite: suite, Key: [32]byte{1, 2, 3}}
	return d.Segment([16]byte{9, 8, 7}, number)
}

func fill(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

var edges = []int{0, 1, 15, 16, 17, 4096, Room(0) - 1, Room(0), Room(0) + 1, Room(0) + Room(1), Room(0) + Room(1) + 1, 100_000}

func TestSealedSegmentsOpen(t *testing.T) {
	for _, suite := range suites {
		k := testKey(suite, 3)
		for _, n := range edges {
			plain := fill(n)
			sealed, err := k.Seal([]byte("front"), plain)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(sealed, []byte("front")) {
				t.Fatal("dst was not appended to")
			}
			sealed = sealed[5:]
			if len(sealed) != SealedSize(n) {
				t.Fatalf("%d bytes seal into %d, want %d", n, len(sealed), SealedSize(n))
			}
			if size, err := PlaintextSize(len(sealed)); err != nil || size != n {
				t.Fatalf("PlaintextSize(%d) = %d, %v; want %d", len(sealed), size, err, n)
			}
			open, err := k.Open([]byte("front"), sealed)
			if err != nil || !bytes.Equal(open[5:], plain) {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
	}
}

func TestRangesOpen(t *testing.T) {
	for _, suite := range suites {
		k, plain := testKey(suite, 0), fill(5*RecordSize)
		sealed, err := k.Seal(nil, plain)
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(t *rapid.T) {
			off := rapid.IntRange(0, len(plain)-1).Draw(t, "off")
			n := rapid.IntRange(1, len(plain)-off).Draw(t, "n")
			_, _, at, length, err := RecordsFor(len(sealed), off, n)
			if err != nil {
				t.Fatal(err)
			}
			got, err := k.OpenRange(nil, sealed[at:at+length], len(sealed), off, n)
			if err != nil || !bytes.Equal(got, plain[off:off+n]) {
				t.Fatalf("%d bytes at %d: %v", n, off, err)
			}
		})
	}
}

// INV-SEAL-2.
func TestEveryChangeIsFound(t *testing.T) {
	for _, suite := range suites {
		k := testKey(suite, 7)
		sealed, err := k.Seal(nil, fill(3*RecordSize))
		if err != nil {
			t.Fatal(err)
		}
		refuse := func(what string, k SegmentKey, sealed []byte) {
			t.Helper()
			if got, err := k.Open(nil, sealed); !errors.Is(err, ErrCorrupt) || len(got) != 0 {
				t.Errorf("%s: %d bytes, %v", what, len(got), err)
			}
		}
		for at := 0; at < len(sealed); at += 61 {
			bad := bytes.Clone(sealed)
			bad[at] ^= 1 << (at % 8)
			refuse("a changed bit", k, bad)
		}
		swapped := bytes.Clone(sealed)
		copy(swapped[RecordSize:], sealed[2*RecordSize:3*RecordSize])
		copy(swapped[2*RecordSize:], sealed[RecordSize:2*RecordSize])
		refuse("swapped records", k, swapped)
		refuse("a lost record", k, append(bytes.Clone(sealed[:RecordSize]), sealed[2*RecordSize:]...))
		for cut := 1; cut < len(sealed); cut += 331 {
			refuse("a cut end", k, sealed[:len(sealed)-cut])
		}
		for _, records := range []int{1, 2, 3} {
			refuse("a cut at a record", k, sealed[:records*RecordSize])
		}
		refuse("nothing", k, nil)
		refuse("another segment", testKey(suite, 8), sealed)
		d := DataKey{Suite: suite, Key: [32]byte{1, 2, 3}}
		refuse("another object", d.Segment([16]byte{}, 7), sealed)
		d.Key[31]++
		refuse("another key", d.Segment([16]byte{9, 8, 7}, 7), sealed)
		refuse("another suite", testKey(3-suite, 7), sealed)
	}
}

func TestSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sealed := rapid.IntRange(-10, 6*RecordSize).Draw(t, "sealed")
		n := MaxPlaintext(sealed)
		if n > 0 && SealedSize(n) > sealed {
			t.Fatalf("%d bytes seal into %d, more than %d", n, SealedSize(n), sealed)
		}
		if SealedSize(n+1) <= sealed {
			t.Fatalf("%d bytes fit into %d, too", n+1, sealed)
		}
		if size, err := PlaintextSize(sealed); err == nil && SealedSize(size) != sealed {
			t.Fatalf("PlaintextSize(%d) = %d", sealed, size)
		}
	})
}

func TestKeysDoNotLeadSideways(t *testing.T) {
	root := FromSeed([]byte("sixteen bytes ok"))
	bucket := root.Bucket("photos")
	if root.Bucket("photos") != bucket || root.Bucket("photo") == bucket {
		t.Fatal("bucket keys are not a function of the name")
	}
	prefix, err := bucket.Prefix("a/b/")
	if err != nil {
		t.Fatal(err)
	}
	inner, err := bucket.Prefix("a/")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := inner.Prefix("b/"); err != nil || again != prefix {
		t.Fatalf("a/ then b/ is not a/b/: %v", err)
	}
	if prefix.Object("c/d") != bucket.Object("a/b/c/d") || inner.Object("b/c/d") != bucket.Object("a/b/c/d") {
		t.Fatal("an object's key depends on the way to it")
	}
	if _, err := bucket.Prefix("a/b"); err == nil {
		t.Fatal("a prefix without its slash has a key")
	}
	seen := map[[32]byte]string{root: "root", bucket: "bucket", prefix: "a/b/", inner: "a/", root.Snapshot(): "snapshot", bucket.PieceSecret(): "pieces"}
	for _, key := range []string{"", "/", "a", "a/", "a/b", "a/b/", "a/b/c", "a//b", "//", "b", "ab", "a\x00b"} {
		k := [32]byte(bucket.Object(key))
		if other, ok := seen[k]; ok {
			t.Errorf("object %q and %q have one key", key, other)
		}
		seen[k] = key
	}
	if root.SessionKey(0).Equal(root.SessionKey(1)) || !root.SessionKey(1).Equal(root.SessionKey(1)) {
		t.Fatal("session keys")
	}
}

func TestDataKeysUnwrapWithTheirObjectOnly(t *testing.T) {
	bucket := FromSeed([]byte("sixteen bytes ok")).Bucket("b")
	for _, suite := range suites {
		d, err := NewDataKey(bytes.NewReader(fill(32)), suite)
		if err != nil {
			t.Fatal(err)
		}
		wrapped := bucket.Object("k").Wrap(d)
		if len(wrapped) != WrappedSize {
			t.Fatalf("%d bytes", len(wrapped))
		}
		if got, err := bucket.Object("k").Unwrap(wrapped); err != nil || got != d {
			t.Fatal(got, err)
		}
		if _, err := bucket.Object("l").Unwrap(wrapped); !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		for i := range wrapped {
			bad := bytes.Clone(wrapped)
			bad[i] ^= 3 // turns one suite into the other
			if _, err := bucket.Object("k").Unwrap(bad); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
	}
	if _, err := NewDataKey(bytes.NewReader(fill(31)), AES256GCM); err == nil {
		t.Fatal("31 bytes make a key")
	}
	if _, err := NewDataKey(bytes.NewReader(fill(32)), 0); err == nil {
		t.Fatal("suite 0 has a key")
	}
}

func TestPathsDecrypt(t *testing.T) {
	bucket := FromSeed([]byte("sixteen bytes ok")).Bucket("b")
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.StringMatching(`([ab/é]|\PC){0,20}`).Draw(t, "path")
		sealed := bucket.EncryptPath(path)
		if got, err := bucket.DecryptPath(sealed); err != nil || got != path {
			t.Fatalf("%q becomes %q and that %q, %v", path, sealed, got, err)
		}
	})
	sealed := bucket.EncryptPath("a/b")
	if bucket.EncryptPath("a/c")[:len(bucket.EncryptPath("a"))] != bucket.EncryptPath("a") {
		t.Fatal("siblings do not share their parent's ciphertext")
	}
	for _, bad := range []string{"x", "a/b", sealed + "A", sealed + "\n", sealed[:5] + "\n" + sealed[5:], "/" + sealed} {
		if got, err := bucket.DecryptPath(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}
