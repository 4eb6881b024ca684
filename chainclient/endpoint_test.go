package chainclient

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	tendermintv1beta1 "cosmossdk.io/api/cosmos/base/tendermint/v1beta1"
	"cosmossdk.io/api/tendermint/p2p"
	"google.golang.org/grpc"
)

func TestEndpoints(t *testing.T) {
	for _, c := range []struct {
		endpoint string
		trust    Trust
		target   string
		protocol string
	}{
		{"127.0.0.1:9090", Trust{}, "127.0.0.1:9090", "insecure"},
		{"[::1]:9090", Trust{}, "[::1]:9090", "insecure"},
		{"localhost:9090", Trust{}, "localhost:9090", "insecure"},
		{"node.example:9090", Trust{Insecure: true}, "node.example:9090", "insecure"},
		{"grpcs://node.example", Trust{}, "node.example:9443", "tls"},
		{"grpcs://node.example:443", Trust{}, "node.example:443", "tls"},
		{"grpcs://[2001:db8::1]", Trust{}, "[2001:db8::1]:9443", "tls"},
		{"grpcs://[2001:db8::1]:443", Trust{}, "[2001:db8::1]:443", "tls"},
		{"grpcs://127.0.0.1:9443", Trust{}, "127.0.0.1:9443", "tls"},
	} {
		target, security, err := reach(c.endpoint, c.trust)
		if err != nil || target != c.target || security.Info().SecurityProtocol != c.protocol {
			t.Errorf("%s: %q, %v, %v", c.endpoint, target, security, err)
		}
	}
	for _, endpoint := range []string{
		"node.example:9090", "10.0.0.1:9090", "0.0.0.0:9090", "[2001:db8::1]:9090", "localhost.example:9090", "127.0.0.1.example:9090",
	} {
		if _, _, err := reach(endpoint, Trust{}); !errors.Is(err, ErrPlaintext) {
			t.Errorf("%s in the clear: %v", endpoint, err)
		}
	}
	for _, endpoint := range []string{"", ":", "9090", "127.0.0.1", "127.0.0.1:", ":9090", "http://127.0.0.1:9090", "grpcs://", "grpcs://:9443", "dns:///x:1"} {
		if _, _, err := reach(endpoint, Trust{Insecure: true}); err == nil {
			t.Errorf("%q is taken for an address", endpoint)
		}
	}
	if _, _, err := reach("127.0.0.1:9090", Trust{CA: "ca.pem"}); err == nil {
		t.Error("a CA that is of no use is passed over in silence")
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, empty + ".none"} {
		if _, _, err := reach("grpcs://127.0.0.1", Trust{CA: file}); err == nil {
			t.Errorf("%s is believed", file)
		}
	}
}

// nodeInfo answers with the name of a network.
type nodeInfo struct {
	tendermintv1beta1.UnimplementedServiceServer
}

func (nodeInfo) GetNodeInfo(context.Context, *tendermintv1beta1.GetNodeInfoRequest) (*tendermintv1beta1.GetNodeInfoResponse, error) {
	return &tendermintv1beta1.GetNodeInfoResponse{DefaultNodeInfo: &p2p.DefaultNodeInfo{Network: "cairn-test-1"}}, nil
}

// A node behind a reverse proxy that ends TLS, as docs/runbook/validator.md has it: a client that
// believes its certificate gets answers, another gets none, and neither does one in the clear.
func TestThroughATLSProxy(t *testing.T) {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	tendermintv1beta1.RegisterServiceServer(server, nodeInfo{})
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(plain) })
	defer running.Wait()
	defer server.Stop()

	ca, certificate := selfSigned(t, "127.0.0.1")
	front, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	running.Go(func() { proxy(front, plain.Addr().String()) })

	ask := func(endpoint string, trust Trust) (string, error) {
		client, err := New(Config{Endpoint: endpoint, Trust: trust, Patience: time.Nanosecond})
		if err != nil {
			return "", err
		}
		defer client.Close()
		return client.ChainID(t.Context())
	}
	address := front.Addr().String()
	if id, err := ask("grpcs://"+address, Trust{CA: ca}); err != nil || id != "cairn-test-1" {
		t.Errorf("with its certificate: %q, %v", id, err)
	}
	if id, err := ask("grpcs://"+address, Trust{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("with the system's: %q, %v", id, err)
	}
	other, _ := selfSigned(t, "127.0.0.1")
	if id, err := ask("grpcs://"+address, Trust{CA: other}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("with another's: %q, %v", id, err)
	}
	elsewhere, certificate := selfSigned(t, "node.example")
	wrong, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	running.Go(func() { proxy(wrong, plain.Addr().String()) })
	if id, err := ask("grpcs://"+wrong.Addr().String(), Trust{CA: elsewhere}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("with a certificate of another name: %q, %v", id, err)
	}
	if id, err := ask(address, Trust{}); err == nil {
		t.Errorf("in the clear: %q", id)
	}
}

// proxy joins each connection to one of its own to the address, until the listener is closed.
func proxy(front net.Listener, to string) {
	var joined sync.WaitGroup
	defer joined.Wait()
	for {
		outside, err := front.Accept()
		if err != nil {
			return
		}
		inside, err := net.Dial("tcp", to)
		if err != nil {
			outside.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{outside, inside}, {inside, outside}} {
			joined.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				way[0].Close()
				way[1].Close()
			})
		}
	}
}

// selfSigned makes a certificate for a host and gives the file to believe it by.
func selfSigned(t *testing.T, host string) (file string, _ tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
