package storagenode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/internal/atomicfile"
)

// ledger keeps the best voucher of each lease on disk. It is a file of records that only grows and
// is written anew, without what is superseded, when it has become large:
//
//	offset  size  field
//	0       4     length n of the voucher, little-endian, at most maxVoucher
//	4       4     CRC-32C of the voucher
//	8       n     voucher (docs/format/voucher.md)
//
// A torn record at the end is what a crash leaves; it was never acknowledged.
type ledger struct {
	path string

	mu   sync.Mutex
	file *os.File
	size int64
	best map[uint64]voucher.Signed // by lease
	err  error                     // first failed write: nothing is taken any more
}

const (
	ledgerFrame   = 8
	maxVoucher    = 1024
	ledgerRewrite = 1 << 20 // bytes beyond twice of what is needed
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func openLedger(path string) (*ledger, error) {
	l := &ledger{path: path, best: map[uint64]voucher.Signed{}}
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("opening voucher ledger %s: %w", path, err)
	}
	return l, nil
}

func (l *ledger) load() error {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	l.file = f
	b, err := io.ReadAll(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	good := int64(parseLedger(b, func(v voucher.Signed) {
		if old, ok := l.best[v.Lease]; !ok || voucher.Supersedes(old.Voucher, v.Voucher) == nil {
			l.best[v.Lease] = v
		}
	}))
	if good < int64(len(b)) {
		if err := f.Truncate(good); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	l.size = good
	if err := errors.Join(f.Sync(), atomicfile.SyncDir(filepath.Dir(l.path))); err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}

// parseLedger calls fn for each record up to the first that is not whole, and returns where that is.
func parseLedger(b []byte, fn func(voucher.Signed)) (good int) {
	for {
		rest := b[good:]
		if len(rest) < ledgerFrame {
			return good
		}
		n := int(binary.LittleEndian.Uint32(rest))
		if n == 0 || n > maxVoucher || len(rest) < ledgerFrame+n {
			return good
		}
		body := rest[ledgerFrame : ledgerFrame+n]
		var v voucher.Signed
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(rest[4:]) || v.UnmarshalBinary(body) != nil {
			return good
		}
		fn(v)
		good += ledgerFrame + n
	}
}

func appendLedger(b []byte, v voucher.Signed) ([]byte, error) {
	body, err := v.MarshalBinary()
	if err != nil {
		return nil, err
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return append(b, body...), nil
}

// get returns the best voucher of a lease.
func (l *ledger) get(lease uint64) (voucher.Signed, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.best[lease]
	return v, ok
}

// all returns the best voucher of every lease.
func (l *ledger) all() []voucher.Signed {
	l.mu.Lock()
	defer l.mu.Unlock()
	vs := make([]voucher.Signed, 0, len(l.best))
	for _, v := range l.best {
		vs = append(vs, v)
	}
	return vs
}

// put makes v durable as the best voucher of its lease. It returns what voucher.Supersedes says
// when v is not better than the one held.
func (l *ledger) put(v voucher.Signed) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if old, ok := l.best[v.Lease]; ok {
		if err := voucher.Supersedes(old.Voucher, v.Voucher); err != nil {
			return err
		}
	}
	b, err := appendLedger(nil, v)
	if err != nil {
		return err
	}
	if _, err = l.file.WriteAt(b, l.size); err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		l.err = fmt.Errorf("writing voucher ledger: %w", err)
		return l.err
	}
	l.size += int64(len(b))
	l.best[v.Lease] = v
	if l.size > 2*int64(len(l.best))*int64(len(b))+ledgerRewrite {
		return l.rewrite()
	}
	return nil
}

// drop forgets leases that nothing can be redeemed for any more.
func (l *ledger) drop(leases []uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := false
	for _, id := range leases {
		if _, ok := l.best[id]; ok {
			delete(l.best, id)
			found = true
		}
	}
	if !found {
		return nil
	}
	return l.rewrite()
}

// rewrite replaces the file by one without superseded records. Call with mu held.
func (l *ledger) rewrite() error {
	var b []byte
	for _, v := range l.best {
		var err error
		if b, err = appendLedger(b, v); err != nil {
			return err
		}
	}
	if err := atomicfile.Write(l.path, b, atomicfile.Private); err != nil {
		return fmt.Errorf("rewriting voucher ledger: %w", err)
	}
	f, err := os.OpenFile(l.path, os.O_RDWR, 0o600)
	if err != nil {
		l.err = fmt.Errorf("reopening voucher ledger: %w", err)
		return l.err
	}
	l.file.Close()
	l.file, l.size = f, int64(len(b))
	return nil
}

func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = errors.New("voucher ledger is closed")
	return l.file.Close()
}
