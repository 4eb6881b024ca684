// Package web serves Cairn's web page: the built app, embedded, and the narrow read-only window
// through which it sees one network.
//
// The page talks to its own origin and to nothing else, so this package stands between it and the
// node, the gateway and the storage nodes. What passes is a list of routes (New) and of upstream
// paths (allow.go), all of them GET, none of them able to sign, spend or reconfigure. Nothing of
// the browser's request travels on but a checked path and query; nothing of the upstream's answer
// comes back but its status and a JSON body of bounded size.
//
// Two things are kept in memory, shared by every viewer so that a hundred open pages ask for them no
// more than one does: the last blocks (event.go) and the storage nodes' last figures (node.go).
// Nothing runs while nobody looks.
//
// docs/spec/web.md has the routes with their JSON.
package web

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Config says where the parts of the network are. An empty address or nil function means that the
// part is not there; its routes then answer 404 with code "absent" and the page says so.
type Config struct {
	// Base URLs, for example http://127.0.0.1:1317.
	REST string // the node's REST gateway
	RPC  string // CometBFT's RPC
	// JSONRPC is only shown, for wallets; it is never proxied.
	JSONRPC string
	// Gateway is the base URL whose /status is the S3 gateway's.
	Gateway string
	// Nodes lists the storage nodes whose status the page shows. It is called once a round, so the
	// list may change. The addresses come from whoever runs this page, never from the chain: what
	// strangers announce must not steer requests made from here.
	Nodes func() []NodeSource
	// Info is what the page shows of the network around it.
	Info func() Info
	// Hosts are names under which the page may be asked for besides localhost and bare IP
	// addresses. Any other Host is refused, or a foreign site could rebind its own name to this
	// machine and read the page's data.
	Hosts []string
	// Poll is the time between two looks at the chain's height while somebody watches; 1 s if zero.
	Poll time.Duration
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Log receives what the viewer is not told; discarded if nil.
	Log *slog.Logger
}

// Handler serves the page. It is an http.Handler; Close ends its event streams.
type Handler struct {
	mux    *http.ServeMux
	hosts  map[string]bool
	closed chan struct{}
	stop   func()
}

// New makes the page's handler. It connects to nothing yet.
func New(cfg Config) *Handler {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Poll <= 0 {
		cfg.Poll = time.Second
	}
	client := newClient()
	rest := &upstream{name: "chain REST", base: cfg.REST, client: client, log: cfg.Log}
	rpc := &upstream{name: "chain RPC", base: cfg.RPC, client: client, log: cfg.Log}
	gateway := &upstream{name: "gateway", base: cfg.Gateway, client: client, log: cfg.Log}
	nodes := &nodeWatch{sources: cfg.Nodes, client: client, now: cfg.Now}
	follower := newFollower(rpc, cfg.Poll)

	h := &Handler{mux: http.NewServeMux(), hosts: map[string]bool{"localhost": true}, closed: make(chan struct{})}
	h.stop = sync.OnceFunc(func() { close(h.closed) })
	for _, name := range cfg.Hosts {
		h.hosts[strings.ToLower(name)] = true
	}

	h.mux.Handle("GET /api/info", infoHandler(cfg))
	h.mux.Handle("GET /api/nodes", nodes)
	h.mux.Handle("GET /api/events", &eventStream{follower: follower, closed: h.closed, heartbeat: 15 * time.Second})
	h.mux.Handle("GET /api/chain/{path...}", chainProxy(rest))
	h.mux.Handle("GET /api/rpc/{method}", rpcProxy(rpc))
	h.mux.Handle("GET /api/gateway/status", gatewayProxy(gateway, "/status"))
	h.mux.Handle("GET /api/gateway/placement", gatewayProxy(gateway, "/placement", "bucket", "limit"))
	h.mux.HandleFunc("GET /api/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "no_route", "no such route: "+r.URL.Path)
	})
	h.mux.Handle("GET /", newAssets())
	return h
}

// Close ends the event streams, which a server's Shutdown would otherwise wait for; pass it to
// http.Server.RegisterOnShutdown. It may be called more than once.
func (h *Handler) Close() { h.stop() }

// ServeHTTP sets the headers that hold for every answer, refuses what is foreign, and routes.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if !h.knows(r.Host) {
		refuse(w, http.StatusMisdirectedRequest, "host", "this page does not go by the name "+quote(r.Host))
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "method", "this page only answers GET and HEAD")
		return
	}
	h.mux.ServeHTTP(w, r)
}

// knows tells whether the page goes by this Host: a bare address, localhost, or a configured name.
func (h *Handler) knows(host string) bool {
	name := host
	if split, _, err := net.SplitHostPort(host); err == nil {
		name = split
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return h.hosts[name] || strings.HasSuffix(name, ".localhost")
}

// policy lets the page load what this origin serves and run nothing inline. Styles set by script go
// through the CSSOM, which the policy does not concern.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
}
