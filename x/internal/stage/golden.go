package stage

import (
	"flag"
	"fmt"
	//consensus:ok tests read golden files; no module imports this package
	"os"
	"strings"
	"testing"

	errorsmod "cosmossdk.io/errors"
)

var update = flag.Bool("update", false, "rewrite golden files")

// GoldenErrors compares a module's error codes with the list in a file: what it lists never
// changes its meaning. New codes are added with -update.
func GoldenErrors(t *testing.T, codespace, file string) {
	t.Helper()
	var list strings.Builder
	// The registry is not enumerable; codes are small.
	for code := uint32(2); code < 200; code++ {
		if err := errorsmod.ABCIError(codespace, code, ""); !strings.HasSuffix(err.Error(), "unknown") {
			fmt.Fprintf(&list, "%s %d %s\n", codespace, code, strings.TrimPrefix(err.Error(), ": "))
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(list.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if list.String() != string(want) {
		t.Errorf("error codes differ from %s; a code that was given keeps its meaning (-update adds new ones):\n%s", file, list.String())
	}
}
