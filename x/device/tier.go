package device

// label says in words what a trust tier shows about a device, and what it does not.
type label struct{ proves, not string }

// labels are the tiers that exist. Whoever shows a tier shows both halves.
var labels = []label{
	{
		proves: "Somebody holds the device's key.",
		not:    "What the device is, where it is, who made it, or that it is one machine and not a hundred: keys cost nothing.",
	},
	{
		proves: "A domain's TLS certificate or a listed manufacturer's key has vouched for the device key, and for the owner's claim to it, not long ago.",
		not: "That the key cannot be copied, that the device runs what it should, or where it is. A domain vouches for what its holder pleases; " +
			"a manufacturer's word is as good as its factory.",
	},
	{
		proves: "The device key was made in a genuine TPM 2.0 of a listed manufacturer and cannot leave it; that TPM vouches for this device only; " +
			"it was alive with this owner not long ago; its boot measurements were those that a vote lists, where it lists any.",
		not: "Where the machine is, what it does after boot, that disk, radio or meter beside the TPM are real, or that nobody opened the chip in a laboratory. " +
			"Where the endorsement key only decrypts, it rests on the word of listed attesters that attestation key and endorsement key share one TPM.",
	},
	{
		proves: "Tier 2, and evidence of where it is.",
		not:    "What it does after boot, or that what is beside the TPM is real.",
	},
}
