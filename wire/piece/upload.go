package piece

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/piece"
)

// Put stores size bytes from src under id. expiry is Unix seconds, or 0 for as long as the lease
// lives. The receipt's signature is the device's, its root is that of the bytes sent, its size and
// id are those asked for. When src fails, so does Put, with its error.
func (c *Conn) Put(ctx context.Context, id piece.ID, expiry int64, size int, src io.Reader) (piece.SignedReceipt, error) {
	buf := newBuffer(min(max(size, 1), DataSize))
	defer buf.free()
	hasher := piece.NewHasher()
	left := size
	next := func() ([][]byte, error) {
		b := buf.b[:min(left, DataSize)]
		if _, err := io.ReadFull(src, b); err != nil {
			return nil, fmt.Errorf("reading the piece: %w", err)
		}
		_, _ = hasher.Write(b) // never fails
		left -= len(b)
		return [][]byte{b}, nil
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
	rest := slices.Clone(data)
	next := func() ([][]byte, error) { return take(&rest, burst), nil }
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

// burst is how many bytes of a piece are written while others who want to write wait: what
// leaves in one system call.
const burst = batchSize

// take cuts the first n bytes off parts, or all there are, in parts of a frame's size at most.
func take(parts *[][]byte, n int) (first [][]byte) {
	for n > 0 && len(*parts) > 0 {
		p := (*parts)[0]
		m := min(len(p), n, DataSize)
		if m > 0 {
			first = append(first, p[:m])
		}
		if n -= m; m == len(p) {
			*parts = (*parts)[1:]
		} else {
			(*parts)[0] = p[m:]
		}
	}
	return first
}

func total(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}

// put sends what next returns, at most burst bytes a call, until size bytes are sent. What next
// returns holds until it is called again. root is asked once, when all bytes were sent.
func (c *Conn) put(ctx context.Context, id piece.ID, expiry int64, size int, next func() ([][]byte, error), root func() piece.Root) (piece.SignedReceipt, error) {
	if size < 0 || uint64(size) > uint64(c.terms.MaxPiece) {
		return piece.SignedReceipt{}, c.wrap("putting", id, Errorf(ErrTooLarge, "%d bytes, at most %d", size, c.terms.MaxPiece))
	}
	if size == 0 {
		return piece.SignedReceipt{}, c.wrap("putting", id, errNothing(id))
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
func (c *Conn) upload(ctx context.Context, header []byte, size int, next func() ([][]byte, error)) (*stream, error) {
	if size <= InlineSize {
		parts := [][]byte{header}
		for sent := 0; sent < size; {
			b, err := next()
			if err != nil {
				return nil, err
			}
			parts = append(parts, b...)
			sent += total(b)
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
		sent += total(b)
		for len(b) > 0 {
			n, err := st.reserve(ctx, total(b))
			if errors.Is(err, errAnswered) {
				return st, nil
			}
			if err == nil {
				err = c.sess.sendData(ctx, st.id, take(&b, n))
			}
			if err != nil {
				c.finish(st, false)
				return nil, err
			}
		}
	}
	return st, nil
}

// cancelGrace is how long a cancelled put may be stuck in writing before the connection is given up.
const cancelGrace = 2 * time.Second

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
	if err := r.VerifyKey(device.TypeOf(c.devicePub), c.devicePub); err != nil {
		return r, Errorf(ErrBadReceipt, "%v", err)
	}
	return r, nil
}
