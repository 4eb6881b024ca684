package csms

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-network/cairn/core/price"
)

// kind is what an entry asks of the ledger.
type kind string

const (
	openByCard kind = "open"
	began      kind = "began"
	settle     kind = "settle"
	refund     kind = "refund"
)

// entry is one thing that the ledger must be told. It is durable in the batch that made it necessary, and dropped in the
// batch that notes the answer.
type entry struct {
	Seq        uint64      `json:"seq"`
	Kind       kind        `json:"kind"`
	No         SessionNo   `json:"session,omitempty"`
	Order      OrderID     `json:"order,omitempty"`
	Reason     Reason      `json:"reason,omitempty"`
	Use        *CardUse    `json:"use,omitempty"`
	Settlement *Settlement `json:"settlement,omitempty"`
	At         time.Time   `json:"at"` // of began: when the session started
}

const (
	// outboxWorkers is how many entries are with the ledger at once.
	outboxWorkers = 8
	// outboxBatch is how many are read from the disk at once.
	outboxBatch = 128
	retryFirst  = time.Second
	retryMost   = 5 * time.Minute
)

// outbox tells the ledger what it must know, until it has answered. INV-CSMS-3.
type outbox struct {
	s    *Service
	next atomic.Uint64 // the next sequence number
	bell chan struct{}
	// waiting counts entries not yet answered.
	waiting atomic.Int64

	mu sync.Mutex
	// tries of entries that the ledger did not take.
	tries map[uint64]retry
}

type retry struct {
	count int
	at    time.Time
	why   string
}

func newOutbox(s *Service) *outbox {
	return &outbox{s: s, bell: make(chan struct{}, 1), tries: make(map[uint64]retry)}
}

func (o *outbox) load() error {
	return o.s.store.scan(key('q'), nil, func(k, _ []byte) (bool, error) {
		if len(k) != 9 {
			return false, fmt.Errorf("outbox entry with a key of %d bytes", len(k))
		}
		o.next.Store(binary.BigEndian.Uint64(k[1:]))
		o.waiting.Add(1)
		return true, nil
	})
}

// add puts an entry into a change. Its sequence number only orders; gaps and repeats over a crash do no harm, since an entry
// that was not durable is not there.
func (o *outbox) add(c *change, e entry) {
	e.Seq = o.next.Add(1)
	c.put(key('q', e.Seq), e)
	o.waiting.Add(1)
}

func (o *outbox) wake() {
	select {
	case o.bell <- struct{}{}:
	default:
	}
}

// run works until ctx is done. What is under way then is asked again by the next run.
func (o *outbox) run(ctx context.Context) error {
	for {
		lanes, count, err := o.due()
		if err != nil {
			return err
		}
		if count > 0 {
			if err := o.work(ctx, lanes); err != nil {
				return err
			}
			if ctx.Err() == nil && count == outboxBatch {
				continue
			}
		}
		timer := o.s.Clock.NewTimer(o.pause())
		select {
		case <-o.bell:
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// pause is until the next retry, or a minute.
func (o *outbox) pause() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	d, now := time.Minute, o.s.Clock.Now()
	for _, r := range o.tries {
		d = min(d, max(r.at.Sub(now), time.Millisecond))
	}
	return d
}

// lane is what an entry is about; those of a lane go to the ledger one after the other.
type lane struct {
	no    SessionNo
	order OrderID
}

func (e *entry) lane() lane {
	if e.No != 0 {
		return lane{no: e.No}
	}
	return lane{order: e.Order}
}

// due reads the entries to be tried now, by lane; none behind one that must wait.
func (o *outbox) due() ([][]entry, int, error) {
	var (
		out     [][]entry
		count   int
		at      = make(map[lane]int)
		blocked = make(map[lane]bool)
		now     = o.s.Clock.Now()
	)
	err := o.s.store.scan(key('q'), nil, func(_, value []byte) (bool, error) {
		var e entry
		if err := json.Unmarshal(value, &e); err != nil {
			return false, err
		}
		l := e.lane()
		o.mu.Lock()
		r, tried := o.tries[e.Seq]
		o.mu.Unlock()
		if blocked[l] || tried && now.Before(r.at) {
			blocked[l] = true
			return true, nil
		}
		i, seen := at[l]
		if !seen {
			i = len(out)
			at[l], out = i, append(out, nil)
		}
		out[i] = append(out[i], e)
		count++
		return count < outboxBatch, nil
	})
	return out, count, err
}

func (o *outbox) work(ctx context.Context, lanes [][]entry) error {
	todo := make(chan []entry)
	var group sync.WaitGroup
	failed := make(chan error, outboxWorkers)
	for range min(outboxWorkers, len(lanes)) {
		group.Go(func() {
			for entries := range todo {
				for _, e := range entries {
					answered, err := o.tell(ctx, e)
					if err != nil {
						select {
						case failed <- err:
						default:
						}
					}
					if !answered {
						break
					}
				}
			}
		})
	}
	for _, entries := range lanes {
		if ctx.Err() != nil {
			break
		}
		todo <- entries
	}
	close(todo)
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// tell asks the ledger and notes its answer, if it gave one; an error is the disk's.
func (o *outbox) tell(ctx context.Context, e entry) (answered bool, failed error) {
	var (
		outcome Outcome
		order   Order
		err     error
	)
	switch e.Kind {
	case settle:
		outcome, err = o.s.Ledger.Settle(ctx, *e.Settlement)
	case began:
		err = o.s.Ledger.Began(ctx, e.Order, e.At)
	case refund:
		outcome, err = o.s.Ledger.Refund(ctx, e.Order, e.Reason)
	case openByCard:
		order, err = o.s.Ledger.OpenByCard(ctx, *e.Use)
	}
	if ctx.Err() != nil {
		return false, nil
	}
	if err != nil && !errors.Is(err, ErrRefused) {
		o.again(e, err)
		return false, nil
	}
	if err != nil {
		o.s.metrics.ledgerRefused.Inc()
		o.s.Log.Error("the ledger refuses", "kind", e.Kind, "session", e.No, "order", e.Order, "error", err)
	}
	if err := o.note(e, outcome, order, err); err != nil {
		return false, err
	}
	o.mu.Lock()
	delete(o.tries, e.Seq)
	o.mu.Unlock()
	o.waiting.Add(-1)
	return true, nil
}

func (o *outbox) again(e entry, why error) {
	o.s.metrics.ledgerErrors.Inc()
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.tries[e.Seq]
	wait := min(retryFirst<<min(r.count, 16), retryMost)
	o.tries[e.Seq] = retry{count: r.count + 1, at: o.s.Clock.Now().Add(wait), why: why.Error()}
	o.s.Log.Warn("the ledger does not answer", "kind", e.Kind, "session", e.No, "tries", r.count+1, "again_in", wait, "error", why)
}

// note makes the ledger's answer durable and drops the entry.
func (o *outbox) note(e entry, outcome Outcome, order Order, refused error) error {
	c := o.s.store.change()
	c.drop(key('q', e.Seq))
	if e.Kind == refund || e.Kind == began && refused == nil {
		return o.s.commit(c)
	}
	x, err := o.s.store.session(e.No)
	if err != nil {
		return err
	}
	if x == nil {
		return fmt.Errorf("outbox entry %d is of session %d, which is not there", e.Seq, e.No)
	}
	st := o.s.station(x.Station)
	if st == nil {
		return fmt.Errorf("session %d is of station %s, which is not there", e.No, x.Station)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if open := st.open[e.No]; open != nil {
		x = open
	} else if x, err = o.s.store.session(e.No); err != nil { // as it is under the lock
		return err
	}
	switch {
	case e.Kind != settle && refused != nil:
		x.Order, x.Grant, x.Escrow = 0, 0, price.Amount{}
		x.remark(UnknownTag)
		if x.State.Open() {
			o.s.askStop(st, x)
		}
	case e.Kind == openByCard:
		x.Order, x.Escrow, x.MaxSeconds = order.ID, order.Escrow, order.MaxSeconds
		if order.MaxEnergy > 0 {
			x.MaxEnergy = order.MaxEnergy
		}
	case refused != nil:
		x.State, x.Receipt = Refused, refused.Error()
	default:
		x.State, x.Receipt, x.Cost, x.SettledAt = Settled, outcome.Receipt, outcome.Cost, o.s.Clock.Now().UTC()
		x.Settlement = e.Settlement
		c.put(key('c', uint64(x.SettledAt.UnixMilli()), x.No), []byte{})
		o.s.metrics.settled.Inc()
	}
	c.session(x)
	return o.s.commit(c)
}

// status is how many entries wait, and why the oldest troubled one does.
func (o *outbox) status() (waiting int64, trouble string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var first uint64
	for seq, r := range o.tries {
		if first == 0 || seq < first {
			first, trouble = seq, r.why
		}
	}
	return o.waiting.Load(), trouble
}

// finish moves a session that has ended towards its settlement, once nothing more is awaited. st.mu is held; the caller
// commits c and wakes the outbox.
func (s *Service) finish(ctx context.Context, st *station, c *change, x *Session) {
	if x.State != Ended {
		return
	}
	now := s.Clock.Now().UTC()
	if x.Order == 0 && x.Grant == 0 {
		x.State = Unpaid
		s.shelve(st, c, x)
		return
	}
	if x.Order == 0 {
		return // the ledger has not answered for the card
	}
	t, err := s.tariffs.get(ctx, x.Tariff)
	if err != nil {
		s.Log.Warn("a session waits for its tariff", "session", x.No, "error", err)
		return
	}
	if !x.CarLeft && len(st.Meters) == 0 && parks(t) && now.Before(x.Stopped.Add(s.Config.LeaveWait)) && st.connection() != nil && !s.spent(x, now) {
		return // an idle fee runs until the car leaves; a signing meter's ends with its record
	}
	if len(st.Meters) > 0 && now.Before(x.StopArrived.Add(s.Config.EvidenceWait)) {
		connector, _ := st.connector(x.Connector)
		probe := *x
		if _, ok := probe.verify(st.Meters, connector.Power, s.used(x)); !ok {
			return // its signed record may still come
		}
	}
	out, pages, err := x.settle(t, &st.Station, s.used(x))
	if err != nil {
		s.Log.Error("a session cannot be settled", "session", x.No, "error", err)
		return
	}
	x.State, x.Cost = Settling, out.Cost
	for _, p := range pages.pages {
		c.put(pageKey(pages.serial, p), x.No.bytes())
	}
	s.outbox.add(c, entry{Kind: settle, No: x.No, Settlement: &out})
	s.shelve(st, c, x)
}

// shelve takes a session that is over out of memory; its rows stay.
func (s *Service) shelve(st *station, c *change, x *Session) {
	c.session(x)
	delete(st.open, x.No)
}
