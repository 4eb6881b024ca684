package piece

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/cairn-network/cairn/core/piece"
)

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
	if !answered {
		// Whoever cancels does not wait for a busy connection.
		c.sess.background(func() {
			_ = c.sess.send(context.Background(), frameCancel, st.id, le.AppendUint16(nil, uint16(ErrCanceled)))
		})
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
