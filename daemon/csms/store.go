package csms

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/tariff"
)

// Rows, by the first byte of their key. Numbers are big-endian, values JSON but for marks and evidence.
//
//	s <station>            Station
//	b <station>            boot: what it said of itself, its connectors
//	t <no 4>               Session
//	m <no 4> <n 4>         Mark, 17 bytes: time 8, register 8, state 1
//	e <no 4> <n 4>         a signed record, as it came
//	k <key 32>             no 4, of the session that a start made
//	x <station> 0 <tx>     no 4, of the last session that 2.0.1 gave the id tx
//	a <no 4>               empty: the session is not over (state active or ended)
//	o <order 8>            Order that no session was made for yet
//	g <tag hash 32>        Grant, as the ledger last told it
//	p <hash 32>            a tariff's JSON
//	n <name>               hash 32 of a tariff by its name here
//	q <seq 8>              outbox entry
//	w <serial> 0 <page 9>  no 4, of the session that a signed record was billed with
//	c <settled 8> <no 4>   empty: sessions settled, by when in ms, for OCPI
//	u <station> 0 <connector 2> <day 4>   availability of a day
//	r <id 4>               Reservation
//	f <group>              Group
//	! <name>               counters: next transaction id, outbox, ledger cursor
type store struct{ db *pebble.DB }

const cacheSize = 16 << 20

func openStore(dir string) (*store, error) {
	// Password hashes lie in it.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of sessions: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("closing the directory of sessions to others: %w", err)
	}
	cache := pebble.NewCache(cacheSize)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{Cache: cache, MemTableSize: 8 << 20, Logger: quiet{}})
	if err != nil {
		return nil, fmt.Errorf("opening sessions in %s: %w", dir, err)
	}
	return &store{db}, nil
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...)) // Pebble cannot go on, and nothing may be answered any more
}

func (s *store) close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing sessions: %w", err)
	}
	return nil
}

// get reads a row into v; false when there is none.
func (s *store) get(key []byte, v any) (bool, error) {
	raw, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading row %q: %w", key, err)
	}
	defer closer.Close()
	switch v := v.(type) {
	case *[]byte:
		*v = append([]byte(nil), raw...)
	default:
		if err := json.Unmarshal(raw, v); err != nil {
			return false, fmt.Errorf("reading row %q: %w", key, err)
		}
	}
	return true, nil
}

// scan calls yield for every row whose key starts with prefix, from the key from on if that is set, until yield returns
// false.
func (s *store) scan(prefix, from []byte, yield func(key, value []byte) (bool, error)) error {
	lower := prefix
	if len(from) > 0 {
		lower = from
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(prefix)})
	if err != nil {
		return fmt.Errorf("scanning rows %q: %w", prefix, err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		more := false
		if err == nil {
			more, err = yield(it.Key(), value)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("scanning rows %q: %w", prefix, err), it.Close())
		}
		if !more {
			break
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("scanning rows %q: %w", prefix, err)
	}
	return nil
}

// scanBack is scan from the last key below the key below, towards the first.
func (s *store) scanBack(prefix, below []byte, yield func(key, value []byte) (bool, error)) error {
	upper := after(prefix)
	if len(below) > 0 {
		upper = below
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("scanning rows %q: %w", prefix, err)
	}
	for ok := it.Last(); ok; ok = it.Prev() {
		value, err := it.ValueAndErr()
		more := false
		if err == nil {
			more, err = yield(it.Key(), value)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("scanning rows %q: %w", prefix, err), it.Close())
		}
		if !more {
			break
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("scanning rows %q: %w", prefix, err)
	}
	return nil
}

// after is the first key that does not start with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// change is a set of rows that become durable together.
type change struct {
	batch *pebble.Batch
	err   error // the first that happened
}

func (s *store) change() *change { return &change{batch: s.db.NewBatch()} }

func (c *change) put(key []byte, v any) {
	if c.err != nil {
		return
	}
	raw, ok := v.([]byte)
	if !ok {
		if raw, c.err = json.Marshal(v); c.err != nil {
			return
		}
	}
	c.err = c.batch.Set(key, raw, nil)
}

func (c *change) drop(key []byte) {
	if c.err == nil {
		c.err = c.batch.Delete(key, nil)
	}
}

// commit returns when the rows are on stable storage. Commits under way at the same time share a sync.
func (c *change) commit() error {
	defer c.batch.Close()
	if c.err != nil {
		return fmt.Errorf("writing rows: %w", c.err)
	}
	if c.batch.Empty() {
		return nil
	}
	if err := c.batch.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("writing rows: %w", err)
	}
	return nil
}

func key(kind byte, parts ...any) []byte {
	b := []byte{kind}
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		case byte:
			b = append(b, p)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, p)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, p)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, p)
		case SessionNo:
			b = binary.BigEndian.AppendUint32(b, uint32(p))
		case Key:
			b = append(b, p[:]...)
		case TariffRef:
			b = append(b, p[:]...)
		default:
			panic(fmt.Sprintf("no key part is a %T", p))
		}
	}
	return b
}

func noOf(b []byte) (SessionNo, error) {
	if len(b) < 4 {
		return 0, fmt.Errorf("session number of %d bytes", len(b))
	}
	return SessionNo(binary.BigEndian.Uint32(b)), nil
}

func (n SessionNo) bytes() []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func (m Mark) row() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 17), uint64(m.At))
	b = binary.BigEndian.AppendUint64(b, uint64(m.Register))
	return append(b, byte(m.State))
}

func markOf(b []byte) (Mark, error) {
	if len(b) != 17 {
		return Mark{}, fmt.Errorf("mark of %d bytes, want 17", len(b))
	}
	return Mark{
		At: int64(binary.BigEndian.Uint64(b)), Register: grid.WattHours(binary.BigEndian.Uint64(b[8:])),
		State: tariff.State(b[16]),
	}, nil
}

// session loads one with its marks and records; nil when there is none.
func (s *store) session(no SessionNo) (*Session, error) {
	x := new(Session)
	found, err := s.get(key('t', no), x)
	if err != nil || !found {
		return nil, err
	}
	err = s.scan(key('m', no), nil, func(_, value []byte) (bool, error) {
		m, err := markOf(value)
		x.marks = append(x.marks, m)
		return true, err
	})
	if err != nil {
		return nil, err
	}
	err = s.scan(key('e', no), nil, func(_, value []byte) (bool, error) {
		x.records = append(x.records, string(value))
		return true, nil
	})
	return x, err
}

// sessionByKey is the session that a start made; nil when there is none.
func (s *store) sessionByKey(k []byte) (*Session, error) {
	var raw []byte
	found, err := s.get(k, &raw)
	if err != nil || !found {
		return nil, err
	}
	no, err := noOf(raw)
	if err != nil {
		return nil, err
	}
	return s.session(no)
}

func (c *change) session(x *Session) {
	c.put(key('t', x.No), x)
	switch x.State {
	case Active, Ended:
		c.put(key('a', x.No), []byte{})
	default:
		c.drop(key('a', x.No))
	}
}

// mark writes the n-th mark.
func (c *change) mark(x *Session, n int) { c.put(key('m', x.No, uint32(n)), x.marks[n].row()) }

// evidence keeps a record.
func (c *change) evidence(x *Session, record string) {
	c.put(key('e', x.No, uint32(x.EvidenceLen)), []byte(record))
	x.EvidenceLen++
	x.records = append(x.records, record)
}
