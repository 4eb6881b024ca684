package repair

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	standing                                                   *prometheus.GaugeVec
	queue                                                      prometheus.Gauge
	rebuilt, copied, dropped, deleted, unknown, audits, failed prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "cairn", Subsystem: "repair", Name: name, Help: help})
	}
	m := metrics{
		standing: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "cairn", Subsystem: "repair", Name: "segments", Help: "Segments by how they stand.",
		}, []string{"standing"}),
		queue:   prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "cairn", Subsystem: "repair", Name: "queue", Help: "Segments to be rebuilt now."}),
		rebuilt: counter("rebuilt_pieces_total", "Pieces rebuilt and stored elsewhere."),
		copied:  counter("copied_pieces_total", "Pieces copied off devices that leave."),
		dropped: counter("dropped_pieces_total", "Pieces given up because they were wrong or missing."),
		deleted: counter("deleted_pieces_total", "Pieces deleted from nodes."),
		unknown: counter("unknown_pieces_total", "Pieces deleted that no segment named."),
		audits:  counter("audits_total", "Pieces challenged."),
		failed:  counter("failed_audits_total", "Challenges that a node could not answer."),
	}
	if registry != nil {
		registry.MustRegister(m.standing, m.queue, m.rebuilt, m.copied, m.dropped, m.deleted, m.unknown, m.audits, m.failed)
	}
	return m
}

func (m metrics) segments(c counts) {
	m.standing.WithLabelValues("healthy").Set(float64(c.healthy))
	m.standing.WithLabelValues("degraded").Set(float64(c.degraded))
	m.standing.WithLabelValues("lost").Set(float64(c.lost))
}
