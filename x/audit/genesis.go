package audit

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/internal/modkit"
)

// DefaultGenesis has no epoch yet: the first starts with the first block.
func DefaultGenesis() *auditv1.GenesisState {
	return &auditv1.GenesisState{Params: DefaultParams()}
}

// ValidateGenesis checks a genesis as far as it can be without a store.
func ValidateGenesis(g *auditv1.GenesisState) error {
	if err := validateParams(g.Params); err != nil {
		return err
	}
	if err := validateEpochs(g.Epochs); err != nil {
		return err
	}
	if err := validateContributors(g); err != nil {
		return err
	}
	return validateReports(g.Reports)
}

func validateEpochs(epochs []auditv1.Epoch) error {
	for i, e := range epochs {
		switch {
		case e.Number == 0:
			return errorsmod.Wrapf(ErrGenesis, "epochs[%d]: number 0: epochs start at 1", i)
		case i > 0 && e.Number != epochs[i-1].Number+1:
			return errorsmod.Wrapf(ErrGenesis, "epochs[%d]: number %d after %d", i, e.Number, epochs[i-1].Number)
		case i > 0 && e.StartHeight <= epochs[i-1].StartHeight:
			return errorsmod.Wrapf(ErrGenesis, "epochs[%d]: start_height %d after %d", i, e.StartHeight, epochs[i-1].StartHeight)
		case e.StartHeight < 1:
			return errorsmod.Wrapf(ErrGenesis, "epochs[%d]: start_height %d", i, e.StartHeight)
		case len(e.Beacon) != len(beacon.Value{}):
			return errorsmod.Wrapf(ErrGenesis, "epochs[%d]: beacon of %d bytes", i, len(e.Beacon))
		case e.PowerBps > wholeBps:
			return errorsmod.Wrapf(ErrGenesis, "epochs[%d]: power_bps %d", i, e.PowerBps)
		case e.Weak != (e.Outputs == 0):
			return errorsmod.Wrapf(ErrGenesis, "epochs[%d]: weak %t with %d outputs", i, e.Weak, e.Outputs)
		}
	}
	return nil
}

func validateContributors(g *auditv1.GenesisState) error {
	for i, key := range g.Keys {
		for field, point := range map[string][]byte{"key": key.Key, "next_key": key.NextKey} { //consensus:ok only the error's choice of field depends on it, and a genesis that has one starts no chain
			if len(point) == 0 {
				continue
			}
			if _, err := beacon.ParseKey(point); err != nil {
				return errorsmod.Wrapf(ErrGenesis, "keys[%d] of %s: %s: %s", i, modkit.Clip(key.Validator), field, err)
			}
		}
	}
	for i, output := range g.Outputs {
		if len(output.Output) != beacon.OutputSize {
			return errorsmod.Wrapf(ErrGenesis, "outputs[%d]: output of %d bytes: want %d", i, len(output.Output), beacon.OutputSize)
		}
		if output.Power < 0 {
			return errorsmod.Wrapf(ErrGenesis, "outputs[%d]: power %d", i, output.Power)
		}
	}
	if err := distinct("keys", g.Keys, func(k auditv1.BeaconKey) string { return k.Validator }); err != nil {
		return err
	}
	if err := distinct("outputs", g.Outputs, func(o auditv1.BeaconOutput) string { return o.Validator }); err != nil {
		return err
	}
	return distinct("records", g.Records, func(r auditv1.BeaconRecord) string { return r.Validator })
}

func distinct[T any](field string, all []T, validator func(T) string) error {
	seen := make(map[string]bool, len(all))
	for i, one := range all {
		name := validator(one)
		if seen[name] {
			return errorsmod.Wrapf(ErrGenesis, "%s[%d]: validator %q stands twice", field, i, modkit.Clip(name))
		}
		seen[name] = true
	}
	return nil
}

// InitGenesis writes a valid genesis into an empty store. Addresses are taken in any spelling.
func (k *Keeper) InitGenesis(ctx context.Context, g *auditv1.GenesisState) error {
	if err := k.params.Set(ctx, g.Params); err != nil {
		return errorsmod.Wrap(err, "writing params")
	}
	if err := k.initEpochs(ctx, g); err != nil {
		return err
	}
	for i, key := range g.Keys {
		var err error
		if _, key.Validator, err = k.parseValidator("validator", key.Validator); err != nil {
			return errorsmod.Wrapf(err, "keys[%d]", i)
		}
		if err := k.keys.Set(ctx, key.Validator, key); err != nil {
			return errorsmod.Wrapf(err, "writing the beacon key of %s", key.Validator)
		}
	}
	for i, output := range g.Outputs {
		var err error
		if _, output.Validator, err = k.parseValidator("validator", output.Validator); err != nil {
			return errorsmod.Wrapf(err, "outputs[%d]", i)
		}
		if err := k.outputs.Set(ctx, output.Validator, output); err != nil {
			return errorsmod.Wrapf(err, "writing the output of %s", output.Validator)
		}
	}
	for i, record := range g.Records {
		var err error
		if _, record.Validator, err = k.parseValidator("validator", record.Validator); err != nil {
			return errorsmod.Wrapf(err, "records[%d]", i)
		}
		if err := k.records.Set(ctx, record.Validator, record); err != nil {
			return errorsmod.Wrapf(err, "writing the record of %s", record.Validator)
		}
	}
	for _, failure := range g.HookFailures {
		if err := k.failures.Set(ctx, collections.Join(failure.Epoch, failure.Hook), failure); err != nil {
			return errorsmod.Wrapf(err, "writing the failure of %s", failure.Hook)
		}
	}
	return k.initReports(ctx, g.Reports)
}

// initEpochs writes the epochs of a genesis, or starts the first. Its beacon follows from the chain
// id and so is weak.
func (k *Keeper) initEpochs(ctx context.Context, g *auditv1.GenesisState) error {
	if len(g.Epochs) == 0 {
		value := k.source.Mix(round(ctx, auditv1.Epoch{}), nil)
		return k.begin(ctx, auditv1.Epoch{Number: 1, Beacon: value[:], Weak: true}, g.Params.Beacon)
	}
	for _, epoch := range g.Epochs {
		if err := k.epochs.Set(ctx, epoch.Number, epoch); err != nil {
			return errorsmod.Wrapf(err, "writing epoch %d", epoch.Number)
		}
	}
	return errorsmod.Wrap(k.current.Set(ctx, g.Epochs[len(g.Epochs)-1].Number), "writing the running epoch's number")
}

// ExportGenesis reads the whole state; InitGenesis of it restores the same state.
func (k *Keeper) ExportGenesis(ctx context.Context) (*auditv1.GenesisState, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return nil, err
	}
	g := &auditv1.GenesisState{Params: params}
	if g.Epochs, err = values(ctx, k.epochs); err != nil {
		return nil, errorsmod.Wrap(err, "reading epochs")
	}
	if g.Keys, err = values(ctx, k.keys); err != nil {
		return nil, errorsmod.Wrap(err, "reading beacon keys")
	}
	if g.Outputs, err = values(ctx, k.outputs); err != nil {
		return nil, errorsmod.Wrap(err, "reading outputs")
	}
	if g.Records, err = values(ctx, k.records); err != nil {
		return nil, errorsmod.Wrap(err, "reading records")
	}
	if g.HookFailures, err = values(ctx, k.failures); err != nil {
		return nil, errorsmod.Wrap(err, "reading hook failures")
	}
	g.Reports, err = k.exportReports(ctx)
	return g, err
}

// values reads a whole map, ascending by key.
func values[K, V any](ctx context.Context, from collections.Map[K, V]) (all []V, err error) {
	err = from.Walk(ctx, nil, func(_ K, v V) (bool, error) {
		all = append(all, v)
		return false, nil
	})
	return all, err
}
