package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/internal/telemetry"
)

func TestServerShowsHealthMetricsAndStatus(t *testing.T) {
	registry := telemetry.NewRegistry()
	pieces := prometheus.NewCounter(prometheus.CounterOpts{Name: "cairn_pieces_total", Help: "Pieces stored."})
	registry.MustRegister(pieces)
	pieces.Add(7)
	s := serve(t, registry)
	var sick error
	s.Check("chain", func(context.Context) error { return sick })
	s.HandleJSON("GET /status", func(context.Context) (any, error) { return map[string]int{"device": 3}, sick })

	status, body := get(t, s, "/metrics", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "cairn_pieces_total 7")
	require.Contains(t, body, "go_goroutines")

	status, body = get(t, s, "/healthz", "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"healthy":true}`, body)
	status, body = get(t, s, "/status", "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"device":3}`, body)

	sick = errors.New("node is 40 s behind")
	status, body = get(t, s, "/healthz", "")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.JSONEq(t, `{"healthy":false,"failing":{"chain":"node is 40 s behind"}}`, body)
	status, _ = get(t, s, "/status", "")
	require.Equal(t, http.StatusServiceUnavailable, status)
}

func TestServerAnswersLoopbackNamesOnly(t *testing.T) {
	s := serve(t, telemetry.NewRegistry())
	for host, want := range map[string]int{
		"localhost:80": http.StatusOK, "127.0.0.1": http.StatusOK, "[::1]:9": http.StatusOK, "[::1]": http.StatusOK,
		"evil.example": http.StatusForbidden, "10.0.0.1:80": http.StatusForbidden,
	} {
		status, _ := get(t, s, "/healthz", host)
		require.Equal(t, want, status, host)
	}
}

func TestListenRefusesTheNetwork(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "example.org:1"} {
		_, err := telemetry.Listen(addr, telemetry.NewRegistry(), slog.New(slog.DiscardHandler))
		require.ErrorIs(t, err, telemetry.ErrNotLoopback, addr)
	}
	_, err := telemetry.Listen("nonsense", telemetry.NewRegistry(), slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "nonsense")
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "warn", telemetry.JSON)
	require.NoError(t, err)
	log.Info("quiet")
	log.Warn("loud", "device", 3)
	require.Contains(t, out.String(), `"msg":"loud","device":3`)
	require.NotContains(t, out.String(), "quiet")
	_, err = telemetry.NewLogger(&out, "chatty", telemetry.Text)
	require.ErrorContains(t, err, "chatty")
	_, err = telemetry.NewLogger(&out, "info", "xml")
	require.ErrorContains(t, err, "xml")
}

func serve(t *testing.T, registry *prometheus.Registry) *telemetry.Server {
	t.Helper()
	s, err := telemetry.Listen("127.0.0.1:0", registry, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return s
}

func get(t *testing.T, s *telemetry.Server, path, host string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+path, nil)
	require.NoError(t, err)
	r.Host = host
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}
