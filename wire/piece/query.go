package piece

import (
	"context"
	"fmt"
	"math"

	"github.com/cairn-network/cairn/core/piece"
)

// Stat describes a piece without its bytes.
func (c *Conn) Stat(ctx context.Context, id piece.ID) (Info, error) {
	buf, err := c.call(ctx, opStat, id[:])
	if err != nil {
		return Info{}, c.wrap("describing", id, err)
	}
	defer buf.free()
	info, rest, err := parseInfo(buf.b)
	if err == nil && len(rest) > 0 {
		err = Errorf(ErrProtocol, "description has %d bytes too many", len(rest))
	}
	if err != nil {
		return Info{}, c.wrap("describing", id, err)
	}
	return info, nil
}

// List returns some of the lease's pieces that come after one id in the provider's own order, which
// never changes; the zero id starts. more tells that there are others after the last one returned.
func (c *Conn) List(ctx context.Context, after piece.ID) (pieces []Listed, more bool, err error) {
	buf, err := c.call(ctx, opList, after[:], le.AppendUint32(nil, MaxList))
	if err == nil {
		defer buf.free()
		pieces, more, err = parseList(buf.b)
	}
	if err == nil && more && len(pieces) == 0 {
		err = Errorf(ErrProtocol, "an empty page, and more to come")
	}
	if err != nil {
		return nil, false, fmt.Errorf("listing pieces on device %d: %w", c.device, err)
	}
	return pieces, more, nil
}

// Challenge makes the provider prove that it holds one chunk of the piece with this root and size.
// ErrCorrupt when the proof does not hold.
func (c *Conn) Challenge(ctx context.Context, id piece.ID, root piece.Root, size uint32, chunk int) error {
	if chunk < 0 || chunk > math.MaxUint32 {
		return c.wrap("challenging", id, Errorf(ErrRange, "chunk %d", chunk))
	}
	buf, err := c.call(ctx, opChallenge, id[:], le.AppendUint32(nil, uint32(chunk)))
	if err != nil {
		return c.wrap("challenging", id, err)
	}
	defer buf.free()
	r := reader{b: buf.b}
	data := r.take(int(r.u16()))
	var proof piece.Proof
	if r.short {
		err = r.end("proof")
	} else if err = proof.UnmarshalBinary(r.b); err == nil {
		err = piece.VerifyChunk(root, uint64(size), chunk, data, proof)
	}
	if err != nil {
		return c.wrap("challenging", id, Errorf(ErrCorrupt, "%v", err))
	}
	return nil
}
