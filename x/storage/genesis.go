package storage

import (
	"cmp"
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// DefaultGenesis has no anchors and no devices that committed to anything; the first audit gets id 1.
func DefaultGenesis() *storagev1.GenesisState {
	params := DefaultParams()
	return &storagev1.GenesisState{Params: params, Possession: storagev1.PossessionState{NextAudit: 1}}
}

// ValidateGenesis checks a genesis as far as it can be without a store. Anchors are held to the
// widest bound rather than to the params, which may have been lowered since they were made.
func ValidateGenesis(g *storagev1.GenesisState) error {
	if err := validateParams(g.Params); err != nil {
		return err
	}
	renters := make(map[string]bool, len(g.Snapshots))
	for i, s := range g.Snapshots {
		if renters[s.Renter] {
			return errorsmod.Wrapf(ErrGenesis, "snapshots[%d]: renter %q stands twice", i, modkit.Clip(s.Renter))
		}
		renters[s.Renter] = true
		if s.Version == 0 {
			return errorsmod.Wrapf(ErrGenesis, "snapshots[%d]: version 0: versions start at 1", i)
		}
		if err := checkSnapshot(s, storagev1.Params{MaxPointerBytes: mostPointerBytes}); err != nil {
			return errorsmod.Wrapf(err, "snapshots[%d]", i)
		}
	}
	return checkPossession(g.Possession)
}

// rising checks that a list is in the order of its keys, without repeats.
func rising[T any](list string, values []T, key func(T) [3]uint64) error {
	for i := 1; i < len(values); i++ {
		a, b := key(values[i-1]), key(values[i])
		if cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2], b[2])) >= 0 {
			return errorsmod.Wrapf(ErrGenesis, "possession.%s[%d]: key %v after %v: want rising keys", list, i, b, a)
		}
	}
	return nil
}

// checkPossession holds what possession leaves in a genesis to what messages can have made.
func checkPossession(p storagev1.PossessionState) error {
	if p.NextAudit == 0 {
		return errorsmod.Wrap(ErrGenesis, "possession.next_audit 0: ids start at 1")
	}
	for _, err := range []error{
		rising("commitments", p.Commitments, func(c storagev1.Commitment) [3]uint64 { return [3]uint64{c.Device, c.Since} }),
		rising("terms", p.Terms, func(t storagev1.Terms) [3]uint64 { return [3]uint64{t.Since} }),
		rising("proofs", p.Proofs, func(q storagev1.Proof) [3]uint64 { return [3]uint64{q.Device, q.Epoch} }),
		rising("faults", p.Faults, func(f storagev1.Fault) [3]uint64 { return [3]uint64{f.Device, uint64(f.Kind), f.Subject} }),
		rising("penalties", p.Penalties, func(q storagev1.Penalty) [3]uint64 { return [3]uint64{q.Device, q.Since} }),
		rising("standings", p.Standings, func(s storagev1.Standing) [3]uint64 { return [3]uint64{s.Device} }),
		rising("audits", p.Audits, func(a storagev1.Audit) [3]uint64 { return [3]uint64{a.Id} }),
	} {
		if err != nil {
			return err
		}
	}
	standings := make(map[uint64]storagev1.Standing, len(p.Standings))
	for _, s := range p.Standings {
		standings[s.Device] = s
	}
	for i, c := range p.Commitments {
		if err := checkCommitment(c); err != nil {
			return errorsmod.Wrapf(err, "possession.commitments[%d]", i)
		}
		if c.Version == 0 || c.Version > standings[c.Device].Version {
			return errorsmod.Wrapf(ErrGenesis, "possession.commitments[%d] has version %d, its device's standing says %d", i, c.Version, standings[c.Device].Version)
		}
	}
	for i, q := range p.Proofs {
		if q.Epoch > standings[q.Device].LastPassed || q.Bond.Amount.IsNil() {
			return errorsmod.Wrapf(ErrGenesis, "possession.proofs[%d] of epoch %d: the device's standing says %d", i, q.Epoch, standings[q.Device].LastPassed)
		}
	}
	for i, t := range p.Terms {
		if t.Interval == 0 || t.Positions == 0 || t.Positions > maxPositions || t.PeerOdds == 0 || t.FreshEpochs > maxFreshEpochs {
			return errorsmod.Wrapf(ErrGenesis, "possession.terms[%d]: %v", i, t)
		}
	}
	open, escalations := make(map[uint64]uint32), make(map[uint64]uint32)
	for i, a := range p.Audits {
		if a.Id == 0 || a.Id >= p.NextAudit || a.Deposit.Amount.IsNil() || a.Deposit.Validate() != nil {
			return errorsmod.Wrapf(ErrGenesis, "possession.audits[%d]: id %d, next is %d, deposit %v", i, a.Id, p.NextAudit, a.Deposit)
		}
		inclusion := a.Kind == storagev1.AuditKind_AUDIT_KIND_INCLUSION
		if !inclusion && a.Kind != storagev1.AuditKind_AUDIT_KIND_ESCALATION || inclusion && (len(a.Piece) != 32 || len(a.PieceRoot) != 32) {
			return errorsmod.Wrapf(ErrGenesis, "possession.audits[%d]: %s of piece %x", i, a.Kind, a.Piece)
		}
		open[a.Device]++
		if !inclusion {
			escalations[a.Device]++
		}
	}
	for i, s := range p.Standings {
		if open[s.Device] != s.OpenAudits || escalations[s.Device] != s.Escalations {
			return errorsmod.Wrapf(ErrGenesis, "possession.standings[%d]: device %d has %d open audits, %d of them escalations, its standing says %d and %d",
				i, s.Device, open[s.Device], escalations[s.Device], s.OpenAudits, s.Escalations)
		}
		delete(open, s.Device)
	}
	if len(open) > 0 {
		return errorsmod.Wrapf(ErrGenesis, "possession.audits: %d devices have no standing", len(open))
	}
	return nil
}

// InitGenesis writes a valid genesis into an empty store. Addresses are taken in any spelling.
func (k *Keeper) InitGenesis(ctx context.Context, g *storagev1.GenesisState) error {
	if err := k.params.Set(ctx, g.Params); err != nil {
		return errorsmod.Wrap(err, "writing params")
	}
	for i, s := range g.Snapshots {
		var err error
		if s.Renter, err = k.parseAccount("renter", s.Renter); err != nil {
			return errorsmod.Wrapf(err, "snapshots[%d]", i)
		}
		if err := k.snapshots.Set(ctx, s.Renter, s); err != nil {
			return errorsmod.Wrapf(err, "writing snapshot of %s", s.Renter)
		}
	}
	return k.initPossession(ctx, g.Possession, g.Params.Possession)
}

func (k *Keeper) initPossession(ctx context.Context, p storagev1.PossessionState, params storagev1.PossessionParams) error {
	if len(p.Terms) == 0 {
		p.Terms = []storagev1.Terms{termsOf(params)}
	}
	for i, t := range p.Terms {
		if err := k.terms.Set(ctx, t.Since, t); err != nil {
			return errorsmod.Wrap(err, "writing terms")
		}
		if i > 0 {
			if err := k.outdate(ctx, t.Since, oldTerms, 0, p.Terms[i-1].Since); err != nil {
				return err
			}
		}
	}
	for i, c := range p.Commitments {
		if err := k.commitments.Set(ctx, collections.Join(c.Device, c.Since), c); err != nil {
			return errorsmod.Wrapf(err, "writing commitment of device %d", c.Device)
		}
		if i > 0 && p.Commitments[i-1].Device == c.Device {
			if err := k.outdate(ctx, c.Since, oldCommitment, c.Device, p.Commitments[i-1].Since); err != nil {
				return err
			}
		}
	}
	for _, q := range p.Proofs {
		if err := k.proofs.Set(ctx, collections.Join(q.Device, q.Epoch), q); err != nil {
			return errorsmod.Wrapf(err, "writing proof of device %d", q.Device)
		}
		if err := k.outdate(ctx, q.Epoch, oldProof, q.Device, q.Epoch); err != nil {
			return err
		}
	}
	for _, f := range p.Faults {
		if err := k.faults.Set(ctx, collections.Join3(f.Device, int32(f.Kind), f.Subject), f); err != nil {
			return errorsmod.Wrapf(err, "writing fault of device %d", f.Device)
		}
		if err := k.outdate(ctx, f.RecordedIn, oldFault+int32(f.Kind), f.Device, f.Subject); err != nil {
			return err
		}
	}
	for i, q := range p.Penalties {
		if err := k.penalties.Set(ctx, collections.Join(q.Device, q.Since), q); err != nil {
			return errorsmod.Wrapf(err, "writing penalty of device %d", q.Device)
		}
		if i > 0 && p.Penalties[i-1].Device == q.Device {
			if err := k.outdate(ctx, q.Since, oldPenalty, q.Device, p.Penalties[i-1].Since); err != nil {
				return err
			}
		}
	}
	for _, s := range p.Standings {
		if err := k.standings.Set(ctx, s.Device, s); err != nil {
			return errorsmod.Wrapf(err, "writing standing of device %d", s.Device)
		}
	}
	for i, a := range p.Audits {
		opener, err := k.parse("opener", a.Opener)
		if err != nil {
			return errorsmod.Wrapf(err, "audits[%d]", i)
		}
		a.Opener = opener.text
		if err := k.audits.Set(ctx, a.Id, a); err != nil {
			return errorsmod.Wrapf(err, "writing audit %d", a.Id)
		}
	}
	return errorsmod.Wrap(k.nextAudit.Set(ctx, p.NextAudit), "writing next_audit")
}

// ExportGenesis reads the whole state; InitGenesis of it restores the same state.
func (k *Keeper) ExportGenesis(ctx context.Context) (*storagev1.GenesisState, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return nil, err
	}
	g := &storagev1.GenesisState{Params: params}
	p := &g.Possession
	if p.NextAudit, err = k.nextAudit.Peek(ctx); err != nil {
		return nil, errorsmod.Wrap(err, "reading next_audit")
	}
	for _, read := range []func() error{
		func() error { return all(ctx, k.snapshots, &g.Snapshots) },
		func() error { return all(ctx, k.commitments, &p.Commitments) },
		func() error { return all(ctx, k.terms, &p.Terms) },
		func() error { return all(ctx, k.proofs, &p.Proofs) },
		func() error { return all(ctx, k.faults, &p.Faults) },
		func() error { return all(ctx, k.penalties, &p.Penalties) },
		func() error { return all(ctx, k.standings, &p.Standings) },
		func() error { return all[uint64, storagev1.Audit](ctx, k.audits, &p.Audits) },
	} {
		if err := read(); err != nil {
			return nil, errorsmod.Wrap(err, "reading the state")
		}
	}
	return g, nil
}

// all appends the values of a map in the order of their keys.
func all[K, V any](ctx context.Context, m interface {
	Walk(context.Context, collections.Ranger[K], func(K, V) (bool, error)) error
}, values *[]V,
) error {
	return m.Walk(ctx, nil, func(_ K, v V) (bool, error) {
		*values = append(*values, v)
		return false, nil
	})
}
