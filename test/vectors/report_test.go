package vectors

import (
	"testing"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

func reports(t *testing.T) file {
	f := file{About: "core/report: account i of n has device 10(i+1), epoch 7, 100(i%5) points, reason i%3, earned 1000003 times and paid 7 times its device, young its device, old 3; input i commits to pattern(i)."}
	for _, n := range []int{1, 2, 3, 5, 8, 100} {
		accounts := make([]score.Account, n)
		inputs := make([]report.Input, n)
		for i := range n {
			d := uint64(i+1) * 10
			accounts[i] = score.Account{
				Device: d, Epoch: 7, Points: uint64(i%5) * 100, Reason: score.Reason(i % 3),
				Earned: price.FromUint64(d * 1_000_003), Paid: price.FromUint64(d * 7), Young: price.FromUint64(d), Old: price.FromUint64(3),
			}
			inputs[i] = report.Digest(d, pattern(i))
		}
		tree, err := report.Build(accounts)
		if err != nil {
			t.Fatal(err)
		}
		in, err := report.Build(inputs)
		if err != nil {
			t.Fatal(err)
		}
		root := tree.Root()
		f.Cases = append(f.Cases, of("leaves", n, "root", marshal(t, root), "input_root", marshal(t, in.Root())))
		s := report.Statement{ChainID: "cairn-1", Service: score.Storage, Epoch: 7, Rules: score.RulesV1, Inputs: in.Root(), Output: root, Previous: [32]byte{1}}
		id := s.ID()
		f.Cases = append(f.Cases, of("leaves", n, "statement", id))
		for _, i := range unique(0, n/2, n-1) {
			proof, err := tree.Prove(i)
			if err != nil {
				t.Fatal(err)
			}
			absent, err := tree.ProveAbsent(accounts[i].Device + 5)
			if err != nil {
				t.Fatal(err)
			}
			f.Cases = append(f.Cases, of("leaves", n, "leaf", i, "proof", marshal(t, proof)),
				of("leaves", n, "absent", int(accounts[i].Device)+5, "proof", marshal(t, absent)))
		}
	}
	return f
}
