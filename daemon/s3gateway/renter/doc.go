// Package renter is the renter's half of storage: it turns streams of bytes into sealed,
// erasure-coded segments on independent nodes, and back. docs/spec/renter.md is its specification.
//
// # Mental model
//
// An Engine stores and fetches segments. It knows nothing of buckets and names: callers keep the
// metabase.Segment values that Store returns and hand them to Fetch. Around it:
//
//   - Pool: the nodes, what the chain says of them and what this gateway has seen of them.
//   - Placement: which nodes hold the pieces of one segment. Pure, but for the random source that
//     it is given.
//   - Links: one authenticated connection a node, dialled when needed, shared by all transfers.
//   - LeaseService: the one lease that pays all nodes; decisions are pure (planLease).
//   - Book: the vouchers signed for bytes read back, on disk before they leave.
//
// # Storing
//
// Each segment runs through read, seal, code and hash, upload; segments of one stream overlap, so
// that cores and network work at once. Memory is bounded by a budget of bytes that every segment
// takes its share of before the first byte is read, however many streams there are: a slow network
// stops the readers, it does not fill memory.
//
// INV-STORE-1: Store returns a segment only when at least the class's Optimal nodes (or, where the
// caller allowed it, Repair+2) have signed receipts that match the piece roots, which they do after
// fdatasync. Fewer is an error, and what was stored of it is deleted.
//
// INV-STORE-2: no two pieces of a segment lie with one operator or in one network (INV-PLACE-1).
//
// # Fetching
//
// Only the stripes that a range needs are read, from k nodes, hedged by more when they are slow.
// The cipher's authentication says whether a record is right. When it is not, whole pieces are
// compared with their roots, liars are counted and reported, and the read goes on with others.
//
// INV-FETCH-1: no byte reaches the caller's writer before its record is authenticated.
package renter
