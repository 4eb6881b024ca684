// Package chainclient_test runs the chain client against a real node.
package chainclient_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/app/node"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/price"
)

// home makes the home of a chain with one validator and the accounts, each with 1000 CAIRN.
func home(t *testing.T, accounts ...*wallet.Account) string {
	t.Helper()
	dir := t.TempDir()
	identity, err := node.InitHome(dir, node.HomeOptions{Moniker: "test", ChainID: "cairn-test-1", BlockTime: 100 * time.Millisecond, Keyring: "test"})
	require.NoError(t, err)
	thousand := math.NewInt(1000).Mul(math.NewInt(1e18))
	genesis := node.Genesis{ChainID: "cairn-test-1", Time: time.Now()}
	for _, a := range accounts {
		address := a.Bytes()
		genesis.Accounts = append(genesis.Accounts, node.Account{Address: address[:], Coins: sdk.NewCoins(sdk.NewCoin(chainclient.Denom, thousand))})
	}
	genesis.Validators = []node.Validator{{
		Moniker: "test", Operator: genesis.Accounts[0].Address, Key: identity.ConsensusKey, Stake: math.NewInt(1e18),
	}}
	document, err := genesis.Document()
	require.NoError(t, err)
	require.NoError(t, node.WriteGenesis(document, dir))
	return dir
}

// run starts the node of a home with its gRPC at address.
func run(t *testing.T, dir, address string) *node.Node {
	t.Helper()
	config, err := node.LoadConfig(dir)
	require.NoError(t, err)
	config.Listen(node.Addresses{P2P: "127.0.0.1:0", RPC: "127.0.0.1:0", GRPC: address})
	config.Settings.Set("api.enable", false)
	config.Settings.Set("json-rpc.enable", false)
	config.Comet.P2P.PexReactor = false // its address book is written late, into a home that is gone
	n, err := node.Start(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { n.Stop() })
	return n
}

func draw(t *testing.T) *wallet.Account {
	t.Helper()
	words, err := wallet.NewMnemonic(rand.Reader)
	require.NoError(t, err)
	account, err := wallet.FromMnemonic(words)
	require.NoError(t, err)
	return account
}

// The whole client against the real state machine, consensus and servers.
func TestAgainstARealNode(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a node")
	}
	provider, renter := draw(t), draw(t)
	dir := home(t, provider, renter)
	n := run(t, dir, "127.0.0.1:0")
	address := n.Addresses().GRPC
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	client := func(account *wallet.Account) *chainclient.Client {
		c, err := chainclient.New(chainclient.Config{Endpoint: address, Account: account})
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	p, r := client(provider), client(renter)

	// A device, an offer, a lease.
	chainID, err := p.ChainID(ctx)
	require.NoError(t, err)
	require.Equal(t, "cairn-test-1", chainID)
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	nonce, err := p.Nonce(ctx, p.Address())
	require.NoError(t, err)
	registration := &devicev1.MsgRegister{
		Pubkey: devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: key.Public().(ed25519.PublicKey)},
		Kind:   "storage", Region: "DE", Endpoint: "127.0.0.1:7000",
		Bond:      sdk.NewInt64Coin(chainclient.Denom, 0),
		Signature: ed25519.Sign(key, device.RegistrationBytes(chainID, p.Address(), nonce)),
	}
	id, err := p.Register(ctx, registration)
	require.NoError(t, err)
	_, err = p.Register(ctx, registration)
	require.ErrorIs(t, err, chainclient.ErrDeviceSignature, "the nonce has moved on")
	registration.Signature = ed25519.Sign(key, device.RegistrationBytes(chainID, p.Address(), nonce+1))
	_, err = p.Register(ctx, registration)
	require.ErrorIs(t, err, chainclient.ErrKeyTaken)
	d, err := p.DeviceByKey(ctx, registration.Pubkey.Key)
	require.NoError(t, err)
	require.Equal(t, id, d.Id)
	_, err = p.Device(ctx, id+1)
	require.ErrorIs(t, err, chainclient.ErrNotFound)
	require.ErrorIs(t, r.Announce(ctx, &devicev1.MsgAnnounce{Id: id, Endpoint: "127.0.0.1:1"}), chainclient.ErrNotOperator)

	cheap := marketv1.Price{Amount: math.NewInt(1), Per: 1 << 30}
	offer, err := p.CreateOffer(ctx, &marketv1.MsgCreateOffer{
		Device: id, Resource: "storage", Denom: chainclient.Denom, Stream: cheap, Metered: cheap,
		Capacity: 1 << 40, MinSeconds: 3600, MaxSeconds: 30 * 86400,
	})
	require.NoError(t, err)
	lease, err := r.OpenLease(ctx, &marketv1.MsgOpenLease{
		SessionKey: key.Public().(ed25519.PublicKey), Seconds: 86400,
		Items: []marketv1.NewItem{{Offer: offer, Units: 1 << 30, Escrow: math.NewInt(1e9)}},
	})
	require.NoError(t, err)
	_, items, err := r.Lease(ctx, lease)
	require.NoError(t, err)
	require.Len(t, items, 1)
	open, err := p.DeviceItems(ctx, id)
	require.NoError(t, err)
	require.Len(t, open, 1)
	_, _, err = r.Lease(ctx, lease+1)
	require.ErrorIs(t, err, chainclient.ErrNotFound)
	_, err = r.Snapshot(ctx, r.Address())
	require.ErrorIs(t, err, chainclient.ErrNotFound)
	require.NoError(t, r.CommitSnapshot(ctx, &storagev1.MsgCommitSnapshot{Version: 1, Root: make([]byte, 32), Pointer: []byte("x")}))
	require.ErrorIs(t, r.CommitSnapshot(ctx, &storagev1.MsgCommitSnapshot{Version: 1, Root: make([]byte, 32), Pointer: []byte("x")}), chainclient.ErrSnapshotVersion)

	// Every event is seen, from the first block on.
	done := errors.New("seen")
	var seen []string
	err = r.Follow(ctx, 1, func(_ context.Context, b chainclient.BlockEvents) error {
		for _, e := range b.Events {
			if e.Type == "cairn.market.v1.EventLeaseOpened" {
				m, err := e.Message()
				require.NoError(t, err)
				require.Equal(t, lease, m.(*marketv1.EventLeaseOpened).Id)
				return done
			}
			seen = append(seen, e.Type)
		}
		return nil
	})
	require.ErrorIs(t, err, done)
	require.Contains(t, seen, "cairn.device.v1.EventRegistered")
	require.Contains(t, seen, "cairn.market.v1.EventOfferCreated")

	// Many at once from one account, while the node restarts under them.
	to := draw(t).Address()
	const senders, amount = 24, 1_000
	var group errgroup.Group
	for range senders {
		group.Go(func() error {
			_, err := r.BankSend(ctx, to, price.FromUint64(amount))
			return err
		})
	}
	require.NoError(t, n.Stop())
	n = run(t, dir, address)
	require.NoError(t, group.Wait())
	balance, err := r.Balance(ctx, to)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(senders*amount), balance.String(), "INV-SEND-ONCE")

	_, err = r.BankSend(ctx, to, price.Amount{Hi: 1 << 40})
	require.ErrorIs(t, err, chainclient.ErrInsufficientFunds)
	poor := client(draw(t))
	_, err = poor.BankSend(ctx, to, price.FromUint64(1))
	require.ErrorIs(t, err, chainclient.ErrUnknownAddress)
	require.NoError(t, n.Stop())
}
