package piece

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/voucher"
)

// Purse is a VoucherSource for one lease: it signs with the session key and remembers, for each
// device, the last voucher. It keeps nothing on disk: after a restart the provider shows the best
// voucher it holds, and one that shows an older one forgoes the difference.
type Purse struct {
	session  Session
	rate     func(device uint64) (price.Rate, error)
	lifetime time.Duration
	now      func() time.Time

	mu   sync.Mutex
	last map[uint64]voucher.Voucher
}

// NewPurse makes a purse. rate is the metered price of the lease's item for a device; vouchers are
// good for lifetime, which must leave the provider time to settle.
func NewPurse(s Session, rate func(device uint64) (price.Rate, error), lifetime time.Duration) *Purse {
	return &Purse{session: s, rate: rate, lifetime: lifetime, now: time.Now, last: map[uint64]voucher.Voucher{}}
}

// Resume implements VoucherSource.
func (p *Purse) Resume(last voucher.Signed) {
	if last.Lease != p.session.Lease || last.ChainID != p.session.ChainID {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.last[last.Device]; !ok || voucher.Supersedes(known, last.Voucher) == nil {
		p.last[last.Device] = last.Voucher
	}
}

// Voucher implements VoucherSource.
func (p *Purse) Voucher(_ context.Context, lease, device, held, units uint64) (voucher.Signed, error) {
	if lease != p.session.Lease {
		return voucher.Signed{}, fmt.Errorf("paying lease %d from the purse of lease %d", lease, p.session.Lease)
	}
	rate, err := p.rate(device)
	if err != nil {
		return voucher.Signed{}, fmt.Errorf("paying device %d: %w", device, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.last[device]
	if !ok {
		v = voucher.Voucher{ChainID: p.session.ChainID, Lease: lease, Device: device}
	}
	base := min(v.Units, held)
	if units > math.MaxUint64-base {
		return voucher.Signed{}, fmt.Errorf("paying device %d: units overflow", device)
	}
	v.Units = max(v.Units, base+units)
	v.Seq++
	if v.Amount, err = rate.Cost(v.Units); err != nil {
		return voucher.Signed{}, fmt.Errorf("paying device %d: %w", device, err)
	}
	v.Expiry = p.now().Add(p.lifetime).Unix()
	p.last[device] = v
	return voucher.Sign(p.session.Key, v), nil
}

// Spent is what the vouchers for all devices add up to.
func (p *Purse) Spent() (total price.Amount) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.last {
		total, _ = total.Add(v.Amount)
	}
	return total
}
