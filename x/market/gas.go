package market

const (
	gasVoucher        = 500
	gasDeadline       = 20_000
	deadlinesPerItem  = 2
	deadlinesPerOrder = 1
	deadlinesPerBid   = 1
)

// chargeDeadlines charges for work that the ends of later blocks will do for this message.
func (b *book) chargeDeadlines(n uint64) {
	b.ctx.GasMeter().ConsumeGas(n*gasDeadline, "market deadlines")
}
