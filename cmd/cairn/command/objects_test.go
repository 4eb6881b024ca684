package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/cmd/cairn/command"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/s3"
	"github.com/cairn-network/cairn/daemon/s3gateway/s3/fakenet"
	"github.com/cairn-network/cairn/internal/cli"
)

// gateway serves a real S3 face over a network in a directory, behind a wire that tests can cut,
// and points the commands of this process at it.
func gateway(t *testing.T) *cutter {
	t.Helper()
	dir := t.TempDir()
	segments := filepath.Join(dir, "segments")
	require.NoError(t, os.Mkdir(segments, 0o700))
	db, err := metabase.OpenPebble(filepath.Join(dir, "metabase"), metabase.PebbleOptions{})
	require.NoError(t, err)
	root := seal.FromSeed(make([]byte, 64))
	log := slog.New(slog.DiscardHandler)
	backend := s3.New(s3.Deps{Metabase: db, Engine: fakenet.New(segments, fakenet.Volatile), Root: root, Log: log})
	const access, secret = "CAIRNTEST", "not much of a secret"
	ready := make(chan struct{})
	listen := freePort(t)
	server, err := s3.NewServer(s3.ServerConfig{Listen: listen, AccessKey: access, SecretKey: secret, Ready: func() { close(ready) }},
		backend, s3.NewAccounts(db, root, access, secret))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Run(ctx) }()
	select {
	case <-ready:
	case err := <-served:
		t.Fatal(err)
	}
	c := newCutter(t, listen)
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
		require.NoError(t, db.Close())
	})
	t.Setenv("CAIRN_HOME", filepath.Join(dir, "home"))
	t.Setenv("CAIRN_S3", "http://"+c.listener.Addr().String())
	t.Setenv("AWS_ACCESS_KEY_ID", access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	return c
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// cutter passes connections on to a server until a budget of bytes, counted in both directions,
// is spent; from then on every connection is cut.
type cutter struct {
	listener net.Listener
	budget   atomic.Int64
}

func newCutter(t *testing.T, target string) *cutter {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cutter{listener: l}
	c.allow(1 << 60)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				in.Close()
				continue
			}
			go c.pipe(in, out)
			go c.pipe(out, in)
		}
	}()
	t.Cleanup(func() { l.Close() })
	return c
}

func (c *cutter) allow(n int64) { c.budget.Store(n) }

func (c *cutter) pipe(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if c.budget.Add(-int64(n)) < 0 {
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// run is one run of the program.
func run(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	terminal := &cli.Terminal{In: stdin, Out: &out, Err: &errOut}
	root := command.NewBrisk(terminal)
	root.SetArgs(args)
	if err = root.ExecuteContext(t.Context()); err != nil {
		terminal.Fail("cairn", err)
	}
	return out.String(), errOut.String(), err
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := run(t, nil, args...)
	require.NoError(t, err, stderr)
	return stdout
}

func random(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

func TestObjectsThereAndBack(t *testing.T) {
	gateway(t)
	work := t.TempDir()
	folder := filepath.Join(work, "folder")
	files := map[string][]byte{"empty": nil, "small.txt": []byte("hello"), "deep/er/middle": random(300_000, 1), "large": random(11<<20+5, 2)}
	for name, content := range files {
		path := filepath.Join(folder, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, content, 0o644))
	}
	must(t, "mb", "photos")
	must(t, "put", "-r", folder, "photos/2026/")
	_, _, err := run(t, bytes.NewReader(random(6<<20, 3)), "put", "-", "photos/piped")
	require.NoError(t, err)

	require.Contains(t, must(t, "ls"), "photos")
	require.Contains(t, must(t, "ls", "photos/2026/"), "2026/deep/")
	require.NotContains(t, must(t, "ls", "photos/2026/"), "middle")
	var entries []struct {
		Name string
		Size int64
	}
	require.NoError(t, json.Unmarshal([]byte(must(t, "ls", "-r", "photos", "--json")), &entries))
	require.Len(t, entries, 5)

	back := filepath.Join(work, "back")
	must(t, "get", "-r", "photos/2026/", back)
	for name, content := range files {
		got, err := os.ReadFile(filepath.Join(back, filepath.FromSlash(name)))
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got), name)
	}
	require.True(t, string(random(6<<20, 3)) == must(t, "get", "photos/piped", "-"), "piped")

	// A shared link works without credentials.
	url := strings.TrimSpace(must(t, "share", "photos/2026/small.txt", "--valid", "1h"))
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "hello", string(body))

	must(t, "rm", "photos/piped")
	must(t, "rm", "-r", "photos/")
	must(t, "rm", "photos")
	require.JSONEq(t, "[]", must(t, "ls", "--json"))
}

func TestPutGoesOnAfterACut(t *testing.T) {
	wire := gateway(t)
	must(t, "mb", "backup")
	content := random(22<<20, 4)
	file := filepath.Join(t.TempDir(), "disk.img")
	require.NoError(t, os.WriteFile(file, content, 0o644))

	wire.allow(16 << 20) // of three parts of 5 MiB on their way, one passes at least
	_, stderr, err := run(t, nil, "put", file, "backup/")
	require.Error(t, err)
	require.Contains(t, stderr, "run the same command again")

	wire.allow(1 << 60)
	var done []struct{ Bytes, Resumed int64 }
	require.NoError(t, json.Unmarshal([]byte(must(t, "put", file, "backup/", "--json")), &done))
	require.Equal(t, int64(len(content)), done[0].Bytes)
	require.GreaterOrEqual(t, done[0].Resumed, int64(5<<20), "nothing of the first run was used")
	require.Less(t, done[0].Resumed, done[0].Bytes)
	require.True(t, string(content) == must(t, "get", "backup/disk.img", "-"))

	// What lies on the gateway is used only where it is what the file holds now.
	wire.allow(16 << 20)
	_, _, err = run(t, nil, "put", file, "backup/changed")
	require.Error(t, err)
	wire.allow(1 << 60)
	content[5] ^= 1
	require.NoError(t, os.WriteFile(file, content, 0o644))
	must(t, "put", file, "backup/changed")
	require.True(t, string(content) == must(t, "get", "backup/changed", "-"))
}

func TestGetGoesOnAfterACut(t *testing.T) {
	wire := gateway(t)
	must(t, "mb", "backup")
	work := t.TempDir()
	content := random(12<<20, 5)
	file := filepath.Join(work, "disk.img")
	require.NoError(t, os.WriteFile(file, content, 0o644))
	must(t, "put", file, "backup/disk.img")

	target := filepath.Join(work, "restored.img")
	wire.allow(5 << 20)
	_, stderr, err := run(t, nil, "get", "backup/disk.img", target)
	require.Error(t, err)
	require.Contains(t, stderr, "run the same command again")
	require.NoFileExists(t, target)

	wire.allow(1 << 60)
	var done []struct{ Bytes, Resumed int64 }
	require.NoError(t, json.Unmarshal([]byte(must(t, "get", "backup/disk.img", target, "--json")), &done))
	require.Greater(t, done[0].Resumed, int64(1<<20), "nothing of the first run was used")
	got, err := os.ReadFile(target)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	requireNoPartials(t, work)

	// An object that changed in between begins afresh.
	require.NoError(t, os.Remove(target))
	wire.allow(5 << 20)
	_, _, err = run(t, nil, "get", "backup/disk.img", target)
	require.Error(t, err)
	wire.allow(1 << 60)
	other := random(12<<20, 6)
	require.NoError(t, os.WriteFile(file, other, 0o644))
	must(t, "put", file, "backup/disk.img")
	must(t, "get", "backup/disk.img", target)
	got, err = os.ReadFile(target)
	require.NoError(t, err)
	require.True(t, bytes.Equal(other, got))
	requireNoPartials(t, work)

	_, stderr, err = run(t, nil, "get", "backup/disk.img", target)
	require.Error(t, err)
	require.Contains(t, stderr, "--force")
}

func requireNoPartials(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, ".*cairn-part"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestErrorsOfObjectsSayWhatToDo(t *testing.T) {
	gateway(t)
	must(t, "mb", "photos")
	work := t.TempDir()
	for want, args := range map[string][]string{
		`there is no bucket "absent"`:        {"ls", "absent/"},
		"cairn mb absent":                    {"put", os.Args[0], "absent/"},
		"there is no object photos/absent":   {"get", "photos/absent", filepath.Join(work, "x")},
		"names no object":                    {"get", "photos/"},
		"is a whole bucket":                  {"rm", "photos/"},
		`there is a bucket "photos" already`: {"mb", "photos"},
		"between one second and seven days":  {"share", "photos/x", "--valid", "200h"},
		"is a directory":                     {"put", work, "photos/"},
		"there are several files":            {"put", os.Args[0], os.Args[0], "photos/one"},
		"standard input has no name":         {"put", "-", "photos/"},
	} {
		_, stderr, err := run(t, nil, args...)
		require.Error(t, err, args)
		require.Contains(t, stderr, want, args)
	}
}

// A key is data of others: it never makes a file outside the directory asked for. Our gateway takes
// no such keys, so the server here is one that hands them out.
func TestKeysCannotEscapeTheTarget(t *testing.T) {
	for _, key := range []string{"../escape", "a/../../escape", "/escape", "..", "a/../../../escape"} {
		t.Run(key, func(t *testing.T) {
			hostile(t, key)
			work := t.TempDir()
			target := filepath.Join(work, "target")
			_, stderr, err := run(t, nil, "get", "-r", "photos/", target)
			require.Error(t, err)
			require.Contains(t, stderr, "no safe file name")
			require.NoFileExists(t, filepath.Join(work, "escape"))
			require.NoDirExists(t, target)
		})
	}
	// The same server and an honest key: the file is there, so the refusals above were about the key.
	hostile(t, "a/honest")
	target := filepath.Join(t.TempDir(), "target")
	must(t, "get", "-r", "photos/", target)
	require.FileExists(t, filepath.Join(target, "a", "honest"))
}

// hostile serves a bucket that holds one object, of any name at all, and points the commands of this
// process at it.
func hostile(t *testing.T, key string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("list-type") == "2" {
			w.Header().Set("Content-Type", "application/xml")
			fmt.Fprintf(w, `<ListBucketResult><Name>photos</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated>`+
				`<Contents><Key>%s</Key><Size>4</Size><ETag>"x"</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>`, key)
			return
		}
		w.Header().Set("ETag", `"x"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("evil"))
	}))
	t.Cleanup(server.Close)
	t.Setenv("CAIRN_HOME", t.TempDir())
	t.Setenv("CAIRN_S3", server.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "access")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
}
