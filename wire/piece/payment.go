package piece

import (
	"context"
	"time"
)

// payAgain is how soon a demand that could not be met in full is looked at again: bytes that the
// provider has counted may still be on their way.
const payAgain = 20 * time.Millisecond

// payTries is how often, before the provider has to ask again.
const payTries = 250

// pay answers demands, one at a time. What cannot be paid is dropped when a newer demand comes: the
// provider stops serving when its credit is used up, and the get that waits ends with ErrUnpaid.
func (c *Conn) pay(ctx context.Context) {
	defer c.running.Done()
	var d Demand
	for tries := 0; ; {
		var again <-chan time.Time
		if d.Served > d.Paid && tries < payTries {
			again = time.After(payAgain)
		}
		select {
		case d = <-c.paying:
			tries = 0
		case <-again:
			tries++
		case <-c.sess.done:
			return
		}
		paid, err := c.payOnce(ctx, d)
		d.Paid += paid
		if err != nil {
			d = Demand{} // the next one starts afresh
		}
	}
}

// payOnce sends a voucher for as much of a demand as bytes came in: the provider's word alone is
// worth nothing.
func (c *Conn) payOnce(ctx context.Context, d Demand) (units uint64, err error) {
	if c.opts.Vouchers == nil {
		return 0, ErrUnpaid
	}
	// A demand that was written before our last voucher arrived does not know of it.
	held := max(d.Paid, c.covered)
	if d.Served <= held {
		return 0, nil
	}
	units = min(d.Served-held, c.Owed())
	if units == 0 {
		return 0, nil
	}
	v, err := c.opts.Vouchers.Voucher(ctx, c.session.Lease, c.device, held, units)
	if err != nil {
		return 0, err
	}
	b, err := v.MarshalBinary()
	if err != nil {
		return 0, err
	}
	st, err := c.open(ctx, [][]byte{{byte(opVoucher)}, b})
	if err != nil {
		return 0, err
	}
	buf, err := c.answer(ctx, st)
	c.finish(st, ctx.Err() == nil || err == nil)
	if err != nil {
		return 0, err
	}
	buf.free()
	c.paid.Add(units)
	c.covered = max(c.covered, v.Units)
	return units, nil
}
