package chainclient

import (
	"testing"

	"cosmossdk.io/math"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	antetypes "github.com/cosmos/evm/ante/types"
	"github.com/cosmos/evm/crypto/ethsecp256k1"
	"github.com/cosmos/evm/encoding"
	"github.com/stretchr/testify/require"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/chainclient/wallet"
)

// What is signed and what travels are, byte for byte, what the SDK's own transaction builder
// makes of the same transaction.
func TestTransactionIsTheSDKsOwn(t *testing.T) {
	account, err := wallet.FromMnemonic(mnemonic)
	require.NoError(t, err)
	owner := account.Bytes()
	message := register()
	message.Owner, message.Bond.Amount = account.Address(), math.NewInt(5)
	d := draft{
		chainID: testChain, account: 3, sequence: 8, timeoutHeight: 99, gas: 123_456,
		fee:     fee{coins: sdk.NewCoins(sdk.NewInt64Coin(Denom, 77)), dynamic: true},
		granter: sdk.AccAddress(owner[:]).String(), // whatever prefix the SDK's global says
	}
	packed, err := pack(message)
	require.NoError(t, err)
	d.messages = append(d.messages, packed)

	config := encoding.MakeConfig(262144)
	config.InterfaceRegistry.RegisterImplementations((*sdk.Msg)(nil), &devicev1.MsgRegister{})
	builder := config.TxConfig.NewTxBuilder()
	require.NoError(t, builder.SetMsgs(message))
	builder.SetTimeoutHeight(99)
	builder.SetGasLimit(123_456)
	builder.SetFeeAmount(sdk.NewCoins(sdk.NewInt64Coin(Denom, 77)))
	builder.SetFeeGranter(owner[:])
	option, err := codectypes.NewAnyWithValue(&antetypes.ExtensionOptionDynamicFeeTx{MaxPriorityPrice: math.LegacyZeroDec()})
	require.NoError(t, err)
	builder.(authtx.ExtensionOptionsTxBuilder).SetExtensionOptions(option)
	key := &ethsecp256k1.PubKey{Key: account.PublicKey()}
	signed := func(signature []byte) signing.SignatureV2 {
		return signing.SignatureV2{PubKey: key, Sequence: 8, Data: &signing.SingleSignatureData{
			SignMode: signing.SignMode_SIGN_MODE_DIRECT, Signature: signature,
		}}
	}
	require.NoError(t, builder.SetSignatures(signed(nil)))
	want, err := authsigning.GetSignBytesAdapter(t.Context(), config.TxConfig.SignModeHandler(), signing.SignMode_SIGN_MODE_DIRECT,
		authsigning.SignerData{Address: account.Address(), ChainID: testChain, AccountNumber: 3, Sequence: 8, PubKey: key}, builder.GetTx())
	require.NoError(t, err)

	body, authInfo, err := d.encode(account.PublicKey())
	require.NoError(t, err)
	got, err := d.signBytes(body, authInfo)
	require.NoError(t, err)
	require.Equal(t, want, got)

	require.NoError(t, builder.SetSignatures(signed(account.Sign(want))))
	wantRaw, err := config.TxConfig.TxEncoder()(builder.GetTx())
	require.NoError(t, err)
	gotRaw, err := d.sign(account)
	require.NoError(t, err)
	require.Equal(t, wantRaw, gotRaw)

	decoded, err := config.TxConfig.TxDecoder()(gotRaw)
	require.NoError(t, err)
	require.Len(t, decoded.GetMsgs(), 1)
}
