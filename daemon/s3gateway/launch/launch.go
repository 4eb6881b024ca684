// Package launch composes the S3 gateway from its parts and runs it: chain client, metabase,
// renter engine, repair, S3 front end, status page. The command line and the devnet both call it.
//
// Everything that makes a gateway this renter's and no other's follows from the wallet's words:
// the account that pays, the root of all encryption, the session key of the lease. The home's
// gateway directory holds the rest: metabase, voucher book, S3 credentials.
package launch

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/inclusion"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/daemon/s3gateway/repair"
	"github.com/cairn-network/cairn/daemon/s3gateway/s3"
	"github.com/cairn-network/cairn/daemon/s3gateway/snapshot"
	"github.com/cairn-network/cairn/internal/atomicfile"
	"github.com/cairn-network/cairn/internal/clock"
	"github.com/cairn-network/cairn/internal/lifecycle"
	"github.com/cairn-network/cairn/internal/telemetry"
)

// Pace of the gateway's loops unless Config says otherwise.
const (
	defaultLeaseEvery     = time.Minute
	defaultLifecycleEvery = time.Hour
	defaultLostAfter      = 4 * time.Hour
	defaultDistrust       = 24 * time.Hour
	lastSnapshotTime      = 15 * time.Second
	lockAgain             = time.Second
)

// creditWindow is what a provider lets a renter owe, and so the most that a crash may have left
// uncounted with each (renter.OpenBook).
const creditWindow = 16 << 20

// Config of a gateway. Fields without a default must be set.
type Config struct {
	// Home is where the gateway keeps its state, in a directory of its own below.
	Home string
	// Mnemonic is the renter's words: account, encryption and session key follow from them.
	Mnemonic string
	// Chain is the gRPC address of a node of the chain, and Trust whom to believe on the way there.
	Chain string
	Trust chainclient.Trust
	// FeeGranter pays the fees by grant; empty for the account itself.
	FeeGranter string

	// Listen is where S3 is served, host:port; port 0 for any free one.
	Listen string
	// StatusListen is the loopback address of status and metrics, port 0 for any free one.
	StatusListen string
	// Region is what S3 clients sign for; s3.DefaultRegion when empty.
	Region string
	// AccessKey and SecretKey are the root account's; drawn once and kept when empty.
	AccessKey, SecretKey string
	// Postgres is the address of a PostgreSQL database for the metabase; empty for an embedded one.
	Postgres string

	Lease renter.LeaseConfig
	// LeaseEvery is how often the lease is looked after: a minute when 0.
	LeaseEvery time.Duration
	Repair     repair.Config
	// Inclusion is how often nodes are asked for pieces by their receipts.
	Inclusion inclusion.Config
	Snapshot  snapshot.Config
	Engine    renter.Config
	// LostAfter is how long a node may be away before its pieces count as lost: 4 h when 0.
	LostAfter time.Duration
	// Policy says which nodes count as independent.
	Policy renter.Policy

	// Ready is called once, when S3 is served; nil for nobody.
	Ready func(Info)
	Clock clock.Clock  // nil for the system's
	Log   *slog.Logger // nil for silence
}

// Info says what runs.
type Info struct {
	S3      S3     `json:"s3"`
	Status  string `json:"status"`  // URL
	Address string `json:"address"` // of the account that pays
}

// S3 is how clients reach the gateway.
type S3 struct {
	Endpoint  string `json:"endpoint"` // URL
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	Region    string `json:"region"`
}

// Run serves until ctx is done.
func Run(ctx context.Context, c Config) error {
	g, err := newGateway(c)
	if err != nil {
		return err
	}
	group := lifecycle.Group{Log: g.Log}
	g.addEngine(&group)
	group.Add(lifecycle.Part{Name: "lease", Run: func(ctx context.Context) error { return g.leases.Run(ctx, g.LeaseEvery) }})
	group.Add(lifecycle.Part{Name: "repair", Run: func(ctx context.Context) error { return g.alone(ctx, "repair", g.repair.Run) }})
	group.Add(lifecycle.Part{Name: "inclusion audits", Run: func(ctx context.Context) error { return g.sampler.Run(ctx) }})
	group.Add(lifecycle.Part{Name: "snapshots", Run: func(ctx context.Context) error { return g.alone(ctx, "snapshots", g.takeSnapshots) }})
	group.Add(lifecycle.Part{Name: "status", Start: g.openStatus, Run: func(ctx context.Context) error { return g.status.Run(ctx) }, Close: func() error { return g.status.Close() }})
	group.Add(lifecycle.Part{Name: "bucket lifecycles", Start: g.openS3, Run: func(ctx context.Context) error {
		return g.alone(ctx, "lifecycles", func(ctx context.Context) error { return g.backend.RunLifecycle(ctx, g.Clock, defaultLifecycleEvery) })
	}})
	group.Add(lifecycle.Part{Name: "S3", Run: func(ctx context.Context) error { return g.server.Run(ctx) }})
	return group.Run(ctx)
}

// Recover fills the empty metabase of c.Home from the renter's last snapshot: what lies in the
// network, found from the words alone. Listen, StatusListen and Ready are not used. Errors:
// snapshot.ErrNone, metabase.ErrNotEmpty, and those of reading from the network.
func Recover(ctx context.Context, c Config) (recovered snapshot.Recovered, err error) {
	g, err := newGateway(c)
	if err != nil {
		return recovered, err
	}
	var group lifecycle.Group
	g.addEngine(&group)
	// The group ends when its last part has done its work.
	ctx, done := context.WithCancel(ctx)
	defer done()
	group.Add(lifecycle.Part{Name: "recovery", Run: func(ctx context.Context) error {
		defer done()
		if err := g.leases.Read(ctx); err != nil {
			return err
		}
		recovered, err = snapshot.Recover(ctx, snapshot.Source{
			Chain: g.client, Renter: g.account.Address(), Root: g.root, Engine: g.engine, NotFound: notFound,
		}, g.db)
		return err
	}})
	return recovered, group.Run(ctx)
}

// addEngine adds everything that reading and writing segments needs.
func (g *gateway) addEngine(group *lifecycle.Group) {
	group.Add(lifecycle.Part{Name: "chain", Start: g.openChain, Close: func() error { return g.client.Close() }})
	group.Add(lifecycle.Part{Name: "metabase", Start: g.openMetabase, Close: func() error { return g.db.Close() }})
	group.Add(lifecycle.Part{Name: "voucher book", Start: g.openBook, Close: func() error { return g.book.Close() }})
	group.Add(lifecycle.Part{Name: "engine", Start: g.openEngine, Close: func() error { return errors.Join(g.engine.Close(), g.links.Close()) }})
}

// gateway is one Run.
type gateway struct {
	Config
	account  *wallet.Account
	root     seal.Root
	registry *prometheus.Registry
	listen   string // host:port with the port that is used
	drawn    bool   // the S3 credentials are this home's, not given

	client   *chainclient.Client
	chain    *chain
	db       *metabase.DB
	book     *renter.Book
	pool     *renter.Pool
	leases   *renter.LeaseService
	links    *renter.Links
	engine   *renter.Engine
	repair   *repair.Service
	receipts *inclusion.Book
	sampler  *inclusion.Sampler
	snapshot *snapshot.Service
	status   *telemetry.Server
	backend  *s3.Backend
	server   *s3.Server
}

func newGateway(c Config) (*gateway, error) {
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Region == "" {
		c.Region = s3.DefaultRegion
	}
	if c.LeaseEvery == 0 {
		c.LeaseEvery = defaultLeaseEvery
	}
	if c.LostAfter == 0 {
		c.LostAfter = defaultLostAfter
	}
	account, err := wallet.FromMnemonic(c.Mnemonic)
	if err != nil {
		return nil, err
	}
	seed, err := wallet.Seed(c.Mnemonic)
	if err != nil {
		return nil, err
	}
	g := &gateway{Config: c, account: account, root: seal.FromSeed(seed), registry: telemetry.NewRegistry()}
	if err := os.MkdirAll(g.dir(), 0o700); err != nil {
		return nil, fmt.Errorf("making directory of the gateway: %w", err)
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		if g.AccessKey, g.SecretKey, err = credentials(filepath.Join(g.dir(), "s3.json")); err != nil {
			return nil, err
		}
		g.drawn = true
	}
	return g, nil
}

func (g *gateway) dir() string { return filepath.Join(g.Home, "gateway") }

// freePort replaces port 0 by one that is free: the S3 front end does not tell which it got.
func freePort(listen string) (string, error) {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("S3 address %q: %w", listen, err)
	}
	if port != "0" {
		return listen, nil
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// credentials are the S3 keys of this gateway, drawn when first asked for.
func credentials(path string) (access, secret string, err error) {
	var keys struct {
		AccessKey string `json:"access_key"`
		SecretKey string `json:"secret_key"`
	}
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		keys.AccessKey, keys.SecretKey = "CAIRN"+draw(15), draw(40)
		if body, err = json.Marshal(keys); err == nil {
			err = atomicfile.WriteNew(path, append(body, '\n'), atomicfile.Private)
		}
	} else if err == nil {
		err = json.Unmarshal(body, &keys)
	}
	if err != nil {
		return "", "", fmt.Errorf("S3 credentials: %w", err)
	}
	if keys.AccessKey == "" || keys.SecretKey == "" {
		return "", "", fmt.Errorf("S3 credentials: %s holds none; remove it to draw new ones", path)
	}
	return keys.AccessKey, keys.SecretKey, nil
}

// draw is n random letters and digits.
func draw(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return base32.StdEncoding.EncodeToString(b)[:n]
}

func (g *gateway) openChain(ctx context.Context) (err error) {
	g.client, err = chainclient.New(chainclient.Config{
		Endpoint: g.Chain, Trust: g.Trust, Account: g.account, FeeGranter: g.FeeGranter, Patience: -1, Clock: g.Clock, Log: g.Log,
	})
	if err != nil {
		return err
	}
	if g.chain, err = newChain(ctx, g.client); err != nil {
		return errors.Join(err, g.client.Close())
	}
	return nil
}

func (g *gateway) openMetabase(ctx context.Context) (err error) {
	if g.Postgres != "" {
		if g.db, err = metabase.OpenPostgres(ctx, g.Postgres); err == nil && g.drawn {
			if err = g.shareCredentials(ctx); err != nil {
				err = errors.Join(err, g.db.Close())
			}
		}
	} else {
		g.db, err = metabase.OpenPebble(filepath.Join(g.dir(), "metabase"), metabase.PebbleOptions{})
	}
	return err
}

func (g *gateway) openBook(context.Context) (err error) {
	if g.Postgres != "" {
		g.book, err = renter.OpenSharedBook(g.chain.id, g.root.SessionKey(0), creditWindow, promises{g.db})
	} else {
		g.book, err = renter.OpenBook(filepath.Join(g.dir(), "vouchers"), g.chain.id, g.root.SessionKey(0), creditWindow)
	}
	return err
}

func (g *gateway) openEngine(context.Context) (err error) {
	if err := g.openReceipts(); err != nil {
		return err
	}
	session := g.root.SessionKey(0)
	g.pool = renter.NewPool(renter.PoolConfig{Policy: g.Policy, LostAfter: g.LostAfter, Distrust: defaultDistrust}, g.Lease.Accepts, g.Clock)
	g.leases = renter.NewLeaseService(renter.LeaseDeps{
		Chain: g.chain, Config: g.Lease, Session: publicKey(session), Book: g.book, Pool: g.pool, Clock: g.Clock, Log: g.Log,
		Exclusive: func(ctx context.Context, step func(context.Context) error) error {
			return g.db.Exclusive(ctx, "lease", step)
		},
	})
	g.links = renter.NewLinks(g.chain.id, session, g.pool, g.book, g.leases, g.Clock)
	g.engine, err = renter.NewEngine(renter.Deps{
		Config: g.Engine, Pool: g.pool, Links: g.links, Leases: g.leases, Garbage: g.db,
		PieceSecret: func(bucket string) [32]byte { return g.root.Bucket(bucket).PieceSecret() },
		Clock:       g.Clock, Log: g.Log, Metrics: renter.NewMetrics(g.registry),
		Corrupt: func(id metabase.SegmentID, p metabase.Piece) { g.repair.Report(id, p) },
		Receipt: g.keepReceipt,
	})
	if err != nil {
		return errors.Join(err, g.links.Close())
	}
	g.repair = repair.New(repair.Deps{
		Config: g.Repair, DB: g.db, Engine: g.engine, Pool: g.pool, Links: g.links, Clock: g.Clock, Log: g.Log, Registry: g.registry,
		Released: g.receipts.Released,
	})
	g.openSampler()
	g.snapshot = snapshot.New(snapshot.Deps{
		Config: g.Config.Snapshot, Chain: g.client, Renter: g.account.Address(), Root: g.root, DB: g.db, Engine: g.engine,
		NotFound: notFound, Clock: g.Clock, Log: g.Log, Registry: g.registry,
	})
	return nil
}

func notFound(err error) bool { return errors.Is(err, chainclient.ErrNotFound) }

// alone runs a loop in this gateway and in no other over the same database. It begins again when the
// database has taken the lock away, as when it restarts.
func (g *gateway) alone(ctx context.Context, name string, loop func(context.Context) error) error {
	for {
		err := g.db.Exclusive(ctx, name, loop)
		if err == nil || ctx.Err() != nil {
			return err
		}
		g.Log.Warn("a loop that one gateway alone runs is held up", "loop", name, "error", err)
		if err := clock.Sleep(ctx, g.Clock, lockAgain); err != nil {
			return err
		}
	}
}

// takeSnapshots anchors the metadata from time to time, and once more what has changed since when S3
// has stopped. That last time it gives up after a while: what it would have anchored is still on this
// disk.
func (g *gateway) takeSnapshots(ctx context.Context) error {
	err := g.snapshot.Run(ctx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSnapshotTime)
	defer cancel()
	if err := g.snapshot.Flush(last); err != nil {
		g.Log.Warn("the last changes are not in a snapshot yet", "error", err)
	}
	return err
}

func (g *gateway) openS3(context.Context) (err error) {
	g.backend = s3.New(s3.Deps{
		Metabase: g.db, Engine: engine{g.engine}, Root: g.root, Log: g.Log, Now: g.Clock.Now, Faults: g.fault,
	})
	g.server, err = s3.NewServer(s3.ServerConfig{
		Listen: g.listen, Region: g.Region, AccessKey: g.AccessKey, SecretKey: g.SecretKey,
		Ready: func() {
			if g.Ready != nil {
				g.Ready(g.info())
			}
		},
	}, g.backend, s3.NewAccounts(g.db, g.root, g.AccessKey, g.SecretKey))
	return err
}

func (g *gateway) info() Info {
	return Info{
		S3:      S3{Endpoint: "http://" + g.listen, AccessKey: g.AccessKey, SecretKey: g.SecretKey, Region: g.Region},
		Status:  "http://" + g.status.Addr().String(),
		Address: g.account.Address(),
	}
}

// shortage is what can be done about err, which says that too few nodes are left to store something.
func (g *gateway) shortage(err error) string {
	if g.leases.Current() == nil {
		for _, w := range g.leases.Warnings() {
			if w.Code == renter.WarnNoLease {
				return w.Text
			}
		}
	}
	var s *renter.ShortageError
	if errors.As(err, &s) && s.Found+len(s.Excluded[renter.ReasonOffline]) >= s.Needed {
		return "nodes are away; try again when they are back, or when others offer storage"
	}
	if s != nil && len(s.Excluded[renter.ReasonSameNetwork]) > 0 && s.Found+len(s.Excluded[renter.ReasonSameNetwork]) >= s.Needed {
		return "nodes in one network do not count as independent; where a whole network runs on one machine, start the gateway with --one-machine"
	}
	return "more providers must offer storage at your price"
}

// fault says to S3 clients what the engine refuses and what its owner can do.
func (g *gateway) fault(err error) (s3.Fault, bool) {
	for _, f := range []struct {
		is   error
		code string
		next string
	}{
		{renter.ErrTooFewNodes, "ServiceUnavailable", ""},
		{renter.ErrEscrowDry, "ServiceUnavailable", "put money on the gateway's account"},
		{renter.ErrNotInLease, "ServiceUnavailable", "the lease is still being opened; try again in a moment"},
		{renter.ErrUnavailable, "ServiceUnavailable", "too many providers are away; try again later"},
		{renter.ErrClosed, "ServiceUnavailable", "the gateway is stopping"},
		{chainclient.ErrUnreachable, "ServiceUnavailable", "the chain cannot be reached"},
		{chainclient.ErrInsufficientFunds, "ServiceUnavailable", "put money on the gateway's account"},
	} {
		if errors.Is(err, f.is) {
			if errors.Is(f.is, renter.ErrTooFewNodes) {
				f.next = g.shortage(err)
			}
			return s3.Fault{Code: f.code, Status: http.StatusServiceUnavailable, Message: fmt.Sprintf("%s: %s.", err, f.next)}, true
		}
	}
	return s3.Fault{}, false
}
