package piece

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// counter counts bytes.
type counter struct{ n atomic.Uint64 }

func (c *counter) add(n int) {
	if n > 0 {
		c.n.Add(uint64(n))
	}
}

// buffer is one received payload on its way to whoever reads the stream.
type buffer struct {
	b     []byte // payload
	large bool
	store []byte
}

var (
	smallBuffers = sync.Pool{New: func() any { return &buffer{store: make([]byte, 4<<10+512)} }}
	largeBuffers = sync.Pool{New: func() any { return &buffer{store: make([]byte, MaxPayload), large: true} }}
)

func newBuffer(n int) *buffer {
	pool := &largeBuffers
	if n <= 4<<10+512 {
		pool = &smallBuffers
	}
	buf := pool.Get().(*buffer)
	buf.b = buf.store[:n]
	return buf
}

func (b *buffer) free() {
	b.b = nil
	if b.large {
		largeBuffers.Put(b)
	} else {
		smallBuffers.Put(b)
	}
}

// event is what a stream receives.
type event struct {
	typ frameType
	buf *buffer
}

// stream is one request and its answer, seen from either end. The session's reader puts events in;
// the one goroutine that works on the stream takes them out.
type stream struct {
	id   uint32
	sess *session
	wake chan struct{} // capacity 1: something below changed
	slot bool          // client: counts among the open requests

	mu       sync.Mutex
	events   []event
	next     int // events[next:] are pending
	allowed  int // bytes that the peer may still send: window less what is under way or unread
	window   int // bytes that this end may still send
	unacked  int // bytes consumed and not yet returned to the peer's window
	err      error
	deadline int64 // server: Unix nanoseconds by which progress is due, 0 for none
}

func newStream(s *session, id uint32) *stream {
	return &stream{id: id, sess: s, wake: make(chan struct{}, 1), allowed: s.recvWindow, window: s.sendWindow}
}

func (st *stream) signal() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

// fail ends the stream for whoever works on it; the first error stays.
func (st *stream) fail(err error) {
	st.mu.Lock()
	if st.err == nil {
		st.err = err
	}
	st.mu.Unlock()
	st.signal()
}

// deliver is called by the session's reader. It takes buf over.
func (st *stream) deliver(typ frameType, buf *buffer) error {
	st.mu.Lock()
	if typ == frameData {
		if len(buf.b) > st.allowed {
			st.mu.Unlock()
			buf.free()
			return Errorf(ErrProtocol, "stream %d overran its window", st.id)
		}
		st.allowed -= len(buf.b)
	}
	if st.next == len(st.events) {
		st.events, st.next = st.events[:0], 0
	}
	st.events = append(st.events, event{typ, buf})
	st.mu.Unlock()
	st.signal()
	return nil
}

// grant is called by the session's reader when the peer returned n bytes of window.
func (st *stream) grant(n uint32) error {
	st.mu.Lock()
	if int64(n) > int64(st.sess.sendWindow) || st.window+int(n) > st.sess.sendWindow {
		st.mu.Unlock()
		return Errorf(ErrProtocol, "stream %d granted more than its window", st.id)
	}
	st.window += int(n)
	st.mu.Unlock()
	st.signal()
	return nil
}

// receive waits for the next event. Events that came before an error are handed out first.
func (st *stream) receive(ctx context.Context) (event, error) {
	for {
		st.mu.Lock()
		if st.next < len(st.events) {
			e := st.events[st.next]
			st.events[st.next] = event{}
			st.next++
			st.mu.Unlock()
			return e, nil
		}
		err := st.err
		st.mu.Unlock()
		if err != nil {
			return event{}, err
		}
		select {
		case <-st.wake:
		case <-ctx.Done():
			return event{}, ctx.Err()
		}
	}
}

// consumed says that n received bytes are dealt with, and returns them to the peer's window in
// steps of half a window.
func (st *stream) consumed(ctx context.Context, n int) error {
	st.mu.Lock()
	st.unacked += n
	give := 0
	if st.unacked >= st.sess.recvWindow/2 {
		give = st.unacked
		st.allowed += give
		st.unacked = 0
	}
	st.mu.Unlock()
	if give == 0 {
		return nil
	}
	return st.sess.send(ctx, frameWindow, st.id, le.AppendUint32(nil, uint32(give)))
}

// reserve waits until the peer takes more, and returns how many of n bytes it takes.
func (st *stream) reserve(ctx context.Context, n int) (int, error) {
	for {
		st.mu.Lock()
		if st.err != nil || st.next < len(st.events) {
			// An answer before the end of the upload is the end of the upload.
			err := st.err
			st.mu.Unlock()
			if err == nil {
				err = errAnswered
			}
			return 0, err
		}
		if got := min(n, st.window); got > 0 {
			st.window -= got
			st.mu.Unlock()
			return got, nil
		}
		st.mu.Unlock()
		select {
		case <-st.wake:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// errAnswered interrupts an upload: the response is already waiting in the stream.
var errAnswered = errors.New("answered before the end")

// drop frees what was never read.
func (st *stream) drop() {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, e := range st.events[st.next:] {
		e.buf.free()
	}
	st.events, st.next = nil, 0
}

// session is a connection after the handshake: framing, the write lock and the table of streams.
type session struct {
	conn *tls.Conn
	raw  *batchConn
	br   *bufio.Reader
	hdr  [headerSize]byte

	recvWindow int // bytes the peer may have under way on each stream
	sendWindow int // bytes this end may have under way on each stream

	lock    chan struct{} // holds one token: the right to write
	waiting atomic.Int32  // goroutines that are about to write
	scratch []byte        // under lock: small frames on their way to the TLS layer
	flushes sync.WaitGroup

	mu      sync.Mutex
	streams map[uint32]*stream
	err     error
	done    chan struct{}

	lastRead atomic.Int64 // Unix nanoseconds of the last frame read
}

const (
	readerSize   = 16 << 10 // plaintext buffer: one TLS record
	scratchLimit = 16 << 10 // small frames are gathered up to one TLS record
	directSize   = 4 << 10  // payloads from here on are not copied before encryption
)

func newSession(conn *tls.Conn, raw *batchConn) *session {
	s := &session{
		conn: conn, raw: raw, br: bufio.NewReaderSize(conn, readerSize),
		lock: make(chan struct{}, 1), streams: map[uint32]*stream{}, done: make(chan struct{}),
	}
	s.lock <- struct{}{}
	return s
}

// close ends the session and everything on it with err; only the first call counts.
func (s *session) close(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	streams := s.streams
	s.streams = nil
	s.mu.Unlock()
	close(s.done)
	s.raw.Conn.Close()
	for _, st := range streams {
		st.fail(err)
	}
}

// background starts work that closing waits for; false if the session is over, after which none starts.
func (s *session) background(work func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	s.flushes.Go(work)
	return true
}

func (s *session) closed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *session) open(st *stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.streams[st.id] = st
	return nil
}

func (s *session) stream(id uint32) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[id]
}

func (s *session) forget(st *stream) {
	s.mu.Lock()
	delete(s.streams, st.id)
	s.mu.Unlock()
	st.drop()
}

func (s *session) acquire(ctx context.Context) error {
	s.waiting.Add(1)
	select {
	case <-s.lock:
		s.waiting.Add(-1)
		return nil
	default:
	}
	select {
	case <-s.lock:
		s.waiting.Add(-1)
		return nil
	case <-s.done:
		s.waiting.Add(-1)
		return s.closed()
	case <-ctx.Done():
		// The holder of the lock may have seen us waiting and left the flush to us.
		if !s.background(func() {
			defer s.waiting.Add(-1)
			select {
			case <-s.lock:
				if err := s.flushLocked(); err != nil {
					s.close(err)
				}
				s.lock <- struct{}{}
			case <-s.done:
			}
		}) {
			s.waiting.Add(-1)
		}
		return ctx.Err()
	}
}

// release flushes unless someone else is about to write, who will.
func (s *session) release(err error) error {
	if err == nil && s.waiting.Load() == 0 {
		err = s.flushLocked()
	}
	s.lock <- struct{}{}
	if err != nil {
		s.close(err)
		return s.closed()
	}
	return nil
}

func (s *session) flushLocked() error {
	if len(s.scratch) > 0 {
		_, err := s.conn.Write(s.scratch)
		s.scratch = s.scratch[:0]
		if err != nil {
			return err
		}
	}
	return s.raw.Flush()
}

// send writes one frame whose payload is the concatenation of parts. An error other than the
// context's means that the session is over. Parts are not kept.
func (s *session) send(ctx context.Context, typ frameType, id uint32, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if err := s.acquire(ctx); err != nil {
		return err
	}
	return s.release(s.writeLocked(typ, id, n, parts))
}

// sendData writes parts, each as a frame of data, and keeps the right to write meanwhile.
func (s *session) sendData(ctx context.Context, id uint32, parts [][]byte) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	var err error
	for i := 0; i < len(parts) && err == nil; i++ {
		err = s.writeLocked(frameData, id, len(parts[i]), parts[i:i+1])
	}
	return s.release(err)
}

func (s *session) writeLocked(typ frameType, id uint32, n int, parts [][]byte) error {
	s.scratch = appendHeader(s.scratch, typ, id, n)
	for _, p := range parts {
		if len(p) < directSize && len(s.scratch)+len(p) <= scratchLimit {
			s.scratch = append(s.scratch, p...)
			continue
		}
		if _, err := s.conn.Write(s.scratch); err != nil {
			return err
		}
		s.scratch = s.scratch[:0]
		if _, err := s.conn.Write(p); err != nil {
			return err
		}
	}
	if len(s.scratch) < scratchLimit {
		return nil
	}
	_, err := s.conn.Write(s.scratch)
	s.scratch = s.scratch[:0]
	return err
}

// readFrame reads a header and, into a pooled buffer, its payload.
func (s *session) readFrame() (frameHeader, *buffer, error) {
	h, err := readHeader(s.br, &s.hdr)
	if err != nil {
		return h, nil, err
	}
	buf := newBuffer(h.length)
	if _, err := io.ReadFull(s.br, buf.b); err != nil {
		buf.free()
		return h, nil, err
	}
	s.lastRead.Store(time.Now().UnixNano())
	return h, buf, nil
}

func asError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}
