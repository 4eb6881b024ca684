package market

import (
	"crypto/ed25519"
	"slices"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	maxResourceBytes = 32
	maxTermsBytes    = 1 << 10
	maxRegions       = 64
	maxTier          = 3
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

// parsePositive reads an amount of money that may not be zero.
func parsePositive(field string, amount math.Int) (price.Amount, error) {
	a, err := parseAmount(field, amount)
	if err == nil && a.IsZero() {
		err = errorsmod.Wrapf(ErrAmount, "%s is 0", field)
	}
	return a, err
}

// toInt is the same amount as the SDK's integer.
func toInt(a price.Amount) math.Int { return math.NewIntFromBigIntMut(a.Big()) }

// parsePrice reads an exact price.
func parsePrice(field string, p marketv1.Price) (price.Rate, error) {
	amount, err := parseAmount(field+".amount", p.Amount)
	if err != nil {
		return price.Rate{}, err
	}
	if p.Per == 0 {
		return price.Rate{}, errorsmod.Wrapf(ErrPrice, "%s.per is 0: want at least 1", field)
	}
	return price.Rate{Amount: amount, Per: p.Per}, nil
}

// toPrice is the same price as a message.
func toPrice(r price.Rate) marketv1.Price {
	return marketv1.Price{Amount: toInt(r.Amount), Per: r.Per}
}

// checkResource checks the name of what is sold: lower-case words joined by hyphens.
func checkResource(resource string) error {
	if len(resource) == 0 || len(resource) > maxResourceBytes {
		return errorsmod.Wrapf(ErrField, "resource of %d bytes: want 1 to %d", len(resource), maxResourceBytes)
	}
	for i := range len(resource) {
		c := resource[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return errorsmod.Wrapf(ErrField, "resource %q: want lower-case letters, digits and hyphens", resource)
		}
	}
	return nil
}

// checkDenom checks that a denomination may pay.
func checkDenom(denom string, params marketv1.Params) error {
	if !slices.Contains(params.Denoms, denom) {
		return errorsmod.Wrapf(ErrDenom, "denom %q: want one of %v", modkit.Clip(denom), params.Denoms)
	}
	return nil
}

// checkSessionKey checks that a key has the form of an Ed25519 public key. A key that is no point
// of the curve signs nothing, to its consumer's loss alone.
func checkSessionKey(key []byte) error {
	if len(key) != ed25519.PublicKeySize {
		return errorsmod.Wrapf(ErrSessionKey, "session_key of %d bytes: want %d", len(key), ed25519.PublicKeySize)
	}
	return nil
}

// checkSeconds checks a length of time.
func checkSeconds(field string, seconds, least, most int64) error {
	if seconds < least || seconds > most {
		return errorsmod.Wrapf(ErrDuration, "%s %d: want %d to %d", field, seconds, least, most)
	}
	return nil
}

// checkDistinct checks that no device is named twice.
func checkDistinct(field string, devices []uint64) error {
	seen := make(map[uint64]struct{}, len(devices))
	for i, device := range devices {
		if _, twice := seen[device]; twice {
			return errorsmod.Wrapf(ErrDuplicate, "%s[%d]: device %d", field, i, device)
		}
		seen[device] = struct{}{}
	}
	return nil
}
