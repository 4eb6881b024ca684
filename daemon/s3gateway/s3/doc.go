// Package s3 is the gateway's S3 face: it implements versitygw's Backend over
// a metabase and an engine that stores bytes in the network.
//
// # Mental model
//
// versitygw speaks HTTP, checks signatures (headers, presigned URLs, chunked
// uploads, browser forms), bucket policies and ACLs, and parses and validates
// requests. What is left for this package is the meaning of each operation:
//
//   - Bytes go through Engine, sealed under a fresh data key for every object
//     version and every part. Objects of at most metabase.InlineLimit bytes are
//     sealed into the metabase instead.
//   - Everything else is a metabase transaction. A PUT streams its bytes first
//     and commits them with one transaction, which also decides If-Match and
//     If-None-Match; if that refuses, the stored segments are released.
//     Completing a multipart upload and copying within a bucket move no bytes.
//
// # What 200 OK means
//
// For an object in segments: at least the class's optimal number of providers
// have each fsynced their piece and signed a receipt, and the object's record
// is fsynced in the metabase. For an inline object: its sealed bytes are
// fsynced in the metabase of this gateway. They reach the network with the next
// encrypted metadata snapshot; until then they are as safe as the gateway's own
// disk (or PostgreSQL).
//
// # Errors
//
// Backend methods return versitygw's S3Error values where S3 defines an answer;
// errors.go maps those of the metabase and the engine. Everything else is
// logged once, here, and answered as InternalError.
package s3
