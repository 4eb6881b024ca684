package app_test

import (
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/codec"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	"github.com/stretchr/testify/require"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/app/node"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/internal/modkit"
	"github.com/cairn-network/cairn/x/reward"
)

// rewarded is a chain that begins with a final report of devices 1 to 3, and the report's tree. Device n
// has earned n CAIRN.
func rewarded(t *testing.T, names ...string) (*chain, *report.Tree[score.Account]) {
	t.Helper()
	var accounts []score.Account
	earned := math.ZeroInt()
	for id := uint64(1); id <= 3; id++ {
		paid, err := price.FromBig(cairn(int64(id)).Amount.BigInt())
		require.NoError(t, err)
		accounts = append(accounts, score.Account{Device: id, Epoch: 1, Points: 1, Earned: paid, Paid: paid})
		earned = earned.Add(cairn(int64(id)).Amount)
	}
	tree, err := report.Build(accounts)
	require.NoError(t, err)
	root := tree.Root()
	document, key := testGenesis(t, names...)
	editGenesis(t, document, func(cdc codec.JSONCodec, state map[string]json.RawMessage) error {
		return node.SetModule(cdc, state, reward.ModuleName, func(g *rewardv1.GenesisState) {
			g.Ledgers = []rewardv1.Ledger{{Service: 1, Average: math.ZeroInt(), Earned: earned, Claimed: math.ZeroInt(), Pools: earned, FinalEpoch: 1}}
			g.Roots = []rewardv1.Root{{Service: 1, Epoch: 1, Hash: root.Hash[:], Devices: root.Leaves, Points: root.Points, Earned: earned}}
		})
	})
	return startChain(t, document, key), tree
}

// editGenesis changes the state that a chain begins with.
func editGenesis(t *testing.T, document *genutiltypes.AppGenesis, edit func(codec.JSONCodec, map[string]json.RawMessage) error) {
	t.Helper()
	var state map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(document.AppState, &state))
	require.NoError(t, edit(app.NewEncoding(app.DefaultEVMChainID).Codec, state))
	raw, err := json.Marshal(state)
	require.NoError(t, err)
	document.AppState = raw
}

// registers makes a user the owner of the next device.
func (c *chain) registers(u user) {
	c.t.Helper()
	private := ed25519.NewKeyFromSeed([]byte("device of " + u.String())[:32])
	c.must(c.sign(u, 0, &devicev1.MsgRegister{
		Owner: u.String(), Pubkey: devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: private.Public().(ed25519.PublicKey)},
		Kind: "storage", Bond: cairn(1),
		Signature: ed25519.Sign(private, coredevice.RegistrationBytes(chainID, u.String(), 0)),
	}))
}

// TestClaimsInTheRealApplication: in signed transactions, over the real bank: whoever claims, owners are
// paid, once; a thief pays its fee for nothing; nothing else makes coins; all invariants of the
// application hold, and a restart gives the same chain.
func TestClaimsInTheRealApplication(t *testing.T) {
	c, tree := rewarded(t, "alice", "mallory")
	alice, mallory := newUser("alice"), newUser("mallory")
	c.registers(alice)
	proof := func(i int) []byte {
		p, err := tree.Prove(i)
		require.NoError(t, err)
		raw, err := p.MarshalBinary()
		require.NoError(t, err)
		return raw
	}
	claim := func(u user, proofs ...[]byte) *rewardv1.MsgClaim {
		return &rewardv1.MsgClaim{Payer: u.String(), Service: 1, Epoch: 1, Proofs: proofs}
	}
	supply := func() math.Int { return c.app.Bank.GetSupply(c.ctx(), app.Denom).Amount }
	before, had := supply(), c.balance(alice.address())
	for range 5 { // no inflation
		c.next()
	}
	require.Equal(t, before, supply())

	stolen := proof(1) // device 2, which nobody owns yet
	copy(stolen, proof(0)[:8])
	require.NotZero(t, c.next(c.sign(mallory, 0, claim(mallory, stolen)))[0].Code)
	require.NotZero(t, c.next(c.sign(mallory, 0, claim(mallory, proof(0)[1:])))[0].Code)
	require.NotZero(t, c.next(c.sign(mallory, 0, claim(mallory, proof(0), proof(2))))[0].Code, "device 3 does not exist, and nothing of the message holds")
	require.Equal(t, had, c.balance(alice.address()))

	c.must(c.sign(mallory, 0, claim(mallory, proof(0), proof(0))))
	require.Equal(t, had.Add(cairn(1).Amount), c.balance(alice.address()))
	require.Equal(t, before.Add(cairn(1).Amount), supply())
	c.must(c.sign(mallory, 0, claim(mallory, proof(0))))
	require.Equal(t, before.Add(cairn(1).Amount), supply())
	require.NoError(t, modkit.Check(c.ctx(), c.app.Invariants()))

	c.restart()
	c.registers(mallory)
	c.must(c.sign(mallory, 0, claim(mallory, proof(0), proof(1))))
	require.Equal(t, before.Add(cairn(3).Amount), supply())
	require.NoError(t, modkit.Check(c.ctx(), c.app.Invariants()))
}
