package csms

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cairn-network/cairn/internal/clock"
	"github.com/cairn-network/cairn/wire/ocpp"
)

const (
	// ordersAtOnce is how many the ledger is asked for.
	ordersAtOnce = 256
	// maxOrders bounds those that wait for their start.
	maxOrders = 100_000
	// startAgain is how long after a refused remote start another is tried: the driver may be plugging in.
	startAgain = 15 * time.Second
	// startGrace is how long a station that accepted a remote start may take to report it, past the order's own limit.
	startGrace = time.Minute
	// grantFresh is how long a card's grant is believed without asking again; afterwards it still serves while the ledger
	// does not answer.
	grantFresh = 10 * time.Minute
	// grantPatience is how long a driver at the station waits for the ledger.
	grantPatience = 3 * time.Second
)

// pendingOrder waits for its start.
type pendingOrder struct {
	Order
	tried    time.Time // when a remote start went out last
	accepted time.Time // when the station took it
	trying   bool
}

// orderBook has the orders that no session was made for yet.
type orderBook struct {
	mu    sync.Mutex
	byTag map[string]*pendingOrder
	byID  map[OrderID]*pendingOrder
}

func newOrderBook() *orderBook {
	return &orderBook{byTag: make(map[string]*pendingOrder), byID: make(map[OrderID]*pendingOrder)}
}

func (b *orderBook) add(o Order) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &pendingOrder{Order: o}
	b.byTag[o.Tag.fold()], b.byID[o.ID] = p, p
}

func (b *orderBook) remove(id OrderID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.byID[id]; p != nil {
		delete(b.byID, id)
		delete(b.byTag, p.Tag.fold())
	}
}

// bound says that an order has its session.
func (b *orderBook) bound(id OrderID) { b.remove(id) }

func (b *orderBook) find(tag Tag) (Order, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.byTag[tag.fold()]; p != nil {
		return p.Order, true
	}
	return Order{}, false
}

func (b *orderBook) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.byID)
}

func (s *Service) loadOrders(context.Context) error {
	return s.store.scan(key('o'), nil, func(k, value []byte) (bool, error) {
		var o Order
		if err := unmarshal(value, &o); err != nil {
			return false, fmt.Errorf("order %x: %w", k[1:], err)
		}
		s.orders.add(o)
		return true, nil
	})
}

// pollOrders takes over the sessions that drivers open on the ledger.
func (s *Service) pollOrders(ctx context.Context) error {
	var raw []byte
	if _, err := s.store.get(key('!', "cursor"), &raw); err != nil {
		return err
	}
	cursor := string(raw)
	return clock.Every(ctx, s.Clock, s.Config.Poll, func(ctx context.Context) error {
		for ctx.Err() == nil && s.orders.count() < maxOrders {
			orders, next, err := s.Ledger.Opened(ctx, cursor, ordersAtOnce)
			if err != nil {
				s.metrics.ledgerErrors.Inc()
				s.Log.Warn("asking the ledger for new sessions", "error", err)
				return nil
			}
			if next == cursor {
				break
			}
			if err := s.takeOrders(ctx, orders, next); err != nil {
				return err
			}
			cursor = next
			if len(orders) < ordersAtOnce {
				break
			}
		}
		return nil
	})
}

// takeOrders makes orders and the cursor behind them durable, then starts them.
func (s *Service) takeOrders(ctx context.Context, orders []Order, cursor string) error {
	c := s.store.change()
	for _, o := range orders {
		if s.station(o.Station) == nil {
			s.outbox.add(c, entry{Kind: refund, Order: o.ID, Reason: ConnectorUnknown})
			continue
		}
		c.put(key('o', uint64(o.ID)), o)
	}
	c.put(key('!', "cursor"), []byte(cursor))
	if err := s.commit(c); err != nil {
		return err
	}
	s.outbox.wake()
	for _, o := range orders {
		if s.station(o.Station) == nil {
			continue
		}
		s.orders.add(o)
		if _, err := s.tariffs.get(ctx, o.Tariff); err != nil {
			s.Log.Warn("reading a tariff", "order", o.ID, "error", err)
		}
		s.metrics.orders.Inc()
		s.tryStart(o.ID)
	}
	return nil
}

// tryStart sends a remote start for an order, if its station is connected and none is under way.
func (s *Service) tryStart(id OrderID) {
	now := s.Clock.Now()
	b := s.orders
	b.mu.Lock()
	p := b.byID[id]
	if p == nil || p.trying || !p.accepted.IsZero() || !p.tried.IsZero() && now.Sub(p.tried) < startAgain {
		b.mu.Unlock()
		return
	}
	st := s.station(p.Station)
	if st == nil || st.connection() == nil {
		b.mu.Unlock()
		return
	}
	p.trying, p.tried = true, now
	o := p.Order
	b.mu.Unlock()
	done := func(err error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		p.trying = false
		if err == nil {
			p.accepted = s.Clock.Now()
		} else {
			s.Log.Info("remote start", "station", o.Station, "order", o.ID, "error", err)
		}
	}
	if !s.calls.do(func(ctx context.Context) { done(s.remoteStart(ctx, st, o)) }) {
		done(ocpp.ErrBusy)
	}
}

// overdue refunds orders that nothing started, and tries the others again.
func (s *Service) overdue(now time.Time) error {
	b := s.orders
	b.mu.Lock()
	var late, again []OrderID
	for id, p := range b.byID {
		switch {
		case now.After(p.StartBy) && !p.trying && (p.accepted.IsZero() || now.After(p.accepted.Add(startGrace))):
			late = append(late, id)
		case p.accepted.IsZero():
			again = append(again, id)
		}
	}
	b.mu.Unlock()
	for _, id := range again {
		s.tryStart(id)
	}
	for _, id := range late {
		if err := s.refund(id); err != nil {
			return err
		}
	}
	return nil
}

// refund gives the money of an order back, unless it was started meanwhile: both happen under the station's lock.
func (s *Service) refund(id OrderID) error {
	s.orders.mu.Lock()
	p := s.orders.byID[id]
	s.orders.mu.Unlock()
	if p == nil {
		return nil
	}
	st := s.station(p.Station)
	if st != nil {
		st.mu.Lock()
		defer st.mu.Unlock()
	}
	if _, still := s.orders.find(p.Tag); !still {
		return nil
	}
	c := s.store.change()
	c.drop(key('o', uint64(id)))
	s.outbox.add(c, entry{Kind: refund, Order: id, Reason: StartMissing})
	if err := s.commit(c); err != nil {
		return err
	}
	s.orders.remove(id)
	s.outbox.wake()
	s.metrics.refunds.Inc()
	return nil
}

// permit is what a tag may do.
type permit struct {
	verdict verdict
	order   *Order
	grant   *Grant
	tariff  TariffRef // of a grant's session
}

// permitted asks who pays for a tag at a station; connector 0 is any. It may ask the ledger and must be called without
// st.mu.
func (s *Service) permitted(ctx context.Context, st *station, connector int, tag Tag) permit {
	if tag == "" {
		return permit{verdict: invalid}
	}
	if o, ok := s.orders.find(tag); ok {
		if o.Station != st.ID || connector != 0 && o.Connector != 0 && o.Connector != connector {
			return permit{verdict: invalid}
		}
		return permit{verdict: accepted, order: &o}
	}
	st.mu.Lock()
	running := st.newest(func(x *Session) bool { return x.State.Open() && x.Tag.fold() == tag.fold() })
	place, _ := st.connector(max(connector, 1))
	st.mu.Unlock()
	if running != nil && running.Order != 0 && running.Grant == 0 {
		if connector == 0 {
			return permit{verdict: accepted} // its driver stops it with the same tag
		}
		return permit{verdict: concurrent}
	}
	g, err := s.grant(ctx, tag)
	if err != nil {
		return permit{verdict: invalid}
	}
	if !g.Expires.IsZero() && s.Clock.Now().After(g.Expires) {
		return permit{verdict: expired}
	}
	ref, err := s.named(place.Tariff)
	if err != nil {
		s.Log.Warn("a card cannot be used", "station", st.ID, "connector", connector, "error", err)
		return permit{verdict: invalid}
	}
	return permit{verdict: accepted, grant: &g, tariff: ref}
}

// keptGrant is a grant as the ledger told it.
type keptGrant struct {
	Grant
	Asked time.Time `json:"asked"`
}

// grant asks the ledger who pays for a card, or remembers.
func (s *Service) grant(ctx context.Context, tag Tag) (Grant, error) {
	hash := tag.Hash()
	var kept keptGrant
	found, err := s.store.get(key('g', hash[:]), &kept)
	if err != nil {
		return Grant{}, err
	}
	now := s.Clock.Now()
	if found && now.Sub(kept.Asked) < grantFresh {
		return kept.Grant, nil
	}
	ask, cancel := context.WithTimeout(ctx, grantPatience)
	defer cancel()
	g, err := s.Ledger.Grant(ask, hash)
	c := s.store.change()
	switch {
	case errors.Is(err, ErrNoGrant):
		if !found {
			c.batch.Close()
			return Grant{}, err
		}
		c.drop(key('g', hash[:]))
		return Grant{}, errors.Join(err, s.commit(c))
	case err != nil && found:
		c.batch.Close()
		return kept.Grant, nil
	case err != nil:
		c.batch.Close()
		s.metrics.ledgerErrors.Inc()
		return Grant{}, err
	}
	c.put(key('g', hash[:]), keptGrant{g, now})
	return g, s.commit(c)
}
