package renter

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/price"
)

// Quote is what storing something would cost, before anything is bought.
type Quote struct {
	Class erasure.Class `json:"class"`
	// Nodes whose offers the settings accept, and how many of them fail independently.
	Nodes  int `json:"nodes"`
	Groups int `json:"groups"`
	// Stored is how many bytes all pieces together take.
	Stored uint64 `json:"stored_bytes"`
	// Storage is for keeping them for the time asked for, Reading for reading the object once. Both
	// are on the cheapest nodes that make a whole; placement may have to choose dearer ones, and
	// reservations are larger than what is stored in them.
	Storage price.Amount `json:"storage"`
	Reading price.Amount `json:"reading"`
}

// Quote prices bytes kept for a time in a class, the one that the network calls for when class is
// empty. Errors: ErrTooFewNodes when the settings accept too few nodes for the class.
func (s *LeaseService) Quote(ctx context.Context, bytes uint64, d time.Duration, class string) (Quote, error) {
	nodes, err := s.Chain.Nodes(ctx)
	if err != nil {
		return Quote{}, fmt.Errorf("listing storage nodes: %w", err)
	}
	candidates := make([]Candidate, len(nodes))
	cheapest := make(map[string]Node) // by owner
	q := Quote{}
	for i, n := range nodes {
		candidates[i] = Candidate{Node: n, Excluded: s.Config.Accepts(n), Success: 1}
		if candidates[i].Excluded != 0 {
			continue
		}
		q.Nodes++
		if best, ok := cheapest[n.Owner]; !ok || n.Offer.Stream.Cmp(best.Offer.Stream) < 0 {
			cheapest[n.Owner] = n
		}
	}
	policy := s.Pool.config.Policy
	q.Groups = policy.IndependentGroups(candidates)
	q.Class = erasure.ClassFor(q.Groups)
	if class != "" {
		var ok bool
		if q.Class, ok = erasure.ClassByName(class); !ok {
			return q, fmt.Errorf("redundancy class %q is not known", class)
		}
	}
	if q.Groups < q.Class.Optimal {
		return q, NewPlacement(q.Class, policy, candidates, nil, rng()).Shortage(q.Groups)
	}
	chosen := make([]Node, 0, len(cheapest))
	for _, n := range cheapest {
		chosen = append(chosen, n)
	}
	slices.SortFunc(chosen, func(a, b Node) int { return a.Offer.Stream.Cmp(b.Offer.Stream) })
	chosen = chosen[:min(len(chosen), q.Class.Optimal)]
	piece := bytes/uint64(q.Class.K) + 1
	q.Stored = piece * uint64(len(chosen))
	for _, n := range chosen {
		cost, err := n.Offer.Stream.StreamCost(piece, uint64(max(0, d)/time.Second))
		if err != nil {
			return q, fmt.Errorf("pricing device %d: %w", n.Device, err)
		}
		q.Storage = plus(q.Storage, cost)
	}
	slices.SortFunc(chosen, func(a, b Node) int { return a.Offer.Metered.Cmp(b.Offer.Metered) })
	for _, n := range chosen[:min(len(chosen), q.Class.K)] {
		cost, err := n.Offer.Metered.Cost(piece)
		if err != nil {
			return q, fmt.Errorf("pricing device %d: %w", n.Device, err)
		}
		q.Reading = plus(q.Reading, cost)
	}
	return q, nil
}
