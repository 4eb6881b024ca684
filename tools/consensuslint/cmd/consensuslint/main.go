// Command consensuslint checks the packages named on its command line; see package consensuslint.
package main

import (
	"golang.org/x/tools/go/analysis/singlechecker"

	"github.com/cairn-network/cairn/tools/consensuslint"
)

func main() { singlechecker.Main(consensuslint.Analyzer) }
