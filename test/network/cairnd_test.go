package network

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/app/node"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/wallet"
)

const validatorsChain = "cairn-validators-1"

// validators are a chain of processes, one a validator, all run by one person. Each speaks to the
// first; their ports are chosen before they start, so that a restart changes nothing.
type validators struct {
	t    *testing.T
	dir  string
	list []*validator
}

type validator struct {
	home     string
	id       string // p2p
	identity node.Identity
	account  *wallet.Account
	p2p, rpc string // host:port
	grpc     string
	env      []string // settings besides those of all

	process *exec.Cmd
	log     *os.File
	ended   chan struct{}
}

// program builds cairnd with build tags, without the devnet: it takes a third less time to link.
func program(t *testing.T, tags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cairnd-"+strings.Join(tags, "-"))
	build := exec.Command("go", "build", "-tags", strings.Join(append(tags, "nodevnet"), ","), "-o", path, "../../cmd/cairnd")
	out, err := build.CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
	return path
}

// newValidators makes the homes of n validators with a stake of 100 CAIRN each, and of more nodes whose
// accounts hold money but no stake. edit changes the genesis further.
func newValidators(t *testing.T, n, more int, edit func(codec.JSONCodec, map[string]json.RawMessage) error) *validators {
	t.Helper()
	v := &validators{t: t, dir: t.TempDir()}
	genesis := node.Genesis{ChainID: validatorsChain, Time: time.Now(), Edit: edit}
	whole := math.NewIntWithDecimal(1, 18)
	for i := range n + more {
		words, err := wallet.NewMnemonic(rand.Reader)
		require.NoError(t, err)
		account, err := wallet.FromMnemonic(words)
		require.NoError(t, err)
		one := &validator{
			home: filepath.Join(v.dir, strconv.Itoa(i)), account: account,
			p2p: freePort(t), rpc: freePort(t), grpc: freePort(t),
		}
		one.identity, err = node.InitHome(one.home, node.HomeOptions{
			Moniker: fmt.Sprintf("v%d", i), ChainID: validatorsChain, BlockTime: 200 * time.Millisecond, Keyring: "test",
		})
		require.NoError(t, err)
		one.id = one.identity.NodeID
		v.list = append(v.list, one)
		address := account.Bytes()
		genesis.Accounts = append(genesis.Accounts, node.Account{Address: address[:], Coins: sdk.NewCoins(sdk.NewCoin("acairn", whole.MulRaw(10_000)))})
		if i < n {
			genesis.Validators = append(genesis.Validators, node.Validator{
				Moniker: fmt.Sprintf("v%d", i), Operator: address[:], Key: one.identity.ConsensusKey, Stake: whole.MulRaw(100),
				Beacon: one.identity.BeaconKey,
			})
		}
	}
	document, err := genesis.Document()
	require.NoError(t, err)
	var homes []string
	for _, one := range v.list {
		homes = append(homes, one.home)
	}
	require.NoError(t, node.WriteGenesis(document, homes...))
	t.Cleanup(func() {
		if t.Failed() {
			for i, one := range v.list {
				t.Logf("%s:\n%s\n%s", one.home, v.waitsFor(i), tail(one.home+".log"))
			}
		}
		for i := range v.list {
			v.stop(i)
		}
	})
	return v
}

// waitsFor is what a validator's consensus knows of the round that it is in: proposal, votes, and what each
// of its peers has of them.
func (v *validators) waitsFor(i int) string {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get("http://" + v.list[i].rpc + "/dump_consensus_state")
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// tail is the end of a log file.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// start runs a validator with a program.
func (v *validators) start(i int, program string) {
	v.t.Helper()
	one := v.list[i]
	log, err := os.OpenFile(one.home+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(v.t, err)
	peers := ""
	if i > 0 {
		peers = v.list[0].id + "@" + v.list[0].p2p
	}
	one.process = exec.Command(program, "start", "--home", one.home,
		"--p2p.laddr", "tcp://"+one.p2p, "--rpc.laddr", "tcp://"+one.rpc, "--p2p.persistent_peers", peers,
		"--grpc.address", one.grpc, "--api.enable=false", "--json-rpc.enable=false")
	one.process.Env = append(append(os.Environ(),
		"CAIRND_P2P_ALLOW_DUPLICATE_IP=true", "CAIRND_P2P_ADDR_BOOK_STRICT=false", "CAIRND_STATE_SYNC_SNAPSHOT_INTERVAL=10"), one.env...)
	one.process.Stdout, one.process.Stderr, one.log = log, log, log
	require.NoError(v.t, one.process.Start())
	one.ended = make(chan struct{})
	go func() {
		_ = one.process.Wait()
		close(one.ended)
	}()
}

// stop ends a validator that runs.
func (v *validators) stop(i int) {
	one := v.list[i]
	if one.process == nil {
		return
	}
	_ = one.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-one.ended:
	case <-time.After(20 * time.Second): // halted for an upgrade, consensus does not end by itself
		_ = one.process.Process.Kill()
		<-one.ended
	}
	one.log.Close()
	one.process = nil
}

// ask reads an answer of a validator's RPC into result.
func (v *validators) ask(i int, what string, result any) error {
	ctx, cancel := context.WithTimeout(v.t.Context(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.list[i].rpc+"/"+what, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer := struct{ Result any }{result}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", what, response.Status)
	}
	return nil
}

// height is the last block of a validator, 0 while it does not answer.
func (v *validators) height(i int) int64 {
	var status struct {
		Sync struct {
			Height string `json:"latest_block_height"`
		} `json:"sync_info"`
	}
	if v.ask(i, "status", &status) != nil {
		return 0
	}
	height, _ := strconv.ParseInt(status.Sync.Height, 10, 64)
	return height
}

// reach waits until validators have a height.
func (v *validators) reach(height int64, which ...int) {
	v.t.Helper()
	for _, i := range which {
		require.Eventuallyf(v.t, func() bool { return v.height(i) >= height }, 3*time.Minute, 100*time.Millisecond,
			"validator %d does not come to height %d", i, height)
	}
}

// commit is what a validator says of a block.
type commit struct {
	SignedHeader struct {
		Header struct {
			AppHash string `json:"app_hash"`
		} `json:"header"`
		Commit struct {
			BlockID struct {
				Hash string `json:"hash"`
			} `json:"block_id"`
			Signatures []struct {
				Address string `json:"validator_address"`
			} `json:"signatures"`
		} `json:"commit"`
	} `json:"signed_header"`
}

// commit gives a block as validator i has it, which may have it a moment after the others.
func (v *validators) commit(i int, height int64) (c commit) {
	v.t.Helper()
	require.Eventually(v.t, func() bool {
		return v.ask(i, fmt.Sprintf("commit?height=%d", height), &c) == nil
	}, time.Minute, 200*time.Millisecond, "block %d of validator %d", height, i)
	return c
}

// agree holds that validators have the same block and the same state before it at a height.
func (v *validators) agree(height int64, which ...int) {
	v.t.Helper()
	first := v.commit(which[0], height).SignedHeader
	require.NotEmpty(v.t, first.Header.AppHash)
	for _, i := range which[1:] {
		other := v.commit(i, height).SignedHeader
		require.Equal(v.t, first.Commit.BlockID.Hash, other.Commit.BlockID.Hash, "block %d of validator %d", height, i)
		require.Equal(v.t, first.Header.AppHash, other.Header.AppHash, "state before block %d of validator %d", height, i)
	}
}

// client speaks to a validator for its account.
func (v *validators) client(i int) *chainclient.Client {
	v.t.Helper()
	c, err := chainclient.New(chainclient.Config{Endpoint: v.list[i].grpc, Account: v.list[i].account, Patience: time.Minute})
	require.NoError(v.t, err)
	v.t.Cleanup(func() { c.Close() })
	return c
}

// quickVotes lets a proposal be decided in seconds.
func quickVotes(cdc codec.JSONCodec, state map[string]json.RawMessage) error {
	return node.SetModule(cdc, state, "gov", func(g *govv1.GenesisState) {
		voting, expedited := 10*time.Second, 5*time.Second
		g.Params.VotingPeriod, g.Params.ExpeditedVotingPeriod = &voting, &expedited
		g.Params.MinDeposit = sdk.NewCoins(sdk.NewCoin("acairn", math.NewIntWithDecimal(1, 18)))
	})
}
