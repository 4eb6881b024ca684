package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ErrNotLoopback says that the server was asked to show itself to the network. Its pages need
// no password, so it never does; put a proxy in front to publish metrics.
var ErrNotLoopback = errors.New("not a loopback address")

// shutdownGrace is how long requests under way may take once the server is told to stop.
const shutdownGrace = 3 * time.Second

// Server answers on loopback:
//
//	GET /healthz   200 when every check passes, else 503 with the failing ones as JSON
//	GET /metrics   Prometheus text
//
// and whatever its daemon adds with Handle. Requests that name another host than loopback are
// refused, so that a web page cannot reach it by rebinding a DNS name.
type Server struct {
	log      *slog.Logger
	mux      *http.ServeMux
	listener net.Listener

	mu     sync.Mutex
	checks map[string]func(context.Context) error
}

// Listen binds addr (host:port, port 0 for any free one). Run serves it.
func Listen(addr string, registry *prometheus.Registry, log *slog.Logger) (*Server, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("status address %q: %w", addr, err)
	}
	if !loopback(host) {
		return nil, fmt.Errorf("status address %q: %w", addr, ErrNotLoopback)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for status: %w", err)
	}
	s := &Server{
		log: log, mux: http.NewServeMux(), listener: l,
		checks: make(map[string]func(context.Context) error),
	}
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	s.mux.HandleFunc("GET /healthz", s.health)
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Handle adds a page; patterns as in http.ServeMux ("GET /status"). Call it before Run.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// HandleJSON adds a page that shows a value, computed at each request.
func (s *Server) HandleJSON(pattern string, value func(context.Context) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v, err := value(r.Context())
		if err != nil {
			s.log.Warn("answering status request", "path", r.URL.Path, "error", err)
			writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, v)
	})
}

// Check adds a condition of health under a name.
func (s *Server) Check(name string, check func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks[name] = check
}

// Run serves until ctx is done.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler:           http.HandlerFunc(s.guard),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving status: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// Close frees the address of a server that was never run.
func (s *Server) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (s *Server) guard(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if !loopback(host) {
		http.Error(w, "this page answers to loopback names only", http.StatusForbidden)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	checks := make(map[string]func(context.Context) error, len(s.checks))
	for name, check := range s.checks {
		checks[name] = check
	}
	s.mu.Unlock()
	failing := make(map[string]string)
	for name, check := range checks {
		if err := check(r.Context()); err != nil {
			failing[name] = err.Error()
		}
	}
	if len(failing) > 0 {
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"healthy": false, "failing": failing})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"healthy": true})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
