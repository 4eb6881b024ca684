package renter

import (
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the engine does.
type Metrics struct {
	codedBytes, codedSeconds prometheus.Counter
	pieces, pieceBytes       *prometheus.CounterVec // by direction
	pieceSeconds             *prometheus.HistogramVec
	failures                 *prometheus.CounterVec // puts by reason
	hedged                   *prometheus.CounterVec // by direction
	stalls, degradedSegments prometheus.Counter
	corrupt                  prometheus.Counter
}

// NewMetrics makes metrics and registers them, unless registry is nil.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "cairn", Subsystem: "renter", Name: name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "cairn", Subsystem: "renter", Name: name, Help: help}, []string{label})
	}
	m := &Metrics{
		codedBytes:   counter("coded_bytes_total", "Plaintext bytes sealed and coded."),
		codedSeconds: counter("coded_seconds_total", "Time spent reading, sealing, coding and hashing segments."),
		pieces:       vec("pieces_total", "Pieces transferred.", "direction"),
		pieceBytes:   vec("piece_bytes_total", "Bytes of pieces transferred.", "direction"),
		pieceSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "cairn", Subsystem: "renter", Name: "piece_seconds", Help: "Time of a piece's transfer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"direction"}),
		failures:         vec("put_failures_total", "Pieces that a node did not take.", "reason"),
		hedged:           vec("hedged_total", "Transfers started because others were slow.", "direction"),
		stalls:           counter("stalled_puts_total", "Puts given up because the node stood still."),
		degradedSegments: counter("degraded_segments_total", "Segments stored with fewer pieces than optimal."),
		corrupt:          counter("corrupt_pieces_total", "Pieces that did not match their root."),
	}
	if registry != nil {
		registry.MustRegister(m.codedBytes, m.codedSeconds, m.pieces, m.pieceBytes, m.pieceSeconds,
			m.failures, m.hedged, m.stalls, m.degradedSegments, m.corrupt)
	}
	return m
}

func (m *Metrics) coded(bytes int, took time.Duration) {
	m.codedBytes.Add(float64(bytes))
	m.codedSeconds.Add(took.Seconds())
}

func (m *Metrics) put(bytes int64, took time.Duration) { m.transfer("put", bytes, took) }
func (m *Metrics) got(bytes int64, took time.Duration) { m.transfer("get", bytes, took) }

func (m *Metrics) transfer(direction string, bytes int64, took time.Duration) {
	m.pieces.WithLabelValues(direction).Inc()
	m.pieceBytes.WithLabelValues(direction).Add(float64(bytes))
	m.pieceSeconds.WithLabelValues(direction).Observe(took.Seconds())
}

func (m *Metrics) putFailed(why Reason) { m.failures.WithLabelValues(why.String()).Inc() }
func (m *Metrics) hedgedPut()           { m.hedged.WithLabelValues("put").Inc() }
func (m *Metrics) hedgedGet()           { m.hedged.WithLabelValues("get").Inc() }
func (m *Metrics) stalled()             { m.stalls.Inc() }
func (m *Metrics) degraded()            { m.degradedSegments.Inc() }
func (m *Metrics) foundCorrupt()        { m.corrupt.Inc() }

// transferTimes remembers how long recent gets took, by the magnitude of their size.
type transferTimes struct {
	mu    sync.Mutex
	sizes [32]struct {
		recent [64]time.Duration
		n      int
		p75    time.Duration // of recent; recomputed every eighth time
	}
}

func (t *transferTimes) add(size int, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.sizes[bits.Len32(uint32(size))%len(t.sizes)]
	s.recent[s.n%len(s.recent)] = took
	s.n++
	if s.n%8 == 0 || s.n < 8 {
		sorted := slices.Clone(s.recent[:min(s.n, len(s.recent))])
		slices.Sort(sorted)
		s.p75 = sorted[len(sorted)*3/4]
	}
}

// p75 is the third quartile of recent gets of about this size; zero when there were none.
func (t *transferTimes) p75(size int) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sizes[bits.Len32(uint32(size))%len(t.sizes)].p75
}
