package network

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/devnet"
	"github.com/cairn-network/cairn/devnet/devnettest"
)

// TestFourValidators runs four validators as processes of their own and lets one die, stop, be cut off;
// then two, then all. One of four never stops the chain nor its epochs; two do, until they are back. At
// the end all four have the same block at every height, and the epochs follow one another, every
// beacon after the first with outputs in it.
func TestFourValidators(t *testing.T) {
	if testing.Short() {
		t.Skip("starts eight processes")
	}
	network := newRelay(t)
	config := devnet.Config{
		Validators: 4, Storage: 1, Processes: true, BinDir: devnettest.Programs(t), EpochBlocks: 12, Relay: network.via,
	}
	devnettest.Run(t, config, func(t *testing.T, n *devnet.Network) {
		v := watcher{t: t, n: n}
		v.awaitEpoch(4)

		v.phase("one killed")
		require.NoError(t, n.Kill("validator", 3, syscall.SIGKILL))
		v.awaitBlocks(0, 5)
		v.awaitEpoch(3)
		v.phase("back after a kill")
		require.NoError(t, n.Restart(t.Context(), "validator", 3))
		v.awaitLevel(3)
		v.awaitEpoch(4)

		v.phase("one stopped in its tracks")
		require.NoError(t, n.Kill("validator", 2, syscall.SIGSTOP))
		v.awaitBlocks(0, 5)
		v.awaitEpoch(3)
		v.phase("back after a stop")
		require.NoError(t, n.Kill("validator", 2, syscall.SIGCONT))
		v.awaitLevel(2)
		v.awaitEpoch(4)

		v.phase("one cut off")
		network.isolate(1)
		v.awaitBlocks(0, 5)
		v.awaitEpoch(3)
		v.phase("back after a cut")
		network.heal(1)
		v.awaitLevel(1)
		v.awaitEpoch(4)

		v.phase("two killed")
		require.NoError(t, n.Kill("validator", 2, syscall.SIGKILL))
		require.NoError(t, n.Kill("validator", 3, syscall.SIGKILL))
		// A block that all four had voted on may still be made.
		stuck := v.height(0) + 1
		require.Never(t, func() bool { return v.height(0) > stuck }, 5*time.Second, 100*time.Millisecond, "blocks with half of the validators")
		v.phase("two back")
		both := []int{2, 3}
		v.restart(both...)
		v.awaitBlocks(0, 5)
		for _, i := range both {
			v.awaitLevel(i)
		}
		v.awaitEpoch(4)

		v.phase("all killed")
		for i := range 4 {
			require.NoError(t, n.Kill("validator", i, syscall.SIGKILL))
		}
		v.phase("all back")
		v.restart(0, 1, 2, 3)
		v.awaitBlocks(0, 5)
		v.awaitEpoch(4)
		v.phase("")
		v.requireOneChain()
		v.requireUnbroken()
	})
}

// A watcher asks the validators of a network what they have.
type watcher struct {
	t     *testing.T
	n     *devnet.Network
	name  string
	since time.Time
}

// phase says how long the last phase took and names the next.
func (w *watcher) phase(name string) {
	if w.name != "" {
		w.t.Logf("%s: %.1f s, then height %d", w.name, time.Since(w.since).Seconds(), w.height(0))
	}
	w.name, w.since = name, time.Now()
}

func (w *watcher) restart(validators ...int) {
	w.t.Helper()
	var starting sync.WaitGroup
	errs := make([]error, len(validators))
	for k, i := range validators {
		starting.Go(func() { errs[k] = w.n.Restart(w.t.Context(), "validator", i) })
	}
	starting.Wait()
	for _, err := range errs {
		require.NoError(w.t, err)
	}
}

const patience = 2 * time.Minute

func (w *watcher) await(what string, condition func() bool) {
	w.t.Helper()
	require.Eventually(w.t, condition, patience, 100*time.Millisecond, what)
}

// awaitBlocks waits until a validator has so many more blocks.
func (w *watcher) awaitBlocks(validator, more int) {
	w.t.Helper()
	from := w.height(validator)
	w.await(fmt.Sprintf("%d more blocks at validator %d", more, validator), func() bool { return w.height(validator) >= from+more })
}

// awaitLevel waits until a validator has all blocks that the first has.
func (w *watcher) awaitLevel(validator int) {
	w.t.Helper()
	w.await(fmt.Sprintf("validator %d caught up", validator), func() bool {
		first := w.height(0)
		return first > 0 && w.height(validator) >= first
	})
}

// awaitEpoch waits until an epoch starts with so many outputs in its beacon.
func (w *watcher) awaitEpoch(outputs int) {
	w.t.Helper()
	var from uint64
	w.await("the running epoch", func() bool { // the node may still be starting
		epochs, err := w.epochs()
		if err != nil || len(epochs) == 0 {
			return false
		}
		from = epochs[len(epochs)-1].number()
		return true
	})
	w.await(fmt.Sprintf("an epoch after %d with %d outputs", from, outputs), func() bool {
		epochs, err := w.epochs()
		if err != nil || len(epochs) == 0 {
			return false
		}
		last := epochs[len(epochs)-1]
		return last.number() > from && last.Outputs == outputs
	})
}

// height is that of a validator's last block; -1 while it does not answer.
func (w *watcher) height(validator int) int {
	var status struct {
		Result struct {
			SyncInfo struct {
				Height string `json:"latest_block_height"`
			} `json:"sync_info"`
		} `json:"result"`
	}
	if err := w.get(w.n.ValidatorRPC(validator)+"/status", &status); err != nil {
		return -1
	}
	height, err := strconv.Atoi(status.Result.SyncInfo.Height)
	require.NoError(w.t, err)
	return height
}

// blockAt is the hash of a validator's block, and that of the state it was built on.
func (w *watcher) blockAt(validator, height int) [2]string {
	w.t.Helper()
	var block struct {
		Result struct {
			ID struct {
				Hash string `json:"hash"`
			} `json:"block_id"`
			Block struct {
				Header struct {
					AppHash string `json:"app_hash"`
				} `json:"header"`
			} `json:"block"`
		} `json:"result"`
	}
	require.NoError(w.t, w.get(fmt.Sprintf("%s/block?height=%d", w.n.ValidatorRPC(validator), height), &block))
	require.NotEmpty(w.t, block.Result.ID.Hash, "block %d of validator %d", height, validator)
	return [2]string{block.Result.ID.Hash, block.Result.Block.Header.AppHash}
}

// epochJSON is an epoch as REST gives it.
type epochJSON struct {
	Number  string `json:"number"`
	Start   string `json:"start_height"`
	Beacon  []byte `json:"beacon"`
	Outputs int    `json:"outputs"`
	Weak    bool   `json:"weak"`
}

func (e epochJSON) number() uint64 {
	number, _ := strconv.ParseUint(e.Number, 10, 64)
	return number
}

func (w *watcher) epochs() ([]epochJSON, error) {
	var all struct {
		Epochs []epochJSON `json:"epochs"`
	}
	err := w.get(w.n.Ready().REST+"/cairn/audit/v1/epochs?pagination.limit=1000", &all)
	return all.Epochs, err
}

func (w *watcher) get(url string, into any) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// requireOneChain compares every block of all validators.
func (w *watcher) requireOneChain() {
	w.t.Helper()
	heights := []int{w.height(0)}
	for i := 1; i < 4; i++ {
		w.await(fmt.Sprintf("validator %d at height %d", i, heights[0]), func() bool { return w.height(i) >= heights[0] })
	}
	for height := 1; height <= heights[0]; height++ {
		want := w.blockAt(0, height)
		for i := 1; i < 4; i++ {
			require.Equal(w.t, want, w.blockAt(i, height), "validators 0 and %d at height %d", i, height)
		}
	}
	w.t.Logf("%d blocks, the same at all four", heights[0])
}

// requireUnbroken looks at the row of epochs.
func (w *watcher) requireUnbroken() {
	w.t.Helper()
	epochs, err := w.epochs()
	require.NoError(w.t, err)
	seen := map[string]bool{}
	for i, e := range epochs {
		require.EqualValues(w.t, i+1, e.number())
		require.Equal(w.t, i == 0, e.Weak, "epoch %d: %d outputs", e.number(), e.Outputs)
		require.Len(w.t, e.Beacon, 32)
		require.False(w.t, seen[string(e.Beacon)], "epoch %d repeats a beacon", e.number())
		seen[string(e.Beacon)] = true
		if i > 0 {
			require.GreaterOrEqual(w.t, e.Outputs, 3, "epoch %d", e.number())
		}
	}
	w.t.Logf("%d epochs without a gap", len(epochs))
}
