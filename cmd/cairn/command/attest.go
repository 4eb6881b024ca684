package command

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/attest"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/tpm"
)

// attestFlags say where evidence about a device comes from.
type attestFlags struct {
	tpm, label, chain, root, activations string
	domain, certificate, key             string
}

func (s *session) deviceAttest() *cobra.Command {
	var f attestFlags
	c := &cobra.Command{
		Use: "attest ID", Short: "Raise a device's trust tier by evidence", Args: cobra.ExactArgs(1), ValidArgsFunction: completeNothing,
		Long: `Makes evidence over the chain's latest beacon and brings it. Tier 1, by a domain's certificate:

  cairn device attest 7 --domain node.example.org --certificate fullchain.pem --key privkey.pem --root HASH

Tier 2, by a TPM 2.0 in which the device key lives:

  cairn device attest 7 --tpm /dev/tpmrm0 --chain ak.pem --root HASH

--root is the fingerprint of a root that the chain trusts (cairnd query device trust). Evidence ends
by itself: run this again before it does.`,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := deviceID(args[0])
			if err != nil {
				return err
			}
			chain, err := s.asked(true)
			if err != nil {
				return err
			}
			defer chain.Close()
			msg := &devicev1.MsgAttest{Device: id}
			var statement []byte
			if msg.Epoch, statement, err = chain.Challenge(c.Context(), id); err != nil {
				return s.explainDevice(err)
			}
			switch {
			case f.tpm != "":
				params, err := chain.DeviceParams(c.Context())
				if err != nil {
					return s.explain(err)
				}
				msg.Tpm, err = f.byTPM(statement, params.Attestation.PcrMask)
				if err != nil {
					return err
				}
			case f.domain != "":
				if msg.Tls, err = f.byTLS(statement); err != nil {
					return err
				}
			default:
				return cli.Hint(errors.New("no evidence named"), "give --tpm or --domain; see: cairn device attest --help")
			}
			r, err := chain.Attest(c.Context(), msg)
			if err != nil {
				return s.explainAttest(err)
			}
			return s.Show(map[string]any{"device": id, "tier": r.Tier, "expires_at": r.ExpiresAt}, func(w writer) {
				fmt.Fprintf(w, "device %d is attested for tier %d until %s\n", id, r.Tier, date(r.ExpiresAt))
			})
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.tpm, "tpm", "", "TPM 2.0: device file or emulator's Unix socket")
	flags.StringVar(&f.label, "label", "1", "which device key of the TPM")
	flags.StringVar(&f.chain, "chain", "", "PEM certificates of the TPM's key, leaf first; without it, the one in the TPM")
	flags.StringVar(&f.activations, "activations", "", "JSON file of attesters' activations, for a TPM whose certified key does not sign")
	flags.StringVar(&f.root, "root", "", "fingerprint of the trusted root that issued the last certificate")
	flags.StringVar(&f.domain, "domain", "", "domain that vouches for the device")
	flags.StringVar(&f.certificate, "certificate", "", "PEM certificates of the domain, leaf first")
	flags.StringVar(&f.key, "key", "", "PEM private key of the domain's certificate")
	c.MarkFlagsMutuallyExclusive("tpm", "domain")
	return c
}

// explainAttest adds what a person can do about refused evidence.
func (s *session) explainAttest(err error) error {
	switch {
	case errors.Is(err, chainclient.ErrUntrusted):
		return cli.Hint(err, "cairnd query device trust lists what is trusted; a vote adds to it (cairn gov propose message)")
	case errors.Is(err, chainclient.ErrStale):
		return cli.Hint(err, "run it again: the beacon has moved on")
	default:
		return s.explainDevice(err)
	}
}

// fingerprint reads the root's name.
func (f attestFlags) fingerprint() ([]byte, error) {
	b, err := hex.DecodeString(f.root)
	if err != nil || len(b) != sha256.Size {
		return nil, cli.Hint(fmt.Errorf("--root %q: want 64 hexadecimal digits", f.root), "cairnd query device trust lists the roots")
	}
	return b, nil
}

// byTLS has the key of a domain's certificate sign the statement.
func (f attestFlags) byTLS(statement []byte) (*devicev1.TLSEvidence, error) {
	root, err := f.fingerprint()
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of %s: %w", f.domain, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key of %s cannot sign", f.domain)
	}
	digest := sha256.Sum256(statement)
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing with the key of %s: %w", f.domain, err)
	}
	return &devicev1.TLSEvidence{Domain: f.domain, Chain: pair.Certificate, Root: root, Signature: signature}, nil
}

// byTPM has a TPM certify the device key and quote its PCRs.
func (f attestFlags) byTPM(statement []byte, pcrs uint32) (*devicev1.TPMEvidence, error) {
	root, err := f.fingerprint()
	if err != nil {
		return nil, err
	}
	chip, err := tpm.Open(f.tpm)
	if err != nil {
		return nil, err
	}
	defer chip.Close()
	e, err := chip.Gather(f.label, pcrs, sha256.Sum256(statement))
	if err != nil {
		return nil, err
	}
	evidence := &devicev1.TPMEvidence{
		AkPublic: e.AKPublic, DevicePublic: e.DevicePublic, Certify: e.Certify, CertifySignature: e.CertifySig,
		Quote: e.Quote, QuoteSignature: e.QuoteSig, Root: root,
	}
	if f.chain != "" {
		if evidence.Chain, err = certificates(f.chain); err != nil {
			return nil, err
		}
	} else {
		leaf, err := chip.EndorsementCertificate()
		if err != nil {
			return nil, cli.Hint(err, "give the certificates of the TPM's key with --chain")
		}
		evidence.Chain = [][]byte{leaf}
	}
	if f.activations != "" {
		raw, err := os.ReadFile(f.activations)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, &evidence.Activations); err != nil {
			return nil, fmt.Errorf("reading activations: %w", err)
		}
	}
	return evidence, nil
}

// certificates reads all certificates of a PEM file, DER.
func certificates(path string) ([][]byte, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var chain [][]byte
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			chain = append(chain, slices.Clone(block.Bytes))
		}
	}
	if len(chain) == 0 || len(chain) > attest.MaxChain {
		return nil, fmt.Errorf("%s holds %d certificates: want 1 to %d", path, len(chain), attest.MaxChain)
	}
	return chain, nil
}

// deviceTPMKey shows the key that a TPM holds for a device, to be registered.
func (s *session) deviceTPMKey() *cobra.Command {
	var path, label string
	c := &cobra.Command{
		Use: "tpm-key", Short: "Show the device key that a TPM makes, and its endorsement certificate", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			chip, err := tpm.Open(path)
			if err != nil {
				return err
			}
			defer chip.Close()
			key, err := chip.DeviceKey(label)
			if err != nil {
				return err
			}
			defer key.Close()
			result := struct {
				Key         string `json:"key"`
				Certificate []byte `json:"endorsement_certificate,omitempty"`
			}{Key: hex.EncodeToString(key.Compressed())}
			if result.Certificate, err = chip.EndorsementCertificate(); err != nil {
				s.Note("no endorsement certificate in this TPM: %v", err)
			}
			return s.Show(result, func(w writer) { fmt.Fprintf(w, "key  %s (P-256)\n", result.Key) })
		},
	}
	c.Flags().StringVar(&path, "tpm", "/dev/tpmrm0", "TPM 2.0: device file or emulator's Unix socket")
	c.Flags().StringVar(&label, "label", "1", "which device key of the TPM")
	return c
}
