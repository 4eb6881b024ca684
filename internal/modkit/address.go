package modkit

import (
	"fmt"

	"cosmossdk.io/core/address"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// Account reads an address as people and contracts write it (cairn1... or 0x..., whatever the
// codec accepts) and gives its bytes and its one canonical spelling. State and comparisons use
// the canonical spelling only.
func Account(codec address.Codec, text string) (sdk.AccAddress, string, error) {
	raw, err := codec.StringToBytes(text)
	if err != nil {
		return nil, "", fmt.Errorf("reading address %q: %w", Clip(text), err)
	}
	canonical, err := codec.BytesToString(raw)
	if err != nil {
		return nil, "", fmt.Errorf("spelling address %q: %w", Clip(text), err)
	}
	return raw, canonical, nil
}

// Clip shortens text from outside to what an error message can carry.
func Clip(text string) string {
	const most = 96
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}
