package storagenode

import (
	"bytes"
	"context"
	"fmt"

	core "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/voucher"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// admitPeer lets another device ask, if the epoch's beacon drew it and it has proven its device key.
func (h *handler) admitPeer(ctx context.Context, hello wire.Hello, peer []byte) (wire.Service, wire.Terms, error) {
	if h.proofs == nil || !h.proofs.Drawn(ctx, hello.Peer) {
		return nil, wire.Terms{}, wire.Errorf(wire.ErrUnauthorized, "device %d is not drawn to ask", hello.Peer)
	}
	key, _, err := reach(ctx, h.chain, hello.Peer)
	if err != nil {
		return nil, wire.Terms{}, err
	}
	if !bytes.Equal(key, peer) {
		return nil, wire.Terms{}, wire.Errorf(wire.ErrUnauthorized, "device %d has another key", hello.Peer)
	}
	return &peerService{handler: h, peer: hello.Peer}, wire.Terms{Time: h.clock.Now(), MaxPiece: piece.MaxSize}, nil
}

// reach gives the key that a device proves and where it is. ErrUnauthorized for one that speaks no TLS
// of ours.
func reach(ctx context.Context, chain Chain, id uint64) (key []byte, endpoint string, err error) {
	d, err := chain.Device(ctx, id)
	if err != nil {
		return nil, "", err
	}
	if core.CheckKey(int32(d.Pubkey.Type), d.Pubkey.Key) != nil {
		return nil, "", wire.Errorf(wire.ErrUnauthorized, "device %d has no key of ours", id)
	}
	return bytes.Clone(d.Pubkey.Key), d.Endpoint, nil
}

// peerService serves a device that asks, and nothing else.
type peerService struct {
	*handler
	peer uint64
}

var errAsksOnly = wire.Errorf(wire.ErrUnauthorized, "a peer may ask, and nothing else")

// Ask implements wire.Service.
func (s *peerService) Ask(ctx context.Context, epoch uint64, index uint32) ([]byte, error) {
	b, err := s.proofs.Ask(ctx, s.peer, epoch, index)
	if err != nil {
		s.traffic.failures.Add(1)
	}
	return b, code(err)
}

// The rest of wire.Service is for leases.

func (s *peerService) Put(context.Context, wire.PutHeader, *wire.Body) (r piece.SignedReceipt, err error) {
	return r, errAsksOnly
}

func (s *peerService) Get(context.Context, piece.ID, uint32, uint32, *wire.Download) error {
	return errAsksOnly
}

func (s *peerService) Delete(context.Context, []piece.SignedRelease) error { return errAsksOnly }

func (s *peerService) Stat(context.Context, piece.ID) (i wire.Info, err error) {
	return i, errAsksOnly
}

func (s *peerService) List(context.Context, []wire.Listed, piece.ID, int) ([]wire.Listed, bool, error) {
	return nil, false, errAsksOnly
}

func (s *peerService) Challenge(context.Context, piece.ID, uint32) (b []byte, p piece.Proof, err error) {
	return nil, p, errAsksOnly
}

func (s *peerService) Inclusion(context.Context, piece.ID, uint64) ([]byte, error) {
	return nil, errAsksOnly
}

func (s *peerService) Voucher(context.Context, voucher.Signed) error { return errAsksOnly }

func (s *peerService) Close() {}

// peers reaches other devices for a node's watcher, as its device.
type peers Node

// Ask implements possession.Peers.
func (p *peers) Ask(ctx context.Context, device uint64, q wire.Question) error {
	key, endpoint, err := reach(ctx, p.Chain, device)
	if err != nil {
		return err
	}
	if endpoint == "" {
		return fmt.Errorf("device %d says nowhere that it can be reached", device)
	}
	conn, err := wire.Dial(ctx, endpoint, device, key,
		wire.Session{ChainID: p.Identity.ChainID, Peer: p.Identity.Device, PeerKey: p.Identity.Key}, wire.Options{Now: p.Clock.Now})
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Ask(ctx, q)
}
