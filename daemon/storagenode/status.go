package storagenode

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-network/cairn/daemon/storagenode/possession"
	"github.com/cairn-network/cairn/internal/buildinfo"
)

// Status is what the node shows at GET /status and in the terminal. Amounts are acairn in decimal.
type Status struct {
	Device          uint64   `json:"device_id"`
	Name            string   `json:"name"`
	Endpoint        string   `json:"endpoint"`
	UsedBytes       int64    `json:"used_bytes"`     // of pieces, without overhead
	DiskBytes       int64    `json:"disk_bytes"`     // of logs
	DeadBytes       int64    `json:"dead_bytes"`     // of those, not yet freed
	TrashBytes      int64    `json:"trash_bytes"`    // of those, of ended leases
	CapacityBytes   uint64   `json:"capacity_bytes"` // 0 for no limit
	FreeBytes       uint64   `json:"free_bytes"`     // on the disk
	Reserved        uint64   `json:"reserved"`       // bytes, by open leases
	Pieces          int64    `json:"pieces"`
	Leases          int      `json:"leases"` // open
	Earned          string   `json:"earned"` // ever, by this device, before the network's fee
	PendingVouchers string   `json:"pending_vouchers"`
	PendingStream   string   `json:"pending_stream"`
	EgressBytes     uint64   `json:"egress_bytes"`  // over the network since the start
	IngressBytes    uint64   `json:"ingress_bytes"` // likewise
	Connections     int64    `json:"connections"`
	UptimeSeconds   int64    `json:"uptime"`
	Version         string   `json:"version"`
	Warnings        []string `json:"warnings"`
	// Possession is how the node does at proving what it holds; absent for a node that proves nothing.
	Possession *possession.Status `json:"possession,omitempty"`
}

// Status is a snapshot of the node, while it runs.
func (n *Node) Status() (Status, error) {
	st, err := n.store.Stats()
	if err != nil {
		return Status{}, err
	}
	wire := n.server.Stats()
	s := Status{
		Device: n.Identity.Device, Name: n.Config.Name, Endpoint: n.info.Endpoint,
		UsedBytes: st.PieceBytes, DiskBytes: st.DiskBytes, DeadBytes: st.DeadBytes, TrashBytes: st.TrashBytes,
		CapacityBytes: st.Capacity, FreeBytes: st.Free, Pieces: st.Pieces,
		EgressBytes: wire.BytesOut, IngressBytes: wire.BytesIn, Connections: wire.Connections,
		UptimeSeconds: int64(n.Clock.Now().Sub(n.started) / time.Second), Version: buildinfo.Version, Warnings: []string{},
	}
	if n.proofs != nil {
		proofs := n.proofs.Status()
		s.Possession = &proofs
		if proofs.Problem != "" {
			s.Warnings = append(s.Warnings, "proving possession: "+proofs.Problem)
		}
	}
	b := n.books
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Reserved, s.Leases = b.reserved, b.open
	s.Earned, s.PendingVouchers, s.PendingStream = b.earned.String(), b.pending.String(), b.streamed.String()
	s.Warnings = append(s.Warnings, b.warnings...)
	if b.failure != nil {
		s.Warnings = append(s.Warnings, fmt.Sprintf("the chain did not answer as it should: %v", b.failure))
	}
	if st.Corrupt > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%d pieces or logs failed a check: look at the disk", st.Corrupt))
	}
	floor := max(n.Config.MinFree, st.Total/100)
	if st.Free < floor+floor/10 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("the disk has %d bytes left; uploads are refused below %d", st.Free, floor))
	}
	if st.Capacity > 0 && uint64(st.DiskBytes) > st.Capacity/100*98 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("the %d bytes given are nearly full", st.Capacity))
	}
	if st.Capacity > 0 && b.reserved > st.Capacity {
		s.Warnings = append(s.Warnings, fmt.Sprintf("leases reserve %d bytes, more than the %d given", b.reserved, st.Capacity))
	}
	return s, nil
}

// collector exports the node's counters to Prometheus when asked.
type collector struct {
	node    *Node
	metrics []metric
}

type metric struct {
	desc *prometheus.Desc
	typ  prometheus.ValueType
	get  func(sample) float64
}

// sample is what all metrics of one scrape are read from.
type sample struct {
	status Status
	*traffic
	corrupt int64
	syncs   uint64
}

func newCollector(n *Node) *collector {
	c := &collector{node: n}
	add := func(typ prometheus.ValueType, name, help string, get func(sample) float64) {
		c.metrics = append(c.metrics, metric{prometheus.NewDesc("cairn_storagenode_"+name, help, nil, nil), typ, get})
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	add(gauge, "pieces", "Pieces held.", func(s sample) float64 { return float64(s.status.Pieces) })
	add(gauge, "piece_bytes", "Bytes of pieces held, without overhead.", func(s sample) float64 { return float64(s.status.UsedBytes) })
	add(gauge, "disk_bytes", "Bytes of all logs.", func(s sample) float64 { return float64(s.status.DiskBytes) })
	add(gauge, "dead_bytes", "Bytes of logs that compaction will free.", func(s sample) float64 { return float64(s.status.DeadBytes) })
	add(gauge, "trash_bytes", "Bytes of pieces of ended leases.", func(s sample) float64 { return float64(s.status.TrashBytes) })
	add(gauge, "reserved_bytes", "Bytes reserved by open leases.", func(s sample) float64 { return float64(s.status.Reserved) })
	add(gauge, "leases", "Open leases.", func(s sample) float64 { return float64(s.status.Leases) })
	add(gauge, "connections", "Connected clients.", func(s sample) float64 { return float64(s.status.Connections) })
	add(counter, "egress_bytes_total", "Bytes sent to clients.", func(s sample) float64 { return float64(s.status.EgressBytes) })
	add(counter, "ingress_bytes_total", "Bytes received from clients.", func(s sample) float64 { return float64(s.status.IngressBytes) })
	add(counter, "puts_total", "Pieces stored.", func(s sample) float64 { return float64(s.puts.Load()) })
	add(counter, "gets_total", "Reads served.", func(s sample) float64 { return float64(s.gets.Load()) })
	add(counter, "deletes_total", "Pieces deleted on request.", func(s sample) float64 { return float64(s.deletes.Load()) })
	add(counter, "request_failures_total", "Requests refused or failed.", func(s sample) float64 { return float64(s.failures.Load()) })
	add(counter, "corrupt_total", "Failed checks of stored bytes.", func(s sample) float64 { return float64(s.corrupt) })
	if n.proofs != nil {
		add(counter, "challenges_answered_total", "Challenges of the chain answered.", func(s sample) float64 { return float64(s.status.Possession.Proofs) })
		add(counter, "challenges_missed_total", "Challenges of the chain missed.", func(s sample) float64 { return float64(s.status.Possession.Misses) })
		add(counter, "audits_answered_total", "Audits answered.", func(s sample) float64 { return float64(s.status.Possession.Answers) })
		add(gauge, "tree_chunks", "Chunks of 1 KiB under the committed root.", func(s sample) float64 { return float64(s.status.Possession.Chunks) })
	}
	add(counter, "syncs_total", "Times that logs were made durable.", func(s sample) float64 { return float64(s.syncs) })
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	status, err := c.node.Status()
	if err != nil {
		for _, m := range c.metrics {
			out <- prometheus.NewInvalidMetric(m.desc, err)
		}
		return
	}
	stats, _ := c.node.store.Stats() // failed above if it fails
	s := sample{status, &c.node.books.handler.traffic, stats.Corrupt, stats.Syncs}
	for _, m := range c.metrics {
		out <- prometheus.MustNewConstMetric(m.desc, m.typ, m.get(s))
	}
}
