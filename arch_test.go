// Package cairn holds the test that keeps the architecture: who may import whom.
package cairn

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/cairn-network/cairn"

// A layer is a set of packages and what of ours they may import. The first layer whose prefix
// matches a package is its layer; a prefix matches itself and everything below it.
type layer struct {
	prefix string
	may    []string // prefixes of ours that it may import; its own is always allowed
	not    []string // prefixes that it may not import although `may` allows them
	why    string
}

// layers is ARCHITECTURE.md's "who may import whom" as a table.
var layers = []layer{
	{prefix: "core", may: nil, why: "the rules that chain and daemons share are pure: no I/O, clock, randomness, floats, Cosmos"},
	{prefix: "api", may: nil, why: "generated code and nothing else"},
	{prefix: "wire", may: []string{"core", "api", "internal/tlsid"}, why: "codecs and sessions know nothing of our chain"},
	{prefix: "internal/modkit", may: []string{"core", "api"}, why: "the boilerplate of a chain module, without domain"},
	{prefix: "internal", may: []string{"internal", "core"}, not: []string{"internal/modkit"}, why: "plumbing without domain"},
	{prefix: "x/audit", may: []string{"core", "api", "internal/modkit"}, why: "the commons meet only through the interfaces in their deps.go"},
	{prefix: "x/device", may: []string{"core", "api", "internal/modkit"}, why: "the commons meet only through the interfaces in their deps.go"},
	{prefix: "x/market", may: []string{"core", "api", "internal/modkit"}, why: "the commons meet only through the interfaces in their deps.go"},
	{prefix: "x/reward", may: []string{"core", "api", "internal/modkit"}, why: "the commons meet only through the interfaces in their deps.go"},
	{prefix: "x/storage", may: []string{"core", "api", "internal/modkit", "x/audit", "x/device", "x/market", "x/reward"}, why: "a vertical uses the commons, never another vertical"},
	{prefix: "x/energy", may: []string{"core", "api", "internal/modkit", "x/audit", "x/device", "x/market", "x/reward"}, why: "a vertical uses the commons, never another vertical"},
	{prefix: "x/internal", may: []string{"core", "api"}, why: "fakes that module tests share"},
	{prefix: "evm", may: []string{"core", "api", "x"}, why: "precompiles stand over the modules"},
	{prefix: "app", may: []string{"core", "api", "x", "evm", "internal"}, why: "wires the state machine and knows no daemon"},
	{prefix: "chainclient", may: []string{"core", "api", "internal"}, not: []string{"internal/modkit"}, why: "a daemon must not link the state machine"},
	{prefix: "daemon/storagenode", may: daemonMay, not: daemonNot, why: "a daemon never imports another daemon, nor the chain"},
	{prefix: "daemon/s3gateway", may: daemonMay, not: daemonNot, why: "a daemon never imports another daemon, nor the chain"},
	{prefix: "daemon/csms", may: daemonMay, not: daemonNot, why: "a daemon never imports another daemon, nor the chain"},
	{prefix: "daemon/reporter", may: daemonMay, not: daemonNot, why: "a daemon never imports another daemon, nor the chain"},
	{prefix: "sim", may: daemonMay, not: daemonNot, why: "stand-ins speak the real protocols from the far end"},
	{prefix: "web", may: []string{"core", "internal"}, not: []string{"internal/modkit"}, why: "the page is embedded in both programs and may pull in neither's weight"},
	{prefix: "devnet", may: []string{"core", "api", "wire", "x", "evm", "app", "chainclient", "daemon", "sim", "internal", "web"}, why: "a whole network in one process: everything below cmd"},
	{prefix: "test", may: []string{"core", "api", "wire", "chainclient", "daemon", "sim", "internal", "devnet", "app"}, why: "scenarios over whole networks"},
	{prefix: "bench", may: []string{"core", "api", "wire", "x", "chainclient", "daemon", "sim", "internal", "devnet", "app"}, why: "figures over everything"},
	{prefix: "cmd/cairnd", may: []string{"app", "devnet", "internal", "web"}, why: "ten lines: the node and the devnet"},
	{prefix: "cmd/cairn", may: []string{"daemon", "chainclient", "internal", "web", "core", "wire", "api"}, not: []string{"internal/modkit"}, why: "everything that is not the chain; never links consensus or the EVM"},
}

var (
	daemonMay = []string{"core", "wire", "api", "chainclient", "internal"}
	daemonNot = []string{"internal/modkit"}
)

// forbidden names packages of others that a layer must not reach even indirectly.
var forbidden = []struct {
	root string
	deps []string
	why  string
}{
	{"cmd/cairn", []string{
		"github.com/cometbft/cometbft/consensus", "github.com/cometbft/cometbft/node",
		"github.com/cosmos/evm/x/vm", "github.com/ethereum/go-ethereum/core/vm",
		modulePath + "/app", modulePath + "/x",
	}, "cairn never links the consensus engine, the EVM or the state machine"},
	{"cmd/cairnd", []string{
		"github.com/cosmos/ibc-go/v11/testing", "github.com/cosmos/evm/testutil/integration",
		"github.com/dop251/goja", "github.com/cosmos/cosmos-sdk/enterprise",
		"github.com/cosmos/cosmos-sdk/x/params/keeper", "github.com/cosmos/cosmos-sdk/x/protocolpool/keeper",
	}, "test networks, JavaScript tracers, evaluation-licensed and retired modules stay out of the node"},
	{"core/...", []string{"github.com/cosmos/cosmos-sdk", "cosmossdk.io"}, "core knows no Cosmos"},
}

// vague are package names that say nothing.
var vague = []string{"util", "utils", "common", "helpers", "base", "lib", "types", "models", "manager"}

type goPackage struct {
	ImportPath string
	Name       string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

func (p goPackage) rel() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, modulePath), "/")
}

func within(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

func withinAny(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return within(path, prefix) })
}

func layerOf(rel string) *layer {
	for i := range layers {
		if within(rel, layers[i].prefix) {
			return &layers[i]
		}
	}
	return nil
}

func list(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Name,Dir,GoFiles,Imports,Deps"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var packages []goPackage
	for dec := json.NewDecoder(out); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("reading go list: %v", err)
		}
		packages = append(packages, p)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("go list: %v", err)
	}
	return packages
}

// TestLayers holds the dependency rule, package comments and names.
func TestLayers(t *testing.T) {
	for _, p := range list(t, "./...") {
		rel := p.rel()
		if rel == "" || len(p.GoFiles) == 0 {
			continue
		}
		own := layerOf(rel)
		if own == nil {
			t.Errorf("%s belongs to no layer: give it a room in arch_test.go and ARCHITECTURE.md", rel)
			continue
		}
		for _, imported := range p.Imports {
			dep := strings.TrimPrefix(imported, modulePath+"/")
			if dep == imported || within(dep, own.prefix) {
				continue
			}
			if !withinAny(dep, own.may) || withinAny(dep, own.not) {
				t.Errorf("%s imports %s: %s", rel, dep, own.why)
			}
		}
		if slices.Contains(vague, p.Name) {
			t.Errorf("%s: package name %q says nothing about what is inside", rel, p.Name)
		}
		if !within(rel, "api") && !hasComment(t, p) {
			t.Errorf("%s has no package comment", rel)
		}
	}
}

// TestForbiddenDependencies holds what must never be linked, however indirectly.
func TestForbiddenDependencies(t *testing.T) {
	for _, rule := range forbidden {
		for _, p := range list(t, "./"+rule.root) {
			for _, dep := range p.Deps {
				if withinAny(dep, rule.deps) {
					t.Errorf("%s links %s: %s", p.rel(), dep, rule.why)
				}
			}
		}
	}
}

func hasComment(t *testing.T, p goPackage) bool {
	t.Helper()
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if file.Doc != nil && strings.TrimSpace(file.Doc.Text()) != "" {
			return true
		}
	}
	return false
}
