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
	// migrate changes what the modules' own migrations do not; nil for nothing.
	migrate func(context.Context, *App) error
}

// upgradeSteps in the order in which networks live through them. The first network has none yet; a
// build with the tag rehearsal has the one that test/network rehearses.
var upgradeSteps = append([]upgradeStep{}, rehearsal...)

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
				to, err := app.manager.RunMigrations(ctx, app.configurator, from)
				if err == nil && step.migrate != nil {
					err = step.migrate(ctx, app)
				}
				if err != nil {
					return nil, fmt.Errorf("upgrade %s: %w", step.name, err)
				}
				return to, nil
			})
		if step.name == info.Name && !app.Upgrade.IsSkipHeight(info.Height) {
			app.SetStoreLoader(upgradetypes.UpgradeStoreLoader(info.Height, &step.stores))
		}
	}
	return nil
}
