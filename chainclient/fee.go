package chainclient

import (
	"context"
	"fmt"
	"strings"

	nodev1beta1 "cosmossdk.io/api/cosmos/base/node/v1beta1"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	feemarketv1 "github.com/cosmos/evm/api/cosmos/evm/feemarket/v1"
	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/core/price"
)

// gasLimit is what a transaction asks for when its simulation used this much: a third more,
// and a constant for what a block changes in stores between simulation and inclusion.
func gasLimit(used uint64) uint64 { return used + used/3 + 20_000 }

// feeFor prices gas at the chain's present base fee (EIP-1559), the chain's floor and the
// node's own floor. The cap is twice the base fee: it holds for six full blocks, each of which
// raises it by an eighth; what is paid is the base fee of the block.
func (c *Client) feeFor(ctx context.Context, gas uint64) (fee, error) {
	base, floor, err := c.gasPrices(ctx)
	if err != nil {
		return fee{}, err
	}
	amount := math.LegacyMaxDec(base.MulInt64(2), floor).MulInt(math.NewIntFromUint64(gas)).Ceil().TruncateInt()
	if amount.IsZero() {
		return fee{}, nil
	}
	return fee{coins: sdk.Coins{{Denom: Denom, Amount: amount}}, dynamic: base.IsPositive()}, nil
}

// Cost is what a transaction of messages would cost in the next block, in fees, by simulating it. It
// fails where the transaction would.
func (c *Client) Cost(ctx context.Context, messages ...Message) (price.Amount, error) {
	if c.config.Account == nil {
		return price.Amount{}, ErrNoAccount
	}
	d := draft{granter: c.config.FeeGranter}
	for _, m := range messages {
		packed, err := pack(m)
		if err != nil {
			return price.Amount{}, err
		}
		d.messages = append(d.messages, packed)
	}
	var err error
	if d.chainID, err = c.ChainID(ctx); err != nil {
		return price.Amount{}, err
	}
	if d.account, d.sequence, err = c.account(ctx); err != nil {
		return price.Amount{}, err
	}
	latest, err := c.LatestBlock(ctx)
	if err != nil {
		return price.Amount{}, err
	}
	d.timeoutHeight = uint64(latest.Height + lifetime)
	used, err := c.simulate(ctx, d)
	if err != nil {
		return price.Amount{}, err
	}
	base, floor, err := c.gasPrices(ctx)
	if err != nil {
		return price.Amount{}, err
	}
	return price.FromBig(math.LegacyMaxDec(base, floor).MulInt(math.NewIntFromUint64(gasLimit(used))).Ceil().TruncateInt().BigInt())
}

// gasPrices are the base fee and the least price that the chain and the node take, acairn a gas.
func (c *Client) gasPrices(ctx context.Context) (base, least math.LegacyDec, err error) {
	var floor, nodeFloor math.LegacyDec
	market := feemarketv1.NewQueryClient(c.conn)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		r, err := market.BaseFee(ctx, &feemarketv1.QueryBaseFeeRequest{})
		if err != nil {
			return fmt.Errorf("asking for the base fee: %w", queryError(err))
		}
		base, err = scaledDecimal(r.GetBaseFee())
		return err
	})
	group.Go(func() error {
		r, err := market.Params(ctx, &feemarketv1.QueryParamsRequest{})
		if err != nil {
			return fmt.Errorf("asking for the lowest gas price: %w", queryError(err))
		}
		floor, err = scaledDecimal(r.GetParams().GetMinGasPrice())
		return err
	})
	group.Go(func() error {
		r, err := nodev1beta1.NewServiceClient(c.conn).Config(ctx, &nodev1beta1.ConfigRequest{})
		if err != nil {
			return fmt.Errorf("asking for the node's gas price: %w", queryError(err))
		}
		nodeFloor, err = nodeGasPrice(r.GetMinimumGasPrice())
		return err
	})
	if err := group.Wait(); err != nil {
		return base, least, err
	}
	return base, math.LegacyMaxDec(floor, nodeFloor), nil
}

// scaledDecimal reads a decimal as protobuf carries it: the 10^18-fold as an integer; empty is 0.
func scaledDecimal(s string) (math.LegacyDec, error) {
	if s == "" {
		return math.LegacyZeroDec(), nil
	}
	n, ok := math.NewIntFromString(s)
	if !ok || n.IsNegative() {
		return math.LegacyDec{}, fmt.Errorf("gas price %q: not a decimal", s)
	}
	return math.LegacyNewDecFromIntWithPrec(n, math.LegacyPrecision), nil
}

// nodeGasPrice finds acairn in a node's setting such as "0.01acairn,2uatom"; absent is 0.
func nodeGasPrice(setting string) (math.LegacyDec, error) {
	for coin := range strings.SplitSeq(setting, ",") {
		number, ok := strings.CutSuffix(strings.TrimSpace(coin), Denom)
		if !ok {
			continue
		}
		price, err := math.LegacyNewDecFromStr(number)
		if err != nil || price.IsNegative() {
			return math.LegacyDec{}, fmt.Errorf("node's gas price %q: not a decimal", coin)
		}
		return price, nil
	}
	return math.LegacyZeroDec(), nil
}
