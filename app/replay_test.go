package app_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"math/big"
	"testing"
	"time"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/voucher"
)

func deviceKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// register is the creation code of a contract with one word of storage: a call with data stores its
// first word, a call without gives it back.
//
//	init     6017600c60003960176000f3     copy the 23 bytes of runtime code and return them
//	runtime  36600f57                     data? to store
//	         60005460005260206000f3       return SLOAD(0)
//	store    5b60003560005500             SSTORE(0, CALLDATALOAD(0))
var register = common.FromHex("6017600c60003960176000f3" + "36600f57" + "60005460005260206000f3" + "5b60003560005500")

// liveALife puts a bit of everything through the chain: sends, stake, votes, grants, devices, leases,
// vouchers, contracts. Two chains that live it have had the same inputs.
func liveALife(t *testing.T, c *chain) {
	t.Helper()
	alice, bob, carol := newUser("alice"), newUser("bob"), newUser("carol")
	validator := sdk.ValAddress(newUser("val").address()).String()

	// Money, stake, grants.
	c.must(
		c.sign(alice, 0, banktypes.NewMsgSend(alice.address(), bob.address(), sdk.NewCoins(cairn(1)))),
		c.sign(bob, 0, stakingtypes.NewMsgDelegate(bob.String(), validator, cairn(20))),
		c.sign(alice, 1, grantFees(t, alice, carol)),
		c.sign(alice, 2, grantSends(t, alice, bob)),
	)
	spend := authz.NewMsgExec(bob.address(), []sdk.Msg{banktypes.NewMsgSend(alice.address(), carol.address(), sdk.NewCoins(cairn(2)))})
	c.must(c.sign(bob, 0, &spend))

	// A provider's device on sale, a consumer's lease, a voucher redeemed.
	provider, session := deviceKey("provider"), deviceKey("session")
	registered := c.must(c.sign(bob, 0, &devicev1.MsgRegister{
		Owner: bob.String(), Kind: "storage", Region: "DE", Endpoint: "127.0.0.1:7000", Bond: cairn(5),
		Pubkey:    devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: provider.Public().(ed25519.PublicKey)},
		Signature: ed25519.Sign(provider, device.RegistrationBytes(chainID, bob.String(), 0)),
	}))
	id := message[devicev1.MsgRegisterResponse](t, registered[0]).Id
	offered := c.must(c.sign(bob, 0, &marketv1.MsgCreateOffer{
		Operator: bob.String(), Device: id, Resource: "storage", Denom: app.Denom, Capacity: 1 << 40, MinSeconds: 60, MaxSeconds: 86400,
		Stream:  marketv1.Price{Amount: math.NewInt(10_000_000), Per: 1 << 20},
		Metered: marketv1.Price{Amount: math.NewInt(1_000_000_000), Per: 1 << 20},
	}))
	offer := message[marketv1.MsgCreateOfferResponse](t, offered[0]).Id
	opened := c.must(c.sign(carol, 0, &marketv1.MsgOpenLease{
		Consumer: carol.String(), SessionKey: session.Public().(ed25519.PublicKey), Seconds: 3600,
		Items: []marketv1.NewItem{{Offer: offer, Units: 1 << 30, Escrow: cairn(3).Amount}},
	}))
	lease := message[marketv1.MsgOpenLeaseResponse](t, opened[0]).Id
	c.must()
	signed := voucher.Sign(session, voucher.Voucher{
		ChainID: chainID, Lease: lease, Device: id, Units: 1 << 20, Amount: price.FromUint64(1_000_000_000),
		Seq: 1, Expiry: c.time.Add(time.Hour).Unix(),
	})
	c.must(c.sign(bob, 0, &marketv1.MsgSettle{Sender: bob.String(), Vouchers: []marketv1.Voucher{{
		Lease: lease, Device: id, Units: signed.Units, Amount: math.NewIntFromBigInt(signed.Amount.Big()),
		Seq: signed.Seq, Expiry: signed.Expiry, Signature: signed.Signature[:],
	}}}))
	c.must(c.sign(carol, 0, &storagev1.MsgCommitSnapshot{Renter: carol.String(), Version: 1, Root: make([]byte, 32), Pointer: []byte("somewhere")}))
	c.must(c.sign(carol, 0, &marketv1.MsgCloseLease{Sender: carol.String(), Id: lease}))

	// Contracts, and value between them and plain accounts.
	deployed := c.must(c.signEthereum(alice, 0, nil, cairn(0), register), c.sign(carol, 0, proposal(t, carol)))
	require.NotEmpty(t, deployed[0].Data)
	contract := createdAddress(alice, c)
	word := common.LeftPadBytes(big.NewInt(42).Bytes(), 32)
	to := bob.hex()
	c.must(
		c.signEthereum(alice, 0, &contract, cairn(0), word),
		c.signEthereum(alice, 1, &to, cairn(3), nil),
		c.sign(bob, 0, govv1.NewMsgVote(bob.address(), 1, govv1.OptionYes, "")),
	)
	require.Equal(t, common.BytesToHash(word), c.app.EVM.GetState(c.ctx(), contract, common.Hash{}))

	// Failures cost a fee and change nothing else, the same everywhere.
	failed := c.next(c.sign(carol, 0, banktypes.NewMsgSend(carol.address(), bob.address(), sdk.NewCoins(cairn(1_000_000)))))
	require.NotZero(t, failed[0].Code)
	c.must(
		c.sign(bob, 0, distrtypes.NewMsgWithdrawDelegatorReward(bob.String(), validator)),
		c.sign(alice, 0, stakingtypes.NewMsgDelegate(alice.String(), validator, cairn(1))),
	)
	c.must(c.sign(bob, 0, stakingtypes.NewMsgUndelegate(bob.String(), validator, cairn(2))))
	for range 3 {
		c.must()
	}
}

func grantFees(t *testing.T, granter, grantee user) sdk.Msg {
	t.Helper()
	grant, err := feegrant.NewMsgGrantAllowance(&feegrant.BasicAllowance{SpendLimit: sdk.NewCoins(cairn(10))}, granter.address(), grantee.address())
	require.NoError(t, err)
	return grant
}

func grantSends(t *testing.T, granter, grantee user) sdk.Msg {
	t.Helper()
	grant, err := authz.NewMsgGrant(granter.address(), grantee.address(), banktypes.NewSendAuthorization(sdk.NewCoins(cairn(5)), nil), nil)
	require.NoError(t, err)
	return grant
}

func proposal(t *testing.T, proposer user) sdk.Msg {
	t.Helper()
	p, err := govv1.NewMsgSubmitProposal(nil, sdk.NewCoins(cairn(1000)), proposer.String(), "ipfs://somewhere", "A title", "A summary", false)
	require.NoError(t, err)
	return p
}

// createdAddress is where the last contract of u lies.
func createdAddress(u user, c *chain) common.Address {
	return crypto.CreateAddress(u.hex(), c.app.Auth.GetAccount(c.ctx(), u.address()).GetSequence()-1)
}

func TestReplayGivesTheSameHashes(t *testing.T) {
	first := newChain(t, "alice", "bob", "carol")
	liveALife(t, first)

	shadow := newChain(t, "alice", "bob", "carol")
	for i, b := range first.blocks {
		if i == len(first.blocks)/2 {
			shadow.restart()
		}
		if i > 0 { // newChain ran the first
			shadow.next(b.txs...)
		}
		require.Equal(t, b.hash, shadow.blocks[i].hash, "block %d", i+1)
	}
}
