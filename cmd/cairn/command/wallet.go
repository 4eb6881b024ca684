package command

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/address"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/cli"
)

type writer = io.Writer

// personPatience is how long a command waits for a node that does not answer.
const personPatience = 3 * time.Second

// identity is how the JSON of several commands names an account.
type identity struct {
	Address string `json:"address"`
	Hex     string `json:"hex"`
	Words   string `json:"words,omitempty"`
}

func (s *session) wallet() *cobra.Command {
	c := &cobra.Command{Use: "wallet", Short: "Your account: create, import, show, balance, send"}
	c.AddCommand(s.walletCreate(), s.walletImport(), s.walletShow(), s.walletBalance(), s.walletSend())
	return c
}

func (s *session) walletCreate() *cobra.Command {
	var encrypt, words bool
	c := &cobra.Command{
		Use: "create", Short: "Draw a new wallet", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			m, err := wallet.NewMnemonic(rand.Reader)
			if err != nil {
				return err
			}
			return s.keep(m, encrypt, words)
		},
	}
	c.Flags().BoolVar(&encrypt, "encrypt", false, "encrypt the file with a passphrase ($"+passphraseVariable+", or asked for)")
	c.Flags().BoolVar(&words, "words", false, "show the 24 words, to be written down")
	return c
}

func (s *session) walletImport() *cobra.Command {
	var encrypt bool
	c := &cobra.Command{
		Use: "import", Short: "Bring a wallet by its words, read from standard input", Args: cobra.NoArgs,
		Long: `Reads the 12 to 24 words of a BIP-39 mnemonic from standard input (never from the command
line, which others on this machine can see). The account is m/44'/60'/0'/0/0, the first one of
MetaMask and Keplr.`,
		RunE: func(*cobra.Command, []string) error {
			var m string
			if s.Interactive {
				var err error
				if m, err = s.Secret("Words"); err != nil {
					return err
				}
			} else {
				b, err := io.ReadAll(io.LimitReader(s.In, 4096))
				if err != nil {
					return fmt.Errorf("reading words: %w", err)
				}
				m = string(b)
			}
			return s.keep(m, encrypt, false)
		},
	}
	c.Flags().BoolVar(&encrypt, "encrypt", false, "encrypt the file with a passphrase ($"+passphraseVariable+", or asked for)")
	return c
}

// keep writes a new wallet and shows its address.
func (s *session) keep(mnemonic string, encrypt, words bool) error {
	home, err := s.home()
	if err != nil {
		return err
	}
	account, err := wallet.FromMnemonic(mnemonic)
	if err != nil {
		return err
	}
	passphrase := ""
	if encrypt {
		if passphrase, err = s.newPassphrase(); err != nil {
			return err
		}
	}
	path := home.Path("wallet")
	err = wallet.Create(path, mnemonic, passphrase)
	if errors.Is(err, fs.ErrExist) {
		return cli.Hint(fmt.Errorf("there is a wallet in %s already, and it is not replaced", home),
			"use it (cairn wallet show), or keep another elsewhere with --home")
	}
	if err != nil {
		return err
	}
	result := identity{Address: account.Address(), Hex: account.Hex()}
	if words {
		result.Words = mnemonic
	}
	return s.Show(result, func(w writer) {
		fmt.Fprintf(w, "address  %s\n         %s\nkept in  %s\n", result.Address, result.Hex, path)
		if words {
			fmt.Fprintf(w, "words    %s\n", result.Words)
		} else {
			fmt.Fprintln(w, "\nWhoever has its words has the account, and without them it cannot be brought back.\nWrite them down: cairn wallet show --words")
		}
	})
}

func (s *session) newPassphrase() (string, error) {
	if p := os.Getenv(passphraseVariable); p != "" {
		return p, nil
	}
	if !s.Interactive {
		return "", cli.Hint(errors.New("no passphrase to encrypt the wallet with"), "set %s, or run in a terminal to be asked", passphraseVariable)
	}
	p, err := s.Secret("New passphrase")
	if err != nil {
		return "", err
	}
	again, err := s.Secret("Once more")
	if err != nil {
		return "", err
	}
	if p == "" || p != again {
		return "", errors.New("the two passphrases are empty or differ; nothing was written")
	}
	return p, nil
}

func (s *session) walletShow() *cobra.Command {
	var words bool
	c := &cobra.Command{
		Use: "show", Short: "Show your address, and on request your words", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			home, err := s.home()
			if err != nil {
				return err
			}
			m, err := s.words(home)
			if err != nil {
				return err
			}
			account, err := wallet.FromMnemonic(m)
			if err != nil {
				return err
			}
			result := identity{Address: account.Address(), Hex: account.Hex()}
			if words {
				result.Words = m
			}
			return s.Show(result, func(w writer) {
				fmt.Fprintf(w, "address  %s\n         %s\n", result.Address, result.Hex)
				if words {
					fmt.Fprintf(w, "words    %s\n", result.Words)
				}
			})
		},
	}
	c.Flags().BoolVar(&words, "words", false, "show the words: whoever sees them has the account")
	return c
}

func (s *session) walletBalance() *cobra.Command {
	return &cobra.Command{
		Use: "balance [ADDRESS]", Short: "Show what an account holds, yours unless named", Args: cobra.MaximumNArgs(1), ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			home, err := s.home()
			if err != nil {
				return err
			}
			var whose string
			if len(args) == 1 {
				if whose, err = parseAddress(args[0]); err != nil {
					return err
				}
			} else {
				account, err := s.account(home)
				if err != nil {
					return err
				}
				whose = account.Address()
			}
			chain, err := s.chain(home, nil)
			if err != nil {
				return err
			}
			defer chain.Close()
			balance, err := chain.Balance(c.Context(), whose)
			if err != nil {
				return s.explain(err)
			}
			return s.Show(map[string]any{"address": whose, "acairn": balance, "balance": balance.Format()}, func(w writer) {
				fmt.Fprintln(w, balance.Format())
			})
		},
	}
}

func (s *session) walletSend() *cobra.Command {
	return &cobra.Command{
		Use: "send ADDRESS AMOUNT", Short: "Send CAIRN to an address", Example: "  cairn wallet send cairn1... 1.5CAIRN",
		Args: cobra.ExactArgs(2), ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			to, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			amount, err := price.Parse(args[1])
			if err != nil {
				return cli.Hint(err, "write amounts as 1.5CAIRN or 15acairn")
			}
			if amount.IsZero() {
				return errors.New("amount is zero: nothing to send")
			}
			home, err := s.home()
			if err != nil {
				return err
			}
			account, err := s.account(home)
			if err != nil {
				return err
			}
			chain, err := s.chain(home, account)
			if err != nil {
				return err
			}
			defer chain.Close()
			result, err := chain.BankSend(c.Context(), to, amount)
			if err != nil {
				return s.explain(err)
			}
			return s.Show(map[string]any{"transaction": result.Hash, "height": result.Height, "to": to, "acairn": amount}, func(w writer) {
				fmt.Fprintf(w, "sent %s to %s in block %d\n", amount.Format(), to, result.Height)
			})
		},
	}
}

// typed is an amount as it is typed, one word.
func typed(a price.Amount) string { return strings.ReplaceAll(a.Format(), " ", "") }

// about is an amount for a line that people glance at: no more than six decimals, or as many as show
// three digits. What it leaves away is rounded down.
func about(a price.Amount) string {
	number, unit, _ := strings.Cut(a.Format(), " ")
	whole, fraction, _ := strings.Cut(number, ".")
	keep := 6
	if whole == "0" {
		zeros := len(fraction) - len(strings.TrimLeft(fraction, "0"))
		keep = max(keep, zeros+3)
	}
	fraction = strings.TrimRight(fraction[:min(keep, len(fraction))], "0")
	if fraction != "" {
		whole += "." + fraction
	}
	return whole + " " + unit
}

// parseAddress takes both spellings and returns cairn1...
func parseAddress(text string) (string, error) {
	a, err := address.Parse(strings.TrimSpace(text))
	if err != nil {
		return "", cli.Hint(fmt.Errorf("address %q: %w", text, err), "addresses begin with cairn1 or 0x")
	}
	return address.Bech32(a), nil
}
