package store

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/piece"
)

// Environment of the child process of TestKill.
const (
	childDir  = "CAIRN_STORE_CHILD_DIR"
	childSeed = "CAIRN_STORE_CHILD_SEED"
	killTimes = "CAIRN_STORE_KILLS" // rounds, 12 when unset
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		seed, err := strconv.ParseUint(os.Getenv(childSeed), 10, 64)
		if err == nil {
			err = writeForEver(dir, seed)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver puts and deletes pieces from eight goroutines and says so on standard output, one
// line after each acknowledgement, until it is killed.
func writeForEver(dir string, seed uint64) error {
	s, err := OpenStore(Config{Dir: dir, MinFree: 1, LogSize: 1 << 20, CheckpointBytes: 1 << 20})
	if err != nil {
		return err
	}
	crowd(s, wholeGathers-2) // so that eight writers of larger pieces meet both ways of writing
	failed := make(chan error, 10)
	go func() {
		for {
			if err := s.Checkpoint(); err != nil {
				failed <- err
			}
			if err := s.Tidy(noCancel{}); err != nil {
				failed <- err
			}
		}
	}()
	var out sync.Mutex
	for g := range uint64(8) {
		go func() {
			r := rand.New(rand.NewPCG(seed, g))
			for n := uint64(0); ; n++ {
				number := seed<<24 | g<<20 | n
				if _, err := s.Put(Key{1, id(number)}, content(number, sizeOf(number)), CreateOptions{}); err != nil {
					failed <- err
					return
				}
				out.Lock()
				fmt.Printf("+%d\n", number)
				out.Unlock()
				if r.IntN(3) == 0 {
					out.Lock()
					fmt.Printf("?%d\n", number)
					out.Unlock()
					if _, err := s.Delete(1, []piece.ID{id(number)}); err != nil {
						failed <- err
						return
					}
					out.Lock()
					fmt.Printf("-%d\n", number)
					out.Unlock()
				}
			}
		}()
	}
	return <-failed
}

type noCancel struct{}

func (noCancel) Deadline() (time.Time, bool) { return time.Time{}, false }
func (noCancel) Done() <-chan struct{}       { return nil }
func (noCancel) Err() error                  { return nil }
func (noCancel) Value(any) any               { return nil }

func sizeOf(number uint64) int {
	r := rand.New(rand.NewPCG(number, 99))
	if r.IntN(4) == 0 {
		return r.IntN(200_000)
	}
	return r.IntN(6_000)
}

// TestKill runs a process that writes and deletes, kills it with SIGKILL at a random moment, and
// checks that every acknowledged piece is there and every acknowledged deletion holds; again and
// again over the same directory.
func TestKill(t *testing.T) {
	rounds := 12
	if n, err := strconv.Atoi(os.Getenv(killTimes)); err == nil {
		rounds = n
	} else if testing.Short() {
		rounds = 3
	}
	dir := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.Mkdir(dir, 0o700))
	held, deleted, doubt := map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}
	for round := range rounds {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir, childSeed+"="+strconv.Itoa(round+1))
		stdout, err := child.StdoutPipe()
		require.NoError(t, err)
		child.Stderr = os.Stderr
		require.NoError(t, child.Start())
		// The moment is a number of acknowledgements, not a time: no machine is too slow.
		lines := bufio.NewScanner(stdout)
		until := 20 + rand.IntN(400)
		for n := 0; lines.Scan(); n++ {
			if n == until {
				require.NoError(t, child.Process.Kill())
			}
			line := lines.Text()
			number, err := strconv.ParseUint(line[1:], 10, 64)
			require.NoError(t, err)
			switch line[0] {
			case '+':
				held[number] = true
			case '?':
				doubt[number] = true
			case '-':
				delete(held, number)
				deleted[number] = true
			}
		}
		require.Error(t, child.Wait())

		s := openAt(t, dir, func(c *Config) { c.LogSize = 1 << 20 })
		for number := range held {
			b, _, err := s.Get(Key{1, id(number)})
			if doubt[number] && err != nil {
				require.ErrorIs(t, err, ErrNotFound)
				delete(held, number)
				deleted[number] = true
				continue
			}
			require.NoError(t, err, "round %d: acknowledged piece %d", round, number)
			require.Equal(t, content(number, sizeOf(number)), b)
		}
		for number := range deleted {
			_, _, err := s.Get(Key{1, id(number)})
			require.ErrorIs(t, err, ErrNotFound, "round %d: deleted piece %d", round, number)
		}
		clear(doubt)
		s.abandon() // no clean shutdown ever
	}
	require.NotEmpty(t, held)
	require.NotEmpty(t, deleted)
}
