package ocpp

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// DialConfig is how a station connects.
type DialConfig struct {
	// URL of the central system, ws:// or wss://, without the station.
	URL     string
	Station string
	// Password for profiles 1 and 2; empty for none.
	Password string
	// TLS for profiles 2 and 3; nil for the system's authorities.
	TLS *tls.Config
	// Versions offered, the preferred first.
	Versions []Version
	Idle     time.Duration
	Observer Observer
}

// RefusedError is a handshake that the central system answered with an HTTP status.
type RefusedError struct{ Status int }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("connection refused: %d %s", e.Status, http.StatusText(e.Status))
}

// Dial connects as a station. The caller runs Serve on what it returns.
func Dial(ctx context.Context, config DialConfig) (*Conn, error) {
	d := websocket.Dialer{
		HandshakeTimeout: handshakeTimeout, TLSClientConfig: config.TLS,
		ReadBufferSize: 2048, WriteBufferSize: 2048,
	}
	for _, v := range config.Versions {
		d.Subprotocols = append(d.Subprotocols, string(v))
	}
	header := http.Header{}
	if config.Password != "" {
		token := base64.StdEncoding.EncodeToString([]byte(config.Station + ":" + config.Password))
		header.Set("Authorization", "Basic "+token)
	}
	target := strings.TrimSuffix(config.URL, "/") + "/" + url.PathEscape(config.Station)
	ws, response, err := d.DialContext(ctx, target, header) //nolint:bodyclose // its body is a copy in memory that needs no closing (websocket.Dialer)
	if err != nil {
		if response != nil && response.StatusCode != http.StatusSwitchingProtocols {
			return nil, fmt.Errorf("connecting %s: %w", config.Station, &RefusedError{response.StatusCode})
		}
		return nil, fmt.Errorf("connecting %s: %w", config.Station, err)
	}
	version := Version(ws.Subprotocol())
	if version == "" && len(config.Versions) > 0 {
		version = config.Versions[0]
	}
	return newConn(ws, config.Station, version, config.Idle, config.Observer), nil
}
