package config_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/config"
)

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]config.Bytes{
		"0": 0, "1": 1, "100000": 100_000, "12B": 12, "500GB": 500e9, "500 GB": 500e9, "500gb": 500e9,
		"1.5TiB": 3 << 39, "0.5KB": 500, "1.9999B": 1, "18446744073709551615": 1<<64 - 1, "18.4PB": 18.4e15,
		"16383PiB": 16383 << 50,
	} {
		got, err := config.ParseBytes(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "GB", "-1", "1e9", "1.GBB", "one TB", "18446744073709551616", "16384PiB", "16383.9999999PiBPiB", ".5GB", "1,5GB", "5 lights"} {
		_, err := config.ParseBytes(text)
		require.ErrorIs(t, err, config.ErrSyntax, text)
		require.ErrorContains(t, err, text)
	}
}

func TestBytesPrint(t *testing.T) {
	for b, want := range map[config.Bytes]string{
		0: "0 B", 999: "999 B", 1000: "1 KB", 1500: "1.5 KB", 1999: "1.99 KB", 500e9: "500 GB", 1<<64 - 1: "18446.74 PB",
	} {
		require.Equal(t, want, b.String())
		text, err := b.MarshalText()
		require.NoError(t, err)
		var back config.Bytes
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, b, back, "%s", text)
	}
}

func TestStoragePrice(t *testing.T) {
	p, err := config.ParseStoragePrice("4CAIRN/TB-month")
	require.NoError(t, err)
	require.Equal(t, price.Rate{Amount: price.Amount{Lo: 4e18}, Per: 1e12 * 30 * 86400}, p.Rate)
	require.Equal(t, "4 CAIRN/TB-month", p.String())
	cost, err := p.StreamCost(5e11, 86400) // half a TB for a day
	require.NoError(t, err)
	require.Equal(t, "66666666666666666", cost.String())

	p, err = config.ParseStoragePrice("100acairn/100GiB-Day")
	require.NoError(t, err)
	require.Equal(t, price.Rate{Amount: price.FromUint64(100), Per: 100 << 30 * 86400}, p.Rate)
	p, err = config.ParseStoragePrice("0CAIRN/TB-month")
	require.NoError(t, err)
	require.Equal(t, "free", p.String())

	for _, text := range []string{"", "4CAIRN", "4/TB-month", "4CAIRN/TB", "4CAIRN/TB-week", "4CAIRN/month", "4CAIRN/0GB-day", "4CAIRN/PiB-year", "4DOGE/TB-month"} {
		_, err := config.ParseStoragePrice(text)
		require.ErrorIs(t, err, config.ErrSyntax, text)
		require.ErrorContains(t, err, "4CAIRN/TB-month")
	}
}

func TestEgressPrice(t *testing.T) {
	p, err := config.ParseEgressPrice("2CAIRN/TB")
	require.NoError(t, err)
	require.Equal(t, price.Rate{Amount: price.Amount{Lo: 2e18}, Per: 1e12}, p.Rate)
	require.Equal(t, "2 CAIRN/TB", p.String())
	for _, text := range []string{"0", "free"} {
		p, err := config.ParseEgressPrice(text)
		require.NoError(t, err)
		require.NoError(t, p.Check())
		require.Equal(t, "free", p.String())
	}
	for _, text := range []string{"", "2CAIRN", "2CAIRN/TB-month", "CAIRN/TB", "2CAIRN/"} {
		_, err := config.ParseEgressPrice(text)
		require.ErrorIs(t, err, config.ErrSyntax, text)
	}
}

func TestHome(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	home, err := config.FindHome(dir, "CAIRN_TEST_HOME", ".x")
	require.NoError(t, err)
	info, err := os.Stat(home.Path())
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())

	t.Setenv("CAIRN_TEST_HOME", dir)
	fromVariable, err := config.FindHome("", "CAIRN_TEST_HOME", ".x")
	require.NoError(t, err)
	require.Equal(t, home, fromVariable)

	type settings struct {
		Node string       `toml:"node"`
		Size config.Bytes `toml:"size"`
	}
	s := settings{Node: "127.0.0.1:9090", Size: 5e9}
	require.NoError(t, home.Load("cairn.toml", &s), "an absent file leaves the defaults")
	require.NoError(t, home.Save("cairn.toml", s))
	require.NoError(t, os.WriteFile(home.Path("partial.toml"), []byte("size = \"7 MB\"\n"), 0o600))
	require.NoError(t, home.Load("partial.toml", &s))
	require.Equal(t, settings{Node: "127.0.0.1:9090", Size: 7e6}, s)
	require.NoError(t, home.Load("cairn.toml", &s))
	require.Equal(t, config.Bytes(5e9), s.Size)

	require.NoError(t, os.WriteFile(home.Path("bad.toml"), []byte("nod = \"x\"\n"), 0o600))
	require.ErrorContains(t, home.Load("bad.toml", &s), "nod")
	require.NoError(t, os.WriteFile(home.Path("bad.toml"), []byte("size = \"x\"\n"), 0o600))
	require.ErrorContains(t, home.Load("bad.toml", &s), "bad.toml")
}

func FuzzParseQuantities(f *testing.F) {
	for _, s := range []string{"500GB", "1.5TiB", "4CAIRN/TB-month", "2CAIRN/100GB", "free", "0.000000000000000001CAIRN/B-hour"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := config.ParseBytes(s); err == nil {
			text, err := b.MarshalText()
			require.NoError(t, err)
			back, err := config.ParseBytes(string(text))
			require.NoError(t, err)
			require.Equal(t, b, back)
		}
		if p, err := config.ParseStoragePrice(s); err == nil {
			require.NoError(t, p.Check())
		}
		if p, err := config.ParseEgressPrice(s); err == nil {
			require.NoError(t, p.Check())
		}
	})
}
