// Package seal encrypts what leaves the renter's machine, and derives every key that does it.
//
//	Root ── Bucket ── Prefix ── Prefix … ── Object ── wraps ──> DataKey (random, one a version)
//	                                                              └── SegmentKey ── records
//
// Each step is one-way: any key can be given away and opens what is below it, nothing beside or
// above. That is all there is to sharing; no server has to agree.
//
// A sealed segment is cut into records of RecordSize bytes, the same as an erasure share, so that a
// reader of a few bytes needs one share of one piece. docs/format/seal.md has the byte table.
//
// INV-SEAL-1: a segment key seals one plaintext (see SegmentKey).
//
// INV-SEAL-2: no bit of a sealed segment can change, no record can move, and no end can be cut off
// without an error; a range is checked without the rest.
//
// INV-SEAL-3: the header commits to the key: nobody can make a segment that opens under two.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"golang.org/x/crypto/chacha20poly1305"
)

// Suite is the cipher that seals records.
type Suite uint8

const (
	// AES256GCM is the default: several GB/s on every processor with AES instructions.
	AES256GCM Suite = 1
	// XChaCha20Poly1305 is for processors without them.
	XChaCha20Poly1305 Suite = 2
)

func (s Suite) check() error {
	if s != AES256GCM && s != XChaCha20Poly1305 {
		return fmt.Errorf("cipher suite %d is not known: %w", s, ErrCorrupt)
	}
	return nil
}

const (
	// RecordSize is the size in bytes of every record but the last.
	RecordSize = 16 << 10
	// HeaderSize is the size in bytes of the header, which is the front of record 0.
	HeaderSize = 64
	// TagSize is the size in bytes of the tag that ends each record.
	TagSize = 16
	// recordRoom is what a record holds: plaintext, and in record 0 the header before it.
	recordRoom = RecordSize - TagSize
	// maxPlaintext keeps every computation of a size within an int of 32 bits.
	maxPlaintext = math.MaxInt32 - 1<<24
)

var (
	// ErrCorrupt is wrapped by errors about sealed bytes that this key did not make.
	ErrCorrupt = errors.New("sealed data does not open")
	// ErrRange is wrapped by errors about ranges and sizes outside the segment.
	ErrRange = errors.New("outside the sealed segment")
)

// SealedSize returns the size in bytes of n sealed bytes of plaintext.
func SealedSize(n int) int { return HeaderSize + n + TagSize*Records(n) }

// Records returns how many records n bytes of plaintext have, at least one.
func Records(n int) int { return (n+HeaderSize-1)/recordRoom + 1 }

// PlaintextSize is the inverse of SealedSize; ErrRange if no plaintext has that sealed size.
func PlaintextSize(sealed int) (int, error) {
	records := (sealed + RecordSize - 1) / RecordSize
	n := sealed - HeaderSize - TagSize*records
	if n < 0 || n > maxPlaintext || SealedSize(n) != sealed {
		return 0, fmt.Errorf("no plaintext seals into %d bytes: %w", sealed, ErrRange)
	}
	return n, nil
}

// MaxPlaintext returns how much plaintext fits into a sealed segment of at most sealed bytes; 0 if
// nothing does.
func MaxPlaintext(sealed int) int {
	whole, rest := sealed/RecordSize, sealed%RecordSize
	return min(max(0, whole*recordRoom+max(0, rest-TagSize)-HeaderSize), maxPlaintext)
}

// RecordsFor returns the records that hold bytes off..off+n-1 of the plaintext, first to last
// inclusive, and where they lie in a sealed segment of sealed bytes. ErrRange if the range is empty
// or leaves the segment.
func RecordsFor(sealed, off, n int) (first, last, sealedOff, sealedLen int, err error) {
	size, err := PlaintextSize(sealed)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	if off < 0 || n < 1 || off > size-n {
		return 0, 0, 0, 0, fmt.Errorf("range of %d bytes at %d of %d: %w", n, off, size, ErrRange)
	}
	first, last = (off+HeaderSize)/recordRoom, (off+n-1+HeaderSize)/recordRoom
	sealedOff = first * RecordSize
	return first, last, sealedOff, min((last+1)*RecordSize, sealed) - sealedOff, nil
}

// magic and version stand at the front of every header.
var magic = [5]byte{'c', 'r', 's', 'l', 1}

// Header returns the 64 bytes at the front of the sealed segment.
func (k SegmentKey) Header() (h [HeaderSize]byte) {
	copy(h[:], magic[:])
	h[5] = byte(k.suite)
	commitment := k.commitment(h[:32])
	copy(h[32:], commitment[:])
	return h
}

// commitment binds the key, the front of the header, and the segment's place: HMAC-SHA256 is
// collision resistant in its key.
func (k SegmentKey) commitment(front []byte) (c [32]byte) {
	key := derive(k.key, labelCommit, nil)
	mac := hmac.New(sha256.New, key[:])
	mac.Write(front)
	mac.Write(k.object[:])
	mac.Write(binary.BigEndian.AppendUint32(nil, k.segment))
	mac.Sum(c[:0])
	return c
}

// CheckHeader checks that a segment with this front was sealed with this key; ErrCorrupt. Open does
// it, OpenRange does not: a reader of ranges that got its key from somebody else checks once.
func (k SegmentKey) CheckHeader(front []byte) error {
	return checkHeader(k.Header(), k.segment, front)
}

func checkHeader(want [HeaderSize]byte, segment uint32, front []byte) error {
	if len(front) < HeaderSize || subtle.ConstantTimeCompare(front[:HeaderSize], want[:]) != 1 {
		return fmt.Errorf("header of segment %d does not commit to this key: %w", segment, ErrCorrupt)
	}
	return nil
}

// Sealer seals and opens the records of one segment. Not safe for concurrent use: each goroutine
// makes its own.
type Sealer struct {
	key    SegmentKey
	aead   cipher.AEAD
	header [HeaderSize]byte
	// Kept here because what is passed through an interface escapes.
	nonce      [chacha20poly1305.NonceSizeX]byte
	additional [24]byte
}

// Sealer prepares the cipher for one segment: some microseconds, which callers of many records pay
// once.
func (k SegmentKey) Sealer() (*Sealer, error) {
	s := &Sealer{key: k, header: k.Header()}
	records := derive(k.key, labelRecords, nil)
	var err error
	switch k.suite {
	case AES256GCM:
		var block cipher.Block
		if block, err = aes.NewCipher(records[:]); err == nil {
			s.aead, err = cipher.NewGCM(block)
		}
	case XChaCha20Poly1305:
		s.aead, err = chacha20poly1305.NewX(records[:])
	default:
		err = k.suite.check()
	}
	if err != nil {
		return nil, fmt.Errorf("preparing the cipher of segment %d: %w", k.segment, err)
	}
	return s, nil
}

// Place says whether a record is the segment's last, so that no end can be cut off.
type Place uint8

const (
	// Inner records have another after them.
	Inner Place = 0
	// Final is the last record.
	Final Place = 1
)

// place sets nonce and additional data of a record. The nonce is zeros, the record's number (4 bytes)
// and its place, unique under a key by INV-SEAL-1; the additional data object id, segment number and
// record number.
func (s *Sealer) place(record uint32, place Place) (nonce, additional []byte) {
	nonce = s.nonce[:s.aead.NonceSize()]
	binary.BigEndian.PutUint32(nonce[len(nonce)-5:], record)
	nonce[len(nonce)-1] = byte(place)
	copy(s.additional[:], s.key.object[:])
	binary.BigEndian.PutUint32(s.additional[16:], s.key.segment)
	binary.BigEndian.PutUint32(s.additional[20:], record)
	return nonce, s.additional[:]
}

// Room returns how much plaintext a record holds: RecordSize-TagSize, in record 0 HeaderSize less.
func Room(record int) int {
	if record == 0 {
		return recordRoom - HeaderSize
	}
	return recordRoom
}

// SealRecord appends a sealed record to dst: for record 0 the header, then ciphertext and tag. All
// but the final record hold exactly Room(record) bytes. For callers that stream; Seal does the same
// for a whole segment. It does not allocate if dst has room, and dst must not overlap plaintext.
func (s *Sealer) SealRecord(dst []byte, record int, place Place, plaintext []byte) ([]byte, error) {
	if record < 0 || record > math.MaxInt32 || len(plaintext) > Room(record) || place == Inner && len(plaintext) < Room(record) {
		return dst, fmt.Errorf("sealing %d bytes as record %d: %w", len(plaintext), record, ErrRange)
	}
	if record == 0 {
		dst = append(dst, s.header[:]...)
	}
	nonce, additional := s.place(uint32(record), place)
	return s.aead.Seal(dst, nonce, plaintext, additional), nil
}

// OpenRecord appends the plaintext of a whole sealed record to dst; ErrCorrupt. The header in front
// of record 0 is skipped, not checked. dst must not overlap sealed.
func (s *Sealer) OpenRecord(dst []byte, record int, place Place, sealed []byte) ([]byte, error) {
	if record < 0 || record > math.MaxInt32 || len(sealed) > RecordSize || place == Inner && len(sealed) < RecordSize {
		return dst, fmt.Errorf("opening %d bytes as record %d: %w", len(sealed), record, ErrRange)
	}
	if record == 0 {
		if len(sealed) < HeaderSize {
			return dst, fmt.Errorf("record 0 has %d bytes: %w", len(sealed), ErrCorrupt)
		}
		sealed = sealed[HeaderSize:]
	}
	nonce, additional := s.place(uint32(record), place)
	out, err := s.aead.Open(dst, nonce, sealed, additional)
	if err != nil {
		return dst, fmt.Errorf("record %d of segment %d: %w", record, s.key.segment, ErrCorrupt)
	}
	return out, nil
}

// Seal appends the sealed segment, SealedSize(len(plaintext)) bytes, to dst. dst must not overlap
// plaintext. ErrRange if plaintext is above 2 GB.
func (k SegmentKey) Seal(dst, plaintext []byte) ([]byte, error) {
	if len(plaintext) > maxPlaintext {
		return dst, fmt.Errorf("sealing %d bytes: %w", len(plaintext), ErrRange)
	}
	s, err := k.Sealer()
	if err != nil {
		return dst, err
	}
	last := Records(len(plaintext)) - 1
	for record := 0; record < last; record++ {
		room := Room(record)
		if dst, err = s.SealRecord(dst, record, Inner, plaintext[:room]); err != nil {
			return dst, err
		}
		plaintext = plaintext[room:]
	}
	return s.SealRecord(dst, last, Final, plaintext)
}

// Open appends the plaintext of a whole sealed segment to dst, header checked; ErrCorrupt, and dst
// as it was. dst must not overlap sealed.
func (k SegmentKey) Open(dst, sealed []byte) ([]byte, error) {
	s, err := k.Sealer()
	if err != nil {
		return dst, err
	}
	if err := checkHeader(s.header, k.segment, sealed); err != nil {
		return dst, err
	}
	if _, err := PlaintextSize(len(sealed)); err != nil {
		return dst, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return s.openRecords(dst, sealed, 0, len(sealed))
}

// OpenRecords appends the plaintext of consecutive whole records to dst: sealed is what lies in the
// segment of size sealed bytes from record first on. The header is not checked. ErrCorrupt, and dst
// as it was.
func (k SegmentKey) OpenRecords(dst, sealed []byte, first, size int) ([]byte, error) {
	if _, err := PlaintextSize(size); err != nil {
		return dst, err
	}
	if first < 0 || first > size/RecordSize || len(sealed) == 0 || len(sealed) > size-first*RecordSize ||
		len(sealed)%RecordSize != 0 && len(sealed) != size-first*RecordSize {
		return dst, fmt.Errorf("opening %d bytes from record %d of a segment of %d: %w", len(sealed), first, size, ErrRange)
	}
	s, err := k.Sealer()
	if err != nil {
		return dst, err
	}
	return s.openRecords(dst, sealed, first, size)
}

// openRecords opens records from number record on, of a segment of size sealed bytes.
func (s *Sealer) openRecords(dst, sealed []byte, record, size int) (_ []byte, err error) {
	start, last := len(dst), (size-1)/RecordSize
	for ; len(sealed) > 0; record++ {
		n, place := min(RecordSize, len(sealed)), Inner
		if record == last {
			place = Final
		}
		if dst, err = s.OpenRecord(dst, record, place, sealed[:n]); err != nil {
			clear(dst[start:])
			return dst[:start], err
		}
		sealed = sealed[n:]
	}
	return dst, nil
}

// OpenRange appends bytes off..off+n-1 of the plaintext to dst: sealed is what RecordsFor(size, off,
// n) names of the segment of size sealed bytes. The header is not checked. ErrCorrupt or ErrRange.
func (k SegmentKey) OpenRange(dst, sealed []byte, size, off, n int) ([]byte, error) {
	first, _, _, length, err := RecordsFor(size, off, n)
	if err != nil {
		return dst, err
	}
	if len(sealed) != length {
		return dst, fmt.Errorf("opening a range from %d bytes, want %d: %w", len(sealed), length, ErrRange)
	}
	start := len(dst)
	if dst, err = k.OpenRecords(dst, sealed, first, size); err != nil {
		return dst, err
	}
	// Record 0 begins with plaintext byte 0, record r > 0 with byte r*recordRoom-HeaderSize.
	skip := off - max(0, first*recordRoom-HeaderSize)
	copy(dst[start:], dst[start+skip:start+skip+n])
	return dst[:start+n], nil
}
