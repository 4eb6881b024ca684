package device

import (
	"fmt"
	"slices"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/core/attest"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/modkit"
)

// Bounds of the params, so that no vote can stop the registry or make it litter.
const (
	maxUnbondingSeconds   = 365 * 24 * 3600
	maxKinds              = 64
	maxKindBytes          = 32
	mostDevicesPerOwner   = 10_000_000
	defaultDevicesAnOwner = 10_000

	day                 = 24 * 3600 // seconds
	mostBeaconEpochs    = 10_000
	leastAttestSeconds  = 3600
	mostAttestSeconds   = 2 * 365 * day
	mostAttesters       = attest.MaxActivations
	leastEvidenceBytes  = 1024
	mostEvidenceBytes   = 64 << 10
	mostPCRDigests      = 256
	maskOfPCRs          = 1<<24 - 1 // a PC's TPM has 24
	leastAppealSeconds  = 3600
	mostAppealSeconds   = 365 * day
	defaultBeaconEpochs = 24
)

// DefaultParams are the parameters of a new chain.
func DefaultParams() devicev1.Params {
	return devicev1.Params{
		Deposit:            sdk.Coin{Denom: price.Denom, Amount: math.NewIntWithDecimal(1, price.Decimals)},
		UnbondingSeconds:   7 * 24 * 3600,
		Kinds:              []string{"charger", "compute", "gateway", "hotspot", "meter", "storage"},
		MaxDevicesPerOwner: defaultDevicesAnOwner,
		Attestation: devicev1.AttestationParams{
			BeaconEpochs:        defaultBeaconEpochs,
			TlsSeconds:          90 * day,
			ManufacturerSeconds: 365 * day,
			TpmSeconds:          90 * day,
			Attesters:           2,
			PcrMask:             0xff, // firmware, its settings, boot loader, secure boot
			MaxEvidenceBytes:    24 << 10,
		},
		AppealDeposit: sdk.Coin{Denom: price.Denom, Amount: math.NewIntWithDecimal(100, price.Decimals)},
		AppealSeconds: 30 * day,
	}
}

func validateParams(p devicev1.Params) error {
	if err := sdk.ValidateDenom(p.Deposit.Denom); err != nil {
		return errorsmod.Wrapf(ErrParams, "deposit in %q: %s", modkit.Clip(p.Deposit.Denom), err)
	}
	if err := checkAmount(p.Deposit.Amount); err != nil {
		return errorsmod.Wrapf(ErrParams, "deposit: %s", err)
	}
	if p.UnbondingSeconds < 0 || p.UnbondingSeconds > maxUnbondingSeconds {
		return errorsmod.Wrapf(ErrParams, "unbonding_seconds %d: want 0 to %d", p.UnbondingSeconds, maxUnbondingSeconds)
	}
	if len(p.Kinds) == 0 || len(p.Kinds) > maxKinds {
		return errorsmod.Wrapf(ErrParams, "%d kinds: want 1 to %d", len(p.Kinds), maxKinds)
	}
	for i, kind := range p.Kinds {
		if !isKind(kind) {
			return errorsmod.Wrapf(ErrParams, "kinds[%d] %q: want 1 to %d lower-case letters, digits or hyphens", i, modkit.Clip(kind), maxKindBytes)
		}
		if slices.Contains(p.Kinds[:i], kind) {
			return errorsmod.Wrapf(ErrParams, "kinds[%d] %q: listed twice", i, kind)
		}
	}
	if p.MaxDevicesPerOwner == 0 || p.MaxDevicesPerOwner > mostDevicesPerOwner {
		return errorsmod.Wrapf(ErrParams, "max_devices_per_owner %d: want 1 to %d", p.MaxDevicesPerOwner, mostDevicesPerOwner)
	}
	if p.AppealDeposit.Denom != p.Deposit.Denom {
		return errorsmod.Wrapf(ErrParams, "appeal_deposit in %q: want %s", modkit.Clip(p.AppealDeposit.Denom), p.Deposit.Denom)
	}
	if err := checkAmount(p.AppealDeposit.Amount); err != nil {
		return errorsmod.Wrapf(ErrParams, "appeal_deposit: %s", err)
	}
	if p.AppealSeconds < leastAppealSeconds || p.AppealSeconds > mostAppealSeconds {
		return errorsmod.Wrapf(ErrParams, "appeal_seconds %d: want %d to %d", p.AppealSeconds, leastAppealSeconds, mostAppealSeconds)
	}
	return validateAttestation(p.Attestation)
}

func validateAttestation(p devicev1.AttestationParams) error {
	for _, bound := range []struct {
		field              string
		value, least, most int64
	}{
		{"tls_seconds", p.TlsSeconds, leastAttestSeconds, mostAttestSeconds},
		{"manufacturer_seconds", p.ManufacturerSeconds, leastAttestSeconds, mostAttestSeconds},
		{"tpm_seconds", p.TpmSeconds, leastAttestSeconds, mostAttestSeconds},
		{"attesters", int64(p.Attesters), 1, mostAttesters},
		{"pcr_mask", int64(p.PcrMask), 1, maskOfPCRs},
		{"max_evidence_bytes", int64(p.MaxEvidenceBytes), leastEvidenceBytes, mostEvidenceBytes},
	} {
		if bound.value < bound.least || bound.value > bound.most {
			return errorsmod.Wrapf(ErrParams, "attestation.%s %d: want %d to %d", bound.field, bound.value, bound.least, bound.most)
		}
	}
	if p.BeaconEpochs == 0 || p.BeaconEpochs > mostBeaconEpochs {
		return errorsmod.Wrapf(ErrParams, "attestation.beacon_epochs %d: want 1 to %d", p.BeaconEpochs, mostBeaconEpochs)
	}
	if len(p.PcrDigests) > mostPCRDigests {
		return errorsmod.Wrapf(ErrParams, "%d attestation.pcr_digests: at most %d", len(p.PcrDigests), mostPCRDigests)
	}
	for i, digest := range p.PcrDigests {
		if len(digest) != hashBytes {
			return errorsmod.Wrapf(ErrParams, "attestation.pcr_digests[%d] of %d bytes: want %d", i, len(digest), hashBytes)
		}
	}
	return nil
}

func isKind(text string) bool {
	if len(text) == 0 || len(text) > maxKindBytes {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// checkAmount says why an amount is not a sum of money: absent, negative, or beyond 128 bits.
func checkAmount(amount math.Int) error {
	if amount.IsNil() {
		return fmt.Errorf("no amount given")
	}
	_, err := price.FromBig(amount.BigIntMut())
	return err
}
