package s3_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/versity/versitygw/s3response"

	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/s3"
	"github.com/cairn-network/cairn/daemon/s3gateway/s3/fakenet"
)

// gateway is a whole S3 face on a Unix socket, over a real metabase and the
// fake network.
type gateway struct {
	*awss3.Client
	backend *s3.Backend
	db      *metabase.DB
	net     *fakenet.Engine
	now     *movable
	http    *http.Client
}

// movable is a clock that a test moves.
type movable struct {
	mu sync.Mutex
	at time.Time
}

func (m *movable) now() time.Time          { m.mu.Lock(); defer m.mu.Unlock(); return m.at }
func (m *movable) advance(d time.Duration) { m.mu.Lock(); m.at = m.at.Add(d); m.mu.Unlock() }

const (
	access = "root"
	secret = "rootsecret"
)

func start(t testing.TB) *gateway {
	t.Helper()
	dir := t.TempDir()
	segments := t.TempDir()
	clk := &movable{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	db, err := metabase.OpenPebble(filepath.Join(dir, "meta"), metabase.PebbleOptions{}, metabase.WithNow(clk.now))
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{db: db, net: fakenet.New(segments, fakenet.Volatile), now: clk}
	root := seal.FromSeed([]byte("a seed for these tests"))
	g.backend = s3.New(s3.Deps{Metabase: db, Engine: g.net, Root: root, Now: clk.now, Log: slog.New(slog.DiscardHandler)})
	ready := make(chan struct{})
	socket := filepath.Join(dir, "s3")
	server, err := s3.NewServer(s3.ServerConfig{
		Listen: socket, AccessKey: access, SecretKey: secret, Ready: sync.OnceFunc(func() { close(ready) }),
	}, g.backend, s3.NewAccounts(db, root, access, secret))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	g.http = &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	g.Client = g.as(access, secret)
	t.Cleanup(func() {
		g.http.CloseIdleConnections()
		g.backend.Shutdown()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (g *gateway) as(access, secret string) *awss3.Client {
	return awss3.New(awss3.Options{
		Region: s3.DefaultRegion, BaseEndpoint: aws.String("http://gateway"), UsePathStyle: true, HTTPClient: g.http,
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""), RetryMaxAttempts: 1,
	})
}

func (g *gateway) bucket(t testing.TB, name string) {
	t.Helper()
	if _, err := g.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
}

func (g *gateway) put(t testing.TB, bucket, key string, body []byte) *awss3.PutObjectOutput {
	t.Helper()
	out, err := g.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (g *gateway) get(t testing.TB, in *awss3.GetObjectInput) []byte {
	t.Helper()
	out, err := g.GetObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// putInput is a conditional PUT as versitygw hands it to the backend.
func putInput(bucket, key string, body io.Reader, ifNoneMatch *string) s3response.PutObjectInput {
	return s3response.PutObjectInput{Bucket: &bucket, Key: &key, Body: body, IfNoneMatch: ifNoneMatch}
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

// noise is n bytes that no code path can mistake for others.
func noise(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	_, _ = rng.Read(b)
	return b
}

// sizes are around every boundary: inline, segment, and several segments.
var sizes = []int{
	0, 1, metabase.InlineLimit - 1, metabase.InlineLimit, metabase.InlineLimit + 1,
	fakenet.SegmentSize - 1, fakenet.SegmentSize, fakenet.SegmentSize + 1, 2*fakenet.SegmentSize + 12345,
}

func TestObjectsOfEverySizeComeBack(t *testing.T) {
	g := start(t)
	g.bucket(t, "sizes")
	for _, size := range sizes {
		body := noise(size)
		key := fmt.Sprint("key ", size, "/ü+%?&")
		out := g.put(t, "sizes", key, body)
		sum := md5.Sum(body)
		if want := `"` + hex.EncodeToString(sum[:]) + `"`; *out.ETag != want {
			t.Errorf("%d bytes: ETag %s, want the MD5 %s", size, *out.ETag, want)
		}
		if got := g.get(t, &awss3.GetObjectInput{Bucket: aws.String("sizes"), Key: &key}); !bytes.Equal(got, body) {
			t.Errorf("%d bytes came back as %d different ones", size, len(got))
		}
	}
}

func TestRangesMatchTheBytes(t *testing.T) {
	g := start(t)
	g.bucket(t, "ranges")
	whole := append(noise(fakenet.SegmentSize+5<<20), []byte("the last part")...)
	const key = "multi"
	up, err := g.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String("ranges"), Key: aws.String(key)})
	if err != nil {
		t.Fatal(err)
	}
	var parts []types.CompletedPart
	at := 0
	for i, n := range []int{5 << 20, fakenet.SegmentSize + 0, len(whole) - 5<<20 - fakenet.SegmentSize} {
		if i == 1 && n < 5<<20 { // parts but the last have a least size
			n = 5 << 20
		}
		n = min(n, len(whole)-at)
		p, err := g.UploadPart(t.Context(), &awss3.UploadPartInput{
			Bucket: aws.String("ranges"), Key: aws.String(key), UploadId: up.UploadId,
			PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(whole[at : at+n]),
		})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: p.ETag})
		if at += n; at == len(whole) {
			break
		}
	}
	if _, err := g.CompleteMultipartUpload(t.Context(), &awss3.CompleteMultipartUploadInput{
		Bucket: aws.String("ranges"), Key: aws.String(key), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for range 40 {
		from := rng.IntN(len(whole))
		to := from + rng.IntN(len(whole)-from)
		r := fmt.Sprintf("bytes=%d-%d", from, to)
		if got := g.get(t, &awss3.GetObjectInput{Bucket: aws.String("ranges"), Key: aws.String(key), Range: &r}); !bytes.Equal(got, whole[from:to+1]) {
			t.Fatalf("%s gave %d wrong bytes", r, len(got))
		}
	}
}

// TestRefusedWritesLeaveNothing holds that segments of a PUT that fails at its
// end are released.
func TestRefusedWritesLeaveNothing(t *testing.T) {
	g := start(t)
	g.bucket(t, "refused")
	body := noise(fakenet.SegmentSize + 99)
	bucket, key := aws.String("refused"), aws.String("k")
	_, err := g.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(body), ChecksumSHA256: aws.String("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")})
	if code(err) != "BadDigest" {
		t.Errorf("wrong checksum: %v", err)
	}
	// The condition holds when the upload begins and no longer when it ends.
	pr, pw := io.Pipe()
	refused := make(chan error, 1)
	go func() {
		_, err := g.backend.PutObject(context.Background(), putInput("refused", "k", pr, aws.String("*")))
		refused <- err
	}()
	if _, err := pw.Write(body); err != nil {
		t.Fatal(err)
	}
	g.put(t, "refused", "k", []byte("won the race"))
	if err := pw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; err == nil || !strings.Contains(err.Error(), "PreconditionFailed") {
		t.Errorf("a lost race gave %v", err)
	}
	if n, err := g.net.Segments(); err != nil || n != 0 {
		t.Errorf("%d segments are left behind, %v", n, err)
	}
	if got := g.get(t, &awss3.GetObjectInput{Bucket: bucket, Key: key}); string(got) != "won the race" {
		t.Errorf("the key holds %q", got)
	}
}

// TestCutConnectionStoresNothing sends half a body and hangs up.
func TestCutConnectionStoresNothing(t *testing.T) {
	g := start(t)
	g.bucket(t, "cut")
	presigned, err := awss3.NewPresignClient(g.Client).PresignPutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("cut"), Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	for _, half := range []int{100, fakenet.SegmentSize + 100} {
		pr, pw := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, presigned.URL, pr)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = int64(2 * half)
		go func() {
			_, _ = pw.Write(noise(half))
			pw.CloseWithError(errors.New("unplugged"))
		}()
		resp, err := g.http.Do(req)
		if err == nil {
			t.Errorf("half a body was answered %s", resp.Status)
			resp.Body.Close()
		}
	}
	// Another request on the same gateway comes after: the broken one has been seen by then or
	// holds no lock; either way nothing of it may ever show.
	if _, err := g.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String("cut"), Key: aws.String("k")}); code(err) != "NotFound" {
		t.Errorf("after cut uploads the key is there: %v", err)
	}
}

func TestEngineFaultsReachTheClient(t *testing.T) {
	g := start(t)
	g.bucket(t, "faults")
	g.put(t, "faults", "big", noise(1<<20))
	g.net.Fail(fmt.Errorf("placing a segment: %w", s3.Fault{Code: "ServiceUnavailable", Status: 503, Message: "12 nodes are needed, 3 offer storage: raise the price limit"}))
	_, err := g.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("faults"), Key: aws.String("x"), Body: bytes.NewReader(noise(1 << 20))})
	if code(err) != "ServiceUnavailable" || !strings.Contains(err.Error(), "raise the price limit") {
		t.Errorf("PUT was answered %v", err)
	}
	if _, err := g.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("faults"), Key: aws.String("big")}); code(err) != "ServiceUnavailable" {
		t.Errorf("GET was answered %v", err)
	}
	// Small objects need no network.
	g.put(t, "faults", "small", []byte("x"))
	g.net.Fail(errors.New("disk on fire"))
	if _, err := g.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("faults"), Key: aws.String("big")}); code(err) != "InternalError" {
		t.Errorf("an unknown error was answered %v", err)
	}
	g.net.Fail(nil)
}

func TestCopiesShareSegmentsWithinABucketOnly(t *testing.T) {
	g := start(t)
	g.bucket(t, "one")
	g.bucket(t, "two")
	body := noise(fakenet.SegmentSize + 1)
	g.put(t, "one", "src", body)
	count := func() int {
		n, err := g.net.Segments()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	cp := func(bucket, key string) {
		t.Helper()
		if _, err := g.CopyObject(t.Context(), &awss3.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: aws.String("one/src")}); err != nil {
			t.Fatal(err)
		}
		if got := g.get(t, &awss3.GetObjectInput{Bucket: &bucket, Key: &key}); !bytes.Equal(got, body) {
			t.Errorf("the copy %s/%s differs", bucket, key)
		}
	}
	cp("one", "dst")
	if count() != before {
		t.Errorf("a copy within a bucket stored %d segments", count()-before)
	}
	cp("two", "dst")
	if count() != 2*before {
		t.Errorf("a copy into another bucket stored %d segments, want %d", count()-before, before)
	}
	if _, err := g.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: aws.String("one"), Key: aws.String("src")}); err != nil {
		t.Fatal(err)
	}
	if got := g.get(t, &awss3.GetObjectInput{Bucket: aws.String("one"), Key: aws.String("dst")}); !bytes.Equal(got, body) {
		t.Error("the copy went with its source")
	}
}

// TestMetabaseHoldsNoPlaintext looks for content and keys in the raw store.
func TestMetabaseHoldsNoPlaintext(t *testing.T) {
	g := start(t)
	g.bucket(t, "secret")
	g.put(t, "secret", "inline", []byte("attack at dawn"))
	var snapshot bytes.Buffer
	if _, err := g.db.Snapshot(t.Context(), &snapshot); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(snapshot.Bytes(), []byte("dawn")) {
		t.Error("inline content is stored in the clear")
	}
	if !bytes.Contains(snapshot.Bytes(), []byte("inline")) {
		t.Error("the snapshot does not hold the object at all")
	}
}

func TestAccounts(t *testing.T) {
	g := start(t)
	g.bucket(t, "private")
	g.put(t, "private", "k", []byte("x"))
	stranger := g.as("nobody", "secret")
	if _, err := stranger.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("private"), Key: aws.String("k")}); code(err) != "InvalidAccessKeyId" {
		t.Errorf("an unknown key was answered %v", err)
	}
	wrong := g.as(access, "wrong")
	if _, err := wrong.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("private"), Key: aws.String("k")}); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("a wrong secret was answered %v", err)
	}
}

func TestDeepTreesListInFewSteps(t *testing.T) {
	g := start(t)
	g.bucket(t, "tree")
	for i := range 300 {
		g.put(t, "tree", fmt.Sprintf("a/%03d/%d", i%3, i), nil)
	}
	g.put(t, "tree", "b", nil)
	out, err := g.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String("tree"), Delimiter: aws.String("/")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range out.CommonPrefixes {
		got = append(got, *p.Prefix)
	}
	for _, o := range out.Contents {
		got = append(got, *o.Key)
	}
	if !slices.Equal(got, []string{"a/", "b"}) {
		t.Errorf("listing gave %q", got)
	}
}

func BenchmarkPutSmallHTTP(b *testing.B) {
	g := start(b)
	g.bucket(b, "bench")
	body := noise(4096)
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := fmt.Sprintf("%016x", rand.Uint64())
			_, err := g.PutObject(context.Background(), &awss3.PutObjectInput{Bucket: aws.String("bench"), Key: &key, Body: bytes.NewReader(body)})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkListThousand(b *testing.B) {
	g := start(b)
	g.bucket(b, "bench")
	for i := range 1000 {
		g.put(b, "bench", fmt.Sprintf("some/longer/prefix/%06d", i), noise(4096))
	}
	for b.Loop() {
		out, err := g.ListObjectsV2(context.Background(), &awss3.ListObjectsV2Input{Bucket: aws.String("bench")})
		if err != nil || len(out.Contents) != 1000 {
			b.Fatal(len(out.Contents), err)
		}
	}
}
