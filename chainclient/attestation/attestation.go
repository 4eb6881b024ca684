// Package attestation raises a device's trust tier by its TPM and keeps it there: it asks the chain
// what evidence must be made over, has the chip make it, brings it, and does so again before it ends.
package attestation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/core/attest"
	"github.com/cairn-network/cairn/internal/clock"
)

// Chain is what is asked of the chain; chainclient.Client is one.
type Chain interface {
	Tier(ctx context.Context, device uint64) (devicev1.QueryTierResponse, error)
	Challenge(ctx context.Context, device uint64) (epoch uint64, statement []byte, err error)
	DeviceParams(ctx context.Context) (devicev1.Params, error)
	Attest(ctx context.Context, m *devicev1.MsgAttest) (devicev1.MsgAttestResponse, error)
}

// Chip is a TPM that holds the device key; *tpm.Signer is one.
type Chip interface {
	Gather(pcrs uint32, challenge [32]byte) (attest.TPM, error)
	EndorsementCertificate() ([]byte, error)
}

// Papers are what comes from outside of the chip.
type Papers struct {
	// Root is the fingerprint of the trusted root that issued the last certificate of Chain.
	Root []byte
	// Chain is of the chip's key, DER, leaf first, without the root. If it is empty, the certificate
	// in the chip is taken.
	Chain [][]byte
	// Activations, where the certified key only decrypts.
	Activations []devicev1.Activation
}

// Files name papers, as people keep them.
type Files struct {
	Root        string   `toml:"root"`        // hexadecimal
	Chain       string   `toml:"chain"`       // PEM
	Activations []string `toml:"activations"` // JSON, each of one attester
}

// ErrPapers is wrapped by errors about files that hold no papers.
var ErrPapers = errors.New("not what attestation needs")

// Read reads papers; ErrPapers.
func (f Files) Read() (Papers, error) {
	var p Papers
	var err error
	if p.Root, err = hex.DecodeString(f.Root); err != nil || len(p.Root) != sha256.Size {
		return p, fmt.Errorf("root %q: %w: want 64 hexadecimal digits", f.Root, ErrPapers)
	}
	if f.Chain != "" {
		if p.Chain, err = Certificates(f.Chain); err != nil {
			return p, err
		}
	}
	for _, path := range f.Activations {
		raw, err := os.ReadFile(path)
		if err != nil {
			return p, fmt.Errorf("reading an attester's activation: %w", err)
		}
		var a devicev1.Activation
		if err := json.Unmarshal(raw, &a); err != nil {
			return p, fmt.Errorf("reading an attester's activation from %s: %w: %w", path, ErrPapers, err)
		}
		p.Activations = append(p.Activations, a)
	}
	return p, nil
}

// Certificates reads all certificates of a PEM file, DER; ErrPapers if there are none, or too many.
func Certificates(path string) ([][]byte, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading certificates: %w", err)
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
		return nil, fmt.Errorf("%s holds %d certificates: %w: want 1 to %d", path, len(chain), ErrPapers, attest.MaxChain)
	}
	return chain, nil
}

// ByTPM attests a device once. Errors are the chain's and the chip's.
func ByTPM(ctx context.Context, chain Chain, chip Chip, device uint64, papers Papers) (devicev1.MsgAttestResponse, error) {
	var none devicev1.MsgAttestResponse
	params, err := chain.DeviceParams(ctx)
	if err != nil {
		return none, err
	}
	epoch, statement, err := chain.Challenge(ctx, device)
	if err != nil {
		return none, err
	}
	e, err := chip.Gather(params.Attestation.PcrMask, sha256.Sum256(statement))
	if err != nil {
		return none, err
	}
	evidence := &devicev1.TPMEvidence{
		AkPublic: e.AKPublic, DevicePublic: e.DevicePublic, Certify: e.Certify, CertifySignature: e.CertifySig,
		Quote: e.Quote, QuoteSignature: e.QuoteSig, Root: papers.Root, Chain: papers.Chain, Activations: papers.Activations,
	}
	if len(evidence.Chain) == 0 {
		leaf, err := chip.EndorsementCertificate()
		if err != nil {
			return none, fmt.Errorf("no certificate of the chip's key is given, and the chip has none: %w", err)
		}
		evidence.Chain = [][]byte{leaf}
	}
	return chain.Attest(ctx, &devicev1.MsgAttest{Device: device, Epoch: epoch, Tpm: evidence})
}

// DefaultEvery is how often a Loop looks.
const DefaultEvery = 5 * time.Minute

// Loop keeps a device attested: it renews when two thirds of an attestation's time have passed, or it
// does not count any more.
type Loop struct {
	Chain  Chain
	Chip   Chip
	Files  Files
	Device uint64
	Every  time.Duration // 0 for DefaultEvery
	Clock  clock.Clock
	Log    *slog.Logger
}

// firstRetry is how soon a failed attestation is tried again; each further failure doubles it, up to Every.
const firstRetry = 5 * time.Second

// Run looks until ctx is done, whose error it returns. What fails is tried again.
func (l *Loop) Run(ctx context.Context) error {
	every := l.Every
	if every <= 0 {
		every = DefaultEvery
	}
	retry := firstRetry
	for {
		wait := every
		_, err := l.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			wait, retry = min(retry, every), min(2*retry, every)
			l.Log.Warn("the device is not attested by its TPM, will be tried again", "device", l.Device, "in", wait, "error", err)
		default:
			retry = firstRetry
		}
		if err := clock.Sleep(ctx, l.Clock, wait); err != nil {
			return err
		}
	}
}

// Step attests the device if it is time. True if it did.
func (l *Loop) Step(ctx context.Context) (bool, error) {
	known, err := l.Chain.Tier(ctx, l.Device)
	if err != nil || !l.due(known) {
		return false, err
	}
	papers, err := l.Files.Read() // anew each time: attesters renew their word
	if err != nil {
		return false, err
	}
	r, err := ByTPM(ctx, l.Chain, l.Chip, l.Device, papers)
	if err != nil {
		return false, err
	}
	l.Log.Info("attested by the TPM", "device", l.Device, "tier", r.Tier, "until", time.Unix(r.ExpiresAt, 0).UTC())
	return true, nil
}

// due says whether there is no attestation by a TPM that counts and has a third of its time left.
func (l *Loop) due(known devicev1.QueryTierResponse) bool {
	for _, s := range known.Attestations {
		a := s.Attestation
		if a.Kind != devicev1.AttestationKind_ATTESTATION_KIND_TPM || s.Void != "" {
			continue
		}
		renewAt := a.ExpiresAt - (a.ExpiresAt-a.AttestedAt)/3
		return l.Clock.Now().Unix() >= renewAt
	}
	return true
}
