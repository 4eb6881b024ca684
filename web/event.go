package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// keptBlocks is how many blocks a newcomer is shown at once.
	keptBlocks = 60
	// blockchainPage is how many headers CometBFT returns in one answer.
	blockchainPage = 20
	// maxStreams bounds the viewers; one more is asked to come back later.
	maxStreams = 256
	// writeTimeout is how long a viewer may block its stream before it is dropped.
	writeTimeout = 10 * time.Second
)

// block is one block as the page's strip shows it.
type block struct {
	Height   int64     `json:"height,string"`
	Time     time.Time `json:"time"`
	Hash     string    `json:"hash"`
	Txs      int       `json:"txs"`
	Proposer string    `json:"proposer"` // consensus address, hex
}

// chainState is whether the chain answers.
type chainState struct {
	Up         bool   `json:"up"`
	CatchingUp bool   `json:"catching_up"`
	ChainID    string `json:"chain_id,omitempty"`
	Error      string `json:"error,omitempty"`
}

// follower looks at the chain's height for all viewers together, and only while there is one.
//
// What it knows is a small state, not a queue: the newest blocks and whether the chain answers.
// Every change closes `changed` and replaces it; a viewer that was too slow for keptBlocks blocks
// misses the oldest of them and holds up nobody.
type follower struct {
	rpc  *upstream
	poll time.Duration

	life    sync.Mutex // guards viewers and the loop's start and end; never taken by the loop
	viewers int
	stop    func() // ends the loop and waits for it

	mu      sync.Mutex // guards what follows
	changed chan struct{}
	known   bool // whether state is from this run of the loop
	state   chainState
	blocks  []block // ascending by height, at most keptBlocks
}

func newFollower(rpc *upstream, poll time.Duration) *follower {
	return &follower{rpc: rpc, poll: poll, changed: make(chan struct{})}
}

var errFull = errors.New("too many viewers")

// join counts a viewer in; the first one starts the loop. Who joined must leave.
func (f *follower) join() error {
	f.life.Lock()
	defer f.life.Unlock()
	if f.viewers >= maxStreams {
		return errFull
	}
	f.viewers++
	if f.viewers > 1 {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.follow(ctx)
	}()
	f.stop = func() { cancel(); <-done }
	return nil
}

// leave counts a viewer out; the last one ends the loop and waits for it.
func (f *follower) leave() {
	f.life.Lock()
	defer f.life.Unlock()
	f.viewers--
	if f.viewers == 0 {
		f.stop()
	}
}

func (f *follower) follow(ctx context.Context) {
	f.mu.Lock()
	f.known = false
	f.mu.Unlock()
	tick := time.NewTicker(f.poll)
	defer tick.Stop()
	for {
		f.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look asks for the height and, where it grew, for the new headers.
func (f *follower) look(ctx context.Context) {
	state, earliest, height, err := f.status(ctx)
	if ctx.Err() != nil {
		return
	}
	var fresh []block
	if err == nil {
		fresh, err = f.headers(ctx, earliest, height)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		f.rpc.log.Debug("the chain does not answer", "err", err)
		state = chainState{ChainID: state.ChainID, Error: "the chain does not answer"}
		if errors.Is(err, errAbsent) {
			state.Error = "no chain is connected to this page"
		}
	}
	f.set(state, height, fresh)
}

// set takes over what was seen and wakes the viewers if it is news.
func (f *follower) set(state chainState, height int64, fresh []block) {
	f.mu.Lock()
	defer f.mu.Unlock()
	news := !f.known || state != f.state || len(fresh) > 0
	f.known, f.state = true, state
	if state.Up && len(f.blocks) > 0 && height < f.blocks[len(f.blocks)-1].Height {
		f.blocks, news = nil, true // another chain has begun at the same address
	}
	f.blocks = append(f.blocks, fresh...)
	if extra := len(f.blocks) - keptBlocks; extra > 0 {
		f.blocks = slices.Clone(f.blocks[extra:])
	}
	if news {
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

// view returns the blocks above a height, the chain's state if known, and a channel that is closed
// at the next change.
func (f *follower) view(above int64) (blocks []block, state chainState, known bool, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.blocks); n > 0 && f.blocks[n-1].Height < above {
		above = 0 // the viewer remembers another chain
	}
	from, _ := slices.BinarySearchFunc(f.blocks, above+1, func(b block, h int64) int { return int(b.Height - h) })
	return slices.Clone(f.blocks[from:]), f.state, f.known, f.changed
}

// status returns the chain's state and the heights of the oldest and newest block that the node has.
func (f *follower) status(ctx context.Context) (state chainState, earliest, height int64, err error) {
	var answer struct {
		Result struct {
			NodeInfo struct {
				Network string `json:"network"`
			} `json:"node_info"`
			SyncInfo struct {
				Earliest   int64 `json:"earliest_block_height,string"`
				Height     int64 `json:"latest_block_height,string"`
				CatchingUp bool  `json:"catching_up"`
			} `json:"sync_info"`
		} `json:"result"`
	}
	if err := f.rpc.getJSON(ctx, "/status", nil, maxAnswer, &answer); err != nil {
		return chainState{}, 0, 0, err
	}
	sync := answer.Result.SyncInfo
	return chainState{
		Up: true, CatchingUp: sync.CatchingUp, ChainID: answer.Result.NodeInfo.Network,
	}, sync.Earliest, sync.Height, nil
}

// headers returns the blocks that are not yet known, ascending, at most keptBlocks.
func (f *follower) headers(ctx context.Context, earliest, height int64) ([]block, error) {
	from := max(1, earliest, height-keptBlocks+1)
	f.mu.Lock()
	if n := len(f.blocks); n > 0 && f.blocks[n-1].Height <= height {
		from = max(from, f.blocks[n-1].Height+1)
	}
	f.mu.Unlock()
	var all []block
	for low := from; low <= height; low += blockchainPage {
		page, err := f.page(ctx, low, min(height, low+blockchainPage-1))
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
	}
	return all, nil
}

// page returns the headers from low to high, ascending.
func (f *follower) page(ctx context.Context, low, high int64) ([]block, error) {
	var answer struct {
		Result struct {
			Metas []struct {
				ID struct {
					Hash string `json:"hash"`
				} `json:"block_id"`
				Header struct {
					Height   int64     `json:"height,string"`
					Time     time.Time `json:"time"`
					Proposer string    `json:"proposer_address"`
				} `json:"header"`
				Txs int `json:"num_txs,string"`
			} `json:"block_metas"`
		} `json:"result"`
	}
	query := url.Values{"minHeight": {strconv.FormatInt(low, 10)}, "maxHeight": {strconv.FormatInt(high, 10)}}
	if err := f.rpc.getJSON(ctx, "/blockchain", query, maxAnswer, &answer); err != nil {
		return nil, err
	}
	var blocks []block
	for _, meta := range answer.Result.Metas {
		if h := meta.Header.Height; h < low || h > high {
			return nil, fmt.Errorf("asked for blocks %d to %d, got %d", low, high, h)
		}
		blocks = append(blocks, block{
			Height: meta.Header.Height, Time: meta.Header.Time, Hash: meta.ID.Hash,
			Txs: meta.Txs, Proposer: meta.Header.Proposer,
		})
	}
	slices.SortFunc(blocks, func(a, b block) int { return int(a.Height - b.Height) })
	return slices.CompactFunc(blocks, func(a, b block) bool { return a.Height == b.Height }), nil
}

// eventStream pushes blocks and the chain's state as Server-Sent Events (HTML Living Standard,
// section 9.2). A browser that lost its connection says by Last-Event-ID which height it has.
type eventStream struct {
	follower  *follower
	closed    <-chan struct{}
	heartbeat time.Duration // a comment this often keeps proxies from closing a quiet stream
}

func (s *eventStream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	if err := s.follower.join(); err != nil {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, "full", "too many pages are open; this one will try again")
		return
	}
	defer s.follower.leave()

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	out := &eventWriter{w: w, control: http.NewResponseController(w)}
	out.write("retry: 1000\n\n")

	heartbeat := time.NewTicker(s.heartbeat)
	defer heartbeat.Stop()
	seen, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64) // 0 when absent or foreign
	var last chainState
	told := false
	for out.flush() == nil {
		blocks, state, known, changed := s.follower.view(seen)
		if known && (!told || state != last) {
			out.event("chain", "", state)
			last, told = state, true
		}
		for _, b := range blocks {
			out.event("block", strconv.FormatInt(b.Height, 10), b)
			seen = b.Height
		}
		if out.flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-heartbeat.C:
			out.write(":\n\n")
		case <-r.Context().Done():
			return
		case <-s.closed:
			return
		}
	}
}

// eventWriter writes events until the first error, which it keeps.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (e *eventWriter) write(text string) {
	if e.err != nil {
		return
	}
	// Not every ResponseWriter has deadlines; one without has its server's.
	if err := e.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		e.err = err
		return
	}
	_, e.err = e.w.Write([]byte(text))
}

// event writes one event; its data is JSON on one line, which json.Marshal always gives.
func (e *eventWriter) event(name, id string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		e.err = err
		return
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	e.write("event: " + name + "\n" + id + "data: " + string(text) + "\n\n")
}

func (e *eventWriter) flush() error {
	if e.err == nil {
		e.err = e.control.Flush()
	}
	return e.err
}
