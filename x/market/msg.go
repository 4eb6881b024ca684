package market

import marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"

type msgServer struct {
	marketv1.UnimplementedMsgServer
	*Keeper
}

// NewMsgServer is the module's message service over a keeper.
func NewMsgServer(k *Keeper) marketv1.MsgServer { return &msgServer{Keeper: k} }
