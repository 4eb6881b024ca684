package storagenode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/storagenode/possession"
	"github.com/cairn-network/cairn/daemon/storagenode/store"
	"github.com/cairn-network/cairn/internal/clock"
	"github.com/cairn-network/cairn/internal/lifecycle"
	"github.com/cairn-network/cairn/internal/telemetry"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// Config of a node. Fields without a default must be set.
type Config struct {
	// Path is the directory for pieces and vouchers.
	Path string
	Name string
	// Capacity is how many bytes of disk the logs may take; 0 for no limit but the disk's.
	Capacity uint64
	// MinFree is how many bytes of the disk stay free, at least 1 %: 5 GB when 0.
	MinFree uint64
	// LogSize is the size of a log, 1 GiB when 0.
	LogSize int64
	// Listen is where clients connect, host:port.
	Listen string
	// Endpoint is announced on the chain, host:port; empty for the address bound.
	Endpoint string
	// StatusListen is the loopback address of status and metrics; empty for none.
	StatusListen string
	// Credit is how many bytes a lease may be served unpaid: 16 MiB when 0.
	Credit uint64
	// PayPatience is how long a read waits for a voucher when the credit is used up: 15 s when 0.
	PayPatience time.Duration
	// Poll is how often the chain is asked for the leases on this device: 15 s when 0.
	Poll time.Duration
	// SettleEvery is how long money may wait on a lease before it is redeemed: an hour when 0.
	SettleEvery time.Duration
	// SettleAbove redeems as soon as so much waits on all leases together: 1 CAIRN when zero.
	SettleAbove price.Amount
	// Grace is for how long pieces are served after a lease's end; an hour when 0.
	Grace time.Duration
	// KeepTrash is for how long the pieces of a closed lease are kept; a day when 0.
	KeepTrash time.Duration
	// ScrubEvery is how often every piece is read and checked: 30 days when 0.
	ScrubEvery time.Duration
}

func (c *Config) fill() {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	if c.Credit == 0 {
		c.Credit = 16 << 20
	}
	if c.SettleAbove.IsZero() {
		c.SettleAbove = price.FromUint64(1e18)
	}
	set(&c.PayPatience, payPatience)
	set(&c.Poll, 15*time.Second)
	set(&c.SettleEvery, time.Hour)
	set(&c.Grace, time.Hour)
	set(&c.KeepTrash, 24*time.Hour)
	set(&c.ScrubEvery, 30*24*time.Hour)
}

// Deps are what a node stands on.
type Deps struct {
	Config   Config
	Identity Identity
	Chain    Chain
	// Possession is where the node proves what it holds; nil for a node that proves nothing.
	Possession PossessionChain
	Registry   *prometheus.Registry // nil for one of its own
	Clock      clock.Clock          // nil for the system's
	Log        *slog.Logger         // nil for silence
	// Ready is called once, when the node serves; nil for nobody.
	Ready func(Info)
}

// Info says where a node serves.
type Info struct {
	Device   uint64 `json:"device_id"`
	Listen   string `json:"listen"`
	Endpoint string `json:"endpoint"`
	Status   string `json:"status,omitempty"` // URL
}

// Node is one provider.
type Node struct {
	Deps
	registry *prometheus.Registry
	started  time.Time

	store    *store.Store
	proofs   *possession.Service // nil without Deps.Possession
	ledger   *ledger
	accounts *accounts
	leases   *leaseBook
	server   *wire.Server
	listener net.Listener
	status   *telemetry.Server
	books    *books
	info     Info
}

// New checks deps; Run does everything else.
func New(deps Deps) (*Node, error) {
	c := &deps.Config
	c.fill()
	switch {
	case c.Path == "":
		return nil, errors.New("storage node: no directory for pieces (Path)")
	case c.Listen == "":
		return nil, errors.New("storage node: no address to listen on (Listen)")
	case deps.Chain == nil:
		return nil, errors.New("storage node: no chain")
	case deps.Identity.Device == 0 || deps.Identity.ChainID == "" || deps.Identity.Key == nil:
		return nil, errors.New("storage node: no identity: chain id, device id and device key are needed")
	}
	if deps.Clock == nil {
		deps.Clock = clock.System{}
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	n := &Node{Deps: deps, registry: deps.Registry}
	if n.registry == nil {
		n.registry = telemetry.NewRegistry()
	}
	n.leases = newLeaseBook(deps.Chain, deps.Identity.Device, deps.Clock)
	return n, nil
}

// Run serves until ctx is done, then ends requests under way, writes a checkpoint and returns nil;
// or it returns why it could not.
func (n *Node) Run(ctx context.Context) error {
	n.started = n.Clock.Now()
	group := lifecycle.Group{Log: n.Log}
	group.Add(lifecycle.Part{Name: "piece store", Start: n.openStore, Run: n.keepStore, Close: n.closeStore})
	group.Add(lifecycle.Part{Name: "scrub", Run: n.scrub})
	group.Add(lifecycle.Part{Name: "piece server", Start: n.listen, Run: n.serve})
	if n.Possession != nil {
		group.Add(lifecycle.Part{Name: "possession", Run: func(ctx context.Context) error { return n.proofs.Run(ctx) }, Close: n.closeProofs})
		group.Add(lifecycle.Part{Name: "watch over peers", Run: n.watchPeers})
	}
	if n.Config.StatusListen != "" {
		group.Add(lifecycle.Part{
			Name: "status", Start: n.openStatus,
			Run:   func(ctx context.Context) error { return n.status.Run(ctx) },
			Close: func() error { return n.status.Close() },
		})
	}
	group.Add(lifecycle.Part{Name: "books", Start: n.announceReady, Run: func(ctx context.Context) error { return n.books.run(ctx) }})
	return group.Run(ctx)
}

func (n *Node) openStore(ctx context.Context) error {
	c := n.Config
	s, err := store.OpenStore(store.Config{
		Dir: c.Path, Capacity: c.Capacity, MinFree: c.MinFree, LogSize: c.LogSize, Now: n.Clock.Now, Log: n.Log,
		KeepExpired: keepExpired,
	})
	if err != nil {
		return err
	}
	l, err := openLedger(filepath.Join(c.Path, "vouchers"))
	if err != nil {
		return errors.Join(err, s.Close())
	}
	// What reading the checkpoint left behind is about as large as the index itself.
	debug.FreeOSMemory()
	n.store, n.ledger = s, l
	n.accounts = newAccounts(l, c.Credit, n.Clock)
	n.accounts.patience = c.PayPatience
	n.books = newBooks(n)
	if n.Possession == nil {
		return nil
	}
	n.proofs, err = possession.Open(ctx, possession.Deps{
		Dir: filepath.Join(c.Path, "trees"), ChainID: n.Identity.ChainID, Device: n.Identity.Device, Chain: n.Possession, Pieces: (*holdings)(n),
		Clock: n.Clock, Log: n.Log, Every: c.Poll,
	})
	if err != nil {
		return errors.Join(err, n.closeStore())
	}
	return nil
}

// watchPeers asks the devices that beacons draw for this one.
func (n *Node) watchPeers(ctx context.Context) error {
	w := possession.Watcher{
		Device: n.Identity.Device, Chain: n.Possession, Peers: (*peers)(n), Clock: n.Clock, Log: n.Log,
		Every: n.Config.Poll, Stats: n.proofs.NoteWatch,
	}
	return w.Run(ctx)
}

func (n *Node) closeProofs() error { return n.proofs.Close() }

// keepStore keeps the store in shape.
func (n *Node) keepStore(ctx context.Context) error { return n.store.Run(ctx) }

func (n *Node) closeStore() error { return errors.Join(n.ledger.close(), n.store.Close()) }

// scrub reads one log after the other, slowly.
func (n *Node) scrub(ctx context.Context) error {
	return clock.Every(ctx, n.Clock, time.Minute, func(ctx context.Context) error {
		report, ok, err := n.store.Scrub(ctx, n.Clock.Now().Add(-n.Config.ScrubEvery))
		if err != nil && ctx.Err() == nil {
			n.Log.Error("scrubbing", "error", err)
		} else if ok {
			n.Log.Info("scrubbed", "log", report.Log, "pieces", report.Pieces, "bytes", report.Bytes, "corrupt", len(report.Corrupt))
		}
		return ctx.Err()
	})
}

func (n *Node) listen(context.Context) error {
	l, err := net.Listen("tcp", n.Config.Listen)
	if err != nil {
		return fmt.Errorf("listening for clients: %w", err)
	}
	handler := &handler{
		identity: n.Identity, store: n.store, leases: n.leases, accounts: n.accounts, clock: n.Clock, grace: n.Config.Grace,
		proofs: n.proofs, chain: n.Chain,
	}
	n.books.handler = handler
	n.server, err = wire.NewServer(wire.ServerConfig{Key: n.Identity.Key, Handler: handler, Log: n.Log})
	if err != nil {
		l.Close()
		return err
	}
	n.listener = l
	n.info = Info{Device: n.Identity.Device, Listen: l.Addr().String(), Endpoint: n.Config.Endpoint}
	if n.info.Endpoint == "" {
		n.info.Endpoint = n.info.Listen
	}
	n.registry.MustRegister(newCollector(n))
	return nil
}

func (n *Node) serve(ctx context.Context) error { return n.server.Serve(ctx, n.listener) }

func (n *Node) openStatus(context.Context) error {
	s, err := telemetry.Listen(n.Config.StatusListen, n.registry, n.Log)
	if err != nil {
		return err
	}
	s.HandleJSON("GET /status", func(context.Context) (any, error) { return n.Status() })
	s.Check("chain", func(context.Context) error { return n.books.health() })
	n.status = s
	n.info.Status = "http://" + s.Addr().String()
	return nil
}

// announceReady runs when everything answers.
func (n *Node) announceReady(context.Context) error {
	if n.Ready != nil {
		n.Ready(n.info)
	}
	n.Log.Info("serving pieces", "device", n.info.Device, "listen", n.info.Listen, "endpoint", n.info.Endpoint, "status", n.info.Status)
	return nil
}

// announce makes the chain show the endpoint that this node has.
func (n *Node) announce(ctx context.Context) error {
	d, err := n.Chain.Device(ctx, n.Identity.Device)
	if err != nil {
		return err
	}
	if d.Endpoint == n.info.Endpoint {
		return nil
	}
	n.Log.Info("announcing endpoint", "old", d.Endpoint, "new", n.info.Endpoint)
	return n.Chain.Announce(ctx, &devicev1.MsgAnnounce{Id: n.Identity.Device, Endpoint: n.info.Endpoint, Model: d.Model})
}
