package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/viper"
	"golang.org/x/net/netutil"
)

// Settings of gRPC over TLS, as app.toml and flags name them.
const (
	grpcTLSAddress     = "grpc-tls.address"
	grpcTLSCertificate = "grpc-tls.certificate"
	grpcTLSKey         = "grpc-tls.key"
)

const grpcTLSTemplate = `
###############################################################################
###                        gRPC over TLS                                    ###
###############################################################################

[grpc-tls]

# Where gRPC is served over TLS besides the plain server of [grpc], which belongs on loopback:
# "0.0.0.0:9443" for clients on other machines. Empty for nowhere.
address = ""
# PEM files: the certificate with its chain, and its key. Read at every connection, so that renewed
# ones are used without a restart.
certificate = ""
key = ""
`

// mostTLSConnections is how many clients on other machines are served at once.
const mostTLSConnections = 1000

// buildGRPCTLS serves what the gRPC server answers over TLS, too, if the settings say where. Whoever is
// connected when the node stops is let go by the gRPC server, which stops after this listener.
func (n *Node) buildGRPCTLS(settings *viper.Viper) error {
	listener, err := listenGRPCTLS(settings)
	if err != nil || listener == nil {
		return err
	}
	n.addresses.GRPCTLS = listener.Addr().String()
	n.servers = append(n.servers, server{
		name: "gRPC over TLS",
		serve: func() error {
			if err := n.grpc.Serve(listener); !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		},
		close: func() error { return closeListener(listener) },
	})
	return nil
}

// listenGRPCTLS binds the TLS side of the gRPC server; nil when the settings name no address.
func listenGRPCTLS(settings *viper.Viper) (net.Listener, error) {
	address := settings.GetString(grpcTLSAddress)
	if address == "" {
		return nil, nil
	}
	certificate, key := settings.GetString(grpcTLSCertificate), settings.GetString(grpcTLSKey)
	if certificate == "" || key == "" {
		return nil, errors.New("gRPC over TLS needs a certificate and its key: " + grpcTLSCertificate + " and " + grpcTLSKey)
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate of gRPC over TLS: %w", err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("binding gRPC over TLS: %w", err)
	}
	return tls.NewListener(netutil.LimitListener(listener, mostTLSConnections), &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2"}, // RFC 9113 section 3.2
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() },
	}), nil
}
