package command_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/cmd/cairn/command"
	"github.com/cairn-network/cairn/core/attest"
	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/tpm/tpmtest"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// The guide to attestation, with a real (emulated) TPM and a real chain: attesters check the chip,
// governance comes to trust them and the chip's maker, a storage node with its key in the chip serves and
// attests itself for tier 2, and manufacturers and issuers vouch and take back.
func TestAttestationFromRequestToTier(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a network")
	}
	chip := tpmtest.Start(t)
	dir := t.TempDir()
	t.Chdir(dir)
	words, err := wallet.NewMnemonic(rand.Reader)
	require.NoError(t, err)
	t.Setenv("CAIRN_NODE", chain(t, filepath.Join(dir, "chain"), []string{words}))
	home := filepath.Join(dir, "owner")
	require.NoError(t, wallet.Create(filepath.Join(home, "wallet"), words, ""))
	t.Setenv("CAIRN_HOME", home)
	save := func(name, content string) string {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
		return name
	}

	// The owner asks two attesters, who ask the chip.
	save("request.json", must(t, "device", "tpm-key", "--tpm", chip.Socket, "--json"))
	var activations []string
	for _, name := range []string{"first", "second"} {
		save("challenge.json", must(t, "device", "vouch", "challenge", "request.json", "--secrets", name))
		save("answer.json", must(t, "device", "activate", "challenge.json", "--tpm", chip.Socket, "--json"))
		activations = append(activations, save(name+".json", must(t, "device", "vouch", "activation", "answer.json", "--secrets", name, "--key", name+".key")))
		_, stderr, err := run(t, nil, "device", "vouch", "activation", "answer.json", "--secrets", name, "--key", name+".key")
		require.Error(t, err)
		require.Contains(t, stderr, "was not asked, or has been answered for")
	}

	// Governance comes to trust all who vouch.
	root, err := attest.ParseCertificate(chip.Root)
	require.NoError(t, err)
	fingerprint := hex.EncodeToString(root.Key[:])
	trusted, err := json.Marshal(map[string]any{
		"@type": "/cairn.device.v1.MsgUpdateTrust", "add": []any{map[string]any{"use": "TRUST_USE_EK_ROOT", "name": "emulator", "certificate": chip.Root}},
	})
	require.NoError(t, err)
	trust := []string{"gov", "propose", "message", save("root.trust", string(trusted)), "--title", "Trust", "--json"}
	for _, v := range [][]string{
		{"first", "attester"}, {"second", "attester"}, {"maker", "manufacturer"}, {"issuer", "issuer", "--kind", "calibration"},
	} {
		args := append([]string{"device", "vouch", "key", "--key", v[0] + ".key", "--use", v[1], "--name", v[0]}, v[2:]...)
		trust = append(trust, save(v[0]+".trust", must(t, args...)))
	}
	var proposed struct{ Proposal uint64 }
	require.NoError(t, json.Unmarshal([]byte(must(t, trust...)), &proposed))
	must(t, "gov", "vote", fmt.Sprint(proposed.Proposal), "yes")
	eventually(t, func() error {
		if shown := must(t, "gov", "show", fmt.Sprint(proposed.Proposal)); !strings.Contains(shown, "passed") {
			return fmt.Errorf("not passed: %s", shown)
		}
		return nil
	})

	// A storage node whose key is the chip's serves, and is of tier 2 by itself.
	var request struct {
		Key         string
		Certificate []byte `json:"endorsement_certificate"`
	}
	raw, err := os.ReadFile("request.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &request))
	save("chain.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: request.Certificate}))+
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chip.Issuer})))
	ready, stop := storageNode(t, home, "--tpm", chip.Socket, "--tpm-root", fingerprint, "--tpm-chain", "chain.pem",
		"--tpm-activation", activations[0], "--tpm-activation", activations[1])
	id := fmt.Sprint(ready.Device)
	require.Contains(t, must(t, "device", "show", id), request.Key)
	eventually(t, func() error {
		if shown := must(t, "device", "show", id); !strings.Contains(shown, "attested  tier 2 by") {
			return fmt.Errorf("not attested: %s", shown)
		}
		return nil
	})
	require.Regexp(t, `tier +2\n`, must(t, "device", "show", id))
	key, err := hex.DecodeString(request.Key)
	require.NoError(t, err)
	_, stranger, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	// The chip proves its key in the handshake; what is refused is the lease.
	_, err = wire.Dial(t.Context(), ready.Endpoint, ready.Device, key, wire.Session{ChainID: "cairn-test-1", Lease: 99, Key: stranger}, wire.Options{})
	require.Error(t, err)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	var refused *wire.Error
	require.ErrorAs(t, err, &refused)
	stop()

	// By hand, too; and a manufacturer's word for tier 1, taken back again.
	attestBy := func(args ...string) string {
		return must(t, append([]string{"device", "attest", id, "--tpm", chip.Socket}, args...)...)
	}
	require.Contains(t, attestBy("--root", fingerprint, "--chain", "chain.pem", "--activation", activations[0], "--activation", activations[1]),
		"is attested for tier 2 until")
	_, stderr, err := run(t, nil, "device", "attest", id, "--tpm", chip.Socket, "--root", fingerprint, "--chain", "chain.pem", "--activation", activations[0])
	require.Error(t, err)
	require.Contains(t, stderr, "1 activations: want 2 to 8")
	save("word.json", must(t, "device", "vouch", "maker", request.Key, "--key", "maker.key"))
	require.Contains(t, attestBy("--maker", "word.json"), "is attested for tier 1 until")
	f := attest.Key{Type: device.P256, Bytes: key}.Fingerprint()
	must(t, "device", "vouch", "revoke", hex.EncodeToString(f[:]), "--use", "manufacturer", "--key", "maker.key", "--reason", "recalled")
	require.Contains(t, must(t, "device", "show", id), "attested  no longer:")
	require.Regexp(t, `tier +2\n`, must(t, "device", "show", id), "what others said stands")

	// A credential of the owner's, by an issuer, about a document.
	save("certificate.pdf", "calibrated")
	var me struct{ Address string }
	require.NoError(t, json.Unmarshal([]byte(must(t, "wallet", "show", "--json")), &me))
	save("credential.json", must(t, "device", "vouch", "credential", me.Address, "--kind", "calibration", "--document", "certificate.pdf", "--key", "issuer.key"))
	require.Contains(t, must(t, "device", "credential", "credential.json"), "calibration is presented, until")
	require.Contains(t, must(t, "device", "credential"), "calibration")
	require.Contains(t, must(t, "device", "relocate", id, "--region", "DE"), "is in DE")
}

// node says what a storage node that was started is.
type startedNode struct {
	Device   uint64 `json:"device_id"`
	Endpoint string `json:"endpoint"`
}

// storageNode runs one until it is stopped.
func storageNode(t *testing.T, home string, args ...string) (startedNode, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	file := filepath.Join(home, "ready.json")
	var output lockedBuffer
	root := command.New(&cli.Terminal{In: strings.NewReader(""), Out: &output, Err: &output})
	root.SetArgs(append([]string{
		"provide", "storage", "--path", filepath.Join(home, "pieces"), "--size", "300MB", "--min-free", "1MB", "--bond", "10CAIRN",
		"--price", "4CAIRN/TB-month", "--listen", "127.0.0.1:0", "--poll", "500ms", "--home", home, "--ready-file", file, "--log-level", "debug",
	}, args...))
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			<-ended
		})
	}
	t.Cleanup(stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(output.String())
		}
	})
	for {
		body, err := os.ReadFile(file)
		var n startedNode
		if err == nil && json.Unmarshal(body, &n) == nil && n.Device > 0 {
			return n, stop
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%v ended: %v\n%s", args, err, output.String())
		case <-t.Context().Done():
			t.Fatal(output.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
