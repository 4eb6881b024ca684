package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/app/node"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/internal/atomicfile"
	"github.com/cairn-network/cairn/internal/lifecycle"
)

// Network is a running network.
type Network struct {
	config Config
	ports  Ports
	state  state
	log    *slog.Logger

	identities          []node.Identity
	validators, storage []*member
	reporters           []*member
	gateway, watcher    *member
	web                 *webServer
}

// Run runs a network until ctx is done, then stops it part by part. When everything serves it
// writes the ready file and calls f, if not nil, whose error ends the network.
func Run(ctx context.Context, config Config, f func(context.Context, *Network) error) error {
	config, err := config.withDefaults()
	if err != nil {
		return err
	}
	if config.Reset {
		if err := reset(config.Home); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(config.Home, 0o700); err != nil {
		return fmt.Errorf("making the home: %w", err)
	}
	if config.StorageSize == 0 {
		if config.StorageSize, err = defaultStorageSize(config.Home); err != nil {
			return err
		}
	}
	unlock, err := lock(config.Home)
	if err != nil {
		return err
	}
	defer unlock()
	n := &Network{config: config, ports: ports(config.PortBase)}
	if err := n.ports.free(); err != nil {
		return err
	}
	logs, closeLogs, err := n.openLog()
	if err != nil {
		return err
	}
	defer closeLogs()
	n.log = logs
	if err := n.prepare(); err != nil {
		return err
	}

	group := lifecycle.Group{Log: n.log}
	group.Add(n.members("validators", n.validators))
	group.Add(lifecycle.Part{Name: "first block", Start: n.awaitBlock})
	group.Add(n.members("storage nodes", n.storage))
	group.Add(n.members("reporters", n.reporters))
	group.Add(n.members("watcher", []*member{n.watcher}))
	group.Add(n.members("gateway", []*member{n.gateway}))
	group.Add(lifecycle.Part{Name: "web page", Start: n.web.start, Close: n.web.close})
	group.Add(lifecycle.Part{Name: "ready file", Start: n.announce, Close: n.retract})
	if f != nil {
		group.Add(lifecycle.Part{Name: "caller", Run: func(ctx context.Context) error { return f(ctx, n) }})
	}
	if err := group.Run(ctx); err != nil {
		return fmt.Errorf("running the network in %s: %w", config.Home, err)
	}
	return nil
}

// prepare makes, or takes up, everything under Home and the members that run from it.
func (n *Network) prepare() error {
	s, fresh, err := loadState(n.config)
	if err != nil {
		return err
	}
	n.state = s
	if err := n.identify(); err != nil {
		return err
	}
	if fresh {
		if err := n.setUp(); err != nil {
			return fmt.Errorf("setting up the network: %w", err)
		}
		if err := s.save(n.config.Home); err != nil {
			return err
		}
	}
	for i := range n.config.Validators {
		n.validators = append(n.validators, n.newValidator(i))
	}
	for i := range n.config.Storage {
		n.storage = append(n.storage, n.newStorageNode(i))
	}
	for i := range n.config.Reporters {
		n.reporters = append(n.reporters, n.newReporter(i))
	}
	n.watcher = n.newWatcher()
	n.gateway = n.newGateway()
	n.web = newWebServer(n)
	return nil
}

// members makes one part of members that start together and stop together.
func (n *Network) members(name string, all []*member) lifecycle.Part {
	return lifecycle.Part{
		Name: name,
		Start: func(ctx context.Context) error {
			n.log.Info("starting", "part", name, "count", len(all))
			starting, each := errgroup.WithContext(ctx)
			for _, m := range all {
				starting.Go(func() error { return m.start(each) })
			}
			if err := starting.Wait(); err != nil {
				return errors.Join(err, stopAll(all))
			}
			return nil
		},
		Close: func() error { return stopAll(all) },
	}
}

func stopAll(all []*member) error {
	var stopping errgroup.Group
	for _, m := range all {
		stopping.Go(m.stop)
	}
	return stopping.Wait()
}

// Ready is what the ready file says.
func (n *Network) Ready() Ready {
	r := Ready{
		S3:      n.gateway.describe().S3,
		Web:     httpURL(n.ports.Web),
		RPC:     httpURL(n.ports.RPC),
		REST:    httpURL(n.ports.REST),
		GRPC:    loopback(n.ports.GRPC),
		JSONRPC: httpURL(n.ports.JSONRPC),
		ChainID: n.state.ChainID, Accounts: n.state.Accounts,
	}
	for _, m := range n.all() {
		r.Processes = append(r.Processes, m.process())
	}
	r.Processes = append(r.Processes, Process{Role: "web", Name: "web", PID: os.Getpid()})
	return r
}

func (n *Network) all() []*member {
	return slices.Concat(n.validators, n.storage, n.reporters, []*member{n.watcher, n.gateway})
}

// announce writes the ready files.
func (n *Network) announce(context.Context) error {
	data, err := json.MarshalIndent(n.Ready(), "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the ready file: %w", err)
	}
	for _, path := range n.readyFiles() {
		if err := atomicfile.Write(path, data, atomicfile.Private); err != nil {
			return fmt.Errorf("writing the ready file: %w", err)
		}
	}
	return nil
}

// retract removes the ready files: the network no longer serves.
func (n *Network) retract() error {
	var errs []error
	for _, path := range n.readyFiles() {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}

func (n *Network) readyFiles() []string {
	files := []string{filepath.Join(n.config.Home, readyName)}
	if n.config.ReadyFile != "" {
		files = append(files, n.config.ReadyFile)
	}
	return files
}

// member finds a member by role and number.
func (n *Network) member(role string, index int) (*member, error) {
	of := map[string][]*member{"validator": n.validators, "storage": n.storage, "reporter": n.reporters, "watcher": {n.watcher}, "gateway": {n.gateway}}[role]
	if index < 0 || index >= len(of) {
		return nil, fmt.Errorf("no %s %d in this network", role, index)
	}
	return of[index], nil
}

// Kill sends a signal to a member's process. SIGKILL and SIGTERM wait until it is gone. In one
// process only SIGTERM means something: it stops the member.
func (n *Network) Kill(role string, index int, sig syscall.Signal) error {
	m, err := n.member(role, index)
	if err != nil {
		return err
	}
	if m.kill == nil {
		if sig != syscall.SIGTERM {
			return fmt.Errorf("%s is not a process of its own: signals need Config.Processes", m.name)
		}
		return m.stop()
	}
	if err := m.kill(sig); err != nil {
		return fmt.Errorf("sending %s to %s: %w", sig, m.name, err)
	}
	if sig == syscall.SIGKILL || sig == syscall.SIGTERM {
		<-m.ended
	}
	return nil
}

// Restart starts a member that has ended and returns when it serves again.
func (n *Network) Restart(ctx context.Context, role string, index int) error {
	m, err := n.member(role, index)
	if err != nil {
		return err
	}
	if !m.hasEnded() {
		return fmt.Errorf("%s is still running", m.name)
	}
	return m.start(ctx)
}

// Height is the chain's.
func (n *Network) Height(ctx context.Context) (int64, error) {
	client, err := chainclient.New(chainclient.Config{Endpoint: loopback(n.ports.GRPC)})
	if err != nil {
		return 0, fmt.Errorf("reaching the chain: %w", err)
	}
	defer client.Close()
	block, err := client.LatestBlock(ctx)
	if err != nil {
		return 0, fmt.Errorf("asking for the latest block: %w", err)
	}
	return block.Height, nil
}

// awaitBlock waits until the chain has made a block, without which nobody can register.
func (n *Network) awaitBlock(ctx context.Context) error {
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		height, err := n.Height(ctx)
		if err == nil && height > 0 {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waiting for the first block: %w", ctx.Err()), err)
		}
	}
}

// GatewayStatus is the part of the gateway's status page that tests look at.
type GatewayStatus struct {
	Repair struct {
		Healthy  int `json:"healthy"`
		Degraded int `json:"degraded"`
		Lost     int `json:"lost"`
		Rebuilt  int `json:"rebuilt"`
	} `json:"repair"`
	Inclusion struct {
		Shown  int `json:"shown"`
		Denied int `json:"denied"`
		Audits int `json:"audits"`
		Caught int `json:"caught"`
	} `json:"inclusion"`
	Warnings []string `json:"warnings"`
}

// GatewayStatus asks the gateway how it is.
func (n *Network) GatewayStatus(ctx context.Context) (s GatewayStatus, err error) {
	url := httpURL(n.ports.GatewayStatus) + "/status"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return s, fmt.Errorf("asking the gateway: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, fmt.Errorf("asking the gateway: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("asking the gateway: %s", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&s); err != nil {
		return s, fmt.Errorf("reading the gateway's status: %w", err)
	}
	return s, nil
}
