package energy

// Gas beside what the store and the transaction's bytes cost. The scale is the SDK's own, and the
// market's measure of it: 9,000 gas for 53 µs of a node's work.
const (
	// gasDeadline is for one entry of the queue worked off at the end of a later block, where no gas is
	// charged any more. It is taken from the message that makes the entry.
	gasDeadline = 20_000
	// A session comes up at two deadlines at most after each message, the last of which removes it.
	deadlinesPerSession = 3
	// gasRecordByte is for reading and hashing a byte of a meter record.
	gasRecordByte = 5
	// gasTariffByte is for reading a byte of a tariff, which every bill does.
	gasTariffByte = 2
	// gasPeriod is for pricing one period.
	gasPeriod = 200
	// gasFrame is for one frame or receipt: reading, and a signature on the slowest curve
	// (core/meter's BenchmarkIngest: 214 µs with secp256k1).
	gasFrame = 36_000
	// gasReplay and gasLeaf are for settling an hour again: core/community's BenchmarkSettle takes
	// 4.7 ms for 512 leaves and as many accounts.
	gasReplay = 200_000
	gasLeaf   = 1_200
	// gasHour is for removing one commit.
	gasHour = 5_000
)
