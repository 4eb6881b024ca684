package possession

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/internal/atomicfile"
)

// Key names a piece of a node.
type Key struct {
	Lease uint64
	ID    piece.ID
}

// Graves are pieces that their renter deleted and that a committed tree still holds: hidden, kept, and
// gone when no such tree is left. The list survives a crash. Safe for concurrent use.
type Graves struct {
	path string

	mu     sync.RWMutex
	hidden map[Key]uint32    // size
	bytes  map[uint64]uint64 // by lease
	file   *os.File          // open for appending
}

// graveSize is an entry of the file: one byte (1 hidden, 0 shown again), lease, id, size.
const graveSize = 1 + 8 + 32 + 4

func openGraves(path string) (*Graves, error) {
	g := &Graves{path: path, hidden: map[Key]uint32{}, bytes: map[uint64]uint64{}}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the list of deleted pieces: %w", err)
	}
	for ; len(b) >= graveSize; b = b[graveSize:] { // a torn entry at the end was never acknowledged
		k := Key{Lease: binary.BigEndian.Uint64(b[1:]), ID: piece.ID(b[9:41])}
		g.set(k, b[0] == 1, binary.BigEndian.Uint32(b[41:]))
	}
	return g, g.rewrite()
}

func (g *Graves) set(k Key, hidden bool, size uint32) {
	if was, there := g.hidden[k]; there {
		g.bytes[k.Lease] -= uint64(was)
		delete(g.hidden, k)
	}
	if hidden {
		g.hidden[k] = size
		g.bytes[k.Lease] += uint64(size)
	}
	if g.bytes[k.Lease] == 0 {
		delete(g.bytes, k.Lease)
	}
}

func entry(k Key, hidden bool, size uint32) []byte {
	b := make([]byte, graveSize)
	if hidden {
		b[0] = 1
	}
	binary.BigEndian.PutUint64(b[1:], k.Lease)
	copy(b[9:], k.ID[:])
	binary.BigEndian.PutUint32(b[41:], size)
	return b
}

// rewrite replaces the file by what holds now. Call with mu held, or alone.
func (g *Graves) rewrite() error {
	if g.file != nil {
		if err := g.file.Close(); err != nil {
			return fmt.Errorf("closing the list of deleted pieces: %w", err)
		}
		g.file = nil
	}
	var b bytes.Buffer
	for k, size := range g.hidden {
		b.Write(entry(k, true, size))
	}
	if err := atomicfile.Write(g.path, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing the list of deleted pieces: %w", err)
	}
	f, err := os.OpenFile(g.path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the list of deleted pieces: %w", err)
	}
	g.file = f
	return nil
}

// append makes entries durable. Call with mu held.
func (g *Graves) append(b []byte) error {
	if g.file == nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(g.path), fs.ErrClosed)
	}
	if _, err := g.file.Write(b); err != nil {
		return fmt.Errorf("writing the list of deleted pieces: %w", err)
	}
	if err := g.file.Sync(); err != nil {
		return fmt.Errorf("syncing the list of deleted pieces: %w", err)
	}
	return nil
}

// hide hides pieces, durably.
func (g *Graves) hide(pieces map[Key]uint32) error {
	if len(pieces) == 0 {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var b []byte
	for k, size := range pieces {
		b = append(b, entry(k, true, size)...)
	}
	if err := g.append(b); err != nil {
		return err
	}
	for k, size := range pieces {
		g.set(k, true, size)
	}
	return nil
}

// Show makes a hidden piece visible again, because its renter sends it anew.
func (g *Graves) Show(k Key) error {
	if g == nil || !g.Hidden(k) {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.append(entry(k, false, 0)); err != nil {
		return err
	}
	g.set(k, false, 0)
	return nil
}

// Hidden tells whether a piece is deleted for its renter. No graves hide nothing.
func (g *Graves) Hidden(k Key) bool {
	if g == nil {
		return false
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	_, hidden := g.hidden[k]
	return hidden
}

// Bytes is how much of a lease is hidden: on the disk, and not its renter's any more.
func (g *Graves) Bytes(lease uint64) uint64 {
	if g == nil {
		return 0
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.bytes[lease]
}

// sweep gives up the hidden pieces that no tree holds: remove is called with those of one lease, and
// they are forgotten when it returns nil.
func (g *Graves) sweep(trees []*tree, remove func(lease uint64, ids []piece.ID) error) error {
	g.mu.RLock()
	gone := make(map[uint64][]piece.ID)
	var err error
	for k := range g.hidden {
		held, findErr := holds(trees, k)
		if findErr != nil {
			err = errors.Join(err, findErr)
			break
		}
		if !held {
			gone[k.Lease] = append(gone[k.Lease], k.ID)
		}
	}
	g.mu.RUnlock()
	if err != nil || len(gone) == 0 {
		return err
	}
	for lease, ids := range gone {
		if err := remove(lease, ids); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for lease, ids := range gone {
		for _, id := range ids {
			g.set(Key{lease, id}, false, 0)
		}
	}
	return g.rewrite()
}

// holds tells whether a tree has a piece.
func holds(trees []*tree, k Key) (bool, error) {
	id := challenge.LeafID(k.Lease, k.ID)
	for _, t := range trees {
		if !t.leases[k.Lease] {
			continue
		}
		if _, _, found, err := t.find(id); err != nil || found {
			return found, err
		}
	}
	return false, nil
}

func (g *Graves) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file == nil {
		return nil
	}
	err := g.file.Close()
	g.file = nil
	return err
}
