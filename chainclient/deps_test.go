package chainclient

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A daemon that speaks to a chain does not carry one.
func TestLinksNeitherConsensusNorTheEVM(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	deps := strings.Fields(string(out))
	require.Greater(t, len(deps), 100)
	for _, dep := range deps {
		for _, forbidden := range []string{
			"github.com/cometbft/cometbft/consensus", "github.com/cometbft/cometbft/node",
			"github.com/cometbft/cometbft/mempool", "github.com/cometbft/cometbft/state",
			"github.com/ethereum/go-ethereum", "github.com/cosmos/evm/x",
			"github.com/cosmos/cosmos-sdk/baseapp", "github.com/cosmos/cosmos-sdk/client", "github.com/cosmos/cosmos-sdk/x/auth",
			"github.com/cairn-network/cairn/x", "github.com/cairn-network/cairn/app",
		} {
			if dep == forbidden || strings.HasPrefix(dep, forbidden+"/") {
				t.Errorf("links %s", dep)
			}
		}
	}
}
