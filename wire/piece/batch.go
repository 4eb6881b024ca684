package piece

import (
	"net"
	"sync"
	"time"
)

const (
	batchSize     = 256 << 10 // bytes gathered before they are written although nobody flushed
	smallReadSize = 8 << 10   // read buffer of a quiet connection
)

// batchConn lies under the TLS layer. crypto/tls writes and reads one record (16 KiB) at a time;
// batchConn turns many of them into one system call. One goroutine may read while others write.
type batchConn struct {
	net.Conn
	stall time.Duration // longest a flush or, under load, a read may wait; 0 for ever

	// wmu guards what follows: the writer flushes, while the TLS layer may answer a peer's key
	// update from the reading goroutine.
	wmu    sync.Mutex
	corked bool   // set once, after the handshake: Write only gathers
	out    []byte // gathered, from batchPool or nil

	in      []byte // read buffer: own small one or one from batchPool
	inLarge *[]byte
	small   []byte
	r, w    int // in[r:w] is unread

	written, read counter
}

var batchPool = sync.Pool{New: func() any {
	b := make([]byte, batchSize+20<<10)
	return &b
}}

// Write gathers p; before cork it writes at once, so that the handshake needs no flush.
func (c *batchConn) Write(p []byte) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if !c.corked {
		n, err := c.Conn.Write(p)
		c.written.add(n)
		return n, err
	}
	if c.out == nil {
		c.out = (*batchPool.Get().(*[]byte))[:0]
	}
	if len(c.out)+len(p) > cap(c.out) {
		if err := c.write(); err != nil {
			return 0, err
		}
	}
	if len(p) > cap(c.out) {
		n, err := c.Conn.Write(p)
		c.written.add(n)
		return n, err
	}
	c.out = append(c.out, p...)
	if len(c.out) >= batchSize {
		if err := c.write(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (c *batchConn) write() error {
	if len(c.out) == 0 {
		return nil
	}
	if c.stall > 0 {
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
			return err
		}
	}
	n, err := c.Conn.Write(c.out)
	c.written.add(n)
	c.out = c.out[:0]
	return err
}

// cork makes Write gather until Flush.
func (c *batchConn) cork() {
	c.wmu.Lock()
	c.corked = true
	c.wmu.Unlock()
}

// Flush writes what was gathered.
func (c *batchConn) Flush() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.out == nil {
		return nil
	}
	err := c.write()
	buf := c.out[:cap(c.out)]
	batchPool.Put(&buf)
	c.out = nil
	return err
}

// Read serves from the buffer and refills it by one large read. The large buffer is held only
// while the connection is busy.
func (c *batchConn) Read(p []byte) (int, error) {
	if c.r == c.w {
		if c.inLarge != nil && c.w < smallReadSize {
			batchPool.Put(c.inLarge)
			c.inLarge, c.in = nil, c.small
		} else if c.inLarge == nil && c.in != nil && c.w == len(c.in) {
			c.inLarge = batchPool.Get().(*[]byte)
			c.in = *c.inLarge
		}
		if c.in == nil {
			c.small = make([]byte, smallReadSize)
			c.in = c.small
		}
		c.r, c.w = 0, 0
		n, err := c.Conn.Read(c.in)
		c.read.add(n)
		if n <= 0 {
			return 0, err
		}
		c.w = n
	}
	n := copy(p, c.in[c.r:c.w])
	c.r += n
	return n, nil
}
