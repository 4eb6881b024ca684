package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/cairn-network/cairn/internal/atomicfile"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/config"
)

// Names of the files in home/run that say what runs now.
const (
	storageRun = "storage.json"
	gatewayRun = "gateway.json"
)

// running is what a daemon tells of itself once it serves: in home/run/NAME, and in the file
// named by --ready-file. It holds the S3 credentials, so it is its owner's alone.
type running struct {
	PID      int    `json:"pid"`
	Address  string `json:"address"`             // of the account
	Status   string `json:"status"`              // URL of its status page
	DeviceID uint64 `json:"device_id,omitempty"` // storage
	Endpoint string `json:"endpoint,omitempty"`  // storage: where renters reach it
	S3       *s3Run `json:"s3,omitempty"`        // gateway
	// State is the status page, where a command asked for it.
	State json.RawMessage `json:"state,omitempty"`
}

// s3Run is how to reach the S3 gateway.
type s3Run struct {
	Endpoint  string `json:"endpoint"` // URL
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key,omitempty"`
	Region    string `json:"region"`
}

// public is r without what only its file may hold.
func (r running) public() running {
	if r.S3 != nil {
		shown := *r.S3
		shown.SecretKey = ""
		r.S3 = &shown
	}
	return r
}

// announce writes r to home/run/name and, if set, to readyFile. The returned function removes
// what is in the home again.
func announce(home config.Home, name, readyFile string, r running) (withdraw func(), err error) {
	r.PID = os.Getpid()
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding what runs: %w", err)
	}
	body = append(body, '\n')
	path := home.Path("run", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making directory for what runs: %w", err)
	}
	if err := atomicfile.Write(path, body, atomicfile.Private); err != nil {
		return nil, err
	}
	if readyFile != "" {
		if err := atomicfile.Write(readyFile, body, atomicfile.Private); err != nil {
			return nil, fmt.Errorf("writing ready file: %w", err)
		}
	}
	return func() { _ = os.Remove(path) }, nil // a file left over is noticed by its readers
}

// readRunning is the daemon of this home that answers now, or nil.
func readRunning(ctx context.Context, home config.Home, name string) *running {
	body, err := os.ReadFile(home.Path("run", name))
	var r running
	if err != nil || json.Unmarshal(body, &r) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Status, nil)
	if err != nil {
		return nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil // left over from a run that was killed
	}
	defer response.Body.Close()
	state, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode == http.StatusOK && json.Valid(state) {
		r.State = state
	}
	r = r.public()
	return &r
}

// localGateway is how to reach the gateway of this home; its S3 is there.
func localGateway(home config.Home) (running, error) {
	path := home.Path("run", gatewayRun)
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return running{}, cli.Hint(fmt.Errorf("no gateway of %s is running", home), "start one in another terminal: cairn gateway s3")
	}
	if err != nil {
		return running{}, fmt.Errorf("looking for the gateway: %w", err)
	}
	var r running
	if err := json.Unmarshal(body, &r); err != nil || r.S3 == nil {
		return running{}, fmt.Errorf("looking for the gateway: %s is damaged; start the gateway again", path)
	}
	return r, nil
}
