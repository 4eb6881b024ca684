// Package metabase keeps everything the gateway knows about what it stored:
// buckets, object versions, multipart uploads, segments and where their pieces
// lie, pieces still to be deleted, and the small durable values of the engine.
//
// # Mental model
//
// Two layers. Below, KV: an ordered key-value store with transactions, which
// Pebble (one gateway, embedded) and PostgreSQL (several gateways, one
// database) implement. Above, DB: the typed layer, written once over KV, so
// that both backends behave alike because they run the same code. Nothing
// outside this package touches KV.
//
// Writers are serialised: at any moment one update function runs per database,
// against state no other writer can change. That makes every conditional write
// (If-Match, version order, reference counts) correct by construction and
// leaves one thing to make fast, the wait for the disk, which both backends
// share among all updates that are ready (group commit). An update function
// must therefore only compute: no network, no waiting. Readers run on a
// snapshot and never wait for writers.
//
// # Rows
//
// A table is one leading byte of the key; see keys.go. Values are CBOR records
// with small integer field keys (RFC 8949), so that a field can be added
// without rewriting rows. docs/format/metabase.md is the byte-level reference.
//
// # Invariants
//
//   - INV-META-1: an object's current live version is in table object; every
//     other version, and every delete marker, is in table version. So listing a
//     bucket never walks history.
//   - INV-META-2: a segment exists exactly as long as some object version or
//     upload part names it (Segment.Refs counts them). When the last goes, its
//     pieces enter the garbage queue in the same transaction.
//   - INV-META-3: table device-segment holds (device, segment) exactly when
//     the segment has a piece on that device.
//   - INV-META-4: a successful update is on disk before it returns.
//   - INV-META-5: every changed key is in the change feed under the sequence
//     number of its update, so full snapshot + deltas = the state at any later
//     sequence number.
//   - INV-META-6: a bucket's Usage equals the count and size of its rows.
//
// # What is secret here
//
// Data keys are stored wrapped by keys derived from the renter's root secret
// and inline objects are stored sealed. Names, tags and user metadata are
// plain in the local database and must be protected by the machine's owner;
// snapshots leave the machine only sealed as a whole (daemon/s3gateway/renter).
package metabase
