package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/price"
)

// ErrNotRunning means that no network serves from the home.
var ErrNotRunning = errors.New("no network runs there")

// Fund sends money from the faucet account of the network that runs in home, and returns when it
// has arrived: how a new account gets its first CAIRN where there is no market to buy it. to is a
// cairn1... address.
func Fund(ctx context.Context, home, to string, amount price.Amount) error {
	data, err := os.ReadFile(filepath.Join(home, readyName))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", home, ErrNotRunning)
	}
	if err != nil {
		return fmt.Errorf("reading the ready file: %w", err)
	}
	var r Ready
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("reading the ready file: %w", err)
	}
	faucet, err := wallet.FromMnemonic(state{Accounts: r.Accounts}.account(faucetName).Mnemonic)
	if err != nil {
		return fmt.Errorf("opening the faucet's account: %w", err)
	}
	client, err := chainclient.New(chainclient.Config{Endpoint: r.GRPC, Account: faucet})
	if err != nil {
		return fmt.Errorf("reaching the chain at %s: %w", r.GRPC, err)
	}
	defer client.Close()
	_, err = client.BankSend(ctx, to, amount)
	return err
}
