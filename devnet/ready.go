package devnet

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// readyName is the ready file's name in a network's home.
const readyName = "ready.json"

// Ready is what a running network tells programs (the ready file) and people.
type Ready struct {
	S3        S3        `json:"s3"`
	Web       string    `json:"web"`
	RPC       string    `json:"rpc"`
	REST      string    `json:"rest"`
	GRPC      string    `json:"grpc"`
	JSONRPC   string    `json:"jsonrpc"`
	ChainID   string    `json:"chain_id"`
	Accounts  []Account `json:"accounts"`
	Processes []Process `json:"processes"`
}

// S3 is what an S3 client needs.
type S3 struct {
	Endpoint  string `json:"endpoint"`
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	Region    string `json:"region"`
}

// Account is a funded account of the network. Its mnemonic is a secret worth nothing: devnet
// money only.
type Account struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	Hex      string `json:"hex"`
	Mnemonic string `json:"mnemonic"`
}

// Process is one part of the network. In one process all share a pid.
type Process struct {
	Role     string `json:"role"` // validator, storage, gateway, web
	Name     string `json:"name"`
	PID      int    `json:"pid"`
	DeviceID uint64 `json:"device_id,omitempty"`
}

// Print tells people what runs and how to use it. command is how they call devnet's commands.
func (r Ready) Print(w io.Writer, command string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	storage := 0
	for _, p := range r.Processes {
		if p.Role == "storage" {
			storage++
		}
	}
	fmt.Fprintf(t, "\nCairn is up: chain %s, %d storage nodes.\n\n", r.ChainID, storage)
	fmt.Fprintf(t, "  web page\t%s\n", r.Web)
	fmt.Fprintf(t, "  S3\t%s\tregion %s\n", r.S3.Endpoint, r.S3.Region)
	fmt.Fprintf(t, "  \taccess key %s\tsecret key %s\n", r.S3.AccessKey, r.S3.SecretKey)
	fmt.Fprintf(t, "  MetaMask\t%s\tEVM chain id %d, symbol CAIRN\n", r.JSONRPC, EVMChainID)
	fmt.Fprintf(t, "  REST\t%s\tgRPC %s\tCometBFT %s\n\n", r.REST, r.GRPC, r.RPC)
	fmt.Fprintln(t, "Store something:")
	fmt.Fprintf(t, "  export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_DEFAULT_REGION=%s\n", r.S3.AccessKey, r.S3.SecretKey, r.S3.Region)
	fmt.Fprintf(t, "  aws --endpoint-url %s s3 mb s3://photos\n", r.S3.Endpoint)
	fmt.Fprintf(t, "  aws --endpoint-url %s s3 sync ./my-photos s3://photos\n\n", r.S3.Endpoint)
	fmt.Fprintln(t, "Money for an account of your own:")
	fmt.Fprintf(t, "  %s fund cairn1... 100CAIRN\n\n", command)
	fmt.Fprintln(t, "Ctrl-C stops it; starting again goes on where it stopped.")
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing what runs: %w", err)
	}
	return nil
}
