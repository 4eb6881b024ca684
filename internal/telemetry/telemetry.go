// Package telemetry is how a daemon tells what it does: structured logs, Prometheus metrics
// and a small HTTP server on loopback for the machine's owner and their monitoring.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Format is how log records are written.
type Format string

// The formats of logs.
const (
	Text Format = "text" // key=value, for people
	JSON Format = "json" // one object a line, for collectors
)

// NewLogger writes records of at least the level ("debug", "info", "warn", "error") to w.
func NewLogger(w io.Writer, level string, format Format) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: use debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: l}
	switch format {
	case Text:
		return slog.New(slog.NewTextHandler(w, options)), nil
	case JSON:
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("log format %q: use text or json", format)
	}
}

// NewRegistry is a registry of its own, never the global one, that already reports the Go
// runtime and the process.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}
