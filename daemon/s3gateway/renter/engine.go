package renter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/segment"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/internal/clock"
)

// SmallObject is the largest object, in bytes, that is coded in the small class.
const SmallObject = 256 << 10

// Config bounds what an engine uses. Zero values take the defaults of DefaultConfig.
type Config struct {
	// Memory is the most that segments under way take, in bytes, over all streams.
	Memory int64
	// Ahead is how many segments of one stream may be under way.
	Ahead int
	// Stall is how long a transfer may take beyond four times the median of its segment before
	// another node gets the piece.
	Stall time.Duration
}

// DefaultConfig suits a machine with 2 GB.
func DefaultConfig() Config {
	return Config{Memory: 48 << 20, Ahead: 3, Stall: 2 * time.Second}
}

// Discarder queues pieces of segments that nobody will commit for deletion; metabase.DB is one.
type Discarder interface {
	Discard(ctx context.Context, segs []metabase.Segment) error
}

// Deps are what an engine works with.
type Deps struct {
	Config  Config
	Pool    *Pool
	Links   *Links
	Leases  *LeaseService
	Garbage Discarder
	// PieceSecret is what the ids of a bucket's pieces derive from.
	PieceSecret func(bucket string) [32]byte
	Clock       clock.Clock
	Log         *slog.Logger
	Metrics     *Metrics // nil for none
	// Corrupt is told of every piece that turned out to be wrong or missing while reading; it must
	// not block. nil for nobody.
	Corrupt func(id metabase.SegmentID, p metabase.Piece)
	// Receipt is given every receipt, verified, and must not block; nil for nobody.
	Receipt func(id metabase.SegmentID, index uint8, r piece.SignedReceipt)
}

// Engine stores and fetches segments. It is safe for concurrent use.
type Engine struct {
	Deps
	codecs  map[string]*erasure.Codec
	slabs   slabPool
	memory  *semaphore.Weighted
	readers sync.Pool      // of *bufio.Reader
	stray   sync.WaitGroup // transfers given up but not yet ended
	times   transferTimes
}

// NewEngine makes an engine.
func NewEngine(d Deps) (*Engine, error) {
	def := DefaultConfig()
	if d.Config.Memory <= 0 {
		d.Config.Memory = def.Memory
	}
	if d.Config.Ahead <= 0 {
		d.Config.Ahead = def.Ahead
	}
	if d.Config.Stall <= 0 {
		d.Config.Stall = def.Stall
	}
	if d.Metrics == nil {
		d.Metrics = NewMetrics(nil)
	}
	e := &Engine{Deps: d, codecs: make(map[string]*erasure.Codec)}
	for _, c := range erasure.Classes() {
		codec, err := erasure.NewCodec(c)
		if err != nil {
			return nil, err
		}
		e.codecs[c.Name] = codec
		// The largest segment must fit, or no stream could ever store one.
		e.Config.Memory = max(e.Config.Memory, footprint(c, longRun, segment.PlaintextSize(c)))
	}
	e.memory = semaphore.NewWeighted(e.Config.Memory)
	e.readers.New = func() any { return bufio.NewReaderSize(nil, SmallObject+1) }
	return e, nil
}

// Close waits for transfers that were given up. Store and Fetch must have returned.
func (e *Engine) Close() error {
	e.stray.Wait()
	return nil
}

// rng is a source for placement; what it draws is no secret.
func rng() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }

// acquire takes n bytes of the memory budget; whoever asks for more than there is gets all of it.
func (e *Engine) acquire(ctx context.Context, n int64) (release func(), err error) {
	n = min(n, e.Config.Memory)
	if err := e.memory.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { e.memory.Release(n) }, nil
}

// PieceID derives the id of a piece.
func (e *Engine) PieceID(bucket string, id metabase.SegmentID, index uint8) piece.ID {
	return piece.DeriveID(e.PieceSecret(bucket), id, index)
}

// Class decides what class an object is stored in. wish is a class's name, or empty for the one
// that the number of independent groups of nodes calls for; small says that the object has at most
// SmallObject bytes. Where too few groups can be reached for the class that the engine chose, it
// takes the next smaller one and counts that in the metrics; a class that was asked for by name is
// never changed.
func (e *Engine) Class(wish string, small bool) (erasure.Class, error) {
	if wish != "" {
		c, ok := erasure.ClassByName(wish)
		if !ok {
			return c, fmt.Errorf("redundancy class %q is not known", wish)
		}
		if small && c.K > erasure.Small.K && e.Pool.Groups() >= erasure.Small.Optimal {
			return erasure.Small, nil
		}
		return c, nil
	}
	c := erasure.ClassFor(e.Pool.Groups())
	if small && c.K > erasure.Small.K {
		return erasure.Small, nil // where k is as small anyway, more pieces only ask for more nodes
	}
	return c, nil
}

// Release gives up segments that Store returned and that were not committed.
func (e *Engine) Release(ctx context.Context, segs []metabase.Segment) error {
	if len(segs) == 0 {
		return nil
	}
	if err := e.Garbage.Discard(ctx, segs); err != nil {
		return fmt.Errorf("discarding %d segments: %w", len(segs), err)
	}
	return nil
}

// ErrClosed is returned by operations on a closed engine.
var ErrClosed = errors.New("engine is closed")

var _ io.Closer = (*Engine)(nil)
