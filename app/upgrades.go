package app

import (
	"context"
	"fmt"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
)

// An upgradeStep is one named upgrade: governance schedules the name at a height, the old program stops
// there, and this one continues with the stores changed and the modules' migrations run.
type upgradeStep struct {
	name   string
	stores storetypes.StoreUpgrades
}

// upgradeSteps in the order in which networks live through them. The first network has none yet.
var upgradeSteps []upgradeStep

// registerUpgrades sets the handlers, and the store changes when this start is the one right after
// an upgrade's height.
func (app *App) registerUpgrades() error {
	info, err := app.Upgrade.ReadUpgradeInfoFromDisk()
	if err != nil {
		return fmt.Errorf("reading what upgrade this node stopped for: %w", err)
	}
	for _, step := range upgradeSteps {
		app.Upgrade.SetUpgradeHandler(step.name,
			func(ctx context.Context, _ upgradetypes.Plan, from module.VersionMap) (module.VersionMap, error) {
				return app.manager.RunMigrations(ctx, app.configurator, from)
			})
		if step.name == info.Name && !app.Upgrade.IsSkipHeight(info.Height) {
			app.SetStoreLoader(upgradetypes.UpgradeStoreLoader(info.Height, &step.stores))
		}
	}
	return nil
}
