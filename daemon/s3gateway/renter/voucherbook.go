package renter

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"sort"
	"sync"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/internal/atomicfile"
)

// Errors of the voucher book.
var (
	// ErrOverclaim means that a node asks to be paid for more bytes than there can be.
	ErrOverclaim = errors.New("node claims more bytes than it can have delivered")
	// ErrEscrowDry means that the escrow no longer covers what would be promised.
	ErrEscrowDry = errors.New("escrow is used up")
	// ErrNotInLease means that the device has no open item in the lease.
	ErrNotInLease = errors.New("device is not in the lease")
	// ErrBookDamaged means that records in the middle of the voucher book cannot be read.
	ErrBookDamaged = errors.New("voucher book is damaged")
)

// Account names one lease item: the pair that a chain of vouchers belongs to.
type Account struct {
	Lease, Device uint64
}

// Promise is the last voucher signed for an account, without its signature.
type Promise struct {
	Seq    uint64
	Units  uint64 // bytes served, cumulative
	Amount price.Amount
}

// Terms are what a voucher of an account must keep to.
type Terms struct {
	Metered price.Rate
	// Limit is the most that the account's vouchers may add up to.
	Limit price.Amount
	// Expiry of the voucher, Unix seconds.
	Expiry int64
}

// Book signs vouchers and remembers them.
//
// INV-VOUCHER-1: a voucher's sequence, units and amount are on disk before its signature leaves
// Pay, so that no crash makes the gateway sign the same sequence twice with different figures, or
// a lower figure after a higher one.
// INV-VOUCHER-2: units signed never exceed what came in: connections count the bytes of pieces that
// they receive, and ask for no more (wire/piece.Conn). Once for each opening after an unclean end a
// node may be paid a slack that the crash may have left uncounted.
//
// The file is a log of 60-byte records, little endian:
//
//	offset  size  field
//	     0     4  CRC-32C of the 56 bytes that follow
//	     4     8  lease
//	    12     8  device
//	    20     8  sequence
//	    28     8  units, cumulative
//	    36    16  amount, cumulative: low word, high word
//	    52     8  kind: 1 promise, 2 clean end (all other fields zero)
//
// Of one account the record with the highest sequence counts. Opening rewrites the log to one
// record an account. A torn last batch is dropped: its signatures never left.
type Book struct {
	chainID string
	key     ed25519.PrivateKey
	path    string
	slack   uint64         // bytes of every account, granted after an unclean end
	shared  SharedPromises // in place of the file; nil with one

	mu       sync.Mutex // guards what follows, never held over I/O
	accounts map[Account]*bookAccount
	open     *bookBatch
	records  int
	broken   error // first write error: what is on disk is unknown from then on

	flush sync.Mutex // serialises writes; taken before mu
	file  *os.File
}

type bookAccount struct {
	promise Promise
	slack   uint64

	// Where the book is shared: what this process gave, guarded by the book's mu, and whose turn it is
	// to pay, taken before mu.
	given given
	turn  sync.Mutex
}

// bookBatch collects records that share one fsync.
type bookBatch struct {
	buf  []byte
	done chan struct{}
	err  error
}

const (
	bookRecordSize  = 60
	bookPromise     = 1
	bookCleanEnd    = 2
	bookRewriteSize = 1 << 16 // records after which the log is rewritten
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// OpenBook opens or creates the book at path. slack is what a node may be owed beyond the books
// after a crash of this process: at most its credit window.
func OpenBook(path, chainID string, key ed25519.PrivateKey, slack uint64) (*Book, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading voucher book: %w", err)
	}
	isNew := errors.Is(err, os.ErrNotExist)
	promises, clean, err := parseBook(data)
	if err != nil {
		return nil, fmt.Errorf("voucher book %s: %w", path, err)
	}
	b := &Book{
		chainID:  chainID,
		key:      key,
		path:     path,
		accounts: make(map[Account]*bookAccount, len(promises)),
		open:     newBookBatch(),
	}
	if !clean && !isNew {
		b.slack = slack
	}
	for a, p := range promises {
		b.accounts[a] = &bookAccount{promise: p, slack: b.slack}
	}
	if err := b.rewrite(); err != nil {
		return nil, err
	}
	return b, nil
}

// parseBook reads the log. clean says that the process that wrote it ended in order, so that
// every node was promised what it had delivered.
func parseBook(data []byte) (promises map[Account]Promise, clean bool, err error) {
	promises = make(map[Account]Promise)
	bad := -1
	for off := 0; off < len(data); off += bookRecordSize {
		end := off + bookRecordSize
		if end > len(data) {
			clean = false
			break
		}
		rec := data[off:end]
		if binary.LittleEndian.Uint32(rec) != crc32.Checksum(rec[4:], castagnoli) {
			if bad < 0 {
				bad = off
			}
			clean = false
			continue
		}
		if bad >= 0 {
			return nil, false, fmt.Errorf("%w: record at byte %d", ErrBookDamaged, bad)
		}
		switch kind := binary.LittleEndian.Uint64(rec[52:]); kind {
		case bookCleanEnd:
			clean = true
			continue
		case bookPromise:
			clean = false
		default:
			return nil, false, fmt.Errorf("%w: record at byte %d has unknown kind %d", ErrBookDamaged, off, kind)
		}
		a := Account{Lease: binary.LittleEndian.Uint64(rec[4:]), Device: binary.LittleEndian.Uint64(rec[12:])}
		p := Promise{
			Seq:    binary.LittleEndian.Uint64(rec[20:]),
			Units:  binary.LittleEndian.Uint64(rec[28:]),
			Amount: price.Amount{Lo: binary.LittleEndian.Uint64(rec[36:]), Hi: binary.LittleEndian.Uint64(rec[44:])},
		}
		if p.Seq > promises[a].Seq {
			promises[a] = p
		}
	}
	return promises, clean, nil
}

func appendBookRecord(dst []byte, kind uint64, a Account, p Promise) []byte {
	off := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, a.Lease)
	dst = binary.LittleEndian.AppendUint64(dst, a.Device)
	dst = binary.LittleEndian.AppendUint64(dst, p.Seq)
	dst = binary.LittleEndian.AppendUint64(dst, p.Units)
	dst = binary.LittleEndian.AppendUint64(dst, p.Amount.Lo)
	dst = binary.LittleEndian.AppendUint64(dst, p.Amount.Hi)
	dst = binary.LittleEndian.AppendUint64(dst, kind)
	binary.LittleEndian.PutUint32(dst[off:], crc32.Checksum(dst[off+4:], castagnoli))
	return dst
}

func newBookBatch() *bookBatch { return &bookBatch{done: make(chan struct{})} }

// rewrite replaces the log by one record an account. The caller holds flush, or is OpenBook.
func (b *Book) rewrite() error {
	b.mu.Lock()
	order := make([]Account, 0, len(b.accounts))
	for a := range b.accounts {
		order = append(order, a)
	}
	sort.Slice(order, func(i, j int) bool {
		if order[i].Lease != order[j].Lease {
			return order[i].Lease < order[j].Lease
		}
		return order[i].Device < order[j].Device
	})
	var buf []byte
	for _, a := range order {
		if p := b.accounts[a].promise; p.Seq > 0 {
			buf = appendBookRecord(buf, bookPromise, a, p)
		}
	}
	b.records = len(buf) / bookRecordSize
	b.mu.Unlock()

	if b.file != nil {
		if err := b.file.Close(); err != nil {
			return fmt.Errorf("closing voucher book: %w", err)
		}
		b.file = nil
	}
	if err := atomicfile.Write(b.path, buf, atomicfile.Private); err != nil {
		return fmt.Errorf("rewriting voucher book: %w", err)
	}
	f, err := os.OpenFile(b.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("opening voucher book: %w", err)
	}
	b.file = f
	return nil
}

func (b *Book) account(a Account) *bookAccount {
	acc := b.accounts[a]
	if acc == nil {
		acc = &bookAccount{slack: b.slack}
		b.accounts[a] = acc
	}
	return acc
}

// Promised returns the last voucher of the account; the zero Promise when there is none.
func (b *Book) Promised(a Account) Promise {
	b.mu.Lock()
	defer b.mu.Unlock()
	if acc := b.accounts[a]; acc != nil {
		return acc.promise
	}
	return Promise{}
}

// Adopt takes over a voucher that this key signed and this book has forgotten, as after recovery
// on a new machine, where the nodes hold the only copies. It does nothing when the book knows as
// much.
func (b *Book) Adopt(v voucher.Signed) error {
	if v.ChainID != b.chainID {
		return fmt.Errorf("adopting voucher of chain %q on %q", v.ChainID, b.chainID)
	}
	if err := v.Verify(b.key.Public().(ed25519.PublicKey)); err != nil {
		return fmt.Errorf("adopting voucher of lease %d, device %d: %w", v.Lease, v.Device, err)
	}
	a := Account{Lease: v.Lease, Device: v.Device}
	p := Promise{Seq: v.Seq, Units: v.Units, Amount: v.Amount}
	return b.commit(a, func(acc *bookAccount) (Promise, error) {
		if p.Seq <= acc.promise.Seq {
			return acc.promise, nil
		}
		return p, nil
	})
}

// TakeSlack hands out, once, the bytes that a crash may have left uncounted for an account.
func (b *Book) TakeSlack(a Account) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	acc := b.account(a)
	slack := acc.slack
	acc.slack = 0
	return slack
}

// Pay promises the account's device payment for received bytes more than the voucher that the
// device holds, which covers held bytes: a voucher that was lost on the way is not paid on top. It
// fails with ErrEscrowDry, signing nothing, when that would cost more than the terms' limit.
func (b *Book) Pay(a Account, held, received uint64, t Terms) (voucher.Signed, error) {
	var signed Promise
	var more uint64
	end := b.pays(a, held, received)
	defer func() { end(more, signed) }()
	err := b.commit(a, func(acc *bookAccount) (Promise, error) {
		received := received // this function may run more than once
		base := min(acc.promise.Units, held)
		if b.shared != nil {
			base = acc.promise.Units
			received -= min(received, acc.given.open(held))
		}
		if received > math.MaxUint64-base {
			return Promise{}, fmt.Errorf("lease %d, device %d: %d bytes on top of %d: %w", a.Lease, a.Device, received, base, ErrOverclaim)
		}
		next := Promise{Seq: acc.promise.Seq + 1, Units: max(base+received, acc.promise.Units)}
		var err error
		if next.Amount, err = t.Metered.Cost(next.Units); err != nil {
			return Promise{}, fmt.Errorf("pricing %d bytes: %w", next.Units, err)
		}
		if next.Amount.Cmp(acc.promise.Amount) < 0 {
			next.Amount = acc.promise.Amount
		}
		if next.Amount.Cmp(t.Limit) > 0 {
			return Promise{}, fmt.Errorf("lease %d, device %d: %s promised of %s: %w", a.Lease, a.Device, next.Amount.Format(), t.Limit.Format(), ErrEscrowDry)
		}
		signed, more = next, next.Units-acc.promise.Units
		return next, nil
	})
	if err != nil {
		signed = Promise{}
		return voucher.Signed{}, err
	}
	return voucher.Sign(b.key, voucher.Voucher{
		ChainID: b.chainID,
		Lease:   a.Lease,
		Device:  a.Device,
		Units:   signed.Units,
		Amount:  signed.Amount,
		Seq:     signed.Seq,
		Expiry:  t.Expiry,
	}), nil
}

// commit changes an account's promise by next and returns when it is on disk. Callers that arrive
// while a write is under way share the following one.
func (b *Book) commit(a Account, next func(*bookAccount) (Promise, error)) error {
	if b.shared != nil {
		return b.commitShared(a, next)
	}
	b.mu.Lock()
	if b.broken != nil {
		b.mu.Unlock()
		return b.broken
	}
	acc := b.account(a)
	p, err := next(acc)
	if err != nil {
		b.mu.Unlock()
		return err
	}
	acc.promise = p
	batch := b.open
	leads := len(batch.buf) == 0
	batch.buf = appendBookRecord(batch.buf, bookPromise, a, p)
	b.mu.Unlock()
	if leads {
		b.write(batch)
	}
	<-batch.done
	return batch.err
}

// write puts batch on disk. Exactly one caller leads a batch.
func (b *Book) write(batch *bookBatch) {
	b.flush.Lock()
	defer b.flush.Unlock()
	b.mu.Lock()
	b.open = newBookBatch()
	b.records += len(batch.buf) / bookRecordSize
	rewrite := b.records > bookRewriteSize+2*len(b.accounts)
	err := b.broken
	b.mu.Unlock()
	if err == nil {
		if rewrite {
			err = b.rewrite() // holds everything that batch holds
		} else if _, err = b.file.Write(batch.buf); err == nil {
			err = b.file.Sync()
		}
		if err != nil {
			err = fmt.Errorf("writing voucher book: %w", err)
			b.mu.Lock()
			b.broken = err
			b.mu.Unlock()
		}
	}
	batch.err = err
	close(batch.done)
}

// Close marks the book as cleanly ended and closes it. Nothing may be signed afterwards.
func (b *Book) Close() error {
	if b.shared != nil {
		return nil
	}
	b.flush.Lock()
	defer b.flush.Unlock()
	b.mu.Lock()
	broken := b.broken
	b.broken = fmt.Errorf("voucher book: %w", os.ErrClosed)
	b.mu.Unlock()
	if b.file == nil {
		return nil
	}
	var err error
	if broken == nil {
		if _, err = b.file.Write(appendBookRecord(nil, bookCleanEnd, Account{}, Promise{})); err == nil {
			err = b.file.Sync()
		}
	}
	err = errors.Join(err, b.file.Close())
	b.file = nil
	if err != nil {
		return fmt.Errorf("closing voucher book: %w", err)
	}
	return nil
}
