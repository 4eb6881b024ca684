package tlsid_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/internal/tlsid"
)

func key(seed byte) ed25519.PrivateKey {
	b := make([]byte, ed25519.SeedSize)
	b[0] = seed
	return ed25519.NewKeyFromSeed(b)
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// handshake connects the two over a loopback connection and returns each side's view.
func handshake(t *testing.T, server, client *tls.Config) (s, c *tls.Conn, serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- conn
	}()
	dialled, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { dialled.Close() })
	conn := <-accepted
	t.Cleanup(func() { conn.Close() })
	s, c = tls.Server(conn, server), tls.Client(dialled, client)
	done := make(chan error, 1)
	go func() { done <- s.HandshakeContext(t.Context()) }()
	clientErr = c.HandshakeContext(t.Context())
	if clientErr != nil {
		dialled.Close()
	}
	return s, c, <-done, clientErr
}

func TestBothEndsLearnTheOthersKey(t *testing.T) {
	server, err := tlsid.ServerConfig(key(1), "piece/1")
	require.NoError(t, err)
	client, err := tlsid.ClientConfig(key(2), public(key(1)), "piece/1")
	require.NoError(t, err)
	s, c, serverErr, clientErr := handshake(t, server, client)
	require.NoError(t, serverErr)
	require.NoError(t, clientErr)
	got, err := tlsid.PeerKey(s.ConnectionState())
	require.NoError(t, err)
	require.Equal(t, []byte(public(key(2))), got)
	got, err = tlsid.PeerKey(c.ConnectionState())
	require.NoError(t, err)
	require.Equal(t, []byte(public(key(1))), got)
	require.Equal(t, uint16(tls.VersionTLS13), c.ConnectionState().Version)
	require.Equal(t, "piece/1", s.ConnectionState().NegotiatedProtocol)
}

func TestClientRefusesAnotherServerKey(t *testing.T) {
	server, err := tlsid.ServerConfig(key(3))
	require.NoError(t, err)
	client, err := tlsid.ClientConfig(key(2), public(key(1)))
	require.NoError(t, err)
	_, _, _, clientErr := handshake(t, server, client)
	var mismatch *tlsid.KeyMismatchError
	require.ErrorAs(t, clientErr, &mismatch)
	require.Equal(t, []byte(public(key(3))), mismatch.Got)
}

func TestServerRefusesClientsWithoutAKeyOfOurs(t *testing.T) {
	for name, certs := range map[string][]tls.Certificate{
		"no certificate": nil,
		"a P-384 key":    {certificate(t, elliptic.P384())},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := tlsid.ServerConfig(key(1))
			require.NoError(t, err)
			_, _, serverErr, _ := handshake(t, server, &tls.Config{Certificates: certs, InsecureSkipVerify: true})
			require.Error(t, serverErr)
		})
	}
}

func TestServerRefusesOlderTLS(t *testing.T) {
	server, err := tlsid.ServerConfig(key(1))
	require.NoError(t, err)
	client, err := tlsid.ClientConfig(key(2), public(key(1)))
	require.NoError(t, err)
	client.MinVersion, client.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	_, _, serverErr, clientErr := handshake(t, server, client)
	require.Error(t, serverErr)
	require.Error(t, clientErr)
}

func TestACertificateIsAFunctionOfItsKey(t *testing.T) {
	a, err := tlsid.Certificate(key(1))
	require.NoError(t, err)
	b, err := tlsid.Certificate(key(1))
	require.NoError(t, err)
	require.Equal(t, a.Certificate, b.Certificate)
	_, err = tlsid.Certificate(key(1)[:10])
	require.ErrorContains(t, err, "10 bytes")
	_, err = tlsid.ClientConfig(key(1), nil)
	require.ErrorContains(t, err, "0 bytes")
}

// A P-256 key, which may live in a chip, is as good at either end.
func TestP256Keys(t *testing.T) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	_, raw, err := device.PublicKey(k.Public())
	require.NoError(t, err)
	for name, ends := range map[string]struct {
		server, client crypto.Signer
		want           []byte
	}{
		"server": {k, key(2), raw}, "client": {key(1), k, public(key(1))}, "both": {k, k, raw},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := tlsid.ServerConfig(ends.server)
			require.NoError(t, err)
			client, err := tlsid.ClientConfig(ends.client, ends.want)
			require.NoError(t, err)
			s, c, serverErr, clientErr := handshake(t, server, client)
			require.NoError(t, serverErr)
			require.NoError(t, clientErr)
			got, err := tlsid.PeerKey(c.ConnectionState())
			require.NoError(t, err)
			require.Equal(t, ends.want, got)
			_, want, err := device.PublicKey(ends.client.Public())
			require.NoError(t, err)
			got, err = tlsid.PeerKey(s.ConnectionState())
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
	server, err := tlsid.ServerConfig(key(3))
	require.NoError(t, err)
	client, err := tlsid.ClientConfig(key(2), raw)
	require.NoError(t, err)
	_, _, _, clientErr := handshake(t, server, client)
	var mismatch *tlsid.KeyMismatchError
	require.ErrorAs(t, clientErr, &mismatch)
}

func certificate(t *testing.T, curve elliptic.Curve) tls.Certificate {
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}
