package renter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/erasure"
)

// drawCandidates makes pools with shared owners, shared networks, few regions and some unusable
// nodes.
func drawCandidates(t *rapid.T) []Candidate {
	n := rapid.IntRange(0, 60).Draw(t, "nodes")
	owners := rapid.IntRange(1, 60).Draw(t, "owners")
	networks := rapid.IntRange(1, 60).Draw(t, "networks")
	regions := rapid.IntRange(0, 5).Draw(t, "regions")
	list := make([]Candidate, n)
	for i := range list {
		c := Candidate{
			Node: Node{
				Device:   uint64(i + 1),
				Owner:    fmt.Sprintf("owner%d", rapid.IntRange(1, owners).Draw(t, "owner")),
				Endpoint: fmt.Sprintf("10.0.%d.%d:7000", rapid.IntRange(1, networks).Draw(t, "network"), i+1),
			},
			Success: rapid.Float64Range(0, 1).Draw(t, "success"),
			Latency: time.Duration(rapid.IntRange(0, 1000).Draw(t, "ms")) * time.Millisecond,
		}
		if r := rapid.IntRange(0, regions).Draw(t, "region"); r > 0 {
			c.Region = fmt.Sprintf("R%d", r)
		}
		if rapid.IntRange(0, 4).Draw(t, "usable") == 0 {
			c.Excluded = ReasonOffline
		}
		list[i] = c
	}
	return list
}

func class(t require.TestingT, name string) erasure.Class {
	c, ok := erasure.ClassByName(name)
	require.True(t, ok, name)
	return c
}

// TestPlacementKeepsCaps holds INV-PLACE-1 and INV-PLACE-2 over random pools, failures included.
func TestPlacementKeepsCaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		candidates := drawCandidates(t)
		class := class(t, rapid.SampledFrom([]string{"dev", "small-net", "standard", "small"}).Draw(t, "class"))
		usable := make(map[uint64]bool)
		for _, c := range candidates {
			usable[c.Device] = c.Excluded == 0
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		p := NewPlacement(class, Policy{}, candidates, nil, rng)
		held := make(map[uint64]Node)
		given := make(map[uint64]bool)
		for {
			n, ok := p.Next()
			if !ok {
				break
			}
			require.True(t, usable[n.Device], "device %d is excluded", n.Device)
			require.False(t, given[n.Device], "device %d was handed out twice", n.Device)
			given[n.Device], held[n.Device] = true, n
			owners, networks, regions := make(map[string]int), make(map[string]int), make(map[string]int)
			for _, h := range held {
				owners[h.Owner]++
				networks[h.Network()]++
				regions[h.Region]++
				require.Equal(t, 1, owners[h.Owner], "owner %s", h.Owner)
				require.Equal(t, 1, networks[h.Network()], "network %s", h.Network())
				if h.Region != "" && p.Regions() == RegionsBind {
					require.LessOrEqual(t, regions[h.Region], class.MaxPerGroup(), "region %s", h.Region)
				}
			}
			if rapid.IntRange(0, 5).Draw(t, "fails") == 0 {
				p.Fail(n, ReasonFailed)
				delete(held, n.Device)
			}
		}
		// What was not handed out is explained.
		explained := make(map[uint64]bool)
		for _, ids := range p.Shortage(len(held)).Excluded {
			for _, id := range ids {
				explained[id] = true
			}
		}
		for _, c := range candidates {
			_, in := held[c.Device]
			require.NotEqual(t, in, explained[c.Device], "device %d", c.Device)
		}
	})
}

func TestPlacementRelaxesRegionsOnlyAsFarAsNeeded(t *testing.T) {
	dev := class(t, "dev") // 4/6/8/10: at most 2 a region
	var pool []Candidate
	for i := range 12 {
		pool = append(pool, Candidate{Success: 1, Node: Node{
			Device: uint64(i + 1), Owner: fmt.Sprint(i), Endpoint: fmt.Sprintf("10.0.%d.1:1", i), Region: fmt.Sprint("R", i%3),
		}})
	}
	p := NewPlacement(dev, Policy{}, pool, nil, rand.New(rand.NewPCG(1, 2)))
	require.Equal(t, RegionsTooFew, p.Regions(), "three regions of two hold six pieces, not eight")
	regions := make(map[string]int)
	n := 0
	for {
		node, ok := p.Next()
		if !ok {
			break
		}
		n++
		regions[node.Region]++
		require.LessOrEqual(t, regions[node.Region], 3)
	}
	require.GreaterOrEqual(t, n, dev.Optimal)
}

func TestShortageNamesEveryReason(t *testing.T) {
	dev := class(t, "dev")
	pool := []Candidate{
		{Node: Node{Device: 1, Owner: "a", Endpoint: "10.0.0.1:1"}, Success: 1},
		{Node: Node{Device: 2, Owner: "a", Endpoint: "10.0.1.1:1"}, Success: 1},
		{Node: Node{Device: 3, Owner: "c", Endpoint: "10.0.0.2:1"}, Success: 1, Excluded: ReasonPrice},
		{Node: Node{Device: 4, Owner: "d", Endpoint: "10.0.3.1:1"}, Success: 1, Excluded: ReasonJailed},
	}
	p := NewPlacement(dev, Policy{}, pool, nil, rand.New(rand.NewPCG(1, 1)))
	first, ok := p.Next()
	require.True(t, ok)
	_, ok = p.Next()
	require.False(t, ok)
	err := fmt.Errorf("storing segment: %w", p.Shortage(1))
	require.ErrorIs(t, err, ErrTooFewNodes)
	var shortage *ShortageError
	require.True(t, errors.As(err, &shortage))
	require.Equal(t, 8, shortage.Needed)
	require.Equal(t, 1, shortage.Found)
	other := 3 - first.Device
	require.EqualError(t, err, fmt.Sprintf("storing segment: too few independent storage nodes: class dev needs 8, found 1; left out: "+
		"1 jailed (device 4), 1 above the price limit (device 3), 1 of an operator that holds a piece already (device %d)", other))
}

func TestPlacementPrefersQuickNodes(t *testing.T) {
	small := class(t, "dev")
	var pool []Candidate
	for i := range 100 {
		c := Candidate{Success: 1, Latency: 5 * time.Millisecond, Node: Node{Device: uint64(i + 1), Owner: fmt.Sprint(i), Endpoint: fmt.Sprintf("10.1.%d.1:1", i)}}
		if i >= 50 {
			c.Latency = 500 * time.Millisecond
		}
		pool = append(pool, c)
	}
	quick := 0
	for seed := range uint64(200) {
		p := NewPlacement(small, Policy{}, pool, nil, rand.New(rand.NewPCG(seed, 0)))
		for range small.Optimal {
			n, ok := p.Next()
			require.True(t, ok)
			if n.Device <= 50 {
				quick++
			}
		}
	}
	share := float64(quick) / float64(200*small.Optimal)
	// Of two draws, one of them slow in every second pair, the quicker wins ten times of eleven.
	require.InDelta(t, 1.0/4+10.0/11/2, share, 0.03)
}

// TestEqualNodesGetEqualShares places segments on twelve nodes that differ by a few milliseconds, as
// equal nodes do: each gets its share, the slowest, too.
func TestEqualNodesGetEqualShares(t *testing.T) {
	dev := class(t, "dev")
	var pool []Candidate
	for i := range 12 {
		pool = append(pool, Candidate{Success: 1, Latency: time.Duration(1+i/2) * time.Millisecond, Node: Node{
			Device: uint64(i + 1), Owner: fmt.Sprint(i), Endpoint: fmt.Sprintf("10.0.%d.1:1", i),
		}})
	}
	pool[11].Latency = 10 * time.Millisecond
	const segments = 4000
	got := make(map[uint64]int)
	for seed := range uint64(segments) {
		p := NewPlacement(dev, Policy{}, pool, nil, rand.New(rand.NewPCG(seed, 0)))
		for range dev.Optimal {
			n, ok := p.Next()
			require.True(t, ok)
			got[n.Device]++
		}
	}
	even := float64(segments*dev.Optimal) / float64(len(pool))
	for _, c := range pool {
		require.InDelta(t, even, got[c.Device], even/10, "device %d with %s", c.Device, c.Latency)
	}
}

func TestIndependentGroups(t *testing.T) {
	pool := []Candidate{
		{Node: Node{Device: 1, Owner: "a", Endpoint: "10.0.0.1:1"}},
		{Node: Node{Device: 2, Owner: "b", Endpoint: "10.0.0.2:1"}}, // network of 1
		{Node: Node{Device: 3, Owner: "b", Endpoint: "10.0.9.1:1"}}, // owner of 2
		{Node: Node{Device: 4, Owner: "c", Endpoint: "10.0.5.1:1"}},
		{Node: Node{Device: 5, Owner: "d", Endpoint: "10.0.6.1:1"}, Excluded: ReasonOffline},
		{Node: Node{Device: 6, Owner: "e", Endpoint: "127.0.0.1:1"}},
		{Node: Node{Device: 7, Owner: "f", Endpoint: "127.0.0.1:2"}},
	}
	require.Equal(t, 3, Policy{}.IndependentGroups(pool))
	require.Equal(t, 4, Policy{LoopbackIsDistinct: true}.IndependentGroups(pool))
}
