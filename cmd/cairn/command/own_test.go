package command_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/app/node"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/device"
)

// device is what cairn device says of one, as far as the test looks.
type deviceJSON struct {
	ID           uint64
	State        string
	Owner        string
	Operator     string
	Bond         string
	PendingOwner string `json:"pending_owner"`
	ReleaseAt    int64  `json:"release_at"`
}

// A device's life in its owners' hands: listed, shown, bonded, given a new operator, handed over and
// retired; over TLS, on a node of its own certificate.
func TestDevicesChangeHandsAndRetire(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a chain")
	}
	dir := t.TempDir()
	homes, people, accounts := make([]string, 2), make([]string, 2), make([]*wallet.Account, 2)
	for i := range people {
		words, err := wallet.NewMnemonic(rand.Reader)
		require.NoError(t, err)
		people[i] = words
		homes[i] = filepath.Join(dir, fmt.Sprintf("home%d", i))
		require.NoError(t, wallet.Create(filepath.Join(homes[i], "wallet"), words, ""))
		accounts[i], err = wallet.FromMnemonic(words)
		require.NoError(t, err)
	}
	certificate, key := certify(t, dir)
	at := runChain(t, filepath.Join(dir, "chain"), people, func(c node.Config) {
		c.Listen(node.Addresses{GRPCTLS: "127.0.0.1:0"})
		c.Settings.Set("grpc-tls.certificate", certificate)
		c.Settings.Set("grpc-tls.key", key)
	})
	secure := "grpcs://" + at.GRPCTLS
	t.Setenv("CAIRN_NODE", secure)
	require.NoError(t, os.WriteFile(filepath.Join(homes[0], "cairn.toml"), fmt.Appendf(nil, "ca = %q\n", certificate), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(homes[1], "cairn.toml"), fmt.Appendf(nil, "ca = %q\n", certificate), 0o600))

	client, err := chainclient.New(chainclient.Config{Endpoint: secure, Trust: chainclient.Trust{CA: certificate}, Account: accounts[0]})
	require.NoError(t, err)
	defer client.Close()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	id, err := client.Register(t.Context(), &devicev1.MsgRegister{
		Pubkey: devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: public}, Kind: "storage", Region: "DE",
		Signature: ed25519.Sign(private, device.RegistrationBytes("cairn-test-1", accounts[0].Address(), 0)),
	})
	require.NoError(t, err)
	number := fmt.Sprint(id)

	as := func(who int, args ...string) (stdout, stderr string, err error) {
		return run(t, nil, append([]string{"device"}, append(args, "--home", homes[who])...)...)
	}
	does := func(who int, args ...string) deviceJSON {
		t.Helper()
		stdout, stderr, err := as(who, append(args, "--json")...)
		require.NoError(t, err, "%v: %s", args, stderr)
		var d deviceJSON
		require.NoError(t, json.Unmarshal([]byte(stdout), &d))
		require.Equal(t, id, d.ID)
		return d
	}
	refused := func(hint string, who int, args ...string) {
		t.Helper()
		_, stderr, err := as(who, args...)
		require.Error(t, err, args)
		require.Contains(t, stderr, hint, args)
	}

	stdout, _, err := as(0, "list", "--mine")
	require.NoError(t, err)
	require.Contains(t, stdout, accounts[0].Address())
	stdout, _, err = as(1, "list", "--mine", "--json")
	require.NoError(t, err)
	require.Equal(t, "[]\n", stdout)
	require.Equal(t, "active", does(0, "show", number).State)
	require.Equal(t, "0acairn", does(0, "show", number).Bond)
	require.Equal(t, "2500000000000000000acairn", does(0, "bond", number, "2.5CAIRN").Bond)
	require.Equal(t, accounts[1].Address(), does(0, "operator", number, accounts[1].Hex()).Operator)

	refused("cairn device list", 0, "show", "99")
	refused("cairn device list", 0, "show", "seven")
	refused("1.5CAIRN", 0, "bond", number, "lots")
	refused("only its owner", 1, "bond", number, "1CAIRN")
	refused("only its owner", 1, "retire", number, "--yes")
	refused("--yes", 0, "transfer", number, accounts[1].Address()) // nobody can be asked
	refused("cairn device transfer", 1, "accept", number, "--yes")
	refused("not both", 0, "transfer", number)

	require.Equal(t, accounts[1].Address(), does(0, "transfer", number, accounts[1].Address(), "--yes").PendingOwner)
	require.Empty(t, does(0, "transfer", number, "--withdraw").PendingOwner)
	refused("cairn device transfer", 1, "accept", number, "--yes")
	does(0, "transfer", number, accounts[1].Address(), "--yes")
	taken := does(1, "accept", number, "--yes")
	require.Equal(t, accounts[1].Address(), taken.Owner)
	require.Equal(t, accounts[1].Address(), taken.Operator)

	refused("only its owner", 0, "retire", number, "--yes")
	leaving := does(1, "retire", number, "--yes")
	require.Equal(t, "retiring", leaving.State)
	require.NotZero(t, leaving.ReleaseAt)
	eventually(t, func() error { // until the time of release has come
		_, stderr, err := as(1, "retire", number, "--yes")
		if err != nil {
			require.Contains(t, stderr, "wait for release_at")
		}
		return err
	})
	gone := does(1, "show", number)
	require.Equal(t, "retired", gone.State)
	require.Equal(t, "0acairn", gone.Bond)

	// A node in the clear is taken on this machine only, and a certificate only where it is believed.
	_, stderr, err := run(t, nil, "device", "list", "--home", homes[0], "--node", "node.example:9090")
	require.Error(t, err)
	require.Contains(t, stderr, "grpcs://")
	_, _, err = run(t, nil, "device", "list", "--home", filepath.Join(dir, "third"), "--node", secure)
	require.Error(t, err)
	_, stderr, err = run(t, nil, "device", "list", "--home", filepath.Join(dir, "third"), "--node", at.GRPC)
	require.NoError(t, err, stderr)
}

// certify makes a certificate of 127.0.0.1 and its key, as PEM files.
func certify(t *testing.T, dir string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certificate, key = filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.key")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	}
	return certificate, key
}
