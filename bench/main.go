// Command bench measures Cairn against physical limits and prints each figure beside its goal.
//
// Figures are CPU time, sizes, and ratios taken in one run, because wall time on a shared machine
// says more about the neighbours. Every table is also saved as JSON in -out, with the machine it
// was taken on.
//
//	go run ./bench              all sections
//	go run ./bench e2e small    some of them
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// A section measures one thing.
type section struct {
	name, about string
	run         func(ctx context.Context, s *settings) ([]table, error)
}

var sections = []section{
	{"build", "cost of a build, sizes, start-up times", measureBuild},
	{"e2e", "put and get of one large object through a whole network", measureEndToEnd},
	{"small", "many small objects: put, list", measureSmall},
	{"processes", "memory of the gateway and of storage nodes, each a process of its own", measureProcesses},
	{"store", "the provider's store by itself", measureStore},
	{"restart", "opening a store of a million pieces", measureRestart},
	{"vouchers", "verifying and settling", measureVouchers},
	{"energy", "clearing a community's market", measureEnergy},
	{"idle", "a whole network in one process: memory and CPU when idle", measureIdle},
}

type settings struct {
	out    string
	size   int64
	count  int
	binDir string
	cold   bool
	// profiles is a directory for the CPU profiles behind the splits; empty keeps none.
	profiles string
	portBase int
}

func main() {
	var s settings
	flag.StringVar(&s.out, "out", "bench/results", "directory for JSON results")
	flag.Int64Var(&s.size, "size", 1<<30, "bytes of the large object")
	flag.IntVar(&s.count, "count", 10_000, "number of small objects")
	flag.StringVar(&s.binDir, "bin", "bin", "where cairnd and cairn are")
	flag.BoolVar(&s.cold, "cold", false, "measure the cold build too (empties a private build cache; minutes)")
	flag.StringVar(&s.profiles, "profiles", "", "directory for the CPU profiles behind the splits; empty keeps none")
	flag.IntVar(&s.portBase, "port-base", 21000, "first port of the networks that are measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &s, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s *settings, names []string) error {
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return fmt.Errorf("making the results directory: %w", err)
	}
	for _, name := range names {
		if !slices.ContainsFunc(sections, func(sec section) bool { return sec.name == name }) {
			return fmt.Errorf("no section %q", name)
		}
	}
	for _, sec := range sections {
		if len(names) > 0 && !slices.Contains(names, sec.name) {
			continue
		}
		fmt.Printf("\n== %s: %s\n", sec.name, sec.about)
		tables, err := sec.run(ctx, s)
		if err != nil {
			return fmt.Errorf("section %s: %w", sec.name, err)
		}
		if err := report(s.out, sec.name, tables); err != nil {
			return err
		}
	}
	return nil
}
