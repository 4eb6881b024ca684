package metabase

// ListQuery asks for a page of the current objects of a bucket, in key order.
type ListQuery struct {
	Bucket    string
	Prefix    string
	Delimiter string
	After     string // only keys and common prefixes greater than this
	Limit     int    // most objects and common prefixes together
}

// ListPage is a page of a listing. Extent.Inline is nil in it.
type ListPage struct {
	Objects   []Object
	Prefixes  []string // common prefixes, each ending in the delimiter
	Truncated bool
	Next      string // After for the next page when Truncated: the last key or common prefix of this one
}

// VersionQuery asks for a page of all versions and delete markers of a bucket,
// by key and within a key newest first.
type VersionQuery struct {
	Bucket       string
	Prefix       string
	Delimiter    string
	AfterKey     string
	AfterVersion string // with AfterKey: go on within that key after this version ("null" allowed)
	Limit        int
}

// VersionPage is a page of versions.
type VersionPage struct {
	Versions    []Object
	Prefixes    []string
	Truncated   bool
	NextKey     string
	NextVersion string // empty when the page ended with a common prefix
}

// UploadQuery asks for a page of multipart uploads by key, within a key by id.
type UploadQuery struct {
	Bucket    string
	Prefix    string
	Delimiter string
	AfterKey  string
	AfterID   string // with AfterKey: go on within that key after this upload
	Limit     int
}

// UploadPage is a page of uploads.
type UploadPage struct {
	Uploads   []Upload
	Prefixes  []string
	Truncated bool
	NextKey   string // last key or common prefix of the page
	NextID    string // its upload; of a common prefix, its first
}

// Deleted says what a deletion did.
type Deleted struct {
	Version      VersionID // of the marker made or the version removed; zero when nothing was there
	Null         bool      // that version is known as "null"
	DeleteMarker bool      // a marker was made, or the version removed was one
}

// Condition decides, inside a write's transaction, whether the write may go on.
// current is nil when the key has no live version. Its error is returned by the
// write as it is.
type Condition func(current *Object) error
