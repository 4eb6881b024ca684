package report

import (
	"runtime"
	"sync"
	"testing"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
)

// million gives a plan, the facts of n devices and the accounts of the epoch before.
func epoch(n int) (Plan, []score.Fact, []score.Account) {
	p := Plan{Service: score.Storage, Epoch: 9, Rules: score.RulesV1, Pools: score.Pools{
		Usage: price.Amount{Lo: 1 << 62}, Bootstrap: price.Amount{Lo: 1 << 63}, TotalBurned: price.Amount{Lo: 1 << 61},
		Terms: score.Terms{Usage: 900, Yield: 1 << 40, Share: 1000, Hold: [4]uint32{500, 250, 100, 0}, ReleaseEpochs: 4, Miss: 100, Fault: 1000},
	}}
	facts := make([]score.Fact, n)
	before := make([]score.Account, n)
	for i := range facts {
		d := uint64(i + 1)
		facts[i] = score.Fact{
			Device: d, Epoch: p.Epoch, Service: p.Service, Challenged: true, Passed: 1,
			Proved: uint64(i%1000+1) << 30, Leased: uint64(i%900+1) << 30, Burned: price.FromUint64(d * 1000),
			Bond: price.FromUint64(d * 1_000_000), Tier: uint32(i % 4), Need: score.MinNeed + uint32(i%2000),
		}
		if i%10 == 0 {
			facts[i].Passed = 0
		}
		before[i] = score.Account{Device: d, Epoch: p.Epoch - 1, Earned: price.FromUint64(d * 7), Paid: price.FromUint64(d * 5), Young: price.FromUint64(d)}
	}
	return p, facts, before
}

// BenchmarkEpoch is the whole epoch of a million devices on all cores, as the reporter runs it:
// facts to points to accounts to tree to root, and the input root.
func BenchmarkEpoch(b *testing.B) {
	p, facts, before := epoch(1_000_000)
	b.ResetTimer()
	for b.Loop() {
		tree, inputs, err := parallel(p, facts, before, runtime.GOMAXPROCS(0))
		if err != nil {
			b.Fatal(err)
		}
		if tree.Root().Leaves != 1_000_000 || inputs.Root().Leaves != 1_000_000 {
			b.Fatal(tree.Root(), inputs.Root())
		}
	}
	b.ReportAllocs()
}

// BenchmarkEpochOneCore is the same by Compute alone.
func BenchmarkEpochOneCore(b *testing.B) {
	p, facts, before := epoch(1_000_000)
	b.ResetTimer()
	for b.Loop() {
		if _, err := p.Compute(facts, before); err != nil {
			b.Fatal(err)
		}
		if _, err := InputTree(facts); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
}

func BenchmarkVerify(b *testing.B) {
	p, facts, before := epoch(1_000_000)
	tree, err := p.Compute(facts, before)
	if err != nil {
		b.Fatal(err)
	}
	proof, err := tree.Prove(777_777)
	if err != nil {
		b.Fatal(err)
	}
	part, err := tree.Part(777_777, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("proof", func(b *testing.B) {
		for b.Loop() {
			if err := proof.Verify(tree.Root()); err != nil {
				b.Fatal(err)
			}
		}
		encoded, _ := proof.MarshalBinary()
		b.ReportMetric(float64(len(encoded)), "bytes")
	})
	b.Run("part", func(b *testing.B) {
		for b.Loop() {
			if err := part.Verify(tree.Root(), 777_777, 0); err != nil {
				b.Fatal(err)
			}
		}
		encoded, _ := part.MarshalBinary()
		b.ReportMetric(float64(len(encoded)), "bytes")
	})
}

// parallel is Compute over ranges, with that many at the same time.
func parallel(p Plan, facts []score.Fact, previous []score.Account, n int) (*Tree[score.Account], *Tree[Input], error) {
	ranges := Cut(facts, previous, n)
	each := func(n int, do func(int) error) error {
		errs := make([]error, n)
		var wait sync.WaitGroup
		for i := range n {
			wait.Go(func() { errs[i] = do(i) })
		}
		wait.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
	points := make([]uint64, len(ranges))
	if err := each(len(ranges), func(i int) (err error) {
		points[i], err = p.Points(facts[ranges[i].Facts[0]:ranges[i].Facts[1]])
		return err
	}); err != nil {
		return nil, nil, err
	}
	total := uint64(0)
	for _, n := range points {
		total, _ = score.AddPoints(total, n)
	}
	accounts := make([][]score.Account, len(ranges))
	inputs := make([]Input, len(facts))
	if err := each(len(ranges), func(i int) error {
		r := ranges[i]
		accounts[i] = p.Accounts(nil, facts[r.Facts[0]:r.Facts[1]], previous[r.Previous[0]:r.Previous[1]], total)
		of, err := Inputs(facts[r.Facts[0]:r.Facts[1]])
		copy(inputs[r.Facts[0]:], of)
		return err
	}); err != nil {
		return nil, nil, err
	}
	var leaves []score.Account
	for _, a := range accounts {
		leaves = append(leaves, a...)
	}
	output, err := joined(leaves, each)
	if err != nil {
		return nil, nil, err
	}
	in, err := joined(inputs, each)
	return output, in, err
}

func joined[L Leaf](leaves []L, each func(int, func(int) error) error) (*Tree[L], error) {
	chunks := make([]Chunk[L], (len(leaves)+ChunkLeaves-1)/ChunkLeaves)
	if err := each(len(chunks), func(i int) (err error) {
		chunks[i], err = Hash(leaves[i*ChunkLeaves : min((i+1)*ChunkLeaves, len(leaves))])
		return err
	}); err != nil {
		return nil, err
	}
	return Join(leaves, chunks)
}
