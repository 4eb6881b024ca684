package chainclient

import (
	"context"
	"errors"
	"fmt"

	tendermintv1beta1 "cosmossdk.io/api/cosmos/base/tendermint/v1beta1"
	abci "cosmossdk.io/api/tendermint/abci"
	abcitypes "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	gogoproto "github.com/cosmos/gogoproto/proto"

	"github.com/cairn-network/cairn/internal/clock"
)

// Event is something that happened in a block.
type Event struct {
	Type       string // of our modules: the message's full name, "cairn.market.v1.EventSettled"
	Attributes []Attribute
}

// Attribute is one field of an event; of our modules' events the value is JSON.
type Attribute struct{ Key, Value string }

// Message decodes an event of our modules: *marketv1.EventSettled and its like. The package
// that declares the message must be linked.
func (e Event) Message() (gogoproto.Message, error) {
	raw := abcitypes.Event{Type: e.Type}
	for _, a := range e.Attributes {
		raw.Attributes = append(raw.Attributes, abcitypes.EventAttribute{Key: a.Key, Value: a.Value})
	}
	m, err := sdk.ParseTypedEvent(raw)
	if err != nil {
		return nil, fmt.Errorf("reading event %s: %w", e.Type, err)
	}
	return m, nil
}

// BlockEvents is what happened in one block, in order: the transactions that succeeded, then
// the block's own work (deadlines, awards).
type BlockEvents struct {
	Height int64
	Events []Event
}

// Follow calls fn with every block from height from on, each once and in order, and goes on as
// blocks come; from 0 begins with the next block. A node that is away is waited for, whatever
// the client's patience. It returns fn's error, that of ctx, or ErrPruned when the node no
// longer has a block: then read the state afresh and follow from there. To resume after a
// restart, store the height together with the block's effects and follow from the one after.
func (c *Client) Follow(ctx context.Context, from int64, fn func(context.Context, BlockEvents) error) error {
	var tip int64
	for next := from; ; {
		if next > tip || next == 0 {
			latest, err := c.LatestBlock(ctx)
			if err != nil && !errors.Is(err, ErrUnreachable) {
				return err
			}
			tip = latest.Height // 0 while the node is away
			if next == 0 && tip > 0 {
				next = tip + 1
			}
		}
		if next <= tip {
			block, err := c.blockEvents(ctx, next)
			switch {
			case err == nil:
				if err := fn(ctx, block); err != nil {
					return err
				}
				next++
				continue
			case errors.Is(err, ErrUnreachable), next == tip && errors.As(err, new(*nodeError)):
				// A node shows a block before it has executed it.
				tip = 0
			case errors.As(err, new(*nodeError)):
				return fmt.Errorf("%w: %w", ErrPruned, err)
			default:
				return err
			}
		}
		if err := clock.Sleep(ctx, c.clock, blockPoll); err != nil {
			return err
		}
	}
}

// nodeError is the node's own refusal, as against a call that did not get through.
type nodeError struct {
	height int64
	err    error
}

func (e *nodeError) Error() string { return fmt.Sprintf("results of block %d: %s", e.height, e.err) }
func (e *nodeError) Unwrap() error { return e.err }

func (c *Client) blockEvents(ctx context.Context, height int64) (BlockEvents, error) {
	r, err := c.node.GetBlockResults(ctx, &tendermintv1beta1.GetBlockResultsRequest{Height: height})
	if err != nil {
		if err = queryError(err); ctx.Err() == nil && !errors.Is(err, ErrUnreachable) {
			err = &nodeError{height, err}
		}
		return BlockEvents{}, err
	}
	block := BlockEvents{Height: height}
	for _, t := range r.GetTxsResults() {
		if t.GetCode() == 0 {
			block.Events = appendEvents(block.Events, t.GetEvents())
		}
	}
	block.Events = appendEvents(block.Events, r.GetFinalizeBlockEvents())
	return block, nil
}

func appendEvents(to []Event, from []*abci.Event) []Event {
	for _, e := range from {
		attributes := make([]Attribute, len(e.GetAttributes()))
		for i, a := range e.GetAttributes() {
			attributes[i] = Attribute{a.GetKey(), a.GetValue()}
		}
		to = append(to, Event{Type: e.GetType_(), Attributes: attributes})
	}
	return to
}
