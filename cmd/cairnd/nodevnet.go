//go:build nodevnet

package main

import "github.com/spf13/cobra"

// more are the commands beside the node's: none.
func more() []*cobra.Command { return nil }
