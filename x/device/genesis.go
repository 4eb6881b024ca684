package device

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cosmossdk.io/collections"
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
	return validateStanding(g)
}

// validateStanding checks what a genesis says about the standing of devices: trust, attestations,
// revocations, credentials, rules and bans.
func validateStanding(g *devicev1.GenesisState) error {
	seen := make(map[string]bool)
	once := func(format string, args ...any) error {
		key := fmt.Sprintf(format, args...)
		if seen[key] {
			return errorsmod.Wrapf(ErrGenesis, "%s stands twice", modkit.Clip(key))
		}
		seen[key] = true
		return nil
	}
	for i, a := range g.Trust {
		f, err := fingerprint(a)
		if err == nil {
			err = once("trust %s %x", a.Use, f)
		}
		if err != nil {
			return errorsmod.Wrapf(err, "trust[%d]", i)
		}
	}
	for i, a := range g.Attestations {
		if a.Tier != tierOf[a.Kind] || a.Tier == 0 || a.Device == 0 || a.Device >= g.NextId {
			return errorsmod.Wrapf(ErrGenesis, "attestations[%d] of device %d: kind %s, tier %d", i, a.Device, a.Kind, a.Tier)
		}
		if err := once("attestation %s of device %d", a.Kind, a.Device); err != nil {
			return err
		}
	}
	for i, r := range g.Revocations {
		err := checkHash("anchor", r.Anchor)
		if err == nil {
			err = once("revocation %x", r.Anchor)
		}
		if err != nil {
			return errorsmod.Wrapf(err, "revocations[%d]", i)
		}
	}
	for i, c := range g.Credentials {
		err := checkCredential(c)
		if err == nil {
			err = once("credential %s of %q, device %d", c.Kind, c.Owner, c.Device)
		}
		if err != nil {
			return errorsmod.Wrapf(err, "credentials[%d]", i)
		}
	}
	for i, r := range g.Rules {
		err := checkRule(r)
		if err == nil {
			err = once("rule for %s in %q", r.Resource, r.Region)
		}
		if err != nil {
			return errorsmod.Wrapf(err, "rules[%d]", i)
		}
	}
	for i, b := range g.Bans {
		err := checkBan(b)
		if err == nil {
			err = once("ban of device %d", b.Device)
		}
		if err != nil {
			return errorsmod.Wrapf(err, "bans[%d]", i)
		}
	}
	return nil
}

// checkBan checks what must hold of any ban in the store.
func checkBan(b devicev1.Ban) error {
	if _, known := devicev1.BanState_name[int32(b.State)]; !known || b.State == devicev1.BanState_BAN_STATE_UNSPECIFIED {
		return errorsmod.Wrapf(ErrGenesis, "ban of device %d: state %d is none", b.Device, b.State)
	}
	if b.Appeal == nil {
		if b.State == devicev1.BanState_BAN_STATE_APPEALED || b.State == devicev1.BanState_BAN_STATE_LAPSED {
			return errorsmod.Wrapf(ErrGenesis, "ban of device %d is %s without an appeal", b.Device, b.State)
		}
		return nil
	}
	if err := checkAmount(b.Appeal.Deposit.Amount); err != nil {
		return errorsmod.Wrapf(ErrGenesis, "ban of device %d: deposit: %s", b.Device, err)
	}
	if b.State != devicev1.BanState_BAN_STATE_APPEALED && b.Appeal.Deposit.IsPositive() {
		return errorsmod.Wrapf(ErrGenesis, "ban of device %d is %s and holds %s", b.Device, b.State, b.Appeal.Deposit)
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
	return k.initStanding(ctx, g)
}

func (k *Keeper) initStanding(ctx context.Context, g *devicev1.GenesisState) error {
	for _, a := range g.Trust {
		if err := k.trustIn(ctx, a); err != nil {
			return err
		}
	}
	for _, a := range g.Attestations {
		var err error
		if _, a.Owner, err = k.parseAccount("owner", a.Owner); err != nil {
			return errorsmod.Wrapf(err, "attestation of device %d", a.Device)
		}
		if err := k.attestations.Set(ctx, collections.Join(a.Device, int32(a.Kind)), a); err != nil {
			return errorsmod.Wrapf(err, "writing attestation of device %d", a.Device)
		}
	}
	for _, r := range g.Revocations {
		if err := k.revocations.Set(ctx, r.Anchor, r); err != nil {
			return errorsmod.Wrap(err, "writing a revocation")
		}
	}
	for _, c := range g.Credentials {
		var err error
		if _, c.Owner, err = k.parseAccount("owner", c.Owner); err != nil {
			return errorsmod.Wrapf(err, "credential %s", c.Kind)
		}
		if err := k.credentials.Set(ctx, collections.Join3(c.Owner, c.Device, c.Kind), c); err != nil {
			return errorsmod.Wrapf(err, "writing credential %s", c.Kind)
		}
	}
	for _, r := range g.Rules {
		if err := k.rules.Set(ctx, collections.Join(r.Region, r.Resource), r); err != nil {
			return errorsmod.Wrap(err, "writing a rule")
		}
	}
	for _, b := range g.Bans {
		if b.Appeal != nil {
			var err error
			if _, b.Appeal.Owner, err = k.parseAccount("owner", b.Appeal.Owner); err != nil {
				return errorsmod.Wrapf(err, "ban of device %d", b.Device)
			}
		}
		if err := k.bans.Set(ctx, b.Device, b); err != nil {
			return errorsmod.Wrapf(err, "writing ban of device %d", b.Device)
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
	if err != nil {
		return nil, errorsmod.Wrap(err, "reading nonces")
	}
	return g, errors.Join(
		gather(ctx, k.trust, &g.Trust),
		gather(ctx, k.attestations, &g.Attestations),
		gather(ctx, k.revocations, &g.Revocations),
		gather(ctx, k.credentials, &g.Credentials),
		gather(ctx, k.rules, &g.Rules),
		gather(ctx, k.bans, &g.Bans),
	)
}

// gather appends all values of a map, in the order of their keys.
func gather[K, V any](ctx context.Context, m interface {
	Walk(context.Context, collections.Ranger[K], func(K, V) (bool, error)) error
}, into *[]V,
) error {
	return m.Walk(ctx, nil, func(_ K, v V) (bool, error) {
		*into = append(*into, v)
		return false, nil
	})
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
