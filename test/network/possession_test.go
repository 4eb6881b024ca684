package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/devnet"
	"github.com/cairn-network/cairn/devnet/devnettest"
)

// TestDroppedPiecesAreFoundByTheirReceipts runs a network in which renters delete and nodes are killed
// while challenges, peers' questions and inclusion audits go on; then one node loses its data, restarts
// and leaves it out of its next tree, so that no challenge can ask for it. Nobody but that node is at
// fault, and it is, by an audit that the renter's gateway opened with a receipt.
func TestDroppedPiecesAreFoundByTheirReceipts(t *testing.T) {
	if os.Getenv("CAIRN_POSSESSION") == "" {
		t.Skip("runs a network of fifteen processes for minutes: set CAIRN_POSSESSION=1")
	}
	home := t.TempDir()
	config := devnet.Config{
		Home: home, Storage: 10, Processes: true, BinDir: devnettest.Programs(t), BlockTime: 500 * time.Millisecond, EpochBlocks: 60,
	}
	devnettest.Run(t, config, func(t *testing.T, n *devnet.Network) {
		chain, err := chainclient.New(chainclient.Config{Endpoint: n.Ready().GRPC})
		require.NoError(t, err)
		defer chain.Close()
		w := newWriter(n.Ready().S3)
		require.NoError(t, w.createBucket(t.Context()))
		key := func(i int) string { return fmt.Sprintf("object-%02d", i) }
		for i := range 24 {
			name := key(i)
			_, err := w.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &w.bucket, Key: &name, Body: bytes.NewReader(make([]byte, 300_000+i))})
			require.NoError(t, err)
		}
		await(t, "devices prove what they hold", func(ctx context.Context) error {
			standings, err := chain.Standings(ctx)
			if err != nil {
				return err
			}
			for _, s := range standings {
				if s.Passed < 2 {
					return fmt.Errorf("device %d passed %d", s.Device, s.Passed)
				}
			}
			if len(standings) < 8 {
				return fmt.Errorf("%d devices", len(standings))
			}
			return nil
		})
		for i := range 6 { // deleted while their trees are in force
			name := key(i)
			_, err := w.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &w.bucket, Key: &name})
			require.NoError(t, err)
		}
		require.NoError(t, n.Kill("storage", 1, syscall.SIGKILL))
		require.NoError(t, n.Restart(t.Context(), "storage", 1))
		await(t, "the gateway has asked for settled pieces", func(ctx context.Context) error {
			status, err := n.GatewayStatus(ctx)
			if err == nil && status.Inclusion.Shown < 8 {
				err = fmt.Errorf("inclusion %+v", status.Inclusion)
			}
			return err
		})

		const victim = 4
		require.NoError(t, n.Kill("storage", victim, syscall.SIGTERM))
		require.NoError(t, filepath.WalkDir(filepath.Join(home, "storage", fmt.Sprint(victim), "pieces", "logs"), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				err = os.Truncate(path, 0)
			}
			return err
		}))
		require.NoError(t, n.Restart(t.Context(), "storage", victim))
		device := deviceOf(t, n, fmt.Sprintf("storage-%d", victim))
		await(t, "the victim is at fault for a piece that it signed for", func(ctx context.Context) error {
			faults, err := chain.Faults(ctx, 0)
			if err != nil {
				return err
			}
			found := false
			for _, f := range faults {
				if f.Device != device {
					t.Errorf("an honest device is at fault: %v", f)
				}
				found = found || f.Kind == storagev1.FaultKind_FAULT_KIND_INCLUSION
			}
			if !found {
				return errors.New("no inclusion fault yet")
			}
			return nil
		})
		status, err := n.GatewayStatus(t.Context())
		require.NoError(t, err)
		require.Positive(t, status.Inclusion.Caught)
		t.Logf("gateway: %+v", status.Inclusion)
	})
}

// deviceOf is the device of a part of the network.
func deviceOf(t *testing.T, n *devnet.Network, name string) uint64 {
	t.Helper()
	for _, p := range n.Ready().Processes {
		if p.Name == name {
			return p.DeviceID
		}
	}
	t.Fatalf("no part is called %s", name)
	return 0
}

// await repeats a check until it holds.
func await(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	var last error
	require.Eventually(t, func() bool {
		last = check(t.Context())
		return last == nil
	}, 15*time.Minute, time.Second, what)
	if last != nil {
		t.Fatal(last)
	}
}
