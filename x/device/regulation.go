package device

import (
	"context"
	"errors"
	"slices"
	"strings"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/core/attest"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	maxRuleCredentials = 8
	maxRuleTier        = 3
	// Longest that a credential holds; what a licence asks for is renewed.
	maxCredentialSeconds = 10 * 365 * 24 * 3600
)

// Permitted says why a device may not sell a resource now, nil if it may: it is banned, or a rule of
// its region refuses the resource, or asks for a credential or tier that it lacks. ErrNotFound,
// ErrBanned or ErrNotPermitted. Whether the device is active is another question.
//
// A region is the owner's word. A rule for the empty region says what devices may do that name none.
func (k *Keeper) Permitted(ctx context.Context, device uint64, resource string) error {
	d, err := k.Device(ctx, device)
	if err != nil {
		return err
	}
	banned, err := k.Banned(ctx, device)
	if err != nil {
		return err
	}
	if banned {
		return errorsmod.Wrapf(ErrBanned, "device %d", device)
	}
	rule, err := k.rules.Get(ctx, collections.Join(d.Region, resource))
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil {
		return errorsmod.Wrapf(err, "reading the rule for %s in %q", modkit.Clip(resource), d.Region)
	}
	if rule.Refused {
		return errorsmod.Wrapf(ErrNotPermitted, "device %d: %s in region %q is refused: %s", device, resource, d.Region, rule.Reason)
	}
	if rule.MinTier > 0 {
		tier, err := k.tier(ctx, d)
		if err != nil {
			return err
		}
		if tier < rule.MinTier {
			return errorsmod.Wrapf(ErrNotPermitted, "device %d: %s in region %q asks for tier %d, it has %d: %s", device, resource, d.Region, rule.MinTier, tier, rule.Reason)
		}
	}
	for _, kind := range rule.Credentials {
		why, err := k.lacks(ctx, d, kind)
		if err != nil {
			return err
		}
		if why != nil {
			return errorsmod.Wrapf(ErrNotPermitted, "device %d: %s in region %q asks for credential %s: %s: %s", device, resource, d.Region, kind, why, rule.Reason)
		}
	}
	return nil
}

// lacks says why a device has no credential of a kind, its own or its owner's, nil if it has one.
// The second error is the store's.
func (k *Keeper) lacks(ctx context.Context, d devicev1.Device, kind string) (why, err error) {
	why = errors.New("none was presented")
	for _, device := range []uint64{d.Id, 0} {
		c, err := k.credentials.Get(ctx, collections.Join3(d.Owner, device, kind))
		if errors.Is(err, collections.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, errorsmod.Wrapf(err, "reading credential %s of %s", kind, d.Owner)
		}
		if why, err = k.lapsed(ctx, c); why == nil || err != nil {
			return nil, err
		}
	}
	return why, nil
}

// lapsed says why a credential no longer holds, nil if it does.
func (k *Keeper) lapsed(ctx context.Context, c devicev1.Credential) (why, err error) {
	if now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix(); now > c.Expiry {
		return errorsmod.Wrapf(ErrExpired, "expiry %d, block time %d", c.Expiry, now), nil
	}
	issuer, err := k.anchor(ctx, "issuer", devicev1.TrustUse_TRUST_USE_ISSUER, c.Issuer)
	if errors.Is(err, ErrUntrusted) {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	if !slices.Contains(issuer.Kinds, c.Kind) {
		return errorsmod.Wrapf(ErrUntrusted, "issuer %s may not issue %s", issuer.Name, c.Kind), nil
	}
	word := attest.Word(attest.Fingerprint(c.Issuer), attest.Fingerprint(c.Hash))
	return k.unrevoked(ctx, word[:], c.Hash)
}

// PresentCredential records what an issuer signed about an owner or one of its devices. A newer one
// of the same kind takes its place.
func (s msgServer) PresentCredential(ctx context.Context, msg *devicev1.MsgPresentCredential) (*devicev1.MsgPresentCredentialResponse, error) {
	_, owner, err := s.parseAccount("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	if msg.Device != 0 {
		if _, err := s.owned(ctx, msg.Device, owner); err != nil {
			return nil, err
		}
	}
	now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix()
	c := devicev1.Credential{
		Owner: owner, Device: msg.Device, Kind: msg.Kind, Issuer: msg.Issuer, Hash: msg.Hash, Expiry: msg.Expiry, PresentedAt: now,
	}
	if err := checkCredential(c); err != nil {
		return nil, err
	}
	if ahead := c.Expiry - now; ahead <= 0 || ahead > maxCredentialSeconds {
		return nil, errorsmod.Wrapf(ErrCredential, "expiry %d is %d seconds ahead: want 1 to %d", c.Expiry, ahead, int64(maxCredentialSeconds))
	}
	switch why, err := s.lapsed(ctx, c); {
	case err != nil:
		return nil, err
	case why != nil:
		return nil, why
	}
	if err := s.checkIssued(ctx, c, msg.Signature); err != nil {
		return nil, err
	}
	if err := s.credentials.Set(ctx, collections.Join3(c.Owner, c.Device, c.Kind), c); err != nil {
		return nil, errorsmod.Wrapf(err, "writing credential %s of %s", c.Kind, c.Owner)
	}
	return &devicev1.MsgPresentCredentialResponse{}, emit(ctx, &devicev1.EventCredentialPresented{Owner: owner, Id: c.Device, Kind: c.Kind})
}

// checkIssued checks the issuer's signature of a credential.
func (k *Keeper) checkIssued(ctx context.Context, c devicev1.Credential, signature []byte) error {
	issuer, err := k.anchor(ctx, "issuer", devicev1.TrustUse_TRUST_USE_ISSUER, c.Issuer)
	if err != nil {
		return err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	sdkCtx.GasMeter().ConsumeGas(gasEvidenceSignature, "signature of a credential")
	signed := attest.CredentialBytes(sdkCtx.ChainID(), c.Owner, c.Device, c.Kind, [32]byte(c.Hash), c.Expiry)
	if err := coredevice.Verify(int32(issuer.Key.Type), issuer.Key.Key, signed, signature); err != nil {
		return errorsmod.Wrapf(ErrForged, "signature by %s over owner %s, device %d, kind %s, expiry %d: %s", issuer.Name, c.Owner, c.Device, c.Kind, c.Expiry, err)
	}
	return nil
}

// checkCredential checks the form of a credential.
func checkCredential(c devicev1.Credential) error {
	if !isKind(c.Kind) {
		return errorsmod.Wrapf(ErrCredential, "kind %q: want 1 to %d lower-case letters, digits or hyphens", modkit.Clip(c.Kind), maxKindBytes)
	}
	if err := checkHash("issuer", c.Issuer); err != nil {
		return errorsmod.Wrap(ErrCredential, err.Error())
	}
	if err := checkHash("hash", c.Hash); err != nil {
		return errorsmod.Wrap(ErrCredential, err.Error())
	}
	return nil
}

// UpdateRules changes region rules; governance's. Leases that run go on.
func (s msgServer) UpdateRules(ctx context.Context, msg *devicev1.MsgUpdateRules) (*devicev1.MsgUpdateRulesResponse, error) {
	if err := s.govern(msg.Authority); err != nil {
		return nil, err
	}
	if n := len(msg.Set) + len(msg.Remove); n == 0 || n > maxRuleChanges {
		return nil, errorsmod.Wrapf(ErrRule, "%d changes: want 1 to %d", n, maxRuleChanges)
	}
	for i, ref := range msg.Remove {
		has, err := s.rules.Has(ctx, collections.Join(ref.Region, ref.Resource))
		if err != nil {
			return nil, errorsmod.Wrap(err, "looking up a rule")
		}
		if !has {
			return nil, errorsmod.Wrapf(ErrRule, "remove[%d]: no rule for %q in region %q", i, modkit.Clip(ref.Resource), modkit.Clip(ref.Region))
		}
	}
	for i, rule := range msg.Set {
		if err := checkRule(rule); err != nil {
			return nil, errorsmod.Wrapf(err, "set[%d]", i)
		}
	}
	for _, ref := range msg.Remove {
		if err := s.rules.Remove(ctx, collections.Join(ref.Region, ref.Resource)); err != nil {
			return nil, errorsmod.Wrap(err, "removing a rule")
		}
	}
	for _, rule := range msg.Set {
		if err := s.rules.Set(ctx, collections.Join(rule.Region, rule.Resource), rule); err != nil {
			return nil, errorsmod.Wrap(err, "writing a rule")
		}
	}
	return &devicev1.MsgUpdateRulesResponse{}, emit(ctx, &devicev1.EventRulesChanged{Set: uint32(len(msg.Set)), Removed: uint32(len(msg.Remove))})
}

// checkRule checks the form of a rule.
func checkRule(r devicev1.Rule) error {
	if r.Region != "" && !isCountry(r.Region) {
		return errorsmod.Wrapf(ErrRule, "region %q: want an ISO 3166-1 alpha-2 code or nothing", modkit.Clip(r.Region))
	}
	if !isKind(strings.ReplaceAll(r.Resource, ".", "-")) {
		return errorsmod.Wrapf(ErrRule, "resource %q: want 1 to %d lower-case letters, digits, dots or hyphens", modkit.Clip(r.Resource), maxKindBytes)
	}
	if len(r.Credentials) > maxRuleCredentials {
		return errorsmod.Wrapf(ErrRule, "%d credentials: at most %d", len(r.Credentials), maxRuleCredentials)
	}
	for i, kind := range r.Credentials {
		if !isKind(kind) || slices.Contains(r.Credentials[:i], kind) {
			return errorsmod.Wrapf(ErrRule, "credentials[%d] %q: want different kinds of 1 to %d lower-case letters, digits or hyphens", i, modkit.Clip(kind), maxKindBytes)
		}
	}
	if r.MinTier > maxRuleTier {
		return errorsmod.Wrapf(ErrRule, "min_tier %d: at most %d", r.MinTier, maxRuleTier)
	}
	if !r.Refused && len(r.Credentials) == 0 && r.MinTier == 0 {
		return errorsmod.Wrapf(ErrRule, "rule for %s in %q asks for nothing", r.Resource, r.Region)
	}
	if err := checkText("reason", r.Reason, 0, maxReasonBytes); err != nil {
		return errorsmod.Wrap(ErrRule, err.Error())
	}
	return nil
}
