//go:build !rehearsal

package app

// rehearsal is an upgrade for tests, in builds for tests only.
var rehearsal []upgradeStep

// extraStores are mounted besides kvStores.
var extraStores []string
