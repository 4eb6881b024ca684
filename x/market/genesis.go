package market

import (
	"context"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
)

// DefaultGenesis is an empty market; the first offer, lease and order get id 1.
func DefaultGenesis() *marketv1.GenesisState {
	return &marketv1.GenesisState{Params: DefaultParams(), NextOffer: 1, NextLease: 1, NextOrder: 1}
}

// ValidateGenesis checks a genesis as far as it can be without a store.
func ValidateGenesis(g *marketv1.GenesisState) error { return validateParams(g.Params) }

// InitGenesis writes a valid genesis into an empty store.
func (k *Keeper) InitGenesis(ctx context.Context, g *marketv1.GenesisState) error {
	return k.params.Set(ctx, g.Params)
}

// ExportGenesis reads the whole state.
func (k *Keeper) ExportGenesis(ctx context.Context) (*marketv1.GenesisState, error) {
	params, err := k.Params(ctx)
	return &marketv1.GenesisState{Params: params, NextOffer: 1, NextLease: 1, NextOrder: 1}, err
}
