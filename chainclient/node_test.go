package chainclient

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	authv1beta1 "cosmossdk.io/api/cosmos/auth/v1beta1"
	bankv1beta1 "cosmossdk.io/api/cosmos/bank/v1beta1"
	nodev1beta1 "cosmossdk.io/api/cosmos/base/node/v1beta1"
	tendermintv1beta1 "cosmossdk.io/api/cosmos/base/tendermint/v1beta1"
	basev1beta1 "cosmossdk.io/api/cosmos/base/v1beta1"
	abci "cosmossdk.io/api/tendermint/abci"
	p2p "cosmossdk.io/api/tendermint/p2p"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"
	"github.com/cosmos/cosmos-sdk/types/tx"
	feemarketv1 "github.com/cosmos/evm/api/cosmos/evm/feemarket/v1"
	"github.com/cosmos/evm/crypto/ethsecp256k1"
	anypb "github.com/cosmos/gogoproto/types/any"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/internal/clock"
)

const (
	testChain = "cairn-test-1"
	mnemonic  = "test test test test test test test test test test test junk"
	// registered is the id that the fake node gives every device.
	registered = 7
)

// node is a chain of one account on one node: real sequences, signatures, mempool, last heights
// and lookups, with knobs for what goes wrong. Blocks are made by commit.
type node struct {
	tendermintv1beta1.UnimplementedServiceServer
	authv1beta1.UnimplementedQueryServer
	t *testing.T

	mu        sync.Mutex
	height    int64
	committed uint64 // the account's sequence as of the last block
	checked   uint64 // as of the mempool
	mempool   []pending
	included  map[string]*sdk.TxResponse
	order     []uint64 // sequences in the order of inclusion
	handed    int      // transactions handed over, repeats included
	results   map[int64]*tendermintv1beta1.GetBlockResultsResponse

	// Knobs.
	away       int                   // calls still to fail as if the node were down
	loseAnswer int                   // handovers that arrive but answer "unavailable"
	forget     func(handed int) bool // whether the mempool drops what was just handed over
	refuse     *Code                 // what simulations answer
	fail       *Code                 // what blocks answer
	baseFee    string                // 10^18-fold; empty for none
	price      string                // the node's own setting
	devices    []devicev1.Device     // what Devices lists
	pruned     int64                 // heights up to this have no results
	noAccount  bool                  // the account has never had money
	onCheck    func(sequence uint64) // called at every handover
}

type pending struct {
	raw      []byte
	sequence uint64
	last     uint64
}

// start serves a node in memory and returns it with a client of the test account. Whenever the
// client sleeps, a block is made.
func start(t *testing.T, config Config) (*node, *Client) {
	t.Helper()
	n := &node{
		t: t, height: 10, included: map[string]*sdk.TxResponse{},
		results: map[int64]*tendermintv1beta1.GetBlockResultsResponse{}, baseFee: "1000000000000000000000000000", // 10^9
	}
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.ForceServerCodec(codec{}), grpc.UnaryInterceptor(n.gate))
	tendermintv1beta1.RegisterServiceServer(server, n)
	authv1beta1.RegisterQueryServer(server, n)
	bankv1beta1.RegisterQueryServer(server, bank{})
	nodev1beta1.RegisterServiceServer(server, settings{node: n})
	feemarketv1.RegisterQueryServer(server, feemarket{node: n})
	tx.RegisterServiceServer(server, &txs{node: n})
	devicev1.RegisterQueryServer(server, &devices{node: n})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	fake := clock.NewFake(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	config.Endpoint, config.Clock = "127.0.0.1:1", fake
	config.DialOptions = append(config.DialOptions, grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() }))
	var err error
	if config.Account == nil {
		config.Account, err = wallet.FromMnemonic(mnemonic)
		require.NoError(t, err)
	}
	client, err := New(config)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	driven := make(chan struct{})
	go func() {
		defer close(driven)
		for fake.AwaitTimers(ctx, 1) == nil {
			n.commit()
			fake.Advance(longPause)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-driven
		require.NoError(t, client.Close())
		server.Stop()
		require.NoError(t, <-served)
	})
	return n, client
}

// gate fails calls while the node is away.
func (n *node) gate(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away > 0 {
		n.away--
		return nil, status.Error(codes.Unavailable, "connection refused")
	}
	return handler(ctx, req)
}

// set changes knobs.
func (n *node) set(change func(*node)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

// commit makes a block of everything in the mempool that may still be included.
func (n *node) commit() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.height++
	block := &tendermintv1beta1.GetBlockResultsResponse{Height: n.height}
	for _, p := range n.mempool {
		if p.sequence != n.committed || p.last < uint64(n.height) {
			continue
		}
		n.committed++
		n.order = append(n.order, p.sequence)
		r := &sdk.TxResponse{Height: n.height, GasUsed: 50_000}
		result := &abci.ExecTxResult{Events: []*abci.Event{event("tx", p.sequence)}}
		if n.fail != nil {
			r.Codespace, r.Code, r.RawLog = n.fail.Space, n.fail.Number, "amount: too large"
			result.Code = n.fail.Number
		} else {
			answer, err := (&devicev1.MsgRegisterResponse{Id: registered}).Marshal()
			require.NoError(n.t, err)
			data, err := (&sdk.TxMsgData{MsgResponses: []*anypb.Any{{TypeUrl: "/x", Value: answer}}}).Marshal()
			require.NoError(n.t, err)
			r.Data = hex.EncodeToString(data)
		}
		n.included[txHash(p.raw)] = r
		block.TxsResults = append(block.TxsResults, result)
	}
	block.FinalizeBlockEvents = []*abci.Event{event("block", uint64(n.height))}
	n.results[n.height] = block
	n.mempool, n.checked = nil, n.committed
}

func event(kind string, number uint64) *abci.Event {
	return &abci.Event{Type_: kind, Attributes: []*abci.EventAttribute{{Key: "n", Value: fmt.Sprint(number)}}}
}

func (n *node) GetNodeInfo(context.Context, *tendermintv1beta1.GetNodeInfoRequest) (*tendermintv1beta1.GetNodeInfoResponse, error) {
	return &tendermintv1beta1.GetNodeInfoResponse{DefaultNodeInfo: &p2p.DefaultNodeInfo{Network: testChain}}, nil
}

func (n *node) GetLatestBlock(context.Context, *tendermintv1beta1.GetLatestBlockRequest) (*tendermintv1beta1.GetLatestBlockResponse, error) {
	return &tendermintv1beta1.GetLatestBlockResponse{SdkBlock: &tendermintv1beta1.Block{Header: &tendermintv1beta1.Header{
		Height: n.height, Time: timestamppb.New(time.Unix(1_900_000_000+n.height, 0)),
	}}}, nil
}

func (n *node) GetBlockResults(_ context.Context, r *tendermintv1beta1.GetBlockResultsRequest) (*tendermintv1beta1.GetBlockResultsResponse, error) {
	if block, ok := n.results[r.Height]; ok && r.Height > n.pruned {
		return block, nil
	}
	return nil, status.Errorf(codes.Unknown, "could not find results for height #%d", r.Height)
}

// ABCIQuery simulates.
func (n *node) ABCIQuery(_ context.Context, r *tendermintv1beta1.ABCIQueryRequest) (*tendermintv1beta1.ABCIQueryResponse, error) {
	require.Equal(n.t, "/app/simulate", r.Path)
	_, info := n.decode(r.Data)
	switch {
	case n.refuse != nil:
		return &tendermintv1beta1.ABCIQueryResponse{Codespace: n.refuse.Space, Code: n.refuse.Number, Log: "price: zero"}, nil
	case info.SignerInfos[0].Sequence != n.checked:
		return &tendermintv1beta1.ABCIQueryResponse{Codespace: "sdk", Code: 32, Log: "account sequence mismatch"}, nil
	}
	return &tendermintv1beta1.ABCIQueryResponse{Value: []byte(`{"gas_info":{"gas_wanted":"0","gas_used":"60000"},"result":{}}`)}, nil
}

func (n *node) AccountInfo(_ context.Context, r *authv1beta1.QueryAccountInfoRequest) (*authv1beta1.QueryAccountInfoResponse, error) {
	if n.noAccount {
		return nil, status.Errorf(codes.NotFound, "account %s not found", r.Address)
	}
	return &authv1beta1.QueryAccountInfoResponse{Info: &authv1beta1.BaseAccount{Address: r.Address, AccountNumber: 3, Sequence: n.committed}}, nil
}

// decode reads a transaction and its last height.
func (n *node) decode(raw []byte) (*tx.TxBody, *tx.AuthInfo) {
	var (
		t    tx.TxRaw
		body tx.TxBody
		info tx.AuthInfo
	)
	require.NoError(n.t, t.Unmarshal(raw))
	require.NoError(n.t, body.Unmarshal(t.BodyBytes))
	require.NoError(n.t, info.Unmarshal(t.AuthInfoBytes))
	return &body, &info
}

type txs struct {
	*node
	tx.UnimplementedServiceServer
}

func (n *txs) BroadcastTx(_ context.Context, r *tx.BroadcastTxRequest) (*tx.BroadcastTxResponse, error) {
	require.Equal(n.t, tx.BroadcastMode_BROADCAST_MODE_SYNC, r.Mode)
	body, info := n.decode(r.TxBytes)
	sequence := info.SignerInfos[0].Sequence
	n.handed++
	if n.onCheck != nil {
		n.onCheck(sequence)
	}
	answer := func(code uint32) (*tx.BroadcastTxResponse, error) {
		return &tx.BroadcastTxResponse{TxResponse: &sdk.TxResponse{Codespace: "sdk", Code: code, RawLog: "refused"}}, nil
	}
	if slices.ContainsFunc(n.mempool, func(p pending) bool { return slices.Equal(p.raw, r.TxBytes) }) {
		return answer(errInMempool.Number)
	}
	if sequence != n.checked {
		return answer(errWrongSequence.Number)
	}
	n.verify(r.TxBytes, info)
	if n.forget == nil || !n.forget(n.handed) {
		n.mempool = append(n.mempool, pending{raw: r.TxBytes, sequence: sequence, last: body.TimeoutHeight})
		n.checked++
	}
	if n.loseAnswer > 0 {
		n.loseAnswer--
		return nil, status.Error(codes.Unavailable, "connection reset")
	}
	return answer(0)
}

// verify checks the signature as the chain does.
func (n *node) verify(raw []byte, info *tx.AuthInfo) {
	var t tx.TxRaw
	require.NoError(n.t, t.Unmarshal(raw))
	doc, err := (&tx.SignDoc{BodyBytes: t.BodyBytes, AuthInfoBytes: t.AuthInfoBytes, ChainId: testChain, AccountNumber: 3}).Marshal()
	require.NoError(n.t, err)
	require.Equal(n.t, publicKeyURL, info.SignerInfos[0].PublicKey.TypeUrl)
	var key ethsecp256k1.PubKey
	require.NoError(n.t, key.Unmarshal(info.SignerInfos[0].PublicKey.Value))
	require.True(n.t, key.VerifySignature(doc, t.Signatures[0]), "signature")
}

func (n *txs) GetTx(_ context.Context, r *tx.GetTxRequest) (*tx.GetTxResponse, error) {
	if found, ok := n.included[r.Hash]; ok {
		return &tx.GetTxResponse{TxResponse: found}, nil
	}
	return nil, status.Errorf(codes.NotFound, "tx not found: %s", r.Hash)
}

type bank struct {
	bankv1beta1.UnimplementedQueryServer
}

func (bank) Balance(_ context.Context, r *bankv1beta1.QueryBalanceRequest) (*bankv1beta1.QueryBalanceResponse, error) {
	return &bankv1beta1.QueryBalanceResponse{Balance: &basev1beta1.Coin{Denom: r.Denom, Amount: "1500000000000000000"}}, nil
}

type settings struct {
	*node
	nodev1beta1.UnimplementedServiceServer
}

func (n settings) Config(context.Context, *nodev1beta1.ConfigRequest) (*nodev1beta1.ConfigResponse, error) {
	return &nodev1beta1.ConfigResponse{MinimumGasPrice: n.price}, nil
}

type feemarket struct {
	*node
	feemarketv1.UnimplementedQueryServer
}

func (n feemarket) BaseFee(context.Context, *feemarketv1.QueryBaseFeeRequest) (*feemarketv1.QueryBaseFeeResponse, error) {
	return &feemarketv1.QueryBaseFeeResponse{BaseFee: n.baseFee}, nil
}

func (n feemarket) Params(context.Context, *feemarketv1.QueryParamsRequest) (*feemarketv1.QueryParamsResponse, error) {
	return &feemarketv1.QueryParamsResponse{Params: &feemarketv1.Params{MinGasPrice: "0"}}, nil
}

type devices struct {
	*node
	devicev1.UnimplementedQueryServer
}

func (n *devices) Device(_ context.Context, r *devicev1.QueryDeviceRequest) (*devicev1.QueryDeviceResponse, error) {
	return nil, status.Errorf(codes.NotFound, "codespace device code 2: no such device: %d", r.Id)
}

// Devices lists two a page.
func (n *devices) Devices(_ context.Context, r *devicev1.QueryDevicesRequest) (*devicev1.QueryDevicesResponse, error) {
	first := 0
	if len(r.Pagination.Key) > 0 {
		first = int(r.Pagination.Key[0])
	}
	last := min(first+2, len(n.devices))
	answer := &devicev1.QueryDevicesResponse{Devices: n.devices[first:last], Pagination: &query.PageResponse{}}
	if last < len(n.devices) {
		answer.Pagination.NextKey = []byte{byte(last)}
	}
	return answer, nil
}
