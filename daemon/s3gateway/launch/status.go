package launch

import (
	"context"
	"net/http"
	"time"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/s3gateway/inclusion"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/daemon/s3gateway/repair"
	"github.com/cairn-network/cairn/daemon/s3gateway/snapshot"
	"github.com/cairn-network/cairn/internal/buildinfo"
	"github.com/cairn-network/cairn/internal/telemetry"
)

// Status is what the gateway shows at GET /status. Amounts are acairn in decimal.
type Status struct {
	Buckets   []BucketStatus      `json:"buckets"`
	Nodes     []renter.NodeStatus `json:"nodes"`
	Lease     *LeaseStatus        `json:"lease,omitempty"`
	Repair    repair.Status       `json:"repair"`
	Inclusion inclusion.Status    `json:"inclusion"`
	Snapshot  snapshot.Status     `json:"snapshot"`
	Warnings  []renter.Warning    `json:"warnings"`
	Address   string              `json:"address"`
	Endpoint  string              `json:"endpoint"`
	Version   string              `json:"version"`
}

// BucketStatus is one bucket's content; Bytes counts all versions.
type BucketStatus struct {
	Name    string `json:"name"`
	Objects uint64 `json:"objects"`
	Bytes   uint64 `json:"bytes"`
	Class   string `json:"class,omitempty"` // empty while the gateway chooses
}

// maxBuckets bounds the buckets on the status page.
const maxBuckets = 1000

// LeaseStatus is where the money stands. Times are Unix seconds, 0 for never.
type LeaseStatus struct {
	ID           uint64       `json:"id"`
	Escrow       price.Amount `json:"escrow"`
	Spent        price.Amount `json:"spent"`
	RatePerMonth price.Amount `json:"rate_per_month"`
	DryAt        int64        `json:"dry_at"`
	ExpiresAt    int64        `json:"expires_at"`
}

func (g *gateway) openStatus(context.Context) (err error) {
	if g.listen, err = freePort(g.Listen); err != nil { // the page names it
		return err
	}
	g.status, err = telemetry.Listen(g.StatusListen, g.registry, g.Log)
	if err != nil {
		return err
	}
	g.status.HandleJSON("GET /status", func(ctx context.Context) (any, error) { return g.Status(ctx) })
	g.status.Handle("GET /placement", http.HandlerFunc(g.servePlacement))
	g.status.Handle("POST /grant", http.HandlerFunc(g.serveGrant))
	g.status.Check("chain", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := g.client.LatestBlock(ctx)
		return err
	})
	return nil
}

// Status is a snapshot of the gateway, while it runs.
func (g *gateway) Status(ctx context.Context) (Status, error) {
	s := Status{
		Buckets: []BucketStatus{}, Nodes: g.pool.Status(), Repair: g.repair.Status(), Inclusion: g.sampler.Status(), Snapshot: g.snapshot.Status(), Warnings: g.leases.Warnings(),
		Address: g.account.Address(), Endpoint: "http://" + g.listen, Version: buildinfo.Version,
	}
	if s.Warnings == nil {
		s.Warnings = []renter.Warning{}
	}
	buckets, _, err := g.db.Buckets(ctx, "", "", maxBuckets, nil)
	if err != nil {
		return Status{}, err
	}
	for _, b := range buckets {
		u, err := g.db.Usage(ctx, b.Name)
		if err != nil {
			return Status{}, err
		}
		s.Buckets = append(s.Buckets, BucketStatus{Name: b.Name, Objects: u.Objects, Bytes: u.Bytes, Class: b.Class})
	}
	if f := g.leases.Figures(); f.ID != 0 {
		s.Lease = &LeaseStatus{
			ID: f.ID, Escrow: f.Escrow, Spent: f.Spent, RatePerMonth: f.RatePerMonth, DryAt: unix(f.DryAt), ExpiresAt: unix(f.ExpiresAt),
		}
	}
	return s, nil
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
