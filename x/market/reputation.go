package market

import (
	"cosmossdk.io/math"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
)

func newReputation(device uint64) marketv1.Reputation {
	return marketv1.Reputation{Device: device, Earned: math.ZeroInt()}
}
