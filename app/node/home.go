package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	clientconfig "github.com/cosmos/cosmos-sdk/client/config"
	"github.com/cosmos/cosmos-sdk/client/flags"
	sdkserver "github.com/cosmos/cosmos-sdk/server"
	serverconfig "github.com/cosmos/cosmos-sdk/server/config"
	evmconfig "github.com/cosmos/evm/server/config"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/core/beacon"
)

// DefaultHome is ~/.cairnd, or .cairnd here for a user without a home.
func DefaultHome() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ".cairnd"
	}
	return filepath.Join(home, ".cairnd")
}

// HomeOptions say what a new home is for.
type HomeOptions struct {
	Moniker    string // the node's name among its peers
	ChainID    string // app.DefaultChainID if empty
	EVMChainID uint64 // app.DefaultEVMChainID if 0
	// BlockTime is the pause after a block before the next is proposed; 0 keeps DefaultBlockTime.
	BlockTime time.Duration
	// OpenCORS lets web pages of any origin use this node's RPC and REST: for development.
	OpenCORS bool
	// SharedAddress lets peers share one IP address, as they do on one machine, and asks none of them for
	// more: all are named in persistent_peers.
	SharedAddress bool
	// Keyring is where commands in this home keep account keys: "os" if empty, "test" for plain files.
	Keyring string
}

// DefaultBlockTime is the pause after a block. Blocks are made whether or not there are transactions:
// epochs and leases count on time passing.
const DefaultBlockTime = 2 * time.Second

// Identity is who a node is to its peers.
type Identity struct {
	NodeID       string           // 40 hex digits, derived from the node key
	ConsensusKey crypto.PubKey    // signs votes if the node validates
	BeaconKey    beacon.PublicKey // contributes to beacons if the node validates
}

// InitHome makes home the home of a node: directories, keys, config.toml, app.toml, client.toml.
// Keys and files that are there stay as they are, so that it may be called again. The genesis is
// the caller's to write.
func InitHome(home string, options HomeOptions) (Identity, error) {
	comet := CometConfig()
	comet.SetRoot(home)
	comet.Moniker = options.Moniker
	if options.BlockTime > 0 {
		comet.Consensus.TimeoutCommit = options.BlockTime
	}
	if options.SharedAddress {
		comet.P2P.AllowDuplicateIP, comet.P2P.AddrBookStrict = true, false
		comet.P2P.PexReactor = false
	}
	chain := AppConfig()
	if options.EVMChainID != 0 {
		chain.EVM.EVMChainID = options.EVMChainID
	}
	if options.OpenCORS {
		comet.RPC.CORSAllowedOrigins = []string{"*"}
		chain.API.EnableUnsafeCORS = true
		chain.JSONRPC.WSOrigins = []string{"*"}
	}
	client := clientconfig.DefaultConfig()
	client.ChainID = orDefault(options.ChainID, app.DefaultChainID)
	client.KeyringBackend = orDefault(options.Keyring, client.KeyringBackend)

	for _, dir := range []string{home, filepath.Join(home, "config"), filepath.Join(home, "data")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return Identity{}, fmt.Errorf("making the home of a node: %w", err)
		}
	}
	identity, err := loadOrMakeKeys(comet)
	if err != nil {
		return Identity{}, err
	}
	if identity.BeaconKey, err = loadOrMakeBeaconKey(home); err != nil {
		return Identity{}, err
	}
	err = writeMissing(filepath.Join(home, "config", "config.toml"), func(path string) error {
		cmtcfg.WriteConfigFile(path, comet)
		return nil
	})
	if err != nil {
		return Identity{}, err
	}
	err = writeMissing(filepath.Join(home, "config", "app.toml"), func(path string) error {
		writeAppConfig(path, chain)
		return nil
	})
	if err != nil {
		return Identity{}, err
	}
	err = writeMissing(filepath.Join(home, "config", "client.toml"), func(path string) error {
		return writeClientConfig(path, client)
	})
	return identity, err
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

func writeMissing(path string, write func(path string) error) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	} else if !os.IsNotExist(err) {
		return fmt.Errorf("looking for %s: %w", path, err)
	}
	if err := write(path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Chmod(path, 0o600)
}

// loadOrMakeKeys reads the node key and the validator key, making those that are missing. The
// validator's last-signed state is never touched once it exists: it is what prevents double signs.
func loadOrMakeKeys(comet *cmtcfg.Config) (Identity, error) {
	nodeKey, err := p2p.LoadOrGenNodeKey(comet.NodeKeyFile())
	if err != nil {
		return Identity{}, fmt.Errorf("loading or making the node key: %w", err)
	}
	validator := privval.LoadOrGenFilePV(comet.PrivValidatorKeyFile(), comet.PrivValidatorStateFile())
	public, err := validator.GetPubKey()
	if err != nil {
		return Identity{}, fmt.Errorf("reading the validator key: %w", err)
	}
	return Identity{NodeID: string(nodeKey.ID()), ConsensusKey: public}, nil
}

// CometConfig is what config.toml of a new home says.
func CometConfig() *cmtcfg.Config {
	config := cmtcfg.DefaultConfig()
	// The application keeps the mempool (Ethereum nonces, replacement); consensus asks it.
	config.Mempool.Type = cmtcfg.MempoolTypeApp
	config.Consensus.TimeoutCommit = DefaultBlockTime
	config.Consensus.CreateEmptyBlocks = true
	config.RPC.ListenAddress = "tcp://127.0.0.1:26657"
	config.RPC.PprofListenAddress = ""
	return config
}

// AppConfig is what app.toml of a new home says: every server on, on loopback.
func AppConfig() *evmconfig.Config {
	config := evmconfig.DefaultConfig()
	// The fee market sets the price; this is a node's own extra on top, and must be set.
	config.MinGasPrices = "0" + app.Denom
	config.API.Enable = true
	config.API.Address = "tcp://127.0.0.1:1317"
	config.GRPC.Enable = true
	config.GRPC.Address = "127.0.0.1:9090"
	config.GRPCWeb.Enable = true
	config.EVM.EVMChainID = app.DefaultEVMChainID
	// Transactions other than Ethereum's that wait in the mempool; -1 would switch it off.
	config.Mempool.MaxTxs = 5000
	config.JSONRPC.Enable = true
	config.JSONRPC.AllowInsecureUnlock = false
	// New validators join from a snapshot instead of replaying history.
	config.StateSync.SnapshotInterval = 1000
	config.StateSync.SnapshotKeepRecent = 2
	return config
}

// AppConfigTemplate is the text of app.toml.
const AppConfigTemplate = serverconfig.DefaultConfigTemplate + evmconfig.DefaultEVMConfigTemplate + grpcTLSTemplate

// writeAppConfig writes app.toml. The SDK keeps the template in a package variable.
func writeAppConfig(path string, config *evmconfig.Config) {
	serverconfig.SetConfigTemplate(AppConfigTemplate)
	serverconfig.WriteConfigFile(path, config)
}

func writeClientConfig(path string, config *clientconfig.ClientConfig) error {
	content := fmt.Sprintf(`# Defaults of the commands that talk to a network; flags override them.

chain-id = %q
# where account keys are kept: os, file, test (plain files: development only)
keyring-backend = %q
# key that signs when --from is not given
keyring-default-keyname = %q
# text or json
output = %q
# a node's RPC
node = %q
# sync waits for the node's check, async does not
broadcast-mode = %q
`, config.ChainID, config.KeyringBackend, config.KeyringDefaultKeyName, config.Output, config.Node, config.BroadcastMode)
	return os.WriteFile(path, []byte(content), 0o600)
}

// LoadConfig reads the settings of a home that InitHome made. With flags, environment variables
// (CAIRND_ and a setting's name) and then flags that are set override what the files say.
func LoadConfig(home string, overrides ...*pflag.FlagSet) (Config, error) {
	settings := viper.New()
	settings.SetConfigType("toml")
	for _, set := range overrides {
		settings.SetEnvPrefix("CAIRND")
		settings.SetEnvKeyReplacer(strings.NewReplacer(".", "_", "-", "_"))
		settings.AutomaticEnv()
		if err := settings.BindPFlags(set); err != nil {
			return Config{}, fmt.Errorf("binding flags: %w", err)
		}
	}
	for _, name := range []string{"config.toml", "app.toml"} {
		settings.SetConfigFile(filepath.Join(home, "config", name))
		if err := settings.MergeInConfig(); err != nil {
			return Config{}, fmt.Errorf("reading %s of %s: %w", name, home, err)
		}
	}
	settings.Set(flags.FlagHome, home)
	settings.SetDefault(sdkserver.FlagInterBlockCache, true)
	comet := CometConfig()
	if err := settings.Unmarshal(comet); err != nil {
		return Config{}, fmt.Errorf("reading config.toml of %s: %w", home, err)
	}
	comet.SetRoot(home)
	if err := comet.ValidateBasic(); err != nil {
		return Config{}, fmt.Errorf("config.toml of %s: %w", home, err)
	}
	return Config{Comet: comet, Settings: settings}, nil
}
