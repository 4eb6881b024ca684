package network

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/devnet"
	"github.com/cairn-network/cairn/devnet/devnettest"
)

// TestRandomKills kills gateway, storage nodes and the chain with SIGKILL at random moments while
// objects go in, and starts them again. What was acknowledged is read back whole after every
// round, and the market's module account covers every escrow. CAIRN_ROUNDS sets the rounds (3 by
// default, 100 in the ladder); CAIRN_SEED replays a run.
func TestRandomKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts fifteen processes")
	}
	rounds := number(t, "CAIRN_ROUNDS", 3)
	seed := number(t, "CAIRN_SEED", uint64(time.Now().UnixNano()))
	t.Logf("CAIRN_SEED=%d", seed)
	chance := rand.New(rand.NewPCG(seed, seed))

	config := devnet.Config{Storage: 12, Processes: true, BinDir: devnettest.Programs(t)}
	devnettest.Run(t, config, func(t *testing.T, n *devnet.Network) {
		w := newWriter(n.Ready().S3)
		require.NoError(t, w.createBucket(t.Context()))
		for round := range rounds {
			done := make(chan struct{})
			var writing sync.WaitGroup
			for worker := range 4 {
				writing.Go(func() { w.write(t.Context(), fmt.Sprintf("%d/%d", round, worker), done) })
			}
			role, index := victim(chance)
			before := w.acknowledged()
			require.Eventually(t, func() bool { return w.acknowledged() > before+chance.IntN(40) }, time.Minute, time.Millisecond)
			t.Logf("round %d: kill -9 %s %d", round, role, index)
			require.NoError(t, n.Kill(role, index, syscall.SIGKILL))
			require.NoError(t, n.Restart(t.Context(), role, index))
			close(done)
			writing.Wait()
			require.NoErrorf(t, w.verify(t.Context()), "round %d", round)
			requireSolvent(t, n.Ready().REST)
		}
		t.Logf("%d objects acknowledged, all read back after %d kills", w.acknowledged(), rounds)
	})
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	v, err := strconv.ParseUint(text, 10, 64)
	require.NoErrorf(t, err, "%s", name)
	return v
}

func victim(chance *rand.Rand) (role string, index int) {
	switch chance.IntN(4) {
	case 0:
		return "gateway", 0
	case 1:
		return "validator", 0
	default:
		return "storage", chance.IntN(12)
	}
}

// A writer puts objects and remembers which were acknowledged.
type writer struct {
	client *s3.Client
	bucket string

	mu   sync.Mutex
	acks map[string][32]byte
}

func newWriter(to devnet.S3) *writer {
	return &writer{bucket: "kills", acks: map[string][32]byte{}, client: s3.New(s3.Options{
		BaseEndpoint: &to.Endpoint, Region: to.Region, UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials:                credentials.NewStaticCredentialsProvider(to.AccessKey, to.SecretKey, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})}
}

func (w *writer) createBucket(ctx context.Context) error {
	_, err := w.client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &w.bucket})
	return err
}

func (w *writer) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acks)
}

// write puts objects of all sizes until done; failures while something is down are expected.
func (w *writer) write(ctx context.Context, prefix string, done <-chan struct{}) {
	source := rand.NewChaCha8(sha256.Sum256([]byte(prefix)))
	sizes := []int{100, 4096, 30_000, 300_000, 2_000_000}
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		key := fmt.Sprintf("%s/%d", prefix, i)
		body := make([]byte, sizes[i%len(sizes)])
		source.Read(body)
		bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
		_, err := w.client.PutObject(bounded, &s3.PutObjectInput{Bucket: &w.bucket, Key: &key, Body: bytes.NewReader(body)})
		cancel()
		if err != nil {
			continue
		}
		w.mu.Lock()
		w.acks[key] = sha256.Sum256(body)
		w.mu.Unlock()
	}
}

// verify reads back everything that was acknowledged.
func (w *writer) verify(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, want := range w.acks {
		got, err := w.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &w.bucket, Key: &key})
		if err != nil {
			return fmt.Errorf("reading acknowledged %s: %w", key, err)
		}
		sum := sha256.New()
		_, err = io.Copy(sum, got.Body)
		got.Body.Close()
		if err != nil {
			return fmt.Errorf("reading acknowledged %s: %w", key, err)
		}
		if [32]byte(sum.Sum(nil)) != want {
			return fmt.Errorf("acknowledged %s came back different", key)
		}
	}
	return nil
}

// requireSolvent checks INV-ESCROW from outside: the market's account covers what its items hold.
func requireSolvent(t *testing.T, rest string) {
	t.Helper()
	var account struct {
		Account struct {
			BaseAccount struct {
				Address string `json:"address"`
			} `json:"base_account"`
		} `json:"account"`
	}
	get(t, rest+"/cosmos/auth/v1beta1/module_accounts/market", &account)
	var balance struct {
		Balance struct {
			Amount string `json:"amount"`
		} `json:"balance"`
	}
	get(t, rest+"/cosmos/bank/v1beta1/balances/"+account.Account.BaseAccount.Address+"/by_denom?denom=acairn", &balance)
	held, ok := new(big.Int).SetString(balance.Balance.Amount, 10)
	require.True(t, ok, balance.Balance.Amount)

	var leases struct {
		Leases []struct {
			ID string `json:"id"`
		} `json:"leases"`
	}
	get(t, rest+"/cairn/market/v1/leases", &leases)
	owed := new(big.Int)
	for _, lease := range leases.Leases {
		var full struct {
			Items []struct {
				Escrow string `json:"escrow"`
			} `json:"items"`
		}
		get(t, rest+"/cairn/market/v1/leases/"+lease.ID, &full)
		for _, item := range full.Items {
			escrow, ok := new(big.Int).SetString(item.Escrow, 10)
			require.True(t, ok, item.Escrow)
			owed.Add(owed, escrow)
		}
	}
	require.GreaterOrEqual(t, held.Cmp(owed), 0, "INV-ESCROW: module holds %s, items %s", held, owed)
	require.Positive(t, owed.Sign())
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	require.Eventually(t, func() bool {
		resp, err := http.Get(url)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(into) == nil
	}, time.Minute, 100*time.Millisecond, url)
}
