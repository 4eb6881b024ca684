package chainclient

import (
	"testing"

	errorsmod "cosmossdk.io/errors"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/energy"
	"github.com/cairn-network/cairn/x/market"
	"github.com/cairn-network/cairn/x/storage"
)

// The codes written down here are the ones that the modules register.
func TestCodesAreTheModules(t *testing.T) {
	for code, registered := range map[Code]*errorsmod.Error{
		ErrUnauthorized:      sdkerrors.ErrUnauthorized,
		ErrInsufficientFunds: sdkerrors.ErrInsufficientFunds,
		ErrUnknownAddress:    sdkerrors.ErrUnknownAddress,
		ErrOutOfGas:          sdkerrors.ErrOutOfGas,
		ErrInsufficientFee:   sdkerrors.ErrInsufficientFee,
		ErrInvalidRequest:    sdkerrors.ErrInvalidRequest,
		ErrMempoolFull:       sdkerrors.ErrMempoolIsFull,
		errInMempool:         sdkerrors.ErrTxInMempoolCache,
		errNotReady:          sdkerrors.ErrInvalidHeight,
		errTimeoutHeight:     sdkerrors.ErrTxTimeoutHeight,
		errWrongSequence:     sdkerrors.ErrWrongSequence,
		{"sdk", 38}:          sdkerrors.ErrNotFound,

		ErrNoDevice:        device.ErrNotFound,
		ErrNotOwner:        device.ErrNotOwner,
		ErrNotOperator:     device.ErrNotOperator,
		ErrKeyTaken:        device.ErrKeyTaken,
		ErrDeviceSignature: device.ErrSignature,
		ErrTooManyDevices:  device.ErrTooMany,
		ErrDeviceNotActive: device.ErrNotActive,
		ErrDeviceObliged:   device.ErrObliged,
		ErrUnbonding:       device.ErrUnbonding,
		ErrDeviceRetired:   device.ErrRetired,

		ErrNoOffer:          market.ErrNoOffer,
		ErrOfferClosed:      market.ErrOfferClosed,
		ErrCapacity:         market.ErrCapacity,
		ErrPriceAbove:       market.ErrPriceAbove,
		ErrNoLease:          market.ErrNoLease,
		ErrNotConsumer:      market.ErrNotConsumer,
		ErrLeaseClosed:      market.ErrLeaseClosed,
		ErrLeaseExpired:     market.ErrLeaseExpired,
		ErrNoItem:           market.ErrNoItem,
		ErrItemClosed:       market.ErrItemClosed,
		ErrEscrowTooSmall:   market.ErrEscrowTooSmall,
		ErrEscrowDry:        market.ErrEscrowDry,
		ErrVoucherSignature: market.ErrSignature,
		ErrVoucherExpired:   market.ErrVoucherExpired,
		ErrVoucherStale:     market.ErrVoucherStale,
		ErrNoOrder:          market.ErrNoOrder,

		ErrNoStation:       energy.ErrNoStation,
		ErrNoTariff:        energy.ErrNoTariff,
		ErrNoSession:       energy.ErrNoSession,
		ErrStationClosed:   energy.ErrClosed,
		ErrSessionState:    energy.ErrState,
		ErrSessionDeadline: energy.ErrDeadline,
		ErrMeterRecord:     energy.ErrRecord,
		ErrSessionPeriods:  energy.ErrPeriods,
		ErrStationChanged:  energy.ErrChanged,
		ErrNoCommunity:     energy.ErrNoCommunity,
		ErrNotMember:       energy.ErrNotMember,
		ErrNotFinal:        energy.ErrNotFinal,
		ErrNoHour:          energy.ErrNoHour,
		ErrHourTime:        energy.ErrTime,
		ErrNoEnergyDemand:  energy.ErrNoDemand,

		ErrNoSnapshot:      storage.ErrNotFound,
		ErrSnapshotVersion: storage.ErrVersion,
	} {
		require.Equal(t, Code{registered.Codespace(), registered.ABCICode()}, code, registered.Error())
	}
}
