package piece

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/internal/tlsid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

const (
	testChain  = "cairn-test-1"
	testLease  = 7
	testDevice = 3
	testPeer   = 4
	testEpoch  = 9
)

var (
	deviceKey  = testKey(1)
	sessionKey = testKey(2)
	peerKey    = testKey(6)
	ours       = Session{ChainID: testChain, Lease: testLease, Key: sessionKey}
)

// memory is a Handler and Service that keeps pieces in a map.
type memory struct {
	mu     sync.Mutex
	pieces map[piece.ID][]byte
	unpaid uint64 // bytes before a demand is sent and waited for; 0 for never
	served uint64
	best   *voucher.Signed
	paid   chan struct{}
	client Client
	block  chan struct{}              // put: waits for it after reading the body
	forge  func(*piece.SignedReceipt) // put: what a liar does to its receipt
	closed atomic.Int32
	opened atomic.Int32

	releases []piece.SignedRelease
}

func newMemory() *memory {
	return &memory{pieces: map[piece.ID][]byte{}, paid: make(chan struct{}, 100)}
}

func (m *memory) Admit(_ context.Context, h Hello, peer []byte, client Client) (Service, Terms, error) {
	asks := bytes.Equal(peer, public(peerKey)) && h.Lease == 0 && h.Peer == testPeer
	if !asks && (!bytes.Equal(peer, public(sessionKey)) || h.Lease != testLease) {
		return nil, Terms{}, Errorf(ErrUnauthorized, "lease %d", h.Lease)
	}
	if h.Device != testDevice {
		return nil, Terms{}, ErrWrongDevice
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.client = client
	m.opened.Add(1)
	return m, Terms{Time: time.Now(), MaxPiece: piece.MaxSize, Credit: 1 << 20, Served: m.served, LastVoucher: m.best}, nil
}

func (m *memory) Put(ctx context.Context, h PutHeader, body *Body) (piece.SignedReceipt, error) {
	var data []byte
	for {
		b, err := body.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return piece.SignedReceipt{}, err
		}
		data = append(data, b...)
	}
	if m.block != nil {
		select {
		case <-m.block:
		case <-ctx.Done():
			return piece.SignedReceipt{}, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pieces[h.ID] = data
	now := time.Now().Unix()
	expiry := h.Expiry
	if expiry == 0 {
		expiry = now + 1000
	}
	r := piece.SignReceipt(deviceKey, piece.Receipt{
		ChainID: testChain, Lease: testLease, Device: testDevice, ID: h.ID,
		Root: piece.RootOf(data), Size: h.Size, Expiry: expiry, IssuedAt: now,
	})
	if m.forge != nil {
		m.forge(&r)
	}
	return r, nil
}

func (m *memory) Get(ctx context.Context, id piece.ID, off, n uint32, out *Download) error {
	m.mu.Lock()
	data, ok := m.pieces[id]
	m.mu.Unlock()
	if !ok {
		return ErrNotFound
	}
	if int(off)+int(n) > len(data) {
		return ErrRange
	}
	if err := out.Begin(ctx, Info{Root: piece.RootOf(data), Size: uint32(len(data))}); err != nil {
		return err
	}
	for rest := data[off : off+n]; len(rest) > 0; {
		part := rest[:min(len(rest), 50_000)]
		m.mu.Lock()
		m.served += uint64(len(part))
		var paid uint64
		if m.best != nil {
			paid = m.best.Units
		}
		owing := m.unpaid > 0 && m.served > paid+m.unpaid
		d := Demand{Served: m.served, Paid: paid}
		m.mu.Unlock()
		if owing {
			if err := m.client.Demand(ctx, d); err != nil {
				return err
			}
		}
		if err := out.Write(ctx, part); err != nil {
			return err
		}
		if owing {
			select {
			case <-m.paid:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		rest = rest[len(part):]
	}
	return nil
}

func (m *memory) Delete(_ context.Context, releases []piece.SignedRelease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range releases {
		delete(m.pieces, r.ID)
	}
	m.releases = append(m.releases, releases...)
	return nil
}

// tree is that of the pieces there are.
func (m *memory) tree() *merkle.Tree {
	m.mu.Lock()
	defer m.mu.Unlock()
	var leaves []merkle.Leaf
	for id, data := range m.pieces {
		l, err := challenge.NewLeaf(testLease, id, piece.RootOf(data), uint64(len(data)), math.MaxInt64)
		if err != nil {
			panic(err)
		}
		leaves = append(leaves, l)
	}
	slices.SortFunc(leaves, func(a, b merkle.Leaf) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	tree, err := merkle.Build(leaves)
	if err != nil {
		panic(err)
	}
	return tree
}

// Ask shows the first chunk of the first leaf, whatever is asked for.
func (m *memory) Ask(_ context.Context, epoch uint64, index uint32) ([]byte, error) {
	if epoch != testEpoch {
		return nil, ErrUnauthorized
	}
	place, chunk, err := m.tree().ProveAt(uint64(index))
	if err != nil {
		return nil, ErrRange
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, data := range m.pieces {
		if challenge.LeafID(testLease, id) == place.Leaf.ID {
			p, err := challenge.Prove(place, data, chunk)
			if err != nil {
				return nil, err
			}
			return p.MarshalBinary()
		}
	}
	return nil, ErrNotFound
}

func (m *memory) Inclusion(_ context.Context, id piece.ID, _ uint64) ([]byte, error) {
	tree := m.tree()
	for i := range tree.Len() {
		if tree.Leaf(i).ID != challenge.LeafID(testLease, id) {
			continue
		}
		p, err := tree.Prove(i)
		if err != nil {
			return nil, err
		}
		return p.MarshalBinary()
	}
	return nil, ErrNotFound
}

func (m *memory) Stat(_ context.Context, id piece.ID) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.pieces[id]
	if !ok {
		return Info{}, Errorf(ErrNotFound, "no \x1b[31mred\x1b[0m piece")
	}
	return Info{Root: piece.RootOf(data), Size: uint32(len(data))}, nil
}

func (m *memory) List(context.Context, []Listed, piece.ID, int) ([]Listed, bool, error) {
	panic("a handler that is broken")
}

func (m *memory) Challenge(context.Context, piece.ID, uint32) ([]byte, piece.Proof, error) {
	return random(1, piece.ChunkSize), piece.Proof{}, nil
}

func (m *memory) Voucher(_ context.Context, v voucher.Signed) error {
	if err := v.Verify(public(sessionKey)); err != nil {
		return ErrBadVoucher
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.best != nil {
		if err := voucher.Supersedes(m.best.Voucher, v.Voucher); err != nil {
			return Errorf(ErrBadVoucher, "%v", err)
		}
	}
	m.best = &v
	m.paid <- struct{}{}
	return nil
}

func (m *memory) Close() { m.closed.Add(1) }

// start serves m on loopback until the test ends.
func start(t testing.TB, m Handler, change ...func(*ServerConfig)) (address string, s *Server) {
	t.Helper()
	config := ServerConfig{Key: deviceKey, Handler: m}
	for _, fn := range change {
		fn(&config)
	}
	s, err := NewServer(config)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
		require.Zero(t, s.connections.Load())
		require.Zero(t, s.streams.Load())
		require.True(t, s.memory.TryAcquire(s.config.Memory), "all memory is given back")
	})
	return l.Addr().String(), s
}

func dialTest(t testing.TB, address string, o Options) *Conn {
	t.Helper()
	c, err := Dial(context.Background(), address, testDevice, public(deviceKey), ours, o)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestRequestsSideBySide(t *testing.T) {
	m := newMemory()
	address, _ := start(t, m)
	c := dialTest(t, address, Options{})
	ctx := context.Background()
	var wg sync.WaitGroup
	for i := range byte(64) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			data := random(i, 1+int(i)*int(i)*257%piece.MaxSize)
			root := piece.RootOf(data)
			id := piece.ID{i}
			var err error
			if i%2 == 0 {
				_, err = c.Put(ctx, id, 0, len(data), io.MultiReader(bytes.NewReader(data[:len(data)/3]), bytes.NewReader(data[len(data)/3:])))
			} else {
				_, err = c.PutBytes(ctx, id, 0, &root, data[:len(data)/3], nil, data[len(data)/3:])
			}
			if err != nil {
				t.Error(err)
				return
			}
			got := make([]byte, len(data)-len(data)/4)
			if _, err := c.GetBytes(ctx, id, int64(len(data)/4), got); err != nil || !bytes.Equal(got, data[len(data)/4:]) {
				t.Errorf("piece %d: %v", i, err)
			}
		}()
	}
	wg.Wait()
}

func TestErrorsSurviveTheWire(t *testing.T) {
	m := newMemory()
	address, _ := start(t, m)
	c := dialTest(t, address, Options{})
	ctx := context.Background()
	_, err := c.Stat(ctx, piece.ID{1})
	require.ErrorIs(t, err, ErrNotFound)
	require.NotContains(t, err.Error(), "\x1b", "a provider cannot play with the terminal")
	_, err = c.Get(ctx, piece.ID{1}, 0, 10, io.Discard)
	require.ErrorIs(t, err, ErrNotFound)
	_, _, err = c.List(ctx, piece.ID{})
	require.ErrorIs(t, err, ErrInternal, "a panic of one request is that request's error")
	require.ErrorIs(t, c.Challenge(ctx, piece.ID{1}, piece.Root{}, 1000, 0), ErrCorrupt)
	_, err = c.PutBytes(ctx, piece.ID{1}, 0, nil, make([]byte, piece.MaxSize+1))
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = c.PutBytes(ctx, piece.ID{1}, 0, nil)
	require.ErrorIs(t, err, ErrBadRequest, "a piece of no bytes")
	_, err = c.Put(ctx, piece.ID{1}, 0, 100, bytes.NewReader(make([]byte, 50)))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = c.Put(ctx, piece.ID{1}, 0, 200_000, io.LimitReader(rand.NewChaCha8([32]byte{}), 150_000))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = c.PutBytes(ctx, piece.ID{1}, 0, nil, random(1, 5000))
	require.NoError(t, err, "the connection goes on")
	_, err = c.Get(ctx, piece.ID{1}, 4000, 1001, io.Discard)
	require.ErrorIs(t, err, ErrRange)
}

func TestWhoIsAdmitted(t *testing.T) {
	address, _ := start(t, newMemory())
	ctx := context.Background()
	for name, test := range map[string]struct {
		device uint64
		key    ed25519.PublicKey
		s      Session
		want   error
	}{
		"another session key":    {testDevice, public(deviceKey), Session{ChainID: testChain, Lease: testLease, Key: testKey(9)}, ErrUnauthorized},
		"another lease":          {testDevice, public(deviceKey), Session{ChainID: testChain, Lease: 8, Key: sessionKey}, ErrUnauthorized},
		"another device":         {4, public(deviceKey), ours, ErrWrongDevice},
		"a peer unknown":         {testDevice, public(deviceKey), Session{ChainID: testChain, Peer: 5, PeerKey: peerKey}, ErrUnauthorized},
		"neither lease nor peer": {testDevice, public(deviceKey), Session{ChainID: testChain, Key: peerKey}, ErrProtocol},
		"no chain id":            {testDevice, public(deviceKey), Session{ChainID: "", Lease: testLease, Key: sessionKey}, ErrProtocol},
	} {
		_, err := Dial(ctx, address, test.device, test.key, test.s, Options{})
		require.ErrorIs(t, err, test.want, name)
	}
	_, err := Dial(ctx, address, testDevice, public(testKey(8)), ours, Options{})
	mismatch := (*tlsid.KeyMismatchError)(nil)
	require.ErrorAs(t, err, &mismatch)
	_, err = Dial(ctx, address, testDevice, public(deviceKey), ours, Options{Now: func() time.Time { return time.Now().Add(time.Hour) }})
	require.ErrorIs(t, err, ErrClockSkew)
}

func TestLyingReceiptsAreRefused(t *testing.T) {
	m := newMemory()
	address, _ := start(t, m)
	c := dialTest(t, address, Options{})
	for name, forge := range map[string]func(*piece.SignedReceipt){
		"signature":    func(r *piece.SignedReceipt) { r.Signature[3] ^= 1 },
		"another key":  func(r *piece.SignedReceipt) { *r = piece.SignReceipt(testKey(5), r.Receipt) },
		"root":         func(r *piece.SignedReceipt) { r.Root[0] ^= 1; *r = piece.SignReceipt(deviceKey, r.Receipt) },
		"size":         func(r *piece.SignedReceipt) { r.Size++; *r = piece.SignReceipt(deviceKey, r.Receipt) },
		"piece":        func(r *piece.SignedReceipt) { r.ID[0] ^= 1; *r = piece.SignReceipt(deviceKey, r.Receipt) },
		"lease":        func(r *piece.SignedReceipt) { r.Lease++; *r = piece.SignReceipt(deviceKey, r.Receipt) },
		"expiry":       func(r *piece.SignedReceipt) { r.Expiry++; *r = piece.SignReceipt(deviceKey, r.Receipt) },
		"another time": func(r *piece.SignedReceipt) { r.IssuedAt -= 9999; *r = piece.SignReceipt(deviceKey, r.Receipt) },
	} {
		m.forge = forge
		_, err := c.PutBytes(context.Background(), piece.ID{1}, time.Now().Unix()+500, nil, random(1, 100))
		if name == "another time" {
			require.ErrorIs(t, err, ErrClockSkew, name)
		} else {
			require.ErrorIs(t, err, ErrBadReceipt, name)
		}
	}
}

// TestSlowPieceStallsNoOther fills one stream's window and uses another stream.
func TestSlowPieceStallsNoOther(t *testing.T) {
	m := newMemory()
	address, _ := start(t, m)
	c := dialTest(t, address, Options{})
	ctx := context.Background()
	_, err := c.PutBytes(ctx, piece.ID{1}, 0, nil, random(1, piece.MaxSize))
	require.NoError(t, err)
	reading, read := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow := make(chan error, 1)
	go func() {
		_, err := c.Get(ctx, piece.ID{1}, 0, piece.MaxSize, writerFunc(func(p []byte) (int, error) {
			once.Do(func() { close(reading) })
			<-read
			return len(p), nil
		}))
		slow <- err
	}()
	<-reading
	for range 20 {
		_, err := c.Get(ctx, piece.ID{1}, 0, piece.MaxSize, io.Discard)
		require.NoError(t, err)
	}
	close(read)
	require.NoError(t, <-slow)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestCancelledPutReturnsAtOnce cancels while the provider holds back its answer.
func TestCancelledPutReturnsAtOnce(t *testing.T) {
	m := newMemory()
	m.block = make(chan struct{})
	address, s := start(t, m)
	c := dialTest(t, address, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := c.PutBytes(ctx, piece.ID{1}, 0, nil, random(1, 500_000))
		done <- err
	}()
	for s.streams.Load() == 0 {
		runtime.Gosched() // the request is on its way
	}
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	close(m.block)
	_, err := c.PutBytes(context.Background(), piece.ID{2}, 0, nil, random(2, 500_000))
	require.NoError(t, err, "the connection goes on")
}

func TestMoreRequestsThanStreamsWait(t *testing.T) {
	m := newMemory()
	address, _ := start(t, m, func(c *ServerConfig) { c.Streams = 2 })
	c := dialTest(t, address, Options{})
	var wg sync.WaitGroup
	for i := range byte(50) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := c.PutBytes(context.Background(), piece.ID{i}, 0, nil, random(i, 3000)); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	require.Equal(t, 50, len(m.pieces))
}

func TestServedBytesArePaidFor(t *testing.T) {
	m := newMemory()
	m.unpaid = 100_000
	address, _ := start(t, m)
	rate := func(uint64) (price.Rate, error) { return price.Rate{Amount: price.FromUint64(3), Per: 1000}, nil }
	purse := NewPurse(ours, rate, time.Hour)
	c := dialTest(t, address, Options{Vouchers: purse})
	ctx := context.Background()
	_, err := c.PutBytes(ctx, piece.ID{1}, 0, nil, random(1, piece.MaxSize))
	require.NoError(t, err)
	for range 3 {
		_, err = c.Get(ctx, piece.ID{1}, 0, piece.MaxSize, io.Discard)
		require.NoError(t, err)
	}
	var best voucher.Signed
	var served uint64
	// The last demand may be answered after the last byte came.
	require.Eventually(t, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		best, served = *m.best, m.served
		return best.Amount == purse.Spent() && best.Units+200_000 > served
	}, 10*time.Second, time.Millisecond)
	require.LessOrEqual(t, best.Units, served)
	cost, err := price.Rate{Amount: price.FromUint64(3), Per: 1000}.Cost(best.Units)
	require.NoError(t, err)
	require.Equal(t, cost, best.Amount)
	// A client that lost its memory goes on from what the provider shows.
	fresh := NewPurse(ours, rate, time.Hour)
	c2 := dialTest(t, address, Options{Vouchers: fresh})
	_, err = c2.Get(ctx, piece.ID{1}, 0, piece.MaxSize, io.Discard)
	require.NoError(t, err)
	m.mu.Lock()
	require.Greater(t, m.best.Units, best.Units)
	require.Greater(t, m.best.Seq, best.Seq)
	m.mu.Unlock()
}

// TestClientPaysForNoMoreThanCame has a provider that bills for bytes it never sent.
func TestClientPaysForNoMoreThanCame(t *testing.T) {
	m := newMemory()
	address, _ := start(t, m)
	signed := make(chan uint64, 10)
	c := dialTest(t, address, Options{Vouchers: sourceFunc(func(held, units uint64) (voucher.Signed, error) {
		signed <- units
		return voucher.Sign(sessionKey, voucher.Voucher{ChainID: testChain, Lease: testLease, Device: testDevice, Units: held + units, Seq: 1, Expiry: 1 << 40}), nil
	})})
	ctx := context.Background()
	_, err := c.PutBytes(ctx, piece.ID{1}, 0, nil, random(1, 10_000))
	require.NoError(t, err)
	_, err = c.Get(ctx, piece.ID{1}, 0, 10_000, io.Discard)
	require.NoError(t, err)
	require.NoError(t, m.client.Demand(ctx, Demand{Served: 1 << 40}))
	require.LessOrEqual(t, <-signed, uint64(10_200))
	select {
	case n := <-signed:
		t.Fatalf("signed for another %d bytes", n)
	case <-time.After(5 * payAgain):
	}
}

type sourceFunc func(held, units uint64) (voucher.Signed, error)

func (f sourceFunc) Voucher(_ context.Context, _, _, held, units uint64) (voucher.Signed, error) {
	return f(held, units)
}
func (f sourceFunc) Resume(voucher.Signed) {}

// rawClient is a client that does what no client should.
func rawClient(t *testing.T, address string, hello bool) *rawSession {
	t.Helper()
	config, err := tlsid.ClientConfig(sessionKey, public(deviceKey), protocolName)
	require.NoError(t, err)
	nc, err := tls.Dial("tcp", address, config)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	s := &rawSession{nc}
	if hello {
		s.frame(frameHello, 0, appendHello(nil, Hello{Version: Version, ChainID: testChain, Lease: testLease, Device: testDevice, Time: time.Now()}))
		typ, _ := s.next(t)
		require.Equal(t, frameWelcome, typ)
	}
	return s
}

type rawSession struct{ net.Conn }

func (s *rawSession) frame(typ frameType, id uint32, payload []byte) {
	_, _ = s.Write(append(appendHeader(nil, typ, id, len(payload)), payload...)) // the server may have hung up
}

func (s *rawSession) next(t *testing.T) (frameType, []byte) {
	var hdr [headerSize]byte
	h, err := readHeader(s, &hdr)
	require.NoError(t, err)
	b := make([]byte, h.length)
	_, err = io.ReadFull(s, b)
	require.NoError(t, err)
	return h.typ, b
}

// TestProtocolViolationsEndTheConnection sends what breaks a rule and waits for the reason.
func TestProtocolViolationsEndTheConnection(t *testing.T) {
	m := newMemory()
	address, _ := start(t, m)
	put := appendPut(nil, PutHeader{ID: piece.ID{1}, Size: piece.MaxSize})
	del := append([]byte{byte(opDelete)}, make([]byte, 8+releaseSize)...)
	for name, violate := range map[string]func(*rawSession){
		"unknown frame type":    func(s *rawSession) { s.frame(77, 0, nil) },
		"frame too long":        func(s *rawSession) { s.Write([]byte{byte(frameData), 0xff, 0xff, 0xff, 1, 0, 0, 0}) },
		"data without a stream": func(s *rawSession) { s.frame(frameData, 0, []byte{1}) },
		"request cut short":     func(s *rawSession) { s.frame(frameRequest, 1, put[:20]) },
		"unknown request":       func(s *rawSession) { s.frame(frameRequest, 1, []byte{99}) },
		"delete cut short":      func(s *rawSession) { s.frame(frameRequest, 1, del[:len(del)-1]) },
		"delete without a time": func(s *rawSession) { s.frame(frameRequest, 1, del[:8]) },
		"stream id used twice":  func(s *rawSession) { s.frame(frameRequest, 5, put); s.frame(frameRequest, 5, put) },
		"stream id going down":  func(s *rawSession) { s.frame(frameRequest, 5, put); s.frame(frameRequest, 4, put) },
		"server's own frame":    func(s *rawSession) { s.frame(frameWelcome, 0, nil) },
		"too large a grant": func(s *rawSession) {
			s.frame(frameRequest, 1, put)
			s.frame(frameWindow, 1, []byte{255, 255, 255, 127})
		},
		"second hello":     func(s *rawSession) { s.frame(frameHello, 0, appendHello(nil, Hello{Version: 1})) },
		"request too long": func(s *rawSession) { s.frame(frameRequest, 1, append(put, make([]byte, 40_000)...)) },
		"bad ping":         func(s *rawSession) { s.frame(framePing, 0, []byte{1}) },
	} {
		t.Run(name, func(t *testing.T) {
			s := rawClient(t, address, true)
			violate(s)
			for {
				typ, b := s.next(t)
				if typ == frameGoAway {
					_, err := parseResponse(b)
					require.ErrorIs(t, err, ErrProtocol)
					return
				}
			}
		})
	}
}

// TestOverrunWindowEndsTheConnection sends more than the window while the handler does not read.
func TestOverrunWindowEndsTheConnection(t *testing.T) {
	m := &stubborn{newMemory()}
	address, _ := start(t, m)
	s := rawClient(t, address, true)
	s.frame(frameRequest, 1, appendPut(nil, PutHeader{ID: piece.ID{1}, Size: piece.MaxSize}))
	for range piece.MaxSize/DataSize + 1 {
		s.frame(frameData, 1, make([]byte, DataSize))
	}
	typ, b := s.next(t)
	require.Equal(t, frameGoAway, typ)
	_, err := parseResponse(b)
	require.ErrorIs(t, err, ErrProtocol)
}

// stubborn never reads a body.
type stubborn struct{ *memory }

func (m *stubborn) Admit(ctx context.Context, h Hello, peer []byte, c Client) (Service, Terms, error) {
	_, terms, err := m.memory.Admit(ctx, h, peer, c)
	return m, terms, err
}

func (m *stubborn) Put(ctx context.Context, _ PutHeader, _ *Body) (piece.SignedReceipt, error) {
	<-ctx.Done()
	return piece.SignedReceipt{}, ctx.Err()
}

// TestSlowLorisIsCutOff opens connections that never say hello, and an upload that never goes on.
func TestSlowLorisIsCutOff(t *testing.T) {
	m := newMemory()
	address, _ := start(t, m, func(c *ServerConfig) {
		c.Handshake, c.Progress, c.Idle = 100*time.Millisecond, 100*time.Millisecond, time.Minute
	})
	quiet, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer quiet.Close()
	_, err = quiet.Read(make([]byte, 1))
	require.Error(t, err)
	mute := rawClient(t, address, false)
	_, err = io.Copy(io.Discard, mute)
	require.NoError(t, ignoreReset(err))
	s := rawClient(t, address, true)
	s.frame(frameRequest, 1, appendPut(nil, PutHeader{ID: piece.ID{1}, Size: piece.MaxSize}))
	typ, b := s.next(t)
	require.Equal(t, frameResponse, typ)
	_, err = parseResponse(b)
	require.ErrorIs(t, err, ErrTimeout)
}

func ignoreReset(err error) error {
	var ne *net.OpError
	if errors.As(err, &ne) {
		return nil
	}
	return err
}

func TestIdleConnectionIsClosed(t *testing.T) {
	address, _ := start(t, newMemory(), func(c *ServerConfig) { c.Idle = 50 * time.Millisecond })
	s := rawClient(t, address, true)
	typ, b := s.next(t)
	require.Equal(t, frameGoAway, typ)
	_, err := parseResponse(b)
	require.ErrorIs(t, err, ErrTimeout)
}

func TestKeepAliveKeepsAQuietConnection(t *testing.T) {
	address, _ := start(t, newMemory(), func(c *ServerConfig) { c.Idle = 400 * time.Millisecond })
	c := dialTest(t, address, Options{Stall: 200 * time.Millisecond})
	select {
	case <-c.Done():
		t.Fatal(c.Err())
	case <-time.After(1500 * time.Millisecond):
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	m := newMemory()
	address, s := start(t, m, func(c *ServerConfig) { c.PerAddress = 3 })
	for range 3 {
		dialTest(t, address, Options{})
	}
	_, err := Dial(context.Background(), address, testDevice, public(deviceKey), ours, Options{})
	require.Error(t, err)
	require.EqualValues(t, 1, s.Stats().Refused)
}

func TestShutdownSaysGoodbye(t *testing.T) {
	m := newMemory()
	s, err := NewServer(ServerConfig{Key: deviceKey, Handler: m})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	c := dialTest(t, l.Addr().String(), Options{})
	stop()
	<-c.Done()
	require.ErrorIs(t, c.Err(), ErrShutdown)
	require.NoError(t, <-done)
	require.EqualValues(t, 1, m.closed.Load())
}

// TestDeleteCarriesReleases: for every piece deleted the provider has a release that the session key
// signed, and that covers the receipts of now; one whose signature does not hold deletes nothing.
func TestDeleteCarriesReleases(t *testing.T) {
	m := newMemory()
	address, _ := start(t, m)
	c := dialTest(t, address, Options{})
	ctx := context.Background()
	ids := make([]piece.ID, 2*MaxDelete+1)
	for i := range ids {
		le.PutUint32(ids[i][:], uint32(i))
	}
	receipt, err := c.PutBytes(ctx, ids[0], 0, nil, random(1, 100))
	require.NoError(t, err)
	require.NoError(t, c.Delete(ctx, ids))
	require.Len(t, m.releases, len(ids))
	for i, r := range m.releases {
		require.Equal(t, ids[i], r.ID)
		require.NoError(t, r.Verify(public(sessionKey)))
		require.Equal(t, piece.Release{ChainID: testChain, Lease: testLease, Device: testDevice, ID: ids[i], Until: r.Until}, r.Release)
	}
	require.True(t, m.releases[0].Covers(receipt.IssuedAt))

	m.releases = nil
	_, err = c.PutBytes(ctx, ids[0], 0, nil, random(1, 100))
	require.NoError(t, err)
	b := append(le.AppendUint64(nil, uint64(time.Now().Unix())), ids[0][:]...)
	_, err = c.call(ctx, opDelete, append(b, make([]byte, 64)...))
	require.ErrorIs(t, err, ErrBadRelease)
	require.Empty(t, m.releases)
	_, err = c.Stat(ctx, ids[0])
	require.NoError(t, err)
}

// TestQuestionsAreAnsweredWithProofs: what a provider shows to a drawn peer, and to its renter, is held
// against the committed root.
func TestQuestionsAreAnsweredWithProofs(t *testing.T) {
	m := newMemory()
	address, _ := start(t, m)
	ctx := context.Background()
	c := dialTest(t, address, Options{})
	var receipts []piece.SignedReceipt
	for i := range byte(5) {
		r, err := c.PutBytes(ctx, piece.ID{i}, 0, nil, random(i, 3000))
		require.NoError(t, err)
		receipts = append(receipts, r)
	}
	root := m.tree().Root()
	other := root
	other.Hash[0] ^= 1
	require.NoError(t, c.Inclusion(ctx, receipts[3].Receipt, testEpoch, root))
	require.ErrorIs(t, c.Inclusion(ctx, receipts[3].Receipt, testEpoch, other), ErrCorrupt)
	changed := receipts[3].Receipt
	changed.Root[0] ^= 1
	require.ErrorIs(t, c.Inclusion(ctx, changed, testEpoch, root), ErrCorrupt, "another piece under the id")
	changed.ID = piece.ID{77}
	require.ErrorIs(t, c.Inclusion(ctx, changed, testEpoch, root), ErrNotFound)

	peer, err := Dial(ctx, address, testDevice, public(deviceKey), Session{ChainID: testChain, Peer: testPeer, PeerKey: peerKey}, Options{})
	require.NoError(t, err)
	defer peer.Close()
	require.NoError(t, peer.Ask(ctx, Question{Epoch: testEpoch, Index: 7, Root: root, Position: 7}))
	require.ErrorIs(t, peer.Ask(ctx, Question{Epoch: testEpoch, Index: 7, Root: root, Position: 8}), ErrCorrupt, "the chunk beside it")
	require.ErrorIs(t, peer.Ask(ctx, Question{Epoch: testEpoch, Index: 7, Root: other, Position: 7}), ErrCorrupt)
	require.ErrorIs(t, peer.Ask(ctx, Question{Epoch: testEpoch + 1, Index: 7, Root: root, Position: 7}), ErrUnauthorized)
}

// TestCodesAreFixed holds the numbers that are protocol.
func TestCodesAreFixed(t *testing.T) {
	for code, n := range map[Code]uint16{
		ErrInternal: 1, ErrBadRequest: 2, ErrNotFound: 3, ErrExists: 4, ErrNoSpace: 5, ErrQuota: 6, ErrLeaseClosed: 7,
		ErrUnpaid: 8, ErrCorrupt: 9, ErrClockSkew: 10, ErrTooLarge: 11, ErrUnauthorized: 12, ErrWrongDevice: 13,
		ErrWrongChain: 14, ErrBusy: 15, ErrCanceled: 16, ErrTimeout: 17, ErrBadVoucher: 18, ErrShutdown: 19,
		ErrVersion: 20, ErrRange: 21, ErrProtocol: 22, ErrBadReceipt: 23, ErrBadRelease: 24,
	} {
		require.EqualValues(t, n, code)
		require.NotContains(t, code.Error(), "error "+fmt.Sprint(n))
	}
	require.Len(t, codeTexts, 24)
	require.Contains(t, Code(999).Error(), "999")
}

func FuzzMessages(f *testing.F) {
	f.Add(appendPut(nil, PutHeader{Size: 3}), byte(0))
	f.Add(append(appendPut(nil, PutHeader{Size: 3}), 1, 2, 3), byte(0))
	f.Add(appendHello(nil, Hello{Version: 1, ChainID: testChain, Lease: 1, Device: 2, Time: time.Unix(5, 0)}), byte(1))
	f.Add(appendHello(nil, Hello{Version: 1, ChainID: testChain, Device: 2, Peer: 3, Time: time.Unix(5, 0)}), byte(1))
	f.Add(append([]byte{byte(opDelete)}, make([]byte, 8+2*releaseSize)...), byte(0))
	f.Add(append([]byte{byte(opAsk)}, make([]byte, 12)...), byte(0))
	f.Add(append([]byte{byte(opInclusion)}, make([]byte, 40)...), byte(0))
	terms, err := appendTerms(nil, Terms{Version: 1, Window: DataSize, Streams: 1, Time: time.Unix(9, 0)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(terms, byte(2))
	f.Add(appendList(nil, []Listed{{}}, true), byte(3))
	f.Add(appendError(nil, Errorf(ErrBusy, "x")), byte(4))
	f.Add(appendDemand(nil, Demand{1, 2}), byte(5))
	f.Fuzz(func(t *testing.T, b []byte, kind byte) {
		// What parses must be written the same again: one encoding for each message.
		var again []byte
		var err error
		switch kind % 7 {
		case 0:
			var q request
			if q, err = parseRequest(b); err != nil {
				break
			}
			switch q.op {
			case opPut:
				again = append(appendPut(nil, q.put), q.inline...)
			case opAsk:
				again = le.AppendUint32(le.AppendUint64([]byte{byte(opAsk)}, q.epoch), q.off)
			case opInclusion:
				again = le.AppendUint64(append([]byte{byte(opInclusion)}, q.id[:]...), q.epoch)
			case opDelete:
				again = append([]byte{byte(opDelete)}, b[1:9]...)
				for _, r := range q.releases {
					again = append(append(again, r.ID[:]...), r.Signature[:]...)
				}
			}
		case 1:
			var h Hello
			if h, err = parseHello(b); err == nil {
				again = appendHello(nil, h)
			}
		case 2:
			var terms Terms
			if terms, err = parseTerms(b); err == nil {
				if again, err = appendTerms(nil, terms); err != nil {
					t.Fatal(err)
				}
			}
		case 3:
			var l []Listed
			var more bool
			if l, more, err = parseList(b); err == nil {
				again = appendList(nil, l, more)
			}
		case 4:
			_, _ = parseResponse(b)
		case 5:
			var d Demand
			if d, err = parseDemand(b); err == nil {
				again = appendDemand(nil, d)
			}
		case 6:
			_, _, _ = parseInfo(b)
		}
		if again != nil && !bytes.Equal(again, b) {
			t.Fatalf("%x was read, %x written", b, again)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(appendHeader(nil, frameData, 1, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		var hdr [headerSize]byte
		h, err := readHeader(bytes.NewReader(b), &hdr)
		if err == nil && (h.length > MaxPayload || !bytes.Equal(appendHeader(nil, h.typ, h.stream, h.length), b[:headerSize])) {
			t.Fatalf("%+v from %x", h, b)
		}
	})
}

// FuzzServer feeds a whole connection's worth of frames to a real server behind TLS.
func FuzzServer(f *testing.F) {
	m := newMemory()
	address, _ := start(f, m)
	config, err := tlsid.ClientConfig(sessionKey, public(deviceKey), protocolName)
	if err != nil {
		f.Fatal(err)
	}
	put := appendPut(nil, PutHeader{ID: piece.ID{1}, Size: 3})
	f.Add(append(appendHeader(nil, frameRequest, 1, len(put)+3), append(put, 1, 2, 3)...))
	f.Add(appendHeader(nil, framePing, 0, 8))
	for _, request := range [][]byte{
		append([]byte{byte(opDelete)}, make([]byte, 8+2*releaseSize)...),
		append([]byte{byte(opAsk)}, make([]byte, 12)...),
		append([]byte{byte(opInclusion)}, make([]byte, 40)...),
	} {
		f.Add(append(appendHeader(nil, frameRequest, 1, len(request)), request...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		nc, err := tls.Dial("tcp", address, config)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		s := &rawSession{nc}
		s.frame(frameHello, 0, appendHello(nil, Hello{Version: Version, ChainID: testChain, Lease: testLease, Device: testDevice, Time: time.Now()}))
		_, _ = s.Write(b)
		_ = nc.CloseWrite()
		_, _ = io.Copy(io.Discard, nc)
	})
}
