// Package s3 runs other people's S3 test suites and clients against the
// gateway.
package s3

import (
	"bufio"
	"bytes"
	"context"
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
// runs it against a gateway: one of its own over the fake network, or, with
// CAIRN_S3_ENDPOINT, CAIRN_S3_ACCESS and CAIRN_S3_SECRET, a running one without
// any buckets. It takes some minutes and runs only with CAIRN_S3_SUITE=1.
// CAIRN_S3_POSTGRES names a database for the metadata of the gateway it starts.
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

// target returns the gateway to test.
func target(t *testing.T) (endpoint, access, secret string) {
	t.Helper()
	if e := os.Getenv("CAIRN_S3_ENDPOINT"); e != "" {
		return e, os.Getenv("CAIRN_S3_ACCESS"), os.Getenv("CAIRN_S3_SECRET")
	}
	return "http://" + startGateway(t), "cairn", "cairnsecret"
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
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, bin, "-listen", addr, "-dir", t.TempDir(), "-postgres", os.Getenv("CAIRN_S3_POSTGRES"))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready") {
		t.Fatalf("the gateway said %q, %v", line, err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, stdout)
	}()
	t.Cleanup(func() {
		cancel()
		<-drained
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the gateway ended with %v", err)
		}
	})
	return addr
}
