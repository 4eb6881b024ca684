package ocpp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Version is an edition of the standard, spelled as its WebSocket subprotocol.
type Version string

// Editions that are spoken.
const (
	V16  Version = "ocpp1.6"
	V201 Version = "ocpp2.0.1"
)

// Bounds of a session.
const (
	// MaxWaiting is how many calls may wait for one peer; more are ErrBusy.
	MaxWaiting = 32
	// maxMalformed is how many frames in a row may be none before the connection is given up.
	maxMalformed = 8
	writeWait    = 10 * time.Second
)

// Handler answers a peer's calls, one after the other. It returns what marshals to the answer's payload, or an error:
// an *Error goes to the peer as it is.
type Handler interface {
	ServeOCPP(ctx context.Context, c *Conn, action string, payload json.RawMessage) (any, error)
}

// Observer hears of what is odd, for counters and logs; any function may be nil.
type Observer struct {
	Malformed func(c *Conn, err error)             // bytes that are no frame
	Stray     func(c *Conn, id string)             // an answer to no call under way: late, or twice
	Frame     func(c *Conn, sent bool, raw []byte) // every frame; raw is not to be kept
}

// Conn is one end of a session. Calls may come from any goroutine; Serve runs once.
type Conn struct {
	// Peer is the station's identity, as its path named and its credentials proved it.
	Peer    string
	Version Version

	ws       *websocket.Conn
	observer Observer
	idle     time.Duration // without any frame, pong included, for so long the peer is gone

	turn    chan struct{} // held by the call under way
	waiting atomic.Int32
	nextID  atomic.Uint64

	write sync.Mutex // guards writes and out
	out   []byte

	mu      sync.Mutex
	pending map[string]chan Frame // calls under way by id
	err     error                 // why the session ended
	done    chan struct{}

	calls, answers atomic.Uint64
}

func newConn(ws *websocket.Conn, peer string, v Version, idle time.Duration, o Observer) *Conn {
	c := &Conn{
		Peer: peer, Version: v, ws: ws, observer: o, idle: idle,
		turn: make(chan struct{}, 1), pending: make(map[string]chan Frame), done: make(chan struct{}),
	}
	ws.SetReadLimit(MaxFrame)
	ws.SetPongHandler(func(string) error { return c.alive() })
	ping := ws.PingHandler()
	ws.SetPingHandler(func(data string) error { return errors.Join(c.alive(), ping(data)) })
	return c
}

func (c *Conn) alive() error {
	if c.idle == 0 {
		return nil
	}
	return c.ws.SetReadDeadline(time.Now().Add(c.idle))
}

// Serve reads frames and has h answer calls until the connection ends or ctx is done; it returns why, ErrClosed for an
// orderly end. h may be nil for a peer that is only called.
func (c *Conn) Serve(ctx context.Context, h Handler) error {
	stop := context.AfterFunc(ctx, func() { c.Close(websocket.CloseGoingAway, "going down") })
	defer stop()
	err := c.serve(ctx, h)
	c.end(err)
	return err
}

func (c *Conn) serve(ctx context.Context, h Handler) error {
	malformed := 0
	for {
		if err := c.alive(); err != nil {
			return fmt.Errorf("%w: %w", ErrClosed, err)
		}
		kind, raw, err := c.ws.ReadMessage()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrClosed, err)
		}
		if c.observer.Frame != nil {
			c.observer.Frame(c, false, raw)
		}
		f, err := ParseFrame(raw)
		if err == nil && kind != websocket.TextMessage {
			err = fmt.Errorf("%w: a binary message", ErrFrame)
		}
		if err != nil {
			if c.observer.Malformed != nil {
				c.observer.Malformed(c, err)
			}
			if malformed++; malformed >= maxMalformed {
				c.Close(websocket.ClosePolicyViolation, "too many malformed frames")
				return err
			}
			if f.Kind == KindCall && f.ID != "" {
				if err := c.refuse(f.ID, Refuse(FormationViolation, "%v", err)); err != nil {
					return err
				}
			}
			continue
		}
		malformed = 0
		if f.Kind != KindCall {
			c.deliver(f)
			continue
		}
		c.calls.Add(1)
		if err := c.answer(ctx, h, f); err != nil {
			return err
		}
	}
}

func (c *Conn) answer(ctx context.Context, h Handler, f Frame) error {
	if h == nil {
		return c.refuse(f.ID, Refuse(NotSupported, "%s is not done here", f.Action))
	}
	reply, err := h.ServeOCPP(ctx, c, f.Action, f.Payload)
	if err != nil {
		return c.refuse(f.ID, asError(err))
	}
	payload, err := json.Marshal(reply)
	if err != nil {
		return c.refuse(f.ID, asError(fmt.Errorf("marshalling the answer to %s: %w", f.Action, err)))
	}
	return c.send(func(b []byte) []byte { return AppendResult(b, f.ID, payload) })
}

func (c *Conn) refuse(id string, e *Error) error {
	spelled := *e
	spelled.Code = e.Code.Spell(c.Version)
	return c.send(func(b []byte) []byte { return AppendError(b, id, &spelled) })
}

// send writes one frame.
func (c *Conn) send(frame func([]byte) []byte) error {
	c.write.Lock()
	defer c.write.Unlock()
	c.out = frame(c.out[:0])
	if c.observer.Frame != nil {
		c.observer.Frame(c, true, c.out)
	}
	if err := c.ws.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	if err := c.ws.WriteMessage(websocket.TextMessage, c.out); err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	if cap(c.out) > MaxFrame/8 { // a large one is not kept for ever
		c.out = nil
	}
	return nil
}

func (c *Conn) deliver(f Frame) {
	c.mu.Lock()
	answer, ok := c.pending[f.ID]
	delete(c.pending, f.ID)
	c.mu.Unlock()
	if !ok {
		if c.observer.Stray != nil {
			c.observer.Stray(c, f.ID)
		}
		return
	}
	c.answers.Add(1)
	answer <- f // has room
}

// Invoke calls the peer and waits for the answer's payload, a refusal (*Error), ErrTimeout when ctx runs out, ErrClosed or
// ErrBusy. Calls go out one at a time, in no promised order. Peer's handlers must not use it.
func (c *Conn) Invoke(ctx context.Context, action string, payload []byte) (json.RawMessage, error) {
	if c.waiting.Add(1) > MaxWaiting {
		c.waiting.Add(-1)
		return nil, fmt.Errorf("calling %s of %s: %w", action, c.Peer, ErrBusy)
	}
	defer c.waiting.Add(-1)
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("calling %s of %s: %w", action, c.Peer, timeout(ctx))
	case <-c.done:
		return nil, fmt.Errorf("calling %s of %s: %w", action, c.Peer, ErrClosed)
	}
	id := strconv.FormatUint(c.nextID.Add(1), 36)
	answer := make(chan Frame, 1)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, fmt.Errorf("calling %s of %s: %w", action, c.Peer, ErrClosed)
	}
	c.pending[id] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
	}()
	if err := c.send(func(b []byte) []byte { return AppendCall(b, id, action, payload) }); err != nil {
		return nil, fmt.Errorf("calling %s of %s: %w", action, c.Peer, err)
	}
	select {
	case f := <-answer:
		if f.Kind == KindError {
			return nil, f.Err
		}
		return f.Payload, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("calling %s of %s: %w", action, c.Peer, timeout(ctx))
	case <-c.done:
		return nil, fmt.Errorf("calling %s of %s: %w", action, c.Peer, ErrClosed)
	}
}

func timeout(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ErrTimeout
	}
	return ctx.Err()
}

// Ping asks the peer for a sign of life; the answer renews the idle deadline.
func (c *Conn) Ping() error {
	if err := c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)); err != nil {
		return fmt.Errorf("pinging %s: %w", c.Peer, err)
	}
	return nil
}

// Close says goodbye and cuts; Serve returns soon after. It may be called at any time, more than once.
func (c *Conn) Close(code int, reason string) {
	// A peer that takes nothing any more must not hold up whoever closes.
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, clip(reason, 120)), time.Now().Add(time.Second))
	_ = c.ws.Close()
}

// Done is closed once Serve has returned.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Counts are the calls of the peer that were handled, and its answers to ours.
func (c *Conn) Counts() (calls, answers uint64) { return c.calls.Load(), c.answers.Load() }

func (c *Conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	if err == nil {
		err = ErrClosed
	}
	c.err = err
	close(c.done)
	_ = c.ws.Close()
}
