package audit

import (
	"context"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/beacon"
	"github.com/cairn-network/cairn/internal/modkit"
)

// msgServer answers the module's messages.
type msgServer struct {
	*Keeper
	*auditv1.UnimplementedMsgServer
}

// NewMsgServer is the module's message service over a keeper.
func NewMsgServer(k *Keeper) auditv1.MsgServer { return msgServer{Keeper: k} }

// parseAccount reads the address in a field of a message.
func (k *Keeper) parseAccount(field, text string) (sdk.AccAddress, string, error) {
	raw, canonical, err := modkit.Account(k.addresses, text)
	if err != nil {
		return nil, "", errorsmod.Wrapf(ErrAddress, "%s: %s", field, err)
	}
	return raw, canonical, nil
}

// parseValidator reads the operator address in a field.
func (k *Keeper) parseValidator(field, text string) (sdk.ValAddress, string, error) {
	raw, canonical, err := modkit.Account(k.validators, text)
	if err != nil {
		return nil, "", errorsmod.Wrapf(ErrAddress, "%s: %s", field, err)
	}
	if len(raw) != beacon.ValidatorSize {
		return nil, "", errorsmod.Wrapf(ErrAddress, "%s %s: has %d bytes, want %d", field, canonical, len(raw), beacon.ValidatorSize)
	}
	return sdk.ValAddress(raw), canonical, nil
}

// keyGas is what checking a key and its proof costs on top of the message's other work: about what
// the SDK charges for five signatures.
const keyGas = 5_000

// AnnounceBeaconKey sets the key by which the sender's validator contributes to beacons.
func (s msgServer) AnnounceBeaconKey(ctx context.Context, msg *auditv1.MsgAnnounceBeaconKey) (*auditv1.MsgAnnounceBeaconKeyResponse, error) {
	account, _, err := s.parseAccount("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	sdkCtx.GasMeter().ConsumeGas(keyGas, "checking a beacon key")
	validator, err := s.announced(ctx, account, msg)
	if err != nil {
		return nil, err
	}
	from, err := s.announce(ctx, validator, beacon.PublicKey(msg.Key))
	if err != nil {
		return nil, err
	}
	event := &auditv1.EventBeaconKeyAnnounced{Validator: validator, Key: msg.Key, FromEpoch: from}
	return &auditv1.MsgAnnounceBeaconKeyResponse{FromEpoch: from}, errorsmod.Wrap(sdkCtx.EventManager().EmitTypedEvent(event), "emitting event")
}

// announced checks an announcement and gives the validator that it is for.
func (k *Keeper) announced(ctx context.Context, operator sdk.AccAddress, msg *auditv1.MsgAnnounceBeaconKey) (string, error) {
	validator, err := k.validators.BytesToString(operator)
	if err != nil || len(operator) != beacon.ValidatorSize {
		return "", errorsmod.Wrapf(ErrAddress, "operator %s is no validator's", modkit.Clip(msg.Operator))
	}
	if known, err := k.staking.Validator(ctx, sdk.ValAddress(operator)); err != nil || known == nil {
		return "", errorsmod.Wrapf(ErrUnknownValidator, "operator %s: %s", modkit.Clip(msg.Operator), validator)
	}
	if _, err := beacon.ParseKey(msg.Key); err != nil {
		return "", errorsmod.Wrapf(ErrField, "key: %s", err)
	}
	chainID := sdk.UnwrapSDKContext(ctx).ChainID()
	if err := beacon.VerifyOwner(chainID, [beacon.ValidatorSize]byte(operator), msg.Key, msg.Proof); err != nil {
		return "", errorsmod.Wrapf(ErrKeyProof, "proof: %s", err)
	}
	return validator, nil
}

// UpdateParams replaces all params; governance's.
func (s msgServer) UpdateParams(ctx context.Context, msg *auditv1.MsgUpdateParams) (*auditv1.MsgUpdateParamsResponse, error) {
	_, authority, err := s.parseAccount("authority", msg.Authority)
	if err != nil {
		return nil, err
	}
	if authority != s.authority {
		return nil, errorsmod.Wrapf(ErrNotAuthority, "authority %s: want %s", authority, s.authority)
	}
	if err := validateParams(msg.Params); err != nil {
		return nil, err
	}
	before, err := s.Params(ctx)
	if err != nil {
		return nil, err
	}
	current, err := s.Current(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkRulesChange(before.Report, msg.Params.Report, current.Number); err != nil {
		return nil, err
	}
	return &auditv1.MsgUpdateParamsResponse{}, errorsmod.Wrap(s.params.Set(ctx, msg.Params), "writing audit params")
}
