package device

import (
	"context"
	"unicode/utf8"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/core/attest"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	// Limits on what one message of governance changes.
	maxTrustChanges = 256
	maxRuleChanges  = 256
	maxNameBytes    = 64
	maxReasonBytes  = 256
	maxIssuerKinds  = 32
	hashBytes       = 32
)

// holdsKey says whether an anchor of a use is a key; the others are certificates.
func holdsKey(use devicev1.TrustUse) bool {
	switch use {
	case devicev1.TrustUse_TRUST_USE_MANUFACTURER, devicev1.TrustUse_TRUST_USE_ATTESTER, devicev1.TrustUse_TRUST_USE_ISSUER:
		return true
	default:
		return false
	}
}

// fingerprint checks a trust anchor and names it.
func fingerprint(a devicev1.TrustAnchor) (attest.Fingerprint, error) {
	if err := checkText("name", a.Name, 1, maxNameBytes); err != nil {
		return attest.Fingerprint{}, errorsmod.Wrap(ErrTrust, err.Error())
	}
	if (a.Use == devicev1.TrustUse_TRUST_USE_ISSUER) != (len(a.Kinds) > 0) || len(a.Kinds) > maxIssuerKinds {
		return attest.Fingerprint{}, errorsmod.Wrapf(ErrTrust, "%d kinds of a %s: issuers have 1 to %d, others none", len(a.Kinds), a.Use, maxIssuerKinds)
	}
	for i, kind := range a.Kinds {
		if !isKind(kind) {
			return attest.Fingerprint{}, errorsmod.Wrapf(ErrTrust, "kinds[%d] %q: want 1 to %d lower-case letters, digits or hyphens", i, modkit.Clip(kind), maxKindBytes)
		}
	}
	if holdsKey(a.Use) {
		if len(a.Certificate) > 0 {
			return attest.Fingerprint{}, errorsmod.Wrapf(ErrTrust, "certificate of a %s: want a key only", a.Use)
		}
		if err := coredevice.CheckKey(int32(a.Key.Type), a.Key.Key); err != nil {
			return attest.Fingerprint{}, errorsmod.Wrapf(ErrTrust, "key: %s", err)
		}
		return keyOf(a).Fingerprint(), nil
	}
	switch a.Use {
	case devicev1.TrustUse_TRUST_USE_TLS_ROOT, devicev1.TrustUse_TRUST_USE_EK_ROOT, devicev1.TrustUse_TRUST_USE_AK_ROOT:
	default:
		return attest.Fingerprint{}, errorsmod.Wrapf(ErrTrust, "use %d is none", a.Use)
	}
	if a.Key.Type != 0 || len(a.Key.Key) > 0 {
		return attest.Fingerprint{}, errorsmod.Wrapf(ErrTrust, "key of a %s: want a certificate only", a.Use)
	}
	c, err := attest.ParseCertificate(a.Certificate)
	if err != nil {
		return attest.Fingerprint{}, errorsmod.Wrapf(ErrTrust, "certificate of %q: %s", a.Name, err)
	}
	if !c.Authority() {
		return attest.Fingerprint{}, errorsmod.Wrapf(ErrTrust, "certificate of %q: is no certificate authority's", a.Name)
	}
	return c.Key, nil
}

// checkText checks text for people.
func checkText(field, text string, least, most int) error {
	if len(text) < least || len(text) > most || !utf8.ValidString(text) {
		return errorsmod.Wrapf(ErrField, "%s of %d bytes: want %d to %d of UTF-8", field, len(text), least, most)
	}
	for _, r := range text {
		if isControl(r) {
			return errorsmod.Wrapf(ErrField, "%s %q: want no control characters", field, modkit.Clip(text))
		}
	}
	return nil
}

// checkHash checks the length of a SHA-256.
func checkHash(field string, hash []byte) error {
	if len(hash) != hashBytes {
		return errorsmod.Wrapf(ErrField, "%s of %d bytes: want %d", field, len(hash), hashBytes)
	}
	return nil
}

// govern checks that an account is the module's authority.
func (k *Keeper) govern(text string) error {
	_, authority, err := k.parseAccount("authority", text)
	if err != nil {
		return err
	}
	if authority != k.authority {
		return errorsmod.Wrapf(ErrNotAuthority, "authority %s: want %s", authority, k.authority)
	}
	return nil
}

// UpdateTrust changes what the chain trusts; governance's. What rested on a removed anchor no longer
// counts from here on.
func (s msgServer) UpdateTrust(ctx context.Context, msg *devicev1.MsgUpdateTrust) (*devicev1.MsgUpdateTrustResponse, error) {
	if err := s.govern(msg.Authority); err != nil {
		return nil, err
	}
	if n := len(msg.Add) + len(msg.Remove); n == 0 || n > maxTrustChanges {
		return nil, errorsmod.Wrapf(ErrTrust, "%d changes: want 1 to %d", n, maxTrustChanges)
	}
	for i, ref := range msg.Remove {
		why, err := s.trusts(ctx, ref)
		if err != nil {
			return nil, err
		}
		if why != nil {
			return nil, errorsmod.Wrapf(why, "remove[%d]", i)
		}
	}
	for i, a := range msg.Add {
		if _, err := fingerprint(a); err != nil {
			return nil, errorsmod.Wrapf(err, "add[%d]", i)
		}
	}
	for _, ref := range msg.Remove {
		if err := s.trust.Remove(ctx, collections.Join(int32(ref.Use), ref.Fingerprint)); err != nil {
			return nil, errorsmod.Wrap(err, "removing a trust anchor")
		}
	}
	for _, a := range msg.Add {
		if err := s.trustIn(ctx, a); err != nil {
			return nil, err
		}
	}
	return &devicev1.MsgUpdateTrustResponse{}, emit(ctx, &devicev1.EventTrustChanged{Added: uint32(len(msg.Add)), Removed: uint32(len(msg.Remove))})
}

// trustIn checks and writes a trust anchor.
func (k *Keeper) trustIn(ctx context.Context, a devicev1.TrustAnchor) error {
	f, err := fingerprint(a)
	if err != nil {
		return err
	}
	return errorsmod.Wrap(k.trust.Set(ctx, collections.Join(int32(a.Use), f[:]), a), "writing a trust anchor")
}

// Revoke ends all that rests on an anchor. Governance may revoke anything; a manufacturer, attester
// or issuer what it signed itself, and anyone may bring its signature.
func (s msgServer) Revoke(ctx context.Context, msg *devicev1.MsgRevoke) (*devicev1.MsgRevokeResponse, error) {
	_, sender, err := s.parseAccount("sender", msg.Sender)
	if err != nil {
		return nil, err
	}
	if err := checkHash("anchor", msg.Anchor); err != nil {
		return nil, err
	}
	if err := checkText("reason", msg.Reason, 0, maxReasonBytes); err != nil {
		return nil, err
	}
	anchor := attest.Fingerprint(msg.Anchor)
	if len(msg.By.Fingerprint) == 0 {
		if err := s.govern(sender); err != nil {
			return nil, err
		}
	} else if anchor, err = s.takenBack(ctx, msg); err != nil {
		return nil, err
	}
	now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix()
	r := devicev1.Revocation{Anchor: anchor[:], Reason: msg.Reason, RevokedAt: now}
	if err := s.revocations.Set(ctx, r.Anchor, r); err != nil {
		return nil, errorsmod.Wrap(err, "writing a revocation")
	}
	return &devicev1.MsgRevokeResponse{}, emit(ctx, &devicev1.EventRevoked{Anchor: r.Anchor, Reason: r.Reason})
}

// takenBack checks that a trusted signer takes back its word about an anchor, and names that word.
func (k *Keeper) takenBack(ctx context.Context, msg *devicev1.MsgRevoke) (attest.Fingerprint, error) {
	if !holdsKey(msg.By.Use) {
		return attest.Fingerprint{}, errorsmod.Wrapf(ErrUntrusted, "by: a %s signs for nothing here", msg.By.Use)
	}
	signer, err := k.anchor(ctx, "by", msg.By.Use, msg.By.Fingerprint)
	if err != nil {
		return attest.Fingerprint{}, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	sdkCtx.GasMeter().ConsumeGas(gasEvidenceSignature, "signature of a revocation")
	by, anchor := attest.Fingerprint(msg.By.Fingerprint), attest.Fingerprint(msg.Anchor)
	signed := attest.RevocationBytes(sdkCtx.ChainID(), by, anchor)
	if err := coredevice.Verify(int32(signer.Key.Type), signer.Key.Key, signed, msg.Signature); err != nil {
		return attest.Fingerprint{}, errorsmod.Wrapf(ErrForged, "signature by %s: %s", signer.Name, err)
	}
	return attest.Word(by, anchor), nil
}
