package web

import (
	"net/http"

	"github.com/cairn-network/cairn/core/address"
)

// Info is what the page shows of the network around it. It has no field for a mnemonic, a private
// key or an S3 secret, and none may be added: everyone who can open the page reads it.
type Info struct {
	// Network is what people call it: "devnet".
	Network string `json:"network,omitempty"`
	ChainID string `json:"chain_id"`
	// EVMChainID is what MetaMask asks for; 0 for none.
	EVMChainID uint64    `json:"evm_chain_id,omitempty"`
	Version    string    `json:"version,omitempty"`
	Endpoints  Endpoints `json:"endpoints"`
	S3         S3        `json:"s3"`
	// ReadyFile is the path of the file in which the devnet wrote its secrets, so that the page can
	// say where to find them without knowing them.
	ReadyFile string    `json:"ready_file,omitempty"`
	Accounts  []Account `json:"accounts"`
}

// Endpoints are base URLs for a person to copy.
type Endpoints struct {
	S3      string `json:"s3,omitempty"`
	Web     string `json:"web,omitempty"`
	RPC     string `json:"rpc,omitempty"`
	REST    string `json:"rest,omitempty"`
	GRPC    string `json:"grpc,omitempty"`
	JSONRPC string `json:"jsonrpc,omitempty"`
}

// S3 is what a client needs besides the endpoint and the secret.
type S3 struct {
	Region    string `json:"region,omitempty"`
	AccessKey string `json:"access_key,omitempty"`
}

// Account is one known account of a devnet.
type Account struct {
	Name    string `json:"name"`
	Address string `json:"address"` // cairn1...
	Hex     string `json:"hex"`     // 0x..., the same twenty bytes; filled in when empty
}

func infoHandler(cfg Config) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		var info Info
		if cfg.Info != nil {
			info = cfg.Info()
		}
		ends := &info.Endpoints
		for _, fill := range []struct {
			field *string
			value string
		}{{&ends.REST, cfg.REST}, {&ends.RPC, cfg.RPC}, {&ends.JSONRPC, cfg.JSONRPC}} {
			if *fill.field == "" {
				*fill.field = fill.value
			}
		}
		accounts := make([]Account, 0, len(info.Accounts))
		for _, account := range info.Accounts {
			if parsed, err := address.Parse(account.Address); err == nil && account.Hex == "" {
				account.Hex = address.Hex(parsed)
			}
			accounts = append(accounts, account)
		}
		info.Accounts = accounts
		replyJSON(w, info)
	}
}
