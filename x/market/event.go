package market

import (
	"strconv"

	abci "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
)

// settledEvent spells EventSettled exactly as EmitTypedEvent does (TestSettledEventIsTheTypedEvent),
// without its way through JSON and back: a settlement sends up to thousands of them. Nothing in it
// needs escaping: addresses and denominations have no character that JSON quotes.
func settledEvent(e *marketv1.EventSettled) sdk.Event {
	return sdk.Event{
		Type: proto.MessageName(e),
		Attributes: []abci.EventAttribute{ // by key, as a typed event sorts them
			{Key: "burned", Value: coinJSON(e.Burned)},
			{Key: "device", Value: quote(strconv.FormatUint(e.Device, 10))},
			{Key: "lease", Value: quote(strconv.FormatUint(e.Lease, 10))},
			{Key: "owner", Value: quote(e.Owner)},
			{Key: "paid", Value: coinJSON(e.Paid)},
			{Key: "streamed", Value: quote(e.Streamed.String())},
			{Key: "unpaid", Value: quote(e.Unpaid.String())},
		},
	}
}

func coinJSON(c sdk.Coin) string {
	return `{"denom":"` + c.Denom + `","amount":"` + c.Amount.String() + `"}`
}

func quote(text string) string { return `"` + text + `"` }
