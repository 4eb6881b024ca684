package piece

import (
	"context"
	"io"
	"math"

	"github.com/cairn-network/cairn/core/piece"
)

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
