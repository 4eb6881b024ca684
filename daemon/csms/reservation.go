package csms

import (
	"context"
	"fmt"
	"time"

	"github.com/cairn-network/cairn/wire/ocpp"
	"github.com/cairn-network/cairn/wire/ocpp/v16"
	"github.com/cairn-network/cairn/wire/ocpp/v201"
)

// Reservation keeps a connector for a tag. The station enforces it.
type Reservation struct {
	ID        int       `json:"id"`
	Station   string    `json:"station"`
	Connector int       `json:"connector"`
	Tag       Tag       `json:"tag"`
	Until     time.Time `json:"until"`
}

// longestReservation bounds them.
const longestReservation = 24 * time.Hour

// Reserve asks a station to keep a connector. A station that refuses is a RejectedError with its word for why.
func (s *Service) Reserve(ctx context.Context, id string, connector int, tag Tag, until time.Time) (Reservation, error) {
	st := s.station(id)
	if st == nil {
		return Reservation{}, fmt.Errorf("reserving at %q: %w", id, ErrNoSuchStation)
	}
	now := s.Clock.Now()
	switch {
	case tag == "" || len(tag) > 20:
		return Reservation{}, fmt.Errorf("reserving at %s: a tag of %d characters: 1 to 20 are allowed", id, len(tag))
	case until.Before(now) || until.After(now.Add(longestReservation)):
		return Reservation{}, fmt.Errorf("reserving at %s until %s: it must end within %s", id, until.Format(time.RFC3339), longestReservation)
	}
	st.mu.Lock()
	_, ok := st.connector(connector)
	st.mu.Unlock()
	if !ok {
		return Reservation{}, fmt.Errorf("reserving at %s: there is no connector %d", id, connector)
	}
	c, err := st.online()
	if err != nil {
		return Reservation{}, err
	}
	no, err := s.give() // ids of reservations and transactions may share their numbers
	if err != nil {
		return Reservation{}, err
	}
	r := Reservation{ID: int(no), Station: id, Connector: connector, Tag: tag, Until: until.UTC()}
	row := s.store.change()
	row.put(key('r', no), r)
	if err := s.commit(row); err != nil { // before the station has it: one that only we know does no harm
		return Reservation{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Config.CallTimeout)
	defer cancel()
	var status string
	if c.Version == ocpp.V201 {
		answer, cerr := ocpp.Call(ctx, c, &v201.ReserveNowRequest{
			ID: r.ID, ExpiryDateTime: ocpp.TimeOf(until), IDToken: v201.IDToken{IDToken: string(tag), Type: v201.IDTokenKindCentral}, EVSEID: &connector,
		})
		if err = cerr; err == nil {
			status = string(answer.Status)
		}
	} else {
		answer, cerr := ocpp.Call(ctx, c, &v16.ReserveNow{ConnectorID: connector, ExpiryDate: ocpp.TimeOf(until), IDTag: string(tag), ReservationID: r.ID})
		if err = cerr; err == nil {
			status = string(answer.Status)
		}
	}
	if err == nil {
		err = wanted("ReserveNow", status)
	}
	if err != nil {
		row := s.store.change()
		row.drop(key('r', no))
		if derr := s.commit(row); derr != nil {
			return Reservation{}, derr
		}
		return Reservation{}, err
	}
	return r, nil
}

// CancelReservation gives a connector free again.
func (s *Service) CancelReservation(ctx context.Context, id int) error {
	var r Reservation
	found, err := s.store.get(key('r', SessionNo(id)), &r)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("there is no reservation %d", id)
	}
	st := s.station(r.Station)
	if st == nil {
		return fmt.Errorf("reservation %d: %w", id, ErrNoSuchStation)
	}
	c, err := st.online()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Config.CallTimeout)
	defer cancel()
	if c.Version == ocpp.V201 {
		_, err = ocpp.Call(ctx, c, &v201.CancelReservationRequest{ReservationID: id})
	} else {
		_, err = ocpp.Call(ctx, c, &v16.CancelReservation{ReservationID: id})
	}
	if err != nil {
		return err
	}
	return s.endReservation(st, id)
}

// endReservation forgets one of a station: used, expired or taken back.
func (s *Service) endReservation(st *station, id int) error {
	var r Reservation
	found, err := s.store.get(key('r', SessionNo(id)), &r)
	if err != nil || !found || r.Station != st.ID {
		return err
	}
	c := s.store.change()
	c.drop(key('r', SessionNo(id)))
	return s.commit(c)
}

// Reservations lists those that have not ended.
func (s *Service) Reservations() ([]Reservation, error) {
	out := []Reservation{}
	now := s.Clock.Now()
	err := s.store.scan(key('r'), nil, func(_, value []byte) (bool, error) {
		var r Reservation
		if err := unmarshal(value, &r); err != nil {
			return false, err
		}
		if r.Until.After(now) {
			out = append(out, r)
		}
		return true, nil
	})
	return out, err
}
