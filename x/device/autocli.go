package device

import autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

// AutoCLIOptions says how people write the module's queries and messages on the command line.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "cairn.device.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{
					RpcMethod: "Params",
					Use:       "params",
					Short:     "Show deposit, kinds and limits of the registry",
				},
				{
					RpcMethod:      "Device",
					Use:            "show [id]",
					Short:          "Show one device",
					Example:        "cairnd query device show 7",
					PositionalArgs: args("id"),
				},
				{
					RpcMethod: "Devices",
					Use:       "list",
					Short:     "List devices, all or by owner, operator or kind",
					Example:   "cairnd query device list --kind storage --owner cairn1...",
				},
				{
					RpcMethod:      "DeviceByKey",
					Use:            "by-key [key]",
					Short:          "Find a device by its public key (hex or base64)",
					PositionalArgs: args("key"),
				},
				{
					RpcMethod:      "Tier",
					Use:            "tier [device]",
					Short:          "Show the trust tier of a device, what it proves and what not",
					PositionalArgs: args("device"),
				},
				{
					RpcMethod:      "Ban",
					Use:            "ban [device]",
					Short:          "Show the ban of a device, past or present",
					PositionalArgs: args("device"),
				},
				{
					RpcMethod:      "Permitted",
					Use:            "permitted [device] [resource]",
					Short:          "Say whether a device may sell a resource from where it is",
					PositionalArgs: args("device", "resource"),
				},
				{
					RpcMethod:      "Nonce",
					Use:            "nonce [owner]",
					Short:          "Show the number that the next registration of an owner is signed over",
					PositionalArgs: args("owner"),
				},
			},
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service: "cairn.device.v1.Msg",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{
					RpcMethod: "Register",
					Use:       "register [kind]",
					Short:     "Register a device (its key must sign; `cairn provide` does all of this)",
					Example: `cairnd tx device register storage --region DE --endpoint node.example:7777 \
  --pubkey '{"type":"KEY_TYPE_ED25519","key":"<base64>"}' --signature <base64> --from owner`,
					PositionalArgs: args("kind"),
				},
				{
					RpcMethod:      "Announce",
					Use:            "announce [id] [endpoint]",
					Short:          "Say where a device can be reached, and its --model",
					Example:        "cairnd tx device announce 7 node.example:7777 --from operator",
					PositionalArgs: args("id", "endpoint"),
				},
				{
					RpcMethod:      "Relocate",
					Use:            "relocate [id]",
					Short:          "Set --cell (H3, resolution 12), --elevation (metres) and --region of a device",
					Example:        "cairnd tx device relocate 7 --region DE --cell 631243922056054783 --from owner",
					PositionalArgs: args("id"),
				},
				{
					RpcMethod:      "RotateOperator",
					Use:            "rotate-operator [id] [operator]",
					Short:          "Replace the hot account that runs a device",
					Example:        "cairnd tx device rotate-operator 7 cairn1... --from owner",
					PositionalArgs: args("id", "operator"),
				},
				{
					RpcMethod:      "Transfer",
					Use:            "transfer [id] [new-owner]",
					Short:          "Offer a device to another owner, who must accept",
					Example:        "cairnd tx device transfer 7 cairn1... --from owner",
					PositionalArgs: args("id", "new_owner"),
				},
				{
					RpcMethod:      "AcceptTransfer",
					Use:            "accept-transfer [id]",
					Short:          "Take over a device with its income and its obligations",
					Example:        "cairnd tx device accept-transfer 7 --operator cairn1... --from new-owner",
					PositionalArgs: args("id"),
				},
				{
					RpcMethod:      "AddBond",
					Use:            "add-bond [id] [amount]",
					Short:          "Raise the collateral of a device",
					Example:        "cairnd tx device add-bond 7 5000000000000000000acairn --from owner",
					PositionalArgs: args("id", "amount"),
				},
				{
					RpcMethod:      "Retire",
					Use:            "retire [id]",
					Short:          "Start to leave; again after the unbonding time, to get deposit and bond back",
					Example:        "cairnd tx device retire 7 --from owner",
					PositionalArgs: args("id"),
				},
				{
					RpcMethod:      "Appeal",
					Use:            "appeal [device] [statement]",
					Short:          "Ask governance to look again at a ban; statement is the SHA-256 of what voters are to read",
					PositionalArgs: args("device", "statement"),
				},
				{
					RpcMethod:      "ReclaimAppeal",
					Use:            "reclaim-appeal [device]",
					Short:          "Take back the deposit of an appeal that nobody decided in time",
					PositionalArgs: args("device"),
				},
				// Governance's.
				{RpcMethod: "UpdateParams", Skip: true},
				{RpcMethod: "UpdateTrust", Skip: true},
				{RpcMethod: "UpdateRules", Skip: true},
				{RpcMethod: "Ban", Skip: true},
				{RpcMethod: "DecideAppeal", Skip: true},
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
