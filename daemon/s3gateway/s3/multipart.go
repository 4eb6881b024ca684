package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/uuid"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// CreateMultipartUpload implements backend.Backend.
func (b *Backend) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	var res s3response.InitiateMultipartUploadResult
	key, err := checkKey(in.Key)
	if err != nil {
		return res, err
	}
	at := where{bucket: *in.Bucket, key: key}
	tags, err := backend.ParseObjectTags(str(in.Tagging))
	if err != nil {
		return res, err
	}
	bkt, err := b.bucket(ctx, *in.Bucket)
	if err != nil {
		return res, err
	}
	lock, err := b.newLock(bkt, in.ObjectLockMode, in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus)
	if err != nil {
		return res, b.answer(err, at)
	}
	id, err := b.uploads.next(b.now(), bkt.Name, key)
	if err != nil {
		return res, b.answer(err, at)
	}
	err = b.db.CreateUpload(ctx, metabase.Upload{
		Bucket: bkt.Name, Key: key, ID: id, Initiator: accountOf(ctx).Access,
		Headers: metabase.Headers{
			ContentType: str(in.ContentType), ContentEncoding: str(in.ContentEncoding), ContentDisposition: str(in.ContentDisposition),
			ContentLanguage: str(in.ContentLanguage), CacheControl: str(in.CacheControl), Expires: str(in.Expires),
			WebsiteRedirect: str(in.WebsiteRedirectLocation),
		},
		Metadata: in.Metadata, Tags: tags, Lock: lock,
		Checksum: metabase.Checksum{Algorithm: string(in.ChecksumAlgorithm), Type: string(in.ChecksumType)},
	})
	if err != nil {
		return res, b.answer(err, at)
	}
	return s3response.InitiateMultipartUploadResult{Bucket: bkt.Name, Key: key, UploadId: id}, nil
}

// partAlgorithm is the checksum that parts of an upload carry. Uploads that
// declare none get the default, for the completed object; parts do not show it.
func partAlgorithm(u metabase.Upload) types.ChecksumAlgorithm {
	if u.Checksum.Algorithm == "" {
		return defaultAlgorithm
	}
	return types.ChecksumAlgorithm(u.Checksum.Algorithm)
}

// UploadPart implements backend.Backend.
func (b *Backend) UploadPart(ctx context.Context, in *awss3.UploadPartInput) (*awss3.UploadPartOutput, error) {
	key, err := checkKey(in.Key)
	if err != nil {
		return nil, err
	}
	at := where{bucket: *in.Bucket, key: key, upload: str(in.UploadId)}
	bkt, err := b.bucket(ctx, *in.Bucket)
	if err != nil {
		return nil, err
	}
	u, err := b.db.Upload(ctx, bkt.Name, key, at.upload)
	if err != nil {
		return nil, b.answer(err, at)
	}
	want := partInputSums(in).get()
	body, err := newIntake(in.Body, want, partAlgorithm(u))
	if err != nil {
		return nil, b.answer(err, at)
	}
	defer body.close()
	declared := types.ChecksumAlgorithm(want.Algorithm)
	if body.trailer != nil {
		declared = types.ChecksumAlgorithm(canonical(body.trailer.Algorithm()))
	}
	if err := matchPartChecksum(u, declared); err != nil {
		return nil, err
	}
	extent, segs, err := b.store(ctx, bkt, key, body)
	if err == nil {
		err = complete(ctx, in.ContentLength, body.n)
	}
	if err == nil {
		_, err = b.db.PutPart(ctx, bkt.Name, key, at.upload, metabase.Part{
			Number: *in.PartNumber, Size: body.n, ETag: body.etag(), Checksum: body.sum(string(partAlgorithm(u))), Extents: extents(extent),
		}, segs)
	}
	if err != nil {
		b.release(segs)
		return nil, b.answer(err, at)
	}
	out := &awss3.UploadPartOutput{ETag: ptr(quoted(body.etag()))}
	switch {
	case u.Checksum.Algorithm != "":
		partOutputSums(out).set(body.sum(u.Checksum.Algorithm))
	case declared != "":
		partOutputSums(out).set(body.sum(string(declared)))
	}
	return out, nil
}

// matchPartChecksum holds a part's declared algorithm against its upload's.
func matchPartChecksum(u metabase.Upload, declared types.ChecksumAlgorithm) error {
	want := types.ChecksumAlgorithm(u.Checksum.Algorithm)
	switch {
	case declared == "" && u.Checksum.Type == string(types.ChecksumTypeComposite):
		return s3err.GetChecksumTypeMismatchErr(want, "null")
	case declared != "" && want != "" && declared != want:
		return s3err.GetChecksumTypeMismatchErr(want, declared)
	}
	return nil
}

// UploadPartCopy implements backend.Backend. The bytes are read and sealed
// anew: a part's key is its own.
func (b *Backend) UploadPartCopy(ctx context.Context, in *awss3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	var res s3response.CopyPartResult
	key, err := checkKey(in.Key)
	if err != nil {
		return res, err
	}
	at := where{bucket: *in.Bucket, key: key, upload: str(in.UploadId)}
	bkt, err := b.bucket(ctx, *in.Bucket)
	if err != nil {
		return res, err
	}
	u, err := b.db.Upload(ctx, bkt.Name, key, at.upload)
	if err != nil {
		return res, b.answer(err, at)
	}
	src, err := b.copySource(ctx, *in.CopySource, in.ExpectedSourceBucketOwner)
	if err != nil {
		return res, err
	}
	off, n, err := backend.ParseCopySourceRange(src.Size, str(in.CopySourceRange))
	if err != nil {
		return res, err
	}
	n = min(n, src.Size-off)
	if n > maxCopy {
		return res, s3err.GetCopySourceObjectTooLargeErr(maxCopy)
	}
	err = backend.EvaluatePreconditions(src.ETag, src.CreatedAt, backend.PreConditions{
		IfMatch: in.CopySourceIfMatch, IfNoneMatch: in.CopySourceIfNoneMatch,
		IfModSince: in.CopySourceIfModifiedSince, IfUnmodeSince: in.CopySourceIfUnmodifiedSince,
	})
	if err != nil {
		return res, err
	}
	data, err := b.read(ctx, src.Object, off, n)
	if err != nil {
		return res, b.answer(err, at)
	}
	defer data.Close()
	body, err := newIntake(data, metabase.Checksum{}, partAlgorithm(u))
	if err != nil {
		return res, b.answer(err, at)
	}
	defer body.close()
	extent, segs, err := b.store(ctx, bkt, key, body)
	if err == nil && body.n != n {
		err = fmt.Errorf("copying %s/%s: %d of %d bytes came", src.Bucket, src.Key, body.n, n)
	}
	p := metabase.Part{Number: *in.PartNumber, Size: body.n, Extents: extents(extent)}
	if err == nil {
		p.ETag, p.Checksum = body.etag(), body.sum(string(partAlgorithm(u)))
		p, err = b.db.PutPart(ctx, bkt.Name, key, at.upload, p, segs)
	}
	if err != nil {
		b.release(segs)
		return res, b.answer(err, at)
	}
	res = s3response.CopyPartResult{ETag: ptr(quoted(p.ETag)), LastModified: p.CreatedAt, CopySourceVersionId: str(src.versionHeader)}
	if u.Checksum.Algorithm != "" {
		copyPartSums(&res).set(p.Checksum)
	}
	return res, nil
}

// ListParts implements backend.Backend.
func (b *Backend) ListParts(ctx context.Context, in *awss3.ListPartsInput) (s3response.ListPartsResult, error) {
	var res s3response.ListPartsResult
	key, err := checkKey(in.Key)
	if err != nil {
		return res, err
	}
	marker := 0
	if m := str(in.PartNumberMarker); m != "" {
		if marker, err = strconv.Atoi(m); err != nil {
			return res, s3err.GetInvalidArgMaxLimiter("part-number-marker", m)
		}
	}
	max := limit(in.MaxParts)
	u, parts, more, err := b.db.Parts(ctx, *in.Bucket, key, str(in.UploadId), int32(marker), max)
	if err != nil {
		return res, b.answer(err, where{bucket: *in.Bucket, key: key, upload: str(in.UploadId)})
	}
	res = s3response.ListPartsResult{
		Bucket: u.Bucket, Key: key, UploadID: u.ID, MaxParts: max, PartNumberMarker: marker, IsTruncated: more,
		StorageClass: types.StorageClassStandard, Initiator: s3response.Initiator{ID: u.Initiator, DisplayName: u.Initiator},
		ChecksumAlgorithm: "null", ChecksumType: "null",
	}
	if u.Checksum.Algorithm != "" {
		res.ChecksumAlgorithm = types.ChecksumAlgorithm(u.Checksum.Algorithm)
		res.ChecksumType = types.ChecksumType(u.Checksum.Type)
	}
	owner, err := b.owner(ctx, u.Bucket)
	if err != nil {
		return res, err
	}
	res.Owner = s3response.Owner{ID: str(owner.ID), DisplayName: str(owner.ID)}
	for _, p := range parts {
		part := s3response.Part{PartNumber: int(p.Number), LastModified: p.CreatedAt, ETag: quoted(p.ETag), Size: p.Size}
		if u.Checksum.Algorithm != "" {
			listPartSums(&part).set(p.Checksum)
		}
		res.Parts = append(res.Parts, part)
		res.NextPartNumberMarker = int(p.Number)
	}
	return res, nil
}

// AbortMultipartUpload implements backend.Backend.
func (b *Backend) AbortMultipartUpload(ctx context.Context, in *awss3.AbortMultipartUploadInput) error {
	key, err := checkKey(in.Key)
	if err != nil {
		return err
	}
	err = b.db.AbortUpload(ctx, *in.Bucket, key, str(in.UploadId), func(u metabase.Upload) error {
		if t := in.IfMatchInitiatedTime; t != nil && t.Unix() != u.CreatedAt.Unix() {
			return s3err.GetPreconditionFailedErr(s3err.ConditionIfMatchInitiatedTime)
		}
		return nil
	})
	return b.answer(err, where{bucket: *in.Bucket, key: key, upload: str(in.UploadId)})
}

// ListMultipartUploads implements backend.Backend.
func (b *Backend) ListMultipartUploads(ctx context.Context, in *awss3.ListMultipartUploadsInput) (s3response.ListMultipartUploadsResult, error) {
	var res s3response.ListMultipartUploadsResult
	q := metabase.UploadQuery{
		Bucket: *in.Bucket, Prefix: str(in.Prefix), Delimiter: str(in.Delimiter),
		AfterKey: str(in.KeyMarker), AfterID: str(in.UploadIdMarker), Limit: limit(in.MaxUploads),
	}
	if err := b.placeMarker(ctx, &q); err != nil {
		return res, b.answer(err, where{bucket: *in.Bucket})
	}
	page, err := b.db.ListUploads(ctx, q)
	if err != nil {
		return res, b.answer(err, where{bucket: *in.Bucket})
	}
	owner, err := b.owner(ctx, *in.Bucket)
	if err != nil {
		return res, err
	}
	res = s3response.ListMultipartUploadsResult{
		Bucket: *in.Bucket, Prefix: q.Prefix, Delimiter: q.Delimiter, KeyMarker: str(in.KeyMarker), UploadIDMarker: str(in.UploadIdMarker),
		MaxUploads: q.Limit, IsTruncated: page.Truncated, NextKeyMarker: page.NextKey, NextUploadIDMarker: page.NextID,
	}
	for _, p := range page.Prefixes {
		res.CommonPrefixes = append(res.CommonPrefixes, s3response.CommonPrefix{Prefix: p})
	}
	for _, u := range page.Uploads {
		res.Uploads = append(res.Uploads, s3response.Upload{
			Key: u.Key, UploadID: u.ID, Initiated: u.CreatedAt, StorageClass: types.StorageClassStandard,
			Initiator:         s3response.Initiator{ID: u.Initiator, DisplayName: u.Initiator},
			Owner:             s3response.Owner{ID: str(owner.ID), DisplayName: str(owner.ID)},
			ChecksumAlgorithm: types.ChecksumAlgorithm(u.Checksum.Algorithm), ChecksumType: types.ChecksumType(u.Checksum.Type),
		})
	}
	return res, nil
}

// placeMarker turns the markers of an upload listing into the place to go on
// from. An upload id marker belongs to the key marker, or, where that names no
// upload, to the first key after it; S3 ignores it without a key marker.
func (b *Backend) placeMarker(ctx context.Context, q *metabase.UploadQuery) error {
	if q.AfterKey == "" || q.AfterID == "" {
		q.AfterID = ""
		return nil
	}
	id, err := uuid.Parse(q.AfterID)
	if err != nil {
		return s3err.GetInvalidArgumentErr(s3err.InvalidArgUploadIdMarker, q.AfterID)
	}
	if uploadOf(id, q.Bucket, q.AfterKey) {
		return nil
	}
	page, err := b.db.ListUploads(ctx, metabase.UploadQuery{Bucket: q.Bucket, Prefix: q.Prefix, AfterKey: q.AfterKey, Limit: 1})
	if err != nil {
		return err
	}
	switch {
	case len(page.Uploads) == 1 && uploadOf(id, q.Bucket, page.Uploads[0].Key):
		q.AfterKey = page.Uploads[0].Key
		return nil
	case id.Version() == 8 && q.Delimiter != "" && strings.HasSuffix(q.AfterKey, q.Delimiter):
		q.AfterID = "" // the page ended with a common prefix whose first upload is gone by now
		return nil
	}
	return s3err.GetInvalidArgumentErr(s3err.InvalidArgUploadIdMarker, q.AfterID)
}

// CompleteMultipartUpload implements backend.Backend. It is one metabase
// transaction whatever the size.
func (b *Backend) CompleteMultipartUpload(ctx context.Context, in *awss3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	var res s3response.CompleteMultipartUploadResult
	key, err := checkKey(in.Key)
	if err != nil {
		return res, "", err
	}
	if in.MultipartUpload == nil {
		return res, "", s3err.GetAPIError(s3err.ErrInvalidRequest)
	}
	at := where{bucket: *in.Bucket, key: key, upload: str(in.UploadId)}
	etag, err := backend.ComputeMultipartETagFromPartETags(in.MultipartUpload.Parts)
	if err != nil {
		return res, "", err
	}
	a := assembly{in: in, etag: unquoted(etag), owner: accountOf(ctx).Access}
	cond := writeCondition(in.IfMatch, in.IfNoneMatch)
	if _, err := b.db.Upload(ctx, *in.Bucket, key, at.upload); err == nil {
		if err := b.refuseEarly(ctx, at, cond); err != nil {
			return res, "", err
		}
	}
	o, err := b.db.CompleteUpload(ctx, *in.Bucket, key, at.upload, cond, a.assemble)
	if errors.Is(err, metabase.ErrNoUpload) {
		// A client that lost the answer completes again: same upload, same result.
		cur, _, cerr := b.db.Object(ctx, *in.Bucket, key, "")
		if cerr == nil && cur.Upload == at.upload && cur.ETag == a.etag {
			o, err = cur, nil
		}
	}
	if err != nil {
		return res, "", b.answer(err, at)
	}
	res = s3response.CompleteMultipartUploadResult{
		Bucket: &o.Bucket, Key: &o.Key, ETag: ptr(quoted(o.ETag)), ChecksumType: ptr(types.ChecksumType(o.Checksum.Type)),
	}
	completeOutputSums(&res).set(o.Checksum)
	if o.Null {
		return res, "", nil
	}
	return res, o.Version.String(), nil
}

// assembly turns an upload and the client's part list into an object.
type assembly struct {
	in    *awss3.CompleteMultipartUploadInput
	etag  string
	owner string
}

// assemble checks the part list as S3 does. It is called within a metabase
// transaction, possibly more than once.
func (a assembly) assemble(u metabase.Upload, stored []metabase.Part) (metabase.Object, []int32, error) {
	var o metabase.Object
	if t := a.in.ChecksumType; t != "" && string(t) != u.Checksum.Type {
		was := types.ChecksumType(u.Checksum.Type)
		if was == "" {
			was = "null"
		}
		return o, nil, s3err.GetChecksumTypeMismatchOnMpErr(was)
	}
	total, err := newTotal(u)
	if err != nil {
		return o, nil, err
	}
	list := a.in.MultipartUpload.Parts
	if err := checkOrder(list); err != nil {
		return o, nil, err
	}
	var numbers []int32
	for i, want := range list {
		p, err := a.part(u, stored, want, i == len(list)-1)
		if err != nil {
			return o, nil, err
		}
		if err := total.add(p); err != nil {
			return o, nil, err
		}
		numbers = append(numbers, p.Number)
		o.Size += p.Size
		o.Parts = append(o.Parts, metabase.PartInfo{Number: p.Number, Size: p.Size, Checksum: p.Checksum.Value})
	}
	if want := a.in.MpuObjectSize; want != nil && *want != o.Size {
		return o, nil, s3err.GetIncorrectMpObjectSizeErr(o.Size, *want)
	}
	o.Checksum = total.sum(len(list))
	if err := a.verify(u, o.Checksum, len(list)); err != nil {
		return o, nil, err
	}
	o.ETag, o.Owner = a.etag, a.owner
	o.Headers, o.Metadata, o.Tags, o.Lock = u.Headers, u.Metadata, u.Tags, u.Lock
	return o, numbers, nil
}

// checkOrder holds that a part list is complete in itself and ascending.
func checkOrder(list []types.CompletedPart) error {
	var before int32
	for _, p := range list {
		switch {
		case p.PartNumber == nil || p.ETag == nil:
			return s3err.GetAPIError(s3err.ErrMalformedXML)
		case *p.PartNumber < 1:
			return s3err.GetInvalidArgumentErr(s3err.InvalidArgCompleteMpPartNumber, fmt.Sprint(*p.PartNumber))
		case *p.PartNumber <= before:
			return s3err.GetAPIError(s3err.ErrInvalidPartOrder)
		}
		before = *p.PartNumber
	}
	return nil
}

// part finds the stored part that one entry of the client's list means.
func (a assembly) part(u metabase.Upload, stored []metabase.Part, want types.CompletedPart, last bool) (metabase.Part, error) {
	var p metabase.Part
	n := *want.PartNumber
	i, ok := slices.BinarySearchFunc(stored, n, func(p metabase.Part, n int32) int { return int(p.Number - n) })
	if !ok {
		return p, s3err.GetInvalidPartErr(u.ID, n, unquoted(*want.ETag))
	}
	p = stored[i]
	if !last && p.Size < backend.MinPartSize {
		return p, s3err.GetEntityTooSmallErr(p.Size, backend.MinPartSize)
	}
	if !backend.AreEtagsSame(p.ETag, *want.ETag) {
		return p, s3err.GetInvalidPartErr(u.ID, n, p.ETag)
	}
	return p, a.partChecksum(u, p, want)
}

// partChecksum holds the checksums in an entry of the client's list against
// the stored part.
func (a assembly) partChecksum(u metabase.Upload, p metabase.Part, want types.CompletedPart) error {
	var given []metabase.Checksum
	for i, f := range completedPartSums(&want) {
		if v := *f; v != nil && *v != "" {
			given = append(given, metabase.Checksum{Algorithm: string(algorithms[i]), Value: *v})
		}
	}
	if len(given) > 1 {
		var text strings.Builder
		for _, c := range given {
			fmt.Fprintf(&text, "%s:%s;", c.Algorithm, c.Value)
		}
		return s3err.GetInvalidArgumentErr(s3err.InvalidArgChecksumPart, text.String())
	}
	algorithm := u.Checksum.Algorithm
	switch {
	case algorithm == "" && len(given) == 0:
		return nil
	case algorithm == "":
		return s3err.GetInvalidPartErr(u.ID, p.Number, *want.ETag)
	case len(given) == 0:
		return s3err.APIError{
			Code: "InvalidRequest", HTTPStatusCode: http.StatusBadRequest,
			Description: fmt.Sprintf("The upload was created using a %s checksum. The complete request must include the checksum for each part. It was missing for part %d in the request.", strings.ToLower(algorithm), p.Number),
		}
	}
	c := given[0]
	switch {
	case !utils.IsValidChecksum(c.Value, types.ChecksumAlgorithm(c.Algorithm)):
		return s3err.GetInvalidArgumentErr(s3err.InvalidArgChecksumPart, c.Value)
	case c.Algorithm != algorithm:
		return s3err.APIError{
			Code: "BadDigest", HTTPStatusCode: http.StatusBadRequest,
			Description: fmt.Sprintf("The %s you specified for part %d did not match what we received.", strings.ToLower(c.Algorithm), p.Number),
		}
	case c.Value != p.Checksum.Value:
		return s3err.GetInvalidPartErr(u.ID, p.Number, *want.ETag)
	}
	return nil
}

// verify holds the object checksum in the request against the computed one.
func (a assembly) verify(u metabase.Upload, got metabase.Checksum, parts int) error {
	if u.Checksum.Type == "" {
		return nil
	}
	for i, f := range completeInputSums(a.in) {
		if *f == nil || string(algorithms[i]) != got.Algorithm {
			continue
		}
		want := **f
		if got.Type == string(types.ChecksumTypeComposite) && !strings.Contains(want, "-") {
			want = fmt.Sprintf("%s-%d", want, parts)
		}
		if want != got.Value {
			return s3err.GetChecksumBadDigestErr(algorithms[i])
		}
	}
	return nil
}

// total combines the checksums of parts into the object's: CRCs of the whole
// (FULL_OBJECT), or the checksum of the parts' checksums (COMPOSITE).
type total struct {
	kind      metabase.Checksum
	composite *utils.CompositeChecksumReader
	first     bool
}

func newTotal(u metabase.Upload) (*total, error) {
	t := &total{kind: metabase.Checksum{Algorithm: string(partAlgorithm(u)), Type: u.Checksum.Type}, first: true}
	if t.kind.Type == "" {
		t.kind.Type = string(types.ChecksumTypeFullObject)
	}
	if t.kind.Type == string(types.ChecksumTypeComposite) {
		r, err := utils.NewCompositeChecksumReader(utils.HashType(strings.ToLower(t.kind.Algorithm)))
		if err != nil {
			return nil, fmt.Errorf("combining %s checksums: %w", t.kind.Algorithm, err)
		}
		t.composite = r
	}
	return t, nil
}

func (t *total) add(p metabase.Part) (err error) {
	switch {
	case t.composite != nil:
		err = t.composite.Process(p.Checksum.Value)
	case t.first:
		t.kind.Value = p.Checksum.Value
	default:
		t.kind.Value, err = utils.AddCRCChecksum(types.ChecksumAlgorithm(t.kind.Algorithm), t.kind.Value, p.Checksum.Value, p.Size)
	}
	t.first = false
	if err != nil {
		return fmt.Errorf("adding the checksum of part %d: %w", p.Number, err)
	}
	return nil
}

func (t *total) sum(parts int) metabase.Checksum {
	c := t.kind
	if t.composite != nil {
		c.Value = fmt.Sprintf("%s-%d", t.composite.Sum(), parts)
	}
	return c
}
