// Package consensuslint is a static check for code that runs in consensus (core/ and x/):
// every validator must compute the same bytes from the same block, so nothing in it may depend
// on a clock, chance, scheduling, map order or floating point.
//
// A finding that is provably harmless is silenced by a comment on the line before, with its reason:
//
//	//consensus:ok keys are sorted below
package consensuslint

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Analyzer reports what would make validators disagree.
var Analyzer = &analysis.Analyzer{
	Name: "consensuslint",
	Doc:  "reports clocks, randomness, floats, goroutines, selects and unordered map ranges in consensus code",
	Run:  run,
}

// imports that consensus code has no use for, with the reason.
var imports = map[string]string{
	"crypto/rand":  "chance differs between validators; take randomness as an argument from the beacon",
	"math/rand":    "chance differs between validators; take randomness as an argument from the beacon",
	"math/rand/v2": "chance differs between validators; take randomness as an argument from the beacon",
	"os":           "consensus code reads no environment and no file",
	"net":          "consensus code opens no socket",
	"net/http":     "consensus code opens no socket",
	"sync":         "consensus code runs in one goroutine",
	"unsafe":       "memory layout differs between platforms",
}

// calls that read a clock or the machine.
var calls = map[string]string{
	"time.Now": "use the block's time", "time.Since": "use the block's time", "time.Until": "use the block's time",
	"time.After": "use the block's time", "time.Sleep": "use the block's time", "time.Tick": "use the block's time",
	"time.NewTimer": "use the block's time", "time.NewTicker": "use the block's time",
	"runtime.NumCPU": "machines differ", "runtime.GOMAXPROCS": "machines differ",
}

func run(pass *analysis.Pass) (any, error) {
	for _, file := range pass.Files {
		name := pass.Fset.File(file.Pos()).Name()
		if strings.HasSuffix(name, "_test.go") || ast.IsGenerated(file) {
			continue
		}
		c := checker{pass: pass, excused: excusedLines(pass.Fset, file)}
		for _, spec := range file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if why, bad := imports[path]; bad {
				c.report(spec, "import of %s: %s", path, why)
			}
		}
		ast.Inspect(file, c.visit)
	}
	return nil, nil
}

type checker struct {
	pass    *analysis.Pass
	excused map[int]bool
}

func (c checker) report(at ast.Node, format string, args ...any) {
	if !c.excused[c.pass.Fset.Position(at.Pos()).Line] {
		c.pass.Reportf(at.Pos(), format, args...)
	}
}

func (c checker) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.report(n, "goroutine: the order of its effects differs between validators")
	case *ast.SelectStmt:
		c.report(n, "select: the case it takes differs between validators")
	case *ast.RangeStmt:
		if _, isMap := underlying(c.pass, n.X).(*types.Map); isMap {
			c.report(n, "range over a map: its order differs between validators; range over sorted keys")
		}
	case *ast.CallExpr:
		if full := calleeName(c.pass, n); full != "" {
			if why, bad := calls[full]; bad {
				c.report(n, "call of %s: %s", full, why)
			}
			if full == "maps.Keys" || full == "maps.Values" || full == "maps.All" {
				c.report(n, "call of %s: its order differs between validators; use slices.Sorted over it on the same line with a consensus:ok comment", full)
			}
		}
	case *ast.BasicLit:
		if n.Kind == token.FLOAT {
			c.report(n, "floating-point literal: rounding differs between platforms; use integers")
		}
	case *ast.Ident:
		if n.Name == "float64" || n.Name == "float32" {
			if _, isType := c.pass.TypesInfo.Uses[n].(*types.TypeName); isType {
				c.report(n, "%s: rounding differs between platforms; use integers", n.Name)
			}
		}
	}
	return true
}

func underlying(pass *analysis.Pass, e ast.Expr) types.Type {
	if t := pass.TypesInfo.TypeOf(e); t != nil {
		return t.Underlying()
	}
	return nil
}

// calleeName gives "package/path.Func" for calls of package-level functions, else "".
func calleeName(pass *analysis.Pass, call *ast.CallExpr) string {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	f, ok := pass.TypesInfo.Uses[sel.Sel].(*types.Func)
	if !ok || f.Pkg() == nil || f.Signature().Recv() != nil {
		return ""
	}
	return f.Pkg().Path() + "." + f.Name()
}

// excusedLines gives the lines that a consensus:ok comment with a reason covers.
func excusedLines(fset *token.FileSet, file *ast.File) map[int]bool {
	excused := map[int]bool{}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if reason, ok := strings.CutPrefix(comment.Text, "//consensus:ok"); ok && strings.TrimSpace(reason) != "" {
				line := fset.Position(comment.Pos()).Line
				excused[line], excused[line+1] = true, true
			}
		}
	}
	return excused
}
