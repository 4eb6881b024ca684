package ocpp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// Credentials are what a station shows when it connects (security profiles of the whitepaper, section 3.1).
type Credentials struct {
	Station string
	// Password is the Basic one, raw; HasPassword is false when none came or its user is not the station.
	Password    string
	HasPassword bool
	// Encrypted says that the connection is TLS.
	Encrypted bool
	// Certificate is the client's, verified against the stations' authority; nil for none.
	Certificate *x509.Certificate
	Remote      string
}

// ErrUnauthorized is what Acceptor.Admit returns for wrong credentials; the peer gets 401 and no reason.
var ErrUnauthorized = errors.New("credentials refused")

// Acceptor is the HTTP handler at which stations connect: .../{station}. Everything must be set before use.
type Acceptor struct {
	// Admit decides before the upgrade, so that nothing is disturbed by who cannot prove to be the station.
	// fallback is the edition of a station that names none; "" refuses it.
	Admit func(ctx context.Context, c Credentials) (fallback Version, err error)
	// Serve has the connection until it returns.
	Serve func(ctx context.Context, c *Conn)
	// Idle is how long a peer may be silent, pongs included; 0 for ever.
	Idle     time.Duration
	Observer Observer
	// Handshakes bounds those under way; more get 503. 0 for 64.
	Handshakes int

	gate chan struct{}
}

// Prepare must be called once, before the first request.
func (a *Acceptor) Prepare() {
	if a.Handshakes == 0 {
		a.Handshakes = 64
	}
	a.gate = make(chan struct{}, a.Handshakes)
}

const handshakeTimeout = 20 * time.Second

// ServeHTTP upgrades one station and serves it until it goes.
func (a *Acceptor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := a.handshake(w, r)
	if c == nil {
		return
	}
	a.Serve(r.Context(), c)
}

// handshake answers the request itself when it returns nil.
func (a *Acceptor) handshake(w http.ResponseWriter, r *http.Request) *Conn {
	select {
	case a.gate <- struct{}{}:
		defer func() { <-a.gate }()
	default:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many stations connect at once", http.StatusServiceUnavailable)
		return nil
	}
	station, err := StationOf(r.URL)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return nil
	}
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "charge points connect here by WebSocket", http.StatusUpgradeRequired)
		return nil
	}
	fallback, err := a.Admit(r.Context(), credentials(r, station))
	if err != nil {
		if errors.Is(err, ErrUnauthorized) {
			w.Header().Set("WWW-Authenticate", `Basic realm="charge points"`)
			http.Error(w, "unauthorized", http.StatusUnauthorized)
		} else {
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		}
		return nil
	}
	offered := websocket.Subprotocols(r)
	version := choose(offered, fallback)
	if version == "" {
		// OCPP-J 1.6 section 3.3: without a common subprotocol the handshake completes and the connection is closed at once;
		// refusing it says the same sooner.
		http.Error(w, fmt.Sprintf("none of the subprotocols %q is spoken here; use ocpp1.6 or ocpp2.0.1", offered), http.StatusBadRequest)
		return nil
	}
	upgrader := websocket.Upgrader{
		HandshakeTimeout: handshakeTimeout,
		ReadBufferSize:   2048, WriteBufferSize: 2048,
		// Charge points are not web pages; a page cannot know a station's password.
		CheckOrigin: func(*http.Request) bool { return true },
	}
	if len(offered) > 0 {
		upgrader.Subprotocols = []string{string(version)}
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return nil // Upgrade has answered
	}
	return newConn(ws, station, version, a.Idle, a.Observer)
}

// choose takes the newest edition offered.
func choose(offered []string, fallback Version) Version {
	for _, v := range []Version{V201, V16} {
		if slices.ContainsFunc(offered, func(s string) bool { return strings.EqualFold(s, string(v)) && s == string(v) }) {
			return v
		}
	}
	if len(offered) == 0 {
		return fallback
	}
	return ""
}

// maxStation is how long a station's identity may be (OCPP 2.0.1 part 4 section 3.1.1).
const maxStation = 48

// CheckStation says what is wrong with a station's identity.
func CheckStation(id string) error {
	if id == "" || len(id) > maxStation {
		return fmt.Errorf("station identity of %d characters: 1 to %d are allowed", len(id), maxStation)
	}
	for _, c := range id {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("*-_=:+|@.", c) {
			return fmt.Errorf("station identity %q: %q is not allowed in it", id, c)
		}
	}
	if strings.Trim(id, ".") == "" {
		return fmt.Errorf("station identity %q is a path, not a name", id)
	}
	return nil
}

// StationOf is the identity that a station's URL ends in.
func StationOf(u *url.URL) (string, error) {
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	id, err := url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		return "", fmt.Errorf("station identity: %w", err)
	}
	return id, CheckStation(id)
}

func credentials(r *http.Request, station string) Credentials {
	c := Credentials{Station: station, Remote: r.RemoteAddr, Encrypted: r.TLS != nil}
	if user, password, ok := r.BasicAuth(); ok {
		// An identity may have a colon, and Basic cuts at the first.
		if rest, found := strings.CutPrefix(user+":"+password, station+":"); found {
			c.Password, c.HasPassword = rest, true
		}
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		c.Certificate = r.TLS.VerifiedChains[0][0]
	}
	return c
}

// ServerTLS is the configuration of profiles 2 and 3: TLS 1.2 or newer with the whitepaper's suites, and client
// certificates of the stations' authorities checked where one is shown. clients may be nil.
func ServerTLS(certificate tls.Certificate, clients *x509.CertPool) *tls.Config {
	c := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{certificate},
		// Whitepaper section 2.3, without those that lack forward secrecy; TLS 1.3 has its own.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		NextProtos: []string{"http/1.1"},
	}
	if clients != nil {
		c.ClientCAs, c.ClientAuth = clients, tls.VerifyClientCertIfGiven
	}
	return c
}
