package storage

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"github.com/cosmos/cosmos-sdk/types/query"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/x/audit"
)

// epochOf gives an epoch by its number, the running one for 0.
func (s queryServer) epochOf(ctx context.Context, number uint64) (auditv1.Epoch, error) {
	if number == 0 {
		return s.epochs.Current(ctx)
	}
	return s.epochs.EpochAt(ctx, number)
}

// Commitment gives what a device committed to.
func (s queryServer) Commitment(ctx context.Context, req *storagev1.QueryCommitmentRequest) (*storagev1.QueryCommitmentResponse, error) {
	epoch, err := s.epochOf(ctx, req.Epoch)
	if err != nil {
		return nil, err
	}
	res := &storagev1.QueryCommitmentResponse{}
	if c, found, err := last(ctx, s.commitments, req.Device, epoch.Number); err != nil {
		return nil, err
	} else if found {
		res.InForce = &c
	}
	c, found, err := last(ctx, s.commitments, req.Device, ^uint64(0))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errorsmod.Wrapf(ErrNoCommitment, "device %d", req.Device)
	}
	res.Latest = &c
	return res, nil
}

// Challenge gives what a device is asked in an epoch.
func (s queryServer) Challenge(ctx context.Context, req *storagev1.QueryChallengeRequest) (*storagev1.QueryChallengeResponse, error) {
	epoch, err := s.epochOf(ctx, req.Epoch)
	if err != nil {
		return nil, err
	}
	c := storagev1.Challenge{Device: req.Device, Epoch: epoch.Number, Beacon: epoch.Beacon, Weak: epoch.Weak}
	a, err := s.asks(ctx, req.Device, epoch)
	if err != nil && !errors.Is(err, ErrNoCommitment) {
		return nil, err
	}
	if err == nil {
		c.Commitment, c.Challenged = &a.commitment, a.due
		if a.due {
			c.Positions = a.positions()
		}
	}
	if c.Terms, err = s.termsAt(ctx, epoch.Number); err != nil {
		return nil, err
	}
	if p, found, err := row(ctx, s.proofs, collections.Join(req.Device, epoch.Number)); err != nil {
		return nil, err
	} else if found {
		c.Proof = &p
	}
	return &storagev1.QueryChallengeResponse{Challenge: c}, nil
}

// Fact gives what is known of a device in an epoch.
func (s queryServer) Fact(ctx context.Context, req *storagev1.QueryFactRequest) (*storagev1.QueryFactResponse, error) {
	f, err := s.fact(ctx, req.Epoch, req.Device)
	return &storagev1.QueryFactResponse{Fact: f}, err
}

func (s queryServer) fact(ctx context.Context, epoch, device uint64) (storagev1.Fact, error) {
	f, err := s.Keeper.Fact(ctx, epoch, device)
	if err != nil {
		return storagev1.Fact{}, err
	}
	encoded, err := f.MarshalBinary()
	if err != nil {
		return storagev1.Fact{}, errorsmod.Wrapf(err, "fact of device %d in epoch %d", device, epoch)
	}
	return storagev1.Fact{
		Device: f.Device, Epoch: f.Epoch, Challenged: f.Challenged, Passed: f.Passed, Failed: f.Failed,
		Proved: f.Proved, Leased: f.Leased, Encoded: encoded,
	}, nil
}

// Facts gives the facts of an epoch, ascending by device.
func (s queryServer) Facts(ctx context.Context, req *storagev1.QueryFactsRequest) (*storagev1.QueryFactsResponse, error) {
	// A device without a fact is left out of its page, whose limit still bounds the work.
	known, page, err := query.CollectionPaginate(ctx, s.standings, req.Pagination,
		func(device uint64, _ storagev1.Standing) (*storagev1.Fact, error) {
			f, err := s.fact(ctx, req.Epoch, device)
			if errors.Is(err, audit.ErrNoFact) {
				return nil, nil
			}
			return &f, err
		})
	if err != nil {
		return nil, errorsmod.Wrapf(err, "listing facts of epoch %d", req.Epoch)
	}
	res := &storagev1.QueryFactsResponse{Pagination: page}
	for _, f := range known {
		if f != nil {
			res.Facts = append(res.Facts, *f)
		}
	}
	return res, nil
}

// Fault gives one recorded fault.
func (s queryServer) Fault(ctx context.Context, req *storagev1.QueryFaultRequest) (*storagev1.QueryFaultResponse, error) {
	fault, found, err := row(ctx, s.faults, collections.Join3(req.Device, int32(req.Kind), req.Subject))
	if err == nil && !found {
		err = errorsmod.Wrapf(ErrNoFault, "device %d, %s %d", req.Device, kindName(req.Kind), req.Subject)
	}
	return &storagev1.QueryFaultResponse{Fault: fault}, err
}

// Faults lists recorded faults, all or a device's.
func (s queryServer) Faults(ctx context.Context, req *storagev1.QueryFaultsRequest) (*storagev1.QueryFaultsResponse, error) {
	var under []func(*query.CollectionsPaginateOptions[faultKey])
	if req.Device != 0 {
		prefix := collections.TriplePrefix[uint64, int32, uint64](req.Device)
		under = append(under, func(o *query.CollectionsPaginateOptions[faultKey]) { o.Prefix = &prefix })
	}
	faults, page, err := query.CollectionPaginate(ctx, s.faults, req.Pagination,
		func(_ faultKey, f storagev1.Fault) (storagev1.Fault, error) { return f, nil }, under...)
	return &storagev1.QueryFaultsResponse{Faults: faults, Pagination: page}, errorsmod.Wrap(err, "listing faults")
}

// Standing gives how a device does.
func (s queryServer) Standing(ctx context.Context, req *storagev1.QueryStandingRequest) (*storagev1.QueryStandingResponse, error) {
	standing, found, err := row(ctx, s.standings, req.Device)
	if err == nil && !found {
		err = errorsmod.Wrapf(ErrNoCommitment, "device %d", req.Device)
	}
	return &storagev1.QueryStandingResponse{Standing: standing}, err
}

// Standings lists how all devices do.
func (s queryServer) Standings(ctx context.Context, req *storagev1.QueryStandingsRequest) (*storagev1.QueryStandingsResponse, error) {
	standings, page, err := query.CollectionPaginate(ctx, s.standings, req.Pagination,
		func(_ uint64, standing storagev1.Standing) (storagev1.Standing, error) { return standing, nil })
	return &storagev1.QueryStandingsResponse{Standings: standings, Pagination: page}, errorsmod.Wrap(err, "listing standings")
}

// Audit gives an open audit.
func (s queryServer) Audit(ctx context.Context, req *storagev1.QueryAuditRequest) (*storagev1.QueryAuditResponse, error) {
	a, err := s.Keeper.Audit(ctx, req.Audit)
	return &storagev1.QueryAuditResponse{Audit: a}, err
}

// Audits lists open audits, all or a device's.
func (s queryServer) Audits(ctx context.Context, req *storagev1.QueryAuditsRequest) (*storagev1.QueryAuditsResponse, error) {
	audits, page, err := query.CollectionFilteredPaginate(ctx, s.audits, req.Pagination,
		func(_ uint64, a storagev1.Audit) (bool, error) { return req.Device == 0 || a.Device == req.Device, nil },
		func(_ uint64, a storagev1.Audit) (storagev1.Audit, error) { return a, nil })
	return &storagev1.QueryAuditsResponse{Audits: audits, Pagination: page}, errorsmod.Wrap(err, "listing audits")
}
