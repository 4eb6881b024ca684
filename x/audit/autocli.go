package audit

import autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

// AutoCLIOptions says how people write the module's queries and messages on the command line.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "cairn.audit.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "Params", Use: "params", Short: "Show the limits on epochs, beacons and reports"},
				{RpcMethod: "CurrentEpoch", Use: "current", Short: "Show the running epoch and who has contributed to the next beacon"},
				{
					RpcMethod:      "Epoch",
					Use:            "epoch [number]",
					Short:          "Show an epoch and its beacon",
					Example:        "cairnd query audit epoch 12",
					PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "number"}},
				},
				{RpcMethod: "Epochs", Use: "epochs", Short: "List the epochs that are kept"},
				{
					RpcMethod:      "Contributor",
					Use:            "contributor [validator]",
					Short:          "Show a validator's beacon key and how often it contributed",
					Example:        "cairnd query audit contributor cairnvaloper1...",
					PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "validator"}},
				},
				{RpcMethod: "Contributors", Use: "contributors", Short: "List validators with how often they contributed to beacons, or held back"},
				{RpcMethod: "HookFailures", Use: "hook-failures", Short: "List work at the end of epochs that failed and was undone"},
			},
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service: "cairn.audit.v1.Msg",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{
					RpcMethod: "AnnounceBeaconKey",
					Use:       "announce-beacon-key [key] [proof]",
					Short:     "Set the key by which the sender's validator contributes to beacons",
					Long:      "Set the key by which the sender's validator contributes to beacons; `cairnd beacon-key show` prints both arguments. The key takes over two epochs later.",
					Example:   "cairnd tx audit announce-beacon-key <key> <proof> --from operator",
					PositionalArgs: []*autocliv1.PositionalArgDescriptor{
						{ProtoField: "key"}, {ProtoField: "proof"},
					},
				},
				{RpcMethod: "UpdateParams", Skip: true}, // governance's
			},
		},
	}
}
