// Package node runs the state machine as a node: consensus (CometBFT), the application, and its
// servers (gRPC, gRPC-web, REST, Ethereum JSON-RPC), all in the calling process. cairnd start runs one,
// the devnet several.
//
// A home is a directory with config/ (config.toml, app.toml, client.toml, genesis.json, keys) and
// data/. InitHome makes one, Genesis and WriteGenesis say how its network begins, LoadConfig and
// Start run it.
//
// Several nodes run in one process as long as they agree on the EVM's chain id, which the EVM keeps
// in a package variable.
package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"

	"cosmossdk.io/log/v2"
	cmtcfg "github.com/cometbft/cometbft/config"
	cmtnode "github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/rpc/client/local"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	sdkserver "github.com/cosmos/cosmos-sdk/server"
	serverlog "github.com/cosmos/cosmos-sdk/server/log"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	"github.com/cosmos/evm/crypto/hd"
	evmmempool "github.com/cosmos/evm/mempool"
	evmconfig "github.com/cosmos/evm/server/config"
	"github.com/spf13/viper"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/internal/atomicfile"
)

// Config is what a node runs with.
type Config struct {
	Comet    *cmtcfg.Config // config.toml
	Settings *viper.Viper   // app.toml and flags, by their names there
	Logger   log.Logger     // nil says nothing
}

// Addresses are where a node listens, as host:port; empty for a server that is switched off.
type Addresses struct {
	P2P              string `json:"p2p"`
	RPC              string `json:"rpc"`
	REST             string `json:"rest,omitempty"` // gRPC-web too
	GRPC             string `json:"grpc,omitempty"`
	GRPCTLS          string `json:"grpc_tls,omitempty"` // the same over TLS, for other machines
	JSONRPC          string `json:"json_rpc,omitempty"`
	JSONRPCWebsocket string `json:"json_rpc_websocket,omitempty"`
}

// Listen sets where the node will listen; an empty address keeps what the home says, port 0 takes
// a free port.
func (c *Config) Listen(a Addresses) {
	if a.P2P != "" {
		c.Comet.P2P.ListenAddress = "tcp://" + a.P2P
	}
	if a.RPC != "" {
		c.Comet.RPC.ListenAddress = "tcp://" + a.RPC
	}
	for key, address := range map[string]string{
		"api.address":         a.REST,
		"grpc.address":        a.GRPC,
		grpcTLSAddress:        a.GRPCTLS,
		"json-rpc.address":    a.JSONRPC,
		"json-rpc.ws-address": a.JSONRPCWebsocket,
	} {
		if address != "" {
			c.Settings.Set(key, address)
		}
	}
}

// Node is a running node. Stop it once.
type Node struct {
	addresses Addresses
	id        string
	app       *app.App
	comet     *cmtnode.Node
	databases *databases
	grpc      *grpc.Server // nil if switched off
	servers   []server     // in the order of their start

	failed  errgroup.Group
	done    chan struct{}
	stop    sync.Once
	stopErr error
}

// A server answers clients until it is closed. close lets running answers finish for a moment.
type server struct {
	name  string
	serve func() error // nil error after close
	close func() error
}

// Start runs a node until Stop, or until ctx is done. When it returns, the servers answer and the
// node is joining its peers; the first block may still be to come.
func Start(ctx context.Context, config Config) (_ *Node, err error) {
	app.Configure()
	if config.Logger == nil {
		config.Logger = log.NewNopLogger()
	}
	settings, err := evmconfig.GetConfig(config.Settings)
	if err != nil {
		return nil, fmt.Errorf("reading app.toml: %w", err)
	}
	if err := errors.Join(settings.ValidateBasic(), evmconfig.ValidateCrossConfig(config.Comet, &settings)); err != nil {
		return nil, fmt.Errorf("app.toml: %w", err)
	}

	n := &Node{databases: &databases{}, done: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	genesis, err := readGenesis(config.Comet.GenesisFile())
	if err != nil {
		return nil, err
	}
	config.Settings.Set(flags.FlagChainID, genesis.ChainID)
	if err := n.openApp(config); err != nil {
		return nil, err
	}
	if err := n.buildComet(ctx, config, genesis); err != nil {
		return nil, err
	}
	if err := n.buildServers(config, settings); err != nil {
		return nil, err
	}
	for _, s := range n.servers {
		n.failed.Go(func() error {
			if err := s.serve(); err != nil {
				return fmt.Errorf("%s server: %w", s.name, err)
			}
			return nil
		})
	}
	if err := n.comet.Start(); err != nil {
		return nil, fmt.Errorf("starting consensus: %w", err)
	}
	go n.watch(ctx)
	return n, nil
}

// watch stops the node when its context is done or consensus ended by itself.
func (n *Node) watch(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-n.comet.Quit():
	case <-n.done:
		return
	}
	_ = n.Stop() // kept for Err
}

// Addresses returns where the node listens.
func (n *Node) Addresses() Addresses { return n.addresses }

// ID returns the node's id among its peers, which reach it at ID@P2P-address.
func (n *Node) ID() string { return n.id }

// WriteReady writes a JSON file that tells another process who the node is and where it listens.
// The file appears whole or not at all.
func (n *Node) WriteReady(path string) error {
	raw, err := json.Marshal(struct {
		NodeID  string `json:"node_id"`
		ChainID string `json:"chain_id"`
		Addresses
	}{n.id, n.comet.GenesisDoc().ChainID, n.addresses})
	if err != nil {
		return fmt.Errorf("encoding the ready file: %w", err)
	}
	return atomicfile.Write(path, append(raw, '\n'), atomicfile.Public)
}

// App returns the application. Its state may only be read through queries: blocks are running.
func (n *Node) App() *app.App { return n.app }

// Height returns the height of the last block that the node has.
func (n *Node) Height() int64 { return n.comet.BlockStore().Height() }

// Client returns an RPC client to this node that crosses no network.
func (n *Node) Client() *local.Local { return local.New(n.comet) }

// Done is closed when the node has stopped, for whatever reason.
func (n *Node) Done() <-chan struct{} { return n.done }

// Stop ends the node: servers first, then consensus, then the databases. It returns when all of
// it is done, and the first reason of anything that went wrong.
func (n *Node) Stop() error {
	n.stop.Do(func() {
		n.stopErr = n.close()
		close(n.done)
	})
	<-n.done
	return n.stopErr
}

func (n *Node) close() error {
	var errs []error
	for i := len(n.servers) - 1; i >= 0; i-- {
		if err := n.servers[i].close(); err != nil {
			errs = append(errs, fmt.Errorf("closing the %s server: %w", n.servers[i].name, err))
		}
	}
	errs = append(errs, n.failed.Wait())
	// The application's mempool takes nothing any more, then consensus ends; the application executes
	// its blocks until then, so the database goes last.
	if n.app != nil {
		if err := n.app.CloseMempool(); err != nil {
			errs = append(errs, fmt.Errorf("closing the mempool: %w", err))
		}
	}
	if n.comet != nil && n.comet.IsRunning() {
		if err := n.comet.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("stopping consensus: %w", err))
		}
		n.comet.Wait()
	}
	if n.app != nil {
		if err := n.app.Close(); err != nil {
			errs = append(errs, fmt.Errorf("closing the application: %w", err))
		}
	}
	errs = append(errs, n.databases.close())
	return errors.Join(errs...)
}

// openApp opens data/application.db and builds the application over it.
func (n *Node) openApp(config Config) error {
	data := filepath.Join(config.Comet.RootDir, "data")
	db, err := dbm.NewDB("application", sdkserver.GetAppDBBackend(config.Settings), data)
	if err != nil {
		return fmt.Errorf("opening the application's database in %s: %w", data, err)
	}
	n.app, err = app.New(config.Logger, db, config.Settings, sdkserver.DefaultBaseappOptions(config.Settings)...)
	if err != nil {
		return errors.Join(fmt.Errorf("building the application: %w", err), db.Close())
	}
	return nil
}

// buildComet builds the consensus node, which replays into the application what it has not yet
// executed.
func (n *Node) buildComet(ctx context.Context, config Config, genesis *cmttypes.GenesisDoc) error {
	comet := config.Comet
	for _, address := range []*string{&comet.P2P.ListenAddress, &comet.RPC.ListenAddress} {
		if err := fixPort(address); err != nil {
			return err
		}
	}
	nodeKey, err := p2p.LoadOrGenNodeKey(comet.NodeKeyFile())
	if err != nil {
		return fmt.Errorf("loading the node key: %w", err)
	}
	n.id = string(nodeKey.ID())
	n.addresses.P2P = strings.TrimPrefix(comet.P2P.ListenAddress, "tcp://")
	n.addresses.RPC = strings.TrimPrefix(comet.RPC.ListenAddress, "tcp://")
	validator := privval.LoadOrGenFilePV(comet.PrivValidatorKeyFile(), comet.PrivValidatorStateFile())
	keys, err := LoadBeaconKeys(comet.RootDir)
	if err != nil {
		return err
	}
	n.app.SetBeaconSigner(app.BeaconSigner{Validator: sdk.ConsAddress(validator.GetAddress()), Keys: keys})
	n.comet, err = cmtnode.NewNodeWithContext(ctx, comet,
		validator,
		nodeKey,
		proxy.NewLocalClientCreator(sdkserver.NewCometABCIWrapper(n.app)),
		func() (*cmttypes.GenesisDoc, error) { return genesis, nil },
		n.databases.open,
		cmtnode.DefaultMetricsProvider(comet.Instrumentation),
		serverlog.CometLoggerWrapper{Logger: config.Logger.With(log.ModuleKey, "consensus")},
	)
	if err != nil {
		return fmt.Errorf("building the consensus node: %w", err)
	}
	return nil
}

func readGenesis(path string) (*cmttypes.GenesisDoc, error) {
	document, err := genutiltypes.AppGenesisFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the genesis: %w", err)
	}
	return document.ToGenesisDoc()
}

// fixPort replaces port 0 by a free one: consensus announces its address to peers before it binds it.
func fixPort(address *string) error {
	hostPort := strings.TrimPrefix(*address, "tcp://")
	if !strings.HasSuffix(hostPort, ":0") {
		return nil
	}
	listener, err := net.Listen("tcp", hostPort)
	if err != nil {
		return fmt.Errorf("finding a free port: %w", err)
	}
	*address = "tcp://" + listener.Addr().String()
	return listener.Close()
}

// clientContext is what the servers use to reach this node.
func (n *Node) clientContext(config Config) client.Context {
	encoding := n.app.Encoding()
	return client.Context{}.
		WithCodec(encoding.Codec).
		WithInterfaceRegistry(encoding.InterfaceRegistry).
		WithTxConfig(encoding.TxConfig).
		WithLegacyAmino(encoding.Amino).
		WithAccountRetriever(authtypes.AccountRetriever{}).
		WithBroadcastMode(flags.BroadcastSync).
		WithHomeDir(config.Comet.RootDir).
		WithChainID(n.comet.GenesisDoc().ChainID).
		WithViper("").
		// eth_accounts lists a keyring; a node holds no account keys.
		WithKeyring(keyring.NewInMemory(encoding.Codec, hd.EthSecp256k1Option())).
		WithClient(local.New(n.comet))
}

// buildServers binds every server that app.toml switches on, so that a taken port is an error of
// Start, and connects the application to consensus.
func (n *Node) buildServers(config Config, settings evmconfig.Config) error {
	clientCtx := n.clientContext(config)
	n.app.RegisterTxService(clientCtx)
	n.app.RegisterTendermintService(clientCtx)
	n.app.RegisterNodeService(clientCtx, settings.Config)
	if pool, ok := n.app.GetMempool().(*evmmempool.Mempool); ok {
		pool.SetClientCtx(clientCtx)
	}
	if settings.GRPC.Enable {
		if err := n.buildGRPC(&clientCtx, settings.GRPC, config.Settings, config.Logger); err != nil {
			return err
		}
	}
	if settings.API.Enable {
		if err := n.buildREST(clientCtx, settings.Config, config.Logger); err != nil {
			return err
		}
	}
	if settings.JSONRPC.Enable {
		if err := n.buildJSONRPC(clientCtx, settings, config); err != nil {
			return err
		}
	}
	return nil
}
