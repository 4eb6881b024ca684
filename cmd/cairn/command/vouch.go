package command

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/attest"
	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/internal/atomicfile"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/tpm"
)

// voucher is one who vouches for devices of others: a manufacturer, an attester or an issuer of
// credentials. Its key is in a file, and never on the chain's accounts.
type voucher struct {
	key  string
	days int
}

func (v *voucher) add(c *cobra.Command, days int) {
	c.Flags().StringVar(&v.key, "key", "vouch.key", "file of the key to sign with; made if there is none")
	if days > 0 {
		c.Flags().IntVar(&v.days, "days", days, "for how many days the word stands")
	}
}

// open reads the key.
func (v *voucher) open() (ed25519.PrivateKey, attest.Key, error) {
	key, err := wallet.DeviceKey(v.key)
	if err != nil {
		return nil, attest.Key{}, err
	}
	return key, attest.Key{Type: device.Ed25519, Bytes: key.Public().(ed25519.PublicKey)}, nil
}

// expiry of a word that is given now.
func (v *voucher) expiry() (int64, error) {
	if v.days < 1 {
		return 0, fmt.Errorf("--days %d: want 1 or more", v.days)
	}
	return time.Now().AddDate(0, 0, v.days).Unix(), nil
}

// chainID asks the chain for its id, which every word is bound to.
func (s *session) chainID(ctx context.Context) (string, error) {
	chain, err := s.asked(false)
	if err != nil {
		return "", err
	}
	defer chain.Close()
	id, err := chain.ChainID(ctx)
	return id, s.explain(err)
}

func (s *session) deviceVouch() *cobra.Command {
	c := &cobra.Command{
		Use: "vouch", Short: "For manufacturers, attesters and issuers: vouch for devices of others",
		Long: `Whoever vouches has a key of its own that governance trusts for one use:

  cairn device vouch key --use attester --name "Cairn Labs"      # prints the message to be voted on

  manufacturer   signs the keys of devices that it made          cairn device vouch maker KEY
  attester       checks that a TPM holds its attestation key     cairn device vouch challenge, activation
  issuer         signs credentials: licences, calibrations       cairn device vouch credential

and takes its word back with: cairn device vouch revoke ANCHOR`,
	}
	c.AddCommand(s.vouchKey(), s.vouchMaker(), s.vouchChallenge(), s.vouchActivation(), s.vouchCredential(), s.vouchRevoke())
	return c
}

// uses are what a key that vouches may be trusted for.
var uses = map[string]devicev1.TrustUse{
	"manufacturer": devicev1.TrustUse_TRUST_USE_MANUFACTURER,
	"attester":     devicev1.TrustUse_TRUST_USE_ATTESTER,
	"issuer":       devicev1.TrustUse_TRUST_USE_ISSUER,
}

func parseUse(name string) (devicev1.TrustUse, error) {
	use, known := uses[name]
	if !known {
		return 0, cli.Hint(fmt.Errorf("--use %q", name), "want manufacturer, attester or issuer")
	}
	return use, nil
}

// vouchKey makes a key and prints the message by which governance comes to trust it.
func (s *session) vouchKey() *cobra.Command {
	var v voucher
	var useName, name string
	var kinds []string
	c := &cobra.Command{
		Use: "key", Short: "Make or show a key that vouches, and the message that has it trusted", Args: cobra.NoArgs,
		Example: "  cairn device vouch key --use issuer --name TÜV --kind calibration > trust.json\n  cairn gov propose message trust.json",
		RunE: func(*cobra.Command, []string) error {
			use, err := parseUse(useName)
			if err != nil {
				return err
			}
			if (len(kinds) > 0) != (useName == "issuer") {
				return errors.New("--kind says which credentials an issuer may sign: issuers need it, others have none")
			}
			_, key, err := v.open()
			if err != nil {
				return err
			}
			anchor := map[string]any{
				"use": use.String(), "name": name, "key": map[string]any{"type": devicev1.KeyType_KEY_TYPE_ED25519.String(), "key": key.Bytes},
			}
			if len(kinds) > 0 {
				anchor["kinds"] = kinds
			}
			message, err := json.MarshalIndent(map[string]any{"@type": "/cairn.device.v1.MsgUpdateTrust", "add": []any{anchor}}, "", "  ")
			if err != nil {
				return fmt.Errorf("writing the message: %w", err)
			}
			fingerprint := key.Fingerprint()
			s.Note("fingerprint %x", fingerprint)
			_, err = fmt.Fprintf(s.Out, "%s\n", message)
			return err
		},
	}
	v.add(c, 0)
	c.Flags().StringVar(&useName, "use", "", "manufacturer, attester or issuer")
	c.Flags().StringVar(&name, "name", "", "who you are, for people")
	c.Flags().StringSliceVar(&kinds, "kind", nil, "kinds of credential, for an issuer")
	return c
}

// keyOf reads a device key as device show and tpm-key print it.
func keyOf(text string) (attest.Key, error) {
	raw, err := hex.DecodeString(text)
	key := attest.Key{Type: device.TypeOf(raw), Bytes: raw}
	if err != nil || key.Type == 0 {
		return key, fmt.Errorf("device key %q: want 64 (Ed25519) or 66 (P-256) hexadecimal digits", text)
	}
	return key, nil
}

// vouchMaker signs a device key that the manufacturer made.
func (s *session) vouchMaker() *cobra.Command {
	var v voucher
	c := &cobra.Command{
		Use: "maker KEY", Short: "As a manufacturer, vouch for the key of a device that you made", Args: cobra.ExactArgs(1),
		Example: "  cairn device vouch maker 02a1b2... --key maker.key > word.json",
		RunE: func(c *cobra.Command, args []string) error {
			key, err := keyOf(args[0])
			if err != nil {
				return err
			}
			signer, maker, err := v.open()
			if err != nil {
				return err
			}
			expiry, err := v.expiry()
			if err != nil {
				return err
			}
			chainID, err := s.chainID(c.Context())
			if err != nil {
				return err
			}
			f := maker.Fingerprint()
			return s.word(devicev1.ManufacturerEvidence{
				Manufacturer: f[:], Expiry: expiry, Signature: ed25519.Sign(signer, attest.ManufacturerBytes(chainID, key, expiry)),
			})
		},
	}
	v.add(c, 3650)
	return c
}

// word prints what was signed, for a file.
func (s *session) word(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the word: %w", err)
	}
	_, err = fmt.Fprintf(s.Out, "%s\n", b)
	return err
}

// asked is what an attester keeps of a challenge until it is answered.
type askedTPM struct {
	AttestationKey []byte `json:"attestation_key"`
	Certificate    []byte `json:"endorsement_certificate"`
	Secret         []byte `json:"secret"`
}

// secretFile is where an attester keeps what it asked of an attestation key.
func secretFile(dir string, attestationKey []byte) string {
	return filepath.Join(dir, fmt.Sprintf("%x.json", sha256.Sum256(attestationKey)))
}

// vouchChallenge draws a secret for a TPM.
func (s *session) vouchChallenge() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "challenge REQUEST", Short: "As an attester, ask a TPM for a secret that only it can read", Args: cobra.ExactArgs(1),
		Long: `Reads a request (cairn device tpm-key --json), draws a secret, keeps it, and prints it encrypted to the TPM's
endorsement key. Whether the endorsement certificate is to be trusted is the chain's to say; look at
whom it is from all the same.`,
		Example: "  cairn device vouch challenge request.json > challenge.json",
		RunE: func(_ *cobra.Command, args []string) error {
			var request tpmKey
			if err := readJSON(args[0], &request); err != nil {
				return err
			}
			challenge, secret, err := tpm.Challenge(rand.Reader, request.Certificate, request.AttestationKey)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return fmt.Errorf("making the directory of secrets: %w", err)
			}
			b, err := json.Marshal(askedTPM{request.AttestationKey, request.Certificate, secret})
			if err != nil {
				return fmt.Errorf("keeping the secret: %w", err)
			}
			if err := atomicfile.Write(secretFile(dir, request.AttestationKey), b, atomicfile.Private); err != nil {
				return fmt.Errorf("keeping the secret: %w", err)
			}
			return s.word(challenge)
		},
	}
	c.Flags().StringVar(&dir, "secrets", "secrets", "directory for what was asked and is not answered yet")
	return c
}

// vouchActivation signs once a TPM gave back its secret.
func (s *session) vouchActivation() *cobra.Command {
	var v voucher
	var dir string
	c := &cobra.Command{
		Use: "activation ANSWER", Short: "As an attester, check a TPM's answer and vouch for its attestation key", Args: cobra.ExactArgs(1),
		Example: "  cairn device vouch activation answer.json --key attester.key > activation.json",
		RunE: func(c *cobra.Command, args []string) error {
			var answer activationAnswer
			if err := readJSON(args[0], &answer); err != nil {
				return err
			}
			file := secretFile(dir, answer.AttestationKey)
			var asked askedTPM
			if err := readJSON(file, &asked); errors.Is(err, os.ErrNotExist) {
				return cli.Hint(errors.New("this TPM was not asked, or has been answered for"), "begin with: cairn device vouch challenge")
			} else if err != nil {
				return err
			}
			if !tpm.Matches(asked.Secret, answer.Answer) {
				return errors.New("the answer is not the secret: the TPM does not hold both keys")
			}
			certificate, err := attest.ParseCertificate(asked.Certificate)
			if err != nil {
				return err
			}
			name, err := attest.NameOf(asked.AttestationKey)
			if err != nil {
				return err
			}
			signer, attester, err := v.open()
			if err != nil {
				return err
			}
			expiry, err := v.expiry()
			if err != nil {
				return err
			}
			chainID, err := s.chainID(c.Context())
			if err != nil {
				return err
			}
			f := attester.Fingerprint()
			err = s.word(devicev1.Activation{
				Attester: f[:], Expiry: expiry, Signature: ed25519.Sign(signer, attest.ActivationBytes(chainID, certificate.Key, name, expiry)),
			})
			if err != nil {
				return err
			}
			return os.Remove(file) // a secret is good for one word
		},
	}
	v.add(c, 365)
	c.Flags().StringVar(&dir, "secrets", "secrets", "directory of what was asked")
	return c
}

// vouchCredential signs a credential.
func (s *session) vouchCredential() *cobra.Command {
	var v voucher
	var id uint64
	var kind, document string
	c := &cobra.Command{
		Use: "credential OWNER", Short: "As an issuer, vouch for an owner's devices by a document", Args: cobra.ExactArgs(1),
		Long:    `Signs the hash of a document; the document itself stays with the owner, who presents the credential.`,
		Example: "  cairn device vouch credential cairn1... --kind calibration --document certificate.pdf --key issuer.key > credential.json",
		RunE: func(c *cobra.Command, args []string) error {
			owner, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			raw, err := os.ReadFile(document)
			if err != nil {
				return fmt.Errorf("reading the document: %w", err)
			}
			signer, issuer, err := v.open()
			if err != nil {
				return err
			}
			expiry, err := v.expiry()
			if err != nil {
				return err
			}
			chainID, err := s.chainID(c.Context())
			if err != nil {
				return err
			}
			hash, f := sha256.Sum256(raw), issuer.Fingerprint()
			return s.word(devicev1.MsgPresentCredential{
				Owner: owner, Device: id, Kind: kind, Issuer: f[:], Hash: hash[:], Expiry: expiry,
				Signature: ed25519.Sign(signer, attest.CredentialBytes(chainID, owner, id, kind, hash, expiry)),
			})
		},
	}
	v.add(c, 365)
	c.Flags().Uint64Var(&id, "device", 0, "one device, by number; all of the owner's when 0")
	c.Flags().StringVar(&kind, "kind", "", "kind of credential, such as calibration")
	c.Flags().StringVar(&document, "document", "", "file of the document")
	return c
}

// vouchRevoke takes a word back.
func (s *session) vouchRevoke() *cobra.Command {
	var v voucher
	var useName, reason string
	c := &cobra.Command{
		Use: "revoke ANCHOR", Short: "Take back your word about a key or document", Args: cobra.ExactArgs(1),
		Long: `ANCHOR is 64 hexadecimal digits: of a manufacturer, the fingerprint of the device key; of an attester, that of the
attestation key; of an issuer, the SHA-256 of the document. Attestations that rest on it end at once.`,
		RunE: func(c *cobra.Command, args []string) error {
			use, err := parseUse(useName)
			if err != nil {
				return err
			}
			raw, err := hex.DecodeString(args[0])
			if err != nil || len(raw) != sha256.Size {
				return fmt.Errorf("anchor %q: want 64 hexadecimal digits", args[0])
			}
			signer, key, err := v.open()
			if err != nil {
				return err
			}
			chain, err := s.asked(true)
			if err != nil {
				return err
			}
			defer chain.Close()
			chainID, err := chain.ChainID(c.Context())
			if err != nil {
				return s.explain(err)
			}
			f := key.Fingerprint()
			err = chain.Revoke(c.Context(), &devicev1.MsgRevoke{
				Anchor: raw, Reason: reason, By: devicev1.TrustRef{Use: use, Fingerprint: f[:]},
				Signature: ed25519.Sign(signer, attest.RevocationBytes(chainID, f, attest.Fingerprint(raw))),
			})
			if err != nil {
				return s.explainAttest(err)
			}
			return s.Show(map[string]string{"revoked": args[0]}, func(w writer) { fmt.Fprintln(w, "revoked") })
		},
	}
	v.add(c, 0)
	c.Flags().StringVar(&useName, "use", "", "what you are trusted as: manufacturer, attester or issuer")
	c.Flags().StringVar(&reason, "reason", "", "why, for people")
	return c
}

// deviceCredential presents a credential, or lists those of an owner.
func (s *session) deviceCredential() *cobra.Command {
	var owner string
	c := &cobra.Command{
		Use: "credential [FILE]", Short: "Present an issuer's credential, or list those that stand", Args: cobra.MaximumNArgs(1),
		Example: "  cairn device credential credential.json\n  cairn device credential --owner cairn1...",
		RunE: func(c *cobra.Command, args []string) error {
			chain, err := s.asked(len(args) == 1 || owner == "")
			if err != nil {
				return err
			}
			defer chain.Close()
			if len(args) == 1 {
				var m devicev1.MsgPresentCredential
				if err := readJSON(args[0], &m); err != nil {
					return err
				}
				if err := chain.PresentCredential(c.Context(), &m); err != nil {
					return s.explainAttest(err)
				}
				return s.Show(m, func(w writer) { fmt.Fprintf(w, "%s is presented, until %s\n", m.Kind, date(m.Expiry)) })
			}
			if owner == "" {
				owner = chain.Address()
			} else if owner, err = parseAddress(owner); err != nil {
				return err
			}
			all, err := chain.Credentials(c.Context(), owner)
			if err != nil {
				return s.explain(err)
			}
			return s.Show(all, func(w writer) {
				rows := make([][]string, len(all))
				for i, one := range all {
					rows[i] = []string{one.Kind, fmt.Sprint(one.Device), date(one.Expiry), fmt.Sprintf("%x", one.Issuer)[:12], fmt.Sprintf("%x", one.Hash)[:12]}
				}
				cli.Table(w, []string{"KIND", "DEVICE", "UNTIL", "ISSUER", "DOCUMENT"}, rows)
			})
		},
	}
	c.Flags().StringVar(&owner, "owner", "", "list another owner's")
	return c
}

// deviceAppeal asks for a ban to be looked at again.
func (s *session) deviceAppeal() *cobra.Command {
	var statement string
	var sure bool
	c := &cobra.Command{
		Use: "appeal ID", Short: "Ask governance to look again at the ban of a device, for a deposit", Args: cobra.ExactArgs(1),
		Long: `Puts up a deposit and the hash of a statement that voters are to read; publish the statement yourself. The
deposit comes back if the ban is lifted, or if nobody decides in time (cairn device reclaim ID).`,
		RunE: func(c *cobra.Command, args []string) error {
			raw, err := os.ReadFile(statement)
			if err != nil {
				return fmt.Errorf("reading the statement: %w", err)
			}
			var deadline int64
			return owning{
				question: func(ctx context.Context, chain *chainclient.Client, d devicev1.Device) (string, error) {
					p, err := chain.DeviceParams(ctx)
					if err != nil {
						return "", err
					}
					return fmt.Sprintf("Appeal for a deposit of %s, which is burned if the appeal is dismissed?", coin(p.AppealDeposit.Amount.BigInt(), p.AppealDeposit.Denom)), nil
				},
				act: func(ctx context.Context, chain *chainclient.Client, d devicev1.Device) error {
					deadline, err = chain.Appeal(ctx, d.Id, sha256.Sum256(raw))
					return err
				},
				done: func(devicev1.Device) string { return "appealed; to be decided by " + date(deadline) },
			}.run(c, s, args[0], sure)
		},
	}
	c.Flags().StringVar(&statement, "statement", "", "file of what you have to say")
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}

// deviceReclaim takes back the deposit of an appeal that nobody decided.
func (s *session) deviceReclaim() *cobra.Command {
	return &cobra.Command{
		Use: "reclaim ID", Short: "Take back the deposit of an appeal that nobody decided in time", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return owning{
				act: func(ctx context.Context, chain *chainclient.Client, d devicev1.Device) error {
					return chain.ReclaimAppeal(ctx, d.Id)
				},
				done: func(devicev1.Device) string { return "the deposit is back" },
			}.run(c, s, args[0], true)
		},
	}
}

// deviceRelocate says where a device is.
func (s *session) deviceRelocate() *cobra.Command {
	var cell, region string
	var elevation int32
	c := &cobra.Command{
		Use: "relocate ID", Short: "Say where a device is", Args: cobra.ExactArgs(1), Example: "  cairn device relocate 7 --region DE --cell 8c1fb46741ae9ff",
		RunE: func(c *cobra.Command, args []string) error {
			return owning{
				act: func(ctx context.Context, chain *chainclient.Client, d devicev1.Device) error {
					m := &devicev1.MsgRelocate{Id: d.Id, Cell: d.Cell, Elevation: d.Elevation, Region: d.Region}
					if c.Flags().Changed("cell") {
						if _, err := fmt.Sscanf(strings.TrimPrefix(cell, "0x"), "%x", &m.Cell); err != nil {
							return fmt.Errorf("--cell %q: want the hexadecimal digits of an H3 cell", cell)
						}
					}
					if c.Flags().Changed("region") {
						m.Region = region
					}
					if c.Flags().Changed("elevation") {
						m.Elevation = elevation
					}
					return chain.Relocate(ctx, m)
				},
				done: func(d devicev1.Device) string {
					return fmt.Sprintf("device %d is in %s, cell %x", d.Id, d.Region, d.Cell)
				},
			}.run(c, s, args[0], true)
		},
	}
	c.Flags().StringVar(&cell, "cell", "", "H3 cell of resolution 12, hexadecimal")
	c.Flags().StringVar(&region, "region", "", "country, two letters (ISO 3166-1)")
	c.Flags().Int32Var(&elevation, "elevation", 0, "metres above ground")
	return c
}
