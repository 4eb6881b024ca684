package simulation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
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
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	"github.com/cosmos/evm/crypto/ethsecp256k1"
	evmtypes "github.com/cosmos/evm/x/vm/types"
	"github.com/ethereum/go-ethereum/common"
	ethtypes "github.com/ethereum/go-ethereum/core/types"
	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/internal/modkit"
)

const chainID = "cairn-simulation-1"

// cairn is whole coins.
func cairn(whole int64) sdk.Coin {
	return sdk.NewCoin(app.Denom, math.NewIntWithDecimal(whole, app.Decimals))
}

// person is an account whose key derives from its name, the same in every history.
type person struct {
	name    string
	key     *ethsecp256k1.PrivKey
	address sdk.AccAddress
	text    string // cairn1...
}

func newPerson(name string) person {
	seed := sha256.Sum256([]byte("person " + name))
	p := person{name: name, key: &ethsecp256k1.PrivKey{Key: seed[:]}}
	p.address = sdk.AccAddress(p.key.PubKey().Address())
	p.text = p.address.String()
	return p
}

func (p person) hex() common.Address { return common.BytesToAddress(p.address) }

// seat is a validator. The first never misses a vote, so that there always is one.
type seat struct {
	operator person
	key      cmted25519.PrivKey
	beacon   beacon.PrivateKey
	away     bool // misses votes
}

func (s *seat) address() string { return string(s.key.PubKey().Address()) }

// settings are a node's app.toml for an application without a node.
type settings map[string]any

func (s settings) Get(name string) any { return s[name] }

// A life is one application from the genesis that it began with, and all that went into it: the first,
// or one that began with an export.
type life struct {
	genesis *abci.RequestInitChain
	inputs  []*abci.RequestFinalizeBlock
	hashes  [][]byte
}

// network drives one application block by block as consensus would.
type network struct {
	tb    testing.TB
	db    dbm.DB
	app   *app.App
	seats map[string]*seat // by consensus address
	// powers are the validators' of the next block; coming, those of the block after it.
	powers, coming map[string]int64
	last           abci.ExtendedCommitInfo // votes on the last block
	height         int64
	time           time.Time
	lives          []*life
	unchecked      bool // leaves the invariants out
}

func open(tb testing.TB, db dbm.DB) *app.App {
	tb.Helper()
	opened, err := app.New(log.NewNopLogger(), db, settings{
		"home": tb.TempDir(), "evm.evm-chain-id": app.DefaultEVMChainID, "mempool.max-txs": -1,
	}, baseapp.SetChainID(chainID))
	require.NoError(tb, err)
	return opened
}

// begin starts an application from a genesis and runs nothing yet.
func (n *network) begin(genesis *abci.RequestInitChain) {
	n.tb.Helper()
	n.db = dbm.NewMemDB()
	n.app = open(n.tb, n.db)
	response, err := n.app.InitChain(genesis)
	require.NoError(n.tb, err)
	n.lives = append(n.lives, &life{genesis: genesis})
	n.powers = changed(nil, response.Validators)
	n.coming = n.powers
}

// restart closes the application and opens it again over the same database.
func (n *network) restart() {
	n.tb.Helper()
	require.NoError(n.tb, n.app.Close())
	n.app = open(n.tb, n.db)
	require.Equal(n.tb, n.height, n.app.LastBlockHeight())
}

// changed is a set of validators after updates.
func changed(powers map[string]int64, updates []abci.ValidatorUpdate) map[string]int64 {
	next := maps.Clone(powers)
	if next == nil {
		next = make(map[string]int64)
	}
	for _, u := range updates {
		address := string(cmted25519.PubKey(u.PubKey.GetEd25519()).Address())
		if next[address] = u.Power; u.Power == 0 {
			delete(next, address)
		}
	}
	return next
}

// votesMark stands before the votes in a block (app/beacon.go).
const votesMark = "cairn/votes/v1\x00\x00"

// block runs one block with transactions, checks every invariant, and gives the transactions' results.
func (n *network) block(random *rand.Rand, pass time.Duration, txs [][]byte) []*abci.ExecTxResult {
	n.tb.Helper()
	n.height++
	n.time = n.time.Add(pass)
	input := &abci.RequestFinalizeBlock{
		Height: n.height, Time: n.time, Hash: cmttypes.Tx(fmt.Sprint(n.height)).Hash(), NextValidatorsHash: cmttypes.Tx("validators").Hash(),
	}
	input.ProposerAddress = []byte(slices.Sorted(maps.Keys(n.powers))[random.IntN(len(n.powers))])
	for _, v := range n.last.Votes {
		input.DecidedLastCommit.Votes = append(input.DecidedLastCommit.Votes, abci.VoteInfo{Validator: v.Validator, BlockIdFlag: v.BlockIdFlag})
	}
	brought := 0
	if len(n.last.Votes) > 0 {
		collects, err := n.app.Audit.Collects(n.ctx(), n.height)
		require.NoError(n.tb, err)
		if collects {
			raw, err := n.last.Marshal()
			require.NoError(n.tb, err)
			input.Txs, brought = append(input.Txs, append([]byte(votesMark), raw...)), 1
		}
	}
	input.Txs = append(input.Txs, txs...)
	votes := n.vote(input.Hash)
	results := n.run(input)
	n.last = votes
	return results[brought:]
}

// vote lets the validators of the next block vote for it.
func (n *network) vote(hash []byte) (votes abci.ExtendedCommitInfo) {
	n.tb.Helper()
	speaks := false
	if len(n.lives[len(n.lives)-1].inputs) > 0 {
		var err error
		speaks, err = n.app.Audit.Collects(n.ctx(), n.height+1)
		require.NoError(n.tb, err)
	}
	for _, address := range slices.Sorted(maps.Keys(n.powers)) {
		s := n.seats[address]
		vote := abci.ExtendedVoteInfo{Validator: abci.Validator{Address: []byte(address), Power: n.powers[address]}, BlockIdFlag: cmtproto.BlockIDFlagAbsent}
		if !s.away {
			vote.BlockIdFlag = cmtproto.BlockIDFlagCommit
			if speaks {
				n.app.SetBeaconSigner(app.BeaconSigner{Validator: []byte(address), Keys: []beacon.PrivateKey{s.beacon}})
				said, err := n.app.ExtendVote(context.Background(), &abci.RequestExtendVote{Height: n.height, Hash: hash, Time: n.time})
				require.NoError(n.tb, err)
				vote.VoteExtension = said.VoteExtension
			}
		}
		votes.Votes = append(votes.Votes, vote)
	}
	return votes
}

func (n *network) run(input *abci.RequestFinalizeBlock) []*abci.ExecTxResult {
	n.tb.Helper()
	response, err := n.app.FinalizeBlock(input)
	require.NoError(n.tb, err, "height %d", input.Height)
	_, err = n.app.Commit()
	require.NoError(n.tb, err)
	now := n.lives[len(n.lives)-1]
	now.inputs, now.hashes = append(now.inputs, input), append(now.hashes, response.AppHash)
	n.powers, n.coming = n.coming, changed(n.coming, response.ValidatorUpdates)
	if !n.unchecked {
		require.NoError(n.tb, modkit.Check(n.ctx(), n.app.Invariants()), "height %d", n.height)
	}
	return response.TxResults
}

// ctx reads the last committed state.
func (n *network) ctx() sdk.Context {
	return n.app.NewContext(true).WithBlockTime(n.time).WithBlockHeight(n.height).WithChainID(chainID)
}

func (n *network) export() []byte {
	n.tb.Helper()
	exported, err := n.app.ExportAppStateAndValidators(false, nil, nil)
	require.NoError(n.tb, err, "height %d", n.height)
	return exported.AppState
}

// emigrate starts another application from the state of this one and goes on with that: first both run
// one empty block, and have the same state after it.
func (n *network) emigrate(random *rand.Rand) {
	n.tb.Helper()
	exported, err := n.app.ExportAppStateAndValidators(false, nil, nil)
	require.NoError(n.tb, err, "height %d", n.height)
	old, powers, coming := n.app, n.powers, n.coming
	n.block(random, time.Second, nil)
	left, state := n.lives[len(n.lives)-1], n.export()
	input := left.inputs[len(left.inputs)-1]
	require.NoError(n.tb, old.Close())

	n.begin(&abci.RequestInitChain{
		ChainId: chainID, Time: n.time.Add(-time.Second), InitialHeight: exported.Height, AppStateBytes: exported.AppState,
		ConsensusParams: &exported.ConsensusParams,
	})
	require.Equal(n.tb, coming, n.coming, "validators after an import")
	n.powers, n.coming = powers, coming
	n.run(input)
	var a, b map[string]json.RawMessage
	require.NoError(n.tb, json.Unmarshal(state, &a))
	require.NoError(n.tb, json.Unmarshal(n.export(), &b))
	require.Equal(n.tb, len(a), len(b))
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			require.JSONEq(n.tb, string(a[name]), string(b[name]), "genesis of %s after export and import at height %d", name, exported.Height)
		}
	}
}

// replay runs every life again on fresh applications, opened anew every few blocks.
func (n *network) replay() {
	n.tb.Helper()
	for _, l := range n.lives {
		db := dbm.NewMemDB()
		again := open(n.tb, db)
		_, err := again.InitChain(l.genesis)
		require.NoError(n.tb, err)
		for i, input := range l.inputs {
			response, err := again.FinalizeBlock(input)
			require.NoError(n.tb, err)
			require.Equal(n.tb, l.hashes[i], response.AppHash, "height %d", input.Height)
			_, err = again.Commit()
			require.NoError(n.tb, err)
			if i%50 == 20 {
				require.NoError(n.tb, again.Close())
				again = open(n.tb, db)
			}
		}
		require.NoError(n.tb, again.Close())
	}
}

const txGas = 5_000_000

// sign makes a transaction of messages with a sequence of the signer's.
func (n *network) sign(p person, sequence uint64, messages ...sdk.Msg) []byte {
	n.tb.Helper()
	return n.signWith(p, sequence, txGas, messages...)
}

func (n *network) signWith(p person, sequence, gas uint64, messages ...sdk.Msg) []byte {
	n.tb.Helper()
	account := n.app.Auth.GetAccount(n.ctx(), p.address)
	require.NotNil(n.tb, account, "no account of %s", p.name)
	config := n.app.Encoding().TxConfig
	builder := config.NewTxBuilder()
	require.NoError(n.tb, builder.SetMsgs(messages...))
	builder.SetGasLimit(gas)
	builder.SetFeeAmount(sdk.NewCoins(sdk.NewCoin(app.Denom, math.NewInt(2_000_000_000).MulRaw(int64(gas)))))
	empty := signing.SignatureV2{PubKey: p.key.PubKey(), Sequence: sequence, Data: &signing.SingleSignatureData{SignMode: signing.SignMode_SIGN_MODE_DIRECT}}
	require.NoError(n.tb, builder.SetSignatures(empty))
	raw, err := authsigning.GetSignBytesAdapter(context.Background(), config.SignModeHandler(), signing.SignMode_SIGN_MODE_DIRECT,
		authsigning.SignerData{ChainID: chainID, AccountNumber: account.GetAccountNumber(), Sequence: sequence, PubKey: p.key.PubKey(), Address: p.text},
		builder.GetTx())
	require.NoError(n.tb, err)
	signature, err := p.key.Sign(raw)
	require.NoError(n.tb, err)
	empty.Data = &signing.SingleSignatureData{SignMode: signing.SignMode_SIGN_MODE_DIRECT, Signature: signature}
	require.NoError(n.tb, builder.SetSignatures(empty))
	encoded, err := config.TxEncoder()(builder.GetTx())
	require.NoError(n.tb, err)
	return encoded
}

// signEthereum makes an Ethereum transaction; to is nil for a new contract.
func (n *network) signEthereum(p person, nonce uint64, to *common.Address, value *big.Int, data []byte) []byte {
	n.tb.Helper()
	key, err := p.key.ToECDSA()
	require.NoError(n.tb, err)
	id := new(big.Int).SetUint64(app.DefaultEVMChainID)
	signer := ethtypes.LatestSignerForChainID(id)
	signed, err := ethtypes.SignNewTx(key, signer, &ethtypes.DynamicFeeTx{
		ChainID: id, Nonce: nonce, GasTipCap: big.NewInt(1_000_000_000), GasFeeCap: big.NewInt(5_000_000_000), Gas: 200_000,
		To: to, Value: value, Data: data,
	})
	require.NoError(n.tb, err)
	var wrapped evmtypes.MsgEthereumTx
	require.NoError(n.tb, wrapped.FromSignedEthereumTx(signed, signer))
	config := n.app.Encoding().TxConfig
	tx, err := wrapped.BuildTx(config.NewTxBuilder(), app.Denom)
	require.NoError(n.tb, err)
	encoded, err := config.TxEncoder()(tx)
	require.NoError(n.tb, err)
	return encoded
}
