//go:build rehearsal

package app

import (
	"context"
	"fmt"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/x/market"
)

// rehearsalStore is a store that only the upgraded program has.
const rehearsalStore = "rehearsal"

// rehearsal does once, on a network of throwaway processes, what a real upgrade may have to: a store is
// added and parameters of a module are migrated. Its name is what the test proposes.
var rehearsal = []upgradeStep{{
	name:   "rehearsal",
	stores: storetypes.StoreUpgrades{Added: []string{rehearsalStore}},
	migrate: func(ctx context.Context, app *App) error {
		params, err := app.Market.Params(ctx)
		if err != nil {
			return err
		}
		params.RetentionSeconds *= 2
		_, err = market.NewMsgServer(app.Market).UpdateParams(ctx, &marketv1.MsgUpdateParams{Authority: authority(), Params: params})
		if err != nil {
			return fmt.Errorf("migrating the market's params: %w", err)
		}
		return nil
	},
}}

// extraStores are mounted besides kvStores.
var extraStores = []string{rehearsalStore}
