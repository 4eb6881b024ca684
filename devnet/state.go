package devnet

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/internal/atomicfile"
)

// chainID is the same for every devnet: they never meet.
const chainID = "cairn-devnet-1"

// state is what the first start decides and every later start keeps.
type state struct {
	ChainID    string    `json:"chain_id"`
	Validators int       `json:"validators"`
	Storage    int       `json:"storage"`
	Reporters  int       `json:"reporters"`
	Accounts   []Account `json:"accounts"`
}

// Names of accounts that are not numbered.
const (
	renterName = "renter"
	faucetName = "faucet"
)

func validatorName(i int) string { return fmt.Sprintf("validator-%d", i) }
func providerName(i int) string  { return fmt.Sprintf("provider-%d", i) }

func (s state) account(name string) Account {
	for _, a := range s.Accounts {
		if a.Name == name {
			return a
		}
	}
	return Account{}
}

// loadState reads the state of a home, or makes one.
func loadState(c Config) (s state, fresh bool, err error) {
	path := filepath.Join(c.Home, "state.json")
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &s); err != nil {
			return state{}, false, fmt.Errorf("reading %s (--reset starts over): %w", path, err)
		}
		if s.Validators != c.Validators || s.Storage != c.Storage || s.Reporters != c.Reporters {
			return state{}, false, fmt.Errorf("%s holds a network of %d validators, %d storage nodes and %d reporters, asked for were %d, %d and %d: give the same, another --home, or --reset",
				c.Home, s.Validators, s.Storage, s.Reporters, c.Validators, c.Storage, c.Reporters)
		}
		return s, false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return state{}, false, fmt.Errorf("reading the state of the network: %w", err)
	}

	s = state{ChainID: chainID, Validators: c.Validators, Storage: c.Storage, Reporters: c.Reporters}
	var names []string
	for i := range c.Validators {
		names = append(names, validatorName(i))
	}
	for i := range c.Storage {
		names = append(names, providerName(i))
	}
	for i := range c.Reporters {
		names = append(names, reporterName(i))
	}
	for _, name := range append(names, watcherName, renterName, faucetName, "alice", "bob") {
		words, err := wallet.NewMnemonic(rand.Reader)
		if err != nil {
			return state{}, false, fmt.Errorf("making the account %s: %w", name, err)
		}
		account, err := wallet.FromMnemonic(words)
		if err != nil {
			return state{}, false, fmt.Errorf("making the account %s: %w", name, err)
		}
		s.Accounts = append(s.Accounts, Account{Name: name, Address: account.Address(), Hex: account.Hex(), Mnemonic: words})
	}
	return s, true, nil
}

// save makes a fresh state the home's; it comes last in the first set-up, so that a set-up cut
// short is begun again.
func (s state) save(home string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the state: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(home, "state.json"), data, atomicfile.Private); err != nil {
		return fmt.Errorf("saving the state: %w", err)
	}
	return nil
}
