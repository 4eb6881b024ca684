package devnet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	sdkslog "cosmossdk.io/log/v2/slog"
	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/app/node"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/address"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/storage"
)

// What the accounts of a devnet start with, CAIRN. A validator stakes the half of its own.
var endowment = map[string]string{
	"validator": "2000000CAIRN", "provider": "1000CAIRN", renterName: "100000CAIRN",
	faucetName: "10000000CAIRN", "alice": "10000CAIRN", "bob": "10000CAIRN",
	"reporter": "10000CAIRN", watcherName: "1000CAIRN",
}

// collectBlocks is in how many blocks of an epoch a devnet's validators contribute to the next beacon.
const collectBlocks = 4

// identify makes the homes of the validators, which stay as they are where they exist.
func (n *Network) identify() error {
	for i := range n.config.Validators {
		identity, err := node.InitHome(n.validatorHome(i), node.HomeOptions{
			Moniker: validatorName(i), ChainID: n.state.ChainID, EVMChainID: EVMChainID,
			BlockTime: n.config.BlockTime, OpenCORS: true, SharedAddress: true, Keyring: "test",
		})
		if err != nil {
			return fmt.Errorf("making the home of %s: %w", validatorName(i), err)
		}
		n.identities = append(n.identities, identity)
	}
	return nil
}

// setUp makes what a new network starts from: genesis and wallets.
func (n *Network) setUp() error {
	genesis := node.Genesis{ChainID: n.state.ChainID, Time: time.Now()}
	var homes []string
	for i, identity := range n.identities {
		homes = append(homes, n.validatorHome(i))
		operator, err := accountBytes(n.state.account(validatorName(i)))
		if err != nil {
			return err
		}
		coins, err := endow("validator")
		if err != nil {
			return err
		}
		genesis.Validators = append(genesis.Validators, node.Validator{
			Moniker: validatorName(i), Operator: operator, Key: identity.ConsensusKey, Stake: coins.QuoRaw(2), Beacon: identity.BeaconKey,
		})
	}
	for _, a := range n.state.Accounts {
		bytes, err := accountBytes(a)
		if err != nil {
			return err
		}
		kind, _, _ := strings.Cut(a.Name, "-")
		coins, err := endow(kind)
		if err != nil {
			return err
		}
		genesis.Accounts = append(genesis.Accounts, node.Account{Address: bytes, Coins: sdk.NewCoins(sdk.NewCoin(app.Denom, coins))})
	}
	genesis.Edit = func(cdc codec.JSONCodec, modules map[string]json.RawMessage) error {
		err := node.SetModule(cdc, modules, audit.ModuleName, func(g *auditv1.GenesisState) {
			g.Params.Beacon.EpochBlocks = uint32(n.config.EpochBlocks)
			g.Params.Beacon.CollectBlocks = collectBlocks
			reportTerms(&g.Params.Report)
		})
		if err != nil {
			return err
		}
		if err := node.SetModule(cdc, modules, storage.ModuleName, possessionTerms); err != nil {
			return err
		}
		return node.SetModule(cdc, modules, govtypes.ModuleName, func(g *govv1.GenesisState) {
			voting, expedited := n.config.VotingPeriod, n.config.VotingPeriod/2
			g.Params.VotingPeriod, g.Params.ExpeditedVotingPeriod = &voting, &expedited
		})
	}
	document, err := genesis.Document()
	if err != nil {
		return fmt.Errorf("building the genesis: %w", err)
	}
	if err := node.WriteGenesis(document, homes...); err != nil {
		return fmt.Errorf("writing the genesis: %w", err)
	}
	for i := range n.config.Storage {
		if err := makeWallet(n.storageHome(i), n.state.account(providerName(i))); err != nil {
			return err
		}
	}
	for i := range n.config.Reporters {
		if err := makeWallet(n.reporterHome(i), n.state.account(reporterName(i))); err != nil {
			return err
		}
	}
	if err := makeWallet(n.watcherHome(), n.state.account(watcherName)); err != nil {
		return err
	}
	return makeWallet(n.gatewayHome(), n.state.account(renterName))
}

func accountBytes(a Account) (sdk.AccAddress, error) {
	bytes, err := address.Parse(a.Address)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", a.Name, err)
	}
	return bytes[:], nil
}

func endow(kind string) (math.Int, error) {
	amount, err := price.Parse(endowment[kind])
	if err != nil {
		return math.Int{}, fmt.Errorf("endowment of %q: %w", kind, err)
	}
	return math.NewIntFromBigInt(amount.Big()), nil
}

// makeWallet gives a daemon's home the wallet of its account.
func makeWallet(home string, a Account) error {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return fmt.Errorf("making the home of %s: %w", a.Name, err)
	}
	path := filepath.Join(home, walletFile)
	if err := os.RemoveAll(path); err != nil { // of a set-up cut short
		return fmt.Errorf("making the wallet of %s: %w", a.Name, err)
	}
	if err := wallet.Create(path, a.Mnemonic, ""); err != nil {
		return fmt.Errorf("making the wallet of %s: %w", a.Name, err)
	}
	return nil
}

// walletFile is a wallet's name in a daemon's home.
const walletFile = "wallet"

func (n *Network) newValidator(i int) *member {
	m := &member{role: "validator", name: validatorName(i), log: n.log}
	listen := n.listen(i)
	if n.config.Processes {
		l := launch{
			program: n.program("cairnd"),
			args: []string{
				"start", "--home", n.validatorHome(i),
				"--p2p.laddr", "tcp://" + listen.P2P, "--rpc.laddr", "tcp://" + listen.RPC,
				"--p2p.persistent_peers", n.peers(i),
			},
			log: n.logFile(m.name),
		}
		if i == 0 {
			l.args = append(l.args, "--api.address", "tcp://"+listen.REST, "--grpc.address", listen.GRPC,
				"--json-rpc.address", listen.JSONRPC, "--json-rpc.ws-address", listen.JSONRPCWebsocket)
		} else {
			l.args = append(l.args, "--api.enable=false", "--grpc.enable=false", "--json-rpc.enable=false")
		}
		l.answers("http://"+listen.RPC+"/health", info{Endpoint: listen.P2P})
		m.asProcess(l)
		return m
	}
	m.run = func(ctx context.Context, ready func(info)) error {
		config, err := node.LoadConfig(n.validatorHome(i))
		if err != nil {
			return fmt.Errorf("reading the configuration of %s: %w", m.name, err)
		}
		config.Logger = sdkslog.NewCustomLogger(n.log.With("member", m.name))
		config.Listen(listen)
		config.Comet.P2P.AllowDuplicateIP, config.Comet.P2P.AddrBookStrict = true, false
		config.Comet.P2P.PersistentPeers = n.peers(i)
		config.Comet.P2P.PexReactor = false // every peer is known; its address book would be written after the end
		config.Comet.Consensus.TimeoutCommit = n.config.BlockTime
		if i > 0 {
			for _, name := range []string{"api.enable", "grpc.enable", "json-rpc.enable"} {
				config.Settings.Set(name, false)
			}
		}
		running, err := node.Start(ctx, config)
		if err != nil {
			return fmt.Errorf("starting %s: %w", m.name, err)
		}
		ready(info{PID: os.Getpid(), Endpoint: listen.P2P})
		<-running.Done()
		return running.Stop()
	}
	return m
}

// listen gives validator i its addresses. Only the first serves users.
func (n *Network) listen(i int) node.Addresses {
	p2p, rpc := n.ports.validator(i)
	a := node.Addresses{P2P: loopback(p2p), RPC: loopback(rpc)}
	if i == 0 {
		a.REST, a.GRPC = loopback(n.ports.REST), loopback(n.ports.GRPC)
		a.JSONRPC, a.JSONRPCWebsocket = loopback(n.ports.JSONRPC), loopback(n.ports.JSONRPCWS)
	}
	return a
}

// ValidatorRPC is the URL at which validator i answers CometBFT's RPC.
func (n *Network) ValidatorRPC(i int) string {
	_, rpc := n.ports.validator(i)
	return httpURL(rpc)
}

// peers names all other validators.
func (n *Network) peers(i int) string {
	var peers []string
	for j, identity := range n.identities {
		if j != i {
			p2p, _ := n.ports.validator(j)
			address := loopback(p2p)
			if n.config.Relay != nil {
				address = n.config.Relay(i, j, address)
			}
			peers = append(peers, identity.NodeID+"@"+address)
		}
	}
	return strings.Join(peers, ",")
}
