// Package possession makes a storage node prove what it holds: it commits the root of the node's tree
// to the chain, answers the epoch's challenge and the audits that wait, and keeps what it committed to
// for as long as that may be asked for.
//
// # Mental model
//
// A tree is a file: the leaves in the order of their ids, 120 bytes a piece. Nothing of it is in
// memory. Root and proofs come from one pass over the file (merkle.Stream), a million pieces in about
// a second. The file is named by its root and is durable before the root is sent to the chain, so that
// whatever the chain has in force after a crash can be proven.
//
//	epoch starts -> answer its challenge from the tree in force -> build a tree of what is there now;
//	if it is another one, commit it: it is in force from the next epoch on
//
// What a renter deletes, and what lies under a lease that ended, may still be asked for while a tree
// that holds it is in force or about to be. It is hidden from its renter at once and goes when no such
// tree is left (Graves, Service.Holds).
//
// # Invariants
//
// INV-POSSESSION-1: no root reaches the chain before its file is durable, and no file is removed while
// its root is in force, is the latest, or may be in a transaction that is still under way.
//
// INV-POSSESSION-2: no piece of a kept file is given up.
package possession
