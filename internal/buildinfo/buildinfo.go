// Package buildinfo holds what the build stamps into the programs.
package buildinfo

// Version is the release, set by the linker (Makefile); "dev" for a plain go build.
var Version = "dev"
