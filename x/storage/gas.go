package storage

// Gas beside what the store and the transaction's bytes cost. The scale is the SDK's own, and the
// market's measure of it: 9,000 gas for 53 µs of a node's work.
const (
	// gasProof is for one possession proof: core/challenge's BenchmarkVerify takes 9 µs at the depth of
	// a million pieces.
	gasProof = 1_500
	// gasSignature is for a receipt's or a release's signature, as the SDK charges for one around a
	// message.
	gasSignature = 1_000
	// gasOld is for removing one row at the end of a later block, where no gas is charged any more. It
	// is taken from the message that makes the row.
	gasOld = 5_000
)
