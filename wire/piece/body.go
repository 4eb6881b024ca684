package piece

import (
	"context"
	"fmt"
	"io"
	"time"
)

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
