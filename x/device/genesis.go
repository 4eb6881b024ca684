package device

import (
	"context"
	"slices"

	errorsmod "cosmossdk.io/errors"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// DefaultGenesis is a registry without devices; the first gets id 1.
func DefaultGenesis() *devicev1.GenesisState {
	return &devicev1.GenesisState{Params: DefaultParams(), NextId: 1}
}

// ValidateGenesis checks a genesis as far as it can be without a store. Whether the module's
// account holds the money is INV-DEPOSIT's to say.
func ValidateGenesis(g *devicev1.GenesisState) error {
	if err := validateParams(g.Params); err != nil {
		return err
	}
	if g.NextId == 0 {
		return errorsmod.Wrap(ErrGenesis, "next_id 0: ids start at 1")
	}
	keys := make(map[string]uint64, len(g.Devices))
	var last uint64
	for i, d := range g.Devices {
		if d.Id <= last || d.Id >= g.NextId {
			return errorsmod.Wrapf(ErrGenesis, "devices[%d] has id %d: want above %d and below next_id %d", i, d.Id, last, g.NextId)
		}
		last = d.Id
		if other, taken := keys[string(d.Pubkey.Key)]; taken {
			return errorsmod.Wrapf(ErrKeyTaken, "devices %d and %d: pubkey %x", other, d.Id, d.Pubkey.Key)
		}
		keys[string(d.Pubkey.Key)] = d.Id
		if err := checkStored(d); err != nil {
			return errorsmod.Wrapf(err, "device %d", d.Id)
		}
	}
	owners := make(map[string]bool, len(g.Nonces))
	for i, n := range g.Nonces {
		if owners[n.Owner] {
			return errorsmod.Wrapf(ErrGenesis, "nonces[%d]: %q stands twice", i, modkit.Clip(n.Owner))
		}
		owners[n.Owner] = true
	}
	return nil
}

// checkStored checks what must hold of any device in the store, whatever the params are now.
func checkStored(d devicev1.Device) error {
	if _, known := devicev1.DeviceState_name[int32(d.State)]; !known || d.State == devicev1.DeviceState_DEVICE_STATE_UNSPECIFIED {
		return errorsmod.Wrapf(ErrGenesis, "state %d is none", d.State)
	}
	if d.Owner == "" || d.Operator == "" {
		return errorsmod.Wrapf(ErrGenesis, "owner %q, operator %q: both must be set", d.Owner, d.Operator)
	}
	if err := checkAmount(d.Deposit.Amount); err != nil {
		return errorsmod.Wrapf(ErrGenesis, "deposit: %s", err)
	}
	if err := checkAmount(d.Bond.Amount); err != nil {
		return errorsmod.Wrapf(ErrGenesis, "bond: %s", err)
	}
	return checkSelf(d)
}

// InitGenesis writes a valid genesis into an empty store. Addresses are taken in any spelling.
func (k *Keeper) InitGenesis(ctx context.Context, g *devicev1.GenesisState) error {
	if err := k.params.Set(ctx, g.Params); err != nil {
		return errorsmod.Wrap(err, "writing params")
	}
	if err := k.nextID.Set(ctx, g.NextId); err != nil {
		return errorsmod.Wrap(err, "writing next_id")
	}
	for _, d := range g.Devices {
		var err error
		if _, d.Owner, err = k.parseAccount("owner", d.Owner); err != nil {
			return errorsmod.Wrapf(err, "device %d", d.Id)
		}
		if _, d.Operator, err = k.parseAccount("operator", d.Operator); err != nil {
			return errorsmod.Wrapf(err, "device %d", d.Id)
		}
		if d.PendingOwner, err = k.parseOr("pending_owner", d.PendingOwner, ""); err != nil {
			return errorsmod.Wrapf(err, "device %d", d.Id)
		}
		if err := k.devices.Set(ctx, d.Id, d); err != nil {
			return errorsmod.Wrapf(err, "writing device %d", d.Id)
		}
		if d.State == devicev1.DeviceState_DEVICE_STATE_RETIRED {
			continue
		}
		held, err := k.held(ctx, d.Owner)
		if err != nil {
			return err
		}
		if err := k.hold(ctx, d.Owner, held+1); err != nil {
			return err
		}
	}
	for _, n := range g.Nonces {
		_, owner, err := k.parseAccount("owner", n.Owner)
		if err != nil {
			return errorsmod.Wrap(err, "nonces")
		}
		if err := k.nonces.Set(ctx, owner, n.Nonce); err != nil {
			return errorsmod.Wrapf(err, "writing nonce of %s", owner)
		}
	}
	return nil
}

// ExportGenesis reads the whole state; InitGenesis of it restores the same state.
func (k *Keeper) ExportGenesis(ctx context.Context) (*devicev1.GenesisState, error) {
	g := &devicev1.GenesisState{}
	var err error
	if g.Params, err = k.Params(ctx); err != nil {
		return nil, err
	}
	if g.NextId, err = k.nextID.Peek(ctx); err != nil {
		return nil, errorsmod.Wrap(err, "reading next_id")
	}
	err = k.devices.Walk(ctx, nil, func(_ uint64, d devicev1.Device) (bool, error) {
		g.Devices = append(g.Devices, d)
		return false, nil
	})
	if err != nil {
		return nil, errorsmod.Wrap(err, "reading devices")
	}
	err = k.nonces.Walk(ctx, nil, func(owner string, nonce uint64) (bool, error) {
		g.Nonces = append(g.Nonces, devicev1.OwnerNonce{Owner: owner, Nonce: nonce})
		return false, nil
	})
	return g, errorsmod.Wrap(err, "reading nonces")
}

// checkDevice checks what a new device says about itself against the params in force.
func checkDevice(d devicev1.Device, params devicev1.Params) error {
	if !slices.Contains(params.Kinds, d.Kind) {
		return errorsmod.Wrapf(ErrKind, "kind %q: want one of %v", modkit.Clip(d.Kind), params.Kinds)
	}
	return checkSelf(d)
}

// checkSelf checks what a device says about itself where no param has a say.
func checkSelf(d devicev1.Device) error {
	if err := checkKey(d.Pubkey); err != nil {
		return err
	}
	if err := checkModel(d.Model); err != nil {
		return err
	}
	if err := checkPlace(d.Cell, d.Elevation, d.Region); err != nil {
		return err
	}
	return checkEndpoint(d.Endpoint)
}
