package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// maxAnswer bounds what is read of one upstream answer. A full page of a list query is well
	// below it; the results of a block full of settlements come closest.
	maxAnswer = 8 << 20
	// askTimeout bounds one question to the node or gateway.
	askTimeout = 8 * time.Second
)

// Errors of asking an upstream.
var (
	errAbsent   = errors.New("not part of this network")
	errTooLarge = errors.New("answer too large")
)

// newClient makes the client for all upstreams: it follows no redirect (an upstream that sends us
// elsewhere is not one of ours), uses no proxy from the environment and opens a bounded number of
// connections to each.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 4,
			MaxConnsPerHost:     16,
			IdleConnTimeout:     30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// upstream is one part of the network that answers JSON over HTTP.
type upstream struct {
	name   string // for people
	base   string // URL without path; empty when the part is not there
	client *http.Client
	log    *slog.Logger
}

// get asks for path with query and returns the status and the body, at most limit bytes. It fails
// with errAbsent, errTooLarge, or the transport's error.
func (u *upstream) get(ctx context.Context, path string, query url.Values, limit int64) (int, []byte, error) {
	if u.base == "" {
		return 0, nil, fmt.Errorf("%s: %w", u.name, errAbsent)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	status, body, err := fetch(ctx, u.client, u.base+path, query, limit)
	if err != nil {
		return 0, nil, fmt.Errorf("asking %s for %s: %w", u.name, path, err)
	}
	return status, body, nil
}

// getJSON is get for an answer that must be 200 and decode into v.
func (u *upstream) getJSON(ctx context.Context, path string, query url.Values, limit int64, v any) error {
	status, body, err := u.get(ctx, path, query, limit)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("asking %s for %s: status %d", u.name, path, status)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("reading %s from %s: %w", path, u.name, err)
	}
	return nil
}

// fetch does one GET with nothing in it but an address.
func fetch(ctx context.Context, client *http.Client, address string, query url.Values, limit int64) (int, []byte, error) {
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return 0, nil, err
	}
	if int64(len(body)) > limit {
		return 0, nil, fmt.Errorf("%w: more than %d bytes", errTooLarge, limit)
	}
	return resp.StatusCode, body, nil
}

// pass asks the upstream and hands its status and body to the viewer; fix, if not nil, may rewrite
// a body of status 200.
func (u *upstream) pass(w http.ResponseWriter, r *http.Request, path string, query url.Values, fix func([]byte) ([]byte, error)) {
	status, body, err := u.get(r.Context(), path, query, maxAnswer)
	if err == nil && status == http.StatusOK && fix != nil {
		body, err = fix(body)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return // the viewer left
	case errors.Is(err, errAbsent):
		refuse(w, http.StatusNotFound, "absent", u.name+" is "+errAbsent.Error())
	case errors.Is(err, context.DeadlineExceeded):
		refuse(w, http.StatusGatewayTimeout, "timeout", u.name+" did not answer in "+askTimeout.String())
	case errors.Is(err, errTooLarge):
		refuse(w, http.StatusBadGateway, "too_large", u.name+" answered more than "+strconv.Itoa(maxAnswer>>20)+" MiB")
	case err != nil:
		u.log.Debug("upstream does not answer", "upstream", u.name, "path", path, "err", err)
		refuse(w, http.StatusBadGateway, "unreachable", u.name+" does not answer")
	case !json.Valid(body):
		// CometBFT and the SDK answer some failures in plain text; the page expects JSON always.
		if status < http.StatusBadRequest {
			status = http.StatusBadGateway
		}
		refuse(w, status, "not_json", u.name+" answered with something other than JSON")
	case status >= 300 && status < 400:
		refuse(w, http.StatusBadGateway, "redirect", u.name+" wants to redirect, which is not followed")
	default:
		reply(w, status, body)
	}
}

// reply writes a JSON body that no cache may keep.
func reply(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the viewer may be gone; nobody is left to tell
}

func replyJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "encoding", err.Error())
		return
	}
	reply(w, http.StatusOK, body)
}

// refuse answers with a code for programs and a sentence for people.
func refuse(w http.ResponseWriter, status int, code, message string) {
	body, _ := json.Marshal(struct { // two strings always marshal
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code, message})
	reply(w, status, body)
}

// quote shows at most 80 characters of what someone sent.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return strconv.Quote(s)
}
