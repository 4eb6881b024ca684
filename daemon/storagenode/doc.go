// Package storagenode is the provider of storage: it takes pieces of those who hold a lease on its
// device, serves them, is paid for both, and deletes what nobody pays for any more. docs/spec/storagenode.md
// tells what it promises.
//
// # Parts
//
//	store (package)  pieces on the disk
//	handler          wire/piece.Handler: admits clients, one service for each connection
//	leaseBook        what the chain says of the leases on this device, cached
//	accounts         bytes served and paid for each lease, and the best voucher of each
//	ledger           the vouchers on disk, so that no restart loses one
//	settler          redeems vouchers and streams on the chain
//	follower         drops the pieces of leases that ended
//	Node             all of them as one lifecycle.Group
//
// # Money
//
// INV-NODE-1: a voucher is on stable storage before another byte is served on the strength of it.
//
// INV-NODE-2: what was earned is what the chain says was paid; the node adds nothing up by itself, so
// that a crash between a settlement and its answer can never count twice. Vouchers are cumulative:
// redeeming one again pays nothing.
//
// INV-NODE-3: unpaid bytes of a lease never exceed the credit window, and of that at most one window
// in forgiveInterval is written off.
//
// # Receipts
//
// INV-NODE-4: a receipt is signed after the store's Commit returned, never before.
package storagenode
