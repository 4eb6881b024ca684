// Package rentertest gives tests of the renter's engine a network without disks or a chain: storage
// nodes that speak the real protocol over loopback and keep pieces in memory, with faults that a
// test switches on, and a ledger that keeps leases and conserves coins.
package rentertest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// Fault changes how a node behaves. The zero Fault is an honest node.
type Fault struct {
	// Refuse answers every put with this code; 0 for none.
	Refuse wire.Code
	// Corrupt flips a bit of everything that is read.
	Corrupt bool
	// CorruptRanges flips a bit of reads of less than a piece, and is honest about whole pieces.
	CorruptRanges bool
	// FalseReceipts signs for bytes that were not kept: receipts state another root.
	FalseReceipts bool
	// Forget signs receipts and keeps nothing.
	Forget bool
	// HangPuts and HangGets, where not nil, hold requests until the channel is closed.
	HangPuts, HangGets chan struct{}
}

// stored is a piece.
type stored struct {
	data []byte
	root piece.Root
}

// key names a piece.
type key struct {
	lease uint64
	id    piece.ID
}

// Node is a storage node in memory.
type Node struct {
	Device uint64
	Owner  string
	Region string
	// Credit is how many bytes it serves unpaid.
	Credit uint64

	ledger *Ledger
	key    ed25519.PrivateKey

	fault  atomic.Pointer[Fault]
	mu     sync.Mutex // guards what follows
	pieces map[key]stored
	served map[uint64]uint64 // by lease
	best   map[uint64]voucher.Signed
	addr   string
	stop   context.CancelFunc
	ended  chan struct{}
}

// newNode makes a node that is not running.
func newNode(l *Ledger, device uint64, owner, region string) *Node {
	seed := make([]byte, ed25519.SeedSize)
	binary.LittleEndian.PutUint64(seed, device)
	n := &Node{
		Device: device, Owner: owner, Region: region, Credit: 8 << 20, ledger: l, key: ed25519.NewKeyFromSeed(seed),
		pieces: make(map[key]stored), served: make(map[uint64]uint64), best: make(map[uint64]voucher.Signed),
	}
	n.fault.Store(&Fault{})
	return n
}

// SetFault makes the node misbehave from now on.
func (n *Node) SetFault(f Fault) { n.fault.Store(&f) }

// Start serves on a loopback port: always the same one, so that the chain's endpoint stays right.
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stop != nil {
		return errors.New("node is running")
	}
	addr := n.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	// While the node was down its port may have become the near end of somebody's connection.
	for try := 0; errors.Is(err, syscall.EADDRINUSE) && try < 300; try++ {
		time.Sleep(100 * time.Millisecond)
		l, err = net.Listen("tcp", addr)
	}
	if err != nil {
		return fmt.Errorf("starting node %d: %w", n.Device, err)
	}
	server, err := wire.NewServer(wire.ServerConfig{Key: n.key, Handler: n})
	if err != nil {
		l.Close()
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	n.addr, n.stop, n.ended = l.Addr().String(), stop, make(chan struct{})
	ended := n.ended
	go func() {
		defer close(ended)
		_ = server.Serve(ctx, l)
	}()
	return nil
}

// Kill ends all connections at once and stops listening; pieces stay.
func (n *Node) Kill() {
	n.mu.Lock()
	stop, ended := n.stop, n.ended
	n.stop = nil
	n.mu.Unlock()
	if stop != nil {
		stop()
		<-ended
	}
}

// Wipe loses every piece.
func (n *Node) Wipe() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.pieces)
}

// Endpoint is where the node listens.
func (n *Node) Endpoint() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addr
}

// Pieces counts what the node holds.
func (n *Node) Pieces() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.pieces)
}

// Holds reports whether the node has a piece under any lease.
func (n *Node) Holds(id piece.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k := range n.pieces {
		if k.id == id {
			return true
		}
	}
	return false
}

// Served is what the node has served under a lease, and the best voucher it holds for that.
func (n *Node) Served(lease uint64) (bytes uint64, best voucher.Signed) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.served[lease], n.best[lease]
}

// Admit implements wire.Handler.
func (n *Node) Admit(_ context.Context, hello wire.Hello, peer []byte, client wire.Client) (wire.Service, wire.Terms, error) {
	if hello.ChainID != n.ledger.ChainID() {
		return nil, wire.Terms{}, wire.ErrWrongChain
	}
	if hello.Device != n.Device {
		return nil, wire.Terms{}, wire.ErrWrongDevice
	}
	metered, err := n.ledger.admit(hello.Lease, n.Device, peer)
	if err != nil {
		return nil, wire.Terms{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	terms := wire.Terms{
		Version: wire.Version, Time: n.ledger.clock.Now(), MaxPiece: piece.MaxSize, Streams: 256, Window: 256 << 10,
		Credit: n.Credit, Served: n.served[hello.Lease],
	}
	if best, ok := n.best[hello.Lease]; ok {
		terms.LastVoucher = &best
	}
	return &service{node: n, lease: hello.Lease, session: peer, metered: metered, client: client, paid: make(chan struct{}, 1)}, terms, nil
}

// service serves one connection.
type service struct {
	node    *Node
	lease   uint64
	session ed25519.PublicKey
	metered price.Rate
	client  wire.Client
	paid    chan struct{}
}

func (s *service) Close() {}

func hang(ctx context.Context, gate chan struct{}) error {
	if gate == nil {
		return nil
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *service) Put(ctx context.Context, h wire.PutHeader, body *wire.Body) (piece.SignedReceipt, error) {
	fault := s.node.fault.Load()
	if err := hang(ctx, fault.HangPuts); err != nil {
		return piece.SignedReceipt{}, err
	}
	if fault.Refuse != 0 {
		return piece.SignedReceipt{}, fault.Refuse
	}
	data := make([]byte, 0, h.Size)
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
	root := piece.RootOf(data)
	k := key{s.lease, h.ID}
	s.node.mu.Lock()
	if old, ok := s.node.pieces[k]; ok && old.root != root {
		s.node.mu.Unlock()
		return piece.SignedReceipt{}, wire.ErrExists
	}
	if !fault.Forget {
		s.node.pieces[k] = stored{data: data, root: root}
	}
	s.node.mu.Unlock()
	if fault.FalseReceipts {
		root[0] ^= 1
	}
	now := s.node.ledger.clock.Now()
	expiry := h.Expiry
	if expiry == 0 {
		expiry = now.Add(24 * time.Hour).Unix()
	}
	return piece.SignReceipt(s.node.key, piece.Receipt{
		ChainID: s.node.ledger.ChainID(), Lease: s.lease, Device: s.node.Device, ID: h.ID, Root: root,
		Size: h.Size, Expiry: expiry, IssuedAt: now.Unix(),
	}), nil
}

func (s *service) find(id piece.ID) (stored, error) {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	p, ok := s.node.pieces[key{s.lease, id}]
	if !ok {
		return p, wire.ErrNotFound
	}
	return p, nil
}

func (s *service) Get(ctx context.Context, id piece.ID, off, n uint32, out *wire.Download) error {
	fault := s.node.fault.Load()
	if err := hang(ctx, fault.HangGets); err != nil {
		return err
	}
	p, err := s.find(id)
	if err != nil {
		return err
	}
	if uint64(off)+uint64(n) > uint64(len(p.data)) {
		return wire.ErrRange
	}
	if err := s.afford(ctx); err != nil {
		return err
	}
	data := p.data[off : off+n]
	if n > 0 && (fault.Corrupt || fault.CorruptRanges && int(n) < len(p.data)) {
		data = bytes.Clone(data)
		data[len(data)/2] ^= 0x10
	}
	if err := out.Begin(ctx, wire.Info{Root: p.root, Size: uint32(len(p.data))}); err != nil {
		return err
	}
	if err := out.Write(ctx, data); err != nil {
		return err
	}
	return s.bill(ctx, uint64(n))
}

// afford waits for a voucher while the credit is used up.
func (s *service) afford(ctx context.Context) error {
	timeout := time.NewTimer(2 * time.Second)
	defer timeout.Stop()
	var asked wire.Demand
	for {
		s.node.mu.Lock()
		demand := wire.Demand{Served: s.node.served[s.lease], Paid: s.node.best[s.lease].Units}
		s.node.mu.Unlock()
		if demand.Served-demand.Paid < s.node.Credit {
			return nil
		}
		if demand != asked {
			asked = demand
			if err := s.client.Demand(ctx, demand); err != nil {
				return err
			}
		}
		select {
		case <-s.paid:
			s.wake() // others may wait, too
		case <-timeout.C:
			return wire.ErrUnpaid
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// bill counts served bytes and asks for a voucher when half the credit is used.
func (s *service) bill(ctx context.Context, n uint64) error {
	s.node.mu.Lock()
	s.node.served[s.lease] += n
	demand := wire.Demand{Served: s.node.served[s.lease], Paid: s.node.best[s.lease].Units}
	s.node.mu.Unlock()
	if demand.Served-demand.Paid < s.node.Credit/2 {
		return nil
	}
	return s.client.Demand(ctx, demand)
}

func (s *service) Delete(_ context.Context, releases []piece.SignedRelease) error {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	for _, r := range releases {
		delete(s.node.pieces, key{s.lease, r.ID})
	}
	return nil
}

// Ask implements wire.Service: nobody proves possession here.
func (s *service) Ask(context.Context, uint64, uint32) ([]byte, error) {
	return nil, wire.ErrUnauthorized
}

// Inclusion implements wire.Service: no tree is committed.
func (s *service) Inclusion(context.Context, piece.ID, uint64) ([]byte, error) {
	return nil, wire.ErrNotFound
}

func (s *service) Stat(_ context.Context, id piece.ID) (wire.Info, error) {
	p, err := s.find(id)
	return wire.Info{Root: p.root, Size: uint32(len(p.data))}, err
}

func (s *service) List(_ context.Context, dst []wire.Listed, after piece.ID, limit int) ([]wire.Listed, bool, error) {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	var all []wire.Listed
	for k, p := range s.node.pieces {
		if k.lease == s.lease && bytes.Compare(k.id[:], after[:]) > 0 {
			all = append(all, wire.Listed{ID: k.id, Info: wire.Info{Root: p.root, Size: uint32(len(p.data))}})
		}
	}
	slices.SortFunc(all, func(a, b wire.Listed) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	more := len(all) > limit
	return append(dst, all[:min(limit, len(all))]...), more, nil
}

func (s *service) Challenge(_ context.Context, id piece.ID, chunk uint32) ([]byte, piece.Proof, error) {
	p, err := s.find(id)
	if err != nil {
		return nil, piece.Proof{}, err
	}
	proof, err := piece.Prove(p.data, int(chunk))
	if err != nil {
		return nil, piece.Proof{}, wire.ErrRange
	}
	from := int(chunk) * piece.ChunkSize
	return p.data[from:min(from+piece.ChunkSize, len(p.data))], proof, nil
}

func (s *service) Voucher(_ context.Context, v voucher.Signed) error {
	if v.Lease != s.lease || v.Device != s.node.Device || v.ChainID != s.node.ledger.ChainID() {
		return wire.ErrBadVoucher
	}
	if err := v.Verify(s.session); err != nil {
		return wire.ErrBadVoucher
	}
	due, err := s.metered.Cost(v.Units)
	if err != nil || v.Amount.Cmp(due) < 0 {
		return wire.ErrBadVoucher
	}
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	if old, ok := s.node.best[s.lease]; ok && voucher.Supersedes(old.Voucher, v.Voucher) != nil {
		return wire.ErrBadVoucher
	}
	s.node.best[s.lease] = v
	s.wake()
	return nil
}

func (s *service) wake() {
	select {
	case s.paid <- struct{}{}:
	default:
	}
}

// node is how the chain shows this node.
func (n *Node) listing(offer renter.Offer, standing renter.Standing) renter.Node {
	return renter.Node{
		Device: n.Device, Owner: n.Owner, Endpoint: n.Endpoint(), Region: n.Region,
		Key: n.key.Public().(ed25519.PublicKey), Standing: standing, Offer: offer,
	}
}
