package storage

import (
	"context"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// msgServer answers the module's messages.
type msgServer struct{ *Keeper }

// NewMsgServer is the module's message service over a keeper.
func NewMsgServer(k *Keeper) storagev1.MsgServer { return msgServer{k} }

// parseAccount reads the address in a field of a message.
func (k *Keeper) parseAccount(field, text string) (string, error) {
	_, canonical, err := modkit.Account(k.addresses, text)
	if err != nil {
		return "", errorsmod.Wrapf(ErrAddress, "%s: %s", field, err)
	}
	return canonical, nil
}

// CommitSnapshot replaces the renter's anchor.
func (s msgServer) CommitSnapshot(ctx context.Context, msg *storagev1.MsgCommitSnapshot) (*storagev1.MsgCommitSnapshotResponse, error) {
	renter, err := s.parseAccount("renter", msg.Renter)
	if err != nil {
		return nil, err
	}
	params, err := s.Params(ctx)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	snapshot := storagev1.Snapshot{
		Renter:      renter,
		Version:     msg.Version,
		Root:        msg.Root,
		Pointer:     msg.Pointer,
		CommittedAt: sdkCtx.BlockTime().Unix(),
	}
	if err := checkSnapshot(snapshot, params); err != nil {
		return nil, err
	}
	if err := s.commit(ctx, snapshot); err != nil {
		return nil, err
	}
	event := &storagev1.EventSnapshotCommitted{Renter: renter, Version: snapshot.Version}
	return &storagev1.MsgCommitSnapshotResponse{}, errorsmod.Wrap(sdkCtx.EventManager().EmitTypedEvent(event), "emitting event")
}

// UpdateParams replaces all params; governance's.
func (s msgServer) UpdateParams(ctx context.Context, msg *storagev1.MsgUpdateParams) (*storagev1.MsgUpdateParamsResponse, error) {
	authority, err := s.parseAccount("authority", msg.Authority)
	if err != nil {
		return nil, err
	}
	if authority != s.authority {
		return nil, errorsmod.Wrapf(ErrNotAuthority, "authority %s: want %s", authority, s.authority)
	}
	if err := validateParams(msg.Params); err != nil {
		return nil, err
	}
	if err := s.params.Set(ctx, msg.Params); err != nil {
		return nil, errorsmod.Wrap(err, "writing storage params")
	}
	return &storagev1.MsgUpdateParamsResponse{}, s.setTerms(ctx, msg.Params.Possession)
}
