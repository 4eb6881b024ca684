// Package app wires Cairn's modules into one state machine.
//
// It reads in the order in which a node is built, one file a step:
//
//	config.go    names, denominations, prefixes, and what the SDK keeps per process
//	encoding.go  codecs, signing, the list of modules without their state
//	accounts.go  module accounts, their permissions, and who may not be paid
//	keepers.go   state of every module, in the order in which they need each other
//	evm.go       precompiles, the application's mempool, globals of the EVM
//	modules.go   modules over the keepers
//	order.go     who acts first in a block, and why
//	ante.go      what a transaction must pass before it runs
//	upgrades.go  named upgrades
//	genesis.go   the default genesis
//	export.go    state back into a genesis
//	app.go       the application itself: New and the ABCI life of a block
//
// Package node runs an application under consensus with its servers; package command is the
// command line over both.
package app
