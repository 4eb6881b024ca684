package store

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

const page = 4096

// memFS is a file system in memory that forgets, when it crashes, what was not synced: some of the
// unsynced pages, some of the unsynced directory changes from the last on, and sizes. Faults can be
// injected before any operation.
type memFS struct {
	mu      sync.Mutex
	files   map[string]*memFile // as programs see them
	durable map[string]*memFile // as the disk has them
	changes []func(map[string]*memFile)
	free    uint64
	locked  bool
	dead    bool // crashed: whoever still holds it gets errors
	fault   func(op, name string) error
}

func newMemFS() *memFS {
	return &memFS{files: map[string]*memFile{}, durable: map[string]*memFile{}, free: 1 << 40}
}

// memFile has pages that are on the disk and pages that are not.
type memFile struct {
	fs      *memFS
	name    string
	data    []byte
	synced  []byte
	dirty   map[int]bool
	resized bool
}

var errCrashed = errors.New("machine has crashed")

func (m *memFS) begin(op, name string) error {
	if m.dead {
		return errCrashed
	}
	if m.fault != nil {
		return m.fault(op, name)
	}
	return nil
}

// change alters the directory now, and on the disk at the next SyncDir.
func (m *memFS) change(fn func(map[string]*memFile)) {
	fn(m.files)
	m.changes = append(m.changes, fn)
}

func (m *memFS) Open(name string, create bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("open", name); err != nil {
		return nil, err
	}
	f := m.files[name]
	switch {
	case create && f != nil:
		return nil, fs.ErrExist
	case !create && f == nil:
		return nil, fs.ErrNotExist
	case create:
		f = &memFile{fs: m, name: name, dirty: map[int]bool{}}
		m.change(func(d map[string]*memFile) { d[name] = f })
	}
	return f, nil
}

func (m *memFS) ReadDir(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.files {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (m *memFS) Mkdir(string) error { return nil }

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("rename", from); err != nil {
		return err
	}
	f := m.files[from]
	if f == nil {
		return fs.ErrNotExist
	}
	m.change(func(d map[string]*memFile) {
		delete(d, from)
		d[to] = f
	})
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("remove", name); err != nil {
		return err
	}
	if m.files[name] == nil {
		return fs.ErrNotExist
	}
	m.change(func(d map[string]*memFile) { delete(d, name) })
	return nil
}

func (m *memFS) SyncDir(string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("syncdir", ""); err != nil {
		return err
	}
	for _, fn := range m.changes {
		fn(m.durable)
	}
	m.changes = nil
	return nil
}

func (m *memFS) Space() (free, total uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.free, 1 << 41, nil
}

func (m *memFS) Lock(string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked {
		return nil, ErrLocked
	}
	m.locked = true
	return closer(func() error { m.locked = false; return nil }), nil
}

type closer func() error

func (c closer) Close() error { return c() }

// crash returns the disk as the next start finds it.
func (m *memFS) crash(r *rand.Rand) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	after := newMemFS()
	after.free = m.free
	for _, fn := range m.changes[:r.IntN(len(m.changes)+1)] {
		fn(m.durable)
	}
	for _, name := range slices.Sorted(maps.Keys(m.durable)) {
		f := m.durable[name]
		size := len(f.synced)
		if f.resized {
			size = []int{len(f.synced), len(f.data), min(len(f.synced), len(f.data)) + r.IntN(max(len(f.synced), len(f.data))-min(len(f.synced), len(f.data))+1)}[r.IntN(3)]
		}
		n := &memFile{fs: after, name: name, dirty: map[int]bool{}, data: make([]byte, size)}
		copy(n.data, f.synced)
		for _, p := range slices.Sorted(maps.Keys(f.dirty)) {
			if lo := p * page; lo < size && lo < len(f.data) && r.IntN(2) == 0 {
				copy(n.data[lo:min(lo+page, size)], f.data[lo:min(lo+page, len(f.data))])
			}
		}
		n.synced = slices.Clone(n.data)
		after.files[name], after.durable[name] = n, n
	}
	return after
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.begin("read", f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.fs.begin("write", f.name)
	if err != nil {
		if !errors.Is(err, syscall.ENOSPC) {
			return 0, err
		}
		p = p[:len(p)/2] // a full disk takes a part
	}
	end := int(off) + len(p)
	if end > len(f.data) {
		f.data = append(f.data, make([]byte, end-len(f.data))...)
		f.resized = true
	}
	copy(f.data[off:], p)
	for q := int(off) / page; q <= (end-1)/page && len(p) > 0; q++ {
		f.dirty[q] = true
	}
	return len(p), err
}

func (f *memFile) WriteDirect(p []byte, off int64) error {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	if at%alignment != 0 || len(p)%alignment != 0 || off%alignment != 0 {
		return syscall.EINVAL
	}
	_, err := f.WriteAt(p, off)
	return err
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.begin("sync", f.name); err != nil {
		// What Linux does: the pages count as clean, whether they reached the disk or not.
		f.dirty = map[int]bool{}
		return err
	}
	f.synced = slices.Clone(f.data)
	f.dirty, f.resized = map[int]bool{}, false
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.begin("truncate", f.name); err != nil {
		return err
	}
	if int(size) <= len(f.data) {
		f.data = f.data[:size]
		// Bytes that are cut and written again come back as zeros, not as they were.
		f.data = append(make([]byte, 0, len(f.data)), f.data...)
	} else {
		f.data = append(f.data, make([]byte, int(size)-len(f.data))...)
	}
	f.resized = true
	for q := int(size) / page; q*page < len(f.synced); q++ {
		f.dirty[q] = true
	}
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.data)), nil
}

func (f *memFile) Preallocate(int64) error { return nil }
func (f *memFile) Close() error            { return nil }

// logsOf names the logs of a file system.
func (m *memFS) logsOf() (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.files {
		if strings.HasPrefix(name, logDir+"/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
