package store

import (
	"bufio"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

var checkpointMagic = [8]byte([]byte("CAIRNCKP"))

const (
	checkpointFormat = 1
	checkpointHeader = 40
	checkpointLog    = 16 // and 8 for each pending record
	checkpointLease  = 16
	checkpointEntry  = 32
)

// errBadCheckpoint is wrapped by errors about files that are not a whole checkpoint of this store.
var errBadCheckpoint = errors.New("not a valid checkpoint")

// logMark is how far a checkpoint knows a log.
type logMark struct {
	id      uint32
	tail    int64
	pending []int64 // offsets below tail of records that it does not know
}

// leaseMark is a lease in a checkpoint.
type leaseMark struct {
	lease     uint64
	trashedAt int64 // Unix seconds, 0 for not
}

// checkpoint is all that a checkpoint holds but its entries.
type checkpoint struct {
	number  uint32 // also of the first journal that it does not contain
	seq     uint64 // last sequence number given out
	logs    []logMark
	leases  []leaseMark // entries refer to them by position
	entries uint64
}

func checkpointName(n uint32) string { return fmt.Sprintf("checkpoint-%08x", n) }

func checkpointSum(secret [16]byte) hash.Hash32 {
	h := crc32.New(castagnoli)
	h.Write(secret[:])
	h.Write([]byte("checkpoint"))
	return h
}

// offsetWriter writes to a File front to back.
type offsetWriter struct {
	f   File
	off int64
}

func (w *offsetWriter) Write(p []byte) (int, error) {
	n, err := w.f.WriteAt(p, w.off)
	w.off += int64(n)
	return n, err
}

// writeCheckpoint writes c and then the entries that next hands out; it counts them itself. The
// caller syncs.
func writeCheckpoint(f File, secret [16]byte, c checkpoint, each func(yield func(entry) error) error) error {
	sum := checkpointSum(secret)
	out := &offsetWriter{f: f, off: checkpointHeader}
	w := bufio.NewWriterSize(io.MultiWriter(out, sum), 256<<10)
	var b []byte
	for _, l := range c.logs {
		b = le.AppendUint32(b[:0], l.id)
		b = le.AppendUint32(b, uint32(len(l.pending)))
		b = le.AppendUint64(b, uint64(l.tail))
		for _, off := range l.pending {
			b = le.AppendUint64(b, uint64(off))
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	for _, l := range c.leases {
		b = le.AppendUint64(b[:0], l.lease)
		if _, err := w.Write(le.AppendUint64(b, uint64(l.trashedAt))); err != nil {
			return err
		}
	}
	var count uint64
	var e32 [checkpointEntry]byte
	err := each(func(e entry) error {
		count++
		le.PutUint64(e32[:], e.hi)
		le.PutUint64(e32[8:], e.lo)
		le.PutUint32(e32[16:], e.log)
		le.PutUint32(e32[20:], e.off)
		le.PutUint32(e32[24:], e.size&^flagCorrupt)
		le.PutUint32(e32[28:], e.lease)
		_, err := w.Write(e32[:])
		return err
	})
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	head := append(b[:0], checkpointMagic[:]...)
	head = le.AppendUint16(head, checkpointFormat)
	head = le.AppendUint16(head, 0)
	head = le.AppendUint32(head, c.number)
	head = le.AppendUint64(head, c.seq)
	head = le.AppendUint32(head, uint32(len(c.logs)))
	head = le.AppendUint32(head, uint32(len(c.leases)))
	head = le.AppendUint64(head, count)
	sum.Write(head)
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	_, err = f.WriteAt(le.AppendUint32(nil, sum.Sum32()), out.off)
	return err
}

// readCheckpoint reads a checkpoint of size bytes. begin is called with all but the entries, then
// each for every entry, in rising order of fingerprints. An error wraps errBadCheckpoint unless
// reading itself failed; what each got before must then be thrown away.
func readCheckpoint(r io.Reader, size int64, secret [16]byte, begin func(checkpoint), each func(entry)) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", errBadCheckpoint, fmt.Sprintf(format, args...))
	}
	sum := checkpointSum(secret)
	in := bufio.NewReaderSize(r, 256<<10)
	left := size
	var scratch [checkpointHeader]byte
	take := func(n int) ([]byte, error) {
		if left -= int64(n); left < 0 {
			return nil, bad("cut short")
		}
		b := scratch[:n]
		if _, err := io.ReadFull(in, b); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, bad("cut short")
			}
			return nil, fmt.Errorf("reading checkpoint: %w", err)
		}
		return b, nil
	}
	b, err := take(checkpointHeader)
	if err != nil {
		return err
	}
	head := append([]byte(nil), b...)
	if [8]byte(head[:8]) != checkpointMagic || le.Uint16(head[8:]) != checkpointFormat {
		return bad("wrong magic or version")
	}
	c := checkpoint{number: le.Uint32(head[12:]), seq: le.Uint64(head[16:]), entries: le.Uint64(head[32:])}
	logs, leases := int64(le.Uint32(head[24:])), int64(le.Uint32(head[28:]))
	if logs*checkpointLog+leases*checkpointLease > left || c.entries > uint64(left)/checkpointEntry {
		return bad("%d logs, %d leases and %d entries in %d bytes", logs, leases, c.entries, size)
	}
	for range logs {
		if b, err = take(checkpointLog); err != nil {
			return err
		}
		sum.Write(b)
		m := logMark{id: le.Uint32(b), tail: int64(le.Uint64(b[8:]))}
		pending := int64(le.Uint32(b[4:]))
		if m.id == 0 || m.tail < logHeaderSize || pending*8 > left {
			return bad("log %d with tail %d", m.id, m.tail)
		}
		for range pending {
			if b, err = take(8); err != nil {
				return err
			}
			sum.Write(b)
			off := int64(le.Uint64(b))
			if off < logHeaderSize || off >= m.tail {
				return bad("record at %d of log %d", off, m.id)
			}
			m.pending = append(m.pending, off)
		}
		c.logs = append(c.logs, m)
	}
	for range leases {
		if b, err = take(checkpointLease); err != nil {
			return err
		}
		sum.Write(b)
		c.leases = append(c.leases, leaseMark{le.Uint64(b), int64(le.Uint64(b[8:]))})
	}
	begin(c)
	var last entry
	for i := range c.entries {
		if b, err = take(checkpointEntry); err != nil {
			return err
		}
		sum.Write(b)
		e := entry{
			hi: le.Uint64(b), lo: le.Uint64(b[8:]), log: le.Uint32(b[16:]), off: le.Uint32(b[20:]),
			size: le.Uint32(b[24:]), lease: le.Uint32(b[28:]),
		}
		switch {
		case e.log == 0 || e.bytes() > maxPiece || e.size&^(sizeMask|flagHard) != 0 || int64(e.lease) >= leases:
			return bad("entry %d", i)
		case i > 0 && !last.before(&e):
			return bad("entry %d is out of order", i)
		}
		each(e)
		last = e
	}
	sum.Write(head)
	if b, err = take(4); err != nil {
		return err
	}
	if left != 0 {
		return bad("%d bytes too many", left)
	}
	if le.Uint32(b) != sum.Sum32() {
		return bad("wrong checksum")
	}
	return nil
}
