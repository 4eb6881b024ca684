package market

import autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

// AutoCLIOptions says how people write the module's queries and messages on the command line.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "cairn.market.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{
					RpcMethod: "Params",
					Use:       "params",
					Short:     "Show fee, denominations, grace window and limits of the market",
				},
				{
					RpcMethod:      "Offer",
					Use:            "offer [id]",
					Short:          "Show one offer",
					Example:        "cairnd query market offer 3",
					PositionalArgs: args("id"),
				},
				{
					RpcMethod: "Offers",
					Use:       "offers",
					Short:     "List offers, all or by resource or device",
					Example:   "cairnd query market offers --resource storage --only-open",
				},
				{
					RpcMethod:      "Lease",
					Use:            "lease [id]",
					Short:          "Show a lease with each device's part in it",
					Example:        "cairnd query market lease 12",
					PositionalArgs: args("id"),
				},
				{
					RpcMethod: "Leases",
					Use:       "leases",
					Short:     "List leases, all or of one --consumer",
					Example:   "cairnd query market leases --consumer cairn1...",
				},
				{
					RpcMethod:      "Item",
					Use:            "item [lease] [device]",
					Short:          "Show one device's part in a lease, what it has earned by now and when its escrow runs dry",
					Example:        "cairnd query market item 12 7",
					PositionalArgs: args("lease", "device"),
				},
				{
					RpcMethod:      "DeviceItems",
					Use:            "items [device]",
					Short:          "List the leases that a device has part in",
					Example:        "cairnd query market items 7 --only-open",
					PositionalArgs: args("device"),
				},
				{
					RpcMethod:      "Order",
					Use:            "order [id]",
					Short:          "Show an order with its bids",
					Example:        "cairnd query market order 5",
					PositionalArgs: args("id"),
				},
				{
					RpcMethod: "Orders",
					Use:       "orders",
					Short:     "List orders, all or of one --resource",
					Example:   "cairnd query market orders --resource storage --only-open",
				},
				{
					RpcMethod:      "Reputation",
					Use:            "reputation [device]",
					Short:          "Show how a device's leases ended",
					Example:        "cairnd query market reputation 7",
					PositionalArgs: args("device"),
				},
				{
					RpcMethod: "Totals",
					Use:       "totals",
					Short:     "Show what has been settled and burned, in all or for one --device or --resource",
					Example:   "cairnd query market totals --device 7",
				},
			},
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service: "cairn.market.v1.Msg",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{
					RpcMethod: "CreateOffer",
					Use:       "create-offer [device] [resource] [denom] [capacity]",
					Short:     "Put a device's capacity on sale",
					Example: `cairnd tx market create-offer 7 storage acairn 500000000000 --max-seconds 7776000 \
  --stream '{"amount":"1","per":"1000"}' --metered '{"amount":"5","per":"1"}' --from operator`,
					PositionalArgs: args("device", "resource", "denom", "capacity"),
				},
				{
					RpcMethod:      "UpdateOffer",
					Use:            "update-offer [id] [capacity]",
					Short:          "Change price and capacity for leases to come",
					Example:        `cairnd tx market update-offer 3 500000000000 --stream '{"amount":"1","per":"900"}' --metered '{"amount":"5","per":"1"}' --from operator`,
					PositionalArgs: args("id", "capacity"),
				},
				{
					RpcMethod:      "CloseOffer",
					Use:            "close-offer [id]",
					Short:          "Take no new leases on an offer; running ones go on",
					Example:        "cairnd tx market close-offer 3 --from operator",
					PositionalArgs: args("id"),
				},
				{
					RpcMethod: "OpenLease",
					Use:       "open-lease [session-key] [seconds]",
					Short:     "Take one or more --items (offer, units, escrow) for a time",
					Example: `cairnd tx market open-lease <base64> 2592000 --from me \
  --items '{"offer":"3","units":"1000000000","escrow":"5000000000000000000"}'`,
					PositionalArgs: args("session_key", "seconds"),
				},
				{
					RpcMethod: "AmendLease",
					Use:       "amend-lease [id]",
					Short:     "Add --seconds, --items or --top-ups to a lease",
					Example: `cairnd tx market amend-lease 12 --seconds 2592000 --from me \
  --top-ups '{"device":"7","escrow":"1000000000000000000"}'`,
					PositionalArgs: args("id"),
				},
				{
					RpcMethod:      "CloseLease",
					Use:            "close-lease [id] [devices...]",
					Short:          "End a lease or some devices' part in it; an operator ends its own device's part",
					Example:        "cairnd tx market close-lease 12 --from me",
					PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "id"}, {ProtoField: "devices", Varargs: true}},
				},
				{
					RpcMethod: "Settle",
					Use:       "settle",
					Short:     "Redeem --vouchers and pay --streams up to now (devices do this by themselves)",
					Example:   `cairnd tx market settle --streams '{"lease":"12","device":"7"}' --from anyone`,
				},
				{
					RpcMethod: "CreateOrder",
					Use:       "create-order [session-key] [resource] [denom]",
					Short:     "Ask devices to bid for a lease",
					Example: `cairnd tx market create-order <base64> storage acairn --units 1000000000 --devices 12 --min-devices 8 \
  --seconds 2592000 --escrow 5000000000000000000 --bidding-seconds 3600 --rule award-rule-lowest \
  --max-stream '{"amount":"1","per":"1000"}' --max-metered '{"amount":"5","per":"1"}' --from me`,
					PositionalArgs: args("session_key", "resource", "denom"),
				},
				{
					RpcMethod:      "CancelOrder",
					Use:            "cancel-order [id]",
					Short:          "Withdraw an order and get its escrow back",
					Example:        "cairnd tx market cancel-order 5 --from me",
					PositionalArgs: args("id"),
				},
				{
					RpcMethod:      "PlaceBid",
					Use:            "bid [order] [offer]",
					Short:          "Answer an order with an offer's capacity at --stream and --metered prices",
					Example:        `cairnd tx market bid 5 3 --stream '{"amount":"1","per":"1100"}' --metered '{"amount":"4","per":"1"}' --from operator`,
					PositionalArgs: args("order", "offer"),
				},
				{
					RpcMethod:      "Award",
					Use:            "award [order] [devices...]",
					Short:          "Pick the bids that win and open the lease",
					Example:        "cairnd tx market award 5 7 9 11 --from me",
					PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "order"}, {ProtoField: "devices", Varargs: true}},
				},
				{RpcMethod: "UpdateParams", Skip: true}, // governance's
			},
		},
	}
}

// args makes positional arguments of message fields.
func args(fields ...string) []*autocliv1.PositionalArgDescriptor {
	list := make([]*autocliv1.PositionalArgDescriptor, len(fields))
	for i, field := range fields {
		list[i] = &autocliv1.PositionalArgDescriptor{ProtoField: field}
	}
	return list
}
