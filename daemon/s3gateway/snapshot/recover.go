package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
)

// boxPurpose names the key that seals pointers.
const boxPurpose = "metadata snapshot pointer"

// located is an object as recovery finds it: all that Fetch needs but the root secret.
type located struct {
	ObjectID   [16]byte           `cbor:"1,keyasint"`
	WrappedKey []byte             `cbor:"2,keyasint"`
	Size       int64              `cbor:"3,keyasint"`
	Segments   []metabase.Segment `cbor:"4,keyasint"`
}

// manifest lists the streams of a snapshot in the order in which they are restored: a full one,
// then deltas.
type manifest struct {
	Version uint64    `cbor:"1,keyasint"`
	Streams []located `cbor:"2,keyasint"`
}

var (
	encoding = encodingMode()
	decoding = decodingMode()
)

func encodingMode() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // the options are constant
	}
	return m
}

// decodingMode bounds what a pointer or manifest can make of memory.
func decodingMode() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		MaxArrayElements: 1 << 20, MaxNestedLevels: 8,
	}.DecMode()
	if err != nil {
		panic(err) // the options are constant
	}
	return m
}

// openPointer decrypts and judges what the chain keeps.
func openPointer(root seal.Root, anchored, pointer []byte) (located, error) {
	plain, err := root.Box(boxPurpose).Open(nil, pointer, anchored)
	if err != nil {
		return located{}, fmt.Errorf("opening snapshot pointer: %w: %w", ErrForeign, err)
	}
	return parsePointer(plain, anchored)
}

// parsePointer judges an opened pointer: it must lead to one segment, the one that is anchored.
func parsePointer(plain, anchored []byte) (located, error) {
	var l located
	if err := decoding.Unmarshal(plain, &l); err != nil {
		return l, fmt.Errorf("reading snapshot pointer: %w: %w", ErrForeign, err)
	}
	if len(l.Segments) != 1 {
		return l, fmt.Errorf("snapshot pointer with %d segments, want 1: %w", len(l.Segments), ErrForeign)
	}
	if r := piece.RootOf(l.Segments[0].Root[:]); !bytes.Equal(r[:], anchored) {
		return l, fmt.Errorf("snapshot pointer leads to root %s, anchored is %x: %w", r, anchored, ErrForeign)
	}
	return l, l.check()
}

// parseManifest judges the manifest that a pointer of a version led to.
func parseManifest(b []byte, version uint64) (manifest, error) {
	var m manifest
	if err := decoding.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("reading snapshot manifest: %w: %w", ErrForeign, err)
	}
	if m.Version != version {
		return m, fmt.Errorf("manifest of version %d under anchor %d: %w", m.Version, version, ErrForeign)
	}
	for i, l := range m.Streams {
		if err := l.check(); err != nil {
			return m, fmt.Errorf("snapshot stream %d: %w", i, err)
		}
	}
	return m, nil
}

// check reports a size that the segments do not have.
func (l located) check() error {
	var held int64
	for _, seg := range l.Segments {
		held += int64(seg.PlainSize)
	}
	if l.Size != held {
		return fmt.Errorf("%d bytes in segments of %d: %w", l.Size, held, ErrForeign)
	}
	return nil
}

// Source is what recovery reads with. The engine's pool must know the chain's nodes and the lease
// that the pieces lie under (renter.LeaseService.Read); nothing is bought.
type Source struct {
	Chain    Chain
	Renter   string // bech32 address of the account
	Root     seal.Root
	Engine   *renter.Engine
	NotFound func(error) bool // tells that an account has no anchor; nil for never
}

// Recovered says what was brought back.
type Recovered struct {
	Version     uint64
	CommittedAt int64 // Unix seconds; what was stored later is not in it
	Streams     int
	Bytes       int64 // of metadata
}

// Recover fills an empty metabase with the last anchored snapshot. Errors: ErrNone, ErrForeign,
// metabase.ErrNotEmpty, and those of renter.Engine.Fetch.
func Recover(ctx context.Context, src Source, db *metabase.DB) (Recovered, error) {
	a, err := anchor(ctx, src.Chain, src.Renter, src.NotFound)
	if err != nil {
		return Recovered{}, err
	}
	if a.Version == 0 {
		return Recovered{}, fmt.Errorf("%s: %w", src.Renter, ErrNone)
	}
	out := Recovered{Version: a.Version, CommittedAt: a.CommittedAt}
	at, err := openPointer(src.Root, a.Root, a.Pointer)
	if err != nil {
		return out, err
	}
	var b bytes.Buffer
	if err := fetch(ctx, src, at, &b); err != nil {
		return out, fmt.Errorf("reading snapshot manifest: %w", err)
	}
	m, err := parseManifest(b.Bytes(), a.Version)
	if err != nil {
		return out, err
	}
	for i, stream := range m.Streams {
		if err := restore(ctx, src, stream, db); err != nil {
			return out, fmt.Errorf("snapshot %d, stream %d of %d: %w", a.Version, i+1, len(m.Streams), err)
		}
		out.Streams++
		out.Bytes += stream.Size
	}
	// The state in the snapshot is that of the anchor before; the next one starts with a full stream.
	if err := db.SetValue(ctx, stateValue, nil); err != nil {
		return out, fmt.Errorf("resetting the state of snapshots: %w", err)
	}
	return out, nil
}

func fetch(ctx context.Context, src Source, l located, w io.Writer) error {
	key, err := src.Root.Snapshot().Unwrap(l.WrappedKey)
	if err != nil {
		return err
	}
	return src.Engine.Fetch(ctx, key, l.ObjectID, l.Segments, 0, l.Size, w)
}

// restore pipes a stream from the network into the metabase.
func restore(ctx context.Context, src Source, l located, db *metabase.DB) error {
	r, w := io.Pipe()
	fetched := make(chan error, 1)
	go func() {
		err := fetch(ctx, src, l, w)
		w.CloseWithError(err)
		fetched <- err
	}()
	err := db.Restore(ctx, r)
	r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	if fetchErr := <-fetched; fetchErr != nil && !errors.Is(fetchErr, io.ErrClosedPipe) {
		return fetchErr
	}
	return err
}
