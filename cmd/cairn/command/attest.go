package command

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/attestation"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/tpm"
)

// attestFlags say where evidence about a device comes from.
type attestFlags struct {
	tpm, label               string
	papers                   attestation.Files
	domain, certificate, key string
	maker, deviceKey         string
}

func (s *session) deviceAttest() *cobra.Command {
	var f attestFlags
	c := &cobra.Command{
		Use: "attest ID", Short: "Raise a device's trust tier by evidence", Args: cobra.ExactArgs(1), ValidArgsFunction: completeNothing,
		Long: `Makes evidence over the chain's latest beacon and brings it. Tier 1, by a domain's certificate:

  cairn device attest 7 --domain node.example.org --certificate fullchain.pem --key privkey.pem --root HASH

or by its manufacturer's word (cairn device vouch maker):

  cairn device attest 7 --maker word.json --device-key ~/.cairn/storage/device.key

Tier 2, by a TPM 2.0 in which the device key lives (a storage node with --tpm-root does this by itself):

  cairn device attest 7 --tpm /dev/tpmrm0 --chain ak.pem --root HASH
  cairn device attest 7 --tpm /dev/tpmrm0 --root HASH --activation first.json --activation second.json

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
			r, err := f.attest(c.Context(), chain, id)
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
	flags.StringVar(&f.papers.Chain, "chain", "", "PEM certificates of the TPM's key, leaf first; without it, the one in the TPM")
	flags.StringSliceVar(&f.papers.Activations, "activation", nil, "JSON file of an attester's word, for a TPM whose certified key does not sign; once for each attester")
	flags.StringVar(&f.maker, "maker", "", "JSON file of the manufacturer's word")
	flags.StringVar(&f.deviceKey, "device-key", "", "file of the device key, for --maker where no TPM holds it")
	flags.StringVar(&f.papers.Root, "root", "", "fingerprint of the trusted root that issued the last certificate")
	flags.StringVar(&f.domain, "domain", "", "domain that vouches for the device")
	flags.StringVar(&f.certificate, "certificate", "", "PEM certificates of the domain, leaf first")
	flags.StringVar(&f.key, "key", "", "PEM private key of the domain's certificate")
	c.MarkFlagsMutuallyExclusive("tpm", "domain")
	c.MarkFlagsMutuallyExclusive("maker", "domain")
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

// attest makes the evidence that the flags name and brings it.
func (f attestFlags) attest(ctx context.Context, chain *chainclient.Client, id uint64) (devicev1.MsgAttestResponse, error) {
	var none devicev1.MsgAttestResponse
	if f.tpm != "" && f.maker == "" {
		papers, err := f.papers.Read()
		if err != nil {
			return none, err
		}
		chip, err := tpm.OpenSigner(f.tpm, f.label)
		if err != nil {
			return none, err
		}
		defer chip.Close()
		return attestation.ByTPM(ctx, chain, chip, id, papers)
	}
	msg := &devicev1.MsgAttest{Device: id}
	var statement []byte
	var err error
	if msg.Epoch, statement, err = chain.Challenge(ctx, id); err != nil {
		return none, err
	}
	switch {
	case f.maker != "":
		msg.Manufacturer, err = f.byMaker(statement)
	case f.domain != "":
		msg.Tls, err = f.byTLS(statement)
	default:
		err = cli.Hint(errors.New("no evidence named"), "give --tpm, --domain or --maker; see: cairn device attest --help")
	}
	if err != nil {
		return none, err
	}
	return chain.Attest(ctx, msg)
}

// byMaker has the device key sign the statement, beside its manufacturer's word.
func (f attestFlags) byMaker(statement []byte) (*devicev1.ManufacturerEvidence, error) {
	raw, err := os.ReadFile(f.maker)
	if err != nil {
		return nil, fmt.Errorf("reading the manufacturer's word: %w", err)
	}
	evidence := &devicev1.ManufacturerEvidence{}
	if err := json.Unmarshal(raw, evidence); err != nil {
		return nil, fmt.Errorf("reading the manufacturer's word from %s: %w", f.maker, err)
	}
	var key crypto.Signer
	if f.tpm != "" {
		chip, err := tpm.OpenSigner(f.tpm, f.label)
		if err != nil {
			return nil, err
		}
		defer chip.Close()
		key = chip
	} else if f.deviceKey == "" {
		return nil, cli.Hint(errors.New("the device key has to sign, too"), "say where it is: --device-key FILE, or --tpm")
	} else if key, err = wallet.DeviceKey(f.deviceKey); err != nil {
		return nil, err
	}
	evidence.DeviceSignature, err = device.Sign(rand.Reader, key, statement)
	return evidence, err
}

// byTLS has the key of a domain's certificate sign the statement.
func (f attestFlags) byTLS(statement []byte) (*devicev1.TLSEvidence, error) {
	papers, err := attestation.Files{Root: f.papers.Root}.Read()
	if err != nil {
		return nil, cli.Hint(err, "cairnd query device trust lists the roots")
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
	return &devicev1.TLSEvidence{Domain: f.domain, Chain: pair.Certificate, Root: papers.Root, Signature: signature}, nil
}

// tpmKey is what a TPM says of itself: the device key to be registered, and what attesters ask for.
type tpmKey struct {
	Key            string `json:"key"`
	AttestationKey []byte `json:"attestation_key"`
	Certificate    []byte `json:"endorsement_certificate,omitempty"`
}

// tpmFlags say which key of which TPM.
type tpmFlags struct{ path, label string }

func (f *tpmFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.path, "tpm", "/dev/tpmrm0", "TPM 2.0: device file or emulator's Unix socket")
	c.Flags().StringVar(&f.label, "label", "1", "which device key of the TPM")
}

// deviceTPMKey shows the key that a TPM holds for a device.
func (s *session) deviceTPMKey() *cobra.Command {
	var f tpmFlags
	c := &cobra.Command{
		Use: "tpm-key", Short: "Show the device key that a TPM makes, and what attesters ask for", Args: cobra.NoArgs,
		Long: `Shows the device key of a TPM, its attestation key, and the endorsement certificate that its maker put
into it. As JSON it is what an attester asks for: cairn device tpm-key --json > request.json`,
		RunE: func(*cobra.Command, []string) error {
			chip, err := tpm.OpenSigner(f.path, f.label)
			if err != nil {
				return err
			}
			defer chip.Close()
			_, key, err := device.PublicKey(chip.Public())
			if err != nil {
				return err
			}
			result := tpmKey{Key: hex.EncodeToString(key)}
			if result.AttestationKey, err = chip.AttestationKey(); err != nil {
				return err
			}
			if result.Certificate, err = chip.EndorsementCertificate(); err != nil {
				s.Note("no endorsement certificate in this TPM: %v", err)
			}
			return s.Show(result, func(w writer) { fmt.Fprintf(w, "key  %s (P-256)\n", result.Key) })
		},
	}
	f.add(c)
	return c
}

// activationAnswer is what a TPM gives back to an attester.
type activationAnswer struct {
	AttestationKey []byte `json:"attestation_key"`
	Answer         []byte `json:"answer"`
}

// deviceActivate has a TPM read an attester's secret.
func (s *session) deviceActivate() *cobra.Command {
	var f tpmFlags
	c := &cobra.Command{
		Use: "activate CHALLENGE", Short: "Have a TPM read the secret of an attester", Args: cobra.ExactArgs(1),
		Long: `Reads the challenge that an attester sent (cairn device vouch challenge) and gives the answer to send back.
Only the TPM whose certificate the attester was given can read it, and only if the attestation key
lives beside it.`,
		Example: "  cairn device activate challenge.json --json > answer.json",
		RunE: func(_ *cobra.Command, args []string) error {
			var challenge tpm.Activation
			if err := readJSON(args[0], &challenge); err != nil {
				return err
			}
			chip, err := tpm.OpenSigner(f.path, f.label)
			if err != nil {
				return err
			}
			defer chip.Close()
			var result activationAnswer
			if result.Answer, err = chip.Activate(challenge); err != nil {
				return err
			}
			if result.AttestationKey, err = chip.AttestationKey(); err != nil {
				return err
			}
			return s.Show(result, func(w writer) { fmt.Fprintf(w, "answer  %x\n", result.Answer) })
		},
	}
	f.add(c)
	return c
}

// readJSON reads a file into a value.
func readJSON(path string, to any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
