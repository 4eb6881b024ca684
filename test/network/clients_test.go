package network

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/devnet"
	"github.com/cairn-network/cairn/devnet/devnettest"
)

// TestClients drives one network with every client in turn. Sizes follow -short and
// CAIRN_LARGE=1 (1 GiB multipart, 10,000 objects), so that the same test serves CI and the ladder.
func TestClients(t *testing.T) {
	devnettest.Run(t, devnet.Config{Storage: 12}, func(t *testing.T, n *devnet.Network) {
		c := newClients(t, n.Ready())
		t.Run("aws", c.testAWS)
		t.Run("rclone", c.testRclone)
		t.Run("s3cmd", c.testS3cmd)
		t.Run("restic", c.testRestic)
		t.Run("boto3", c.testBoto3)
		t.Run("presigned", c.testPresigned)
	})
}

func large() bool { return os.Getenv("CAIRN_LARGE") != "" }

type clients struct {
	ready devnet.Ready
	home  string
	env   []string
}

func newClients(t *testing.T, ready devnet.Ready) *clients {
	home := t.TempDir()
	host := strings.TrimPrefix(ready.S3.Endpoint, "http://")
	env := append(os.Environ(),
		"HOME="+home,
		"AWS_ACCESS_KEY_ID="+ready.S3.AccessKey, "AWS_SECRET_ACCESS_KEY="+ready.S3.SecretKey,
		"AWS_DEFAULT_REGION="+ready.S3.Region, "AWS_REGION="+ready.S3.Region, "AWS_CA_BUNDLE=",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
		"RESTIC_PASSWORD=correct horse", "RESTIC_CACHE_DIR="+filepath.Join(home, "restic"),
		"RCLONE_CONFIG_CAIRN_TYPE=s3", "RCLONE_CONFIG_CAIRN_PROVIDER=Other",
		"RCLONE_CONFIG_CAIRN_ACCESS_KEY_ID="+ready.S3.AccessKey, "RCLONE_CONFIG_CAIRN_SECRET_ACCESS_KEY="+ready.S3.SecretKey,
		"RCLONE_CONFIG_CAIRN_ENDPOINT="+ready.S3.Endpoint, "RCLONE_CONFIG_CAIRN_REGION="+ready.S3.Region,
	)
	config := fmt.Sprintf("[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s\nhost_bucket = %s\nuse_https = False\nbucket_location = %s\n",
		ready.S3.AccessKey, ready.S3.SecretKey, host, host, ready.S3.Region)
	require.NoError(t, os.WriteFile(filepath.Join(home, ".s3cfg"), []byte(config), 0o600))
	return &clients{ready: ready, home: home, env: env}
}

// tool finds a client where Debian's packages put it, so that another of the same name earlier on
// PATH does not stand in; it skips the test where the client is not installed, except in CI.
func tool(t *testing.T, name string) string {
	path := filepath.Join("/usr/bin", name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed: .ci/run installs it", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

// run gives what a client prints to standard output.
func (c *clients) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(tool(t, name), args...)
	cmd.Env = c.env
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	require.NoErrorf(t, cmd.Run(), "%s %s\n%s%s", name, strings.Join(args, " "), &out, &trouble)
	return out.String()
}

func (c *clients) fails(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(tool(t, name), args...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	require.Errorf(t, err, "%s %s succeeded\n%s", name, strings.Join(args, " "), out)
	return string(out)
}

func (c *clients) aws(t *testing.T, args ...string) string {
	t.Helper()
	return c.run(t, "aws", append([]string{"--endpoint-url", c.ready.S3.Endpoint}, args...)...)
}

// folder makes files of mixed sizes: empty, inline, small, across segment borders, nested, odd names.
func folder(t *testing.T, seed uint64) string {
	t.Helper()
	dir := t.TempDir()
	source := rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed)))
	sizes := []int{0, 1, 4095, 4096, 4097, 70_000, 262_144, 262_145, 1 << 20, 5_000_003, 16 << 20, 16<<20 + 1, 33_000_000}
	for i, size := range sizes {
		name := filepath.Join(dir, fmt.Sprintf("d%d", i%3), fmt.Sprintf("file %d ümlaut+&.bin", size))
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		data := make([]byte, size)
		source.Read(data)
		require.NoError(t, os.WriteFile(name, data, 0o644))
	}
	return dir
}

// digest maps relative path to content hash.
func digest(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	sums := map[string][32]byte{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		sums[rel] = sha256.Sum256(data)
		return err
	}))
	return sums
}

func (c *clients) testAWS(t *testing.T) {
	c.aws(t, "s3", "mb", "s3://aws")
	src := folder(t, 1)
	c.aws(t, "s3", "sync", src, "s3://aws/in", "--only-show-errors")
	back := t.TempDir()
	c.aws(t, "s3", "sync", "s3://aws/in", back, "--only-show-errors")
	require.Equal(t, digest(t, src), digest(t, back))

	size := 96 << 20
	if large() {
		size = 1 << 30
	}
	big := filepath.Join(t.TempDir(), "big")
	writeRandom(t, big, size, 2)
	c.aws(t, "s3", "cp", big, "s3://aws/big", "--only-show-errors")
	c.aws(t, "s3", "cp", "s3://aws/big", big+".back", "--only-show-errors")
	requireSameFile(t, big, big+".back")

	body := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(body, []byte("first"), 0o644))
	c.aws(t, "s3api", "put-object", "--bucket", "aws", "--key", "range", "--body", body)
	c.aws(t, "s3api", "get-object", "--bucket", "aws", "--key", "range", "--range", "bytes=1-3", body+".part")
	part, err := os.ReadFile(body + ".part")
	require.NoError(t, err)
	require.Equal(t, "irs", string(part))

	out := c.aws(t, "s3api", "list-objects-v2", "--bucket", "aws", "--delimiter", "/", "--query", "CommonPrefixes[].Prefix", "--output", "text")
	require.Equal(t, "in/", strings.TrimSpace(out))
	out = c.fails(t, "aws", "--endpoint-url", c.ready.S3.Endpoint, "s3api", "get-object", "--bucket", "aws", "--key", "absent", body+".none")
	require.Contains(t, out, "NoSuchKey")
}

func (c *clients) testRclone(t *testing.T) {
	src := folder(t, 3)
	c.run(t, "rclone", "mkdir", "cairn:rclone")
	c.run(t, "rclone", "sync", src, "cairn:rclone/in")
	c.run(t, "rclone", "check", src, "cairn:rclone/in")
	c.run(t, "rclone", "check", "--download", src, "cairn:rclone/in")
	got := c.run(t, "rclone", "cat", "--offset", "17000000", "--count", "1000", "cairn:rclone/in/d0/file 33000000 ümlaut+&.bin")
	want, err := os.ReadFile(filepath.Join(src, "d0", "file 33000000 ümlaut+&.bin"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want[17_000_000:17_001_000], []byte(got)), "range read differs")

	count := 300
	if large() {
		count = 10_000
	}
	small := t.TempDir()
	for i := range count {
		writeRandom(t, filepath.Join(small, fmt.Sprintf("%05d", i)), 4096, uint64(i))
	}
	c.run(t, "rclone", "copy", "--transfers", "16", "--checkers", "16", small, "cairn:rclone/small")
	c.run(t, "rclone", "check", "--transfers", "16", small, "cairn:rclone/small")
	c.run(t, "rclone", "purge", "cairn:rclone/small")
}

func (c *clients) testS3cmd(t *testing.T) {
	src := folder(t, 4)
	c.run(t, "s3cmd", "mb", "s3://s3cmd")
	c.run(t, "s3cmd", "sync", "--no-progress", src+"/", "s3://s3cmd/in/")
	back := t.TempDir()
	c.run(t, "s3cmd", "sync", "--no-progress", "s3://s3cmd/in/", back+"/")
	require.Equal(t, digest(t, src), digest(t, back))
	c.run(t, "s3cmd", "del", "--recursive", "--force", "s3://s3cmd/in/")
	require.Empty(t, strings.TrimSpace(c.run(t, "s3cmd", "ls", "--recursive", "s3://s3cmd/")))
}

func (c *clients) testRestic(t *testing.T) {
	src := folder(t, 5)
	repo := "s3:" + c.ready.S3.Endpoint + "/restic"
	c.run(t, "restic", "-r", repo, "init")
	c.run(t, "restic", "-r", repo, "backup", src)
	c.run(t, "restic", "-r", repo, "check", "--read-data")
	back := t.TempDir()
	c.run(t, "restic", "-r", repo, "restore", "latest", "--target", back)
	require.Equal(t, digest(t, src), digest(t, filepath.Join(back, src)))
}

func (c *clients) testBoto3(t *testing.T) {
	script, err := filepath.Abs("testdata/boto3_client.py")
	require.NoError(t, err)
	out := c.run(t, "python3", script, c.ready.S3.Endpoint)
	require.Contains(t, out, "all held")
}

func (c *clients) testPresigned(t *testing.T) {
	body := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(body, []byte("for whoever has the link"), 0o644))
	c.aws(t, "s3", "mb", "s3://presigned")
	c.aws(t, "s3", "cp", body, "s3://presigned/key", "--only-show-errors")
	url := strings.TrimSpace(c.aws(t, "s3", "presign", "s3://presigned/key"))
	require.Equal(t, http.StatusOK, status(t, url))
	require.Equal(t, http.StatusForbidden, status(t, strings.Replace(url, "presigned/key", "presigned/other", 1)))
	require.Equal(t, http.StatusForbidden, status(t, c.ready.S3.Endpoint+"/presigned/key"))
}

func status(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

func writeRandom(t *testing.T, path string, size int, seed uint64) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	source := rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed)))
	buf := make([]byte, 1<<20)
	for size > 0 {
		b := buf[:min(size, len(buf))]
		source.Read(b)
		_, err := f.Write(b)
		require.NoError(t, err)
		size -= len(b)
	}
	require.NoError(t, f.Sync())
}

func requireSameFile(t *testing.T, a, b string) {
	t.Helper()
	out, err := exec.Command("cmp", a, b).CombinedOutput()
	require.NoErrorf(t, err, "%s and %s differ: %s", a, b, out)
}
