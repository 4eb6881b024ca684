package inclusion

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/internal/atomicfile"
)

// PerDevice is how many receipts are kept of each device: one of them asked for, drawn at random, finds a
// node that dropped a share f of its pieces with probability f.
const PerDevice = 256

// Entry is a receipt, and the piece that it is of.
type Entry struct {
	Segment metabase.SegmentID
	Index   uint8
	Receipt piece.SignedReceipt
}

// Book keeps receipts. Losing it loses evidence and nothing else: it is written from time to time, and a
// damaged file is one of no receipts. Safe for concurrent use.
type Book struct {
	path string

	mu      sync.Mutex
	devices map[uint64]*drawer
	changed bool
}

// drawer is a device's sample: each of its receipts is in it with the same probability.
type drawer struct {
	seen    uint64 // receipts so far
	entries []Entry
}

// ErrDamaged says that the file of a book is not what was written.
var ErrDamaged = errors.New("file of receipts is damaged")

// OpenBook reads the book in a file. With ErrDamaged the book is empty, and works.
func OpenBook(path string) (*Book, error) {
	b := &Book{path: path, devices: make(map[uint64]*drawer)}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading receipts: %w", err)
	}
	devices, err := decode(raw)
	if err != nil {
		return b, fmt.Errorf("%s: %w", path, err)
	}
	b.devices = devices
	return b, nil
}

// Add takes a receipt into the sample, or not, as chance has it.
func (b *Book) Add(segment metabase.SegmentID, index uint8, r piece.SignedReceipt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[r.Device]
	if d == nil {
		d = &drawer{}
		b.devices[r.Device] = d
	}
	d.seen++
	e := Entry{Segment: segment, Index: index, Receipt: r}
	if len(d.entries) < PerDevice {
		d.entries = append(d.entries, e)
	} else if at := rand.Uint64N(d.seen); at < PerDevice {
		d.entries[at] = e
	} else {
		return
	}
	b.changed = true
}

// Devices lists those that there are receipts of, ascending.
func (b *Book) Devices() []uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]uint64, 0, len(b.devices))
	for id, d := range b.devices {
		if len(d.entries) > 0 {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}

// Draw gives one of a device's receipts that may says may be asked for, at random; false if none may.
func (b *Book) Draw(device uint64, may func(Entry) bool) (Entry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[device]
	if d == nil {
		return Entry{}, false
	}
	for _, i := range rand.Perm(len(d.entries)) {
		if may(d.entries[i]) {
			return d.entries[i], true
		}
	}
	return Entry{}, false
}

// Remove takes a receipt out that is of no use any more.
func (b *Book) Remove(e Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[e.Receipt.Device]
	if d == nil {
		return
	}
	at := slices.IndexFunc(d.entries, func(x Entry) bool {
		return x.Receipt.ID == e.Receipt.ID && x.Receipt.Lease == e.Receipt.Lease && x.Receipt.IssuedAt == e.Receipt.IssuedAt
	})
	if at >= 0 {
		d.entries = slices.Delete(d.entries, at, at+1)
		b.changed = true
	}
}

// Released forgets receipts of pieces whose deletion is being asked for: the release answers for them.
func (b *Book) Released(device, lease uint64, ids []piece.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[device]
	if d == nil {
		return
	}
	gone := make(map[piece.ID]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}
	n := len(d.entries)
	d.entries = slices.DeleteFunc(d.entries, func(e Entry) bool { return e.Receipt.Lease == lease && gone[e.Receipt.ID] })
	b.changed = b.changed || len(d.entries) < n
}

// Save writes the book if it has changed.
func (b *Book) Save() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.changed {
		return nil
	}
	raw, err := encode(b.devices)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(b.path, raw, atomicfile.Private); err != nil {
		return fmt.Errorf("writing receipts: %w", err)
	}
	b.changed = false
	return nil
}

// The file: magic; of each device its id, the receipts seen and the number kept; of each of these its
// segment, its index, a length in two bytes and the receipt (core/piece); SHA-256 of all before. Numbers
// are big-endian.
const magic = "cairnrc1"

func encode(devices map[uint64]*drawer) ([]byte, error) {
	ids := make([]uint64, 0, len(devices))
	for id := range devices {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	b := []byte(magic)
	for _, id := range ids {
		d := devices[id]
		b = binary.BigEndian.AppendUint64(b, id)
		b = binary.BigEndian.AppendUint64(b, d.seen)
		b = binary.BigEndian.AppendUint32(b, uint32(len(d.entries)))
		for _, e := range d.entries {
			receipt, err := e.Receipt.MarshalBinary()
			if err != nil {
				return nil, err
			}
			b = append(append(b, e.Segment[:]...), e.Index)
			b = binary.BigEndian.AppendUint16(b, uint16(len(receipt)))
			b = append(b, receipt...)
		}
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

func decode(b []byte) (map[uint64]*drawer, error) {
	const deviceSize, entrySize = 8 + 8 + 4, 16 + 1 + 2
	if len(b) < len(magic)+sha256.Size || !bytes.HasPrefix(b, []byte(magic)) {
		return nil, fmt.Errorf("%w: %d bytes", ErrDamaged, len(b))
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if sha256.Sum256(body) != [sha256.Size]byte(sum) {
		return nil, fmt.Errorf("%w: checksum", ErrDamaged)
	}
	devices := make(map[uint64]*drawer)
	for body = body[len(magic):]; len(body) > 0; {
		if len(body) < deviceSize {
			return nil, fmt.Errorf("%w: cut short", ErrDamaged)
		}
		id, n := binary.BigEndian.Uint64(body), binary.BigEndian.Uint32(body[16:])
		if n > PerDevice {
			return nil, fmt.Errorf("%w: %d receipts of device %d", ErrDamaged, n, id)
		}
		d := &drawer{seen: binary.BigEndian.Uint64(body[8:])}
		body = body[deviceSize:]
		for range n {
			if len(body) < entrySize || len(body) < entrySize+int(binary.BigEndian.Uint16(body[17:])) {
				return nil, fmt.Errorf("%w: cut short", ErrDamaged)
			}
			e, size := Entry{Segment: metabase.SegmentID(body[:16]), Index: body[16]}, int(binary.BigEndian.Uint16(body[17:]))
			if err := e.Receipt.UnmarshalBinary(body[entrySize : entrySize+size]); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			d.entries = append(d.entries, e)
			body = body[entrySize+size:]
		}
		devices[id] = d
	}
	return devices, nil
}
