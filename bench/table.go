package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// A row is one figure: what was measured, against what.
type row struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Goal  string  `json:"goal,omitempty"`
	Note  string  `json:"note,omitempty"`
}

type table struct {
	Title string `json:"title"`
	Rows  []row  `json:"rows"`
}

type result struct {
	Section string  `json:"section"`
	Taken   string  `json:"taken"`
	CPU     string  `json:"cpu"`
	Cores   int     `json:"cores"`
	Load    string  `json:"load_average"`
	Go      string  `json:"go"`
	Tables  []table `json:"tables"`
}

func report(dir, name string, tables []table) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, t := range tables {
		fmt.Fprintf(w, "\n%s\n", t.Title)
		for _, r := range t.Rows {
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", r.What, figure(r.Value), r.Unit, r.Goal, r.Note)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing results: %w", err)
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("unknown")
	}
	data, err := json.MarshalIndent(result{
		Section: name, Taken: time.Now().UTC().Format(time.RFC3339), CPU: cpuModel(), Cores: runtime.NumCPU(),
		Load: strings.TrimSpace(string(load)), Go: runtime.Version(), Tables: tables,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding results: %w", err)
	}
	path := filepath.Join(dir, name+".json")
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	fmt.Printf("\nsaved %s\n", path)
	return nil
}

// figure prints three significant digits or whole numbers.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func cpuModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return runtime.GOARCH
}
