package possession

import (
	"bufio"
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/internal/atomicfile"
)

// leaf is a leaf of the tree, and where its piece is.
type leaf struct {
	merkle.Leaf
	lease uint64
	id    piece.ID
}

// recordSize is a leaf in a file: id, root, chunks, expiry; lease and id of the piece. Numbers are
// big-endian.
const recordSize = 32 + 32 + 8 + 8 + 8 + 32

func (l leaf) encode(b *[recordSize]byte) {
	copy(b[:], l.ID[:])
	copy(b[32:], l.Root[:])
	binary.BigEndian.PutUint64(b[64:], l.Chunks)
	binary.BigEndian.PutUint64(b[72:], uint64(l.Expiry))
	binary.BigEndian.PutUint64(b[80:], l.lease)
	copy(b[88:], l.id[:])
}

func decode(b *[recordSize]byte) (l leaf) {
	copy(l.ID[:], b[:])
	copy(l.Root[:], b[32:])
	l.Chunks = binary.BigEndian.Uint64(b[64:])
	l.Expiry = int64(binary.BigEndian.Uint64(b[72:]))
	l.lease = binary.BigEndian.Uint64(b[80:])
	copy(l.id[:], b[88:])
	return l
}

const (
	// blockHeight and blockLeaves are of the subtrees whose nodes are kept in memory, 40 bytes each, so
	// that a proof reads one of them and not the whole file.
	blockHeight = 10
	blockLeaves = 1 << blockHeight

	treeSuffix = ".tree"
	runSuffix  = ".run"
	// runLength is how many leaves are sorted in memory at a time: 8 MB.
	runLength = 1 << 16
)

// tree is a file of leaves, and what is kept of it in memory.
type tree struct {
	path   string
	root   merkle.Node
	leaves uint64
	leases map[uint64]bool // that have a leaf in it
	blocks []merkle.Node   // of each full run of blockLeaves
}

// summer computes a tree's root and the nodes of its blocks from leaves that come by in order.
type summer struct {
	whole  *merkle.Stream
	block  *merkle.Stream
	part   []merkle.Leaf // of the block that is not full
	last   piece.ID
	blocks []merkle.Node
}

func newSummer() *summer { return &summer{whole: merkle.NewStream(), block: merkle.NewStream()} }

func (s *summer) append(l merkle.Leaf) error {
	if s.whole.Len() > 0 && bytes.Compare(s.last[:], l.ID[:]) >= 0 {
		return fmt.Errorf("appending piece %s after %s: %w: ids must ascend", l.ID, s.last, merkle.ErrLeaf)
	}
	if err := s.block.Append(l); err != nil {
		return err
	}
	if s.part = append(s.part, l); len(s.part) < blockLeaves {
		return nil
	}
	node := s.block.Root()
	s.blocks, s.last, s.part, s.block = append(s.blocks, node), l.ID, s.part[:0], merkle.NewStream()
	return s.whole.Skip(node, blockHeight)
}

// finish says what tree it is.
func (s *summer) finish(t *tree) error {
	for _, l := range s.part {
		if err := s.whole.Append(l); err != nil {
			return err
		}
	}
	t.leaves, t.root, t.blocks = s.whole.Len(), s.whole.Root(), s.blocks
	return nil
}

// ErrDamaged says that a tree's file does not hold what its name says.
var ErrDamaged = errors.New("file of a tree is damaged")

// build makes the tree of the leaves that each yields, in any order, in a directory. Memory is bounded:
// runs are sorted one by one and merged.
func build(dir string, each func(yield func(leaf) error) error) (t *tree, err error) {
	var runs []string
	defer func() {
		for _, name := range runs {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	batch := make([]leaf, 0, 1024)
	flush := func() error {
		name := filepath.Join(dir, fmt.Sprintf("%d%s", len(runs), runSuffix))
		slices.SortFunc(batch, func(a, b leaf) int { return bytes.Compare(a.ID[:], b.ID[:]) })
		f, err := os.Create(name)
		if err != nil {
			return fmt.Errorf("sorting leaves: %w", err)
		}
		runs = append(runs, name)
		w := bufio.NewWriterSize(f, 1<<18)
		for _, l := range batch {
			var b [recordSize]byte
			l.encode(&b)
			_, _ = w.Write(b[:]) // Flush tells
		}
		batch = batch[:0]
		return errors.Join(w.Flush(), f.Close())
	}
	if err := each(func(l leaf) error {
		batch = append(batch, l)
		if len(batch) == runLength {
			return flush()
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return merge(dir, runs)
}

// merge writes the tree of sorted runs.
func merge(dir string, runs []string) (t *tree, err error) {
	var sources queue
	defer func() {
		for _, s := range sources {
			err = errors.Join(err, s.file.Close())
		}
	}()
	for _, name := range runs {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("merging leaves: %w", err)
		}
		s := &source{file: f, from: bufio.NewReaderSize(f, 1<<16)}
		sources = append(sources, s)
		if err := s.next(); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("merging leaves: %w", err)
		}
	}
	waiting := slices.DeleteFunc(slices.Clone(sources), func(s *source) bool { return s.done })
	heap.Init(&waiting)

	out, err := atomicfile.Create(filepath.Join(dir, "building"+treeSuffix), 0o600)
	if err != nil {
		return nil, fmt.Errorf("writing a tree: %w", err)
	}
	defer out.Abort()
	w := bufio.NewWriterSize(out, 1<<18)
	sum := newSummer()
	t = &tree{leases: map[uint64]bool{}}
	for len(waiting) > 0 {
		s := waiting[0]
		if err := sum.append(s.at.Leaf); err != nil {
			return nil, err
		}
		t.leases[s.at.lease] = true
		var b [recordSize]byte
		s.at.encode(&b)
		if _, err := w.Write(b[:]); err != nil {
			return nil, fmt.Errorf("writing a tree: %w", err)
		}
		switch err := s.next(); {
		case errors.Is(err, io.EOF):
			heap.Pop(&waiting)
		case err != nil:
			return nil, fmt.Errorf("merging leaves: %w", err)
		default:
			heap.Fix(&waiting, 0)
		}
	}
	if err := sum.finish(t); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Flush(), out.Commit()); err != nil {
		return nil, fmt.Errorf("writing a tree: %w", err)
	}
	t.path = treePath(dir, t.root)
	if err := os.Rename(filepath.Join(dir, "building"+treeSuffix), t.path); err != nil {
		return nil, fmt.Errorf("writing a tree: %w", err)
	}
	return t, atomicfile.SyncDir(dir)
}

func treePath(dir string, root merkle.Node) string {
	return filepath.Join(dir, hex.EncodeToString(root.Hash[:])+treeSuffix)
}

// source is a run that is being merged.
type source struct {
	file *os.File
	from *bufio.Reader
	at   leaf
	done bool
}

func (s *source) next() error {
	var b [recordSize]byte
	if _, err := io.ReadFull(s.from, b[:]); err != nil {
		s.done = true
		return err
	}
	s.at = decode(&b)
	return nil
}

// queue is a heap of sources by their next leaf.
type queue []*source

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return bytes.Compare(q[i].at.ID[:], q[j].at.ID[:]) < 0 }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(*source)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

// openTree reads a tree's file whole, and checks that its root is the one in its name.
func openTree(ctx context.Context, path string) (*tree, error) {
	t := &tree{path: path, leases: map[uint64]bool{}}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a tree: %w", err)
	}
	defer f.Close()
	from := bufio.NewReaderSize(f, 1<<18)
	sum := newSummer()
	for n := 0; ; n++ {
		var b [recordSize]byte
		_, err := io.ReadFull(from, b[:])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
		}
		if n%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		l := decode(&b)
		if err := sum.append(l.Leaf); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
		}
		t.leases[l.lease] = true
	}
	if err := sum.finish(t); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	if want := treePath(filepath.Dir(path), t.root); want != path {
		return nil, fmt.Errorf("%w: %s has root %x", ErrDamaged, path, t.root.Hash)
	}
	return t, nil
}

// at proves the leaf that holds a position, which begins with position first. ErrDamaged also where
// there is no such position.
func (t *tree) at(x uint64) (l leaf, proof merkle.Proof, first uint64, err error) {
	block, before := 0, uint64(0)
	for block < len(t.blocks) && x-before >= t.blocks[block].Sum {
		before += t.blocks[block].Sum
		block++
	}
	w := merkle.At(x)
	l, err = t.prove(block, w)
	return l, w.Proof, w.First, err
}

// of proves the leaf with an id; false if the tree has none.
func (t *tree) of(id piece.ID) (proof merkle.Proof, found bool, err error) {
	_, n, found, err := t.find(id)
	if err != nil || !found {
		return proof, false, err
	}
	w := merkle.Of(id)
	_, err = t.prove(int(n/blockLeaves), w)
	return w.Proof, true, err
}

// prove completes a proof of a leaf in a block, the last one being what no block holds. The rest of
// the tree comes from memory.
func (t *tree) prove(block int, w *merkle.Wanted) (picked leaf, err error) {
	f, err := os.Open(t.path)
	if err != nil {
		return picked, fmt.Errorf("reading a tree: %w", err)
	}
	defer f.Close()
	stream := merkle.NewStream(w)
	read := func(first, n uint64) error {
		buf := make([]byte, n*recordSize)
		if _, err := f.ReadAt(buf, int64(first*recordSize)); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrDamaged, t.path, err)
		}
		for ; len(buf) > 0; buf = buf[recordSize:] {
			l, before := decode((*[recordSize]byte)(buf)), w.Found
			if err := stream.Append(l.Leaf); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrDamaged, t.path, err)
			}
			if w.Found && !before {
				picked = l
			}
		}
		return nil
	}
	for i, node := range t.blocks {
		if i == block {
			err = read(uint64(i)*blockLeaves, blockLeaves)
		} else {
			err = stream.Skip(node, blockHeight)
		}
		if err != nil {
			return picked, err
		}
	}
	full := uint64(len(t.blocks)) * blockLeaves
	if err := read(full, t.leaves-full); err != nil {
		return picked, err
	}
	if stream.Root() != t.root || !w.Found {
		return picked, fmt.Errorf("%w: %s is not what it was, or has no such leaf", ErrDamaged, t.path)
	}
	return picked, nil
}

// find looks for a leaf by its id, and says its number.
func (t *tree) find(id piece.ID) (l leaf, n uint64, found bool, err error) {
	f, err := os.Open(t.path)
	if err != nil {
		return l, 0, false, fmt.Errorf("reading a tree: %w", err)
	}
	defer f.Close()
	var b [recordSize]byte
	at := sort.Search(int(t.leaves), func(i int) bool {
		if err == nil {
			_, err = f.ReadAt(b[:32], int64(i)*recordSize)
		}
		return err != nil || bytes.Compare(b[:32], id[:]) >= 0
	})
	if err == nil && at < int(t.leaves) {
		_, err = f.ReadAt(b[:], int64(at)*recordSize)
	}
	if err != nil {
		return l, 0, false, fmt.Errorf("reading a tree: %w", err)
	}
	if at == int(t.leaves) {
		return l, 0, false, nil
	}
	l = decode(&b)
	return l, uint64(at), l.ID == id, nil
}
