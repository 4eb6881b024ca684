package market

// Gas beside what the store charges for each read and write. The scale is the SDK's own: 1,000 gas
// for one secp256k1 signature, 590 for one Ed25519 signature verified alone.
//
// Measured on one core of an AMD EPYC by BenchmarkSettle and BenchmarkEndBlock (CPU time, not the
// clock's): a voucher of a batch of 1,000 takes 53 µs from signature to event, of which the
// signature is about half, and 9,000 gas with the store's; a deadline takes 127 µs.
const (
	// gasVoucher is for a signature in a batch, which costs half of one alone, and for the ledger's
	// arithmetic and event beside it.
	gasVoucher = 500
	// gasDeadline is for one entry of the queue worked off at the end of a later block, where no gas
	// is charged any more: at 9,000 gas for 53 µs, 127 µs are about 20,000. It is taken from the
	// message that makes the entry.
	gasDeadline = 20_000

	// An item comes up at the expiry, at the end of the grace window, and when it is removed.
	deadlinesPerItem = 3
	// A lease comes up to be removed.
	deadlinesPerLease = 1
	// An order comes up when its time is up and when it is removed, and looks at each of its bids
	// both times.
	deadlinesPerOrder = 2
	deadlinesPerBid   = 2
	// A closed offer comes up to be removed.
	deadlinesPerOffer = 1
)

// chargeDeadlines charges for work that the ends of later blocks will do for this message.
func (b *book) chargeDeadlines(n uint64) {
	b.ctx.GasMeter().ConsumeGas(n*gasDeadline, "market deadlines")
}
