// Command cairnd is the node of the Cairn network, and a whole network on one machine. Built with the tag
// nodevnet it is the node alone, a sixth smaller (docs/adr/0008-node-alone.md).
package main

import (
	"os"

	"github.com/cairn-network/cairn/app/command"
)

func main() { os.Exit(command.Main(more()...)) }
