// Package snapshot keeps the gateway's metadata in the network that they describe, encrypted, and
// anchors where they lie on the chain, so that a renter who has nothing left but the wallet's words
// gets every bucket back. docs/spec/recover.md is its specification.
//
// # Mental model
//
//	chain: version, root, sealed pointer ──> manifest ──> full snapshot, deltas ──> every bucket
//
// A full snapshot and the deltas after it are streams of the metabase (metabase.DB.Snapshot and
// Changes), stored by the engine like any object. The manifest names them in order with the keys
// and the places of their segments. The pointer does the same for the manifest, is sealed under the
// renter's root secret, and is what the chain keeps. All of them are objects of a hidden bucket, so
// that repair looks after them as after everything else.
//
// # Invariants
//
//   - INV-SNAP-1: what a committed pointer leads to is in the network, with Optimal receipts, before
//     the pointer is committed, and is deleted only after a later one is.
//   - INV-SNAP-2: versions on chain rise by one, so that a gateway that was restored elsewhere and
//     its forgotten predecessor cannot overwrite each other unnoticed: the later commit of the two fails.
//
// What is stored and acknowledged after the last anchor is in this gateway's metabase alone, and is
// lost with its disk. Config.MaxAge bounds that time.
package snapshot

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/prometheus/client_golang/prometheus"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/internal/clock"
)

// Bucket holds the snapshots. No S3 client can name it.
const Bucket = metabase.HiddenPrefix + "snapshot"

// Errors.
var (
	// ErrNone means that the account has never anchored a snapshot.
	ErrNone = errors.New("no snapshot is anchored on the chain")
	// ErrForeign means that a pointer was not sealed by this renter, or does not fit its anchor.
	ErrForeign = errors.New("snapshot is not this renter's")
	// ErrTooBig means that a manifest does not fit into one segment.
	ErrTooBig = errors.New("snapshot manifest is too big")
)

// Chain keeps anchors. *chainclient.Client is one.
type Chain interface {
	// Snapshot returns the renter's anchor; one of version 0, or an error for which NotFound holds,
	// when there is none.
	Snapshot(ctx context.Context, renter string) (storagev1.Snapshot, error)
	CommitSnapshot(ctx context.Context, m *storagev1.MsgCommitSnapshot) error
}

// Config sets the pace. Zero values take the defaults of DefaultConfig.
type Config struct {
	// Poll is how often the metabase is asked whether it changed.
	Poll time.Duration
	// MaxAge is the longest that a change waits for its snapshot.
	MaxAge time.Duration
	// MaxChanges is how many updates make one at once.
	MaxChanges uint64
	// MaxDeltas is how many deltas follow a full snapshot before the next.
	MaxDeltas int
}

// DefaultConfig anchors a minute after a change at the latest.
func DefaultConfig() Config {
	return Config{Poll: 5 * time.Second, MaxAge: time.Minute, MaxChanges: 4096, MaxDeltas: 24}
}

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.Poll <= 0 {
		c.Poll = d.Poll
	}
	if c.MaxAge <= 0 {
		c.MaxAge = d.MaxAge
	}
	if c.MaxChanges == 0 {
		c.MaxChanges = d.MaxChanges
	}
	if c.MaxDeltas <= 0 {
		c.MaxDeltas = d.MaxDeltas
	}
	return c
}

// Deps are what a service works with.
type Deps struct {
	Config   Config
	Chain    Chain
	Renter   string // bech32 address of the account
	Root     seal.Root
	DB       *metabase.DB
	Engine   *renter.Engine
	NotFound func(error) bool // tells that an account has no anchor; nil for never
	Clock    clock.Clock
	Log      *slog.Logger
	Registry prometheus.Registerer // nil for none
}

// Service takes snapshots. Step, Flush and Run are for one goroutine, Status for any.
type Service struct {
	Deps
	version prometheus.Gauge

	changedAt time.Time // when the oldest change without a snapshot was noticed; zero for none

	mu     sync.Mutex // guards status
	status Status
}

// Status tells how current the anchor is.
type Status struct {
	Version uint64 `json:"version"`
	// AgeSeconds since the anchor was committed, -1 when there is none.
	AgeSeconds int64 `json:"age_s"`
	// Pending says how long the oldest change has been waiting, in seconds; 0 when there is none.
	Pending int64 `json:"pending_s"`
	// Trouble is why the last attempt failed.
	Trouble string `json:"trouble,omitempty"`

	committedAt, pendingSince time.Time
}

// New makes a service.
func New(d Deps) *Service {
	d.Config = d.Config.withDefaults()
	s := &Service{Deps: d, version: prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "cairn", Subsystem: "snapshot", Name: "version", Help: "Version of the metadata snapshot anchored last.",
	})}
	if d.Registry != nil {
		d.Registry.MustRegister(s.version)
	}
	return s
}

// Status returns the present figures.
func (s *Service) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, now := s.status, s.Clock.Now()
	st.AgeSeconds = -1
	if !st.committedAt.IsZero() {
		st.AgeSeconds = int64(now.Sub(st.committedAt) / time.Second)
	}
	if !st.pendingSince.IsZero() {
		st.Pending = int64(now.Sub(st.pendingSince) / time.Second)
	}
	return st
}

// Run steps until ctx is done. Whoever stops the gateway calls Flush when S3 takes no more requests.
func (s *Service) Run(ctx context.Context) error {
	return clock.Every(ctx, s.Clock, s.Config.Poll, func(ctx context.Context) error {
		if err := s.Step(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("taking a snapshot of the metadata", "error", err)
		}
		return nil
	})
}

// state is the last anchored manifest and what it covers, kept as a durable value.
type state struct {
	Version uint64 `cbor:"1,keyasint"`
	Items   []item `cbor:"2,keyasint"`
	// Covered is the metabase's sequence number once everything that belongs to the snapshot itself
	// was written: at that number, nothing else has changed.
	Covered uint64 `cbor:"3,keyasint"`
}

// item is one stream of a snapshot: a full one or a delta, and an object of Bucket.
type item struct {
	Key  string `cbor:"1,keyasint"`
	Size int64  `cbor:"2,keyasint"`
	Upto uint64 `cbor:"3,keyasint"`
}

// stateValue is the durable value's name.
const stateValue = "snapshot/state"

// Step takes a snapshot if enough has changed or a change has waited for long enough.
func (s *Service) Step(ctx context.Context) error { return s.step(ctx, false) }

// Flush takes a snapshot if anything has changed at all.
func (s *Service) Flush(ctx context.Context) error { return s.step(ctx, true) }

func (s *Service) step(ctx context.Context, force bool) error {
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	seq, err := s.DB.Sequence(ctx)
	if err != nil {
		return fmt.Errorf("reading the metabase's sequence number: %w", err)
	}
	if seq == st.Covered {
		s.changed(time.Time{})
		return nil
	}
	now := s.Clock.Now()
	if s.changedAt.IsZero() {
		s.changed(now)
	}
	if !force && now.Sub(s.changedAt) < s.Config.MaxAge && seq-min(seq, st.Covered) < s.Config.MaxChanges {
		return nil
	}
	err = s.take(ctx, st)
	s.mu.Lock()
	s.status.Trouble = ""
	if err != nil {
		s.status.Trouble = err.Error()
	}
	s.mu.Unlock()
	if err == nil {
		s.changed(time.Time{})
	}
	return err
}

func (s *Service) changed(at time.Time) {
	s.changedAt = at
	s.mu.Lock()
	s.status.pendingSince = at
	s.mu.Unlock()
}

func (s *Service) load(ctx context.Context) (st state, err error) {
	b, err := s.DB.Value(ctx, stateValue)
	if errors.Is(err, metabase.ErrNoValue) {
		return st, nil
	}
	if err == nil {
		err = cbor.Unmarshal(b, &st)
	}
	if err != nil {
		return st, fmt.Errorf("reading the state of snapshots: %w", err)
	}
	return st, nil
}

// anchor reads what the chain has; the zero Snapshot when there is nothing.
func anchor(ctx context.Context, chain Chain, address string, notFound func(error) bool) (storagev1.Snapshot, error) {
	a, err := chain.Snapshot(ctx, address)
	if err != nil && notFound != nil && notFound(err) {
		return storagev1.Snapshot{}, nil
	}
	if err != nil {
		return a, fmt.Errorf("reading the snapshot of %s: %w", address, err)
	}
	return a, nil
}

// take stores what changed, anchors it and forgets what it replaces.
func (s *Service) take(ctx context.Context, st state) error {
	known, err := anchor(ctx, s.Chain, s.Renter, s.NotFound)
	if err != nil {
		return err
	}
	if err := s.ensureBucket(ctx); err != nil {
		return err
	}
	if known.Version != st.Version {
		// Another gateway, or this one before it lost its disk: our deltas continue nothing.
		st.Items = nil
	}
	items, err := s.extend(ctx, st.Items)
	if err != nil {
		return err
	}
	version := known.Version + 1
	key, at, err := s.manifest(ctx, version, items)
	if err != nil {
		return err
	}
	p, root, err := s.point(at)
	if err != nil {
		return err
	}
	err = s.Chain.CommitSnapshot(ctx, &storagev1.MsgCommitSnapshot{Renter: s.Renter, Version: version, Root: root[:], Pointer: p})
	if err != nil {
		return fmt.Errorf("anchoring snapshot %d: %w", version, err)
	}
	if err := s.settle(ctx, state{Version: version, Items: items}, key); err != nil {
		return err
	}
	s.version.Set(float64(version))
	s.mu.Lock()
	s.status.Version, s.status.committedAt = version, s.Clock.Now()
	s.mu.Unlock()
	s.Log.Info("metadata anchored", "version", version, "streams", len(items))
	return nil
}

func (s *Service) ensureBucket(ctx context.Context) error {
	err := s.DB.CreateBucket(ctx, metabase.Bucket{Name: Bucket})
	if err != nil && !errors.Is(err, metabase.ErrBucketExists) {
		return fmt.Errorf("making the bucket of snapshots: %w", err)
	}
	return nil
}

// extend stores a delta after items, or a full snapshot in place of them when there are none, too
// many, or more bytes in deltas than in what they follow.
func (s *Service) extend(ctx context.Context, items []item) ([]item, error) {
	var deltas int64
	for _, it := range items[min(1, len(items)):] {
		deltas += it.Size
	}
	if len(items) > 0 && len(items) <= s.Config.MaxDeltas && deltas <= items[0].Size+1<<20 {
		since := items[len(items)-1].Upto
		it, err := s.store(ctx, func(w io.Writer) (uint64, error) { return s.DB.Changes(ctx, since, w) })
		if err == nil {
			return append(items[:len(items):len(items)], it), nil
		}
		if !errors.Is(err, metabase.ErrTrimmed) {
			return nil, err
		}
	}
	it, err := s.store(ctx, func(w io.Writer) (uint64, error) { return s.DB.Snapshot(ctx, w) })
	if err != nil {
		return nil, err
	}
	return []item{it}, nil
}

// store keeps a stream as an object.
func (s *Service) store(ctx context.Context, write func(io.Writer) (uint64, error)) (item, error) {
	r, w := io.Pipe()
	var upto uint64
	written := make(chan struct{})
	go func() {
		defer close(written)
		var err error
		upto, err = write(w)
		w.CloseWithError(err) // nil is io.EOF
	}()
	key, size, err := s.put(ctx, "stream", r)
	r.CloseWithError(err)
	<-written
	if err != nil {
		return item{}, fmt.Errorf("storing a snapshot stream: %w", err)
	}
	return item{Key: key, Size: size, Upto: upto}, nil
}

// put stores a new object of Bucket and commits it to the metabase.
func (s *Service) put(ctx context.Context, kind string, r io.Reader) (key string, size int64, err error) {
	var id [16]byte
	rand.Read(id[:])
	data, err := seal.NewDataKey(rand.Reader, seal.AES256GCM)
	if err != nil {
		return "", 0, err
	}
	segs, size, err := s.Engine.Store(ctx, renter.StoreRequest{Bucket: Bucket, ObjectID: id, Key: data}, r)
	if err != nil {
		return "", 0, err
	}
	extent := metabase.Extent{ObjectID: id, WrappedKey: s.Root.Snapshot().Wrap(data), Size: size}
	for _, seg := range segs {
		extent.Segments = append(extent.Segments, metabase.SegmentRef{ID: seg.ID, Size: seg.PlainSize})
	}
	key = fmt.Sprintf("%s-%x", kind, id)
	_, err = s.DB.PutObject(ctx, metabase.Object{Bucket: Bucket, Key: key, Size: size, Extents: []metabase.Extent{extent}}, segs, nil)
	if err != nil {
		return "", 0, errors.Join(err, s.Engine.Release(context.WithoutCancel(ctx), segs))
	}
	return key, size, nil
}

// place reads where an object's segments lie now.
func (s *Service) place(ctx context.Context, key string) (located, error) {
	o, _, err := s.DB.Object(ctx, Bucket, key, "")
	if err != nil {
		return located{}, fmt.Errorf("finding snapshot object %s: %w", key, err)
	}
	if len(o.Extents) != 1 {
		return located{}, fmt.Errorf("snapshot object %s has %d extents, want 1: %w", key, len(o.Extents), ErrForeign)
	}
	e := o.Extents[0]
	ids := make([]metabase.SegmentID, len(e.Segments))
	for i, ref := range e.Segments {
		ids[i] = ref.ID
	}
	segs, err := s.DB.Segments(ctx, ids...)
	if err != nil {
		return located{}, fmt.Errorf("finding segments of snapshot object %s: %w", key, err)
	}
	return located{ObjectID: e.ObjectID, WrappedKey: e.WrappedKey, Size: e.Size, Segments: segs}, nil
}

// manifest stores the list of streams, with where they lie now.
func (s *Service) manifest(ctx context.Context, version uint64, items []item) (key string, at located, err error) {
	m := manifest{Version: version}
	for _, it := range items {
		l, err := s.place(ctx, it.Key)
		if err != nil {
			return "", at, err
		}
		m.Streams = append(m.Streams, l)
	}
	b, err := encoding.Marshal(m)
	if err != nil {
		return "", at, fmt.Errorf("encoding snapshot manifest: %w", err)
	}
	if key, _, err = s.put(ctx, "manifest", bytes.NewReader(b)); err != nil {
		return "", at, fmt.Errorf("storing snapshot manifest: %w", err)
	}
	if at, err = s.place(ctx, key); err == nil && len(at.Segments) != 1 {
		err = fmt.Errorf("%d bytes: %w", len(b), ErrTooBig)
	}
	return key, at, err
}

// point seals where the manifest lies, and names it by a root: BLAKE3 over the segment root, which
// commits to every encrypted byte of it, and through it to those of all streams.
func (s *Service) point(manifest located) (sealed []byte, root piece.Root, err error) {
	b, err := encoding.Marshal(manifest)
	if err != nil {
		return nil, root, fmt.Errorf("encoding snapshot pointer: %w", err)
	}
	root = piece.RootOf(manifest.Segments[0].Root[:])
	return s.Root.Box(boxPurpose).Seal(nil, b, root[:]), root, nil
}

// settle remembers what was anchored and deletes what it replaces. Cut off anywhere, the next take
// does the rest.
func (s *Service) settle(ctx context.Context, st state, manifest string) error {
	keep := map[string]bool{manifest: true}
	for _, it := range st.Items {
		keep[it.Key] = true
	}
	var drop []string
	err := s.DB.EachVersion(ctx, Bucket, "", func(o metabase.Object) (bool, error) {
		if !keep[o.Key] {
			drop = append(drop, o.Key)
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("listing snapshots: %w", err)
	}
	for _, key := range drop {
		if _, err := s.DB.DeleteObject(ctx, Bucket, key, "", nil); err != nil {
			return fmt.Errorf("deleting former snapshot %s: %w", key, err)
		}
	}
	upto := st.Items[len(st.Items)-1].Upto
	if err := s.DB.TrimChanges(ctx, upto); err != nil {
		return fmt.Errorf("trimming the change feed: %w", err)
	}
	// Of the snapshot itself are: the stream's object, the manifest's, the deletions, and this value.
	st.Covered = upto + 2 + uint64(len(drop)) + 1
	b, err := encoding.Marshal(st)
	if err != nil {
		return fmt.Errorf("encoding the state of snapshots: %w", err)
	}
	if err := s.DB.SetValue(ctx, stateValue, b); err != nil {
		return fmt.Errorf("writing the state of snapshots: %w", err)
	}
	return nil
}
