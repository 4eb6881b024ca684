package tpmtest

import (
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Emulator is a running swtpm with an endorsement certificate from a certificate authority of its own.
type Emulator struct {
	Socket string // Unix socket that takes TPM commands
	// Issuer and Root are the certificates above the endorsement key's, DER.
	Issuer, Root []byte
}

// Start manufactures an emulated TPM and runs it until the test ends. It skips the test where swtpm is
// not installed.
func Start(t testing.TB) Emulator {
	t.Helper()
	for _, program := range []string{"swtpm", "swtpm_setup"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (Debian: apt-get install swtpm swtpm-tools)", program)
		}
	}
	dir, err := os.MkdirTemp("", "swtpm") // a Unix socket's path is at most 107 bytes: t.TempDir may be longer
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	state, ca := filepath.Join(dir, "state"), filepath.Join(dir, "ca")
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, d := range []string{state, ca} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	localca := write("localca.conf", fmt.Sprintf("statedir = %s\nsigningkey = %s/signkey.pem\nissuercert = %s/issuercert.pem\ncertserial = %s/serial\n", ca, ca, ca, ca))
	options := write("options", "--platform-manufacturer Cairn\n--platform-version 1\n--platform-model test\n")
	setup := write("setup.conf", fmt.Sprintf("create_certs_tool=swtpm_localca\ncreate_certs_tool_config=%s\ncreate_certs_tool_options=%s\nactive_pcr_banks=sha256\n", localca, options))
	if out, err := exec.Command("swtpm_setup", "--tpm2", "--tpmstate", state, "--create-ek-cert", "--config", setup).CombinedOutput(); err != nil {
		t.Fatalf("swtpm_setup: %v\n%s", err, out)
	}
	e := Emulator{Socket: filepath.Join(dir, "sock"), Issuer: certificate(t, filepath.Join(ca, "issuercert.pem")), Root: certificate(t, filepath.Join(ca, "swtpm-localca-rootca-cert.pem"))}
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state,
		"--server", "type=unixio,path="+e.Socket, "--flags", "not-need-init,startup-clear")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for {
		conn, err := net.Dial("unix", e.Socket)
		if err == nil {
			_ = conn.Close()
			return e
		}
		select {
		case <-t.Context().Done():
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func certificate(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		t.Fatalf("%s holds no certificate", path)
	}
	return block.Bytes
}
