package network

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/daemon/s3gateway/launch"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase/pgtest"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/daemon/s3gateway/repair"
	"github.com/cairn-network/cairn/daemon/s3gateway/snapshot"
	"github.com/cairn-network/cairn/devnet"
	"github.com/cairn-network/cairn/devnet/devnettest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(pgtest.Stop(), devnettest.RemovePrograms()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// TestTwoGatewaysOverOneDatabase runs two gateways of one renter over one PostgreSQL database against
// a whole network: each reads at once what the other wrote, both pay the nodes under the one lease,
// and when one ends the other goes on with all of it.
func TestTwoGatewaysOverOneDatabase(t *testing.T) {
	dsn := pgtest.New(t)
	devnettest.Run(t, devnet.Config{Storage: 12}, func(t *testing.T, n *devnet.Network) {
		var alice devnet.Account
		for _, a := range n.Ready().Accounts {
			if a.Name == "alice" {
				alice = a
			}
		}
		config := launch.Config{
			Mnemonic: alice.Mnemonic, Chain: n.Ready().GRPC, Postgres: dsn,
			Listen: "127.0.0.1:0", StatusListen: "127.0.0.1:0",
			Lease: renter.LeaseConfig{Units: 256 << 20}, LeaseEvery: 500 * time.Millisecond, LostAfter: 10 * time.Second,
			Repair: repair.Config{Interval: time.Second}, Snapshot: snapshot.Config{Poll: 200 * time.Millisecond, MaxAge: time.Second},
			Policy: renter.Policy{LoopbackIsDistinct: true},
			Log:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		}
		var gateways [2]*client
		var stops [2]func()
		for i := range gateways {
			gateways[i], stops[i] = startGateway(t, config)
		}
		require.Equal(t, gateways[0].s3.SecretKey, gateways[1].s3.SecretKey, "one renter, one pair of keys")
		require.NoError(t, gateways[0].createBucket(t.Context()))
		require.Eventually(t, func() bool { return gateways[1].put(t.Context(), "first", []byte("x")) == nil }, time.Minute, 50*time.Millisecond)

		contents := map[string][]byte{}
		for i, size := range []int{100, 5000, 300_000, 16 << 20, 20_000_000} {
			body := bytes.Repeat([]byte(fmt.Sprintf("%07d", i)), size/7+1)[:size]
			contents[fmt.Sprintf("object %d", i)] = body
			require.NoError(t, gateways[i%2].put(t.Context(), fmt.Sprintf("object %d", i), body))
		}
		readAll := func(from *client) error {
			for key, want := range contents {
				got, err := from.get(t.Context(), key)
				if err != nil {
					return fmt.Errorf("reading %s: %w", key, err)
				}
				if sha256.Sum256(got) != sha256.Sum256(want) {
					return fmt.Errorf("%s came back different", key)
				}
			}
			return nil
		}
		// Both read at the same time, and much more than the nodes serve unpaid: 16 MiB each.
		var reading errgroup.Group
		for _, g := range gateways {
			reading.Go(func() error {
				for range 12 {
					if err := readAll(g); err != nil {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, reading.Wait())

		chain, err := chainclient.New(chainclient.Config{Endpoint: n.Ready().GRPC})
		require.NoError(t, err)
		defer chain.Close()
		leases, err := chain.Leases(t.Context(), alice.Address)
		require.NoError(t, err)
		require.Len(t, leases, 1)

		// One of two conditional puts of the same key wins, whichever gateway it goes to.
		var winners int
		for _, g := range gateways {
			if g.putNew(t.Context(), "contested", []byte("mine")) == nil {
				winners++
			}
		}
		require.Equal(t, 1, winners)

		// The first ends: the other serves on, and anchors what comes after.
		stops[0]()
		anchored, err := chain.Snapshot(t.Context(), alice.Address)
		require.NoError(t, err)
		require.NoError(t, gateways[1].put(t.Context(), "after", []byte("still here")))
		require.NoError(t, readAll(gateways[1]))
		require.Eventually(t, func() bool {
			s, err := chain.Snapshot(t.Context(), alice.Address)
			return err == nil && s.Version > anchored.Version
		}, time.Minute, 100*time.Millisecond)
		stops[1]()
	})
}

// client is an S3 client of one gateway.
type client struct {
	*writer
	s3 devnet.S3
}

// startGateway runs a gateway of its own home until stop, or the end of the test.
func startGateway(t *testing.T, config launch.Config) (c *client, stop func()) {
	t.Helper()
	config.Home = t.TempDir()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready := make(chan launch.Info, 1)
	config.Ready = func(i launch.Info) { ready <- i }
	ended := make(chan error, 1)
	go func() { ended <- launch.Run(ctx, config) }()
	stopped := false
	stop = func() {
		cancel()
		if !stopped {
			stopped = true
			require.NoError(t, <-ended)
		}
	}
	t.Cleanup(stop)
	select {
	case i := <-ready:
		at := devnet.S3(i.S3)
		return &client{newWriter(at), at}, stop
	case err := <-ended:
		stopped = true
		t.Fatalf("the gateway did not start: %v", err)
		return nil, nil
	}
}

func (c *client) put(ctx context.Context, key string, body []byte) error {
	_, err := c.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &c.bucket, Key: &key, Body: bytes.NewReader(body)})
	return err
}

func (c *client) putNew(ctx context.Context, key string, body []byte) error {
	none := "*"
	_, err := c.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &c.bucket, Key: &key, Body: bytes.NewReader(body), IfNoneMatch: &none})
	return err
}

func (c *client) get(ctx context.Context, key string) ([]byte, error) {
	out, err := c.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &c.bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}
