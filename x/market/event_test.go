package market

import (
	"reflect"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
)

func TestSettledEventIsTheTypedEvent(t *testing.T) {
	for _, e := range []*marketv1.EventSettled{
		{
			Lease: 1<<64 - 1, Device: 7, Owner: "cairn1kyg7zqukjqar8j8d7wxmek0t3llwrx4w5rp4xn",
			Paid: sdk.NewInt64Coin("acairn", 123), Burned: sdk.NewInt64Coin("ibc/27394FB092D2ECCD56123C74F36E4C1F", 0),
			Streamed: math.NewIntWithDecimal(5, 40), Unpaid: math.ZeroInt(),
		},
		{Paid: sdk.NewInt64Coin("acairn", 0), Burned: sdk.NewInt64Coin("acairn", 0), Streamed: math.ZeroInt(), Unpaid: math.OneInt()},
	} {
		want, err := sdk.TypedEventToEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		if got := settledEvent(e); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}
}
