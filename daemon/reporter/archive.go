package reporter

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/internal/atomicfile"
)

// Archive keeps accounts and facts in files by content address, and manifests of what was reported:
//
//	accounts/HASH   the leaves under an output root, score.AccountBytes each
//	facts/HASH      the facts under an input root, score.FactBytes each
//	epochs/SERVICE-EPOCH.json   Manifest
//
// Files are written whole and never changed.
type Archive struct{ dir string }

// Manifest says what was computed for an epoch.
type Manifest struct {
	Service   string `json:"service"`
	Epoch     uint64 `json:"epoch"`
	ID        string `json:"id"`       // of the statement, hexadecimal
	Previous  string `json:"previous"` // of the statement it builds on; empty for the first
	Rules     uint32 `json:"rules"`
	Root      string `json:"root"` // hash of the output root; empty for no accounts
	Accounts  uint64 `json:"accounts"`
	Points    uint64 `json:"points"`
	Earned    string `json:"earned"` // sum of all that was ever earned, acairn
	InputRoot string `json:"input_root"`
	Inputs    uint64 `json:"inputs"`
	// Before is the hash of the output root that it builds on; empty for no accounts.
	Before string `json:"before"`
}

// ErrNotKept is wrapped by errors about data that is not in the archive.
var ErrNotKept = errors.New("not kept here")

// OpenArchive makes or takes up the archive in a directory.
func OpenArchive(dir string) (*Archive, error) {
	for _, name := range []string{"accounts", "facts", "epochs"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, fmt.Errorf("making the archive: %w", err)
		}
	}
	return &Archive{dir}, nil
}

func hexHash(r report.Root) string {
	if r.Leaves == 0 {
		return ""
	}
	return hex.EncodeToString(r.Hash[:])
}

func (a *Archive) path(kind, name string) string { return filepath.Join(a.dir, kind, name) }

func epochName(service score.Service, epoch uint64) string {
	return fmt.Sprintf("%s-%020d.json", service, epoch)
}

// Keep writes an epoch: accounts and facts first, so that a manifest never points at what is not there.
func (a *Archive) Keep(e *Epoch) error {
	if err := a.keepAccounts(e.Accounts); err != nil {
		return err
	}
	if r := e.Inputs.Root(); r.Leaves > 0 {
		b := make([]byte, 0, len(e.Facts)*score.FactBytes)
		for _, f := range e.Facts {
			encoded, err := f.MarshalBinary()
			if err != nil {
				return fmt.Errorf("archiving facts of epoch %d: %w", e.Plan.Epoch, err)
			}
			b = append(b, encoded...)
		}
		if err := a.write("facts", hexHash(r), b); err != nil {
			return err
		}
	}
	m := Manifest{
		Service: e.Plan.Service.String(), Epoch: e.Plan.Epoch, ID: hex.EncodeToString(e.ID[:]), Rules: uint32(e.Plan.Rules),
		Root: hexHash(e.Statement.Output), Accounts: e.Statement.Output.Leaves, Points: e.Statement.Output.Points,
		Earned:    e.Statement.Output.Earned.String(),
		InputRoot: hexHash(e.Statement.Inputs), Inputs: e.Statement.Inputs.Leaves, Before: hexHash(e.Previous.Root()),
	}
	if e.Statement.Previous != [32]byte{} {
		m.Previous = hex.EncodeToString(e.Statement.Previous[:])
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("archiving epoch %d: %w", e.Plan.Epoch, err)
	}
	return a.replace("epochs", epochName(e.Plan.Service, e.Plan.Epoch), append(b, '\n'))
}

func (a *Archive) keepAccounts(t *report.Tree[score.Account]) error {
	r := t.Root()
	if r.Leaves == 0 {
		return nil
	}
	b := make([]byte, 0, len(t.Leaves())*score.AccountBytes)
	for _, l := range t.Leaves() {
		b = l.Append(b)
	}
	return a.write("accounts", hexHash(r), b)
}

// write adds a file by content address unless it is there.
func (a *Archive) write(kind, name string, b []byte) error {
	if info, err := os.Stat(a.path(kind, name)); err == nil && info.Size() == int64(len(b)) {
		return nil
	}
	return a.replace(kind, name, b)
}

func (a *Archive) replace(kind, name string, b []byte) error {
	if err := atomicfile.Write(a.path(kind, name), b, atomicfile.Private); err != nil {
		return fmt.Errorf("archiving %s: %w", kind, err)
	}
	return nil
}

// Open gives the file of a kind ("accounts" or "facts") under a root's hash; ErrNotKept.
func (a *Archive) Open(kind, hash string) (io.ReadSeekCloser, error) {
	if _, err := hex.DecodeString(hash); err != nil || len(hash) != 64 {
		return nil, fmt.Errorf("%s under %q: %w", kind, hash, ErrNotKept)
	}
	f, err := os.Open(a.path(kind, hash))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s under %s: %w", kind, hash, ErrNotKept)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", kind, err)
	}
	return f, nil
}

// Manifests lists what is kept, the newest first; of one service.
func (a *Archive) Manifests(service score.Service) ([]Manifest, error) {
	entries, err := os.ReadDir(filepath.Join(a.dir, "epochs"))
	if err != nil {
		return nil, fmt.Errorf("listing the archive: %w", err)
	}
	var all []Manifest
	for _, entry := range slices.Backward(entries) {
		b, err := os.ReadFile(a.path("epochs", entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // pruned meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("reading the archive: %w", err)
		}
		var m Manifest
		if json.Unmarshal(b, &m) == nil && m.Service == service.String() {
			all = append(all, m)
		}
	}
	return all, nil
}

// Prune forgets all of a service but the newest epochs, and files that no manifest names.
func (a *Archive) Prune(service score.Service, keep int) error {
	manifests, err := a.Manifests(service)
	if err != nil || len(manifests) <= keep {
		return err
	}
	named := make(map[string]bool)
	for i, m := range manifests {
		if i < keep {
			named[m.Root], named[m.InputRoot], named[m.Before] = true, true, true
		}
	}
	for _, m := range manifests[keep:] {
		files := []string{a.path("epochs", epochName(service, m.Epoch))}
		if m.Root != "" && !named[m.Root] {
			files = append(files, a.path("accounts", m.Root))
		}
		if m.InputRoot != "" && !named[m.InputRoot] {
			files = append(files, a.path("facts", m.InputRoot))
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("pruning the archive: %w", err)
			}
		}
	}
	return nil
}

// Accounts reads the tree under a root; ErrNotKept, also where the file is damaged.
func (a *Archive) Accounts(root report.Root) (*report.Tree[score.Account], error) {
	if root.Leaves == 0 {
		return emptyTree(), nil
	}
	f, err := a.Open("accounts", hexHash(root))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tree, err := ReadAccounts(f, root)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	return tree, nil
}

// ReadAccounts reads the accounts of the tree with a root, as they are archived and served, and
// refuses any others with report.ErrLeaves.
func ReadAccounts(r io.Reader, root report.Root) (*report.Tree[score.Account], error) {
	if root.Leaves > maxAccounts {
		return nil, fmt.Errorf("reading %d accounts: %w: at most %d", root.Leaves, report.ErrLeaves, maxAccounts)
	}
	size := int64(root.Leaves) * score.AccountBytes
	b, err := io.ReadAll(io.LimitReader(r, size+1))
	if err != nil {
		return nil, fmt.Errorf("reading accounts: %w", err)
	}
	if int64(len(b)) != size {
		return nil, fmt.Errorf("reading accounts: %w: %d bytes, want %d", report.ErrLeaves, len(b), size)
	}
	accounts := make([]score.Account, root.Leaves)
	for i := range accounts {
		if err := accounts[i].UnmarshalBinary(b[i*score.AccountBytes : (i+1)*score.AccountBytes]); err != nil {
			return nil, fmt.Errorf("reading account %d: %w: %w", i, report.ErrLeaves, err)
		}
	}
	tree, err := report.Build(accounts)
	if err != nil {
		return nil, fmt.Errorf("reading accounts: %w", err)
	}
	if tree.Root() != root {
		return nil, fmt.Errorf("reading accounts: %w: the root is %s, want %s", report.ErrLeaves, tree.Root(), root)
	}
	return tree, nil
}

// maxAccounts bounds what is read into memory: 16 million accounts are 1.5 GB.
const maxAccounts = 1 << 24
