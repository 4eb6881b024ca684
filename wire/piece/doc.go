// Package piece is the protocol between a consumer and a storage provider: put, get, delete, list
// and challenge pieces over one TLS 1.3 connection per pair. Byte tables: docs/format/piece-protocol.md.
//
// # Identity
//
// Both ends prove an ed25519 key in the handshake (internal/tlsid). The provider's is its device key
// on the chain, the consumer's is the session key of a lease. The first frame names chain, lease and
// device; a provider's Handler turns it and the proven key into a Service, and nothing but that
// Service answers requests, so that no request can be served without an authenticated principal.
//
// # Streams
//
// A request and its answer are a stream. Many streams share the connection; each direction of each
// stream has its own window of bytes that may be under way, so that one slow piece never stalls the
// others. A frame carries at most MaxPayload bytes.
//
// The goroutine that reads the connection never writes to it: two ends whose readers wait for each
// other's writers would stand still for ever. Whoever has something to say writes it, one frame at a
// time; the last of those who wait flushes. TLS records therefore leave in large system calls under
// load, and at once when the connection is quiet.
//
// # Money
//
// Bytes served are counted per lease. When the unpaid part nears the credit window, the provider
// sends a demand with its cumulative count; the client answers with a voucher for no more than it
// has received. Each side risks at most one credit window.
//
// # What each side trusts
//
//   - INV-WIRE-1: a parser of outside bytes is total; it returns an error or a value, whatever it reads.
//   - INV-WIRE-2: memory held for a peer is bounded by windows and stream limits that this side set.
//   - INV-WIRE-3: a client returns a receipt only after it verified signature, root, size and expiry.
//   - INV-WIRE-4: a Service is told to delete only with releases that the proven key signed.
package piece
