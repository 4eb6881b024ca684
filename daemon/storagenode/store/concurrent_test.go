package store

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/piece"
)

// TestConcurrentUse lets everything that a store can do happen at once; each goroutine knows what its
// own pieces must be. Run it with the race detector.
func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, func(c *Config) { c.LogSize = 1 << 20; c.CheckpointBytes = 1 << 20 })
	var held sync.Map // number -> nothing
	var writers, others sync.WaitGroup
	var stop atomic.Bool
	loop := func(fn func() error) {
		others.Add(1)
		go func() {
			defer others.Done()
			for !stop.Load() {
				if err := fn(); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	loop(s.Checkpoint)
	loop(func() error { return s.Tidy(context.Background()) })
	loop(func() error {
		_, _, err := s.Scrub(context.Background(), time.Now().Add(time.Hour))
		return err
	})
	loop(func() error {
		_, err := s.Stats()
		return err
	})
	loop(func() error {
		_, _, err := s.List(context.Background(), nil, 1, piece.ID{}, 10)
		return err
	})
	for g := range uint64(6) {
		writers.Add(1)
		go func() {
			defer writers.Done()
			r := rand.New(rand.NewPCG(g, 0))
			var own []uint64
			for n := range uint64(60) {
				number := g<<32 | n
				switch _, err := s.Put(Key{1 + g%2, id(number)}, content(number, sizeOf(number)), CreateOptions{Until: time.Now().Unix() + int64(g%3)*1e6}); {
				case err != nil:
					t.Error(err)
					return
				case r.IntN(2) == 0:
					if _, err := s.Delete(1+g%2, []piece.ID{id(number)}); err != nil {
						t.Error(err)
					}
					if _, _, err := s.Get(Key{1 + g%2, id(number)}); !errors.Is(err, ErrNotFound) {
						t.Errorf("deleted piece: %v", err)
					}
				default:
					own = append(own, number)
					held.Store(number, nil)
				}
				if len(own) > 0 {
					number := own[r.IntN(len(own))]
					b, _, err := s.Get(Key{1 + g%2, id(number)})
					if err != nil || !bytes.Equal(b, content(number, sizeOf(number))) {
						t.Errorf("piece %d: %v", number, err)
					}
				}
			}
		}()
	}
	writers.Wait()
	stop.Store(true)
	others.Wait()
	check := func() {
		n := int64(0)
		held.Range(func(k, _ any) bool {
			n++
			number := k.(uint64)
			b, _, err := s.Get(Key{1 + number>>32%2, id(number)})
			require.NoError(t, err)
			require.True(t, bytes.Equal(b, content(number, sizeOf(number))))
			return true
		})
		st, err := s.Stats()
		require.NoError(t, err)
		require.Equal(t, n, st.Pieces)
		require.Zero(t, st.Corrupt)
	}
	check()
	require.NoError(t, s.Close())
	s = openAt(t, dir)
	check()
	require.NoError(t, s.Close())
}
