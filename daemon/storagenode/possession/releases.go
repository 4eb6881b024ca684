package possession

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/internal/atomicfile"
)

// Releases are what renters signed when they had pieces deleted: who holds a receipt of one may ask for
// it as long as the lease is open and the receipt has not expired, and the release is the answer. One
// file a lease, in no memory: a question is rare, and looks through its lease's file. Safe for
// concurrent use.
type Releases struct {
	dir     string
	chainID string
	device  uint64

	mu    sync.Mutex
	sizes map[uint64]int64 // of the leases' files
	clean map[uint64]int64 // size after expired releases were last removed
}

// A release in a file: piece id, until, the last second at which a receipt of it can be valid, and the
// signature. Numbers are big-endian.
const (
	releaseSize   = 32 + 8 + 8 + 64
	releasePrefix = "released-"
)

// Released is a release, and when the last receipt that it answers expires, Unix seconds.
type Released struct {
	piece.SignedRelease
	Expiry int64
}

func openReleases(dir, chainID string, device uint64) (*Releases, error) {
	r := &Releases{dir: dir, chainID: chainID, device: device, sizes: map[uint64]int64{}, clean: map[uint64]int64{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the releases: %w", err)
	}
	for _, e := range entries {
		lease, err := strconv.ParseUint(strings.TrimPrefix(e.Name(), releasePrefix), 10, 64)
		if err != nil || !strings.HasPrefix(e.Name(), releasePrefix) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("opening the releases of lease %d: %w", lease, err)
		}
		size := info.Size() - info.Size()%releaseSize
		if size != info.Size() { // a torn entry at the end was never acknowledged
			if err := os.Truncate(r.path(lease), size); err != nil {
				return nil, fmt.Errorf("opening the releases of lease %d: %w", lease, err)
			}
		}
		r.sizes[lease] = size
	}
	return r, nil
}

func (r *Releases) path(lease uint64) string {
	return filepath.Join(r.dir, releasePrefix+strconv.FormatUint(lease, 10))
}

// keep makes releases of one lease durable.
func (r *Releases) keep(lease uint64, list []Released) error {
	if len(list) == 0 {
		return nil
	}
	b := make([]byte, 0, releaseSize*len(list))
	for i := range list {
		b = appendReleased(b, &list[i])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	size, known := r.sizes[lease]
	err := func() (err error) {
		f, err := os.OpenFile(r.path(lease), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		// At the end as it was acknowledged: what a failed write left behind is overwritten.
		if _, err := f.WriteAt(b, size); err != nil {
			return err
		}
		if err := f.Sync(); err != nil || known {
			return err
		}
		return atomicfile.SyncDir(r.dir)
	}()
	if err != nil {
		return fmt.Errorf("keeping %d releases of lease %d: %w", len(list), lease, err)
	}
	r.sizes[lease] = size + int64(len(b))
	return nil
}

func appendReleased(b []byte, s *Released) []byte {
	b = append(b, s.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.Until))
	b = binary.BigEndian.AppendUint64(b, uint64(s.Expiry))
	return append(b, s.Signature[:]...)
}

// Bytes is how much the releases of a lease take on the disk. No releases take none.
func (r *Releases) Bytes(lease uint64) uint64 {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint64(r.sizes[lease])
}

// read gives what a lease's file holds. Call with mu held.
func (r *Releases) read(lease uint64) ([]byte, error) {
	b, err := os.ReadFile(r.path(lease))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the releases of lease %d: %w", lease, err)
	}
	return b[:min(int64(len(b)), r.sizes[lease])], nil
}

// find looks for a release of the piece with a leaf, that covers a receipt of that time.
func (r *Releases) find(lease uint64, leaf piece.ID, issuedAt int64) (found piece.SignedRelease, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := r.read(lease)
	if err != nil {
		return found, false, err
	}
	for ; len(b) >= releaseSize; b = b[releaseSize:] {
		found = piece.SignedRelease{Release: piece.Release{
			ChainID: r.chainID, Lease: lease, Device: r.device, ID: piece.ID(b[:32]), Until: int64(binary.BigEndian.Uint64(b[32:])),
		}}
		if found.Covers(issuedAt) && challenge.LeafID(lease, found.ID) == leaf {
			copy(found.Signature[:], b[48:])
			return found, true, nil
		}
	}
	return piece.SignedRelease{}, false, nil
}

// leases are those that have releases.
func (r *Releases) leases() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]uint64, 0, len(r.sizes))
	for lease := range r.sizes {
		list = append(list, lease)
	}
	return list
}

// drop forgets the releases of a lease about which nobody can ask any more.
func (r *Releases) drop(lease uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := os.Remove(r.path(lease)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("dropping the releases of lease %d: %w", lease, err)
	}
	delete(r.sizes, lease)
	delete(r.clean, lease)
	return nil
}

// expire forgets a lease's releases whose receipts have all expired, once the file has grown to twice
// what it was when that was last done.
func (r *Releases) expire(lease uint64, now int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	const small = 1 << 16
	size := r.sizes[lease]
	if size < small || size < 2*r.clean[lease] {
		return nil
	}
	b, err := r.read(lease)
	if err != nil {
		return err
	}
	var kept bytes.Buffer
	for ; len(b) >= releaseSize; b = b[releaseSize:] {
		if int64(binary.BigEndian.Uint64(b[40:])) > now {
			kept.Write(b[:releaseSize])
		}
	}
	if int64(kept.Len()) < size {
		if err := atomicfile.Write(r.path(lease), kept.Bytes(), 0o600); err != nil {
			return fmt.Errorf("removing expired releases of lease %d: %w", lease, err)
		}
	}
	r.sizes[lease], r.clean[lease] = int64(kept.Len()), int64(kept.Len())
	return nil
}
