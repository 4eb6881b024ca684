package csms

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/cairn-network/cairn/wire/ocpp"
	"github.com/cairn-network/cairn/wire/ocpp/v16"
	"github.com/cairn-network/cairn/wire/ocpp/v201"
)

// commands carries out calls to stations, apart from the handlers, which must not wait for their own station.
type commands struct {
	s     *Service
	slots chan struct{} // one for each call that may exist
	jobs  sync.WaitGroup
	mu    sync.Mutex // guards over, and jobs.Add against Wait
	over  bool
	ctx   context.Context
	stop  context.CancelFunc
}

// maxCommands bounds calls to stations that wait or run; those beyond it are tried again by the sweep.
const maxCommands = 4096

func newCommands(s *Service) *commands {
	c := &commands{s: s, slots: make(chan struct{}, maxCommands)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// run ends what is under way when ctx is done.
func (c *commands) run(ctx context.Context) error {
	<-ctx.Done()
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.stop()
	c.jobs.Wait()
	return nil
}

// do runs f beside, with the time that a station has for an answer; false when there is no room.
func (c *commands) do(f func(context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	select {
	case c.slots <- struct{}{}:
	default:
		return false
	}
	c.jobs.Go(func() {
		defer func() { <-c.slots }()
		ctx, cancel := context.WithTimeout(c.ctx, c.s.Config.CallTimeout)
		defer cancel()
		f(ctx)
	})
	return true
}

// RejectedError is a station's refusal of what it was asked.
type RejectedError struct{ Action, Status string }

func (e *RejectedError) Error() string { return e.Action + " was answered " + e.Status }

func wanted(action, status string) error {
	if status == "Accepted" {
		return nil
	}
	return &RejectedError{action, status}
}

func (st *station) online() (*ocpp.Conn, error) {
	c := st.connection()
	if c == nil {
		return nil, fmt.Errorf("station %s: %w", st.ID, ErrOffline)
	}
	return c, nil
}

func (s *Service) remoteStart(ctx context.Context, st *station, o Order) error {
	c, err := st.online()
	if err != nil {
		return err
	}
	if c.Version == ocpp.V201 {
		q := &v201.RequestStartTransactionRequest{
			IDToken:       v201.IDToken{IDToken: string(o.Tag), Type: v201.IDTokenKindCentral},
			RemoteStartID: int(o.ID & 0x7fffffff),
		}
		if o.Connector > 0 {
			q.EVSEID = &o.Connector
		}
		answer, err := ocpp.Call(ctx, c, q)
		if err != nil {
			return err
		}
		return wanted(q.Action(), string(answer.Status))
	}
	q := &v16.RemoteStartTransaction{IDTag: string(o.Tag)}
	if o.Connector > 0 {
		q.ConnectorID = &o.Connector
	}
	answer, err := ocpp.Call(ctx, c, q)
	if err != nil {
		return err
	}
	return wanted(q.Action(), string(answer.Status))
}

func (s *Service) remoteStop(ctx context.Context, st *station, no SessionNo, version ocpp.Version, tx string) error {
	c, err := st.online()
	if err != nil {
		return err
	}
	if c.Version == ocpp.V201 {
		if tx == "" {
			tx = strconv.Itoa(int(no)) // a session of a station that spoke 1.6 before
		}
		q := &v201.RequestStopTransactionRequest{TransactionID: tx}
		answer, err := ocpp.Call(ctx, c, q)
		if err != nil {
			return err
		}
		return wanted(q.Action(), string(answer.Status))
	}
	q := &v16.RemoteStopTransaction{TransactionID: int(no)}
	answer, err := ocpp.Call(ctx, c, q)
	if err != nil {
		return err
	}
	return wanted(q.Action(), string(answer.Status))
}
