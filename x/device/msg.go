package device

import (
	"context"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/internal/modkit"
)

// msgServer answers the module's messages. Each handler parses, authorises, makes one change
// and says so in one event.
type msgServer struct{ *Keeper }

// NewMsgServer is the module's message service over a keeper.
func NewMsgServer(k *Keeper) devicev1.MsgServer { return msgServer{k} }

// account reads the address in a field of a message.
func (k *Keeper) parseAccount(field, text string) (sdk.AccAddress, string, error) {
	raw, canonical, err := modkit.Account(k.addresses, text)
	if err != nil {
		return nil, "", errorsmod.Wrapf(ErrAddress, "%s: %s", field, err)
	}
	return raw, canonical, nil
}

// parseOr reads the address in a field that may be empty and then means another one.
func (k *Keeper) parseOr(field, text, otherwise string) (string, error) {
	if text == "" {
		return otherwise, nil
	}
	_, canonical, err := k.parseAccount(field, text)
	return canonical, err
}

// parseBond reads collateral in the only denomination that a device holds. A coin left out
// altogether is none.
func parseBond(field string, coin sdk.Coin, denom string) (sdk.Coin, error) {
	if coin.Denom == "" && (coin.Amount.IsNil() || coin.Amount.IsZero()) {
		return sdk.Coin{Denom: denom, Amount: math.ZeroInt()}, nil
	}
	if coin.Denom != denom {
		return sdk.Coin{}, errorsmod.Wrapf(ErrAmount, "%s in %q: want %s", field, modkit.Clip(coin.Denom), denom)
	}
	if err := checkAmount(coin.Amount); err != nil {
		return sdk.Coin{}, errorsmod.Wrapf(ErrAmount, "%s: %s", field, err)
	}
	return coin, nil
}

// emit sends a typed event.
func emit(ctx context.Context, event proto.Message) error {
	return errorsmod.Wrap(sdk.UnwrapSDKContext(ctx).EventManager().EmitTypedEvent(event), "emitting event")
}

// Register adds a device; its key has signed over (chain, owner, nonce).
func (s msgServer) Register(ctx context.Context, msg *devicev1.MsgRegister) (*devicev1.MsgRegisterResponse, error) {
	owner, ownerText, err := s.parseAccount("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	operator, err := s.parseOr("operator", msg.Operator, ownerText)
	if err != nil {
		return nil, err
	}
	params, err := s.Params(ctx)
	if err != nil {
		return nil, err
	}
	bond, err := parseBond("bond", msg.Bond, params.Deposit.Denom)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	d := devicev1.Device{
		Owner:        ownerText,
		Operator:     operator,
		Pubkey:       msg.Pubkey,
		Kind:         msg.Kind,
		Model:        msg.Model,
		Cell:         msg.Cell,
		Elevation:    msg.Elevation,
		Region:       msg.Region,
		Endpoint:     msg.Endpoint,
		Deposit:      params.Deposit,
		Bond:         bond,
		State:        devicev1.DeviceState_DEVICE_STATE_ACTIVE,
		RegisteredAt: sdkCtx.BlockTime().Unix(),
	}
	if err := checkDevice(d, params); err != nil {
		return nil, err
	}
	nonce, err := s.nonce(ctx, ownerText)
	if err != nil {
		return nil, err
	}
	sdkCtx.GasMeter().ConsumeGas(gasSignature, "device key signature")
	signed := coredevice.RegistrationBytes(sdkCtx.ChainID(), ownerText, nonce)
	if err := coredevice.Verify(int32(d.Pubkey.Type), d.Pubkey.Key, signed, msg.Signature); err != nil {
		return nil, errorsmod.Wrapf(ErrSignature, "signature over chain %s, owner %s, nonce %d: %s", sdkCtx.ChainID(), ownerText, nonce, err)
	}
	id, err := s.add(ctx, owner, d)
	if err != nil {
		return nil, err
	}
	if err := s.nonces.Set(ctx, ownerText, nonce+1); err != nil {
		return nil, errorsmod.Wrapf(err, "writing nonce of %s", ownerText)
	}
	return &devicev1.MsgRegisterResponse{Id: id}, emit(ctx, &devicev1.EventRegistered{Id: id, Owner: ownerText, Kind: d.Kind})
}

// Announce sets endpoint and model.
func (s msgServer) Announce(ctx context.Context, msg *devicev1.MsgAnnounce) (*devicev1.MsgAnnounceResponse, error) {
	_, operator, err := s.parseAccount("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	if err := checkEndpoint(msg.Endpoint); err != nil {
		return nil, err
	}
	if err := checkModel(msg.Model); err != nil {
		return nil, err
	}
	d, err := s.Operated(ctx, msg.Id, operator)
	if err != nil {
		return nil, err
	}
	if d.State == devicev1.DeviceState_DEVICE_STATE_RETIRED {
		return nil, errorsmod.Wrapf(ErrRetired, "device %d", d.Id)
	}
	d.Endpoint, d.Model = msg.Endpoint, msg.Model
	return &devicev1.MsgAnnounceResponse{}, s.update(ctx, d)
}

// Relocate sets the place.
func (s msgServer) Relocate(ctx context.Context, msg *devicev1.MsgRelocate) (*devicev1.MsgRelocateResponse, error) {
	_, owner, err := s.parseAccount("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	if err := checkPlace(msg.Cell, msg.Elevation, msg.Region); err != nil {
		return nil, err
	}
	d, err := s.owned(ctx, msg.Id, owner)
	if err != nil {
		return nil, err
	}
	d.Cell, d.Elevation, d.Region = msg.Cell, msg.Elevation, msg.Region
	return &devicev1.MsgRelocateResponse{}, s.update(ctx, d)
}

// RotateOperator replaces the hot account.
func (s msgServer) RotateOperator(ctx context.Context, msg *devicev1.MsgRotateOperator) (*devicev1.MsgRotateOperatorResponse, error) {
	_, owner, err := s.parseAccount("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	_, operator, err := s.parseAccount("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	d, err := s.owned(ctx, msg.Id, owner)
	if err != nil {
		return nil, err
	}
	d.Operator = operator
	return &devicev1.MsgRotateOperatorResponse{}, s.update(ctx, d)
}

// update writes a device of which something other than owner and state changed.
func (k *Keeper) update(ctx context.Context, d devicev1.Device) error {
	if err := k.devices.Set(ctx, d.Id, d); err != nil {
		return errorsmod.Wrapf(err, "writing device %d", d.Id)
	}
	return emit(ctx, &devicev1.EventUpdated{Id: d.Id})
}

// Transfer offers a device to another owner, or withdraws the offer.
func (s msgServer) Transfer(ctx context.Context, msg *devicev1.MsgTransfer) (*devicev1.MsgTransferResponse, error) {
	_, owner, err := s.parseAccount("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	newOwner, err := s.parseOr("new_owner", msg.NewOwner, "")
	if err != nil {
		return nil, err
	}
	d, err := s.owned(ctx, msg.Id, owner)
	if err != nil {
		return nil, err
	}
	if newOwner == owner {
		return nil, errorsmod.Wrapf(ErrField, "new_owner %s owns device %d already", newOwner, d.Id)
	}
	d.PendingOwner = newOwner
	if err := s.devices.Set(ctx, d.Id, d); err != nil {
		return nil, errorsmod.Wrapf(err, "writing device %d", d.Id)
	}
	return &devicev1.MsgTransferResponse{}, emit(ctx, &devicev1.EventTransferOffered{Id: d.Id, Owner: owner, NewOwner: newOwner})
}

// AcceptTransfer takes over a device with its income, deposit, bond and obligations.
func (s msgServer) AcceptTransfer(ctx context.Context, msg *devicev1.MsgAcceptTransfer) (*devicev1.MsgAcceptTransferResponse, error) {
	_, newOwner, err := s.parseAccount("new_owner", msg.NewOwner)
	if err != nil {
		return nil, err
	}
	operator, err := s.parseOr("operator", msg.Operator, newOwner)
	if err != nil {
		return nil, err
	}
	d, err := s.Device(ctx, msg.Id)
	if err != nil {
		return nil, err
	}
	if d.PendingOwner != newOwner {
		return nil, errorsmod.Wrapf(ErrNotOffered, "device %d, new_owner %s", d.Id, newOwner)
	}
	devices, err := s.room(ctx, newOwner)
	if err != nil {
		return nil, err
	}
	if err := s.hold(ctx, newOwner, devices+1); err != nil {
		return nil, err
	}
	if err := s.release(ctx, d.Owner); err != nil {
		return nil, err
	}
	d.Owner, d.Operator, d.PendingOwner = newOwner, operator, ""
	if err := s.devices.Set(ctx, d.Id, d); err != nil {
		return nil, errorsmod.Wrapf(err, "writing device %d", d.Id)
	}
	return &devicev1.MsgAcceptTransferResponse{}, emit(ctx, &devicev1.EventTransferred{Id: d.Id, Owner: newOwner})
}

// AddBond raises the collateral.
func (s msgServer) AddBond(ctx context.Context, msg *devicev1.MsgAddBond) (*devicev1.MsgAddBondResponse, error) {
	owner, ownerText, err := s.parseAccount("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	d, err := s.owned(ctx, msg.Id, ownerText)
	if err != nil {
		return nil, err
	}
	amount, err := parseBond("amount", msg.Amount, d.Bond.Denom)
	if err != nil {
		return nil, err
	}
	if amount.IsZero() {
		return nil, errorsmod.Wrap(ErrAmount, "amount: 0 adds nothing")
	}
	if err := s.bank.SendCoinsFromAccountToModule(ctx, owner, ModuleName, sdk.NewCoins(amount)); err != nil {
		return nil, errorsmod.Wrapf(err, "taking bond %s from %s", amount, ownerText)
	}
	d.Bond = d.Bond.Add(amount)
	return &devicev1.MsgAddBondResponse{}, s.update(ctx, d)
}

// Retire starts the leaving of a device, or ends it once the unbonding time has passed, since
// the start and since the last of the device's leases.
func (s msgServer) Retire(ctx context.Context, msg *devicev1.MsgRetire) (*devicev1.MsgRetireResponse, error) {
	owner, ownerText, err := s.parseAccount("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	d, err := s.owned(ctx, msg.Id, ownerText)
	if err != nil {
		return nil, err
	}
	if d.State == devicev1.DeviceState_DEVICE_STATE_RETIRING {
		d, err = s.discharge(ctx, owner, d)
	} else {
		d, err = s.retire(ctx, d)
	}
	if err != nil {
		return nil, err
	}
	return &devicev1.MsgRetireResponse{State: d.State, ReleaseAt: d.ReleaseAt},
		emit(ctx, &devicev1.EventStateChanged{Id: d.Id, State: d.State})
}

// UpdateParams replaces all params; governance's.
func (s msgServer) UpdateParams(ctx context.Context, msg *devicev1.MsgUpdateParams) (*devicev1.MsgUpdateParamsResponse, error) {
	if err := s.govern(msg.Authority); err != nil {
		return nil, err
	}
	if err := validateParams(msg.Params); err != nil {
		return nil, err
	}
	return &devicev1.MsgUpdateParamsResponse{}, errorsmod.Wrap(s.params.Set(ctx, msg.Params), "writing device params")
}
