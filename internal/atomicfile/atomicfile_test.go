package atomicfile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/internal/atomicfile"
)

func TestWriteReplacesWithTheGivenMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o644))
	require.NoError(t, atomicfile.Write(path, []byte("new"), atomicfile.Private))
	requireContent(t, path, "new")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	requireAlone(t, path)
}

func TestAbortLeavesTheOldContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	require.NoError(t, atomicfile.Write(path, []byte("old"), atomicfile.Public))
	f, err := atomicfile.Create(path, atomicfile.Public)
	require.NoError(t, err)
	_, err = f.Write([]byte("half"))
	require.NoError(t, err)
	f.Abort()
	requireContent(t, path, "old")
	requireAlone(t, path)
	require.ErrorIs(t, f.Commit(), os.ErrClosed)
}

func TestWriteNewNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wallet")
	require.NoError(t, atomicfile.WriteNew(path, []byte("first"), atomicfile.Private))
	require.ErrorIs(t, atomicfile.WriteNew(path, []byte("second"), atomicfile.Private), fs.ErrExist)
	requireContent(t, path, "first")
	requireAlone(t, path)
}

func TestWriteIntoAMissingDirectoryNamesThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent", "file")
	err := atomicfile.Write(path, nil, atomicfile.Public)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, path)
}

func requireContent(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

// requireAlone holds that no staged file was left beside path.
func requireAlone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
