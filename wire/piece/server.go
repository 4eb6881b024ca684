package piece

import (
	"context"
	"crypto"
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
	Admit(ctx context.Context, hello Hello, peer []byte, client Client) (Service, Terms, error)
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
	// Delete returns when the deletion and the releases are on stable storage. Every release is of
	// this lease and device and signed by the client's key. Unknown ids are no error.
	Delete(ctx context.Context, releases []piece.SignedRelease) error
	Stat(ctx context.Context, id piece.ID) (Info, error)
	// List returns at most limit pieces after one, in an order that never changes, appended to dst.
	List(ctx context.Context, dst []Listed, after piece.ID, limit int) (pieces []Listed, more bool, err error)
	// Challenge returns a chunk and its path.
	Challenge(ctx context.Context, id piece.ID, chunk uint32) (data []byte, proof piece.Proof, err error)
	// Ask returns the proof (core/challenge.Proof) of the position that a drawn peer's index asks for.
	Ask(ctx context.Context, epoch uint64, index uint32) (proof []byte, err error)
	// Inclusion returns a piece's place (core/merkle.Proof) in the tree in force in an epoch.
	Inclusion(ctx context.Context, id piece.ID, epoch uint64) (proof []byte, err error)
	// Voucher takes a payment; when it returns nil the voucher is on stable storage.
	Voucher(ctx context.Context, v voucher.Signed) error
	// Close is called once, when no other method runs any more.
	Close()
}

// ServerConfig limits what clients may cost. The zero value of a field stands for the default.
type ServerConfig struct {
	Key         crypto.Signer // device key
	Handler     Handler
	Log         *slog.Logger
	Connections int           // at once; 1024
	PerAddress  int           // connections from one IP address; 256
	Streams     int           // open requests of one connection; 256
	Window      int           // bytes under way of one put; a whole piece, 1 MiB
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
	orInt(&c.Window, piece.MaxSize)
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
