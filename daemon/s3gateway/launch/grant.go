package launch

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cosmossdk.io/math"
	"golang.org/x/sync/errgroup"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/pass"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/grant"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// GrantRequest asks a running gateway for a grant (POST /grant of its status address, with GrantToken).
type GrantRequest struct {
	Bucket string `json:"bucket"`
	// Path is an object's key, or a prefix: empty, or ending in a slash.
	Path string `json:"path"`
	// Seconds is how long it is good for.
	Seconds int64 `json:"seconds"`
	// Reads is how often everything can be read before the escrow is used up.
	Reads uint64 `json:"reads"`
	// VerifyOnly makes a grant that opens nothing: whoever has it can ask the nodes for proofs.
	VerifyOnly bool `json:"verify_only"`
	// Quote asks what it would cost, and makes nothing.
	Quote bool `json:"quote"`
}

// GrantQuote says what a grant is for and what is put into escrow for it; what is not used goes back.
type GrantQuote struct {
	Objects int          `json:"objects"`
	Bytes   int64        `json:"bytes"`
	Devices int          `json:"devices"`
	Escrow  price.Amount `json:"escrow"` // acairn
	Until   int64        `json:"until"`  // Unix seconds
}

const (
	maxGrantRequest = 4 << 10
	maxGrantObjects = 100_000
	maxGrantReads   = 1_000
)

// GrantToken authorises grants of a gateway: whoever knows its S3 secret key.
func GrantToken(secretKey string) string {
	mac := hmac.New(sha256.New, []byte(secretKey))
	mac.Write([]byte("cairn/grant"))
	return hex.EncodeToString(mac.Sum(nil))
}

// serveGrant answers POST /grant with a GrantQuote or the bytes of a grant.
func (g *gateway) serveGrant(w http.ResponseWriter, r *http.Request) {
	if !hmac.Equal([]byte(r.Header.Get("Authorization")), []byte("Bearer "+GrantToken(g.SecretKey))) {
		http.Error(w, "the token of this gateway is needed", http.StatusUnauthorized)
		return
	}
	var request GrantRequest
	err := json.NewDecoder(io.LimitReader(r.Body, maxGrantRequest)).Decode(&request)
	if err != nil {
		http.Error(w, "the request is not JSON", http.StatusBadRequest)
		return
	}
	plan, err := g.planGrant(r.Context(), request)
	if err == nil && request.Quote {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(plan.quote) // else nobody is left to hear of it
		return
	}
	var file []byte
	if err == nil {
		file, err = g.makeGrant(r.Context(), plan)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(file) // likewise
}

// grantPlan is a grant before its lease is open.
type grantPlan struct {
	grant grant.Grant
	items []marketv1.NewItem
	quote GrantQuote
}

// planGrant gathers what a grant holds, and what its lease has to have in escrow.
func (g *gateway) planGrant(ctx context.Context, request GrantRequest) (plan grantPlan, err error) {
	switch {
	case request.Seconds < 60:
		return plan, fmt.Errorf("a grant for %d seconds: at least 60", request.Seconds)
	case request.Reads < 1 || request.Reads > maxGrantReads:
		return plan, fmt.Errorf("%d reads: want 1 to %d", request.Reads, maxGrantReads)
	}
	own := g.leases.Current()
	if own == nil {
		return plan, errors.New("the gateway has no lease: nothing is stored yet")
	}
	bucket := g.root.Bucket(request.Bucket)
	keys := bucket.GrantObject(request.Bucket, request.Path)
	if request.Path == "" || strings.HasSuffix(request.Path, "/") {
		if keys, err = bucket.GrantPrefix(request.Bucket, request.Path); err != nil {
			return plan, err
		}
	}
	given := keys
	if request.VerifyOnly {
		given = bucket.GrantVerify(request.Bucket)
	}
	text, err := given.Encode()
	if err != nil {
		return plan, err
	}
	until := g.Clock.Now().Unix() + request.Seconds
	plan.grant = grant.Grant{
		ChainID: g.chain.id, Keys: text, PieceSecret: bucket.PieceSecret(), DataLease: own.ID, Expiry: until,
	}
	if err := g.gather(ctx, keys, &plan.grant); err != nil {
		return plan, err
	}
	for _, o := range plan.grant.Objects {
		plan.quote.Bytes += o.Size
	}
	if err := g.priceGrant(ctx, &plan, request); err != nil {
		return plan, err
	}
	plan.quote.Objects, plan.quote.Devices, plan.quote.Until = len(plan.grant.Objects), len(plan.items), until
	if request.VerifyOnly {
		plan.grant.Objects = nil // their names are nobody's business, nor are their wrapped keys
		if len(plan.grant.Segments) == 0 {
			return plan, errors.New("everything there is so small that the gateway keeps it itself: no node has to prove it")
		}
	}
	return plan, nil
}

// gather takes the objects that keys open, as they are now, and their segments.
func (g *gateway) gather(ctx context.Context, keys seal.Grant, to *grant.Grant) error {
	var names []string
	if keys.Kind == seal.ReadObject {
		names = []string{keys.Path}
	} else {
		err := g.db.EachVersion(ctx, keys.Bucket, keys.Path, func(o metabase.Object) (bool, error) {
			if o.Latest && !o.DeleteMarker {
				names = append(names, o.Key)
			}
			if len(names) > maxGrantObjects {
				return false, fmt.Errorf("more than %d objects: share less at once", maxGrantObjects)
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	place := make(map[metabase.SegmentID]int)
	for _, name := range names {
		o, _, err := g.db.Object(ctx, keys.Bucket, name, "")
		if errors.Is(err, metabase.ErrNoObject) && keys.Kind == seal.ReadPrefix {
			continue // gone meanwhile
		}
		if err != nil {
			return fmt.Errorf("%s/%s: %w", keys.Bucket, name, err)
		}
		if o.DeleteMarker {
			return fmt.Errorf("%s/%s: %w", keys.Bucket, name, metabase.ErrNoObject)
		}
		shared := grant.Object{Key: o.Key, Size: o.Size}
		for _, e := range o.Extents {
			extent := grant.Extent{ObjectID: e.ObjectID, WrappedKey: e.WrappedKey, Size: e.Size, Inline: e.Inline}
			var ids []metabase.SegmentID
			for _, ref := range e.Segments {
				ids = append(ids, ref.ID)
			}
			segments, err := g.db.Segments(ctx, ids...)
			if err != nil {
				return fmt.Errorf("%s/%s: %w", keys.Bucket, name, err)
			}
			for _, s := range segments {
				n, known := place[s.ID]
				if !known {
					if s.Lease != to.DataLease {
						return fmt.Errorf("%s/%s lies under lease %d, which is not the gateway's any more (%d): it can be shared once repair has moved it", keys.Bucket, name, s.Lease, to.DataLease)
					}
					n = len(to.Segments)
					place[s.ID] = n
					to.Segments = append(to.Segments, metabase.Segment{
						ID: s.ID, Class: s.Class, PlainSize: s.PlainSize, SealedSize: s.SealedSize, Root: s.Root, PieceRoots: s.PieceRoots, Pieces: s.Pieces, Bucket: s.Bucket,
					})
				}
				extent.Segments = append(extent.Segments, n)
			}
			shared.Extents = append(shared.Extents, extent)
		}
		to.Objects = append(to.Objects, shared)
	}
	if len(to.Objects) == 0 {
		return fmt.Errorf("%s/%s: nothing is there to share", keys.Bucket, keys.Path)
	}
	return nil
}

// priceGrant plans the items of the lease that pays for the reading: one unit of each device that holds a
// piece and takes leases, with an escrow for so many readings of all that it holds.
func (g *gateway) priceGrant(ctx context.Context, plan *grantPlan, request GrantRequest) error {
	held := make(map[uint64]uint64) // bytes of shared pieces by device
	for _, s := range plan.grant.Segments {
		class, known := erasure.ClassByName(s.Class)
		if !known {
			return fmt.Errorf("segment %s is of class %q, which is none", s.ID, s.Class)
		}
		for _, p := range s.Pieces {
			if request.VerifyOnly {
				held[p.Device] += proofSize
			} else {
				held[p.Device] += uint64(class.Geometry(int(s.SealedSize)).PieceSize)
			}
		}
	}
	nodes, err := g.chain.Nodes(ctx)
	if err != nil {
		return err
	}
	term := time.Duration(request.Seconds) * time.Second
	reached := make(map[uint64]bool)
	for _, n := range nodes {
		bytes, some := held[n.Device]
		o := n.Offer
		if !some || o.ID == 0 || n.Standing != renter.StandingActive || o.Free() == 0 || o.Denom != chainclient.Denom ||
			term < o.MinTerm || o.MaxTerm > 0 && term > o.MaxTerm {
			continue
		}
		escrow, err := readingEscrow(o, bytes, request.Reads, uint64(request.Seconds))
		if err != nil {
			return fmt.Errorf("device %d: %w", n.Device, err)
		}
		total, overflow := plan.quote.Escrow.Add(escrow)
		if overflow {
			return fmt.Errorf("device %d: %s acairn in escrow are too much", n.Device, escrow)
		}
		plan.quote.Escrow = total
		reached[n.Device] = true
		plan.items = append(plan.items, marketv1.NewItem{Offer: o.ID, Units: 1, Escrow: math.NewIntFromBigInt(escrow.Big())})
	}
	for _, s := range plan.grant.Segments {
		class, _ := erasure.ClassByName(s.Class)
		n := 0
		for _, p := range s.Pieces {
			if reached[p.Device] {
				n++
			}
		}
		if n < class.K {
			return fmt.Errorf("segment %s: %d of its pieces are on devices that take a lease of %s, %d are needed", s.ID, n, term, class.K)
		}
	}
	return nil
}

// proofSize is more than a chunk of a piece and the path to its root have together.
const proofSize = 4 << 10

// readingEscrow pays a device for reading so many bytes so often, and for its one unit.
func readingEscrow(o renter.Offer, bytes, reads, seconds uint64) (price.Amount, error) {
	// A reader asks two nodes more than it needs, and the headers of pieces count, too.
	const spare = 64 << 10
	served, err := o.Metered.Cost((bytes + spare) * reads)
	if err != nil {
		return price.Amount{}, err
	}
	reserved, err := o.Stream.StreamCost(1, seconds)
	if err != nil {
		return price.Amount{}, err
	}
	all, overflow := served.Add(reserved)
	if !overflow {
		all, overflow = all.Add(price.FromUint64(1))
	}
	if overflow {
		return price.Amount{}, errors.New("its price is beyond 128 bits")
	}
	return all, nil
}

// makeGrant opens the lease that pays, signs the pass for it, and writes the file.
func (g *gateway) makeGrant(ctx context.Context, plan grantPlan) ([]byte, error) {
	made := plan.grant
	rand.Read(made.SessionSeed[:])  // never fails (crypto/rand)
	made.Lease = made.DataLease + 1 // any: the file must fit before money is spent on it
	if len(plan.items) > 0 {
		if _, err := made.Encode(); err != nil {
			return nil, err
		}
		id, err := g.chain.OpenLease(ctx, &marketv1.MsgOpenLease{
			SessionKey: publicKey(made.Session()), Items: plan.items, Seconds: plan.quote.Until - g.Clock.Now().Unix(),
		})
		if err != nil {
			return nil, fmt.Errorf("opening a lease to read under: %w", err)
		}
		made.Lease = id
	}
	made.Signature = pass.Sign(g.root.SessionKey(0), made.Pass().Pass).Signature
	return made.Encode()
}

// ReadConfig says how to read with a grant.
type ReadConfig struct {
	Grant grant.Grant
	// Chain is the gRPC address of a node of the chain, and Trust whom to believe on the way there.
	Chain string
	Trust chainclient.Trust
	// Dir keeps what was promised to nodes between runs; 0700.
	Dir    string
	Policy renter.Policy
	Log    *slog.Logger // nil for silence
}

// Reader reads the objects of a grant from the nodes themselves.
type Reader struct {
	grant  grant.Grant
	keys   seal.Grant
	client *chainclient.Client
	book   *renter.Book
	links  *renter.Links
	engine *renter.Engine
}

// OpenGrant prepares reading. Close it.
func OpenGrant(ctx context.Context, c ReadConfig) (_ *Reader, err error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := &Reader{grant: c.Grant}
	if r.keys, err = seal.ParseGrant(c.Grant.Keys); err != nil {
		return nil, err
	}
	if now := time.Now().Unix(); now > c.Grant.Expiry {
		return nil, fmt.Errorf("the grant expired %s", time.Unix(c.Grant.Expiry, 0).Format(time.DateTime))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.client, err = chainclient.New(chainclient.Config{Endpoint: c.Chain, Trust: c.Trust, Log: c.Log}); err != nil {
		return nil, err
	}
	all, err := newChain(ctx, r.client)
	if err != nil {
		return nil, err
	}
	if all.id != c.Grant.ChainID {
		return nil, fmt.Errorf("the grant is for chain %s, this node is on %s", c.Grant.ChainID, all.id)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making a directory for vouchers: %w", err)
	}
	session := c.Grant.Session()
	if r.book, err = renter.OpenBook(filepath.Join(c.Dir, fmt.Sprintf("vouchers-%d", c.Grant.Lease)), all.id, session, creditWindow); err != nil {
		return nil, err
	}
	only := grantChain{all, c.Grant.Lease}
	leases := renter.LeaseConfig{}
	pool := renter.NewPool(renter.PoolConfig{Policy: c.Policy, LostAfter: defaultLostAfter, Distrust: defaultDistrust}, leases.Accepts, clock.System{})
	service := renter.NewLeaseService(renter.LeaseDeps{
		Chain: only, Config: leases, Session: publicKey(session), Book: r.book, Pool: pool, Clock: clock.System{}, Log: c.Log,
	})
	if err := service.Read(ctx); err != nil {
		return nil, err
	}
	if service.Current() == nil && len(c.Grant.Segments) > 0 {
		return nil, fmt.Errorf("the lease that pays for reading (%d) has ended: ask for a new grant", c.Grant.Lease)
	}
	r.links = renter.NewLinks(all.id, session, pool, r.book, service, clock.System{})
	r.links.Show(c.Grant.Pass())
	r.engine, err = renter.NewEngine(renter.Deps{
		Pool: pool, Links: r.links, Leases: service, Garbage: nothing{}, Clock: clock.System{}, Log: c.Log,
		PieceSecret: func(string) [32]byte { return c.Grant.PieceSecret },
		Corrupt:     func(metabase.SegmentID, metabase.Piece) {},
	})
	return r, err
}

// Close ends reading.
func (r *Reader) Close() error {
	var errs []error
	if r.engine != nil {
		errs = append(errs, r.engine.Close())
	}
	if r.links != nil {
		errs = append(errs, r.links.Close())
	}
	if r.book != nil {
		errs = append(errs, r.book.Close())
	}
	if r.client != nil {
		errs = append(errs, r.client.Close())
	}
	return errors.Join(errs...)
}

// Read writes an object to w.
func (r *Reader) Read(ctx context.Context, o grant.Object, w io.Writer) error {
	key, err := r.keys.Object(o.Key)
	if err != nil {
		return err
	}
	for _, e := range o.Extents {
		data, err := key.Unwrap(e.WrappedKey)
		if err != nil {
			return fmt.Errorf("opening the key of %q: %w", o.Key, err)
		}
		if len(e.Segments) == 0 {
			plain, err := data.Segment(e.ObjectID, 0).Open(nil, e.Inline)
			if err == nil {
				_, err = w.Write(plain)
			}
			if err != nil {
				return fmt.Errorf("reading %q: %w", o.Key, err)
			}
			continue
		}
		segments := make([]metabase.Segment, len(e.Segments))
		for i, n := range e.Segments {
			segments[i] = r.grant.Segments[n]
			segments[i].Lease = r.grant.Lease // that pays; the pass says where the pieces lie
		}
		if err := r.engine.Fetch(ctx, data, e.ObjectID, segments, 0, e.Size, w); err != nil {
			return fmt.Errorf("reading %q: %w", o.Key, err)
		}
	}
	return nil
}

// Verification is what the nodes proved of the segments of a grant.
type Verification struct {
	Segments int `json:"segments"`
	// Readable have at least as many proven pieces as it takes to read them.
	Readable int                  `json:"readable"`
	Pieces   int                  `json:"pieces"`
	Proven   int                  `json:"proven"`
	Devices  []DeviceVerification `json:"devices"` // ascending
}

// DeviceVerification is what one of them proved.
type DeviceVerification struct {
	Device uint64 `json:"device"`
	Pieces int    `json:"pieces"`
	Proven int    `json:"proven"`
	// Failed pieces are missing, or are not what was stored.
	Failed int `json:"failed"`
	// Away pieces were not asked for: the node did not answer, which proves nothing.
	Away int `json:"away"`
	// Trouble is one reason for which pieces failed or were not asked for.
	Trouble string `json:"trouble,omitempty"`
}

// Verify has every node prove that it holds one chunk, drawn now, of each of its pieces. It opens
// nothing, so that a grant of any kind will do. step is called after every segment, by one at a time.
func (r *Reader) Verify(ctx context.Context, step func()) (Verification, error) {
	const parallel = 16 // pieces of one segment, which lie on different devices
	v := Verification{Segments: len(r.grant.Segments)}
	devices := make(map[uint64]*DeviceVerification)
	for _, seg := range r.grant.Segments {
		class, ok := erasure.ClassByName(seg.Class)
		if !ok {
			return v, fmt.Errorf("segment %s is of class %q, which is none", seg.ID, seg.Class)
		}
		results := make([]error, len(seg.Pieces))
		group := errgroup.Group{}
		group.SetLimit(parallel)
		for i, p := range seg.Pieces {
			group.Go(func() error {
				results[i] = r.challenge(ctx, seg, class, p)
				return nil
			})
		}
		_ = group.Wait() // they are in results
		if err := ctx.Err(); err != nil {
			return v, err
		}
		proven := 0
		for i, p := range seg.Pieces {
			d := devices[p.Device]
			if d == nil {
				d = &DeviceVerification{Device: p.Device}
				devices[p.Device] = d
			}
			v.Pieces++
			d.Pieces++
			switch err := results[i]; {
			case err == nil:
				proven++
				d.Proven++
			case errors.Is(err, wire.ErrNotFound), errors.Is(err, wire.ErrCorrupt), errors.Is(err, wire.ErrRange):
				d.Failed++
				d.Trouble = err.Error()
			default:
				d.Away++
				d.Trouble = err.Error()
			}
		}
		v.Proven += proven
		if proven >= class.K {
			v.Readable++
		}
		step()
	}
	for _, device := range slices.Sorted(maps.Keys(devices)) {
		v.Devices = append(v.Devices, *devices[device])
	}
	return v, nil
}

func (r *Reader) challenge(ctx context.Context, seg metabase.Segment, class erasure.Class, p metabase.Piece) error {
	size := class.Geometry(int(seg.SealedSize)).PieceSize
	chunk := mathrand.IntN(int(piece.Chunks(uint64(size))))
	return r.links.Do(ctx, p.Device, r.grant.Lease, func(conn *wire.Conn) error {
		return conn.Challenge(ctx, r.engine.PieceID(seg.Bucket, seg.ID, p.Index), seg.PieceRoots[p.Index], uint32(size), chunk)
	})
}

// grantChain is the chain as the holder of a grant sees it: one lease, and no money.
type grantChain struct {
	*chain
	lease uint64
}

// Leases implements renter.Chain.
func (c grantChain) Leases(ctx context.Context) ([]marketv1.Lease, error) {
	l, _, err := c.Lease(ctx, c.lease)
	if errors.Is(err, chainclient.ErrNotFound) {
		return nil, nil
	}
	return []marketv1.Lease{l}, err
}

// errSpent says that a grant's money is used up.
var errSpent = errors.New("the escrow of the grant is used up: ask for a new one")

// Balance implements renter.Chain.
func (grantChain) Balance(context.Context, string) (price.Amount, error) { return price.Amount{}, nil }

// OpenLease implements renter.Chain.
func (grantChain) OpenLease(context.Context, *marketv1.MsgOpenLease) (uint64, error) {
	return 0, errSpent
}

// AmendLease implements renter.Chain.
func (grantChain) AmendLease(context.Context, *marketv1.MsgAmendLease) error { return errSpent }

// CloseLease implements renter.Chain.
func (grantChain) CloseLease(context.Context, uint64, ...uint64) error { return errSpent }

// nothing is a renter.Discarder for who stores nothing.
type nothing struct{}

func (nothing) Discard(context.Context, []metabase.Segment) error {
	return errors.New("a grant is for reading")
}
