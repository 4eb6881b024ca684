package audit

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// BankKeeper holds reporters' bonds and deposits in the module's account and burns what is lost.
type BankKeeper interface {
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error
	BurnCoins(ctx context.Context, module string, amount sdk.Coins) error
	GetBalance(ctx context.Context, account sdk.AccAddress, denom string) sdk.Coin
}

// Service knows the facts of a service whose evidence is on chain.
type Service interface {
	// Fact gives what is known of a device in an epoch that is over: always the same until it is
	// forgotten, params.beacon.retain_epochs after its end at the earliest. ErrNoFact, wrapped, where
	// nothing is recorded; another error once it is forgotten, so that no dispute is decided on it.
	Fact(ctx context.Context, epoch, device uint64) (score.Fact, error)
}

// Replayer knows a service whose evidence is kept off chain, under the input root of its reports.
type Replayer interface {
	// Replay gives the fact that evidence of a device in an epoch proves: always the same.
	// ErrEvidence, wrapped, where it proves none.
	Replay(ctx context.Context, epoch, device uint64, evidence []byte) (score.Fact, error)
}

// Economy knows what an epoch may pay, and pays.
type Economy interface {
	// Pools gives what a service may pay out for an epoch that is over: always the same until it is
	// forgotten, as a Service's facts. An error where it pays nothing: such an epoch is not reported.
	Pools(ctx context.Context, service score.Service, epoch uint64) (score.Pools, error)
	// Final takes the root of an epoch that has become final. Epochs ascend; some may be left out.
	Final(ctx context.Context, service score.Service, epoch uint64, root report.Root) error
}

// SetEconomy says who knows the pools. The application calls it once, before the first block.
func (k *Keeper) SetEconomy(e Economy) { k.reports.economy = e }

// SetService says who knows the facts of a service. The application calls it once for each, before
// the first block.
func (k *Keeper) SetService(service score.Service, facts Service) {
	k.reports.services[service] = facts
}

// SetReplayer says who judges the evidence of a service. The application calls it once for each,
// before the first block.
func (k *Keeper) SetReplayer(service score.Service, replayer Replayer) {
	k.reports.replayers[service] = replayer
}
