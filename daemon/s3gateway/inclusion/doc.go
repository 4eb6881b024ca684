// Package inclusion makes receipts count: it asks nodes, in every epoch and for a few pieces, to show that
// what they signed receipts for is in the tree that they are paid by, and takes to the chain what they do
// not show.
//
// # Mental model
//
// A node that lost pieces can leave them out of its next tree, and passes the chain's challenges
// afterwards. Only a receipt shows that something is missing. A Book keeps some of them, drawn at random
// for each device, so that no node knows which; a Sampler draws from the Book.
//
//	put -> receipt -> Book (a random sample of each device's)
//	epoch -> Sampler draws -> asks off chain (wire Inclusion), held against the commitment in force
//	         shown: good.  denied: audit on chain, and repair.  unreachable: again later, then the chain
//	deadline passed without an answer -> the audit is closed: a fault, deposit and bounty come back
//
// A piece that was deleted, or moved elsewhere, is asked for by nobody: its receipts are forgotten before a
// release is signed (Book.Released). One that was given up because its node lost it is owed all the same,
// and no release is signed for it (daemon/s3gateway/repair).
package inclusion
