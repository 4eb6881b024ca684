//go:build !nodevnet

package main

import (
	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/devnet/devnetcmd"
)

// more are the commands beside the node's.
func more() []*cobra.Command { return []*cobra.Command{devnetcmd.New()} }
