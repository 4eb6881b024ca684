package audit

import (
	"context"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/beacon"
)

// StakingKeeper knows who validates, and takes stake.
type StakingKeeper interface {
	// ValidatorByConsAddr gives the validator that signs as this address.
	ValidatorByConsAddr(ctx context.Context, address sdk.ConsAddress) (stakingtypes.ValidatorI, error)
	// Validator gives a validator by its operator.
	Validator(ctx context.Context, operator sdk.ValAddress) (stakingtypes.ValidatorI, error)
	// Slash burns a share of the tokens behind a voting power at a height and gives how much.
	Slash(ctx context.Context, address sdk.ConsAddress, height, power int64, share math.LegacyDec) (math.Int, error)
}

// Source is where the randomness of beacons comes from. beacon.VRF asks nobody but the validators; an
// outside source, such as a drand network, would check its round's signature in Verify.
type Source interface {
	// Verify checks what a validator proves for a round and returns its output. It never panics.
	Verify(round beacon.Round, key, proof []byte) (beacon.Output, error)
	// Mix makes the round's beacon from verified outputs, in any order; none gives a weak one.
	Mix(round beacon.Round, contributions []beacon.Contribution) beacon.Value
}

// Hooks is what a module does when an epoch has ended. The work is O(1): settle totals, never walk
// devices. ended is the epoch before the running one, whose beacon is known already. An error, a
// panic or running out of params.beacon.hook_gas undoes what the hook wrote and is recorded; it stops
// neither the other hooks nor the chain.
type Hooks interface {
	AfterEpoch(ctx context.Context, ended auditv1.Epoch) error
}

// Hook is a module's Hooks under the name by which a failure is recorded.
type Hook struct {
	Name string
	Hooks
}
