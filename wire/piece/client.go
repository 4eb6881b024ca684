package piece

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-network/cairn/core/pass"
	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/internal/tlsid"
)

// protocolName is the ALPN name.
const protocolName = "cairn-piece/1"

// Session is what a client speaks as: a consumer of one lease on one chain, or a device.
type Session struct {
	ChainID string
	Lease   uint64
	Key     ed25519.PrivateKey // the lease's session key
	// Peer, where Lease is 0, is the device that asks another for what a beacon drew, and nothing else;
	// PeerKey is its device key, which may live in a chip.
	Peer    uint64
	PeerKey crypto.Signer
	// Pass, if there is one, lets the lease read what is stored under another, and only that.
	Pass *pass.Signed
}

// proves is the key that the session is known by.
func (s Session) proves() crypto.Signer {
	if s.Lease == 0 && s.PeerKey != nil {
		return s.PeerKey
	}
	return s.Key
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
	devicePub []byte
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
func Dial(ctx context.Context, endpoint string, device uint64, devicePub []byte, s Session, o Options) (*Conn, error) {
	o.fill()
	c, err := dial(ctx, endpoint, device, devicePub, s, o)
	if err != nil {
		return nil, fmt.Errorf("connecting to device %d at %s: %w", device, endpoint, err)
	}
	return c, nil
}

func dial(ctx context.Context, endpoint string, device uint64, devicePub []byte, s Session, o Options) (*Conn, error) {
	config, err := tlsid.ClientConfig(s.proves(), devicePub, protocolName)
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
	hello := Hello{Version: Version, ChainID: s.ChainID, Lease: s.Lease, Device: device, Time: sent, Peer: s.Peer, Pass: s.Pass}
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
		if s.Lease == 0 || v.ChainID != s.ChainID || v.Lease != s.Lease || v.Device != device {
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
