// Command cairnd is the node of the Cairn network.
package main

import (
	"os"

	"github.com/cairn-network/cairn/app/command"
)

func main() { os.Exit(command.Main()) }
