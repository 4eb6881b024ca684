package energy

import autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

// AutoCLIOptions says how people write the module's queries and messages on the command line.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "cairn.energy.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "Params", Use: "params", Short: "Show fee, limits and deadlines of charging"},
				{
					RpcMethod: "Station", Use: "station [device]", Short: "Show a charging station",
					Example: "cairnd query energy station 7", PositionalArgs: args("device"),
				},
				{RpcMethod: "Stations", Use: "stations", Short: "List charging stations"},
				{
					RpcMethod: "Tariff", Use: "tariff [id]", Short: "Show a price list",
					Example: "cairnd query energy tariff 3", PositionalArgs: args("id"),
				},
				{
					RpcMethod: "Session", Use: "session [id]", Short: "Show a charging session with its bill",
					Example: "cairnd query energy session 12", PositionalArgs: args("id"),
				},
				{
					RpcMethod: "Sessions", Use: "sessions", Short: "List charging sessions, all or of a --station or --driver",
					Example: "cairnd query energy sessions --driver cairn1...",
				},
				{
					RpcMethod: "Community", Use: "community [id]", Short: "Show an energy community with its terms",
					Example: "cairnd query energy community 1", PositionalArgs: args("id"),
				},
				{RpcMethod: "Communities", Use: "communities", Short: "List energy communities"},
				{RpcMethod: "Hour", Use: "hour [community] [hour]", Short: "Show what was committed of an hour", PositionalArgs: args("community", "hour")},
				{RpcMethod: "Inputs", Use: "inputs [community] [hour]", Short: "Show terms, members and limits of an hour", PositionalArgs: args("community", "hour")},
				{RpcMethod: "Membership", Use: "membership [device]", Short: "Show the community of a meter", PositionalArgs: args("device")},
				{RpcMethod: "Funds", Use: "funds [community] [account]", Short: "Show an account's money", PositionalArgs: args("community", "account")},
				{RpcMethod: "Demands", Use: "demands", Short: "List open demands, all or of a --community"},
			},
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service: "cairn.energy.v1.Msg",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "SetStation", Use: "set-station", Short: "Put a charging station on offer or change it"},
				{
					RpcMethod: "PublishTariff", Use: "publish-tariff [document]", Short: "Publish a price list (OCPI 2.2.1 JSON, in hex or base64)",
					PositionalArgs: args("document"),
				},
				{
					RpcMethod: "OpenSession", Use: "open-session [station] [connector] [tariff] [escrow]", Short: "Lock money for a charging session",
					Example: "cairnd tx energy open-session 7 1 3 5000000000000000000acairn --from driver", PositionalArgs: args("station", "connector", "tariff", "escrow"),
				},
				{RpcMethod: "StartSession", Use: "start-session [session]", Short: "Say that charging has begun", PositionalArgs: args("session")},
				{RpcMethod: "SettleSession", Use: "settle-session [session]", Short: "Bill a session from its meter records", PositionalArgs: args("session")},
				{RpcMethod: "CancelSession", Use: "cancel-session [session]", Short: "Give up a session that has not begun", PositionalArgs: args("session")},
				{RpcMethod: "CloseSession", Use: "close-session [session]", Short: "Have done what is due for a session", PositionalArgs: args("session")},
				{RpcMethod: "DisputeSession", Use: "dispute-session [session] [reason]", Short: "Object to a bill whose payout waits", PositionalArgs: args("session", "reason")},
				{RpcMethod: "AnswerDispute", Use: "answer-dispute [session] [give-back]", Short: "Say what the station gives back", PositionalArgs: args("session", "give_back")},
				{RpcMethod: "CreateCommunity", Use: "create-community", Short: "Begin an energy community"},
				{RpcMethod: "UpdateCommunity", Use: "update-community", Short: "Change a community's aggregator and terms"},
				{RpcMethod: "JoinCommunity", Use: "join-community [community] [device] [node] [role]", Short: "Make a meter a member", PositionalArgs: args("community", "device", "node", "role")},
				{RpcMethod: "LeaveCommunity", Use: "leave-community [community] [device]", Short: "End a membership", PositionalArgs: args("community", "device")},
				{
					RpcMethod: "SetLimits", Use: "set-limits [community] [device] [sell-above] [buy-below]", Short: "Say at which prices, in ticks, a meter trades with neighbours",
					Example: "cairnd tx energy set-limits 1 7 120 280 --from operator", PositionalArgs: args("community", "device", "sell_above", "buy_below"),
				},
				{RpcMethod: "Deposit", Use: "deposit [community] [account] [amount]", Short: "Pay into an account", PositionalArgs: args("community", "account", "amount")},
				{RpcMethod: "Withdraw", Use: "withdraw [community] [account] [amount]", Short: "Ask for money of an account", PositionalArgs: args("community", "account", "amount")},
				{RpcMethod: "Claim", Use: "claim [community] [account]", Short: "Have paid out what was asked for", PositionalArgs: args("community", "account")},
				{RpcMethod: "CommitHour", Use: "commit-hour [community] [hour]", Short: "Commit to an hour", PositionalArgs: args("community", "hour")},
				{RpcMethod: "ChallengeLeaf", Use: "challenge-leaf [community] [hour]", Short: "Show that a leaf is false", PositionalArgs: args("community", "hour")},
				{RpcMethod: "ChallengeHour", Use: "challenge-hour [community] [hour]", Short: "Show that accounts are false", PositionalArgs: args("community", "hour")},
				{RpcMethod: "ChallengeOmission", Use: "challenge-omission [community]", Short: "Show that a frame is missing", PositionalArgs: args("community")},
				{RpcMethod: "ReportDoubleFrame", Use: "report-double-frame [community]", Short: "Show two frames of a meter for one slot", PositionalArgs: args("community")},
				{RpcMethod: "DemandData", Use: "demand-data [community] [hour]", Short: "Ask an aggregator for its data", PositionalArgs: args("community", "hour")},
				{RpcMethod: "ServeData", Use: "serve-data [demand]", Short: "Answer a demand", PositionalArgs: args("demand")},
				{RpcMethod: "CloseDemand", Use: "close-demand [demand]", Short: "End a demand that was not answered", PositionalArgs: args("demand")},
				{RpcMethod: "JudgeSession", Skip: true}, // governance's: sent by proposal
				{RpcMethod: "UpdateParams", Skip: true}, // governance's: sent by proposal
			},
		},
	}
}

// args names the positional arguments of a command.
func args(fields ...string) []*autocliv1.PositionalArgDescriptor {
	list := make([]*autocliv1.PositionalArgDescriptor, len(fields))
	for i, field := range fields {
		list[i] = &autocliv1.PositionalArgDescriptor{ProtoField: field}
	}
	return list
}
