package storage

import autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

// AutoCLIOptions says how people write the module's queries and messages on the command line.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "cairn.storage.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{
					RpcMethod: "Params",
					Use:       "params",
					Short:     "Show the limits on anchors",
				},
				{
					RpcMethod:      "Snapshot",
					Use:            "snapshot [renter]",
					Short:          "Show where a renter's latest metadata snapshot lies (encrypted)",
					Example:        "cairnd query storage snapshot cairn1...",
					PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "renter"}},
				},
			},
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service: "cairn.storage.v1.Msg",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{
					RpcMethod: "CommitSnapshot",
					Use:       "commit-snapshot [version] [root] [pointer]",
					Short:     "Anchor a metadata snapshot (the gateway does this by itself)",
					Example:   "cairnd tx storage commit-snapshot 12 <root> <pointer> --from renter",
					PositionalArgs: []*autocliv1.PositionalArgDescriptor{
						{ProtoField: "version"}, {ProtoField: "root"}, {ProtoField: "pointer"},
					},
				},
				{RpcMethod: "UpdateParams", Skip: true}, // governance's
			},
		},
	}
}
