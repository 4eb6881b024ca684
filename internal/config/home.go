package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/cairn-network/cairn/internal/atomicfile"
)

// Home is the directory in which a program keeps what is its owner's: 0700, as it holds keys.
type Home string

// FindHome is the home named by a flag, else by the environment variable, else name in the
// user's own home directory. It is made if absent.
func FindHome(flag, variable, name string) (Home, error) {
	dir := flag
	if dir == "" {
		dir = os.Getenv(variable)
	}
	if dir == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("finding a home for keys: %w; name one with --home", err)
		}
		dir = filepath.Join(user, name)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding home %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making home: %w", err)
	}
	return Home(dir), nil
}

// Path is a file or directory in the home.
func (h Home) Path(elements ...string) string {
	return filepath.Join(append([]string{string(h)}, elements...)...)
}

// Load reads the settings file name into v; what the file does not say stays as it is, so v
// comes filled with defaults. An absent file is no error; a setting that v lacks is one.
func (h Home) Load(name string, v any) error {
	path := h.Path(name)
	meta, err := toml.DecodeFile(path, v)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading settings %s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		names := make([]string, len(unknown))
		for i, key := range unknown {
			names[i] = key.String()
		}
		return fmt.Errorf("reading settings %s: unknown %s", path, strings.Join(names, ", "))
	}
	return nil
}

// Save writes v as the settings file name, readable by its owner alone.
func (h Home) Save(name string, v any) error {
	var b strings.Builder
	if err := toml.NewEncoder(&b).Encode(v); err != nil {
		return fmt.Errorf("writing settings %s: %w", name, err)
	}
	return atomicfile.Write(h.Path(name), []byte(b.String()), atomicfile.Private)
}
