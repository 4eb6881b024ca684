package device

import (
	"context"
	"errors"
	"slices"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/core/attest"
)

// tierOf is the tier that each kind of attestation is worth.
var tierOf = map[devicev1.AttestationKind]uint32{
	devicev1.AttestationKind_ATTESTATION_KIND_TLS:          1,
	devicev1.AttestationKind_ATTESTATION_KIND_MANUFACTURER: 1,
	devicev1.AttestationKind_ATTESTATION_KIND_TPM:          2,
}

// kinds of attestation, the worthiest first.
var kinds = []devicev1.AttestationKind{
	devicev1.AttestationKind_ATTESTATION_KIND_TPM,
	devicev1.AttestationKind_ATTESTATION_KIND_MANUFACTURER,
	devicev1.AttestationKind_ATTESTATION_KIND_TLS,
}

// TierOf is the trust tier of a device now: the highest of its attestations that counts, 0 if none
// does. An attestation ends by itself; no message and no block is needed.
func (k *Keeper) TierOf(ctx context.Context, device uint64) (uint32, error) {
	d, err := k.Device(ctx, device)
	if err != nil {
		return 0, err
	}
	return k.tier(ctx, d)
}

func (k *Keeper) tier(ctx context.Context, d devicev1.Device) (uint32, error) {
	for _, kind := range kinds {
		a, err := k.attestations.Get(ctx, collections.Join(d.Id, int32(kind)))
		if errors.Is(err, collections.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, errorsmod.Wrapf(err, "reading attestation of device %d", d.Id)
		}
		void, err := k.void(ctx, d, a)
		if err != nil {
			return 0, err
		}
		if void == nil {
			return a.Tier, nil
		}
	}
	return 0, nil
}

// void says why an attestation of a device does not count now, nil if it does. The second error is
// the store's.
func (k *Keeper) void(ctx context.Context, d devicev1.Device, a devicev1.Attestation) (why, err error) {
	now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix()
	switch {
	case d.State == devicev1.DeviceState_DEVICE_STATE_RETIRED:
		return errorsmod.Wrapf(ErrRetired, "device %d", d.Id), nil
	case a.Owner != d.Owner:
		return errorsmod.Wrapf(ErrStatement, "attested for owner %s, the owner is %s", a.Owner, d.Owner), nil
	case now > a.ExpiresAt:
		return errorsmod.Wrapf(ErrExpired, "expires_at %d, block time %d", a.ExpiresAt, now), nil
	}
	for _, ref := range a.Trusted {
		if why, err := k.trusts(ctx, ref); why != nil || err != nil {
			return why, err
		}
	}
	return k.unrevoked(ctx, a.Anchors...)
}

// trusts says that an anchor is not trusted, nil if it is.
func (k *Keeper) trusts(ctx context.Context, ref devicev1.TrustRef) (why, err error) {
	has, err := k.trust.Has(ctx, collections.Join(int32(ref.Use), ref.Fingerprint))
	if err != nil {
		return nil, errorsmod.Wrap(err, "looking up a trust anchor")
	}
	if !has {
		return errorsmod.Wrapf(ErrUntrusted, "%s %x", ref.Use, ref.Fingerprint), nil
	}
	return nil, nil
}

// unrevoked says which of some anchors is revoked, nil if none is.
func (k *Keeper) unrevoked(ctx context.Context, anchors ...[]byte) (why, err error) {
	for _, anchor := range anchors {
		r, err := k.revocations.Get(ctx, anchor)
		switch {
		case errors.Is(err, collections.ErrNotFound):
		case err != nil:
			return nil, errorsmod.Wrap(err, "looking up a revocation")
		default:
			return errorsmod.Wrapf(ErrRevoked, "anchor %x at %d: %s", anchor, r.RevokedAt, r.Reason), nil
		}
	}
	return nil, nil
}

// anchor gives a trust anchor for a use, or ErrUntrusted naming the field that asked for it.
func (k *Keeper) anchor(ctx context.Context, field string, use devicev1.TrustUse, fingerprint []byte) (devicev1.TrustAnchor, error) {
	a, err := k.trust.Get(ctx, collections.Join(int32(use), fingerprint))
	if errors.Is(err, collections.ErrNotFound) {
		return a, errorsmod.Wrapf(ErrUntrusted, "%s %.64x is no %s", field, fingerprint, use)
	}
	return a, errorsmod.Wrap(err, "reading a trust anchor")
}

// fresh gives the beacon of an epoch if evidence may still be made with it.
func (k *Keeper) fresh(ctx context.Context, epoch, beacons uint64) (auditv1.Epoch, error) {
	current, err := k.current(ctx)
	if err != nil {
		return auditv1.Epoch{}, err
	}
	if epoch == 0 || epoch > current.Number || current.Number-epoch >= beacons {
		return auditv1.Epoch{}, errorsmod.Wrapf(ErrStale, "epoch %d: the current one is %d, evidence is taken for %d", epoch, current.Number, beacons)
	}
	e, err := k.beacons.EpochAt(ctx, epoch)
	if err != nil {
		return auditv1.Epoch{}, errorsmod.Wrapf(err, "reading the beacon of epoch %d", epoch)
	}
	if e.Weak || len(e.Beacon) != 32 {
		return auditv1.Epoch{}, errorsmod.Wrapf(ErrStale, "epoch %d has no beacon that nobody could foresee: wait for the next", epoch)
	}
	return e, nil
}

func (k *Keeper) current(ctx context.Context) (auditv1.Epoch, error) {
	if k.beacons == nil {
		return auditv1.Epoch{}, errorsmod.Wrap(ErrStale, "no beacon is wired")
	}
	e, err := k.beacons.Current(ctx)
	return e, errorsmod.Wrap(err, "reading the current epoch")
}

// subject is a device as evidence names it.
func subject(ctx sdk.Context, d devicev1.Device, e auditv1.Epoch) attest.Subject {
	return attest.Subject{
		ChainID: ctx.ChainID(), Device: d.Id, Owner: d.Owner, Epoch: e.Number, Beacon: [32]byte(e.Beacon),
		Key: attest.Key{Type: int32(d.Pubkey.Type), Bytes: d.Pubkey.Key},
	}
}

// refuse turns an error of core/attest into a registered one.
func refuse(err error) error {
	for _, of := range []struct{ kind, registered error }{
		{attest.ErrSignature, ErrForged},
		{attest.ErrStatement, ErrStatement},
		{attest.ErrExpired, ErrExpired},
		{attest.ErrPolicy, ErrPolicy},
		{attest.ErrChain, ErrChain},
		{attest.ErrMalformed, ErrEvidence},
	} {
		if errors.Is(err, of.kind) {
			return errorsmod.Wrap(of.registered, err.Error())
		}
	}
	return err
}

// Attest raises a device's tier.
func (s msgServer) Attest(ctx context.Context, msg *devicev1.MsgAttest) (*devicev1.MsgAttestResponse, error) {
	_, operator, err := s.parseAccount("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	d, err := s.Operated(ctx, msg.Device, operator)
	if err != nil {
		return nil, err
	}
	if d.State == devicev1.DeviceState_DEVICE_STATE_RETIRED {
		return nil, errorsmod.Wrapf(ErrRetired, "device %d", d.Id)
	}
	params, err := s.Params(ctx)
	if err != nil {
		return nil, err
	}
	if size := proto.Size(msg); size > int(params.Attestation.MaxEvidenceBytes) {
		return nil, errorsmod.Wrapf(ErrEvidence, "message of %d bytes: at most %d", size, params.Attestation.MaxEvidenceBytes)
	}
	epoch, err := s.fresh(ctx, msg.Epoch, params.Attestation.BeaconEpochs)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	c := check{k: s.Keeper, ctx: sdkCtx, params: params.Attestation, subject: subject(sdkCtx, d, epoch), now: sdkCtx.BlockTime().Unix()}
	if err := c.evidence(msg); err != nil {
		return nil, refuse(err)
	}
	a, err := s.attested(ctx, d, c)
	if err != nil {
		return nil, err
	}
	return &devicev1.MsgAttestResponse{Tier: a.Tier, ExpiresAt: a.ExpiresAt},
		emit(ctx, &devicev1.EventAttested{Id: d.Id, Kind: a.Kind, Tier: a.Tier, ExpiresAt: a.ExpiresAt})
}

// check is one look at evidence.
type check struct {
	k       *Keeper
	ctx     sdk.Context
	params  devicev1.AttestationParams
	subject attest.Subject
	now     int64

	kind    devicev1.AttestationKind
	seconds int64
	trusted []devicev1.TrustRef
	finding attest.Finding
}

// evidence checks the one piece of evidence in a message.
func (c *check) evidence(msg *devicev1.MsgAttest) error {
	given := 0
	for _, present := range []bool{msg.Tls != nil, msg.Manufacturer != nil, msg.Tpm != nil} {
		if present {
			given++
		}
	}
	if given != 1 {
		return errorsmod.Wrapf(ErrEvidence, "%d of tls, manufacturer and tpm are given: want one", given)
	}
	switch {
	case msg.Tls != nil:
		return c.tls(*msg.Tls)
	case msg.Manufacturer != nil:
		return c.manufacturer(*msg.Manufacturer)
	default:
		return c.tpm(*msg.Tpm)
	}
}

// rely notes that the evidence rests on a trust anchor.
func (c *check) rely(use devicev1.TrustUse, fingerprint []byte) {
	c.trusted = append(c.trusted, devicev1.TrustRef{Use: use, Fingerprint: fingerprint})
}

// root reads a trusted root certificate.
func (c *check) root(use devicev1.TrustUse, fingerprint []byte) (*attest.Certificate, error) {
	a, err := c.k.anchor(c.ctx, "root", use, fingerprint)
	if err != nil {
		return nil, err
	}
	c.rely(use, fingerprint)
	return attest.ParseCertificate(a.Certificate)
}

func (c *check) tls(e devicev1.TLSEvidence) (err error) {
	c.kind, c.seconds = devicev1.AttestationKind_ATTESTATION_KIND_TLS, c.params.TlsSeconds
	root, err := c.root(devicev1.TrustUse_TRUST_USE_TLS_ROOT, e.Root)
	if err != nil {
		return err
	}
	c.charge(len(e.Chain) + 1)
	c.finding, err = attest.TLS{Domain: e.Domain, Chain: e.Chain, Signature: e.Signature}.Verify(c.subject, root, c.now)
	return err
}

func (c *check) manufacturer(e devicev1.ManufacturerEvidence) error {
	c.kind, c.seconds = devicev1.AttestationKind_ATTESTATION_KIND_MANUFACTURER, c.params.ManufacturerSeconds
	maker, err := c.k.anchor(c.ctx, "manufacturer", devicev1.TrustUse_TRUST_USE_MANUFACTURER, e.Manufacturer)
	if err != nil {
		return err
	}
	c.rely(maker.Use, e.Manufacturer)
	c.charge(2)
	c.finding, err = attest.Manufacturer{Expiry: e.Expiry, Signature: e.Signature, DeviceSignature: e.DeviceSignature}.
		Verify(c.subject, keyOf(maker), c.now)
	c.finding.Subject = maker.Name
	return err
}

func (c *check) tpm(e devicev1.TPMEvidence) error {
	c.kind, c.seconds = devicev1.AttestationKind_ATTESTATION_KIND_TPM, c.params.TpmSeconds
	use := devicev1.TrustUse_TRUST_USE_AK_ROOT
	if len(e.Activations) > 0 {
		use = devicev1.TrustUse_TRUST_USE_EK_ROOT
	}
	root, err := c.root(use, e.Root)
	if err != nil {
		return err
	}
	evidence := attest.TPM{
		AKPublic: e.AkPublic, DevicePublic: e.DevicePublic,
		Certify: e.Certify, CertifySig: e.CertifySignature,
		Quote: e.Quote, QuoteSig: e.QuoteSignature,
		Chain: e.Chain, AKCertify: e.AkCertify, AKCertifySig: e.AkCertifySignature,
	}
	for i, a := range e.Activations {
		if len(a.Attester) != len(attest.Fingerprint{}) {
			return errorsmod.Wrapf(ErrEvidence, "activations[%d]: attester of %d bytes: want 32", i, len(a.Attester))
		}
		evidence.Activations = append(evidence.Activations, attest.Activation{
			Attester: attest.Fingerprint(a.Attester), Expiry: a.Expiry, Signature: a.Signature,
		})
	}
	c.charge(len(e.Chain) + 3 + len(e.Activations))
	c.finding, err = evidence.Verify(c.subject, root, attest.TPMPolicy{
		Endorsement: use == devicev1.TrustUse_TRUST_USE_EK_ROOT,
		Attesters:   int(c.params.Attesters),
		Attester:    c.attester,
		PCRs:        c.params.PcrMask,
		Digests:     c.params.PcrDigests,
	}, c.now)
	return err
}

// attester gives the key of a trusted attester.
func (c *check) attester(f attest.Fingerprint) (attest.Key, error) {
	a, err := c.k.anchor(c.ctx, "attester", devicev1.TrustUse_TRUST_USE_ATTESTER, f[:])
	if err != nil {
		return attest.Key{}, err
	}
	c.rely(a.Use, f[:])
	return keyOf(a), nil
}

func keyOf(a devicev1.TrustAnchor) attest.Key {
	return attest.Key{Type: int32(a.Key.Type), Bytes: a.Key.Key}
}

// charge pays for a number of signatures before they are looked at.
func (c *check) charge(signatures int) {
	c.ctx.GasMeter().ConsumeGas(uint64(signatures)*gasEvidenceSignature, "signatures of evidence")
}

// attested records evidence that holds, if nothing that it rests on is revoked and its hardware
// vouches for no other device.
func (k *Keeper) attested(ctx context.Context, d devicev1.Device, c check) (devicev1.Attestation, error) {
	a := devicev1.Attestation{
		Device: d.Id, Kind: c.kind, Tier: tierOf[c.kind], Owner: d.Owner, Epoch: c.subject.Epoch,
		AttestedAt: c.now, ExpiresAt: min(c.now+c.seconds, c.finding.Until),
		Subject: c.finding.Subject, Trusted: c.trusted,
	}
	for _, f := range c.finding.Anchors {
		a.Anchors = append(a.Anchors, slices.Clone(f[:]))
	}
	if c.finding.Hardware != (attest.Fingerprint{}) {
		a.Hardware = slices.Clone(c.finding.Hardware[:])
	}
	switch why, err := k.unrevoked(ctx, a.Anchors...); {
	case err != nil:
		return a, err
	case why != nil:
		return a, why
	}
	if len(a.Hardware) > 0 {
		if err := k.free(ctx, a); err != nil {
			return a, err
		}
	}
	return a, errorsmod.Wrapf(k.attestations.Set(ctx, collections.Join(d.Id, int32(a.Kind)), a), "writing attestation of device %d", d.Id)
}

// free takes hardware from devices for which it no longer vouches; ErrHardware if it still does
// vouch for another.
func (k *Keeper) free(ctx context.Context, a devicev1.Attestation) error {
	found, err := k.attestations.Indexes.Hardware.MatchExact(ctx, a.Hardware)
	if err != nil {
		return errorsmod.Wrap(err, "looking up hardware")
	}
	keys, err := found.PrimaryKeys()
	if err != nil {
		return errorsmod.Wrap(err, "looking up hardware")
	}
	keys = slices.DeleteFunc(keys, func(key attestationKey) bool { return key.K1() == a.Device })
	for _, key := range keys {
		other, err := k.attestations.Get(ctx, key)
		if err != nil {
			return errorsmod.Wrapf(err, "reading attestation of device %d", key.K1())
		}
		d, err := k.Device(ctx, other.Device)
		if err != nil {
			return err
		}
		void, err := k.void(ctx, d, other)
		if err != nil {
			return err
		}
		if void == nil {
			return errorsmod.Wrapf(ErrHardware, "hardware %x vouches for device %d until %d", a.Hardware, other.Device, other.ExpiresAt)
		}
	}
	for _, key := range keys {
		if err := k.attestations.Remove(ctx, key); err != nil {
			return errorsmod.Wrapf(err, "removing attestation of device %d", key.K1())
		}
	}
	return nil
}
