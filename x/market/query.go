package market

import marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"

type queryServer struct {
	marketv1.UnimplementedQueryServer
	keeper *Keeper
}

// NewQueryServer is the module's query service over a keeper.
func NewQueryServer(k *Keeper) marketv1.QueryServer { return &queryServer{keeper: k} }
