package chainclient

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	authv1beta1 "cosmossdk.io/api/cosmos/auth/v1beta1"
	tendermintv1beta1 "cosmossdk.io/api/cosmos/base/tendermint/v1beta1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx"
	anypb "github.com/cosmos/gogoproto/types/any"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cairn-network/cairn/internal/clock"
)

const (
	// lifetime is how many blocks after signing a transaction may be included.
	lifetime = 30
	// indexLag is how many blocks past the last height a node may take to index the last
	// one it could have been in.
	indexLag = 2
	// rebroadcastAfter is after how many blocks without it a transaction is handed over again.
	rebroadcastAfter = 3
	// submitAttempts bounds how often one Send signs anew: sequence taken by another program
	// with the same account, mempool full, base fee risen. Each attempt waits for a block.
	submitAttempts = 10
)

// TxResult is what became of a transaction that is in a block and succeeded.
type TxResult struct {
	Hash    string // upper-case hexadecimal
	Height  int64
	GasUsed int64
	Events  []Event
	// responses are the messages' responses in order, encoded.
	responses []*anypb.Any
}

// Response decodes what message i of the transaction answered.
func (r TxResult) Response(i int, into Message) error {
	if i >= len(r.responses) {
		return fmt.Errorf("reading response %d of transaction %s: it has %d", i, r.Hash, len(r.responses))
	}
	if err := into.Unmarshal(r.responses[i].Value); err != nil {
		return fmt.Errorf("reading response %d of transaction %s: %w", i, r.Hash, err)
	}
	return nil
}

// Send puts messages into one transaction, all or nothing, and returns once it is in a block.
// Errors: ErrNoAccount; *Error with the chain's code, from the simulation or from the block;
// ErrUnreachable before anything was handed over; ErrNotIncluded. If ctx ends while the
// transaction waits, its fate is unknown and the error names its hash.
func (c *Client) Send(ctx context.Context, messages ...Message) (TxResult, error) {
	packed := make([]*anypb.Any, len(messages))
	for i, m := range messages {
		var err error
		if packed[i], err = pack(m); err != nil {
			return TxResult{}, err
		}
	}
	return c.send(ctx, packed)
}

func (c *Client) send(ctx context.Context, messages []*anypb.Any) (TxResult, error) {
	if c.config.Account == nil {
		return TxResult{}, ErrNoAccount
	}
	for attempt := 1; ; attempt++ {
		t, err := c.submit(ctx, messages)
		if err == nil {
			return c.await(ctx, t)
		}
		if attempt == submitAttempts || !passing(err) {
			return TxResult{}, err
		}
		c.log.Debug("signing transaction anew", "attempt", attempt, "reason", err)
		if err := c.awaitBlock(ctx); err != nil {
			return TxResult{}, err
		}
	}
}

// passing are refusals that the next block may lift.
func passing(err error) bool {
	return errors.Is(err, errWrongSequence) || errors.Is(err, ErrMempoolFull) ||
		errors.Is(err, ErrInsufficientFee) || errors.Is(err, errTimeoutHeight)
}

// flying is a transaction that the node was given.
type flying struct {
	raw        []byte
	hash       string
	lastHeight int64
	handedAt   int64 // height at which it was last handed over
}

// submit simulates, signs and hands over one transaction in the account's order.
func (c *Client) submit(ctx context.Context, messages []*anypb.Any) (*flying, error) {
	chainID, err := c.ChainID(ctx)
	if err != nil {
		return nil, err
	}
	s := c.seq
	if err := s.acquire(ctx); err != nil {
		return nil, err
	}
	if !s.known {
		if err := s.drain(ctx); err != nil {
			return nil, err // and the lock is not held
		}
	}
	defer s.release()
	if !s.known {
		if s.account, s.next, err = c.account(ctx); err != nil {
			return nil, err
		}
		s.known = true
	}
	latest, err := c.LatestBlock(ctx)
	if err != nil {
		return nil, err
	}
	d := draft{
		messages: messages, chainID: chainID, account: s.account, sequence: s.next,
		timeoutHeight: uint64(latest.Height + lifetime), granter: c.config.FeeGranter,
	}
	used, err := c.simulate(ctx, d)
	if err != nil {
		s.known = s.known && !errors.Is(err, errWrongSequence)
		return nil, err
	}
	d.gas = gasLimit(used)
	if d.fee, err = c.feeFor(ctx, d.gas); err != nil {
		return nil, err
	}
	raw, err := d.sign(c.config.Account)
	if err != nil {
		return nil, err
	}
	t := &flying{raw: raw, hash: txHash(raw), lastHeight: latest.Height + lifetime, handedAt: latest.Height}
	switch err := c.handOver(ctx, t); {
	case err == nil:
		s.next++
	case errors.As(err, new(*Error)):
		s.known = s.known && !errors.Is(err, errWrongSequence)
		return nil, err
	default:
		// It may have arrived all the same: it counts as in flight, and await finds out.
		c.log.Warn("handing over transaction", "hash", t.hash, "error", err)
		s.known = false
	}
	s.flight++
	return t, nil
}

// handOver gives the transaction to the node, which checks it. A node that holds it already is
// as good. A refusal is an *Error; anything else leaves open whether it arrived.
func (c *Client) handOver(ctx context.Context, t *flying) error {
	r, err := tx.NewServiceClient(c.conn).BroadcastTx(ctx, &tx.BroadcastTxRequest{TxBytes: t.raw, Mode: tx.BroadcastMode_BROADCAST_MODE_SYNC})
	if err != nil {
		return fmt.Errorf("handing over transaction %s: %w", t.hash, queryError(err))
	}
	if r.TxResponse == nil {
		return fmt.Errorf("handing over transaction %s: empty answer", t.hash)
	}
	if code := (Code{r.TxResponse.Codespace, r.TxResponse.Code}); code.Number != 0 && code != errInMempool {
		return &Error{Code: code, Log: r.TxResponse.RawLog}
	}
	return nil
}

// await polls until the transaction is in a block, can no longer be, or ctx ends.
func (c *Client) await(ctx context.Context, t *flying) (TxResult, error) {
	for {
		// Height first: a transaction that is unknown after the node has been seen past its
		// last height will stay unknown.
		latest, err := c.LatestBlock(ctx)
		if err == nil {
			var r TxResult
			r, err = c.Transaction(ctx, t.hash)
			if !errors.Is(err, ErrNotFound) && (err == nil || errors.As(err, new(*Error))) {
				c.seq.land(true)
				return r, err
			}
		}
		switch {
		case err == nil || errors.Is(err, ErrNotFound):
			if latest.Height > t.lastHeight+indexLag {
				c.seq.land(false)
				return TxResult{}, fmt.Errorf("transaction %s, last height %d: %w", t.hash, t.lastHeight, ErrNotIncluded)
			}
			if latest.Height >= t.handedAt+rebroadcastAfter && latest.Height < t.lastHeight {
				t.handedAt = latest.Height
				if err := c.handOver(ctx, t); err != nil {
					// Refused now, say for a predecessor that the node has yet to get back.
					c.log.Debug("handing over transaction again", "hash", t.hash, "error", err)
				}
			}
		case ctx.Err() == nil:
			c.log.Warn("looking for transaction", "hash", t.hash, "error", err)
		}
		if err := clock.Sleep(ctx, c.clock, blockPoll); err != nil {
			c.seq.land(false)
			return TxResult{}, fmt.Errorf("waiting for transaction %s, which may yet be included: %w", t.hash, err)
		}
	}
}

// awaitBlock waits for a block that is not there yet.
func (c *Client) awaitBlock(ctx context.Context) error {
	before, err := c.LatestBlock(ctx)
	if err != nil {
		return err
	}
	for {
		if err := clock.Sleep(ctx, c.clock, blockPoll); err != nil {
			return err
		}
		now, err := c.LatestBlock(ctx)
		if err != nil {
			return err
		}
		if now.Height > before.Height {
			return nil
		}
	}
}

// account asks for the account's number and its sequence as of the last block.
func (c *Client) account(ctx context.Context) (number, sequence uint64, err error) {
	r, err := authv1beta1.NewQueryClient(c.conn).AccountInfo(ctx, &authv1beta1.QueryAccountInfoRequest{Address: c.Address()})
	if status.Code(err) == codes.NotFound {
		return 0, 0, &Error{Code: ErrUnknownAddress, Log: fmt.Sprintf("account %s is not on the chain yet: send it some CAIRN", c.Address())}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("asking for account %s: %w", c.Address(), queryError(err))
	}
	return r.GetInfo().GetAccountNumber(), r.GetInfo().GetSequence(), nil
}

// simulate runs the transaction against the mempool's state and says how much gas it used.
// It goes by the application's own query path: the gRPC service Simulate loses error codes.
func (c *Client) simulate(ctx context.Context, d draft) (gas uint64, err error) {
	raw, err := d.simulation(c.config.Account)
	if err != nil {
		return 0, err
	}
	r, err := c.node.ABCIQuery(ctx, &tendermintv1beta1.ABCIQueryRequest{Path: "/app/simulate", Data: raw})
	if err != nil {
		return 0, fmt.Errorf("simulating transaction: %w", queryError(err))
	}
	if r.GetCode() != 0 {
		return 0, &Error{Code: Code{r.GetCodespace(), r.GetCode()}, Log: r.GetLog()}
	}
	var result struct {
		Gas struct {
			Used string `json:"gas_used"`
		} `json:"gas_info"`
	}
	if err := json.Unmarshal(r.GetValue(), &result); err != nil {
		return 0, fmt.Errorf("reading simulation: %w", err)
	}
	if gas, err = strconv.ParseUint(result.Gas.Used, 10, 64); err != nil {
		return 0, fmt.Errorf("reading simulation: gas %q: %w", result.Gas.Used, err)
	}
	return gas, nil
}

// Transaction looks for an included transaction by hash. ErrNotFound when it is in no block;
// *Error when it is in one and failed there.
func (c *Client) Transaction(ctx context.Context, hash string) (TxResult, error) {
	r, err := tx.NewServiceClient(c.conn).GetTx(ctx, &tx.GetTxRequest{Hash: hash})
	if err != nil {
		return TxResult{}, fmt.Errorf("looking for transaction %s: %w", hash, queryError(err))
	}
	t := r.TxResponse
	if t == nil {
		return TxResult{}, fmt.Errorf("looking for transaction %s: empty answer", hash)
	}
	if t.Code != 0 {
		return TxResult{}, &Error{Code: Code{t.Codespace, t.Code}, Log: t.RawLog, TxHash: hash}
	}
	result := TxResult{Hash: hash, Height: t.Height, GasUsed: t.GasUsed}
	for _, e := range t.Events {
		attributes := make([]Attribute, len(e.Attributes))
		for i, a := range e.Attributes {
			attributes[i] = Attribute{a.Key, a.Value}
		}
		result.Events = append(result.Events, Event{Type: e.Type, Attributes: attributes})
	}
	data, err := hex.DecodeString(t.Data)
	if err != nil {
		return TxResult{}, fmt.Errorf("reading data of transaction %s: %w", hash, err)
	}
	var answer sdk.TxMsgData
	if err := answer.Unmarshal(data); err != nil {
		return TxResult{}, fmt.Errorf("reading data of transaction %s: %w", hash, err)
	}
	result.responses = slices.Clone(answer.MsgResponses)
	return result, nil
}
