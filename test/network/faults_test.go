package network

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/devnet"
	"github.com/cairn-network/cairn/devnet/devnettest"
)

// TestFourOfTwelveKilled kills a third of the storage nodes with SIGKILL while files go up and
// come down: nothing acknowledged is lost, and repair restores the redundancy.
func TestFourOfTwelveKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts fifteen processes")
	}
	config := devnet.Config{Storage: 12, Processes: true, BinDir: devnettest.Programs(t)}
	devnettest.Run(t, config, func(t *testing.T, n *devnet.Network) {
		c := newClients(t, n.Ready())
		c.aws(t, "s3", "mb", "s3://survive")
		src := folder(t, 7)
		c.run(t, "rclone", "copy", src, "cairn:survive/before")

		killed := make(chan error, 1)
		go func() { // while the next upload runs
			killed <- func() error {
				for i := range 2 {
					if err := n.Kill("storage", i, syscall.SIGKILL); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
		during := folder(t, 8)
		c.run(t, "rclone", "copy", "--retries", "5", during, "cairn:survive/during")
		require.NoError(t, <-killed)
		for i := 2; i < 4; i++ {
			require.NoError(t, n.Kill("storage", i, syscall.SIGKILL))
		}

		c.run(t, "rclone", "check", "--download", src, "cairn:survive/before")
		c.run(t, "rclone", "check", "--download", during, "cairn:survive/during")

		require.Eventually(t, func() bool {
			s, err := n.GatewayStatus(t.Context())
			return err == nil && s.Repair.Degraded == 0 && s.Repair.Lost == 0 && s.Repair.Healthy > 0
		}, 3*time.Minute, time.Second, "repair did not restore every segment")
		c.run(t, "rclone", "check", "--download", src, "cairn:survive/before")
	})
}

// TestResume stops a whole network, cleanly and by SIGKILL, and starts it again on the same home:
// what was stored is there, and the chain goes on from its height.
func TestResume(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(t.TempDir(), "kept")
	writeRandom(t, file, 3<<20, 11)
	var height int64
	for round := range 2 {
		devnettest.Run(t, devnet.Config{Home: home, Storage: 10}, func(t *testing.T, n *devnet.Network) {
			c := newClients(t, n.Ready())
			at, err := n.Height(t.Context())
			require.NoError(t, err)
			require.Greater(t, at, height)
			height = at
			if round == 0 {
				c.aws(t, "s3", "mb", "s3://kept")
				c.aws(t, "s3", "cp", file, "s3://kept/file", "--only-show-errors")
				return
			}
			back := file + fmt.Sprint(round)
			c.aws(t, "s3", "cp", "s3://kept/file", back, "--only-show-errors")
			requireSameFile(t, file, back)
			require.NoError(t, os.Remove(back))
		})
	}
}
