package ocpp

import (
	"context"
	"encoding/json"
	"fmt"
)

// Request is a message that calls; R is what answers it. v16 and v201 have them.
type Request[R any] interface {
	// Action is the name in the frame.
	Action() string
	// Response is a new value that the answer is read into.
	Response() *R
}

// Call sends a request and waits for its answer, with the errors of Invoke. A request that breaks its own schema is not
// sent.
func Call[R any](ctx context.Context, c *Conn, request Request[R]) (*R, error) {
	if err := Check(request); err != nil {
		return nil, fmt.Errorf("calling %s of %s: %w", request.Action(), c.Peer, err)
	}
	payload, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("calling %s of %s: %w", request.Action(), c.Peer, err)
	}
	raw, err := c.Invoke(ctx, request.Action(), payload)
	if err != nil {
		return nil, err
	}
	response := request.Response()
	if _, err := Decode(raw, response); err != nil {
		return nil, fmt.Errorf("answer of %s to %s: %w", c.Peer, request.Action(), err)
	}
	return response, nil
}

// Mux has one function for each action. P is what the functions are told of the peer. Build it once with On; it is then
// safe for concurrent use.
type Mux[P any] struct {
	// Mended hears how a payload deviated; nil for nobody.
	Mended func(peer P, action string, how []Deviation)
	routes map[string]func(ctx context.Context, peer P, payload json.RawMessage) (any, error)
}

// On has f answer calls that carry a Q.
func On[P, Q any, PQ interface {
	*Q
	Request[R]
}, R any](m *Mux[P], f func(ctx context.Context, peer P, request PQ) (*R, error)) {
	if m.routes == nil {
		m.routes = make(map[string]func(context.Context, P, json.RawMessage) (any, error))
	}
	action := PQ(new(Q)).Action()
	m.routes[action] = func(ctx context.Context, peer P, payload json.RawMessage) (any, error) {
		request := PQ(new(Q))
		how, err := Decode(payload, request)
		if len(how) > 0 && m.Mended != nil {
			m.Mended(peer, action, how)
		}
		if err != nil {
			return nil, err
		}
		response, err := f(ctx, peer, request)
		if err != nil {
			return nil, err
		}
		return response, nil
	}
}

// Serve answers one call of peer.
func (m *Mux[P]) Serve(ctx context.Context, peer P, action string, payload json.RawMessage) (any, error) {
	route, ok := m.routes[action]
	if !ok {
		return nil, Refuse(NotImplemented, "there is no action %q here", action)
	}
	return route(ctx, peer, payload)
}
