package inclusion

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

var deviceKey = ed25519.NewKeyFromSeed(make([]byte, 32))

// receipt is the n-th of a device.
func receipt(device uint64, n int, issuedAt int64) piece.SignedReceipt {
	r := piece.Receipt{ChainID: "cairn-test-1", Lease: 1, Device: device, Root: piece.Root{byte(n)}, Size: 3000, Expiry: 1 << 40, IssuedAt: issuedAt}
	binary.BigEndian.PutUint64(r.ID[:], device)
	binary.BigEndian.PutUint64(r.ID[8:], uint64(n))
	return piece.SignReceipt(deviceKey, r)
}

// What is kept is a sample of bounded size, in which late receipts are as likely as early ones.
func TestBookKeepsASample(t *testing.T) {
	b, err := OpenBook(filepath.Join(t.TempDir(), "receipts"))
	if err != nil {
		t.Fatal(err)
	}
	const n = 8 * PerDevice
	for i := range n {
		r := receipt(3, 0, 1)
		binary.BigEndian.PutUint64(r.ID[8:], uint64(i)) // the signature is not looked at here
		b.Add(metabase.SegmentID{}, 0, r)
	}
	d := b.devices[3]
	if len(d.entries) != PerDevice || d.seen != n {
		t.Fatalf("%d of %d receipts are kept", len(d.entries), d.seen)
	}
	late := 0
	for _, e := range d.entries {
		if binary.BigEndian.Uint64(e.Receipt.ID[8:]) >= n/2 {
			late++
		}
	}
	// 128 on average, with a deviation of 8: ten of them never happen.
	if late < 48 || late > 208 {
		t.Errorf("%d of %d are of the later half", late, PerDevice)
	}
}

func TestBookSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "receipts")
	b, err := OpenBook(path)
	if err != nil {
		t.Fatal(err)
	}
	for device := range uint64(3) {
		for n := range 5 {
			b.Add(metabase.SegmentID{byte(n)}, uint8(n), receipt(device+1, n, int64(n+1)))
		}
	}
	gone, _ := b.Draw(2, func(e Entry) bool { return e.Index == 4 })
	b.Remove(gone)
	if err := b.Save(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenBook(path)
	if err != nil || len(again.Devices()) != 3 {
		t.Fatal(again, err)
	}
	if _, found := again.Draw(2, func(e Entry) bool { return e.Index == 4 }); found {
		t.Error("what was removed is there")
	}
	e, found := again.Draw(2, func(e Entry) bool { return e.Index == 3 })
	want := receipt(2, 3, 4)
	if !found || e.Segment != (metabase.SegmentID{3}) || e.Receipt.Receipt != want.Receipt || !bytes.Equal(e.Receipt.Signature, want.Signature) {
		t.Errorf("%t, %+v", found, e)
	}
	third := receipt(3, 2, 3).ID
	again.Released(3, 2, []piece.ID{third}) // of another lease
	again.Released(9, 1, []piece.ID{third})
	if len(again.devices[3].entries) != 5 {
		t.Error("a receipt is gone, and nothing of it was released")
	}
	again.Released(3, 1, []piece.ID{third})
	if _, found := again.Draw(3, func(e Entry) bool { return e.Receipt.ID == third }); found || len(again.devices[3].entries) != 4 {
		t.Error("a receipt is kept of a piece that was released")
	}
	if again.devices[2].seen != 5 {
		t.Error("how many receipts were seen is forgotten")
	}
	// A damaged file says so, and the book works.
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	empty, err := OpenBook(path)
	if !errors.Is(err, ErrDamaged) || len(empty.Devices()) != 0 {
		t.Fatal(empty, err)
	}
	empty.Add(metabase.SegmentID{}, 0, receipt(1, 1, 1))
	if err := empty.Save(); err != nil {
		t.Fatal(err)
	}
}

func FuzzBook(f *testing.F) {
	raw, err := encode(map[uint64]*drawer{7: {seen: 9, entries: []Entry{{Receipt: receipt(7, 1, 1)}}}, 8: {seen: 1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		devices, err := decode(b)
		if err != nil {
			return
		}
		if _, err := encode(devices); err != nil {
			t.Fatalf("%x is read and not written: %v", b, err)
		}
	})
}
