package reward

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// msgServer answers the module's messages.
type msgServer struct{ *Keeper }

// NewMsgServer is the module's message service over a keeper.
func NewMsgServer(k *Keeper) rewardv1.MsgServer { return msgServer{k} }

// parseAccount reads the address in a field of a message.
func (k *Keeper) parseAccount(field, text string) (sdk.AccAddress, string, error) {
	raw, canonical, err := modkit.Account(k.addresses, text)
	if err != nil {
		return nil, "", errorsmod.Wrapf(ErrAddress, "%s: %s", field, err)
	}
	return raw, canonical, nil
}

// atomic runs a handler's work on a cache of the store, so that a message that fails part of the way
// leaves nothing behind, whoever calls it.
func atomic(ctx context.Context, work func(sdk.Context) error) error {
	cache, write := sdk.UnwrapSDKContext(ctx).CacheContext()
	if err := work(cache); err != nil {
		return err
	}
	write()
	return nil
}

// Claim pays devices' owners what a final report gives them.
func (s msgServer) Claim(ctx context.Context, msg *rewardv1.MsgClaim) (*rewardv1.MsgClaimResponse, error) {
	payer, text, err := s.parseAccount("payer", msg.Payer)
	if err != nil {
		return nil, err
	}
	service, err := parseService("service", msg.Service)
	if err != nil {
		return nil, err
	}
	response := &rewardv1.MsgClaimResponse{}
	err = atomic(ctx, func(ctx sdk.Context) error {
		response.Paid, response.Fee, err = s.claim(ctx, payer, text, service, msg.Epoch, msg.Proofs)
		return err
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// SetRelay says what others may keep of the claims that they send for an owner.
func (s msgServer) SetRelay(ctx context.Context, msg *rewardv1.MsgSetRelay) (*rewardv1.MsgSetRelayResponse, error) {
	_, owner, err := s.parseAccount("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	params, err := s.Params(ctx)
	if err != nil {
		return nil, err
	}
	if msg.FeeBps > params.MaxRelayBps {
		return nil, errorsmod.Wrapf(ErrField, "fee_bps %d: at most %d", msg.FeeBps, params.MaxRelayBps)
	}
	if msg.FeeBps == 0 {
		err = s.relays.Remove(ctx, owner)
	} else {
		err = s.relays.Set(ctx, owner, rewardv1.Relay{Owner: owner, FeeBps: msg.FeeBps})
	}
	if err != nil {
		return nil, errorsmod.Wrapf(err, "writing relay setting of %s", owner)
	}
	return &rewardv1.MsgSetRelayResponse{}, emit(sdk.UnwrapSDKContext(ctx), &rewardv1.EventRelaySet{Owner: owner, FeeBps: msg.FeeBps})
}

// Boost escrows money for the devices of a cell.
func (s msgServer) Boost(ctx context.Context, msg *rewardv1.MsgBoost) (*rewardv1.MsgBoostResponse, error) {
	sponsor, text, err := s.parseAccount("sponsor", msg.Sponsor)
	if err != nil {
		return nil, err
	}
	if _, err := parseService("service", msg.Service); err != nil {
		return nil, err
	}
	boost := rewardv1.Boost{Sponsor: text, Service: msg.Service, Cell: msg.Cell, PerEpoch: msg.PerEpoch}
	response := &rewardv1.MsgBoostResponse{}
	err = atomic(ctx, func(ctx sdk.Context) error {
		id, escrow, err := s.addBoost(ctx, sponsor, boost, msg.Epochs)
		if err != nil {
			return err
		}
		response.Id = id
		return emit(ctx, &rewardv1.EventBoosted{Id: id, Sponsor: text, Service: msg.Service, Cell: msg.Cell, Escrow: escrow})
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// EndBoost gives back what is left of a boost.
func (s msgServer) EndBoost(ctx context.Context, msg *rewardv1.MsgEndBoost) (*rewardv1.MsgEndBoostResponse, error) {
	_, sender, err := s.parseAccount("sender", msg.Sender)
	if err != nil {
		return nil, err
	}
	boost, err := s.boosts.Get(ctx, msg.Id)
	if err != nil {
		if absent(err) {
			err = ErrNoBoost
		}
		return nil, errorsmod.Wrapf(err, "boost %d", msg.Id)
	}
	current, err := s.epochs.Current(ctx)
	if err != nil {
		return nil, err
	}
	if sender != boost.Sponsor && current.Number <= boost.Last {
		return nil, errorsmod.Wrapf(ErrNotSponsor, "boost %d is %s's, and runs until epoch %d", boost.Id, boost.Sponsor, boost.Last)
	}
	response := &rewardv1.MsgEndBoostResponse{}
	err = atomic(ctx, func(ctx sdk.Context) error {
		response.Refund, err = s.endBoost(ctx, boost)
		return err
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// UpdateParams replaces all params; governance's.
func (s msgServer) UpdateParams(ctx context.Context, msg *rewardv1.MsgUpdateParams) (*rewardv1.MsgUpdateParamsResponse, error) {
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
	return &rewardv1.MsgUpdateParamsResponse{}, errorsmod.Wrap(s.params.Set(ctx, msg.Params), "writing reward params")
}

// claimedOf is what a device has been paid of a service.
func (k *Keeper) claimedOf(ctx context.Context, service uint32, device uint64) (rewardv1.Claimed, error) {
	c, err := orNew(ctx, k.claimed, collections.Join(service, device), func() rewardv1.Claimed {
		return rewardv1.Claimed{Service: service, Device: device, Amount: zero}
	})
	return c, errorsmod.Wrapf(err, "reading what device %d has claimed", device)
}
