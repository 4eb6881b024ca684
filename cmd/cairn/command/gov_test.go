package command_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/chainclient/wallet"
)

// People change the rules of a running network by vote, and are told at once what the chain would
// not take.
func TestGovernance(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a network")
	}
	dir := t.TempDir()
	words, err := wallet.NewMnemonic(rand.Reader)
	require.NoError(t, err)
	t.Setenv("CAIRN_NODE", chain(t, filepath.Join(dir, "chain"), []string{words}))
	home := filepath.Join(dir, "validator")
	require.NoError(t, wallet.Create(filepath.Join(home, "wallet"), words, ""))
	t.Setenv("CAIRN_HOME", home)
	refused := func(want string, args ...string) {
		t.Helper()
		_, stderr, err := run(t, nil, args...)
		require.Error(t, err)
		require.Contains(t, stderr, want)
	}

	require.Contains(t, must(t, "gov", "params"), "market.fee_bps")
	require.Regexp(t, `market\.fee_bps +250\n`, must(t, "gov", "params", "market"))
	require.Equal(t, "PROPOSAL  STATUS  TIME LEFT  TITLE\n", must(t, "gov", "list"))

	// Bad values are refused before anyone votes, and nothing is sent.
	refused("fee_bps 2501: want 0 to 2500", "gov", "propose", "param", "market.fee_bps=2501")
	refused("no parameter", "gov", "propose", "param", "market.fee=1")
	refused("want a whole number", "gov", "propose", "param", "market.fee_bps=much")
	refused("not MODULE.NAME=VALUE", "gov", "propose", "param", "fee")
	refused("has no parameters", "gov", "propose", "param", "toaster.heat=1")
	refused("attestation.tpm_seconds 1: want 3600", "gov", "propose", "param", "device.attestation.tpm_seconds=1")

	// Two parameters of two modules in one proposal, in the units that people use.
	dry := must(t, "gov", "propose", "param", "market.fee_bps=300", "device.deposit=2.5CAIRN", "device.unbonding_seconds=36h", "--dry-run")
	require.Contains(t, dry, "nothing was sent")
	require.Regexp(t, `market\.fee_bps +250 +-> +300`, dry)
	require.Regexp(t, `device\.deposit +1 CAIRN +-> +2\.5 CAIRN`, dry)
	require.Regexp(t, `device\.unbonding_seconds +1 +-> +36h`, dry)
	require.NotContains(t, must(t, "gov", "list"), "1")

	var proposed struct{ Proposal uint64 }
	require.NoError(t, json.Unmarshal([]byte(must(t, "gov", "propose", "param", "market.fee_bps=300", "device.deposit=2.5CAIRN", "--title", "Raise the fee", "--json")), &proposed))
	require.Equal(t, uint64(1), proposed.Proposal)
	require.Contains(t, must(t, "gov", "list", "--status", "voting"), "Raise the fee")
	refused("want yes, no, abstain, veto", "gov", "vote", "1", "maybe")
	require.Equal(t, "voted yes on proposal 1\n", must(t, "gov", "vote", "1", "yes"))
	shown := must(t, "gov", "show", "1")
	require.Contains(t, shown, "yes       ##############################  100.0 %")
	require.Regexp(t, `market\.fee_bps +250 +-> +300`, shown)
	passes := func(id uint64) {
		t.Helper()
		eventually(t, func() error {
			var p struct{ Status, Failure string }
			if err := json.Unmarshal([]byte(must(t, "gov", "show", fmt.Sprint(id), "--json")), &p); err != nil {
				return err
			}
			if p.Status != "passed" {
				return fmt.Errorf("proposal %d is %s: %s", id, p.Status, p.Failure)
			}
			return nil
		})
	}
	passes(1)
	require.Regexp(t, `market\.fee_bps +300\n`, must(t, "gov", "params", "market"))
	require.Regexp(t, `device\.deposit +2\.5 CAIRN\n`, must(t, "gov", "params", "device"))

	// A proposal without its deposit waits for it.
	require.NoError(t, json.Unmarshal([]byte(must(t, "gov", "propose", "text", "--title", "Which region next?", "--summary", "Name one.", "--deposit", "9CAIRN", "--json")), &proposed))
	require.Contains(t, must(t, "gov", "list", "--status", "deposit"), "Which region next?")
	must(t, "gov", "deposit", fmt.Sprint(proposed.Proposal), "1CAIRN")
	require.Contains(t, must(t, "gov", "list", "--status", "voting"), "Which region next?")

	// The pool pays by vote, and only what it holds.
	to := "0x00000000000000000000000000000000000000AA"
	refused("the chain would refuse this", "gov", "propose", "spend", to, "900000CAIRN")
	require.NoError(t, json.Unmarshal([]byte(must(t, "gov", "propose", "spend", to, "1acairn", "--json")), &proposed))
	must(t, "gov", "vote", fmt.Sprint(proposed.Proposal), "yes")
	passes(proposed.Proposal)
	require.Equal(t, "0.000000000000000001 CAIRN\n", must(t, "wallet", "balance", to))

	// Anything else that governance may do goes as JSON.
	rule := filepath.Join(dir, "rule.json")
	require.NoError(t, os.WriteFile(rule, []byte(`{"@type": "/cairn.device.v1.MsgUpdateRules", "set": [{"region": "DE", "resource": "charge", "refused": true, "reason": "until calibrated"}]}`), 0o600))
	require.NoError(t, json.Unmarshal([]byte(must(t, "gov", "propose", "message", rule, "--title", "No charging in DE", "--json")), &proposed))
	must(t, "gov", "vote", fmt.Sprint(proposed.Proposal), "yes")
	passes(proposed.Proposal)
	require.NoError(t, os.WriteFile(rule, []byte(strings.Replace(`{"@type": "/cairn.device.v1.MsgUpdateRules", "set": [{"region": "DE"}]}`, "DE", "Germany", 1)), 0o600))
	refused("bad region rule", "gov", "propose", "message", rule)
	refused("in the past", "gov", "propose", "upgrade", "v9", "1")
}
