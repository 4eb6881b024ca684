package command_test

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/app/command"
)

// output is what cairnd prints to standard output when run with args.
func output(t *testing.T, args ...string) string {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	stdout := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = stdout }()
	printed := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		printed <- string(b)
	}()
	err = command.Run(t.Context(), args)
	require.NoError(t, w.Close())
	text := <-printed
	require.NoErrorf(t, err, "%v\n%s", args, text)
	return strings.TrimSpace(text)
}

// TestOwnIdentity runs what the validator's runbook puts into $(...): each must print one word, or
// one line of JSON, to standard output.
func TestOwnIdentity(t *testing.T) {
	home := t.TempDir()
	require.Contains(t, output(t, "init", "stranger", "--chain-id", "test-1", "--evm-chain-id", "262199", "--home", home), `"moniker":"stranger"`)
	require.Regexp(t, `^[0-9a-f]{40}$`, output(t, "comet", "show-node-id", "--home", home))
	require.Regexp(t, `^cairnvalcons1[0-9a-z]+$`, output(t, "comet", "show-address", "--home", home))
	require.Regexp(t, `^\{"@type":"/cosmos.crypto.ed25519.PubKey","key":"[^"]{44}"\}$`, output(t, "comet", "show-validator", "--home", home))
}
