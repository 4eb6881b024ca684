package command_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	"github.com/stretchr/testify/require"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/app/node"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/cmd/cairn/command"
	"github.com/cairn-network/cairn/internal/cli"
)

// The whole of cairn against a real chain: owners rent out disks, one of them from nothing; a
// renter stores a file, reads it back, and reads it after nodes are gone and the gateway restarted.
func TestFromNothingToFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a network")
	}
	const providers = 9
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	dir := t.TempDir()
	people := make([]string, providers+1) // words; the last is the renter's
	for i := range people {
		words, err := wallet.NewMnemonic(rand.Reader)
		require.NoError(t, err)
		people[i] = words
	}
	grpc := chain(t, filepath.Join(dir, "chain"), people)
	t.Setenv("CAIRN_NODE", grpc)

	// Daemons run until stopped; each has a home of its own.
	var daemons sync.WaitGroup
	t.Cleanup(daemons.Wait)
	start := func(home string, args ...string) (ready func() map[string]any, stopOne func()) {
		ctx, stopOne := context.WithCancel(ctx)
		file := filepath.Join(home, "ready.json")
		var output lockedBuffer
		root := command.New(&cli.Terminal{In: strings.NewReader(""), Out: &output, Err: &output})
		root.SetArgs(append(args, "--home", home, "--ready-file", file, "--log-level", "warn"))
		ended := make(chan error, 1)
		daemons.Go(func() { ended <- root.ExecuteContext(ctx) })
		return func() map[string]any {
			for {
				body, err := os.ReadFile(file)
				var v map[string]any
				if err == nil && json.Unmarshal(body, &v) == nil {
					return v
				}
				select {
				case err := <-ended:
					t.Fatalf("%v ended: %v\n%s", args, err, output.String())
				case <-t.Context().Done():
					t.Fatalf("%v: %s", args, output.String())
				case <-time.After(20 * time.Millisecond):
				}
			}
		}, stopOne
	}
	home := func(name, words string) string {
		path := filepath.Join(dir, name)
		if words != "" {
			require.NoError(t, wallet.Create(filepath.Join(path, "wallet"), words, ""))
		}
		return path
	}
	provide := func(home string) []string {
		return []string{
			"provide", "storage", "--path", filepath.Join(home, "pieces"), "--size", "300MB", "--min-free", "1MB",
			"--price", "4CAIRN/TB-month", "--egress-price", "2CAIRN/TB", "--listen", "127.0.0.1:0", "--poll", "500ms", "--settle-every", "2s", "--settle-above", "1acairn",
		}
	}
	var waits []func() map[string]any
	var stops []func()
	for i := range providers {
		h := home(fmt.Sprintf("provider%d", i), people[i])
		ready, stopOne := start(h, provide(h)...)
		waits, stops = append(waits, ready), append(stops, stopOne)
	}
	// From nothing: no wallet, no money. It waits until someone sends some.
	poorHome := home("poor", "")
	poorReady, _ := start(poorHome, provide(poorHome)...)
	renterHome := home("renter", people[providers])
	for _, ready := range waits {
		require.NotZero(t, ready()["device_id"])
	}
	var poor struct{ Address string }
	eventually(t, func() error {
		stdout, _, err := run(t, nil, "wallet", "show", "--json", "--home", poorHome)
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(stdout), &poor)
	})
	must(t, "wallet", "send", poor.Address, "50CAIRN", "--home", renterHome)
	require.NotZero(t, poorReady()["device_id"])

	serve := []string{"gateway", "s3", "--listen", "127.0.0.1:0", "--one-machine", "--reserve", "20MB", "--lease-every", "500ms", "--repair-every", "1s", "--lost-after", "10s"}
	gatewayReady, stopGateway := start(renterHome, serve...)
	gatewayReady()
	t.Setenv("CAIRN_HOME", renterHome)
	var offers []struct{ Device uint64 }
	require.NoError(t, json.Unmarshal([]byte(must(t, "offers", "--json")), &offers))
	require.Len(t, offers, providers+1)

	require.Contains(t, must(t, "quote", "1TB", "--one-machine"), "storing    1 TB for 30 days: ")
	_, stderr, err := run(t, nil, "quote", "1TB", "--one-machine", "--class", "archive")
	require.Error(t, err)
	require.Contains(t, stderr, "too few independent storage nodes")

	content := random(20<<20+7, 9)
	file := filepath.Join(dir, "holiday.mov")
	require.NoError(t, os.WriteFile(file, content, 0o644))
	eventually(t, func() error { _, _, err := run(t, nil, "mb", "films"); return err })
	eventually(t, func() error { // until the lease spans enough nodes
		_, stderr, err := run(t, nil, "put", file, "films/")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, stderr)
		}
		return err
	})
	require.True(t, string(content) == must(t, "get", "films/holiday.mov", "-"))

	// Shared with a stranger, who has no wallet and reads from the nodes; the gateway is not asked.
	grantFile := filepath.Join(dir, "films.grant")
	_, stderr, err = run(t, nil, "share", "films/", "--grant", grantFile, "--valid", "1h")
	require.Error(t, err)
	require.Contains(t, stderr, "--yes") // nobody can be asked
	require.NoFileExists(t, grantFile)
	var quote struct {
		Objects int
		Bytes   int64
		Escrow  json.Number
	}
	require.NoError(t, json.Unmarshal([]byte(must(t, "share", "films/", "--grant", grantFile, "--valid", "1h", "--yes", "--json")), &quote))
	require.Equal(t, 1, quote.Objects)
	require.EqualValues(t, len(content), quote.Bytes)
	_, stderr, err = run(t, nil, "share", "films/", "--grant", grantFile, "--yes")
	require.Error(t, err)
	require.Contains(t, stderr, "not replaced")
	// Watched over by somebody who can read nothing.
	watchFile := filepath.Join(dir, "watch.grant")
	_, stderr, err = run(t, nil, "share", "films/", "--verify-only")
	require.Error(t, err)
	require.Contains(t, stderr, "--grant FILE")
	must(t, "share", "films/", "--grant", watchFile, "--verify-only", "--valid", "1h", "--yes")
	watch, err := os.ReadFile(watchFile)
	require.NoError(t, err)
	require.NotContains(t, string(watch), "holiday")
	_, stderr, err = run(t, nil, "share", "films/nothing.mov", "--grant", grantFile+"2", "--yes")
	require.Error(t, err)
	require.Contains(t, stderr, "no such object")

	// Two nodes vanish and the gateway restarts: the file is still whole.
	stops[0]()
	stops[1]()
	stopGateway()
	eventually(t, gone(filepath.Join(renterHome, "run", "gateway.json")))
	require.NoError(t, os.Remove(filepath.Join(renterHome, "ready.json")))
	gatewayReady, stopGateway = start(renterHome, serve...)
	gatewayReady()
	eventually(t, func() error {
		stdout, stderr, err := run(t, nil, "get", "films/holiday.mov", "-")
		if err == nil && stdout != string(content) {
			t.Fatal("read back something else")
		}
		if err != nil {
			err = fmt.Errorf("%w: %s", err, stderr)
		}
		return err
	})

	var status struct {
		Gateway struct {
			State struct{ Buckets []struct{ Objects int } }
		}
		Leases []struct{ State string }
	}
	require.NoError(t, json.Unmarshal([]byte(must(t, "status", "--json")), &status))
	require.Len(t, status.Leases, 3, "the own one, and those of the grants")
	require.Equal(t, 1, status.Gateway.State.Buckets[0].Objects)

	// The machine is lost. On a new one the words bring everything back.
	stopGateway()
	eventually(t, gone(filepath.Join(renterHome, "run", "gateway.json")))
	stranger := home("stranger", "")
	var verified struct {
		Segments, Readable, Pieces, Proven int
		Devices                            []struct{ Pieces, Proven, Failed, Away int }
	}
	require.NoError(t, json.Unmarshal([]byte(must(t, "verify", "--grant", watchFile, "--json", "--home", stranger)), &verified))
	require.NotZero(t, verified.Segments)
	require.Equal(t, verified.Segments, verified.Readable)
	require.Less(t, verified.Proven, verified.Pieces, "two of the nodes are gone")
	for _, d := range verified.Devices {
		require.Zero(t, d.Failed)
		require.Equal(t, d.Pieces, d.Proven+d.Away)
	}
	_, stderr, err = run(t, nil, "get", "--grant", watchFile, "films/holiday.mov", "-", "--home", stranger)
	require.Error(t, err)
	require.Contains(t, stderr, "does not open")
	require.Contains(t, must(t, "ls", "--grant", grantFile, "--home", stranger), "holiday.mov")
	fetched := filepath.Join(dir, "fetched")
	must(t, "get", "--grant", grantFile, "-r", "films/", fetched, "--home", stranger)
	got, err := os.ReadFile(filepath.Join(fetched, "holiday.mov"))
	require.NoError(t, err)
	require.True(t, string(content) == string(got), "what the grant reads is something else")
	_, stderr, err = run(t, nil, "get", "--grant", grantFile, "other/holiday.mov", "-", "--home", stranger)
	require.Error(t, err)
	require.Contains(t, stderr, "does not open")

	newHome := home("new machine", people[providers])
	t.Setenv("CAIRN_HOME", newHome)
	require.Contains(t, must(t, "recover"), "recovered everything")
	_, stderr, err = run(t, nil, "recover")
	require.Error(t, err)
	require.Contains(t, stderr, "recover into a new home")
	gatewayReady, _ = start(newHome, serve...)
	gatewayReady()
	eventually(t, func() error { // until the lease has been looked at
		stdout, stderr, err := run(t, nil, "get", "films/holiday.mov", "-")
		if err == nil && stdout != string(content) {
			t.Fatal("read back something else")
		}
		if err != nil {
			err = fmt.Errorf("%w: %s", err, stderr)
		}
		return err
	})
	stop()
}

// gone holds once a file is no more.
func gone(file string) func() error {
	return func() error {
		if _, err := os.Stat(file); err == nil {
			return fmt.Errorf("%s is still there", file)
		}
		return nil
	}
}

// chain runs a node on whose chain everyone holds 1000 CAIRN, and returns its gRPC address.
func chain(t *testing.T, dir string, people []string) string {
	return runChain(t, dir, people, func(node.Config) {}).GRPC
}

// runChain is chain with settings of its own.
func runChain(t *testing.T, dir string, people []string, set func(node.Config)) node.Addresses {
	t.Helper()
	identity, err := node.InitHome(dir, node.HomeOptions{Moniker: "test", ChainID: "cairn-test-1", BlockTime: 200 * time.Millisecond, Keyring: "test"})
	require.NoError(t, err)
	genesis := node.Genesis{ChainID: "cairn-test-1", Time: time.Now()}
	for _, words := range people {
		account, err := wallet.FromMnemonic(words)
		require.NoError(t, err)
		address := account.Bytes()
		genesis.Accounts = append(genesis.Accounts, node.Account{
			Address: address[:], Coins: sdk.NewCoins(sdk.NewCoin("acairn", math.NewInt(1000).Mul(math.NewInt(1e18)))),
		})
	}
	genesis.Validators = []node.Validator{{
		Moniker: "test", Operator: genesis.Accounts[0].Address, Key: identity.ConsensusKey, Beacon: identity.BeaconKey, Stake: math.NewInt(1e18),
	}}
	genesis.Edit = func(cdc codec.JSONCodec, state map[string]json.RawMessage) error {
		return errors.Join(
			node.SetModule(cdc, state, "device", func(g *devicev1.GenesisState) { g.Params.UnbondingSeconds = 1 }),
			node.SetModule(cdc, state, "audit", func(g *auditv1.GenesisState) { g.Params.Beacon.EpochBlocks, g.Params.Beacon.RetainEpochs = 10, 100_000 }),
			node.SetModule(cdc, state, "gov", func(g *govv1.GenesisState) {
				voting, expedited := 5*time.Second, 2*time.Second
				g.Params.VotingPeriod, g.Params.ExpeditedVotingPeriod = &voting, &expedited
				g.Params.MinDeposit[0].Amount = math.NewInt(1e18).MulRaw(10)
				g.Params.ExpeditedMinDeposit[0].Amount = math.NewInt(1e18).MulRaw(50)
			}),
		)
	}
	document, err := genesis.Document()
	require.NoError(t, err)
	require.NoError(t, node.WriteGenesis(document, dir))
	config, err := node.LoadConfig(dir)
	require.NoError(t, err)
	config.Listen(node.Addresses{P2P: "127.0.0.1:0", RPC: "127.0.0.1:0", GRPC: "127.0.0.1:0"})
	config.Settings.Set("api.enable", false)
	config.Settings.Set("json-rpc.enable", false)
	config.Comet.P2P.PexReactor = false // its address book is written late, into a home that is gone
	set(config)
	n, err := node.Start(context.WithoutCancel(t.Context()), config)
	require.NoError(t, err)
	t.Cleanup(func() { n.Stop() })
	return n.Addresses()
}

// eventually tries until it works or the test's time is over.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-deadline.Done():
			t.Fatal(err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// lockedBuffer is what a daemon wrote, readable while it writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
