package s3

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/metrics"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/controllers"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/internal/clock"
)

// Lifecycle is a bucket's lifecycle configuration, as S3's API writes it.
// Transitions are refused: there is one storage class.
type Lifecycle struct {
	XMLName xml.Name `xml:"LifecycleConfiguration"`
	Rules   []Rule   `xml:"Rule"`
}

// Rule is one lifecycle rule. Of Prefix and Filter at most one is set.
type Rule struct {
	ID                  string               `xml:",omitempty"`
	Status              string               // Enabled or Disabled
	Prefix              *string              `xml:",omitempty"` // the form before filters
	Filter              *Filter              `xml:",omitempty"`
	Expiration          *Expiration          `xml:",omitempty"`
	NoncurrentExpiry    *NoncurrentExpiry    `xml:"NoncurrentVersionExpiration,omitempty"`
	AbortUploads        *AbortUploads        `xml:"AbortIncompleteMultipartUpload,omitempty"`
	Transitions         []unsupportedElement `xml:"Transition,omitempty"`
	NoncurrentTransfers []unsupportedElement `xml:"NoncurrentVersionTransition,omitempty"`
}

type unsupportedElement struct{}

// Filter says which objects a rule is for. One condition stands directly in
// it, several stand in And.
type Filter struct {
	Condition
	And *Condition `xml:",omitempty"`
}

// Condition is met by objects that meet all of it.
type Condition struct {
	Prefix      *string `xml:",omitempty"`
	Tags        []Tag   `xml:"Tag,omitempty"`
	LargerThan  *int64  `xml:"ObjectSizeGreaterThan,omitempty"`
	SmallerThan *int64  `xml:"ObjectSizeLessThan,omitempty"`
}

// Tag is an object tag.
type Tag struct{ Key, Value string }

// Expiration ends current versions: by age, at a date, or delete markers that
// cover nothing.
type Expiration struct {
	Days         *int32     `xml:",omitempty"`
	Date         *time.Time `xml:",omitempty"`
	DeleteMarker *bool      `xml:"ExpiredObjectDeleteMarker,omitempty"`
}

// NoncurrentExpiry ends versions that Days ago were succeeded by another,
// sparing the Keep newest of them.
type NoncurrentExpiry struct {
	Days *int32 `xml:"NoncurrentDays,omitempty"`
	Keep *int32 `xml:"NewerNoncurrentVersions,omitempty"`
}

// AbortUploads ends multipart uploads Days after they began.
type AbortUploads struct {
	Days int32 `xml:"DaysAfterInitiation"`
}

const maxRules = 1000

func malformed(format string, args ...any) error {
	return s3err.APIError{
		Code: "MalformedXML", HTTPStatusCode: http.StatusBadRequest,
		Description: "The lifecycle configuration is not valid: " + fmt.Sprintf(format, args...),
	}
}

// ParseLifecycle reads and checks a lifecycle configuration. Errors are
// answers for the client.
func ParseLifecycle(data []byte) (Lifecycle, error) {
	var l Lifecycle
	if err := xml.Unmarshal(data, &l); err != nil {
		return l, malformed("%v.", err)
	}
	if len(l.Rules) == 0 || len(l.Rules) > maxRules {
		return l, malformed("it has %d rules, want 1 to %d.", len(l.Rules), maxRules)
	}
	seen := make(map[string]bool)
	for i := range l.Rules {
		r := &l.Rules[i]
		if r.ID == "" {
			r.ID = fmt.Sprintf("rule-%d", i+1)
		}
		if seen[r.ID] {
			return l, s3err.APIError{
				Code: "InvalidArgument", HTTPStatusCode: http.StatusBadRequest,
				Description: fmt.Sprintf("Rule ID must be unique. Found the same ID %q for more than one rule.", r.ID),
			}
		}
		seen[r.ID] = true
		if err := r.check(); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (r Rule) check() error {
	switch {
	case len(r.ID) > 255:
		return malformed("rule id %.20q... has %d bytes, the most is 255.", r.ID, len(r.ID))
	case r.Status != "Enabled" && r.Status != "Disabled":
		return malformed("rule %q has status %q, want Enabled or Disabled.", r.ID, r.Status)
	case r.Prefix != nil && r.Filter != nil:
		return malformed("rule %q has both a Prefix and a Filter.", r.ID)
	case len(r.Transitions) > 0 || len(r.NoncurrentTransfers) > 0:
		return s3err.APIError{
			Code: "NotImplemented", HTTPStatusCode: http.StatusNotImplemented,
			Description: fmt.Sprintf("Rule %q has a transition. This gateway has one storage class; use expiration rules only.", r.ID),
		}
	case r.Expiration == nil && r.NoncurrentExpiry == nil && r.AbortUploads == nil:
		return malformed("rule %q has no action.", r.ID)
	case r.AbortUploads != nil && r.AbortUploads.Days < 1:
		return malformed("rule %q aborts uploads after %d days, want at least 1.", r.ID, r.AbortUploads.Days)
	}
	if f := r.Filter; f != nil && f.And != nil && (f.Prefix != nil || len(f.Tags) > 0 || f.LargerThan != nil || f.SmallerThan != nil) {
		return malformed("the filter of rule %q has conditions beside And.", r.ID)
	}
	if e := r.NoncurrentExpiry; e != nil && (e.Days == nil || *e.Days < 1 || e.Keep != nil && (*e.Keep < 1 || *e.Keep > 100)) {
		return malformed("rule %q: NoncurrentDays must be at least 1 and NewerNoncurrentVersions 1 to 100.", r.ID)
	}
	return r.checkExpiration()
}

func (r Rule) checkExpiration() error {
	e := r.Expiration
	if e == nil {
		return nil
	}
	set := 0
	if e.Days != nil {
		set++
		if *e.Days < 1 {
			return malformed("rule %q expires after %d days, want at least 1.", r.ID, *e.Days)
		}
	}
	if e.Date != nil {
		set++
		if !e.Date.Equal(e.Date.UTC().Truncate(24 * time.Hour)) {
			return malformed("rule %q expires at %s, want midnight UTC.", r.ID, e.Date.Format(time.RFC3339))
		}
	}
	if e.DeleteMarker != nil {
		set++
	}
	if set != 1 {
		return malformed("the expiration of rule %q must have exactly one of Days, Date and ExpiredObjectDeleteMarker.", r.ID)
	}
	return nil
}

// condition is what the rule asks of objects.
func (r Rule) condition() Condition {
	switch {
	case r.Filter != nil && r.Filter.And != nil:
		return *r.Filter.And
	case r.Filter != nil:
		return r.Filter.Condition
	}
	return Condition{Prefix: r.Prefix}
}

func (c Condition) met(o metabase.Object) bool {
	if !strings.HasPrefix(o.Key, str(c.Prefix)) || c.LargerThan != nil && o.Size <= *c.LargerThan || c.SmallerThan != nil && o.Size >= *c.SmallerThan {
		return false
	}
	for _, t := range c.Tags {
		if v, ok := o.Tags[t.Key]; !ok || v != t.Value {
			return false
		}
	}
	return true
}

// due says whether something that began at t is days old: S3 counts whole days
// and acts at the midnight UTC that follows.
func due(now, t time.Time, days int32) bool {
	at := t.UTC().AddDate(0, 0, int(days))
	if midnight := at.Truncate(24 * time.Hour); !midnight.Equal(at) {
		at = midnight.Add(24 * time.Hour)
	}
	return !now.Before(at)
}

// version is an object version with what lifecycle rules look at.
type version struct {
	metabase.Object
	succeeded time.Time // when a newer version came; zero for the newest
	newer     int32     // noncurrent versions of the key that are newer
	alone     bool      // the only version of its key
}

// expires says whether a rule ends v now.
func (r Rule) expires(v version, now time.Time) bool {
	if r.Status != "Enabled" || !r.condition().met(v.Object) {
		return false
	}
	if !v.Latest {
		e := r.NoncurrentExpiry
		return e != nil && due(now, v.succeeded, *e.Days) && (e.Keep == nil || v.newer >= *e.Keep)
	}
	e := r.Expiration
	switch {
	case e == nil:
		return false
	case v.DeleteMarker:
		return v.alone && e.DeleteMarker != nil && *e.DeleteMarker
	case e.Days != nil:
		return due(now, v.CreatedAt, *e.Days)
	case e.Date != nil:
		return !now.Before(*e.Date)
	}
	return false
}

// Expired counts what a lifecycle pass ended.
type Expired struct{ Versions, Uploads int }

// Expire makes one lifecycle pass over all buckets at time now.
func (b *Backend) Expire(ctx context.Context, now time.Time) (sum Expired, err error) {
	var after string
	for {
		list, more, err := b.db.Buckets(ctx, "", after, 100, nil)
		if err != nil {
			return sum, fmt.Errorf("listing buckets for lifecycle: %w", err)
		}
		for _, bkt := range list {
			after = bkt.Name
			if bkt.Lifecycle == nil {
				continue
			}
			if err := b.expireBucket(ctx, bkt, now, &sum); err != nil {
				return sum, fmt.Errorf("lifecycle of bucket %s: %w", bkt.Name, err)
			}
		}
		if !more {
			return sum, nil
		}
	}
}

func (b *Backend) expireBucket(ctx context.Context, bkt metabase.Bucket, now time.Time, sum *Expired) error {
	l, err := ParseLifecycle(bkt.Lifecycle)
	if err != nil {
		return err
	}
	p := expiry{b: b, rules: l.Rules, now: now, sum: sum}
	if err := b.db.EachVersion(ctx, bkt.Name, "", func(o metabase.Object) (bool, error) { return true, p.see(ctx, o) }); err != nil {
		return err
	}
	if err := p.flush(ctx); err != nil {
		return err
	}
	return p.abortUploads(ctx, bkt.Name)
}

// expiry walks a bucket's versions key by key. A version is judged when the
// next one is seen, since a delete marker counts only when it is alone.
type expiry struct {
	b     *Backend
	rules []Rule
	now   time.Time
	sum   *Expired

	held     *version // seen, not yet judged
	versions int32    // of held's key, so far
}

func (p *expiry) see(ctx context.Context, o metabase.Object) error {
	v := version{Object: o, alone: true}
	if h := p.held; h != nil && h.Key == o.Key {
		v.succeeded, v.newer, v.alone, h.alone = h.CreatedAt, p.versions-1, false, false
		p.versions++
	} else {
		p.versions = 1
	}
	if err := p.flush(ctx); err != nil {
		return err
	}
	p.held = &v
	return nil
}

func (p *expiry) flush(ctx context.Context) error {
	v := p.held
	p.held = nil
	if v == nil {
		return nil
	}
	for _, r := range p.rules {
		if r.expires(*v, p.now) {
			return p.end(ctx, *v)
		}
	}
	return nil
}

// errChanged stops a deletion of something that is no longer what was judged.
var errChanged = errors.New("changed since it was judged")

// end deletes as the owner would: a live newest version by name, leaving a
// delete marker where the bucket has versions; all others for good, unless
// object lock protects them.
func (p *expiry) end(ctx context.Context, v version) error {
	id := ""
	if !v.Latest || v.DeleteMarker {
		id = v.VersionName()
		if protected(v.Object, p.now) {
			return nil
		}
	}
	_, err := p.b.db.DeleteObject(ctx, v.Bucket, v.Key, id, func(cur *metabase.Object) error {
		if cur == nil || cur.Version != v.Version || cur.Latest != v.Latest {
			return errChanged
		}
		return nil
	})
	if errors.Is(err, errChanged) {
		return nil // the next pass sees what it is now
	}
	if err == nil {
		p.sum.Versions++
	}
	return err
}

// protected says whether object lock keeps a version from deletion.
func protected(o metabase.Object, now time.Time) bool {
	if o.Lock.LegalHold != nil && *o.Lock.LegalHold {
		return true
	}
	if o.Lock.Retention == nil {
		return false
	}
	var r types.ObjectLockRetention
	if err := json.Unmarshal(o.Lock.Retention, &r); err != nil {
		return true // unreadable protection protects
	}
	return r.RetainUntilDate != nil && now.Before(*r.RetainUntilDate)
}

func (p *expiry) abortUploads(ctx context.Context, bucket string) error {
	q := metabase.UploadQuery{Bucket: bucket, Limit: 1000}
	for {
		page, err := p.b.db.ListUploads(ctx, q)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			for _, r := range p.rules {
				if r.Status != "Enabled" || r.AbortUploads == nil || !strings.HasPrefix(u.Key, str(r.condition().Prefix)) || !due(p.now, u.CreatedAt, r.AbortUploads.Days) {
					continue
				}
				if err := p.b.db.AbortUpload(ctx, bucket, u.Key, u.ID, nil); err != nil && !errors.Is(err, metabase.ErrNoUpload) {
					return err
				}
				p.sum.Uploads++
				break
			}
		}
		if !page.Truncated {
			return nil
		}
		q.AfterKey, q.AfterID = page.NextKey, page.NextID
	}
}

// RunLifecycle makes a lifecycle pass now and then every interval until ctx is
// done. A failed pass is logged and tried again at the next turn.
func (b *Backend) RunLifecycle(ctx context.Context, clk clock.Clock, interval time.Duration) error {
	return clock.Every(ctx, clk, interval, func(ctx context.Context) error {
		sum, err := b.Expire(ctx, clk.Now())
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			b.log.Error("lifecycle pass ended early", "error", err)
		case sum != Expired{}:
			b.log.Info("lifecycle pass", "versions", sum.Versions, "uploads", sum.Uploads)
		}
		return nil
	})
}

// lifecycleRoutes adds the lifecycle API, which versitygw answers with
// NotImplemented, in front of its routes, with the same checks as its others.
func lifecycleRoutes(b *Backend, root middlewares.RootUserConfig, region string, iam auth.IAMService) []s3api.Option {
	route := func(method, name string, action auth.Action, permission auth.Permission, do controllers.Controller) s3api.Option {
		controller := func(ctx fiber.Ctx) (*controllers.Response, error) {
			err := auth.VerifyAccess(ctx, b, auth.AccessOptions{
				Acl: utils.ContextKeyParsedAcl.Get(ctx).(auth.ACL), AclPermission: permission, Iam: iam,
				IsRoot: utils.ContextKeyIsRoot.Get(ctx).(bool), Acc: utils.ContextKeyAccount.Get(ctx).(auth.Account),
				Bucket: ctx.Params("bucket"), Actions: []auth.Action{action}, IsPublicRequest: utils.ContextKeyPublicBucket.IsSet(ctx),
			})
			if err != nil {
				return &controllers.Response{}, err
			}
			return do(ctx)
		}
		return s3api.WithRoute(method, "/:bucket",
			middlewares.MatchQueryArgs("lifecycle"),
			middlewares.SetDefaultValues(root, region),
			controllers.ProcessHandlers(controller, name, &controllers.Services{},
				middlewares.BucketObjectNameValidator(),
				middlewares.AuthorizePublicBucketAccess(b, name, action, permission, region, false),
				middlewares.VerifyPresignedV4Signature(root, iam, region, false),
				middlewares.VerifyV4Signature(root, iam, region, false, true, false),
				middlewares.VerifyChecksums(false, method == http.MethodPut, false),
				middlewares.ParseAcl(b),
			))
	}
	return []s3api.Option{
		route(http.MethodPut, metrics.ActionPutBucketLifecycleConfiguration, auth.PutLifecycleConfigurationAction, auth.PermissionWrite,
			func(ctx fiber.Ctx) (*controllers.Response, error) {
				return &controllers.Response{}, b.PutBucketLifecycle(ctx.RequestCtx(), ctx.Params("bucket"), ctx.BodyRaw())
			}),
		route(http.MethodGet, metrics.ActionGetBucketLifecycleConfiguration, auth.GetLifecycleConfigurationAction, auth.PermissionRead,
			func(ctx fiber.Ctx) (*controllers.Response, error) {
				l, err := b.GetBucketLifecycle(ctx.RequestCtx(), ctx.Params("bucket"))
				return &controllers.Response{Data: l}, err
			}),
		route(http.MethodDelete, metrics.ActionDeleteBucketLifecycle, auth.PutLifecycleConfigurationAction, auth.PermissionWrite,
			func(ctx fiber.Ctx) (*controllers.Response, error) {
				err := b.DeleteBucketLifecycle(ctx.RequestCtx(), ctx.Params("bucket"))
				return &controllers.Response{MetaOpts: &controllers.MetaOptions{Status: http.StatusNoContent}}, err
			}),
	}
}

// PutBucketLifecycle sets a bucket's lifecycle configuration.
func (b *Backend) PutBucketLifecycle(ctx context.Context, bucket string, data []byte) error {
	l, err := ParseLifecycle(data)
	if err != nil {
		return err
	}
	doc, err := xml.Marshal(l)
	if err != nil {
		return b.answer(fmt.Errorf("encoding a lifecycle configuration: %w", err), where{bucket: bucket})
	}
	return b.configure(ctx, bucket, func(bkt *metabase.Bucket) error { bkt.Lifecycle = doc; return nil })
}

// GetBucketLifecycle returns a bucket's lifecycle configuration.
func (b *Backend) GetBucketLifecycle(ctx context.Context, bucket string) (Lifecycle, error) {
	bkt, err := b.bucket(ctx, bucket)
	if err != nil {
		return Lifecycle{}, err
	}
	if bkt.Lifecycle == nil {
		return Lifecycle{}, s3err.APIError{
			Code: "NoSuchLifecycleConfiguration", HTTPStatusCode: http.StatusNotFound,
			Description: "The lifecycle configuration does not exist.",
		}
	}
	l, err := ParseLifecycle(bkt.Lifecycle)
	return l, b.answer(err, where{bucket: bucket})
}

// DeleteBucketLifecycle removes a bucket's lifecycle configuration.
func (b *Backend) DeleteBucketLifecycle(ctx context.Context, bucket string) error {
	return b.configure(ctx, bucket, func(bkt *metabase.Bucket) error { bkt.Lifecycle = nil; return nil })
}
