package reward

import autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

// AutoCLIOptions says how people write the module's queries and messages on the command line.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	args := func(fields ...string) []*autocliv1.PositionalArgDescriptor {
		var list []*autocliv1.PositionalArgDescriptor
		for _, field := range fields {
			list = append(list, &autocliv1.PositionalArgDescriptor{ProtoField: field})
		}
		return list
	}
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "cairn.reward.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "Params", Use: "params", Short: "Show the numbers that rewards are computed by"},
				{RpcMethod: "Emission", Use: "emission", Short: "Show how many coins exist, and how many the schedule has issued"},
				{RpcMethod: "Ledger", Use: "ledger [service]", Short: "Show what a service's devices have earned and claimed", PositionalArgs: args("service")},
				{RpcMethod: "Epochs", Use: "epochs [service]", Short: "List a service's epochs with their pools", PositionalArgs: args("service")},
				{RpcMethod: "Epoch", Use: "epoch [service] [epoch]", Short: "Show a service's pools of one epoch", PositionalArgs: args("service", "epoch")},
				{RpcMethod: "Roots", Use: "roots [service]", Short: "List the final reports that can be claimed from", PositionalArgs: args("service")},
				{RpcMethod: "Device", Use: "device [service] [epoch] [device]", Short: "Show what is known of a device in an epoch (0: now)", PositionalArgs: args("service", "epoch", "device")},
				{RpcMethod: "Claimed", Use: "claimed [service] [device]", Short: "Show what a device has been paid", PositionalArgs: args("service", "device")},
				{RpcMethod: "Map", Use: "map [service] [epoch]", Short: "List the cells of the need map (epoch 0: now)", PositionalArgs: args("service", "epoch")},
				{RpcMethod: "Need", Use: "need [service] [cell]", Short: "Show how much a place needs a service now", PositionalArgs: args("service", "cell")},
				{RpcMethod: "Boosts", Use: "boosts", Short: "List sponsors' boosts"},
				{RpcMethod: "Incomes", Use: "incomes [owner] [year]", Short: "Show what an owner's devices brought in a year, by month", PositionalArgs: args("owner", "year")},
				{RpcMethod: "Relay", Use: "relay [owner]", Short: "Show what an owner lets others keep of claims", PositionalArgs: args("owner")},
			},
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service: "cairn.reward.v1.Msg",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "Claim", Use: "claim [service] [epoch]", Short: "Claim with proofs given as --proofs (cairn claim finds them by itself)", PositionalArgs: args("service", "epoch")},
				{RpcMethod: "SetRelay", Use: "set-relay [fee-bps]", Short: "Let others keep a part of the claims that they send for you", PositionalArgs: args("fee_bps")},
				{RpcMethod: "Boost", Use: "boost [service] [cell] [per-epoch] [epochs]", Short: "Put money on a cell for its devices to share", PositionalArgs: args("service", "cell", "per_epoch", "epochs")},
				{RpcMethod: "EndBoost", Use: "end-boost [id]", Short: "Take back what is left of a boost", PositionalArgs: args("id")},
				{RpcMethod: "UpdateParams", Skip: true}, // governance's
			},
		},
	}
}
