// Package store keeps pieces on a provider's disk: append-only logs, an index in memory that can
// always be rebuilt from them, and nothing else. Byte tables: docs/format/piece-store.md.
//
// # Mental model
//
// A log is a file of records, at most Config.LogSize long. A record is a header, the piece's bytes,
// a checksum for each 16 KiB of them, and a trailer. A piece is there once its record's trailer is on
// stable storage. Pieces never change. Deletions are written to a small journal. From time to time
// the index is written out as a checkpoint; opening reads the newest one and scans only what the
// logs and the journal got since.
//
// Logs are kept apart by the week in which their pieces are expected to go (end of the lease, or the
// piece's own expiry), so that most of a log dies at once and the file is unlinked whole. What
// outlives its neighbours is moved by compaction to logs of generation 1, which are left alone for
// longer.
//
// Logs are kept apart by shape, too. Pieces of more than 64 KiB go to aligned logs, where a record
// fills whole blocks of the disk and is written past the operating system's cache: their bytes are
// neither copied into it nor written back from it page by page, which was most of what storing cost.
// Smaller pieces are packed and go through the cache, where many share one trip to the disk. Both are
// read through the cache. Where a file system has no way past it, all writes take the same one.
//
// # Invariants
//
//   - INV-STORE-1: once Commit returned nil the piece survives any crash, with the bytes written.
//   - INV-STORE-2: a record's header is written before the next record's place is given out. Whoever
//     syncs a record has therefore synced the headers of all records before it, and a scan never
//     meets a gap before a record that was acknowledged.
//   - INV-STORE-3: bytes that a reader gets have passed their checksum.
//   - INV-STORE-4: of the records of one key the one with the highest sequence number counts, and only
//     if no tombstone has a higher one. At any time one caller at most writes a key.
//   - INV-STORE-5: a checkpoint never falls between a record's trailer and its entry in the index,
//     nor inside a batch of compaction (cut lock).
//   - INV-STORE-6: live, dead and trash bytes are exact: they equal what a scan of all logs would
//     count (TestModel compares them).
//   - INV-STORE-7: after a failed write or sync nothing more is written to that log, and nothing in
//     it that was not yet synced is acknowledged: the kernel may have dropped those pages.
//
// Checksums of headers and trailers are seeded with a secret of the store, the log and the offset.
// Bytes inside a piece, which its owner chose, can therefore never pass for a record.
package store
