package provide

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/daemon/storagenode"
)

// What can be known to be wrong is said before anything is paid for.
func TestWrongSettingsAreRefusedBeforeTheChainIsAsked(t *testing.T) {
	account, err := wallet.FromMnemonic("test test test test test test test test test test test junk")
	require.NoError(t, err)
	good := func() Config {
		return Config{
			Home: t.TempDir(), Account: account, Chain: "127.0.0.1:1",
			Node: storagenode.Config{Path: t.TempDir(), Capacity: 1 << 20, Listen: "127.0.0.1:0"},
		}
	}
	c := good()
	require.NoError(t, c.check())
	for name, test := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"no account":       {func(c *Config) { c.Account = nil }, nil},
		"no capacity":      {func(c *Config) { c.Node.Capacity = 0 }, nil},
		"larger than disk": {func(c *Config) { c.Node.Capacity = 1 << 62 }, ErrDisk},
		"everywhere":       {func(c *Config) { c.Node.Listen = ":7700" }, ErrEndpoint},
		"everywhere, IPv6": {func(c *Config) { c.Node.Listen = "[::]:7700" }, ErrEndpoint},
		"no port":          {func(c *Config) { c.Node.Listen = "127.0.0.1" }, nil},
		"bad endpoint":     {func(c *Config) { c.Node.Endpoint = "my.host" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := good()
			test.change(&c)
			err := c.check()
			require.Error(t, err)
			if test.want != nil {
				require.ErrorIs(t, err, test.want)
			}
			require.Error(t, Run(t.Context(), c))
		})
	}
	c = good()
	c.Node.Listen, c.Node.Endpoint = ":7700", "my.host:7700"
	require.NoError(t, c.check())
}

func TestOfferLeavesRoomForWhatIsNotClearedYet(t *testing.T) {
	require.Equal(t, uint64(95), offered(100))
	require.Equal(t, uint64(1), offered(1))
	require.Less(t, offered(1<<63), uint64(1<<63))
}
