package storage

import (
	"context"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// account is an address as bytes and in canonical spelling.
type account struct {
	raw  sdk.AccAddress
	text string
}

// parse reads the address in a field of a message.
func (k *Keeper) parse(field, text string) (account, error) {
	raw, canonical, err := modkit.Account(k.addresses, text)
	if err != nil {
		return account{}, errorsmod.Wrapf(ErrAddress, "%s: %s", field, err)
	}
	return account{raw, canonical}, nil
}

// emit sends a typed event.
func emit(ctx context.Context, event proto.Message) error {
	return errorsmod.Wrap(sdk.UnwrapSDKContext(ctx).EventManager().EmitTypedEvent(event), "emitting event")
}

// CommitTree says what a device holds.
func (s msgServer) CommitTree(ctx context.Context, msg *storagev1.MsgCommitTree) (*storagev1.MsgCommitTreeResponse, error) {
	operator, err := s.parse("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	d, err := s.stores(ctx, msg.Device, operator.text)
	if err != nil {
		return nil, err
	}
	c, previous, err := s.commitTree(ctx, d, storagev1.Commitment{Device: d.Id, Version: msg.Version, Root: msg.Root, Total: msg.Total})
	if err != nil {
		return nil, err
	}
	return &storagev1.MsgCommitTreeResponse{Since: c.Since}, emit(ctx, &storagev1.EventTreeCommitted{Commitment: c, PreviousTotal: previous})
}

// Prove answers the challenge of the running epoch.
func (s msgServer) Prove(ctx context.Context, msg *storagev1.MsgProve) (*storagev1.MsgProveResponse, error) {
	operator, err := s.parse("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	d, err := s.stores(ctx, msg.Device, operator.text)
	if err != nil {
		return nil, err
	}
	p, err := s.prove(ctx, d, msg.Epoch, msg.Proofs)
	if err != nil {
		return nil, err
	}
	return &storagev1.MsgProveResponse{Proved: p.Proved},
		emit(ctx, &storagev1.EventChallengePassed{Device: d.Id, Epoch: p.Epoch, Positions: p.Positions, Proved: p.Proved})
}

// ReportFault points at a challenge that was not answered.
func (s msgServer) ReportFault(ctx context.Context, msg *storagev1.MsgReportFault) (*storagev1.MsgReportFaultResponse, error) {
	reporter, err := s.parse("reporter", msg.Reporter)
	if err != nil {
		return nil, err
	}
	fault, err := s.reportFault(ctx, reporter, msg.Device, msg.Epoch)
	if err != nil {
		return nil, err
	}
	return &storagev1.MsgReportFaultResponse{Slashed: fault.Slashed, Bounty: fault.Bounty}, nil
}

// AuditInclusion asks for a piece that the device gave a receipt for.
func (s msgServer) AuditInclusion(ctx context.Context, msg *storagev1.MsgAuditInclusion) (*storagev1.MsgAuditInclusionResponse, error) {
	opener, err := s.parse("opener", msg.Opener)
	if err != nil {
		return nil, err
	}
	a, err := s.openInclusion(ctx, opener, msg.Receipt)
	if err != nil {
		return nil, err
	}
	return &storagev1.MsgAuditInclusionResponse{Audit: a.Id, Deadline: a.Deadline}, nil
}

// ProveInclusion answers an inclusion audit.
func (s msgServer) ProveInclusion(ctx context.Context, msg *storagev1.MsgProveInclusion) (*storagev1.MsgProveInclusionResponse, error) {
	operator, err := s.parse("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	if err := s.proveInclusion(ctx, operator, msg.Audit, msg.Proof, msg.Release); err != nil {
		return nil, err
	}
	return &storagev1.MsgProveInclusionResponse{}, nil
}

// Escalate asks on chain for what a device did not show to a peer.
func (s msgServer) Escalate(ctx context.Context, msg *storagev1.MsgEscalate) (*storagev1.MsgEscalateResponse, error) {
	operator, err := s.parse("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	if _, err := s.stores(ctx, msg.Challenger, operator.text); err != nil {
		return nil, errorsmod.Wrap(err, "challenger")
	}
	a, err := s.escalate(ctx, operator, msg.Challenger, msg.Device, msg.Epoch, msg.Index)
	if err != nil {
		return nil, err
	}
	return &storagev1.MsgEscalateResponse{Audit: a.Id, Deadline: a.Deadline}, nil
}

// ProvePosition answers an escalation.
func (s msgServer) ProvePosition(ctx context.Context, msg *storagev1.MsgProvePosition) (*storagev1.MsgProvePositionResponse, error) {
	operator, err := s.parse("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	if err := s.provePosition(ctx, operator, msg.Audit, msg.Proof); err != nil {
		return nil, err
	}
	return &storagev1.MsgProvePositionResponse{}, nil
}

// CloseAudit ends an audit that was not answered in time.
func (s msgServer) CloseAudit(ctx context.Context, msg *storagev1.MsgCloseAudit) (*storagev1.MsgCloseAuditResponse, error) {
	if _, err := s.parse("sender", msg.Sender); err != nil {
		return nil, err
	}
	fault, err := s.closeAudit(ctx, msg.Audit)
	if err != nil {
		return nil, err
	}
	return &storagev1.MsgCloseAuditResponse{Slashed: fault.Slashed, Bounty: fault.Bounty}, nil
}
