package storage

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// Invariants are the properties of the state that always hold.
func (k *Keeper) Invariants() []modkit.Invariant {
	return []modkit.Invariant{
		{Name: "INV-ANCHOR", Check: k.checkAnchors},
		{Name: "INV-COMMITMENT", Check: k.checkState},
		{Name: "INV-PROOF", Check: k.checkProofs},
		{Name: "INV-FAULT", Check: k.checkFaults},
		{Name: "INV-AUDIT-DEPOSIT", Check: k.checkDeposits},
		{Name: "INV-QUEUE", Check: k.checkQueue},
	}
}

// checkAnchors: INV-ANCHOR: every anchor stands under its renter's canonical address, is well
// formed, and has a version of at least 1.
func (k *Keeper) checkAnchors(ctx context.Context) error {
	return k.snapshots.Walk(ctx, nil, func(renter string, s storagev1.Snapshot) (bool, error) {
		canonical, err := k.parseAccount("renter", s.Renter)
		if err != nil {
			return true, err
		}
		if s.Renter != renter || canonical != renter {
			return true, fmt.Errorf("anchor of %s stands under %s", s.Renter, renter)
		}
		if s.Version == 0 {
			return true, fmt.Errorf("anchor of %s has version 0", renter)
		}
		return false, checkSnapshot(s, storagev1.Params{MaxPointerBytes: mostPointerBytes})
	})
}

// checkState: INV-COMMITMENT: what a genesis of this state is held to: commitments are well formed,
// none is newer than its device's standing says, none begins later than the next epoch, and audits
// and standings agree.
func (k *Keeper) checkState(ctx context.Context) error {
	g, err := k.ExportGenesis(ctx)
	if err != nil {
		return err
	}
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return err
	}
	for _, c := range g.Possession.Commitments {
		if c.Since > current.Number+1 {
			return fmt.Errorf("commitment of device %d begins with epoch %d, %d is running", c.Device, c.Since, current.Number)
		}
	}
	return checkPossession(g.Possession)
}

// checkProofs: INV-PROOF: every passed challenge is of an epoch that has begun, of a device that was
// due in it by the commitment then in force, and covers what that commitment says.
func (k *Keeper) checkProofs(ctx context.Context) error {
	return k.proofs.Walk(ctx, nil, func(key rowKey, p storagev1.Proof) (bool, error) {
		c, err := k.InForce(ctx, p.Device, p.Epoch)
		if err != nil {
			return true, err
		}
		if p.Device != key.K1() || p.Epoch != key.K2() || p.Proved != bytesOf(c.Total) || counted(p) > p.Leased {
			return true, fmt.Errorf("proof of device %d in epoch %d covers %d bytes, the tree held %d", p.Device, p.Epoch, p.Proved, bytesOf(c.Total))
		}
		return false, nil
	})
}

// checkFaults: INV-FAULT: a fault stands under what it is about, so that it is punished once; no
// missed challenge has a proof.
func (k *Keeper) checkFaults(ctx context.Context) error {
	return k.faults.Walk(ctx, nil, func(key faultKey, f storagev1.Fault) (bool, error) {
		if f.Device != key.K1() || int32(f.Kind) != key.K2() || f.Subject != key.K3() {
			return true, fmt.Errorf("fault of device %d, kind %d, subject %d stands under %v", f.Device, f.Kind, f.Subject, key)
		}
		if f.Bounty.Amount.GT(f.Slashed.Amount) {
			return true, fmt.Errorf("fault of device %d: bounty %s of %s", f.Device, f.Bounty, f.Slashed)
		}
		if f.Kind != storagev1.FaultKind_FAULT_KIND_CHALLENGE {
			return false, nil
		}
		proved, err := k.proofs.Has(ctx, collections.Join(f.Device, f.Subject))
		if err == nil && proved {
			err = fmt.Errorf("device %d is at fault for epoch %d, whose challenge it passed", f.Device, f.Subject)
		}
		return err != nil, err
	})
}

// checkDeposits: INV-AUDIT-DEPOSIT: the deposits of open audits add up to no more than the module
// account holds.
func (k *Keeper) checkDeposits(ctx context.Context) error {
	owed := sdk.NewCoins()
	err := k.audits.Walk(ctx, nil, func(_ uint64, a storagev1.Audit) (bool, error) {
		owed = owed.Add(a.Deposit)
		return false, nil
	})
	if err != nil {
		return err
	}
	for _, coin := range owed {
		if has := k.bank.GetBalance(ctx, k.account, coin.Denom); has.Amount.LT(coin.Amount) {
			return fmt.Errorf("open audits hold %s, the module account %s", coin, has)
		}
	}
	return nil
}

// checkQueue: INV-QUEUE: what will be forgotten is there, and everything that ages is in the queue.
func (k *Keeper) checkQueue(ctx context.Context) error {
	var waiting, rows int
	err := k.old.Walk(ctx, nil, func(key oldKey) (bool, error) {
		waiting++
		at := collections.Join(key.K3(), key.K4())
		var there bool
		var err error
		switch kind := key.K2(); kind {
		case oldCommitment:
			there, err = k.commitments.Has(ctx, at)
		case oldTerms:
			there, err = k.terms.Has(ctx, key.K4())
		case oldProof:
			there, err = k.proofs.Has(ctx, at)
		case oldPenalty:
			there, err = k.penalties.Has(ctx, at)
		default:
			there, err = k.faults.Has(ctx, collections.Join3(key.K3(), kind-oldFault, key.K4()))
		}
		if err == nil && !there {
			err = fmt.Errorf("row %v waits to be forgotten and is not there", key)
		}
		return err != nil, err
	})
	if err != nil {
		return err
	}
	// Of what holds until replaced, the last one of each device does not age.
	lasting := make(map[string]map[uint64]bool)
	count := func(kind string, device uint64) {
		if lasting[kind] == nil {
			lasting[kind] = make(map[uint64]bool)
		}
		rows++
		lasting[kind][device] = true
	}
	g, err := k.ExportGenesis(ctx)
	if err != nil {
		return err
	}
	p := g.Possession
	for _, c := range p.Commitments {
		count("commitment", c.Device)
	}
	for _, q := range p.Penalties {
		count("penalty", q.Device)
	}
	for range p.Terms {
		count("terms", 0)
	}
	rows += len(p.Proofs) + len(p.Faults)
	if aging := rows - len(lasting["commitment"]) - len(lasting["penalty"]) - len(lasting["terms"]); aging != waiting {
		return fmt.Errorf("%d rows age, %d wait to be forgotten", aging, waiting)
	}
	return nil
}
