package seal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestGrantsReachAsFarAsTheySay(t *testing.T) {
	bucket := FromSeed(fill(32)).Bucket("photos")
	prefix, err := bucket.GrantPrefix("photos", "2026/")
	if err != nil {
		t.Fatal(err)
	}
	all, err := bucket.GrantPrefix("photos", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.GrantPrefix("photos", "2026"); err == nil {
		t.Fatal("a prefix without its slash is granted")
	}
	for _, test := range []struct {
		grant Grant
		opens []string
		not   []string
	}{
		{bucket.GrantObject("photos", "2026/a"), []string{"2026/a"}, []string{"2026/b", "2026/a/", "2026/", "", "2026/a/b"}},
		{prefix, []string{"2026/a", "2026/b/c", "2026/"}, []string{"2026", "2025/a", ""}},
		{all, []string{"", "x", "2026/a"}, nil},
		{bucket.GrantVerify("photos"), nil, []string{"", "x"}},
		{Grant{}, nil, []string{"", "x"}},
	} {
		for _, key := range test.opens {
			if got, err := test.grant.Object(key); err != nil || got != bucket.Object(key) {
				t.Errorf("%s: %q: %v", test.grant, key, err)
			}
		}
		for _, key := range test.not {
			if got, err := test.grant.Object(key); !errors.Is(err, ErrGrant) || got != (ObjectKey{}) {
				t.Errorf("%s: %q: %v", test.grant, key, err)
			}
		}
	}
}

func TestGrantsEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := Grant{
			Kind:   GrantKind(rapid.Uint8Range(0, 4).Draw(t, "kind")),
			Bucket: rapid.StringN(0, 20, 300).Draw(t, "bucket"),
			Path:   rapid.StringN(0, 20, 2000).Draw(t, "path"),
			Key:    [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")),
		}
		if g.Kind == ReadPrefix && rapid.Bool().Draw(t, "slash") {
			g.Path += "/"
		}
		text, err := g.Encode()
		if err != nil {
			if !errors.Is(err, ErrGrant) {
				t.Fatal(err)
			}
			return
		}
		if got, err := ParseGrant(text); err != nil || got != g {
			t.Fatalf("%+v, %v; want %+v", got, err, g)
		}
		i := rapid.IntRange(0, len(text)-1).Draw(t, "typo")
		c := rapid.SampledFrom([]string{"A", "b", "-", "\n", ""}).Draw(t, "as")
		if typo := text[:i] + c + text[i+1:]; typo != text {
			if _, err := ParseGrant(typo); !errors.Is(err, ErrGrant) {
				t.Fatalf("%q: %v", typo, err)
			}
		}
	})
}

func TestKeysDoNotPrint(t *testing.T) {
	root := FromSeed(fill(32))
	bucket := root.Bucket("b")
	grant := bucket.GrantObject("b", "k")
	d := DataKey{Suite: AES256GCM, Key: [32]byte(fill(32))}
	for _, key := range []any{root, bucket, PrefixKey(bucket), bucket.Object("k"), d, d.Segment([16]byte{}, 0), root.Box("b"), grant, &d, []any{d}} {
		for _, verb := range []string{"%v", "%+v", "%s"} {
			if s := fmt.Sprintf(verb, key); strings.ContainsAny(s, "[") && !strings.Contains(s, hidden) || len(s) > 40 {
				t.Errorf("%T prints as %s", key, s)
			}
		}
	}
}

func FuzzParseGrant(f *testing.F) {
	text, _ := FromSeed(fill(32)).Bucket("b").GrantObject("b", "k").Encode()
	f.Add(text)
	f.Fuzz(func(t *testing.T, text string) {
		g, err := ParseGrant(text)
		if err != nil {
			return
		}
		if again, err := g.Encode(); err != nil || again != text {
			t.Fatalf("%q is read and written as %q, %v", text, again, err)
		}
	})
}

// INV-SEAL-2: nothing that was not sealed opens, and nothing crashes.
func FuzzOpen(f *testing.F) {
	k := testKey(AES256GCM, 0)
	for _, n := range []int{0, 100, Room(0), Room(0) + 1} {
		sealed, _ := k.Seal(nil, fill(n))
		f.Add(sealed, 0, len(sealed))
	}
	f.Fuzz(func(t *testing.T, sealed []byte, first, size int) {
		if plain, err := k.Open(nil, sealed); err == nil {
			again, err := k.Seal(nil, plain)
			if err != nil || !bytes.Equal(again, sealed) {
				t.Fatalf("%d bytes open and seal as others, %v", len(sealed), err)
			}
		}
		_, _ = k.OpenRecords(nil, sealed, first, size)
		_, _ = k.OpenRange(nil, sealed, size, first, 1)
		_ = k.CheckHeader(sealed)
		_, _ = ObjectKey{}.Unwrap(sealed)
		_, _ = Box{}.Open(nil, sealed, nil)
	})
}

func FuzzDecryptPath(f *testing.F) {
	bucket := FromSeed(fill(32)).Bucket("b")
	f.Add(bucket.EncryptPath("a/b//c"))
	f.Fuzz(func(t *testing.T, path string) {
		plain, err := bucket.DecryptPath(path)
		if err != nil {
			return
		}
		if again := bucket.EncryptPath(plain); again != path {
			t.Fatalf("%q decrypts to %q and that encrypts to %q", path, plain, again)
		}
	})
}
