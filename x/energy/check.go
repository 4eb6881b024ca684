package energy

import (
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/ocmf"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	maxConnectors  = 64
	maxShares      = 16
	maxWatts       = 100_000_000 // a hundred megawatts: ships
	maxSerialBytes = 64
	maxReason      = 280
)

// parseAccount reads the address in a field of a message: its bytes and canonical spelling.
func (k *Keeper) parseAccount(field, text string) (sdk.AccAddress, string, error) {
	raw, canonical, err := modkit.Account(k.addresses, text)
	if err != nil {
		return nil, "", errorsmod.Wrapf(ErrAddress, "%s: %s", field, err)
	}
	return raw, canonical, nil
}

// parseAmount reads an amount of money: present, not negative, below 2^128.
func parseAmount(field string, amount math.Int) (price.Amount, error) {
	if amount.IsNil() {
		return price.Amount{}, errorsmod.Wrapf(ErrAmount, "%s is not given", field)
	}
	a, err := price.FromBig(amount.BigIntMut())
	if err != nil {
		return price.Amount{}, errorsmod.Wrapf(ErrAmount, "%s: %s", field, err)
	}
	return a, nil
}

// parseCoin reads a positive amount of acairn, the only money that sessions are paid with.
func parseCoin(field string, coin sdk.Coin) (price.Amount, error) {
	if coin.Denom != price.Denom {
		return price.Amount{}, errorsmod.Wrapf(ErrAmount, "%s in %q: want %s", field, modkit.Clip(coin.Denom), price.Denom)
	}
	a, err := parseAmount(field, coin.Amount)
	if err == nil && a.IsZero() {
		err = errorsmod.Wrapf(ErrAmount, "%s is 0", field)
	}
	return a, err
}

// toInt is the same amount as the SDK's integer, toCoin as acairn.
func toInt(a price.Amount) math.Int  { return math.NewIntFromBigIntMut(a.Big()) }
func toCoin(a price.Amount) sdk.Coin { return sdk.Coin{Denom: price.Denom, Amount: toInt(a)} }

func zero() sdk.Coin { return sdk.Coin{Denom: price.Denom, Amount: math.ZeroInt()} }

// checkStation refuses stations that nobody can charge at. Accounts of shares are left spelled
// canonically.
func (k *Keeper) checkStation(s *energyv1.Station) error {
	if n := len(s.Connectors); n == 0 || n > maxConnectors {
		return errorsmod.Wrapf(ErrField, "connectors: %d, want 1 to %d", n, maxConnectors)
	}
	for i, c := range s.Connectors {
		if c.Id == 0 || i > 0 && s.Connectors[i-1].Id >= c.Id {
			return errorsmod.Wrapf(ErrField, "connectors[%d].id %d: want ascending numbers from 1", i, c.Id)
		}
		if c.MaxWatts < 1 || c.MaxWatts > maxWatts {
			return errorsmod.Wrapf(ErrField, "connectors[%d].max_watts %d: want 1 to %d", i, c.MaxWatts, maxWatts)
		}
		if c.Meter == nil {
			continue
		}
		if n := len(c.Meter.Serial); n == 0 || n > maxSerialBytes {
			return errorsmod.Wrapf(ErrField, "connectors[%d].meter.serial has %d bytes, want 1 to %d", i, n, maxSerialBytes)
		}
		if _, err := ocmf.KeyFromBytes(c.Meter.Key); err != nil {
			return errorsmod.Wrapf(ErrField, "connectors[%d].meter.key: %s", i, err)
		}
	}
	return k.checkShares(s.Shares)
}

func (k *Keeper) checkShares(shares []energyv1.Share) error {
	if n := len(shares); n == 0 || n > maxShares {
		return errorsmod.Wrapf(ErrField, "shares: %d, want 1 to %d", n, maxShares)
	}
	sum := uint64(0)
	for i := range shares {
		var err error
		if _, shares[i].Account, err = k.parseAccount("shares.account", shares[i].Account); err != nil {
			return err
		}
		if shares[i].Bps == 0 || shares[i].Bps > wholeBps {
			return errorsmod.Wrapf(ErrField, "shares[%d].bps %d: want 1 to %d", i, shares[i].Bps, wholeBps)
		}
		sum += uint64(shares[i].Bps)
	}
	if sum != wholeBps {
		return errorsmod.Wrapf(ErrField, "shares sum to %d basis points, want %d", sum, wholeBps)
	}
	return nil
}

// connector finds a connector of a station.
func connector(s energyv1.Station, id uint32) (energyv1.Connector, error) {
	for _, c := range s.Connectors {
		if c.Id == id {
			return c, nil
		}
	}
	return energyv1.Connector{}, errorsmod.Wrapf(ErrField, "connector %d: station %d has none of that number", id, s.Device)
}

// weak says whether records of a meter prove little: there is none that signs, or its curve is broken
// cheaply.
func weak(m *energyv1.StationMeter) bool {
	if m == nil {
		return true
	}
	key, err := ocmf.KeyFromBytes(m.Key)
	return err != nil || key.Curve().Weak()
}

// checkPart refuses a part of an amount that is not 0 to all of it.
func checkPart(part, whole math.Int) error {
	if _, err := parseAmount("part", part); err != nil {
		return err
	}
	if part.GT(whole) {
		return errorsmod.Wrapf(ErrAmount, "%s of %s", part, whole)
	}
	return nil
}
