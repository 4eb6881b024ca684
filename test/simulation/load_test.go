package simulation

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"cosmossdk.io/math"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/stretchr/testify/require"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/app/node"
	"github.com/cairn-network/cairn/core/challenge"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/x/storage"
)

// TestProvidersProveInOnePercentOfBlocks is the load of possession proofs: every provider of a network
// answers a challenge of four positions in a tree of a terabyte, each in a transaction of its own, signed by
// its operator, through the whole application. What 10,000 providers take of a day's blocks, at four
// challenges a day, is at most one per cent of their gas, of their bytes and of one core's time. LOAD is the
// number of providers, 200 if it is not set.
func TestProvidersProveInOnePercentOfBlocks(t *testing.T) {
	providers := 200
	if text := os.Getenv("LOAD"); text != "" {
		var err error
		providers, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	const (
		owners  = 20
		batch   = 250 // transactions of a block: answers fill it; and items of a lease
		network = 10_000
		daily   = 4          // challenges of a provider
		blocks  = 86_400 / 5 // of a day, at 5 s
		maxGas  = 60_000_000
		maxSize = 4 << 20
	)
	app.Configure()
	var people []person
	for i := range owners {
		people = append(people, newPerson(fmt.Sprint("person ", i)))
	}
	n, _ := found(t, people, func(cdc codec.JSONCodec, s map[string]json.RawMessage) error {
		if err := node.SetModule(cdc, s, "audit", func(g *auditv1.GenesisState) { g.Params.Beacon.EpochBlocks = 1_000 }); err != nil {
			return err
		}
		return node.SetModule(cdc, s, "storage", func(g *storagev1.GenesisState) { g.Params.Possession.Interval = 1 })
	})
	random := rand.New(rand.NewPCG(1, 1))
	n.unchecked = true // invariants read the whole state
	n.block(random, time.Second, nil)
	sequence := make(map[string]uint64)
	sign := func(p person, gas uint64, messages ...sdk.Msg) []byte {
		sequence[p.text]++
		return n.signWith(p, sequence[p.text]-1, gas, messages...)
	}
	run := func(txs ...[]byte) []*abci.ExecTxResult {
		results := n.block(random, time.Second, txs)
		for _, r := range results {
			require.Zero(t, r.Code, r.Log)
		}
		return results
	}

	// A tree of a million pieces of a mebibyte. All providers hold the same, as none has to know.
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i >> 10)
	}
	root := piece.RootOf(data)
	leaves := make([]merkle.Leaf, 1<<20)
	for i := range leaves {
		var id piece.ID
		binary.BigEndian.PutUint64(id[:], uint64(i))
		leaves[i] = merkle.Leaf{ID: id, Root: root, Chunks: 1 << 10, Expiry: forever}
	}
	tree, err := merkle.Build(leaves)
	require.NoError(t, err)

	// The network: devices with an offer and a lease of a tebibyte each, which commit to the tree.
	for first := 0; first < providers; first += batch {
		var registrations [][]byte
		for device := first; device < min(first+batch, providers); device++ {
			p, key := people[device%owners], keyOf(fmt.Sprint("device ", device))
			registrations = append(registrations, sign(p, 2_000_000, &devicev1.MsgRegister{
				Owner: p.text, Kind: "storage", Bond: cairn(1),
				Pubkey:    devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: public(key)},
				Signature: ed25519.Sign(key, coredevice.RegistrationBytes(chainID, p.text, uint64(device/owners))),
			}))
		}
		run(registrations...)
	}
	g, err := n.app.Device.ExportGenesis(n.ctx())
	require.NoError(t, err)
	require.Len(t, g.Devices, providers)
	var items []marketv1.NewItem
	for some := range slices.Chunk(g.Devices, batch) {
		var offers [][]byte
		for _, d := range some {
			p := ownerOf(people, d)
			offers = append(offers, sign(p, 2_000_000, &marketv1.MsgCreateOffer{
				Operator: p.text, Device: d.Id, Resource: "storage", Denom: app.Denom, Capacity: 1 << 41, MinSeconds: 60, MaxSeconds: 10_000_000,
				Stream: priced(0, 1), Metered: priced(0, 1),
			}))
			items = append(items, marketv1.NewItem{Offer: uint64(len(items) + 1), Units: 1 << 40, Escrow: math.NewInt(1)})
		}
		run(offers...)
	}
	for some := range slices.Chunk(items, batch) {
		run(sign(people[0], 100_000_000, &marketv1.MsgOpenLease{
			Consumer: people[0].text, SessionKey: public(session("load")), Items: some, Seconds: 1_000_000,
		}))
	}
	sum := tree.Root()
	for some := range slices.Chunk(g.Devices, batch) {
		var commitments [][]byte
		for _, d := range some {
			p := ownerOf(people, d)
			commitments = append(commitments, sign(p, 2_000_000, &storagev1.MsgCommitTree{Operator: p.text, Device: d.Id, Version: 1, Root: sum.Hash[:], Total: sum.Sum}))
		}
		run(commitments...)
	}
	for epoch := uint64(1); epoch < 2; {
		run()
		current, err := n.app.Audit.Current(n.ctx())
		require.NoError(t, err)
		epoch = current.Number
	}

	// The answers.
	query := storage.NewQueryServer(n.app.Storage)
	var txs [][]byte
	size := 0
	for _, d := range g.Devices {
		asked, err := query.Challenge(n.ctx(), &storagev1.QueryChallengeRequest{Device: d.Id})
		require.NoError(t, err)
		require.True(t, asked.Challenge.Challenged)
		p := ownerOf(people, d)
		m := &storagev1.MsgProve{Operator: p.text, Device: d.Id, Epoch: asked.Challenge.Epoch}
		for _, x := range asked.Challenge.Positions {
			path, chunk, err := tree.ProveAt(x)
			require.NoError(t, err)
			proof, err := challenge.Prove(path, data, chunk)
			require.NoError(t, err)
			raw, err := proof.MarshalBinary()
			require.NoError(t, err)
			m.Proofs = append(m.Proofs, raw)
		}
		tx := sign(p, 2_000_000, m)
		txs, size = append(txs, tx), size+len(tx)
	}
	gas, began := int64(0), processor()
	for some := range slices.Chunk(txs, batch) {
		for _, r := range run(some...) {
			gas += r.GasUsed
		}
	}
	used := processor() - began

	answers := float64(network * daily)
	each := float64(len(txs))
	shares := map[string]float64{
		"gas":           float64(gas) / each * answers / (blocks * maxGas),
		"bytes":         float64(size) / each * answers / (blocks * maxSize),
		"a core's time": used.Seconds() / each * answers / 86_400,
	}
	t.Logf("%d answers of 4 positions: each %.0f gas, %.0f bytes, %.2f ms of CPU, blocks and their ends included",
		len(txs), float64(gas)/each, float64(size)/each, 1000*used.Seconds()/each)
	for _, of := range sortedKeys(shares) {
		t.Logf("10,000 providers take %.3f %% of a day's %s", 100*shares[of], of)
		if shares[of] > 0.01 {
			t.Errorf("10,000 providers take %.2f %% of a day's %s, at most 1 %%", 100*shares[of], of)
		}
	}
}

func ownerOf(people []person, d devicev1.Device) person {
	return people[slices.IndexFunc(people, func(p person) bool { return p.text == d.Owner })]
}

// processor is the time that this process has used of the processor.
func processor() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
