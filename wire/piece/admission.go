package piece

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-network/cairn/internal/tlsid"
)

// serverConn is one client's connection.
type serverConn struct {
	server  *Server
	raw     *batchConn
	sess    *session
	service Service
	hello   Hello  // what the client said
	peer    []byte // and the key that it proved, as the chain registers it

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
	c.service, c.hello, c.peer = service, hello, peer
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
