package piece

import (
	"context"
	"fmt"
)

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
	if len(buf.b) > 1+putSize+max(InlineSize, deleteSize) {
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
		for i := range q.releases {
			r := &q.releases[i]
			r.ChainID, r.Lease, r.Device = c.hello.ChainID, c.hello.Lease, c.hello.Device
			if err := r.Verify(c.peer); err != nil {
				return Errorf(ErrBadRelease, "%v", err)
			}
		}
		if err := c.service.Delete(ctx, q.releases); err != nil {
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
	case opAsk:
		proof, err := c.service.Ask(ctx, q.epoch, q.off)
		if err != nil {
			return err
		}
		return respond(proof)
	case opInclusion:
		proof, err := c.service.Inclusion(ctx, q.id, q.epoch)
		if err != nil {
			return err
		}
		return respond(proof)
	case opVoucher:
		if err := c.service.Voucher(ctx, q.signed); err != nil {
			return err
		}
		return respond()
	}
	return ErrProtocol
}
