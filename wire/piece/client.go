package piece

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/internal/tlsid"
)

// protocolName is the ALPN name.
const protocolName = "cairn-piece/1"

// Session is what a consumer speaks as: one lease on one chain.
type Session struct {
	ChainID string
	Lease   uint64
	Key     ed25519.PrivateKey // the lease's session key
}

// VoucherSource signs the vouchers that a connection owes. Implementations are safe for concurrent
// use by many connections; Purse is one.
type VoucherSource interface {
	// Voucher promises units more than the lower of the last voucher for this lease and device
	// and held, which is what the provider says it holds: a voucher that was signed and lost on
	// the way is not paid on top.
	Voucher(ctx context.Context, lease, device, held, units uint64) (voucher.Signed, error)
	// Resume tells the source the best voucher that the provider holds. Its signature is the
	// session key's own and has been verified.
	Resume(last voucher.Signed)
}

// Options of Dial. The zero value works.
type Options struct {
	// Vouchers pays for bytes served; nil never pays, and gets end with ErrUnpaid once the
	// provider's credit is used up.
	Vouchers VoucherSource
	// Owed is how many bytes former connections to this provider received that no voucher covers
	// yet (Conn.Owed): they are paid over the new one, as far as the provider counts them, too.
	Owed uint64
	// Dialer opens the TCP connection; nil for net.Dialer.
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock that the provider's is compared with; nil for time.Now.
	Now func() time.Time
	// MaxSkew is the largest difference between the two clocks, two minutes when 0.
	MaxSkew time.Duration
	// Handshake is how long connecting may take, ten seconds when 0.
	Handshake time.Duration
	// Stall is how long the provider may be silent, or take no bytes, with requests open, before
	// the connection is given up: thirty seconds when 0.
	Stall time.Duration
}

func (o *Options) fill() {
	if o.Dialer == nil {
		o.Dialer = (&net.Dialer{}).DialContext
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxSkew == 0 {
		o.MaxSkew = 2 * time.Minute
	}
	if o.Handshake == 0 {
		o.Handshake = 10 * time.Second
	}
	if o.Stall == 0 {
		o.Stall = 30 * time.Second
	}
}

// Conn is a client's connection to one provider for one lease. Safe for concurrent use: requests
// run side by side.
type Conn struct {
	sess      *session
	session   Session
	device    uint64
	devicePub ed25519.PublicKey
	opts      Options
	terms     Terms
	skew      time.Duration

	lastID uint32        // under the session's write lock
	slots  chan struct{} // one token for each request that may be open

	received atomic.Uint64 // piece bytes received on this connection
	paid     atomic.Uint64 // of those, covered by vouchers that the provider took
	paying   chan Demand   // newest demand, capacity 1
	covered  uint64        // units of the best voucher that the provider took; of the goroutine that pays

	stop    context.CancelFunc
	running sync.WaitGroup
}

// Dial connects to the provider of device, whose device key is devicePub, and speaks for s.
// ErrUnauthorized, ErrWrongDevice, ErrWrongChain, ErrLeaseClosed, ErrClockSkew or ErrVersion when
// the two do not agree; a *tlsid.KeyMismatchError inside the error when someone else answers.
// The context bounds the connecting only.
func Dial(ctx context.Context, endpoint string, device uint64, devicePub ed25519.PublicKey, s Session, o Options) (*Conn, error) {
	o.fill()
	c, err := dial(ctx, endpoint, device, devicePub, s, o)
	if err != nil {
		return nil, fmt.Errorf("connecting to device %d at %s: %w", device, endpoint, err)
	}
	return c, nil
}

func dial(ctx context.Context, endpoint string, device uint64, devicePub ed25519.PublicKey, s Session, o Options) (*Conn, error) {
	config, err := tlsid.ClientConfig(s.Key, devicePub, protocolName)
	if err != nil {
		return nil, err
	}
	config.DynamicRecordSizingDisabled = true
	ctx, cancel := context.WithTimeout(ctx, o.Handshake)
	defer cancel()
	nc, err := o.Dialer(ctx, "tcp", endpoint)
	if err != nil {
		return nil, err
	}
	// Closing the socket is what interrupts the handshake and the reading of the welcome.
	defer context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })()
	raw := &batchConn{Conn: nc, stall: o.Stall}
	sess := newSession(tls.Client(raw, config), raw)
	terms, skew, err := greet(ctx, sess, device, s, o)
	if err != nil {
		nc.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
		return nil, err
	}
	run, stop := context.WithCancel(context.Background())
	c := &Conn{
		sess: sess, session: s, device: device, devicePub: devicePub, opts: o, terms: terms, skew: skew,
		slots: make(chan struct{}, min(terms.Streams, 1<<12)), paying: make(chan Demand, 1), stop: stop,
	}
	covered := uint64(0)
	if terms.LastVoucher != nil {
		covered = terms.LastVoucher.Units
		if o.Vouchers != nil {
			o.Vouchers.Resume(*terms.LastVoucher)
		}
	}
	if terms.Served > covered {
		c.received.Store(min(o.Owed, terms.Served-covered))
	}
	c.covered = covered
	c.running.Add(3)
	go c.read()
	go c.pay(run)
	go c.keepAlive(run)
	return c, nil
}

// greet does the handshake and exchanges hello and welcome.
func greet(ctx context.Context, sess *session, device uint64, s Session, o Options) (Terms, time.Duration, error) {
	if err := sess.conn.HandshakeContext(ctx); err != nil {
		return Terms{}, 0, err
	}
	sess.raw.cork()
	sent := o.Now()
	hello := Hello{Version: Version, ChainID: s.ChainID, Lease: s.Lease, Device: device, Time: sent}
	if err := sess.send(ctx, frameHello, 0, appendHello(nil, hello)); err != nil {
		return Terms{}, 0, err
	}
	h, buf, err := sess.readFrame()
	if err != nil {
		return Terms{}, 0, err
	}
	defer buf.free()
	switch h.typ {
	case frameGoAway:
		if _, err := parseResponse(buf.b); err != nil {
			return Terms{}, 0, err
		}
		return Terms{}, 0, Errorf(ErrProtocol, "goaway without a reason")
	case frameWelcome:
	default:
		return Terms{}, 0, Errorf(ErrProtocol, "welcomed by frame type %d", h.typ)
	}
	terms, err := parseTerms(buf.b)
	if err != nil {
		return terms, 0, err
	}
	if v := terms.LastVoucher; v != nil {
		if v.ChainID != s.ChainID || v.Lease != s.Lease || v.Device != device {
			return terms, 0, Errorf(ErrBadVoucher, "provider shows a voucher of lease %d for device %d on %s", v.Lease, v.Device, v.ChainID)
		}
		if err := v.Verify(s.Key.Public().(ed25519.PublicKey)); err != nil {
			return terms, 0, Errorf(ErrBadVoucher, "provider shows a voucher that we never signed: %v", err)
		}
	}
	now := o.Now()
	skew := terms.Time.Sub(sent.Add(now.Sub(sent) / 2))
	if skew.Abs() > o.MaxSkew {
		return terms, skew, Errorf(ErrClockSkew, "provider's clock is off by %s", skew.Round(time.Second))
	}
	sess.recvWindow, sess.sendWindow = ClientWindow, int(min(terms.Window, 16<<20))
	sess.lastRead.Store(time.Now().UnixNano())
	return terms, skew, nil
}

// ClientWindow is the number of bytes of one get that may be under way to a client.
const ClientWindow = 512 << 10

// cancelGrace is how long a cancelled put may be stuck in writing before the connection is given up.
const cancelGrace = 2 * time.Second

// Device is the provider's id on the chain.
func (c *Conn) Device() uint64 { return c.device }

// Terms are what the provider said when it admitted this client.
func (c *Conn) Terms() Terms { return c.terms }

// Skew is by how much the provider's clock is ahead, to about the round-trip time and a second.
func (c *Conn) Skew() time.Duration { return c.skew }

// Owed is how many bytes were received and are not covered by a voucher that the provider took.
func (c *Conn) Owed() uint64 {
	paid := c.paid.Load() // first: received only grows
	return c.received.Load() - paid
}

// Done is closed when the connection is over; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.sess.done }

// Err is nil while the connection works.
func (c *Conn) Err() error { return c.sess.closed() }

// Traffic counts the bytes that went over the network, TLS included.
func (c *Conn) Traffic() (sent, received uint64) {
	return c.sess.raw.written.n.Load(), c.sess.raw.read.n.Load()
}

// Close ends the connection and all its requests, and waits for its goroutines.
func (c *Conn) Close() error {
	c.sess.close(net.ErrClosed)
	c.stop()
	c.running.Wait()
	c.sess.flushes.Wait()
	return nil
}

// read dispatches frames until the connection ends. It never writes.
func (c *Conn) read() {
	defer c.running.Done()
	for {
		h, buf, err := c.sess.readFrame()
		if err == nil {
			err = c.dispatch(h, buf)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			c.sess.close(fmt.Errorf("connection to device %d: %w", c.device, err))
			return
		}
	}
}

func (c *Conn) dispatch(h frameHeader, buf *buffer) error {
	switch h.typ {
	case frameData, frameResponse:
		if h.typ == frameData {
			c.received.Add(uint64(len(buf.b)))
		} else if len(buf.b) > 2+infoSize {
			// A short get brings its bytes along; counting a few too many of other answers is
			// harmless, as a demand is paid only up to what the provider claims, too.
			c.received.Add(uint64(len(buf.b) - 2 - infoSize))
		}
		if st := c.sess.stream(h.stream); st != nil {
			return st.deliver(h.typ, buf)
		}
		buf.free() // of a stream that we gave up
		return nil
	}
	defer buf.free()
	switch h.typ {
	case frameWindow:
		n := reader{b: buf.b}
		grant := n.u32()
		if err := n.end("window"); err != nil {
			return err
		}
		if st := c.sess.stream(h.stream); st != nil {
			return st.grant(grant)
		}
	case frameDemand:
		d, err := parseDemand(buf.b)
		if err != nil {
			return err
		}
		select {
		case <-c.paying:
		default:
		}
		c.paying <- d
	case framePong:
	case frameGoAway:
		if _, err := parseResponse(buf.b); err != nil {
			return err
		}
		return Errorf(ErrProtocol, "goaway without a reason")
	default:
		return Errorf(ErrProtocol, "frame type %d from a provider", h.typ)
	}
	return nil
}

// keepAlive pings a quiet connection, and gives up one that stays silent.
func (c *Conn) keepAlive(ctx context.Context) {
	defer c.running.Done()
	interval := c.opts.Stall / 2
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-c.sess.done:
			return
		}
		silent := time.Since(time.Unix(0, c.sess.lastRead.Load()))
		switch {
		case silent >= c.opts.Stall+interval:
			c.sess.close(Errorf(ErrTimeout, "device %d was silent for %s", c.device, silent.Round(time.Second)))
			return
		case silent >= interval:
			if err := c.sess.send(ctx, framePing, 0, make([]byte, 8)); err != nil {
				return
			}
		}
		timer.Reset(interval)
	}
}

// begin takes a slot and opens a stream with a request.
func (c *Conn) begin(ctx context.Context, parts ...[]byte) (*stream, error) {
	select {
	case c.slots <- struct{}{}:
	default:
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.sess.done:
			return nil, c.sess.closed()
		}
	}
	st, err := c.open(ctx, parts)
	if err != nil {
		<-c.slots
		return nil, err
	}
	st.slot = true
	return st, nil
}

// open sends a request without a slot: a payment must not wait for the gets that wait for it.
func (c *Conn) open(ctx context.Context, parts [][]byte) (*stream, error) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	// Ids must reach the provider in rising order, so that the id is drawn with the right to write.
	if err := c.sess.acquire(ctx); err != nil {
		return nil, err
	}
	c.lastID++
	st := newStream(c.sess, c.lastID)
	err := c.sess.open(st)
	if err == nil && c.lastID == math.MaxUint32 {
		err = Errorf(ErrProtocol, "stream ids are used up")
	}
	if err == nil {
		err = c.sess.writeLocked(frameRequest, st.id, n, parts)
	}
	if err := c.sess.release(err); err != nil {
		return nil, err
	}
	return st, nil
}

// finish closes the stream; when it ended before its answer, the provider is told.
func (c *Conn) finish(st *stream, answered bool) {
	c.sess.forget(st)
	if st.slot {
		<-c.slots
	}
	if !answered && c.sess.closed() == nil {
		// Whoever cancels does not wait for a busy connection.
		c.sess.flushes.Add(1)
		go func() {
			defer c.sess.flushes.Done()
			_ = c.sess.send(context.Background(), frameCancel, st.id, le.AppendUint16(nil, uint16(ErrCanceled)))
		}()
	}
}

// answer waits for the stream's response; the caller frees it.
func (c *Conn) answer(ctx context.Context, st *stream) (*buffer, error) {
	e, err := st.receive(ctx)
	if err != nil {
		return nil, err
	}
	if e.typ != frameResponse {
		e.buf.free()
		err := Errorf(ErrProtocol, "data before a response")
		c.sess.close(err)
		return nil, err
	}
	body, err := parseResponse(e.buf.b)
	if err != nil {
		e.buf.free()
		return nil, err
	}
	e.buf.b = body
	return e.buf, nil
}

// call sends a request of one frame and waits for an answer of one frame; the caller frees it.
func (c *Conn) call(ctx context.Context, o op, parts ...[]byte) (*buffer, error) {
	st, err := c.begin(ctx, append([][]byte{{byte(o)}}, parts...)...)
	if err != nil {
		return nil, err
	}
	buf, err := c.answer(ctx, st)
	c.finish(st, ctx.Err() == nil || err == nil)
	return buf, err
}

func (c *Conn) wrap(doing string, id piece.ID, err error) error {
	return fmt.Errorf("%s piece %s on device %d: %w", doing, id, c.device, err)
}

// Put stores size bytes from src under id. expiry is Unix seconds, or 0 for as long as the lease
// lives. The receipt's signature is the device's, its root is that of the bytes sent, its size and
// id are those asked for. When src fails, so does Put, with its error.
func (c *Conn) Put(ctx context.Context, id piece.ID, expiry int64, size int, src io.Reader) (piece.SignedReceipt, error) {
	buf := newBuffer(min(max(size, 1), DataSize))
	defer buf.free()
	hasher := piece.NewHasher()
	left := size
	next := func() ([]byte, error) {
		b := buf.b[:min(left, DataSize)]
		if _, err := io.ReadFull(src, b); err != nil {
			return nil, fmt.Errorf("reading the piece: %w", err)
		}
		_, _ = hasher.Write(b) // never fails
		left -= len(b)
		return b, nil
	}
	return c.put(ctx, id, expiry, size, next, func() piece.Root { return hasher.Root() })
}

// PutBytes is Put of the concatenation of data, without copying it. A root that is not nil must be
// that of the bytes and saves computing it.
func (c *Conn) PutBytes(ctx context.Context, id piece.ID, expiry int64, root *piece.Root, data ...[]byte) (piece.SignedReceipt, error) {
	size := 0
	for _, d := range data {
		size += len(d)
	}
	rest := data
	var part []byte
	next := func() ([]byte, error) {
		for len(part) == 0 {
			part, rest = rest[0], rest[1:]
		}
		b := part[:min(len(part), DataSize)]
		part = part[len(b):]
		return b, nil
	}
	return c.put(ctx, id, expiry, size, next, func() piece.Root {
		if root != nil {
			return *root
		}
		if len(data) == 1 {
			return piece.RootOf(data[0])
		}
		hasher := piece.NewHasher()
		for _, d := range data {
			_, _ = hasher.Write(d) // never fails
		}
		return hasher.Root()
	})
}

// put sends what next returns, at most DataSize bytes a call, until size bytes are sent. root is
// asked once, when all bytes were sent.
func (c *Conn) put(ctx context.Context, id piece.ID, expiry int64, size int, next func() ([]byte, error), root func() piece.Root) (piece.SignedReceipt, error) {
	if size < 0 || uint64(size) > uint64(c.terms.MaxPiece) {
		return piece.SignedReceipt{}, c.wrap("putting", id, Errorf(ErrTooLarge, "%d bytes, at most %d", size, c.terms.MaxPiece))
	}
	var scratch [1 + putSize]byte
	header := appendPut(scratch[:0], PutHeader{id, expiry, uint32(size)})
	st, err := c.upload(ctx, header, size, next)
	if err != nil {
		return piece.SignedReceipt{}, c.wrap("putting", id, err)
	}
	want := root()
	buf, err := c.answer(ctx, st)
	c.finish(st, ctx.Err() == nil || err == nil)
	if err != nil {
		return piece.SignedReceipt{}, c.wrap("putting", id, err)
	}
	receipt, err := c.checkReceipt(buf.b, id, want, expiry, size)
	buf.free()
	if err != nil {
		return piece.SignedReceipt{}, c.wrap("putting", id, err)
	}
	return receipt, nil
}

// upload opens the stream and sends all bytes, or as many as the provider wants.
func (c *Conn) upload(ctx context.Context, header []byte, size int, next func() ([]byte, error)) (*stream, error) {
	if size <= InlineSize {
		parts := [][]byte{header}
		for sent := 0; sent < size; {
			b, err := next()
			if err != nil {
				return nil, err
			}
			parts = append(parts, b)
			sent += len(b)
		}
		return c.begin(ctx, parts...)
	}
	st, err := c.begin(ctx, header)
	if err != nil {
		return nil, err
	}
	// A provider that takes no bytes must not hold back whoever gave the piece up.
	sent := make(chan struct{})
	defer close(sent)
	defer context.AfterFunc(ctx, func() {
		timer := time.NewTimer(cancelGrace)
		defer timer.Stop()
		select {
		case <-sent:
		case <-timer.C:
			c.sess.close(Errorf(ErrTimeout, "device %d took no bytes", c.device))
		}
	})()
	for sent := 0; sent < size; {
		b, err := next()
		if err != nil {
			c.finish(st, false)
			return nil, err
		}
		sent += len(b)
		for len(b) > 0 {
			n, err := st.reserve(ctx, len(b))
			if errors.Is(err, errAnswered) {
				return st, nil
			}
			if err == nil {
				err = c.sess.send(ctx, frameData, st.id, b[:n])
			}
			if err != nil {
				c.finish(st, false)
				return nil, err
			}
			b = b[n:]
		}
	}
	return st, nil
}

func (c *Conn) checkReceipt(b []byte, id piece.ID, root piece.Root, expiry int64, size int) (piece.SignedReceipt, error) {
	var r piece.SignedReceipt
	if err := r.UnmarshalBinary(b); err != nil {
		return r, Errorf(ErrBadReceipt, "%v", err)
	}
	now := c.opts.Now()
	switch {
	case r.ChainID != c.session.ChainID || r.Lease != c.session.Lease || r.Device != c.device || r.ID != id:
		return r, Errorf(ErrBadReceipt, "it is for piece %s of lease %d on device %d", r.ID, r.Lease, r.Device)
	case r.Root != root || int(r.Size) != size:
		return r, Errorf(ErrBadReceipt, "it states root %s of %d bytes, sent was %s of %d", r.Root, r.Size, root, size)
	case expiry != 0 && r.Expiry != expiry:
		return r, Errorf(ErrBadReceipt, "it states expiry %d, asked for was %d", r.Expiry, expiry)
	case now.Add(c.skew).Sub(time.Unix(r.IssuedAt, 0)).Abs() > c.opts.MaxSkew:
		return r, Errorf(ErrClockSkew, "receipt issued at %d, now is %d", r.IssuedAt, now.Unix())
	}
	if err := r.Verify(c.devicePub); err != nil {
		return r, Errorf(ErrBadReceipt, "%v", err)
	}
	return r, nil
}

// Get writes bytes off to off+n of a piece to dst and returns the description that the provider
// gives of it. The bytes are what the provider sent: whoever knows the root checks it. On an error
// dst may have got some of them.
func (c *Conn) Get(ctx context.Context, id piece.ID, off, n int64, dst io.Writer) (Info, error) {
	if off < 0 || n < 0 || off+n > math.MaxUint32 {
		return Info{}, c.wrap("getting", id, Errorf(ErrRange, "%d bytes from %d", n, off))
	}
	var scratch [1 + getSize]byte
	req := append(append(scratch[:0], byte(opGet)), id[:]...)
	req = le.AppendUint32(req, uint32(off))
	req = le.AppendUint32(req, uint32(n))
	st, err := c.begin(ctx, req)
	if err != nil {
		return Info{}, c.wrap("getting", id, err)
	}
	info, answered, err := c.download(ctx, st, n, dst)
	c.finish(st, answered)
	if err != nil {
		return info, c.wrap("getting", id, err)
	}
	return info, nil
}

// download also tells whether the provider is done with the stream.
func (c *Conn) download(ctx context.Context, st *stream, n int64, dst io.Writer) (info Info, answered bool, err error) {
	buf, err := c.answer(ctx, st)
	if err != nil {
		return Info{}, ctx.Err() == nil, err
	}
	info, inline, err := parseInfo(buf.b)
	if err == nil && int64(len(inline)) > n {
		err = Errorf(ErrProtocol, "%d bytes came, asked for were %d", len(inline), n)
	}
	if err == nil && len(inline) > 0 {
		_, err = dst.Write(inline)
	}
	n -= int64(len(inline))
	buf.free()
	if err != nil {
		return info, n <= 0, err
	}
	for n > 0 {
		e, err := st.receive(ctx)
		if err != nil {
			return info, false, err
		}
		if e.typ == frameResponse {
			_, err := parseResponse(e.buf.b)
			e.buf.free()
			if err == nil {
				err = Errorf(ErrProtocol, "second response")
			}
			return info, true, err
		}
		got := len(e.buf.b)
		if int64(got) > n {
			err = Errorf(ErrProtocol, "%d bytes more than asked for", int64(got)-n)
		} else {
			_, err = dst.Write(e.buf.b)
		}
		e.buf.free()
		if err != nil {
			return info, false, err
		}
		n -= int64(got)
		if n > 0 {
			if err := st.consumed(ctx, got); err != nil {
				return info, false, err
			}
		}
	}
	return info, true, nil
}

// GetBytes is Get into dst, which it fills.
func (c *Conn) GetBytes(ctx context.Context, id piece.ID, off int64, dst []byte) (Info, error) {
	return c.Get(ctx, id, off, int64(len(dst)), &sliceWriter{dst})
}

type sliceWriter struct{ rest []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	n := copy(w.rest, p)
	w.rest = w.rest[n:]
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// Delete removes pieces, durably. Pieces that are not there are no error.
func (c *Conn) Delete(ctx context.Context, ids []piece.ID) error {
	for len(ids) > 0 {
		batch := ids[:min(len(ids), MaxDelete)]
		b := make([]byte, 0, 32*len(batch))
		for _, id := range batch {
			b = append(b, id[:]...)
		}
		buf, err := c.call(ctx, opDelete, b)
		if err != nil {
			return fmt.Errorf("deleting %d pieces on device %d: %w", len(ids), c.device, err)
		}
		buf.free()
		ids = ids[len(batch):]
	}
	return nil
}

// Stat describes a piece without its bytes.
func (c *Conn) Stat(ctx context.Context, id piece.ID) (Info, error) {
	buf, err := c.call(ctx, opStat, id[:])
	if err != nil {
		return Info{}, c.wrap("describing", id, err)
	}
	defer buf.free()
	info, rest, err := parseInfo(buf.b)
	if err == nil && len(rest) > 0 {
		err = Errorf(ErrProtocol, "description has %d bytes too many", len(rest))
	}
	if err != nil {
		return Info{}, c.wrap("describing", id, err)
	}
	return info, nil
}

// List returns some of the lease's pieces that come after one id in the provider's own order, which
// never changes; the zero id starts. more tells that there are others after the last one returned.
func (c *Conn) List(ctx context.Context, after piece.ID) (pieces []Listed, more bool, err error) {
	buf, err := c.call(ctx, opList, after[:], le.AppendUint32(nil, MaxList))
	if err == nil {
		defer buf.free()
		pieces, more, err = parseList(buf.b)
	}
	if err == nil && more && len(pieces) == 0 {
		err = Errorf(ErrProtocol, "an empty page, and more to come")
	}
	if err != nil {
		return nil, false, fmt.Errorf("listing pieces on device %d: %w", c.device, err)
	}
	return pieces, more, nil
}

// Challenge makes the provider prove that it holds one chunk of the piece with this root and size.
// ErrCorrupt when the proof does not hold.
func (c *Conn) Challenge(ctx context.Context, id piece.ID, root piece.Root, size uint32, chunk int) error {
	if chunk < 0 || chunk > math.MaxUint32 {
		return c.wrap("challenging", id, Errorf(ErrRange, "chunk %d", chunk))
	}
	buf, err := c.call(ctx, opChallenge, id[:], le.AppendUint32(nil, uint32(chunk)))
	if err != nil {
		return c.wrap("challenging", id, err)
	}
	defer buf.free()
	r := reader{b: buf.b}
	data := r.take(int(r.u16()))
	var proof piece.Proof
	if r.short {
		err = r.end("proof")
	} else if err = proof.UnmarshalBinary(r.b); err == nil {
		err = piece.VerifyChunk(root, uint64(size), chunk, data, proof)
	}
	if err != nil {
		return c.wrap("challenging", id, Errorf(ErrCorrupt, "%v", err))
	}
	return nil
}
