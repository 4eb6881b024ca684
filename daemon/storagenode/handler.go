package storagenode

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-network/cairn/core/pass"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/daemon/storagenode/possession"
	"github.com/cairn-network/cairn/daemon/storagenode/store"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// Identity is who the provider is.
type Identity struct {
	ChainID string
	Device  uint64
	Key     crypto.Signer // device key: TLS and receipts; it may live in a chip
}

// maxClockSkew is how far a client's clock may be off.
const maxClockSkew = 2 * time.Minute

// maxExpiry is how far ahead a piece's own expiry may lie.
const maxExpiry = 20 * 365 * 24 * time.Hour

// handler admits consumers of leases.
type handler struct {
	identity Identity
	store    *store.Store
	leases   LeaseAuthority
	chain    Chain
	accounts *accounts
	clock    clock.Clock
	proofs   *possession.Service // nil for a node that proves nothing
	changes  atomic.Uint64       // puts and deletes
	grace    time.Duration       // reads go on for so long after a lease's end
	traffic  traffic
}

// traffic counts what clients did since the start.
type traffic struct {
	puts, gets, deletes atomic.Uint64
	bytesPut, bytesGot  atomic.Uint64 // of pieces
	failures            atomic.Uint64 // requests refused or failed
}

// Admit implements wire.Handler.
func (h *handler) Admit(ctx context.Context, hello wire.Hello, peer []byte, client wire.Client) (wire.Service, wire.Terms, error) {
	now := h.clock.Now()
	switch {
	case hello.ChainID != h.identity.ChainID:
		return nil, wire.Terms{}, wire.Errorf(wire.ErrWrongChain, "this provider is on %s", h.identity.ChainID)
	case hello.Device != h.identity.Device:
		return nil, wire.Terms{}, wire.Errorf(wire.ErrWrongDevice, "this is device %d", h.identity.Device)
	case hello.Time.Sub(now).Abs() > maxClockSkew:
		return nil, wire.Terms{}, wire.Errorf(wire.ErrClockSkew, "provider's clock says %s", now.UTC().Format(time.RFC3339))
	}
	if hello.Lease == 0 {
		return h.admitPeer(ctx, hello, peer)
	}
	item, err := h.leases.Item(ctx, hello.Lease, missFresh)
	if errors.Is(err, ErrNoLease) {
		return nil, wire.Terms{}, wire.Errorf(wire.ErrUnauthorized, "no lease %d on this device", hello.Lease)
	}
	if err != nil {
		return nil, wire.Terms{}, err
	}
	if !bytes.Equal(item.SessionKey, peer) {
		return nil, wire.Terms{}, wire.Errorf(wire.ErrUnauthorized, "lease %d has another session key", hello.Lease)
	}
	if !item.serves(now, h.grace) {
		return nil, wire.Terms{}, wire.Errorf(wire.ErrLeaseClosed, "lease %d has ended", hello.Lease)
	}
	data := hello.Lease
	if hello.Pass != nil {
		if err := h.honours(ctx, *hello.Pass, now); err != nil {
			return nil, wire.Terms{}, err
		}
		data = hello.Pass.Lease
	}
	s := &service{handler: h, lease: hello.Lease, data: data, client: client, account: h.accounts.open(hello.Lease)}
	if hello.Pass != nil {
		s.until = time.Unix(hello.Pass.Expiry, 0)
	}
	served, _ := s.account.state()
	terms := wire.Terms{Time: now, MaxPiece: piece.MaxSize, Credit: h.accounts.credit, Served: served}
	if v, ok := h.accounts.ledger.get(hello.Lease); ok {
		terms.LastVoucher = &v
	}
	return s, terms, nil
}

// honours says why a pass is not honoured, nil if it is.
func (h *handler) honours(ctx context.Context, p pass.Signed, now time.Time) error {
	if now.Unix() > p.Expiry {
		return wire.Errorf(wire.ErrUnauthorized, "the pass to lease %d expired at %d", p.Lease, p.Expiry)
	}
	item, err := h.leases.Item(ctx, p.Lease, missFresh)
	if errors.Is(err, ErrNoLease) {
		return wire.Errorf(wire.ErrUnauthorized, "no lease %d on this device", p.Lease)
	}
	if err != nil {
		return err
	}
	if err := p.Verify(item.SessionKey); err != nil {
		return wire.Errorf(wire.ErrUnauthorized, "%v", err)
	}
	return nil
}

// service serves one authenticated connection of one lease.
type service struct {
	*handler
	lease   uint64    // that pays
	data    uint64    // that the pieces lie under; the same, unless a pass names another
	until   time.Time // end of the pass
	client  wire.Client
	account *account
}

// own refuses what only the lease that the pieces lie under may do.
func (s *service) own() error {
	if s.data != s.lease {
		return wire.Errorf(wire.ErrUnauthorized, "a pass is for reading")
	}
	return nil
}

// Close implements wire.Service.
func (s *service) Close() { s.accounts.close(s.account) }

// allowed returns a lease's item when may allows what is asked for. Before it refuses it looks at
// the chain anew.
func (s *service) allowed(ctx context.Context, lease uint64, may func(*Item) bool) (item Item, err error) {
	for _, maxAge := range []time.Duration{itemFresh, missFresh} {
		item, err = s.leases.Item(ctx, lease, maxAge)
		if errors.Is(err, ErrNoLease) {
			return item, wire.Errorf(wire.ErrLeaseClosed, "lease %d is gone", lease)
		}
		if err != nil || may(&item) {
			return item, err
		}
	}
	return item, wire.Errorf(wire.ErrLeaseClosed, "lease %d has ended", lease)
}

// readable gives the item that pays when pieces may be read: both it and, with a pass, the lease that
// they lie under are served, and the pass has not run out.
func (s *service) readable(ctx context.Context) (Item, error) {
	serves := func(i *Item) bool { return i.serves(s.clock.Now(), s.grace) }
	if s.data != s.lease {
		if s.clock.Now().After(s.until) {
			return Item{}, wire.Errorf(wire.ErrUnauthorized, "the pass to lease %d has expired", s.data)
		}
		if _, err := s.allowed(ctx, s.data, serves); err != nil {
			return Item{}, err
		}
	}
	return s.allowed(ctx, s.lease, serves)
}

// code turns a store's error into one for the wire.
func code(err error) error {
	corrupt := (*store.CorruptError)(nil)
	for _, m := range []struct {
		from error
		to   wire.Code
	}{
		{store.ErrNotFound, wire.ErrNotFound},
		{store.ErrExists, wire.ErrExists},
		{store.ErrNoSpace, wire.ErrNoSpace},
		{store.ErrQuota, wire.ErrQuota},
		{store.ErrTooLarge, wire.ErrTooLarge},
		{store.ErrClosed, wire.ErrShutdown},
	} {
		if errors.Is(err, m.from) {
			return &wire.Error{Code: m.to}
		}
	}
	if errors.As(err, &corrupt) {
		return &wire.Error{Code: wire.ErrCorrupt}
	}
	return err
}

var hashers = sync.Pool{New: func() any { return piece.NewHasher() }}

// Put implements wire.Service.
func (s *service) Put(ctx context.Context, h wire.PutHeader, body *wire.Body) (receipt piece.SignedReceipt, err error) {
	defer func() { s.count(err) }()
	if err := s.own(); err != nil {
		return receipt, err
	}
	now := s.clock.Now()
	item, err := s.allowed(ctx, s.lease, func(i *Item) bool {
		return i.takes(now) && uint64(s.store.Lease(s.lease).Bytes)+uint64(h.Size) <= s.limit(i)
	})
	if err != nil && !item.takes(now) {
		return receipt, err // else the store refuses, and says why
	}
	switch {
	case h.Size > piece.MaxSize:
		return receipt, wire.Errorf(wire.ErrTooLarge, "%d bytes, at most %d", h.Size, piece.MaxSize)
	case h.Expiry < 0 || h.Expiry > now.Add(maxExpiry).Unix():
		return receipt, wire.Errorf(wire.ErrBadRequest, "expiry %d", h.Expiry)
	case h.Expiry != 0 && h.Expiry <= now.Unix():
		return receipt, wire.Errorf(wire.ErrClockSkew, "expiry %d has passed, it is %d", h.Expiry, now.Unix())
	}
	// Each piece counts as whole chunks in the tree, which may hold no more than twice what is leased.
	if most := max(fewPieces, item.Units/piece.ChunkSize); uint64(s.store.Lease(s.lease).Pieces) >= most {
		return receipt, wire.Errorf(wire.ErrQuota, "the lease has room for %d pieces", most)
	}
	if most := max(fewReleases, item.Units/8); s.proofs.Releases().Bytes(s.lease) > most {
		return receipt, wire.Errorf(wire.ErrQuota, "releases of deleted pieces take more than %d bytes", most)
	}
	key := store.Key{Lease: s.lease, ID: h.ID}
	w, err := s.store.Create(key, store.CreateOptions{
		Size: h.Size, Expiry: h.Expiry, Until: item.ExpiresAt.Unix(), Limit: s.limit(&item),
	})
	if errors.Is(err, store.ErrExists) {
		return s.putAgain(ctx, key, h, body, item)
	}
	if err != nil {
		return receipt, code(err)
	}
	defer w.Abort()
	root, err := drain(ctx, body, int(h.Size), w)
	if err != nil {
		return receipt, code(err)
	}
	info, err := w.Commit(root)
	if err != nil {
		return receipt, code(err)
	}
	s.traffic.puts.Add(1)
	s.changes.Add(1)
	s.traffic.bytesPut.Add(uint64(h.Size))
	return s.receipt(info, item)
}

// fewReleases is how much the releases of the smallest lease may take on the disk, bytes.
const fewReleases = 64 << 10

// fewPieces may lie under the smallest lease.
const fewPieces = 16

// limit is how many bytes may lie under a lease: what it reserves, and what its renter deleted and is
// kept only until it can be asked for no more.
func (s *service) limit(i *Item) uint64 { return i.Units + s.proofs.Graves().Bytes(s.lease) }

// hidden tells whether a piece is there no more for its renter.
func (s *service) hidden(id piece.ID) bool {
	return s.proofs.Graves().Hidden(possession.Key{Lease: s.data, ID: id})
}

// drain reads a body to its end, into w unless that is nil, and computes its root.
func drain(ctx context.Context, body *wire.Body, size int, w io.Writer) (piece.Root, error) {
	hasher := hashers.Get().(*piece.Hasher)
	defer hashers.Put(hasher)
	hasher.Reset()
	for {
		b, err := body.Next(ctx)
		if errors.Is(err, io.EOF) {
			return hasher.Root(), nil
		}
		if err != nil {
			return piece.Root{}, err
		}
		if w != nil {
			if _, err := w.Write(b); err != nil {
				return piece.Root{}, err
			}
		}
		if len(b) == size {
			return piece.RootOf(b), nil
		}
		_, _ = hasher.Write(b) // never fails
	}
}

// putAgain answers a put of a piece that is there already: a client whose answer was lost gets its
// receipt, provided it sends the same bytes.
func (s *service) putAgain(ctx context.Context, key store.Key, h wire.PutHeader, body *wire.Body, item Item) (piece.SignedReceipt, error) {
	info, err := s.store.Stat(key)
	if errors.Is(err, store.ErrNotFound) {
		return piece.SignedReceipt{}, wire.Errorf(wire.ErrBusy, "the piece is being written")
	}
	if err != nil {
		return piece.SignedReceipt{}, code(err)
	}
	if info.Size != h.Size || info.Expiry != h.Expiry {
		return piece.SignedReceipt{}, wire.ErrExists
	}
	root, err := drain(ctx, body, int(h.Size), nil)
	if err != nil {
		return piece.SignedReceipt{}, err
	}
	if root != info.Root {
		return piece.SignedReceipt{}, wire.ErrExists
	}
	// The renter may have deleted it before; then it only waited for its tree to go.
	if err := s.proofs.Graves().Show(possession.Key{Lease: key.Lease, ID: key.ID}); err != nil {
		return piece.SignedReceipt{}, err
	}
	s.changes.Add(1)
	return s.receipt(info, item)
}

// receipt signs for a piece that is on stable storage.
func (s *service) receipt(info store.Info, item Item) (piece.SignedReceipt, error) {
	expiry := info.Expiry
	if expiry == 0 {
		expiry = item.ExpiresAt.Unix()
	}
	return piece.SignReceiptBy(rand.Reader, s.identity.Key, piece.Receipt{
		ChainID: s.identity.ChainID, Lease: s.lease, Device: s.identity.Device,
		ID: info.Key.ID, Root: info.Root, Size: info.Size, Expiry: expiry, IssuedAt: s.clock.Now().Unix(),
	})
}

func (s *service) count(err error) {
	if err != nil {
		s.traffic.failures.Add(1)
	}
}

func describe(i store.Info) wire.Info { return wire.Info{Root: i.Root, Size: i.Size, Expiry: i.Expiry} }

// Get implements wire.Service.
func (s *service) Get(ctx context.Context, id piece.ID, off, n uint32, out *wire.Download) (err error) {
	defer func() { s.count(err) }()
	item, err := s.readable(ctx)
	if err != nil {
		return err
	}
	if s.hidden(id) {
		return wire.ErrNotFound
	}
	r, err := s.store.Open(store.Key{Lease: s.data, ID: id})
	if err != nil {
		return code(err)
	}
	defer r.Close()
	info := r.Info()
	if uint64(off)+uint64(n) > uint64(info.Size) {
		return wire.Errorf(wire.ErrRange, "bytes %d to %d of %d", off, uint64(off)+uint64(n), info.Size)
	}
	if err := out.Begin(ctx, describe(info)); err != nil {
		return err
	}
	free := item.Metered.Amount.IsZero()
	err = r.Read(int64(off), int64(n), func(b []byte) error {
		if !free {
			if err := s.account.charge(ctx, s.client, uint64(len(b))); err != nil {
				return err
			}
		}
		before := out.Left()
		err := out.Write(ctx, b)
		if err != nil && !free {
			// A reader that gave up did not get the rest: billing it would use up credit that no
			// voucher ever brings back.
			s.account.refund(uint64(len(b) - (before - out.Left())))
		}
		return err
	})
	if err != nil {
		return code(err)
	}
	s.traffic.gets.Add(1)
	s.traffic.bytesGot.Add(uint64(n))
	return nil
}

// Delete implements wire.Service. A lease that has ended may still be cleared.
func (s *service) Delete(ctx context.Context, releases []piece.SignedRelease) (err error) {
	defer func() { s.count(err) }()
	if err := s.own(); err != nil {
		return err
	}
	item, err := s.readable(ctx)
	if err != nil {
		return err
	}
	// A release must cover every receipt that was given so far.
	if now := s.clock.Now().Unix(); len(releases) > 0 && releases[0].Until < now {
		return wire.Errorf(wire.ErrClockSkew, "released until %d, it is %d", releases[0].Until, now)
	}
	free, hidden, err := s.proofs.Delete(s.lease, releases, item.ExpiresAt.Unix())
	if err != nil {
		return err
	}
	n, err := s.store.Delete(s.lease, free)
	s.traffic.deletes.Add(uint64(n + hidden))
	s.changes.Add(1)
	return code(err)
}

// Stat implements wire.Service.
func (s *service) Stat(ctx context.Context, id piece.ID) (info wire.Info, err error) {
	defer func() { s.count(err) }()
	if _, err := s.readable(ctx); err != nil {
		return info, err
	}
	if s.hidden(id) {
		return info, wire.ErrNotFound
	}
	i, err := s.store.Stat(store.Key{Lease: s.data, ID: id})
	if err != nil {
		return info, code(err)
	}
	return describe(i), nil
}

// List implements wire.Service.
func (s *service) List(ctx context.Context, dst []wire.Listed, after piece.ID, limit int) (pieces []wire.Listed, more bool, err error) {
	defer func() { s.count(err) }()
	if err := s.own(); err != nil {
		return nil, false, err
	}
	if _, err := s.readable(ctx); err != nil {
		return nil, false, err
	}
	infos := make([]store.Info, 0, limit)
	for first := len(dst); ; {
		if infos, more, err = s.store.List(ctx, infos[:0], s.lease, after, limit); err != nil {
			return nil, false, code(err)
		}
		for _, i := range infos {
			after = i.Key.ID
			if !s.hidden(i.Key.ID) {
				dst = append(dst, wire.Listed{ID: i.Key.ID, Info: describe(i)})
			}
		}
		// A page of nothing but deleted pieces gives the caller no id to go on from.
		if !more || len(infos) == 0 || len(dst) > first {
			break
		}
	}
	return dst, more, nil
}

// Challenge implements wire.Service. It reads and hashes the whole piece.
func (s *service) Challenge(ctx context.Context, id piece.ID, chunk uint32) (data []byte, proof piece.Proof, err error) {
	defer func() { s.count(err) }()
	if _, err := s.readable(ctx); err != nil {
		return nil, proof, err
	}
	if s.hidden(id) {
		return nil, proof, wire.ErrNotFound
	}
	b, info, err := s.store.Get(store.Key{Lease: s.data, ID: id})
	if err != nil {
		return nil, proof, code(err)
	}
	if uint64(chunk) >= piece.Chunks(uint64(info.Size)) || chunk > math.MaxInt32 {
		return nil, proof, wire.Errorf(wire.ErrRange, "chunk %d of %d", chunk, piece.Chunks(uint64(info.Size)))
	}
	if proof, err = piece.Prove(b, int(chunk)); err != nil {
		return nil, proof, fmt.Errorf("proving chunk %d of piece %s: %w", chunk, id, err)
	}
	first := int(chunk) * piece.ChunkSize
	return b[first:min(first+piece.ChunkSize, len(b))], proof, nil
}

// Ask implements wire.Service: a lease is nobody whom a beacon draws.
func (s *service) Ask(context.Context, uint64, uint32) ([]byte, error) {
	return nil, wire.Errorf(wire.ErrUnauthorized, "only a device may be drawn to ask")
}

// Inclusion implements wire.Service.
func (s *service) Inclusion(ctx context.Context, id piece.ID, epoch uint64) (proof []byte, err error) {
	defer func() { s.count(err) }()
	if err := s.own(); err != nil {
		return nil, err
	}
	if _, err := s.readable(ctx); err != nil {
		return nil, err
	}
	if s.proofs == nil {
		return nil, wire.Errorf(wire.ErrNotFound, "this provider commits to no tree")
	}
	return s.proofs.Inclusion(ctx, s.lease, id, epoch)
}

// Voucher implements wire.Service.
func (s *service) Voucher(ctx context.Context, v voucher.Signed) (err error) {
	defer func() { s.count(err) }()
	item, err := s.readable(ctx)
	if err != nil {
		return err
	}
	return s.accounts.pay(s.account, s.identity.ChainID, &item, v)
}
