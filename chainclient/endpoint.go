package chainclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	secureScheme = "grpcs://"
	// securePort is where a node serves gRPC over TLS unless it is told otherwise.
	securePort = "9443"
)

// ErrPlaintext says that a node on another machine would be spoken to in the clear: whoever stands
// between could answer in its place, with other balances, prices and leases.
var ErrPlaintext = errors.New("a node on another machine is spoken to over TLS only")

// Trust says whom to believe when the node is reached over a network. The zero value believes the
// certificate authorities of the system and nobody in the clear.
type Trust struct {
	// CA is a PEM file of certificates to believe instead of the system's: an authority's of one's
	// own, or the node's itself.
	CA string
	// Insecure lets a node on another machine be spoken to in the clear.
	Insecure bool
}

// reach turns an endpoint into gRPC's target and the security of the way there.
func reach(endpoint string, trust Trust) (target string, _ credentials.TransportCredentials, err error) {
	rest, secure := strings.CutPrefix(endpoint, secureScheme)
	if !secure && strings.Contains(endpoint, "://") {
		return "", nil, fmt.Errorf("node address %q: want host:port, or %shost:port for TLS", endpoint, secureScheme)
	}
	if secure && strings.LastIndexByte(rest, ':') <= strings.LastIndexByte(rest, ']') {
		rest = net.JoinHostPort(strings.Trim(rest, "[]"), securePort)
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil || host == "" || port == "" {
		return "", nil, fmt.Errorf("node address %q: want host:port, or %shost:port for TLS", endpoint, secureScheme)
	}
	if !secure {
		switch {
		case trust.CA != "":
			return "", nil, fmt.Errorf("node address %q is in the clear: a CA is of use with %s%s only", endpoint, secureScheme, rest)
		case !loopback(host) && !trust.Insecure:
			return "", nil, fmt.Errorf("node address %q: %w", endpoint, ErrPlaintext)
		}
		return rest, insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if trust.CA != "" {
		pem, err := os.ReadFile(trust.CA)
		if err != nil {
			return "", nil, fmt.Errorf("reading the certificates to believe: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return "", nil, fmt.Errorf("%s holds no certificate in PEM form", trust.CA)
		}
	}
	return rest, credentials.NewTLS(config), nil
}

// loopback says whether a host is this machine by its very name.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}
