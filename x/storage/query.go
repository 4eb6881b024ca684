package storage

import (
	"context"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
)

// queryServer answers the module's queries.
type queryServer struct{ *Keeper }

// NewQueryServer is the module's query service over a keeper.
func NewQueryServer(k *Keeper) storagev1.QueryServer { return queryServer{k} }

// Params gives the parameters.
func (s queryServer) Params(ctx context.Context, _ *storagev1.QueryParamsRequest) (*storagev1.QueryParamsResponse, error) {
	params, err := s.Keeper.Params(ctx)
	return &storagev1.QueryParamsResponse{Params: params}, err
}

// Snapshot gives the latest anchor of a renter.
func (s queryServer) Snapshot(ctx context.Context, req *storagev1.QuerySnapshotRequest) (*storagev1.QuerySnapshotResponse, error) {
	renter, err := s.parseAccount("renter", req.Renter)
	if err != nil {
		return nil, err
	}
	snapshot, err := s.Keeper.Snapshot(ctx, renter)
	return &storagev1.QuerySnapshotResponse{Snapshot: snapshot}, err
}
