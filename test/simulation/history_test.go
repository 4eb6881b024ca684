package simulation

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"cosmossdk.io/math"
	abci "github.com/cometbft/cometbft/abci/types"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/app/node"
	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/core/score"
)

const (
	seats     = 4
	people    = 24
	reporters = 4
)

// A history is one random life of the network.
type history struct {
	*network
	random  *rand.Rand
	people  []person // of every role
	watcher person   // disputes every lie in time
	anyone  map[string]person
	council []*seat

	// What people know off the chain.
	devices map[string]ed25519.PrivateKey // by public key
	trees   map[string]*holding           // by root
	said    map[string]*said              // by statement's id
	facts   map[uint64][]score.Fact       // of epochs that are over
	words   []common.Address              // contracts
	laws    map[uint64]string             // proposals that were made, by number
	made    int                           // keys of devices drawn so far

	// The state before the next block, and what is on its way into that.
	state   state
	ahead   map[string]uint64 // transactions of an account in the block
	tallies map[string]*tally // by operation
}

// state is what modules have, as they export it.
type state struct {
	now     int64
	epoch   auditv1.Epoch
	device  *devicev1.GenesisState
	market  *marketv1.GenesisState
	storage *storagev1.GenesisState
	audit   *auditv1.GenesisState
	reward  *rewardv1.GenesisState
}

// tally is how an operation fared.
type tally struct {
	drawn, tried, done int
	refused            map[string]int // by reason
}

// move is a transaction that somebody makes.
type move struct {
	by       person
	messages []sdk.Msg
	ethereum *call // instead of messages
	then     func(*abci.ExecTxResult)
}

type call struct {
	to    *common.Address
	value math.Int
	data  []byte
}

// operation draws a move; false where there is nothing for it to act on.
type operation struct {
	name   string
	weight int
	draw   func(*history) (move, bool)
}

func say1(by person, messages ...sdk.Msg) (move, bool) { return move{by: by, messages: messages}, true }

func newHistory(tb testing.TB, seed uint64) *history {
	tb.Helper()
	app.Configure() // addresses are ours from here on
	h := &history{
		random: rand.New(rand.NewPCG(seed, 0)), watcher: newPerson("watcher"),
		anyone: make(map[string]person), devices: make(map[string]ed25519.PrivateKey), trees: make(map[string]*holding),
		said: make(map[string]*said), facts: make(map[uint64][]score.Fact), laws: make(map[uint64]string), tallies: make(map[string]*tally),
	}
	for i := range people {
		h.people = append(h.people, newPerson(fmt.Sprint("person ", i)))
	}
	h.network, h.council = found(tb, append([]person{h.watcher}, h.people...), shortTerms)
	for _, p := range append([]person{h.watcher}, h.people...) {
		h.anyone[p.text] = p
	}
	for _, s := range h.council {
		h.anyone[s.operator.text] = s.operator
	}
	h.block(h.random, time.Second, nil)
	return h
}

// found begins a network of four validators, in which all have 100,000 CAIRN.
func found(tb testing.TB, people []person, edit func(codec.JSONCodec, map[string]json.RawMessage) error) (*network, []*seat) {
	tb.Helper()
	app.Configure()
	n := &network{tb: tb, seats: make(map[string]*seat), time: time.Date(2030, 1, 30, 0, 0, 0, 0, time.UTC)}
	genesis := node.Genesis{ChainID: chainID, Time: n.time, Edit: edit}
	var council []*seat
	for i := range seats {
		name := fmt.Sprint("validator ", i)
		s := &seat{operator: newPerson(name), key: cmted25519.GenPrivKeyFromSecret([]byte(name)), beacon: beacon.NewKey(sha256.Sum256([]byte(name)))}
		council, n.seats[s.address()], people = append(council, s), s, append(people, s.operator)
		genesis.Validators = append(genesis.Validators, node.Validator{
			Moniker: name, Operator: s.operator.address, Key: s.key.PubKey(), Stake: cairn(int64(1000 - 200*i)).Amount, Beacon: s.beacon.Public(),
		})
	}
	for _, p := range people {
		genesis.Accounts = append(genesis.Accounts, node.Account{Address: p.address, Coins: sdk.NewCoins(cairn(100_000))})
	}
	document, err := genesis.Document()
	require.NoError(tb, err)
	consensus := document.Consensus.Params.ToProto()
	// Hundreds of transactions a block, most of which leave most of their gas: they must not count as a full one.
	consensus.Block.MaxGas = 20_000_000_000
	n.begin(&abci.RequestInitChain{ChainId: chainID, Time: n.time, InitialHeight: 1, AppStateBytes: document.AppState, ConsensusParams: &consensus})
	tb.Cleanup(func() { _ = n.app.Close() })
	return n, council
}

// shortTerms lets in dozens of blocks happen what takes a network weeks.
func shortTerms(cdc codec.JSONCodec, s map[string]json.RawMessage) error {
	for _, edit := range []func() error{
		func() error {
			return node.SetModule(cdc, s, govtypes.ModuleName, func(g *govv1.GenesisState) {
				voting, expedited := 30*time.Second, 10*time.Second
				g.Params.VotingPeriod, g.Params.ExpeditedVotingPeriod, g.Params.MaxDepositPeriod = &voting, &expedited, &voting
				g.Params.MinDeposit = sdk.NewCoins(cairn(1))
				g.Params.ExpeditedMinDeposit = sdk.NewCoins(cairn(2))
			})
		},
		func() error {
			return node.SetModule(cdc, s, slashingtypes.ModuleName, func(g *slashingtypes.GenesisState) {
				g.Params.SignedBlocksWindow, g.Params.DowntimeJailDuration = 20, time.Minute
			})
		},
		func() error {
			return node.SetModule(cdc, s, stakingtypes.ModuleName, func(g *stakingtypes.GenesisState) {
				g.Params.UnbondingTime = 2 * time.Minute
			})
		},
		func() error {
			return node.SetModule(cdc, s, "audit", func(g *auditv1.GenesisState) {
				b, r := &g.Params.Beacon, &g.Params.Report
				b.EpochBlocks, b.CollectBlocks, b.RetainEpochs = 6, 3, 12
				r.WindowBlocks, r.DeadlineBlocks, r.ServeBlocks, r.UnbondingBlocks = 4, 4, 3, 40
				r.MinBond, r.DemandDeposit, r.DisputeDeposit = cairn(100).Amount, cairn(1).Amount, cairn(1).Amount
				r.MaxPending, r.MaxReporters = 8, reporters
			})
		},
		func() error {
			return node.SetModule(cdc, s, "device", func(g *devicev1.GenesisState) {
				g.Params.UnbondingSeconds, g.Params.MaxDevicesPerOwner, g.Params.AppealSeconds = 30, 4, 3600
			})
		},
		func() error {
			return node.SetModule(cdc, s, "market", func(g *marketv1.GenesisState) {
				g.Params.GraceSeconds, g.Params.DeadlinesPerBlock, g.Params.RetentionSeconds = 20, 20, 3600
				g.Params.MaxBidsPerOrder, g.Params.MaxItemsPerLease = 4, 6
			})
		},
		func() error {
			return node.SetModule(cdc, s, "storage", func(g *storagev1.GenesisState) {
				p := &g.Params.Possession
				p.Interval, p.Positions, p.PeerOdds, p.FreshEpochs = 1, 2, 2, 4
				p.ReportEpochs, p.RetainEpochs, p.SettleEpochs = 3, 12, 2
				p.JailSeconds, p.MaxJailSeconds, p.AnswerSeconds, p.PrunesPerBlock = 10, 60, 15, 10
			})
		},
		func() error {
			return node.SetModule(cdc, s, "reward", func(g *rewardv1.GenesisState) {
				p := &g.Params
				p.ReleaseEpochs, p.SmoothingEpochs, p.RetainRoots, p.RetainEpochs, p.PrunePerBlock = 2, 2, 4, 12, 10
				p.MaxBoostEpochs, p.MaxBoostsPerCell = 6, 3
			})
		},
	} {
		if err := edit(); err != nil {
			return err
		}
	}
	return nil
}

// look reads the state before a block.
func (h *history) look() {
	ctx := h.ctx()
	read := func(err error) { require.NoError(h.tb, err, "height %d", h.height) }
	var err error
	h.state = state{now: h.time.Unix()}
	h.state.epoch, err = h.app.Audit.Current(ctx)
	read(err)
	h.state.device, err = h.app.Device.ExportGenesis(ctx)
	read(err)
	h.state.market, err = h.app.Market.ExportGenesis(ctx)
	read(err)
	h.state.storage, err = h.app.Storage.ExportGenesis(ctx)
	read(err)
	h.state.audit, err = h.app.Audit.ExportGenesis(ctx)
	read(err)
	h.state.reward, err = h.app.Reward.ExportGenesis(ctx)
	read(err)
	h.ahead = make(map[string]uint64)
}

// step draws moves and runs them as one block.
func (h *history) step(moves int) {
	h.tb.Helper()
	h.look()
	type drawn struct {
		of string
		move
	}
	var made []drawn
	var txs [][]byte
	add := func(name string, m move) {
		account := h.app.Auth.GetAccount(h.ctx(), m.by.address)
		sequence := account.GetSequence() + h.ahead[m.by.text]
		h.ahead[m.by.text]++
		if m.ethereum != nil {
			txs = append(txs, h.signEthereum(m.by, sequence, m.ethereum.to, m.ethereum.value.BigInt(), m.ethereum.data))
		} else {
			txs = append(txs, h.sign(m.by, sequence, m.messages...))
		}
		made = append(made, drawn{name, m})
	}
	for _, m := range h.duties() {
		add("dispute by the watcher", m)
	}
	for _, m := range h.council[0].votes(h) {
		add("vote of the council", m)
	}
	for range moves {
		o := h.operation()
		t := h.tally(o.name)
		t.drawn++
		if m, some := o.draw(h); some {
			add(o.name, m)
		}
	}
	pass := time.Duration(1+h.random.IntN(6)) * time.Second
	if h.random.IntN(40) == 0 {
		pass = time.Duration(5+h.random.IntN(120)) * time.Minute
	}
	for _, s := range h.council[1:] {
		if h.random.IntN(8) == 0 {
			s.away = !s.away
		}
	}
	for i, result := range h.block(h.random, pass, txs) {
		t := h.tally(made[i].of)
		t.tried++
		if result.Code == 0 {
			t.done++
		} else {
			// Whatever a message says, it is refused with a reason: it never panics.
			require.False(h.tb, result.Codespace == "sdk" && result.Code == 111222, "%s at height %d: %s", made[i].of, h.height, result.Log)
			t.refused[fmt.Sprintf("%s %d", result.Codespace, result.Code)]++
		}
		if made[i].then != nil {
			made[i].then(result)
		}
	}
	h.judge()
}

func (h *history) tally(name string) *tally {
	t := h.tallies[name]
	if t == nil {
		t = &tally{refused: make(map[string]int)}
		h.tallies[name] = t
	}
	return t
}

func (h *history) operation() operation {
	sum := 0
	for _, o := range operations {
		sum += o.weight
	}
	at := h.random.IntN(sum)
	for _, o := range operations {
		if at -= o.weight; at < 0 {
			return o
		}
	}
	panic("weights do not sum up")
}

// Draws.

func (h *history) person() person { return h.people[h.random.IntN(len(h.people))] }

// rarely is one time in ten: when somebody tries what is not its own, or makes no sense.
func (h *history) rarely() bool { return h.random.IntN(10) == 0 }

// mostly gives the account of that address, rarely another's.
func (h *history) mostly(address string) person {
	if p, known := h.anyone[address]; known && !h.rarely() {
		return p
	}
	return h.person()
}

func pick[T any](h *history, list []T) (one T, some bool) {
	if len(list) == 0 {
		return one, false
	}
	return list[h.random.IntN(len(list))], true
}

// where gives those of a list that a condition holds for; rarely all.
func where[T any](h *history, list []T, holds func(T) bool) []T {
	if h.rarely() {
		return list
	}
	var some []T
	for _, one := range list {
		if holds(one) {
			some = append(some, one)
		}
	}
	return some
}

func (h *history) between(least, most int64) int64 { return least + h.random.Int64N(most-least+1) }

// money is an amount of up to some thousandths of a coin.
func (h *history) money(mostMilli int64) math.Int {
	if h.rarely() {
		return math.NewInt(h.between(0, 2))
	}
	return math.NewIntWithDecimal(h.between(1, mostMilli), app.Decimals-3)
}

func coin(amount math.Int) sdk.Coin { return sdk.Coin{Denom: app.Denom, Amount: amount} }

// keyOf derives a key of somebody's.
func keyOf(label string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(label))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) []byte { return k.Public().(ed25519.PublicKey) }

// bytesOf is what a thing is on the wire.
func (h *history) bytesOf(thing interface{ MarshalBinary() ([]byte, error) }) []byte {
	raw, err := thing.MarshalBinary()
	require.NoError(h.tb, err)
	return raw
}
