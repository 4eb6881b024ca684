// Package s3 runs other people's S3 test suites and clients against the
// gateway.
package s3

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// suiteVersion is the versitygw whose functional suite is run; go.mod pins the
// same version as the gateway's front end.
const suiteVersion = "v1.8.0"

// expected says, for both modes of the suite, how many tests pass and which
// fail, with the reason. README.md tells it to people.
var expected = map[string]struct {
	flags []string
	pass  int
	fails map[string]string
}{
	"versioning": {flags: []string{"--versioning-enabled"}, pass: 765},
}

// TestVersityFunctionalSuite builds versitygw's suite from the module proxy and
// runs it against a gateway (see target). It takes some minutes and runs only
// with CAIRN_S3_SUITE=1.
func TestVersityFunctionalSuite(t *testing.T) {
	if os.Getenv("CAIRN_S3_SUITE") == "" {
		t.Skip("set CAIRN_S3_SUITE=1 to build and run versitygw's functional suite")
	}
	suite := buildSuite(t)
	for name, want := range expected {
		t.Run(name, func(t *testing.T) {
			endpoint, access, secret := target(t)
			args := append([]string{"test", "-a", access, "-s", secret, "-e", endpoint, "full-flow"}, want.flags...)
			cmd := exec.CommandContext(t.Context(), suite, args...)
			cmd.Dir = filepath.Dir(suite) // it runs its own admin commands as ./versitygw
			cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "AWS_") })
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			passed, failed := results(out)
			t.Logf("%d passed, %d failed", passed, len(failed))
			for test, why := range failed {
				if _, known := want.fails[test]; !known {
					t.Errorf("%s: %s", test, why)
				}
			}
			if passed < want.pass {
				t.Errorf("%d tests passed, want %d", passed, want.pass)
			}
		})
	}
}

var (
	colour = regexp.MustCompile("\x1b\\[[0-9;]*m")
	total  = regexp.MustCompile(`^RAN: \d+ PASS: (\d+) FAIL: \d+`)
	failed = regexp.MustCompile(`^FAIL +(\w+): (.*)`)
)

// results reads the suite's output.
func results(out []byte) (passed int, fails map[string]string) {
	fails = make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := colour.ReplaceAllString(lines.Text(), "")
		if m := total.FindStringSubmatch(line); m != nil {
			passed, _ = strconv.Atoi(m[1]) // the expression admits digits only
		}
		if m := failed.FindStringSubmatch(line); m != nil {
			fails[m[1]] = m[2]
		}
	}
	return passed, fails
}

// buildSuite builds versitygw in a module of its own, so that what it needs
// stays out of ours.
func buildSuite(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	mod := fmt.Sprintf("module suite\n\ngo 1.26\n\nrequire github.com/versity/versitygw %s\n", suiteVersion)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "versitygw")
	build(t, dir, bin, "github.com/versity/versitygw/cmd/versitygw")
	return bin
}

func build(t *testing.T, dir, bin, pkg string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, pkg)
	cmd.Dir = dir
	if dir != "" {
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, out)
	}
}

// target is a gateway to test. CAIRN_S3_ENGINE says which one is started: fake
// (the default), the S3 face over an engine that keeps segments in a directory,
// or network, the gateway of a whole local network of twelve nodes.
// CAIRN_S3_POSTGRES names a database for the metadata of the first. With
// CAIRN_S3_ENDPOINT, CAIRN_S3_ACCESS and CAIRN_S3_SECRET it is one that runs
// already; it must have no buckets.
func target(t *testing.T) (endpoint, access, secret string) {
	t.Helper()
	if e := os.Getenv("CAIRN_S3_ENDPOINT"); e != "" {
		return e, os.Getenv("CAIRN_S3_ACCESS"), os.Getenv("CAIRN_S3_SECRET")
	}
	switch engine := os.Getenv("CAIRN_S3_ENGINE"); engine {
	case "", "fake":
		return "http://" + startGateway(t), "cairn", "cairnsecret"
	case "network":
		return startNetwork(t)
	default:
		t.Fatalf("CAIRN_S3_ENGINE=%s: must be fake or network", engine)
		return "", "", ""
	}
}

// startGateway runs fakegateway on a free port and returns its address.
func startGateway(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "fakegateway")
	build(t, "", bin, "github.com/cairn-network/cairn/test/interop/s3/fakegateway")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if line := serve(t, bin, "-listen", addr, "-dir", t.TempDir(), "-postgres", os.Getenv("CAIRN_S3_POSTGRES")); !strings.HasPrefix(line, "ready") {
		t.Fatalf("the gateway said %q", line)
	}
	return addr
}

// startNetwork runs a local network and returns what its gateway says of itself.
func startNetwork(t *testing.T) (endpoint, access, secret string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "cairnd")
	build(t, "", bin, "github.com/cairn-network/cairn/cmd/cairnd")
	line := serve(t, bin, "devnet", "--home", t.TempDir(), "--port-base", strconv.Itoa(20000+os.Getpid()%25*400), "--block-time", "300ms", "--json")
	var ready struct {
		S3 struct {
			Endpoint  string `json:"endpoint"`
			AccessKey string `json:"access_key"`
			SecretKey string `json:"secret_key"`
		} `json:"s3"`
	}
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		t.Fatalf("the network said %q: %v", line, err)
	}
	return ready.S3.Endpoint, ready.S3.AccessKey, ready.S3.SecretKey
}

// serve runs a program until the test ends and returns the first line that it prints.
func serve(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 60 * time.Second
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, out)
	}()
	t.Cleanup(func() {
		cancel()
		<-drained
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s ended with %v", filepath.Base(program), err)
		}
	})
	if err != nil {
		t.Fatalf("%s ended before it served: %v", filepath.Base(program), err)
	}
	return line
}
