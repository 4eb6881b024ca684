package energy

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/tariff"
)

// setStation puts a station on offer or changes it, and gives it as it stands now.
func (k *Keeper) setStation(ctx context.Context, s energyv1.Station) (energyv1.Station, error) {
	if err := k.checkStation(&s); err != nil {
		return s, err
	}
	if _, err := k.tariff(ctx, s.Tariff); err != nil {
		return s, err
	}
	before, err := k.stations.Get(ctx, s.Device)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return s, errorsmod.Wrapf(err, "reading station %d", s.Device)
	}
	s.Version = before.Version + 1
	s.OpenSessions, s.Sessions, s.Energy = before.OpenSessions, before.Sessions, before.Energy
	return s, errorsmod.Wrapf(k.stations.Set(ctx, s.Device, s), "writing station %d", s.Device)
}

// selling gives a station's device if it may take on sessions.
func (k *Keeper) selling(ctx context.Context, device uint64) error {
	d, err := k.devices.Active(ctx, device)
	if err != nil {
		return err
	}
	if d.Kind != Charger {
		return errorsmod.Wrapf(ErrKind, "device %d is a %s, want a %s", device, d.Kind, Charger)
	}
	params, err := k.Params(ctx)
	if err != nil {
		return err
	}
	if least := params.Charging.StationBond; least.IsPositive() && (d.Bond.Denom != price.Denom || d.Bond.Amount.LT(least)) {
		return errorsmod.Wrapf(ErrBond, "device %d has %s, want %s%s", device, d.Bond, least, price.Denom)
	}
	return k.devices.Permitted(ctx, device, Resource)
}

// parseTariff reads a tariff that sessions can be paid by.
func parseTariff(document []byte) (tariff.Tariff, error) {
	t, err := tariff.ParseJSON(document)
	if err != nil {
		return t, errorsmod.Wrapf(ErrTariff, "document: %s", err)
	}
	if t.Currency != price.Display {
		return t, errorsmod.Wrapf(ErrTariff, "currency %q: want %s", t.Currency, price.Display)
	}
	return t, nil
}

// publish keeps a tariff for ever under a new number.
func (k *Keeper) publish(ctx context.Context, publisher string, document []byte) (energyv1.Tariff, error) {
	if len(document) > tariff.MaxJSON {
		return energyv1.Tariff{}, errorsmod.Wrapf(ErrTariff, "document has %d bytes, want at most %d", len(document), tariff.MaxJSON)
	}
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(gasTariffByte*uint64(len(document)), "energy tariff")
	parsed, err := parseTariff(document)
	if err != nil {
		return energyv1.Tariff{}, err
	}
	hash := parsed.Hash()
	t := energyv1.Tariff{Publisher: publisher, Document: document, Hash: hash[:]}
	if t.Id, err = k.nextTariff.Next(ctx); err != nil {
		return t, errorsmod.Wrap(err, "numbering tariff")
	}
	return t, errorsmod.Wrapf(k.tariffs.Set(ctx, t.Id, t), "writing tariff %d", t.Id)
}

// pay shares out what a station earned.
func (k *Keeper) pay(ctx context.Context, s energyv1.Session, earned math.Int) error {
	whole, err := parseAmount("earned", earned)
	if err != nil {
		return err
	}
	parts := make([]tariff.BasisPoints, len(s.Shares))
	for i, share := range s.Shares {
		parts[i] = tariff.BasisPoints(share.Bps)
	}
	amounts, err := tariff.Split(whole, parts)
	if err != nil {
		return errorsmod.Wrapf(ErrField, "shares of session %d: %s", s.Id, err)
	}
	for i, amount := range amounts {
		to, _, err := k.parseAccount("shares.account", s.Shares[i].Account)
		if err != nil {
			return err
		}
		if err := k.send(ctx, to, toCoin(amount)); err != nil {
			return errorsmod.Wrapf(err, "paying %s to %s", toCoin(amount), s.Shares[i].Account)
		}
	}
	return nil
}

// send pays out of the module's account; nothing for zero.
func (k *Keeper) send(ctx context.Context, to sdk.AccAddress, amount sdk.Coin) error {
	if !amount.IsPositive() {
		return nil
	}
	return k.bank.SendCoinsFromModuleToAccount(ctx, ModuleName, to, sdk.NewCoins(amount))
}

// take locks money in the module's account; nothing for zero.
func (k *Keeper) take(ctx context.Context, from sdk.AccAddress, amount sdk.Coin) error {
	if !amount.IsPositive() {
		return nil
	}
	return k.bank.SendCoinsFromAccountToModule(ctx, from, ModuleName, sdk.NewCoins(amount))
}
