package app

import (
	"encoding/json"
	"fmt"

	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	"github.com/cosmos/cosmos-sdk/x/staking"
)

// ExportAppStateAndValidators writes the state at the last block (or of the given modules only) as
// a genesis: a network started from it has the same accounts, stakes, devices and leases. Heights
// go on where this one stopped. A restart from height zero, which would have to rewrite stakes and
// rewards, is refused: a fork of the network keeps its heights instead.
func (app *App) ExportAppStateAndValidators(forZeroHeight bool, _, modules []string) (servertypes.ExportedApp, error) {
	if forZeroHeight {
		return servertypes.ExportedApp{}, fmt.Errorf("exporting for height zero is not supported: export at the current height and start from that")
	}
	ctx := app.NewContext(true)
	state, err := app.manager.ExportGenesisForModules(ctx, app.encoding.Codec, modules)
	if err != nil {
		return servertypes.ExportedApp{}, fmt.Errorf("exporting modules: %w", err)
	}
	raw, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return servertypes.ExportedApp{}, fmt.Errorf("encoding the exported state: %w", err)
	}
	validators, err := staking.WriteValidators(ctx, app.Staking)
	if err != nil {
		return servertypes.ExportedApp{}, fmt.Errorf("exporting validators: %w", err)
	}
	return servertypes.ExportedApp{
		AppState:        raw,
		Validators:      validators,
		Height:          app.LastBlockHeight() + 1,
		ConsensusParams: app.GetConsensusParams(ctx),
	}, nil
}
