// Package getter stands in for github.com/hashicorp/go-getter and refuses every download.
//
// x/upgrade's plan package names five symbols of it to fetch new binaries; the real
// library brings 375 packages and two cloud SDKs into every node. Cairn's operators
// install binaries themselves, so a plan that asks for a download gets ErrRefused.
// The decision is docs/adr/0003-build-budget.md.
package getter

import (
	"context"
	"errors"
	"net/http"
)

// ErrRefused is what every download returns.
var ErrRefused = errors.New("this node does not download binaries: install the release named in the upgrade plan by hand and restart")

// ChecksumError is never returned; x/upgrade matches on it.
type ChecksumError struct{}

// Error implements error.
func (*ChecksumError) Error() string { return "checksum mismatch" }

// Getter is one way to fetch a URL.
type Getter interface{}

// HttpGetter would fetch over HTTP.
//
//revive:disable-next-line:var-naming the name is go-getter's
type HttpGetter struct {
	Client                *http.Client
	XTerraformGetDisabled bool
}

// Getters maps a URL scheme to its Getter.
var Getters = map[string]Getter{}

// Client describes one download.
type Client struct {
	Ctx             context.Context
	DisableSymlinks bool
	Src, Dst, Pwd   string
	Getters         map[string]Getter
}

// Get refuses.
func (*Client) Get() error { return ErrRefused }

// Get refuses.
func Get(dst, src string) error { return ErrRefused }
