// Package devnet runs a whole Cairn network on one machine: validators, storage nodes of
// different owners, an S3 gateway and the web page.
//
// There are two ways to run the same network. In one process (the default) every part is the
// same code as the daemon that ships, started as a goroutine of an ordered group. With Processes
// every validator and daemon is its own process of the programs that ship, so that one can be
// killed, paused or replaced while the others go on.
//
// Everything lives under Config.Home. state.json is written once, before anything else, and holds
// the accounts; every later start reads it and goes on where the network stopped. The layout:
//
//	state.json            accounts and choices of the first start (0600: it holds mnemonics)
//	validators/<i>/       home of a node, as cairnd start takes it
//	storage/<i>/          home of a storage node, as cairn provide storage takes it; pieces/ inside
//	gateway/              home of the gateway, as cairn gateway s3 takes it
//	ready.json            what Config.ReadyFile also gets, removed while stopped
package devnet
