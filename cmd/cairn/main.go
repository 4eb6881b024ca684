// Command cairn is everything of the network that is not the chain.
package main

import (
	"os"

	"github.com/cairn-network/cairn/cmd/cairn/command"
)

func main() { os.Exit(command.Main()) }
