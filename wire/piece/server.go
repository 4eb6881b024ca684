package piece

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/internal/tlsid"
)

// Handler decides who is served.
type Handler interface {
	// Admit judges a client that proved to hold peer and says whom it speaks for. The Service
	// that it returns serves the requests of this connection and no other; Close ends it. An
	// error refuses the client, with its code.
	Admit(ctx context.Context, hello Hello, peer ed25519.PublicKey, client Client) (Service, Terms, error)
}

// Client is the provider's way to speak unasked.
type Client interface {
	// Demand sends a bill. It returns when the bill is written.
	Demand(ctx context.Context, d Demand) error
	// RemoteAddr is where the client is.
	RemoteAddr() net.Addr
}

// Service serves one admitted client. Its methods run side by side. Their errors reach the client
// as codes (CodeOf); the text only of those that are an *Error.
type Service interface {
	// Put takes the bytes of body, stores them and returns a receipt once they are on stable
	// storage. It need not read a body that it refuses.
	Put(ctx context.Context, h PutHeader, body *Body) (piece.SignedReceipt, error)
	// Get calls out.Begin once and then out.Write for exactly n bytes.
	Get(ctx context.Context, id piece.ID, off, n uint32, out *Download) error
	// Delete returns when the deletion is on stable storage. Unknown ids are no error.
	Delete(ctx context.Context, ids []piece.ID) error
	Stat(ctx context.Context, id piece.ID) (Info, error)
	// List returns at most limit pieces after one, in an order that never changes, appended to dst.
	List(ctx context.Context, dst []Listed, after piece.ID, limit int) (pieces []Listed, more bool, err error)
	// Challenge returns a chunk and its path.
	Challenge(ctx context.Context, id piece.ID, chunk uint32) (data []byte, proof piece.Proof, err error)
	// Voucher takes a payment; when it returns nil the voucher is on stable storage.
	Voucher(ctx context.Context, v voucher.Signed) error
	// Close is called once, when no other method runs any more.
	Close()
}

// ServerConfig limits what clients may cost. The zero value of a field stands for the default.
type ServerConfig struct {
	Key         ed25519.PrivateKey // device key
	Handler     Handler
	Log         *slog.Logger
	Connections int           // at once; 1024
	PerAddress  int           // connections from one IP address; 256
	Streams     int           // open requests of one connection; 256
	Window      int           // bytes under way of one put; 256 KiB
	Memory      int64         // bytes received and not yet dealt with, over all connections; 64 MiB
	Handshake   time.Duration // from connecting to hello; 10 s
	Idle        time.Duration // a connection without any frame; 2 min
	Progress    time.Duration // an upload without bytes, a download that takes none; 30 s
}

func (c *ServerConfig) fill() {
	orInt := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orDuration := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	orInt(&c.Connections, 1024)
	orInt(&c.PerAddress, 256)
	orInt(&c.Streams, 256)
	orInt(&c.Window, 256<<10)
	if c.Memory == 0 {
		c.Memory = 64 << 20
	}
	orDuration(&c.Handshake, 10*time.Second)
	orDuration(&c.Idle, 2*time.Minute)
	orDuration(&c.Progress, 30*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Server accepts clients of one provider.
type Server struct {
	config ServerConfig
	tls    *tls.Config
	memory *semaphore.Weighted

	mu        sync.Mutex
	conns     map[*serverConn]struct{}
	addresses map[string]int
	stopped   bool
	running   sync.WaitGroup

	connections, streams atomic.Int64
	accepted, refused    atomic.Uint64
	bytesIn, bytesOut    atomic.Uint64
}

// NewServer makes a server; Serve runs it.
func NewServer(config ServerConfig) (*Server, error) {
	config.fill()
	t, err := tlsid.ServerConfig(config.Key, protocolName)
	if err != nil {
		return nil, err
	}
	t.DynamicRecordSizingDisabled = true
	return &Server{
		config: config, tls: t, memory: semaphore.NewWeighted(config.Memory),
		conns: map[*serverConn]struct{}{}, addresses: map[string]int{},
	}, nil
}

// ServerStats are counts since the start, except Connections and Streams, which are of now.
type ServerStats struct {
	Connections, Streams int64
	Accepted, Refused    uint64
	BytesIn, BytesOut    uint64 // over the network, TLS included
}

// Stats counts.
func (s *Server) Stats() ServerStats {
	st := ServerStats{
		Connections: s.connections.Load(), Streams: s.streams.Load(),
		Accepted: s.accepted.Load(), Refused: s.refused.Load(),
		BytesIn: s.bytesIn.Load(), BytesOut: s.bytesOut.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		st.BytesIn += c.raw.read.n.Load()
		st.BytesOut += c.raw.written.n.Load()
	}
	return st
}

// Serve accepts connections on l until ctx is done, then says goodbye to all clients, ends their
// requests, waits for the handlers, and closes l. It returns nil after ctx, else why accepting ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	// Connections outlive ctx by the time that a goodbye takes.
	conns, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var failure error
	for {
		nc, err := l.Accept()
		if err != nil {
			if ctx.Err() == nil && isTemporary(err) {
				s.config.Log.Warn("accepting a connection", "error", err)
				select {
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
				}
				continue
			}
			if ctx.Err() == nil {
				failure = fmt.Errorf("accepting connections: %w", err)
			}
			break
		}
		s.start(conns, nc)
	}
	l.Close()
	s.mu.Lock()
	s.stopped = true
	var goodbyes sync.WaitGroup
	for c := range s.conns {
		goodbyes.Go(func() { c.goAway(ErrShutdown) })
	}
	s.mu.Unlock()
	goodbyes.Wait()
	cancel()
	s.running.Wait()
	return failure
}

// isTemporary tells errors like "too many open files", which pass, from a closed listener.
func isTemporary(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && !errors.Is(err, net.ErrClosed)
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// start serves nc, or closes it when there are too many.
func (s *Server) start(ctx context.Context, nc net.Conn) {
	host := hostOf(nc.RemoteAddr())
	raw := &batchConn{Conn: nc, stall: s.config.Progress}
	c := &serverConn{server: s, raw: raw, sess: newSession(tls.Server(raw, s.tls), raw)}
	s.mu.Lock()
	if s.stopped || len(s.conns) >= s.config.Connections || s.addresses[host] >= s.config.PerAddress {
		s.mu.Unlock()
		s.refused.Add(1)
		nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.addresses[host]++
	s.mu.Unlock()
	s.connections.Add(1)
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		err := c.serve(ctx)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
			s.config.Log.Debug("connection ended", "client", nc.RemoteAddr().String(), "error", err)
		}
		s.connections.Add(-1)
		s.mu.Lock()
		delete(s.conns, c)
		if s.addresses[host]--; s.addresses[host] == 0 {
			delete(s.addresses, host)
		}
		s.bytesIn.Add(raw.read.n.Load())
		s.bytesOut.Add(raw.written.n.Load())
		s.mu.Unlock()
	}()
}

// serverConn is one client's connection.
type serverConn struct {
	server  *Server
	raw     *batchConn
	sess    *session
	service Service

	handlers sync.WaitGroup
	open     atomic.Int32 // requests that run
	payments atomic.Int32 // of those, vouchers, which have a limit of their own
	lastID   uint32
}

// maxPayments is how many vouchers of one connection may be under way: they bypass the limit of
// streams, as gets that use up that limit may be waiting for them.
const maxPayments = 4

// Demand sends a bill.
func (c *serverConn) Demand(ctx context.Context, d Demand) error {
	return c.sess.send(ctx, frameDemand, 0, appendDemand(nil, d))
}

// RemoteAddr is where the client is.
func (c *serverConn) RemoteAddr() net.Addr { return c.raw.Conn.RemoteAddr() }

// goAway tells the client why the connection ends; it waits a second at most.
func (c *serverConn) goAway(reason error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.sess.send(ctx, frameGoAway, 0, appendError(nil, reason))
}

func (c *serverConn) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Handlers see ctx end before the socket closes, so that none takes a cut for a fault of its own.
	defer func() {
		cancel()
		c.sess.close(net.ErrClosed)
		c.handlers.Wait()
		c.sess.flushes.Wait()
		if c.service != nil {
			c.service.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { c.sess.close(ErrShutdown) })
	defer stop()
	if err := c.admit(ctx); err != nil {
		c.server.refused.Add(1)
		if CodeOf(err) != ErrInternal || errors.As(err, new(*Error)) {
			c.goAway(err)
		}
		return err
	}
	c.server.accepted.Add(1)
	c.handlers.Add(1)
	go c.watch(ctx)
	for {
		h, buf, err := c.sess.readFrame()
		if err == nil {
			err = c.dispatch(ctx, h, buf)
		}
		if err != nil {
			if _, ours := asError(err); ours {
				c.goAway(err)
			}
			return err
		}
	}
}

// admit does the handshake and asks the Handler.
func (c *serverConn) admit(ctx context.Context) error {
	config := &c.server.config
	if err := c.raw.Conn.SetDeadline(time.Now().Add(config.Handshake)); err != nil {
		return err
	}
	if err := c.sess.conn.HandshakeContext(ctx); err != nil {
		return err
	}
	c.raw.cork()
	state := c.sess.conn.ConnectionState()
	peer, err := tlsid.PeerKey(state)
	if err != nil {
		return err
	}
	if state.NegotiatedProtocol != protocolName {
		return Errorf(ErrVersion, "no common protocol")
	}
	h, buf, err := c.sess.readFrame()
	if err != nil {
		return err
	}
	if h.typ != frameHello {
		buf.free()
		return Errorf(ErrProtocol, "frame type %d before hello", h.typ)
	}
	hello, err := parseHello(buf.b)
	buf.free()
	if err != nil {
		return err
	}
	service, terms, err := config.Handler.Admit(ctx, hello, peer, c)
	if err != nil {
		return err
	}
	c.service = service
	terms.Version, terms.Streams, terms.Window = Version, uint32(config.Streams), uint32(config.Window)
	c.sess.recvWindow, c.sess.sendWindow = config.Window, ClientWindow
	welcome, err := appendTerms(nil, terms)
	if err != nil {
		return err
	}
	if err := c.raw.Conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return c.sess.send(ctx, frameWelcome, 0, welcome)
}

// watch ends idle connections, and streams whose client makes no progress.
func (c *serverConn) watch(ctx context.Context) {
	defer c.handlers.Done()
	config := &c.server.config
	ticker := time.NewTicker(max(min(config.Idle, config.Progress)/4, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now().UnixNano()
		if c.open.Load() == 0 && now-c.sess.lastRead.Load() > int64(config.Idle) {
			c.goAway(ErrTimeout)
			c.sess.close(ErrTimeout)
			return
		}
		c.sess.mu.Lock()
		for _, st := range c.sess.streams {
			st.mu.Lock()
			late := st.deadline != 0 && now > st.deadline
			st.mu.Unlock()
			if late {
				st.fail(ErrTimeout)
			}
		}
		c.sess.mu.Unlock()
	}
}

func (c *serverConn) dispatch(ctx context.Context, h frameHeader, buf *buffer) error {
	switch h.typ {
	case frameRequest:
		return c.request(ctx, h, buf)
	case frameData:
		st := c.sess.stream(h.stream)
		if st == nil {
			buf.free() // of a put that was answered already
			return nil
		}
		// The budget is given back where the buffer is freed (Body).
		if err := c.server.memory.Acquire(ctx, int64(len(buf.store))); err != nil {
			buf.free()
			return err
		}
		if err := st.deliver(frameData, buf); err != nil {
			c.server.memory.Release(int64(len(buf.store)))
			return err
		}
		return nil
	}
	defer buf.free()
	switch h.typ {
	case frameCancel:
		if st := c.sess.stream(h.stream); st != nil {
			st.fail(ErrCanceled)
		}
	case frameWindow:
		r := reader{b: buf.b}
		n := r.u32()
		if err := r.end("window"); err != nil {
			return err
		}
		if st := c.sess.stream(h.stream); st != nil {
			return st.grant(n)
		}
	case framePing:
		// Written by a handler-like goroutine: the reader never writes. A client that pings
		// faster than it reads is slowed down by its own window of one.
		if len(buf.b) != 8 {
			return Errorf(ErrProtocol, "ping of %d bytes", len(buf.b))
		}
		if c.payments.Add(1) > maxPayments {
			c.payments.Add(-1)
			return nil
		}
		echo := append([]byte(nil), buf.b...)
		c.handlers.Add(1)
		go func() {
			defer c.handlers.Done()
			defer c.payments.Add(-1)
			_ = c.sess.send(ctx, framePong, 0, echo)
		}()
	case framePong:
	default:
		return Errorf(ErrProtocol, "frame type %d from a client", h.typ)
	}
	return nil
}

// request starts a handler.
func (c *serverConn) request(ctx context.Context, h frameHeader, buf *buffer) error {
	if h.stream <= c.lastID {
		buf.free()
		return Errorf(ErrProtocol, "stream %d after %d", h.stream, c.lastID)
	}
	c.lastID = h.stream
	if len(buf.b) > 1+putSize+max(InlineSize, MaxDelete*32) {
		buf.free()
		return Errorf(ErrProtocol, "request of %d bytes", h.length)
	}
	if err := c.server.memory.Acquire(ctx, int64(len(buf.store))); err != nil {
		buf.free()
		return err
	}
	release := func() {
		size := int64(len(buf.store))
		buf.free()
		c.server.memory.Release(size)
	}
	q, err := parseRequest(buf.b)
	if err != nil && CodeOf(err) == ErrProtocol {
		release()
		return err
	}
	limit, running := int32(c.server.config.Streams), &c.open
	if q.op == opVoucher {
		limit, running = maxPayments, &c.payments
	}
	// A client uses a slot again as soon as it has the answer, which is before this side has put
	// the request away: hence more than the limit is borne.
	now := running.Add(1)
	busy := now > limit+limit/2+8
	if now > 4*(limit+8) {
		// It was told the limit and runs on all the same.
		running.Add(-1)
		release()
		return Errorf(ErrBusy, "more than %d open requests", limit)
	}
	st := newStream(c.sess, h.stream)
	if openErr := c.sess.open(st); openErr != nil {
		running.Add(-1)
		release()
		return openErr
	}
	c.handlers.Add(1)
	c.server.streams.Add(1)
	go func() {
		defer c.handlers.Done()
		defer c.server.streams.Add(-1)
		defer running.Add(-1)
		defer release()
		defer c.drop(st)
		switch {
		case err != nil:
		case busy:
			err = ErrBusy
		default:
			err = c.handle(ctx, st, &q)
		}
		if err != nil {
			_ = c.sess.send(ctx, frameResponse, st.id, appendError(nil, err))
		}
	}()
	return nil
}

// drop forgets a stream and gives the memory of its unread data back.
func (c *serverConn) drop(st *stream) {
	c.sess.mu.Lock()
	delete(c.sess.streams, st.id)
	c.sess.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, e := range st.events[st.next:] {
		size := int64(len(e.buf.store))
		e.buf.free()
		c.server.memory.Release(size)
	}
	st.events, st.next = nil, 0
}

// handle answers a request; an error that it returns is still to be sent.
func (c *serverConn) handle(ctx context.Context, st *stream, q *request) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c.server.config.Log.Error("request handler panicked", "request", q.op, "panic", r)
			err = ErrInternal
		}
	}()
	respond := func(parts ...[]byte) error {
		return c.sess.send(ctx, frameResponse, st.id, append([][]byte{{0, 0}}, parts...)...)
	}
	switch q.op {
	case opPut:
		body := &Body{conn: c, st: st, inline: q.inline, left: int(q.put.Size)}
		receipt, err := c.service.Put(ctx, q.put, body)
		body.end()
		if err != nil {
			return err
		}
		b, err := receipt.MarshalBinary()
		if err != nil {
			return fmt.Errorf("encoding a receipt: %w", err)
		}
		return respond(b)
	case opGet:
		out := &Download{conn: c, st: st, left: int(q.n)}
		if err := c.service.Get(ctx, q.id, q.off, q.n, out); err != nil {
			return err
		}
		if !out.begun || out.left != 0 {
			return fmt.Errorf("get of piece %s ended %d bytes short", q.id, out.left)
		}
		return nil
	case opDelete:
		if err := c.service.Delete(ctx, q.ids); err != nil {
			return err
		}
		return respond()
	case opStat:
		info, err := c.service.Stat(ctx, q.id)
		if err != nil {
			return err
		}
		return respond(appendInfo(nil, info))
	case opList:
		limit := int(min(q.n, MaxList))
		pieces, more, err := c.service.List(ctx, make([]Listed, 0, limit), q.id, limit)
		if err != nil {
			return err
		}
		return respond(appendList(nil, pieces, more))
	case opChallenge:
		data, proof, err := c.service.Challenge(ctx, q.id, q.off)
		if err != nil {
			return err
		}
		p, err := proof.MarshalBinary()
		if err != nil {
			return fmt.Errorf("encoding a proof: %w", err)
		}
		return respond(le.AppendUint16(nil, uint16(len(data))), data, p)
	case opVoucher:
		if err := c.service.Voucher(ctx, q.signed); err != nil {
			return err
		}
		return respond()
	}
	return ErrProtocol
}

// Body is the bytes of a piece on their way in.
type Body struct {
	conn   *serverConn
	st     *stream
	inline []byte
	left   int
	buf    *buffer
}

// Next returns the next bytes, at least one and never more than the piece has left; io.EOF after
// the last. They hold until the next call. ErrCanceled when the client gave up, ErrTimeout when it
// stalls.
func (b *Body) Next(ctx context.Context) ([]byte, error) {
	if b.inline != nil {
		p := b.inline
		b.inline = nil
		if len(p) > 0 {
			b.left -= len(p)
			return p, nil
		}
	}
	if b.buf != nil {
		n := len(b.buf.b)
		b.end()
		if b.left > 0 {
			if err := b.st.consumed(ctx, n); err != nil {
				return nil, err
			}
		}
	}
	if b.left == 0 {
		return nil, io.EOF
	}
	b.st.due(b.conn.server.config.Progress)
	e, err := b.st.receive(ctx)
	b.st.due(0)
	if err != nil {
		return nil, err
	}
	b.buf = e.buf
	if n := len(e.buf.b); n == 0 || n > b.left {
		return nil, Errorf(ErrProtocol, "%d bytes of data with %d to come", n, b.left)
	}
	b.left -= len(e.buf.b)
	return e.buf.b, nil
}

func (b *Body) end() {
	if b.buf != nil {
		size := int64(len(b.buf.store))
		b.buf.free()
		b.conn.server.memory.Release(size)
		b.buf = nil
	}
}

// due sets when progress is due, or with 0 that none is.
func (st *stream) due(in time.Duration) {
	st.mu.Lock()
	st.deadline = 0
	if in > 0 {
		st.deadline = time.Now().Add(in).UnixNano()
	}
	st.mu.Unlock()
}

// Download is the bytes of a piece on their way out.
type Download struct {
	conn  *serverConn
	st    *stream
	info  Info
	left  int
	begun bool
	held  bool // the response waits for bytes short enough to travel in it
}

// Begin describes the piece. An error returned by Get before Begin, or before the first byte, is
// the whole answer.
func (d *Download) Begin(ctx context.Context, info Info) error {
	d.info, d.begun = info, true
	if d.left > 0 && d.left <= InlineSize {
		d.held = true
		return nil
	}
	return d.respond(ctx, nil)
}

func (d *Download) respond(ctx context.Context, inline []byte) error {
	var scratch [2 + infoSize]byte
	return d.conn.sess.send(ctx, frameResponse, d.st.id, appendInfo(scratch[:2], d.info), inline)
}

// Left is how many bytes were asked for and not sent yet.
func (d *Download) Left() int { return d.left }

// Write sends the next bytes, as fast as the client takes them. Where it fails, Left tells how many
// went out.
func (d *Download) Write(ctx context.Context, p []byte) error {
	if len(p) > d.left || !d.begun {
		return fmt.Errorf("sending %d bytes with %d to go", len(p), d.left)
	}
	if d.held {
		d.held = false
		inline := p
		if len(inline) > InlineSize {
			inline = nil
		}
		if err := d.respond(ctx, inline); err != nil {
			return err
		}
		p = p[len(inline):]
		d.left -= len(inline)
	}
	for len(p) > 0 {
		d.st.due(d.conn.server.config.Progress)
		n, err := d.st.reserve(ctx, min(len(p), DataSize))
		d.st.due(0)
		if err != nil {
			return err
		}
		if err := d.conn.sess.send(ctx, frameData, d.st.id, p[:n]); err != nil {
			return err
		}
		p = p[n:]
		d.left -= n
	}
	return nil
}
