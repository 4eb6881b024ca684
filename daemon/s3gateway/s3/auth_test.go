package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// requests are one of every kind that the API knows.
var requests = []struct{ method, target string }{
	{"GET", "/"},
	{"PUT", "/new-bucket"},
	{"HEAD", "/vault"},
	{"GET", "/vault"},
	{"GET", "/vault?list-type=2"},
	{"GET", "/vault?versions"},
	{"GET", "/vault?uploads"},
	{"DELETE", "/vault"},
	{"POST", "/vault?delete"},
	{"GET", "/vault/k"},
	{"HEAD", "/vault/k"},
	{"GET", "/vault/k?attributes"},
	{"PUT", "/vault/k"},
	{"PUT", "/vault/other"},
	{"DELETE", "/vault/k"},
	{"POST", "/vault/k?uploads"},
	{"PUT", "/vault/k?partNumber=1&uploadId=x"},
	{"POST", "/vault/k?uploadId=x"},
	{"DELETE", "/vault/k?uploadId=x"},
	{"GET", "/vault/k?uploadId=x"},
	{"GET", "/vault/k?tagging"},
	{"PUT", "/vault/k?tagging"},
	{"DELETE", "/vault/k?tagging"},
	{"PUT", "/vault/k?retention"},
	{"GET", "/vault/k?retention"},
	{"PUT", "/vault/k?legal-hold"},
	{"GET", "/vault/k?legal-hold"},
	{"PUT", "/vault?versioning"},
	{"GET", "/vault?versioning"},
	{"PUT", "/vault?policy"},
	{"GET", "/vault?policy"},
	{"DELETE", "/vault?policy"},
	{"PUT", "/vault?cors"},
	{"GET", "/vault?cors"},
	{"DELETE", "/vault?cors"},
	{"PUT", "/vault?tagging"},
	{"GET", "/vault?tagging"},
	{"DELETE", "/vault?tagging"},
	{"PUT", "/vault?acl"},
	{"GET", "/vault?acl"},
	{"PUT", "/vault?object-lock"},
	{"GET", "/vault?object-lock"},
	{"PUT", "/vault?ownershipControls"},
	{"GET", "/vault?ownershipControls"},
	{"DELETE", "/vault?ownershipControls"},
	{"PUT", "/vault?lifecycle"},
	{"GET", "/vault?lifecycle"},
	{"DELETE", "/vault?lifecycle"},
	{"PATCH", "/create-user"},
	{"PATCH", "/list-users"},
	{"PATCH", "/delete-user?access=root"},
}

const zeroSignature = "0000000000000000000000000000000000000000000000000000000000000000"

// forgeries dress a request in every way to authenticate, with a signature
// that nobody made.
var forgeries = map[string]func(r *http.Request, date string){
	"anonymous": func(*http.Request, string) {},
	"header": func(r *http.Request, date string) {
		forge(r, date, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	},
	"unsigned payload": func(r *http.Request, date string) { forge(r, date, "UNSIGNED-PAYLOAD") },
	"streaming":        func(r *http.Request, date string) { forge(r, date, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") },
	"streaming trailer": func(r *http.Request, date string) {
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		forge(r, date, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
	},
	"unsigned trailer": func(r *http.Request, date string) {
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		forge(r, date, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
	},
	"presigned": func(r *http.Request, date string) {
		q := r.URL.Query()
		q.Set("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
		q.Set("X-Amz-Credential", access+"/"+date[:8]+"/us-east-1/s3/aws4_request")
		q.Set("X-Amz-Date", date)
		q.Set("X-Amz-Expires", "3600")
		q.Set("X-Amz-SignedHeaders", "host")
		q.Set("X-Amz-Signature", zeroSignature)
		r.URL.RawQuery = q.Encode()
	},
}

func forge(r *http.Request, date, sha string) {
	r.Header.Set("X-Amz-Date", date)
	r.Header.Set("X-Amz-Content-Sha256", sha)
	r.Header.Set("X-Amz-Decoded-Content-Length", "4")
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=%s",
		access, date[:8], zeroSignature))
}

// refusal is the status that a forged request gets. A body in signed chunks belongs to an upload
// alone, and versitygw says so, as AWS does, before it looks at the signature of anything else.
func refusal(dress, method, target string) int {
	upload := method == "PUT" && (target == "/vault/k" || target == "/vault/other" || strings.Contains(target, "partNumber"))
	switch dress {
	case "streaming", "streaming trailer", "unsigned trailer":
		if !upload {
			return http.StatusBadRequest
		}
	}
	return http.StatusForbidden
}

// TestForgedSignaturesGetNowhere tries every request in every forged dress: none
// is served, and nothing changes.
func TestForgedSignaturesGetNowhere(t *testing.T) {
	g := start(t)
	g.bucket(t, "vault")
	g.put(t, "vault", "k", []byte("secret"))
	before := snapshotOf(t, g)
	// versitygw looks at the machine's clock, not at the gateway's.
	date := time.Now().UTC().Format("20060102T150405Z")
	for name, dress := range forgeries {
		for _, rq := range requests {
			var body io.Reader
			if rq.method == "PUT" || rq.method == "POST" {
				body = strings.NewReader("evil")
			}
			r, err := http.NewRequestWithContext(t.Context(), rq.method, "http://gateway"+rq.target, body)
			if err != nil {
				t.Fatal(err)
			}
			dress(r, date)
			resp, err := g.http.Do(r)
			if err != nil {
				t.Errorf("%s: %s %s: %v", name, rq.method, rq.target, err)
				continue
			}
			answer, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Errorf("%s: %s %s: %v", name, rq.method, rq.target, err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			if resp.StatusCode != refusal(name, rq.method, rq.target) || bytes.Contains(answer, []byte("secret")) {
				t.Errorf("%s: %s %s was answered %s: %s", name, rq.method, rq.target, resp.Status, answer)
			}
		}
	}
	if !bytes.Equal(before, snapshotOf(t, g)) {
		t.Error("a forged request changed something")
	}
}

func snapshotOf(t *testing.T, g *gateway) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := g.db.Snapshot(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
