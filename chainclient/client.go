package chainclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	tendermintv1beta1 "cosmossdk.io/api/cosmos/base/tendermint/v1beta1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/internal/clock"
)

// Denom is the base denomination: 10^18 acairn are one CAIRN.
const Denom = "acairn"

// Pauses between attempts to reach the node, and between looks at a chain that has nothing new.
const (
	firstPause  = 100 * time.Millisecond
	longPause   = 5 * time.Second
	blockPoll   = 250 * time.Millisecond
	maxResponse = 64 << 20 // bytes of one answer; a block's results are the largest

	handOverMethod = "/cosmos.tx.v1beta1.Service/BroadcastTx"
)

// Config says which node to speak to and for whom.
type Config struct {
	// Endpoint is the node's gRPC address: host:port in the clear, which is taken on loopback only, or
	// grpcs://host[:port] over TLS (port 9443 unless named).
	Endpoint string
	// Trust says whom to believe over a network.
	Trust Trust
	// Account signs; nil for a client that only reads.
	Account *wallet.Account
	// FeeGranter is the address that pays the fees by a grant of x/feegrant; empty for the
	// account itself.
	FeeGranter string
	// Patience is how long one call goes on trying to reach the node. 0 means 30 s; negative
	// means until the call's context ends.
	Patience time.Duration
	Clock    clock.Clock  // nil for the system's
	Log      *slog.Logger // nil for silence
	// DialOptions are added to gRPC's, for tests.
	DialOptions []grpc.DialOption
}

// Client is safe for concurrent use.
type Client struct {
	config Config
	clock  clock.Clock
	log    *slog.Logger
	conn   *grpc.ClientConn
	node   tendermintv1beta1.ServiceClient
	seq    *sequencer

	mu      sync.Mutex
	chainID string // empty until asked
}

// New prepares a client. It does not wait for the node: the first call does.
func New(config Config) (*Client, error) {
	if config.Patience == 0 {
		config.Patience = 30 * time.Second
	}
	if config.Clock == nil {
		config.Clock = clock.System{}
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	target, security, err := reach(config.Endpoint, config.Trust)
	if err != nil {
		return nil, err
	}
	c := &Client{config: config, clock: config.Clock, log: config.Log, seq: newSequencer()}
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{}), grpc.MaxCallRecvMsgSize(maxResponse)),
		grpc.WithUnaryInterceptor(c.persist),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.WithDisableServiceConfig(),
	}, config.DialOptions...)
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, fmt.Errorf("node address %q: %w", config.Endpoint, err)
	}
	c.conn = conn
	c.node = tendermintv1beta1.NewServiceClient(conn)
	return c, nil
}

// Close ends the connection; calls under way fail.
func (c *Client) Close() error { return c.conn.Close() }

// Address is the signing account's, cairn1...; empty without one.
func (c *Client) Address() string {
	if c.config.Account == nil {
		return ""
	}
	return c.config.Account.Address()
}

// persist repeats a query while the node cannot be reached. Handing over a transaction is not
// repeated here: once a first attempt may have arrived, only await can tell what a refusal of
// the second means.
func (c *Client) persist(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	start, pause := c.clock.Now(), firstPause
	for {
		err := invoke(ctx, method, req, reply, conn, options...)
		if !unreachable(err) || method == handOverMethod {
			return err
		}
		if c.config.Patience > 0 && c.clock.Now().Add(pause).Sub(start) > c.config.Patience {
			return err
		}
		level := slog.LevelDebug
		if pause == longPause {
			level = slog.LevelWarn // it has been away for some seconds
		}
		c.log.Log(ctx, level, "node does not answer", "endpoint", c.config.Endpoint, "method", method, "again_in", pause, "error", err)
		if clock.Sleep(ctx, c.clock, pause) != nil {
			return err // says more than "context done"
		}
		pause = min(2*pause, longPause)
	}
}

// ChainID is the chain's id, asked for once.
func (c *Client) ChainID(ctx context.Context) (string, error) {
	c.mu.Lock()
	id := c.chainID
	c.mu.Unlock()
	if id != "" {
		return id, nil
	}
	info, err := c.node.GetNodeInfo(ctx, &tendermintv1beta1.GetNodeInfoRequest{})
	if err != nil {
		return "", fmt.Errorf("asking for the chain id: %w", queryError(err))
	}
	id = info.GetDefaultNodeInfo().GetNetwork()
	if id == "" {
		return "", errors.New("asking for the chain id: the node named none")
	}
	c.mu.Lock()
	c.chainID = id
	c.mu.Unlock()
	return id, nil
}

// Block is a block's place and time.
type Block struct {
	Height int64
	Time   time.Time
}

// LatestBlock is the newest block that the node has committed.
func (c *Client) LatestBlock(ctx context.Context) (Block, error) {
	latest, err := c.node.GetLatestBlock(ctx, &tendermintv1beta1.GetLatestBlockRequest{})
	if err != nil {
		return Block{}, fmt.Errorf("asking for the latest block: %w", queryError(err))
	}
	header := latest.GetSdkBlock().GetHeader()
	if header == nil {
		return Block{}, errors.New("asking for the latest block: the node sent none")
	}
	return Block{Height: header.GetHeight(), Time: header.GetTime().AsTime()}, nil
}
