package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	nodeTimeout = 2 * time.Second
	nodeFresh   = time.Second // a round younger than this answers the next viewer too
	nodeWorkers = 16
	maxStatus   = 256 << 10
)

// NodeSource is a storage node whose status the page shows.
type NodeSource struct {
	Name     string
	DeviceID uint64 // 0 while it has not registered
	URL      string // base URL; its status is at URL/status
}

// nodeReport is one node as the page sees it. A node that does not answer keeps the figures of its
// last answer, so that an owner sees what was there.
type nodeReport struct {
	Name     string `json:"name"`
	DeviceID uint64 `json:"device_id,string"`
	Up       bool   `json:"up"`
	// Error says why it is down, in words.
	Error string `json:"error,omitempty"`
	// SeenAt is the Unix time in seconds of the last answer, 0 for none since this page started.
	SeenAt    int64 `json:"seen_at"`
	LatencyMS int64 `json:"latency_ms"`
	// Status is what the node said, with large integers as strings.
	Status json.RawMessage `json:"status,omitempty"`
}

// nodeWatch asks all nodes at once, one round at a time, and remembers their last answers.
type nodeWatch struct {
	sources func() []NodeSource
	client  *http.Client
	now     func() time.Time

	mu     sync.Mutex // held through a round: whoever comes meanwhile gets its result
	round  time.Time
	latest []nodeReport
}

func (n *nodeWatch) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	replyJSON(w, n.reports())
}

// reports returns one report a node, by device id and then name. It does not end with the request
// that caused it, because others wait for the same round; nodeTimeout bounds it.
func (n *nodeWatch) reports() []nodeReport {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.latest != nil && n.now().Sub(n.round) < nodeFresh {
		return n.latest
	}
	var sources []NodeSource
	if n.sources != nil {
		sources = n.sources()
	}
	known := make(map[string]nodeReport, len(n.latest))
	for _, report := range n.latest {
		known[report.Name] = report
	}
	reports := make([]nodeReport, len(sources))
	slots := make(chan struct{}, nodeWorkers)
	var wait sync.WaitGroup
	for i, source := range sources {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			reports[i] = n.ask(source, known[source.Name])
		})
	}
	wait.Wait()
	slices.SortFunc(reports, func(a, b nodeReport) int {
		return cmp.Or(cmp.Compare(a.DeviceID, b.DeviceID), cmp.Compare(a.Name, b.Name))
	})
	n.latest, n.round = reports, n.now()
	return reports
}

// ask gets one node's status; last is its report of the round before.
func (n *nodeWatch) ask(source NodeSource, last nodeReport) nodeReport {
	report := nodeReport{Name: source.Name, DeviceID: cmp.Or(source.DeviceID, last.DeviceID), SeenAt: last.SeenAt, Status: last.Status}
	ctx, cancel := context.WithTimeout(context.Background(), nodeTimeout)
	defer cancel()
	asked := n.now()
	code, body, err := fetch(ctx, n.client, source.URL+"/status", nil, maxStatus)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("status %d", code)
	}
	var status json.RawMessage
	if err == nil {
		status, err = quoteLargeIntegers(body)
	}
	var figures struct {
		DeviceID json.Number `json:"device_id"`
	}
	if err == nil && len(status) > 0 && status[0] != '{' {
		err = errors.New("its status is not a JSON object")
	}
	if err != nil {
		report.Error = reason(err)
		return report
	}
	// Only for its id; a status whose id has another form is shown all the same.
	_ = json.Unmarshal(status, &figures)
	if id, err := figures.DeviceID.Int64(); err == nil && id > 0 && report.DeviceID == 0 {
		report.DeviceID = uint64(id)
	}
	report.Up, report.Status = true, status
	report.SeenAt, report.LatencyMS = n.now().Unix(), n.now().Sub(asked).Milliseconds()
	return report
}

// reason says in words why a node does not answer, without its address.
func reason(err error) string {
	var address *url.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in " + nodeTimeout.String()
	case errors.Is(err, errTooLarge):
		return "its status is larger than 256 KiB"
	case errors.As(err, &address):
		return address.Err.Error()
	default:
		return err.Error()
	}
}
