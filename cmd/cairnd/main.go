// Command cairnd is the node of the Cairn network, and a whole network on one machine.
package main

import (
	"os"

	"github.com/cairn-network/cairn/app/command"
	"github.com/cairn-network/cairn/devnet/devnetcmd"
)

func main() { os.Exit(command.Main(devnetcmd.New())) }
