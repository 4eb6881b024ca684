package devnet

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// EVMChainID is the chain id that wallets see; a devnet's only.
const EVMChainID = 700777

// Config says what to run. The zero value of every field but Home has a default.
type Config struct {
	// Home is the directory that holds everything.
	Home string
	// Validators is how many nodes take part in consensus; 1 by default, at most 16.
	Validators int
	// Storage is how many storage nodes, each with its own owner; 12 by default, at most 64.
	Storage int
	// Reporters is how many post and serve the reports of rewards; 2 by default, at most 16. One
	// watcher checks them.
	Reporters int
	// StorageSize is what each storage node offers, bytes; by default 64 GiB, or half of what the
	// disk has left if that is less.
	StorageSize uint64
	// BlockTime is the time between blocks; 1 s by default.
	BlockTime time.Duration
	// EpochBlocks is how many blocks an epoch lasts; 30 by default.
	EpochBlocks int
	// VotingPeriod is how long people vote on a proposal; 2 min by default.
	VotingPeriod time.Duration
	// Relay, if set, gives the address at which validator from reaches validator to, which listens at
	// address: a stretch of network that a test can cut. Every pair dials both ways.
	Relay func(from, to int, address string) string
	// PortBase moves every port: 0 keeps the well-known ones.
	PortBase int
	// ReadyFile, when set, is written once everything serves, and removed at the end.
	ReadyFile string
	// Processes runs each validator and daemon as a process of its own.
	Processes bool
	// BinDir is where cairnd and cairn are, for Processes; by default beside the running program.
	BinDir string
	// Reset deletes Home first.
	Reset bool
	// Verbose sends the logs of all parts to standard error rather than to files in Home.
	Verbose bool
}

func (c Config) withDefaults() (Config, error) {
	if c.Home == "" {
		return c, errors.New("devnet: no home directory given")
	}
	if c.Validators == 0 {
		c.Validators = 1
	}
	if c.Storage == 0 {
		c.Storage = 12
	}
	if c.Reporters == 0 {
		c.Reporters = 2
	}
	if c.BlockTime == 0 {
		c.BlockTime = time.Second
	}
	if c.EpochBlocks == 0 {
		c.EpochBlocks = 30 // 30 s of the default blocks, so that people see one end
	}
	if c.VotingPeriod == 0 {
		c.VotingPeriod = 2 * time.Minute
	}
	switch {
	case c.VotingPeriod < 2*time.Second:
		return c, fmt.Errorf("--voting-period %s: must be at least 2s", c.VotingPeriod)
	case c.EpochBlocks < 6 || c.EpochBlocks > 100_000:
		return c, fmt.Errorf("devnet: epochs of %d blocks: must be between 6 and 100000", c.EpochBlocks)
	case c.Validators < 1 || c.Validators > 16:
		return c, fmt.Errorf("--validators %d: must be between 1 and 16", c.Validators)
	case c.Storage < 1 || c.Storage > 64:
		return c, fmt.Errorf("--storage %d: must be between 1 and 64", c.Storage)
	case c.Reporters < 1 || c.Reporters > maxReporters:
		return c, fmt.Errorf("--reporters %d: must be between 1 and %d", c.Reporters, maxReporters)
	case c.BlockTime < 50*time.Millisecond || c.BlockTime > time.Minute:
		return c, fmt.Errorf("--block-time %s: must be between 50ms and 1m", c.BlockTime)
	case c.PortBase != 0 && (c.PortBase < 1024 || c.PortBase > 65535-portSpan):
		return c, fmt.Errorf("--port-base %d: must be between 1024 and %d", c.PortBase, 65535-portSpan)
	}
	return c, nil
}

// Ports are where the parts of a network listen, all on loopback.
type Ports struct {
	S3, Web, RPC, REST, GRPC, JSONRPC, JSONRPCWS, P2P, GatewayStatus int
	// validator i > 0, storage node i and reporter i count up from these in pairs
	validatorBase, storageBase, reporterBase int
}

// portSpan is how many ports from the base on a network may use.
const portSpan = 400

// ports lays out the listeners: the well-known ones, or a block from base on.
func ports(base int) Ports {
	if base == 0 {
		return Ports{
			S3: 9000, Web: 8080, RPC: 26657, REST: 1317, GRPC: 9090, JSONRPC: 8545, JSONRPCWS: 8546,
			P2P: 26656, GatewayStatus: 9001, validatorBase: 26700, storageBase: 7400, reporterBase: 7300,
		}
	}
	return Ports{
		S3: base, Web: base + 1, RPC: base + 2, REST: base + 3, GRPC: base + 4, JSONRPC: base + 5, JSONRPCWS: base + 6,
		P2P: base + 7, GatewayStatus: base + 8, validatorBase: base + 20, storageBase: base + 200, reporterBase: base + 340,
	}
}

// validator gives the p2p and RPC ports of validator i.
func (p Ports) validator(i int) (p2p, rpc int) {
	if i == 0 {
		return p.P2P, p.RPC
	}
	return p.validatorBase + 2*i, p.validatorBase + 2*i + 1
}

// storage gives the piece and status ports of storage node i.
func (p Ports) storage(i int) (pieces, status int) {
	return p.storageBase + 2*i, p.storageBase + 2*i + 1
}

// reporter gives the data and status ports of reporter i.
func (p Ports) reporter(i int) (data, status int) {
	return p.reporterBase + 2*i, p.reporterBase + 2*i + 1
}

// watcher gives the status port of the watcher.
func (p Ports) watcher() int { return p.reporterBase + 2*maxReporters }

// maxReporters is how many reporters a devnet has at most.
const maxReporters = 16

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func httpURL(port int) string { return "http://" + loopback(port) }

// free reports the first of the network's fixed ports that something else holds.
func (p Ports) free() error {
	named := []struct {
		name string
		port int
	}{
		{"S3", p.S3},
		{"web", p.Web},
		{"CometBFT RPC", p.RPC},
		{"REST", p.REST},
		{"gRPC", p.GRPC},
		{"JSON-RPC", p.JSONRPC},
		{"p2p", p.P2P},
	}
	for _, n := range named {
		l, err := net.Listen("tcp", loopback(n.port))
		if err != nil {
			return fmt.Errorf("port %d (%s) is taken: stop what listens there, or move all ports with --port-base: %w", n.port, n.name, err)
		}
		l.Close()
	}
	return nil
}
