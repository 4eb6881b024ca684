package app_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"
	"time"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"
	abci "github.com/cometbft/cometbft/abci/types"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	"github.com/cosmos/evm/crypto/ethsecp256k1"
	evmtypes "github.com/cosmos/evm/x/vm/types"
	"github.com/ethereum/go-ethereum/common"
	ethtypes "github.com/ethereum/go-ethereum/core/types"
	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/app/node"
	"github.com/cairn-network/cairn/internal/modkit"
)

const chainID = "cairn-test-1"

var genesisTime = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// user is an account whose key derives from its name, the same in every run.
type user struct {
	key *ethsecp256k1.PrivKey
}

func newUser(name string) user {
	seed := sha256.Sum256([]byte("account " + name))
	return user{&ethsecp256k1.PrivKey{Key: seed[:]}}
}

func (u user) address() sdk.AccAddress { return sdk.AccAddress(u.key.PubKey().Address()) }
func (u user) String() string          { return u.address().String() }
func (u user) hex() common.Address     { return common.BytesToAddress(u.address()) }

func cairn(whole int64) sdk.Coin {
	return sdk.NewCoin(app.Denom, math.NewIntWithDecimal(whole, app.Decimals))
}

// settings are a node's app.toml for an application without a node.
type settings map[string]any

func (s settings) Get(name string) any { return s[name] }

func testSettings(home string) settings {
	return settings{
		"home":             home,
		"evm.evm-chain-id": app.DefaultEVMChainID,
		"mempool.max-txs":  1000,
	}
}

// chain drives one application block by block, without consensus, and remembers what went in.
type chain struct {
	t      *testing.T
	db     dbm.DB
	app    *app.App
	val    cmted25519.PrivKey
	height int64
	time   time.Time
	blocks []block
}

// block is an input of the state machine and the hash that came out.
type block struct {
	txs  [][]byte
	hash []byte
}

// testGenesis has one validator, operated by "val", users with 5,000 CAIRN each, and votes of 20 seconds.
func testGenesis(t *testing.T, names ...string) (*genutiltypes.AppGenesis, cmted25519.PrivKey) {
	t.Helper()
	app.Configure()
	key := cmted25519.GenPrivKeyFromSecret([]byte("validator"))
	genesis := node.Genesis{
		ChainID: chainID,
		Time:    genesisTime,
		Validators: []node.Validator{{
			Moniker: "val", Operator: newUser("val").address(), Key: key.PubKey(), Stake: cairn(100).Amount,
		}},
	}
	for _, name := range append([]string{"val"}, names...) {
		genesis.Accounts = append(genesis.Accounts, node.Account{Address: newUser(name).address(), Coins: sdk.NewCoins(cairn(5000))})
	}
	genesis.Edit = func(cdc codec.JSONCodec, state map[string]json.RawMessage) error {
		return node.SetModule(cdc, state, govtypes.ModuleName, func(gov *govv1.GenesisState) {
			period, expedited := 20*time.Second, 10*time.Second
			gov.Params.VotingPeriod, gov.Params.ExpeditedVotingPeriod = &period, &expedited
		})
	}
	document, err := genesis.Document()
	require.NoError(t, err)
	return document, key
}

func newChain(t *testing.T, names ...string) *chain {
	t.Helper()
	document, key := testGenesis(t, names...)
	return startChain(t, document, key)
}

// startChain runs a genesis and its first block: before that, there is no state to read.
func startChain(t *testing.T, document *genutiltypes.AppGenesis, key cmted25519.PrivKey) *chain {
	t.Helper()
	c := &chain{t: t, db: dbm.NewMemDB(), val: key, time: document.GenesisTime, height: document.InitialHeight - 1}
	c.open()
	consensus := document.Consensus.Params.ToProto()
	_, err := c.app.InitChain(&abci.RequestInitChain{
		ChainId: document.ChainID, Time: document.GenesisTime, InitialHeight: document.InitialHeight,
		AppStateBytes: document.AppState, ConsensusParams: &consensus,
	})
	require.NoError(t, err)
	c.must()
	return c
}

// open builds the application over what the database holds.
func (c *chain) open(options ...func(*baseapp.BaseApp)) {
	c.t.Helper()
	opened, err := app.New(log.NewNopLogger(), c.db, testSettings(c.t.TempDir()), append(options, baseapp.SetChainID(chainID))...)
	require.NoError(c.t, err)
	c.app = opened
	c.t.Cleanup(func() { _ = opened.Close() })
}

// restart closes the application and builds it again over the same database.
func (c *chain) restart(options ...func(*baseapp.BaseApp)) {
	c.t.Helper()
	require.NoError(c.t, c.app.Close())
	c.open(options...)
	require.Equal(c.t, c.height, c.app.LastBlockHeight())
}

// next runs one block five seconds after the last, checks every invariant, and gives the results
// of its transactions.
func (c *chain) next(txs ...[]byte) []*abci.ExecTxResult {
	c.t.Helper()
	c.height++
	c.time = c.time.Add(5 * time.Second)
	commit := abci.CommitInfo{}
	if c.height > 1 {
		commit.Votes = []abci.VoteInfo{{
			Validator:   abci.Validator{Address: c.val.PubKey().Address(), Power: 100},
			BlockIdFlag: cmtproto.BlockIDFlagCommit,
		}}
	}
	response, err := c.app.FinalizeBlock(&abci.RequestFinalizeBlock{
		Height: c.height, Time: c.time, Txs: txs, DecidedLastCommit: commit,
		ProposerAddress:    c.val.PubKey().Address(),
		Hash:               cmttypes.Tx(fmt.Sprint(c.height)).Hash(),
		NextValidatorsHash: cmttypes.Tx("validators").Hash(),
	})
	require.NoError(c.t, err)
	_, err = c.app.Commit()
	require.NoError(c.t, err)
	c.blocks = append(c.blocks, block{txs: txs, hash: response.AppHash})
	require.NoError(c.t, modkit.Check(c.ctx(), c.app.Invariants()), "height %d", c.height)
	return response.TxResults
}

// must is next for transactions that all succeed.
func (c *chain) must(txs ...[]byte) []*abci.ExecTxResult {
	c.t.Helper()
	results := c.next(txs...)
	for i, result := range results {
		require.Zero(c.t, result.Code, "transaction %d: %s", i, result.Log)
	}
	return results
}

// ctx reads the last committed state.
func (c *chain) ctx() sdk.Context {
	return c.app.NewContext(true).WithBlockTime(c.time).WithBlockHeight(c.height)
}

// message gives the answer to the first message of a transaction.
func message[T any, P interface {
	*T
	Unmarshal([]byte) error
}](t *testing.T, result *abci.ExecTxResult) P {
	t.Helper()
	var data sdk.TxMsgData
	require.NoError(t, data.Unmarshal(result.Data))
	require.NotEmpty(t, data.MsgResponses)
	answer := P(new(T))
	require.NoError(t, answer.Unmarshal(data.MsgResponses[0].Value))
	return answer
}

const txGas = 3_000_000

// sign makes a transaction of messages, signed by u alone; ahead is how many of its transactions
// come before it in the same block.
func (c *chain) sign(u user, ahead uint64, messages ...sdk.Msg) []byte {
	c.t.Helper()
	return c.signWith(u, ahead, sdk.NewCoin(app.Denom, math.NewInt(2_000_000_000).MulRaw(txGas)), messages...)
}

// signPaying is sign with a fee of the caller's choice.
func (c *chain) signPaying(u user, fee sdk.Coin, messages ...sdk.Msg) []byte {
	c.t.Helper()
	return c.signWith(u, 0, fee, messages...)
}

func (c *chain) signWith(u user, ahead uint64, fee sdk.Coin, messages ...sdk.Msg) []byte {
	c.t.Helper()
	account := c.app.Auth.GetAccount(c.ctx(), u.address())
	require.NotNil(c.t, account, "no account %s", u)
	config := c.app.Encoding().TxConfig
	builder := config.NewTxBuilder()
	require.NoError(c.t, builder.SetMsgs(messages...))
	builder.SetGasLimit(txGas)
	builder.SetFeeAmount(sdk.NewCoins(fee))
	sequence := account.GetSequence() + ahead
	empty := signing.SignatureV2{PubKey: u.key.PubKey(), Sequence: sequence, Data: &signing.SingleSignatureData{SignMode: signing.SignMode_SIGN_MODE_DIRECT}}
	require.NoError(c.t, builder.SetSignatures(empty))
	bytes, err := authsigning.GetSignBytesAdapter(context.Background(), config.SignModeHandler(), signing.SignMode_SIGN_MODE_DIRECT,
		authsigning.SignerData{ChainID: chainID, AccountNumber: account.GetAccountNumber(), Sequence: sequence, PubKey: u.key.PubKey(), Address: u.String()},
		builder.GetTx())
	require.NoError(c.t, err)
	signature, err := u.key.Sign(bytes)
	require.NoError(c.t, err)
	empty.Data = &signing.SingleSignatureData{SignMode: signing.SignMode_SIGN_MODE_DIRECT, Signature: signature}
	require.NoError(c.t, builder.SetSignatures(empty))
	raw, err := config.TxEncoder()(builder.GetTx())
	require.NoError(c.t, err)
	return raw
}

// signEthereum makes an Ethereum transaction of u; to is nil for a new contract.
func (c *chain) signEthereum(u user, ahead uint64, to *common.Address, value sdk.Coin, data []byte) []byte {
	c.t.Helper()
	key, err := u.key.ToECDSA()
	require.NoError(c.t, err)
	account := c.app.Auth.GetAccount(c.ctx(), u.address())
	require.NotNil(c.t, account)
	signer := ethtypes.LatestSignerForChainID(new(big.Int).SetUint64(app.DefaultEVMChainID))
	signed, err := ethtypes.SignNewTx(key, signer, &ethtypes.DynamicFeeTx{
		ChainID: new(big.Int).SetUint64(app.DefaultEVMChainID), Nonce: account.GetSequence() + ahead,
		GasTipCap: big.NewInt(1_000_000_000), GasFeeCap: big.NewInt(5_000_000_000), Gas: txGas,
		To: to, Value: value.Amount.BigInt(), Data: data,
	})
	require.NoError(c.t, err)
	var wrapped evmtypes.MsgEthereumTx
	require.NoError(c.t, wrapped.FromSignedEthereumTx(signed, signer))
	config := c.app.Encoding().TxConfig
	tx, err := wrapped.BuildTx(config.NewTxBuilder(), app.Denom)
	require.NoError(c.t, err)
	raw, err := config.TxEncoder()(tx)
	require.NoError(c.t, err)
	return raw
}

func (c *chain) balance(address sdk.AccAddress) math.Int {
	return c.app.Bank.GetBalance(c.ctx(), address, app.Denom).Amount
}
