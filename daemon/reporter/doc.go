// Package reporter keeps the network's rewards honest: a Reporter computes every epoch from the
// facts on chain, posts its root with a bond behind it and serves the data; a Watcher computes the
// same and disputes every report that says something else.
//
// # Mental model
//
// Both hold Epochs: what core/report makes of an epoch's facts, pools and previous accounts. Where
// the accounts before are not known they are fetched by the hash of their root from whoever serves
// them, or computed from the epoch before; whom they come from does not matter, because the root
// says what they must be.
//
//	chain: facts, pools ──> Epoch ──> statement ──> posted (Reporter) or compared (Watcher)
//	previous accounts ───────┘  └──> files by content address ──> HTTP
//
// A Step of either looks at the chain's state and does what is to be done next; nothing else is
// remembered than what the next Step would find out again, so a kill at any moment loses no more
// than time.
package reporter
