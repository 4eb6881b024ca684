package s3_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3err"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/s3"
	"github.com/cairn-network/cairn/internal/clock"
)

const day = 24 * time.Hour

// left lists what a bucket holds: key, * for delete markers, and the ETag.
func left(t *testing.T, g *gateway, bucket string) []string {
	t.Helper()
	var out []string
	err := g.db.EachVersion(t.Context(), bucket, "", func(o metabase.Object) (bool, error) {
		line := o.Key
		if o.DeleteMarker {
			line += "*"
		}
		out = append(out, line)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func rules(t *testing.T, g *gateway, bucket string, rules ...types.LifecycleRule) {
	t.Helper()
	for i := range rules {
		rules[i].ID, rules[i].Status = aws.String(fmt.Sprint("rule", i)), types.ExpirationStatusEnabled
		if rules[i].Filter == nil {
			rules[i].Filter = &types.LifecycleRuleFilter{Prefix: aws.String("")}
		}
	}
	_, err := g.PutBucketLifecycleConfiguration(t.Context(), &awss3.PutBucketLifecycleConfigurationInput{
		Bucket: &bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func expire(t *testing.T, g *gateway) s3.Expired {
	t.Helper()
	sum, err := g.backend.Expire(t.Context(), g.now.now())
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestLifecycleExpiresByAgeFromMidnight(t *testing.T) {
	g := start(t)
	g.bucket(t, "age")
	g.put(t, "age", "log/a", []byte("x"))
	g.put(t, "age", "keep/b", []byte("x"))
	if _, err := g.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String("age"), Key: aws.String("log/tagged"),
		Body: strings.NewReader("x"), Tagging: aws.String("hold=yes"),
	}); err != nil {
		t.Fatal(err)
	}
	rules(t, g, "age",
		types.LifecycleRule{
			Filter:     &types.LifecycleRuleFilter{And: &types.LifecycleRuleAndOperator{Prefix: aws.String("log/"), ObjectSizeLessThan: aws.Int64(2)}},
			Expiration: &types.LifecycleExpiration{Days: aws.Int32(3)},
		},
		types.LifecycleRule{
			Filter:     &types.LifecycleRuleFilter{Tag: &types.Tag{Key: aws.String("hold"), Value: aws.String("no")}},
			Expiration: &types.LifecycleExpiration{Days: aws.Int32(1)},
		})
	// Written at noon of day 0: due at the midnight after noon of day 3.
	g.now.advance(3*day + 11*time.Hour)
	if sum := expire(t, g); sum != (s3.Expired{}) {
		t.Fatalf("expired %+v before the midnight", sum)
	}
	g.now.advance(time.Hour)
	if sum := expire(t, g); sum.Versions != 2 {
		t.Fatalf("expired %+v, want the two under log/", sum)
	}
	if got := left(t, g, "age"); !slices.Equal(got, []string{"keep/b"}) {
		t.Fatalf("left: %q", got)
	}
	if sum := expire(t, g); sum != (s3.Expired{}) {
		t.Fatalf("a second pass expired %+v", sum)
	}
}

func TestLifecycleOfVersions(t *testing.T) {
	g := start(t)
	g.bucket(t, "vers")
	_, err := g.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{
		Bucket:                  aws.String("vers"),
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		g.put(t, "vers", "k", []byte("x"))
		g.now.advance(day)
	}
	rules(t, g, "vers", types.LifecycleRule{
		Expiration:                  &types.LifecycleExpiration{Days: aws.Int32(10)},
		NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(5), NewerNoncurrentVersions: aws.Int32(1)},
	}, types.LifecycleRule{Expiration: &types.LifecycleExpiration{ExpiredObjectDeleteMarker: aws.Bool(true)}})
	// Of three noncurrent versions the newest is spared; the others go 5 days after they were succeeded.
	g.now.advance(4 * day)
	if sum := expire(t, g); sum.Versions != 2 {
		t.Fatalf("expired %+v, want 2 noncurrent versions", sum)
	}
	if got := left(t, g, "vers"); !slices.Equal(got, []string{"k", "k"}) {
		t.Fatalf("left: %q", got)
	}
	// The current version grows old: a delete marker covers it.
	g.now.advance(7 * day)
	expire(t, g)
	if got := left(t, g, "vers"); !slices.Equal(got, []string{"k*", "k", "k"}) {
		t.Fatalf("left: %q", got)
	}
	// What the marker covers goes, then the marker covers nothing and goes too. One is spared by
	// NewerNoncurrentVersions, so it must be deleted by hand.
	g.now.advance(7 * day)
	expire(t, g)
	if got := left(t, g, "vers"); !slices.Equal(got, []string{"k*", "k"}) {
		t.Fatalf("left: %q", got)
	}
	list, err := g.ListObjectVersions(t.Context(), &awss3.ListObjectVersionsInput{Bucket: aws.String("vers")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: aws.String("vers"), Key: aws.String("k"), VersionId: list.Versions[0].VersionId}); err != nil {
		t.Fatal(err)
	}
	expire(t, g)
	if got := left(t, g, "vers"); len(got) != 0 {
		t.Fatalf("left: %q", got)
	}
}

func TestLifecycleRespectsObjectLock(t *testing.T) {
	g := start(t)
	bucket := aws.String("locked")
	if _, err := g.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: bucket, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	for key, hold := range map[string]types.ObjectLockLegalHoldStatus{"held": types.ObjectLockLegalHoldStatusOn, "free": types.ObjectLockLegalHoldStatusOff} {
		if _, err := g.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader("x"), ObjectLockLegalHoldStatus: hold}); err != nil {
			t.Fatal(err)
		}
		g.put(t, "locked", key, []byte("newer"))
	}
	rules(t, g, "locked", types.LifecycleRule{NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(1)}})
	g.now.advance(3 * day)
	expire(t, g)
	if got := left(t, g, "locked"); !slices.Equal(got, []string{"free", "held", "held"}) {
		t.Fatalf("left: %q", got)
	}
}

func TestLifecycleAbortsUploads(t *testing.T) {
	g := start(t)
	g.bucket(t, "ups")
	for _, key := range []string{"tmp/a", "b"} {
		if _, err := g.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String("ups"), Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	rules(t, g, "ups", types.LifecycleRule{
		Filter:                         &types.LifecycleRuleFilter{Prefix: aws.String("tmp/")},
		AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(2)},
	})
	g.now.advance(4 * day)
	if sum := expire(t, g); sum.Uploads != 1 {
		t.Fatalf("aborted %+v, want one", sum)
	}
	out, err := g.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: aws.String("ups")})
	if err != nil || len(out.Uploads) != 1 || *out.Uploads[0].Key != "b" {
		t.Fatalf("left: %+v, %v", out.Uploads, err)
	}
}

func TestLifecycleLoopTurnsWithTheClock(t *testing.T) {
	g := start(t)
	g.bucket(t, "loop")
	g.put(t, "loop", "k", []byte("x"))
	rules(t, g, "loop", types.LifecycleRule{Expiration: &types.LifecycleExpiration{Days: aws.Int32(1)}})
	clk := clock.NewFake(g.now.now())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.backend.RunLifecycle(ctx, clk, time.Hour) }()
	for range 50 {
		if err := clk.AwaitTimers(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		clk.Advance(time.Hour)
	}
	if err := clk.AwaitTimers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if got := left(t, g, "loop"); len(got) != 0 {
		t.Errorf("left after 50 hours: %q", got)
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the loop ended with %v", err)
	}
}

func TestLifecycleConfigurationsAreChecked(t *testing.T) {
	rule := func(body string) string {
		return "<LifecycleConfiguration><Rule><Status>Enabled</Status>" + body + "</Rule></LifecycleConfiguration>"
	}
	const expireOne = "<Expiration><Days>1</Days></Expiration>"
	good := map[string]string{
		"whole bucket": rule("<Filter></Filter>" + expireOne),
		"old prefix":   rule("<Prefix>a/</Prefix>" + expireOne),
		"namespaced":   strings.Replace(rule(expireOne), "<LifecycleConfiguration>", `<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`, 1),
		"date":         rule("<Expiration><Date>2027-01-01T00:00:00Z</Date></Expiration>"),
	}
	for _, name := range slices.Sorted(maps.Keys(good)) {
		l, err := s3.ParseLifecycle([]byte(good[name]))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := xml.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s3.ParseLifecycle(again); err != nil {
			t.Errorf("%s: what was stored does not read back: %v", name, err)
		}
	}
	bad := map[string]string{
		"not XML":         "{}",
		"no rules":        "<LifecycleConfiguration></LifecycleConfiguration>",
		"no action":       rule("<Prefix></Prefix>"),
		"status":          strings.Replace(rule(expireOne), "Enabled", "On", 1),
		"zero days":       rule("<Expiration><Days>0</Days></Expiration>"),
		"days and date":   rule("<Expiration><Days>1</Days><Date>2027-01-01T00:00:00Z</Date></Expiration>"),
		"not midnight":    rule("<Expiration><Date>2027-01-01T01:00:00Z</Date></Expiration>"),
		"prefix twice":    rule("<Prefix>a</Prefix><Filter><Prefix>b</Prefix></Filter>" + expireOne),
		"beside And":      rule("<Filter><Prefix>a</Prefix><And><Prefix>b</Prefix></And></Filter>" + expireOne),
		"transition":      rule(expireOne + "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"),
		"noncurrent":      rule("<NoncurrentVersionExpiration></NoncurrentVersionExpiration>"),
		"abort at once":   rule("<AbortIncompleteMultipartUpload><DaysAfterInitiation>0</DaysAfterInitiation></AbortIncompleteMultipartUpload>"),
		"same id twice":   "<LifecycleConfiguration>" + strings.Repeat("<Rule><ID>x</ID><Status>Enabled</Status>"+expireOne+"</Rule>", 2) + "</LifecycleConfiguration>",
		"id of 256 bytes": rule("<ID>" + strings.Repeat("x", 256) + "</ID>" + expireOne),
	}
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		_, err := s3.ParseLifecycle([]byte(bad[name]))
		var api s3err.APIError
		if !errors.As(err, &api) || api.HTTPStatusCode < 400 || api.HTTPStatusCode > 501 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzLifecycle(f *testing.F) {
	f.Add([]byte("<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter><And><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := s3.ParseLifecycle(data)
		if err != nil {
			return
		}
		doc, err := xml.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s3.ParseLifecycle(doc)
		if err != nil {
			t.Fatalf("what was accepted does not read back: %v\n%s", err, doc)
		}
		twice, err := xml.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(twice, doc) {
			t.Fatalf("changed by storing:\n%s\n%s", doc, twice)
		}
	})
}
