package audit

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"github.com/cosmos/cosmos-sdk/types/query"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
)

// queryServer answers the module's queries.
type queryServer struct {
	*Keeper
	*auditv1.UnimplementedQueryServer
}

// NewQueryServer is the module's query service over a keeper.
func NewQueryServer(k *Keeper) auditv1.QueryServer { return queryServer{Keeper: k} }

// Params gives the parameters.
func (s queryServer) Params(ctx context.Context, _ *auditv1.QueryParamsRequest) (*auditv1.QueryParamsResponse, error) {
	params, err := s.Keeper.Params(ctx)
	return &auditv1.QueryParamsResponse{Params: params}, err
}

// CurrentEpoch gives the running epoch, and how its successor comes along.
func (s queryServer) CurrentEpoch(ctx context.Context, _ *auditv1.QueryCurrentEpochRequest) (*auditv1.QueryCurrentEpochResponse, error) {
	epoch, err := s.Current(ctx)
	if err != nil {
		return nil, err
	}
	params, err := s.Keeper.Params(ctx)
	if err != nil {
		return nil, err
	}
	outputs, err := s.collected(ctx)
	return &auditv1.QueryCurrentEpochResponse{
		Epoch: epoch, NextHeight: newSchedule(epoch, params.Beacon).due, Outputs: outputs,
	}, err
}

// Epoch gives an epoch that is kept.
func (s queryServer) Epoch(ctx context.Context, req *auditv1.QueryEpochRequest) (*auditv1.QueryEpochResponse, error) {
	epoch, err := s.EpochAt(ctx, req.Number)
	return &auditv1.QueryEpochResponse{Epoch: epoch}, err
}

// Epochs lists the epochs that are kept.
func (s queryServer) Epochs(ctx context.Context, req *auditv1.QueryEpochsRequest) (*auditv1.QueryEpochsResponse, error) {
	epochs, page, err := query.CollectionPaginate(ctx, s.epochs, req.Pagination,
		func(_ uint64, e auditv1.Epoch) (auditv1.Epoch, error) { return e, nil })
	return &auditv1.QueryEpochsResponse{Epochs: epochs, Pagination: page}, errorsmod.Wrap(err, "listing epochs")
}

// Contributor gives a validator's beacon key and what it contributed.
func (s queryServer) Contributor(ctx context.Context, req *auditv1.QueryContributorRequest) (*auditv1.QueryContributorResponse, error) {
	_, validator, err := s.parseValidator("validator", req.Validator)
	if err != nil {
		return nil, err
	}
	contributor, err := s.contributor(ctx, validator)
	return &auditv1.QueryContributorResponse{Contributor: contributor}, err
}

func (k *Keeper) contributor(ctx context.Context, validator string) (c auditv1.Contributor, err error) {
	if c.Record, err = k.record(ctx, validator); err != nil {
		return c, err
	}
	c.Key, err = k.keysOf(ctx, validator)
	return c, err
}

// Contributors lists the validators that were in the active set when an epoch turned.
func (s queryServer) Contributors(ctx context.Context, req *auditv1.QueryContributorsRequest) (*auditv1.QueryContributorsResponse, error) {
	contributors, page, err := query.CollectionPaginate(ctx, s.records, req.Pagination,
		func(validator string, _ auditv1.BeaconRecord) (auditv1.Contributor, error) {
			return s.contributor(ctx, validator)
		})
	return &auditv1.QueryContributorsResponse{Contributors: contributors, Pagination: page}, errorsmod.Wrap(err, "listing contributors")
}

// HookFailures lists what failed at the end of epochs that are kept.
func (s queryServer) HookFailures(ctx context.Context, req *auditv1.QueryHookFailuresRequest) (*auditv1.QueryHookFailuresResponse, error) {
	failures, page, err := query.CollectionPaginate(ctx, s.failures, req.Pagination,
		func(_ collections.Pair[uint64, string], f auditv1.HookFailure) (auditv1.HookFailure, error) {
			return f, nil
		})
	return &auditv1.QueryHookFailuresResponse{Failures: failures, Pagination: page}, errorsmod.Wrap(err, "listing failures")
}
