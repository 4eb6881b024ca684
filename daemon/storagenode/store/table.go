package store

import (
	"math/bits"
	"sync"
)

// entry is where a piece lies: 32 bytes. log 0 marks an empty slot.
type entry struct {
	hi, lo uint64 // fingerprint of the key
	log    uint32
	off    uint32 // offset of the record in its log
	size   uint32 // bytes of the piece, and flags above them
	lease  uint32 // number of the lease in this run's table of leases
}

const (
	sizeMask = 1<<24 - 1
	// flagHard marks a piece with an expiry of its own, which is in the record's header.
	flagHard = 1 << 24
	// flagCorrupt marks a piece that failed a check; kept in memory only.
	flagCorrupt = 1 << 25
)

func (e *entry) bytes() uint32           { return e.size & sizeMask }
func (e *entry) before(o *entry) bool    { return e.hi < o.hi || e.hi == o.hi && e.lo < o.lo }
func (e *entry) is(hi, lo uint64) bool   { return e.hi == hi && e.lo == lo }
func (e *entry) at(log, off uint32) bool { return e.log == log && e.off == off }

const (
	shardBits = 6
	shards    = 1 << shardBits
	// A shard is rehashed when it is fuller than loadNum/loadDen.
	loadNum, loadDen = 9, 10
	slack            = 64 // slots behind the last home slot, so that nothing wraps around
)

// table is a hash table with open addressing. Entries lie in the order of their fingerprints: the
// home slot is proportional to the fingerprint, and insertion moves larger ones up. So it can be
// walked in an order that does not depend on its size (List), and a checkpoint is a sorted list.
type table struct {
	shards [shards]shard
}

type shard struct {
	mu    sync.RWMutex
	slots []entry // homes and slack
	homes uint64
	used  int
}

func shardOf(hi uint64) int { return int(hi >> (64 - shardBits)) }

// home is the slot at which the search for a fingerprint begins.
func (s *shard) home(hi uint64) int {
	slot, _ := bits.Mul64(hi<<shardBits, s.homes)
	return int(slot)
}

// find returns the slot of a fingerprint, or where it would go.
func (s *shard) find(hi, lo uint64) (int, bool) {
	want := entry{hi: hi, lo: lo}
	i := s.home(hi)
	for i < len(s.slots) && s.slots[i].log != 0 && s.slots[i].before(&want) {
		i++
	}
	return i, i < len(s.slots) && s.slots[i].log != 0 && s.slots[i].is(hi, lo)
}

func (t *table) get(hi, lo uint64) (entry, bool) {
	s := &t.shards[shardOf(hi)]
	s.mu.RLock()
	defer s.mu.RUnlock()
	if i, ok := s.find(hi, lo); ok {
		return s.slots[i], true
	}
	return entry{}, false
}

// put adds e or replaces the entry of the same fingerprint, which it returns.
func (t *table) put(e entry) (old entry, replaced bool) {
	s := &t.shards[shardOf(e.hi)]
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.find(e.hi, e.lo)
	if ok {
		old, s.slots[i] = s.slots[i], e
		return old, true
	}
	if uint64(s.used+1)*loadDen > s.homes*loadNum {
		s.grow(max(s.homes+s.homes/4, 64))
	}
	for !s.insert(e) {
		s.grow(s.homes + s.homes/8 + 8) // a run reached the end of the slack
	}
	return entry{}, false
}

func (s *shard) insert(e entry) bool {
	i, _ := s.find(e.hi, e.lo)
	end := i
	for end < len(s.slots) && s.slots[end].log != 0 {
		end++
	}
	if end >= len(s.slots) {
		return false
	}
	copy(s.slots[i+1:end+1], s.slots[i:end])
	s.slots[i] = e
	s.used++
	return true
}

// grow rebuilds the shard with more home slots; entries are already in order.
func (s *shard) grow(homes uint64) {
	old := s.slots
	for {
		s.homes, s.slots = homes, make([]entry, homes+slack)
		next, fits := 0, true
		for i := range old {
			if old[i].log == 0 {
				continue
			}
			if next = max(next, s.home(old[i].hi)); next >= len(s.slots) {
				fits = false
				break
			}
			s.slots[next] = old[i]
			next++
		}
		if fits {
			return
		}
		homes += homes/8 + 8
	}
}

// edit calls fn with the entry of a fingerprint, if there is one, under the shard's lock; when fn
// returns false the entry is removed.
func (t *table) edit(hi, lo uint64, fn func(*entry) (keep bool)) {
	s := &t.shards[shardOf(hi)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.find(hi, lo); ok && !fn(&s.slots[i]) {
		s.remove(i)
	}
}

// remove closes the gap: entries behind it move down until one is at home or a slot is empty.
func (s *shard) remove(i int) {
	end := i + 1
	for end < len(s.slots) && s.slots[end].log != 0 && s.home(s.slots[end].hi) < end {
		end++
	}
	copy(s.slots[i:end-1], s.slots[i+1:end])
	s.slots[end-1] = entry{}
	s.used--
}

// removeIf removes every entry for which fn says so. fn runs under the shard's lock.
func (t *table) removeIf(fn func(*entry) bool) {
	for k := range t.shards {
		s := &t.shards[k]
		s.mu.Lock()
		removed := false
		for i := range s.slots {
			if s.slots[i].log != 0 && fn(&s.slots[i]) {
				s.slots[i] = entry{}
				s.used--
				removed = true
			}
		}
		if removed {
			s.grow(max(uint64(s.used)*loadDen/loadNum+8, 64))
		}
		s.mu.Unlock()
	}
}

// walk calls fn for every entry after a fingerprint in the table's order, until fn returns false.
// fn runs under the shard's lock and gets a copy.
func (t *table) walk(hi, lo uint64, fn func(entry) bool) {
	after := entry{hi: hi, lo: lo}
	first := shardOf(hi)
	for k := first; k < shards; k++ {
		if !t.shards[k].walk(k == first, &after, fn) {
			return
		}
	}
}

func (s *shard) walk(seek bool, after *entry, fn func(entry) bool) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i := 0
	if seek {
		i = s.home(after.hi)
	}
	for ; i < len(s.slots); i++ {
		if s.slots[i].log != 0 && after.before(&s.slots[i]) && !fn(s.slots[i]) {
			return false
		}
	}
	return true
}
