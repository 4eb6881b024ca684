package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/ethereum/go-ethereum/common/hexutil"
	ethtypes "github.com/ethereum/go-ethereum/core/types"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/app/command"
	"github.com/cairn-network/cairn/app/node"
)

// anyPort lets the system choose all ports.
var anyPort = node.Addresses{
	P2P: "127.0.0.1:0", RPC: "127.0.0.1:0", REST: "127.0.0.1:0", GRPC: "127.0.0.1:0",
	JSONRPC: "127.0.0.1:0", JSONRPCWebsocket: "127.0.0.1:0",
}

// makeNetwork makes homes of n validators of one network.
func makeNetwork(t *testing.T, n int) []string {
	t.Helper()
	app.Configure()
	genesis := node.Genesis{ChainID: chainID, Time: time.Now()}
	homes := make([]string, n)
	for i := range homes {
		homes[i] = filepath.Join(t.TempDir(), fmt.Sprint("node", i))
		identity, err := node.InitHome(homes[i], node.HomeOptions{
			Moniker: fmt.Sprint("val", i), ChainID: chainID, BlockTime: 100 * time.Millisecond, OpenCORS: true, Keyring: "test",
		})
		require.NoError(t, err)
		operator := newUser(fmt.Sprint("val", i))
		genesis.Accounts = append(genesis.Accounts, node.Account{Address: operator.address(), Coins: sdk.NewCoins(cairn(1000))})
		genesis.Validators = append(genesis.Validators, node.Validator{
			Moniker: fmt.Sprint("val", i), Operator: operator.address(), Key: identity.ConsensusKey, Stake: cairn(100).Amount,
		})
	}
	document, err := genesis.Document()
	require.NoError(t, err)
	require.NoError(t, node.WriteGenesis(document, homes...))
	return homes
}

func startNode(t *testing.T, home string, peers ...string) *node.Node {
	t.Helper()
	config, err := node.LoadConfig(home)
	require.NoError(t, err)
	config.Listen(anyPort)
	config.Comet.P2P.AllowDuplicateIP = true
	config.Comet.P2P.PexReactor = false // its address book is written after the node has stopped
	config.Comet.P2P.AddrBookStrict = false
	config.Comet.P2P.PersistentPeers = strings.Join(peers, ",")
	running, err := node.Start(context.Background(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = running.Stop() })
	return running
}

func waitHeight(t *testing.T, n *node.Node, height int64) {
	t.Helper()
	require.Eventually(t, func() bool { return n.Height() >= height }, time.Minute, 20*time.Millisecond)
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s: %s", url, body)
	return string(body)
}

func ethereum(t *testing.T, address, method string, params ...any) json.RawMessage {
	t.Helper()
	request, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": append([]any{}, params...)})
	require.NoError(t, err)
	response, err := http.Post("http://"+address, "application/json", bytes.NewReader(request))
	require.NoError(t, err)
	defer response.Body.Close()
	var answer struct {
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.Nil(t, answer.Error, "%s", method)
	return answer.Result
}

// TestNodeAnswersOnEveryPortAndComesBack runs a validator, asks all of its servers, stops it, and
// starts it again on the same home in the same process.
func TestNodeAnswersOnEveryPortAndComesBack(t *testing.T) {
	home := makeNetwork(t, 1)[0]
	running := startNode(t, home)
	waitHeight(t, running, 2)
	at := running.Addresses()

	require.Contains(t, get(t, "http://"+at.RPC+"/status"), chainID)
	require.Contains(t, get(t, "http://"+at.REST+"/cosmos/bank/v1beta1/supply"), app.Denom)
	require.Contains(t, get(t, "http://"+at.REST+"/cairn/market/v1/params"), app.Denom)
	require.Equal(t, `"0xab169"`, string(ethereum(t, at.JSONRPC, "eth_chainId")))
	require.NotEmpty(t, ethereum(t, at.JSONRPC, "eth_getBlockByNumber", "latest", false))

	connection, err := grpc.NewClient(at.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer connection.Close()
	operator := newUser("val0")
	balance, err := banktypes.NewQueryClient(connection).Balance(context.Background(), &banktypes.QueryBalanceRequest{Address: operator.String(), Denom: app.Denom})
	require.NoError(t, err)
	require.Equal(t, cairn(900), *balance.Balance)

	socket, _, err := websocket.DefaultDialer.Dial("ws://"+at.JSONRPCWebsocket+"/", nil)
	require.NoError(t, err)
	defer socket.Close()
	require.NoError(t, socket.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": []string{"newHeads"}}))
	for range 2 { // the subscription's id, then a block
		var answer map[string]any
		require.NoError(t, socket.ReadJSON(&answer))
	}

	sendWithWallet(t, at.JSONRPC)

	height := running.Height()
	require.NoError(t, running.Stop())
	again := startNode(t, home)
	waitHeight(t, again, height+2)
	require.NoError(t, again.Stop())
}

// sendWithWallet does what MetaMask does to send CAIRN: asks for chain, nonce, price and gas, signs, submits,
// and waits for the receipt.
func sendWithWallet(t *testing.T, address string) {
	t.Helper()
	var (
		from, to = newUser("val0"), newUser("friend").hex()
		number   = func(method string, params ...any) *big.Int {
			var quantity hexutil.Big
			require.NoError(t, json.Unmarshal(ethereum(t, address, method, params...), &quantity))
			return quantity.ToInt()
		}
	)
	value := cairn(2).Amount.BigInt()
	call := map[string]any{"from": from.hex(), "to": to, "value": hexutil.EncodeBig(value)}
	chain := number("eth_chainId")
	key, err := from.key.ToECDSA()
	require.NoError(t, err)
	signed, err := ethtypes.SignNewTx(key, ethtypes.LatestSignerForChainID(chain), &ethtypes.DynamicFeeTx{
		ChainID: chain, Nonce: number("eth_getTransactionCount", from.hex(), "pending").Uint64(), To: &to, Value: value,
		GasTipCap: number("eth_maxPriorityFeePerGas"), GasFeeCap: number("eth_gasPrice"),
		Gas: number("eth_estimateGas", call).Uint64(),
	})
	require.NoError(t, err)
	raw, err := signed.MarshalBinary()
	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf("%q", signed.Hash()), string(ethereum(t, address, "eth_sendRawTransaction", hexutil.Encode(raw))))
	var receipt struct{ Status hexutil.Uint64 }
	require.Eventually(t, func() bool {
		answer := ethereum(t, address, "eth_getTransactionReceipt", signed.Hash())
		return string(answer) != "null" && json.Unmarshal(answer, &receipt) == nil
	}, time.Minute, 50*time.Millisecond)
	require.EqualValues(t, 1, receipt.Status)
	require.Equal(t, value, number("eth_getBalance", to, "latest"))
}

// TestValidatorsInOneProcessAgree runs three of them; one leaves and comes back.
func TestValidatorsInOneProcessAgree(t *testing.T) {
	homes := makeNetwork(t, 3)
	nodes := []*node.Node{startNode(t, homes[0])}
	first := nodes[0].ID() + "@" + nodes[0].Addresses().P2P
	nodes = append(nodes, startNode(t, homes[1], first), startNode(t, homes[2], first))
	waitHeight(t, nodes[2], 3)

	require.NoError(t, nodes[2].Stop())
	height := nodes[0].Height()
	waitHeight(t, nodes[0], height) // two of three are not more than two thirds: no new block is promised
	nodes[2] = startNode(t, homes[2], first)
	for _, n := range nodes {
		waitHeight(t, n, height+3)
	}
	want := nodes[0].Client()
	at := height + 2
	reference, err := want.Block(context.Background(), &at)
	require.NoError(t, err)
	for _, n := range nodes {
		block, err := n.Client().Block(context.Background(), &at)
		require.NoError(t, err)
		require.Equal(t, reference.Block.AppHash, block.Block.AppHash)
	}
}

// TestStartSaysWhatIsWrong: errors of a start name the thing to mend, and leave nothing behind.
func TestStartSaysWhatIsWrong(t *testing.T) {
	_, err := node.LoadConfig(t.TempDir())
	require.ErrorContains(t, err, "config.toml")

	home := makeNetwork(t, 1)[0]
	running := startNode(t, home)
	other := makeNetwork(t, 1)[0]
	config, err := node.LoadConfig(other)
	require.NoError(t, err)
	taken := anyPort
	taken.JSONRPC = running.Addresses().JSONRPC
	config.Listen(taken)
	_, err = node.Start(context.Background(), config)
	require.ErrorContains(t, err, "binding JSON-RPC")
	// All that was bound and opened before is free again.
	retried := startNode(t, other)
	require.NoError(t, retried.Stop())

	config, err = node.LoadConfig(other)
	require.NoError(t, err)
	config.Settings.Set("evm.evm-chain-id", 4711)
	_, err = node.Start(context.Background(), config)
	require.ErrorContains(t, err, "one for each process")
	require.NoError(t, os.Remove(filepath.Join(other, "config", "genesis.json")))
	_, err = node.Start(context.Background(), config)
	require.ErrorContains(t, err, "genesis")
}

// cairnd runs the command line and gives what it printed.
func cairnd(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tryCairnd(t, args...)
	require.NoError(t, err, "cairnd %s", strings.Join(args, " "))
	return out
}

func tryCairnd(t *testing.T, args ...string) (string, error) {
	t.Helper()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	stdout := os.Stdout
	os.Stdout = write
	printed := make(chan string)
	go func() {
		all, _ := io.ReadAll(read)
		printed <- string(all)
	}()
	err = command.Run(context.Background(), args)
	os.Stdout = stdout
	write.Close()
	return <-printed, err
}

// TestGenesisByCommands is a newcomer's first network: init, keys, an account with coins written as people do,
// a validator, start.
func TestGenesisByCommands(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	in := []string{"--home", home}
	run := func(args ...string) string { return cairnd(t, append(args, in...)...) }
	run("init", "first", "--chain-id", chainID, "--keyring-backend", "test", "--block-time", "100ms")
	run("keys", "add", "alice")
	alice := strings.TrimSpace(run("keys", "show", "alice", "-a"))
	require.True(t, strings.HasPrefix(alice, "cairn1"), alice)
	run("genesis", "add-genesis-account", "alice", "1000.5CAIRN")
	run("genesis", "gentx", "alice", "100CAIRN")
	run("genesis", "collect-gentxs")
	run("genesis", "add-beacon-key", alice)
	run("genesis", "validate")
	require.Contains(t, run("beacon-key", "show", alice), "cairnd tx audit announce-beacon-key ")
	_, err := tryCairnd(t, append([]string{"init", "again"}, in...)...)
	require.ErrorContains(t, err, "--overwrite")

	running := startNode(t, home)
	waitHeight(t, running, 2) // the first is in the store before the application has it
	rpc := []string{"--node", "tcp://" + running.Addresses().RPC, "--output", "json"}
	in = append(in, rpc...)
	bob := newUser("bob")
	run("tx", "bank", "send", "alice", bob.hex().Hex(), "1.25CAIRN", "--yes")
	require.Eventually(t, func() bool {
		return strings.Contains(run("query", "bank", "balances", bob.String()), `"1250000000000000000"`)
	}, time.Minute, 100*time.Millisecond)
	require.Contains(t, run("query", "market", "params"), app.Denom)
}

// TestAmountsAsPeopleWriteThem looks at the transaction that a command makes.
func TestAmountsAsPeopleWriteThem(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	from, to := newUser("alice"), newUser("bob")
	send := func(amount string, more ...string) (string, error) {
		return tryCairnd(t, append([]string{
			"tx", "bank", "send", from.String(), to.String(), amount, "--home", home, "--keyring-backend", "test",
			"--generate-only", "--offline", "--account-number", "1", "--sequence", "1",
		}, more...)...)
	}
	for written, want := range map[string]string{
		"1CAIRN":                    `"1000000000000000000"`,
		"1 CAIRN":                   `"1000000000000000000"`,
		"0.5CAIRN":                  `"500000000000000000"`,
		"0.000000000000000001CAIRN": `"1"`,
		"12345acairn":               `"12345"`,
		"1000000000CAIRN":           `"1000000000000000000000000000"`,
	} {
		out, err := send(written)
		require.NoError(t, err, written)
		require.Contains(t, out, want, written)
	}
	for _, wrong := range []string{"0.0000000000000000001CAIRN", "1.CAIRN", "-1CAIRN", "CAIRN", "1,5CAIRN", "1e3CAIRN"} {
		_, err := send(wrong)
		require.Error(t, err, wrong)
	}
	out, err := send("1CAIRN", "--note", "5CAIRN", "--fees", "0.1CAIRN", "--fee-payer", to.hex().Hex())
	require.NoError(t, err)
	require.Contains(t, out, `"5CAIRN"`)
	require.Contains(t, out, `"100000000000000000"`)
	require.Contains(t, out, `"payer":"`+to.String())
}

// TestVersionIsPrinted also in JSON.
func TestVersionIsPrinted(t *testing.T) {
	require.NotEmpty(t, strings.TrimSpace(cairnd(t, "version")))
	var long map[string]string
	require.NoError(t, json.Unmarshal([]byte(cairnd(t, "version", "--json")), &long))
	require.Equal(t, app.Name, long["name"])
	require.Contains(t, cairnd(t, "completion", "bash"), "cairnd")
}
