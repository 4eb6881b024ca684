package reporter

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// Epoch is one epoch of a service as it must be reported: its trees, and what they follow from.
type Epoch struct {
	Plan      report.Plan
	Facts     []score.Fact
	Evidence  []Witness // of each fact, for services that keep it off chain; nil for the others
	Accounts  *report.Tree[score.Account]
	Inputs    *report.Tree[report.Input]
	Previous  *report.Tree[score.Account] // of the statement that it builds on
	Statement report.Statement
	ID        [32]byte
}

// emptyTree stands before a service's first report.
func emptyTree() *report.Tree[score.Account] {
	tree, _ := report.Build[score.Account](nil) // cannot fail
	return tree
}

// compute makes an epoch with that many workers. It is core/report's Compute over ranges.
func compute(ctx context.Context, chainID string, p report.Plan, facts []score.Fact, evidence []Witness, previous *report.Tree[score.Account], previousID [32]byte, workers int) (*Epoch, error) {
	e := &Epoch{Plan: p, Facts: facts, Evidence: evidence, Previous: previous}
	before := previous.Leaves()
	ranges := report.Cut(facts, before, workers)
	points := make([]uint64, len(ranges))
	err := inParallel(ctx, workers, len(ranges), func(i int) (err error) {
		points[i], err = p.Points(facts[ranges[i].Facts[0]:ranges[i].Facts[1]])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("scoring epoch %d: %w", p.Epoch, err)
	}
	var total uint64
	for i, n := range points {
		var over bool
		if total, over = score.AddPoints(total, n); over {
			return nil, fmt.Errorf("scoring epoch %d, range %d: %w: the sum overflows", p.Epoch, i, report.ErrFacts)
		}
	}
	parts := make([][]score.Account, len(ranges))
	inputs := make([]report.Input, len(facts))
	err = inParallel(ctx, workers, len(ranges), func(i int) error {
		r := ranges[i]
		some, prev := facts[r.Facts[0]:r.Facts[1]], before[r.Previous[0]:r.Previous[1]]
		parts[i] = p.Accounts(make([]score.Account, 0, max(len(some), len(prev))), some, prev, total)
		var behind []Witness
		if evidence != nil {
			behind = evidence[r.Facts[0]:r.Facts[1]]
		}
		of, err := inputsOf(some, behind)
		copy(inputs[r.Facts[0]:], of)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("paying epoch %d: %w", p.Epoch, err)
	}
	accounts := make([]score.Account, 0, max(len(facts), len(before)))
	for _, part := range parts {
		accounts = append(accounts, part...)
	}
	if e.Accounts, err = build(ctx, accounts, workers); err != nil {
		return nil, fmt.Errorf("building the tree of epoch %d: %w", p.Epoch, err)
	}
	if e.Inputs, err = build(ctx, inputs, workers); err != nil {
		return nil, fmt.Errorf("building the inputs' tree of epoch %d: %w", p.Epoch, err)
	}
	e.Statement = report.Statement{
		ChainID: chainID, Service: p.Service, Epoch: p.Epoch, Rules: p.Rules,
		Inputs: e.Inputs.Root(), Output: e.Accounts.Root(), Previous: previousID,
	}
	e.ID = e.Statement.ID()
	return e, nil
}

// build is report.Build with that many workers.
func build[L report.Leaf](ctx context.Context, leaves []L, workers int) (*report.Tree[L], error) {
	chunks := make([]report.Chunk[L], (len(leaves)+report.ChunkLeaves-1)/report.ChunkLeaves)
	err := inParallel(ctx, workers, len(chunks), func(i int) (err error) {
		end := min((i+1)*report.ChunkLeaves, len(leaves))
		chunks[i], err = report.Hash(leaves[i*report.ChunkLeaves : end : end])
		return err
	})
	if err != nil {
		return nil, err
	}
	return report.Join(leaves, chunks)
}

// inParallel calls do for 0..n-1, that many at a time, until one fails.
func inParallel(ctx context.Context, workers, n int, do func(int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(workers, 1))
	for i := range n {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(i)
		})
	}
	return group.Wait()
}
