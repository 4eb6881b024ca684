package chainclient

import (
	"crypto/sha256"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	gogoproto "github.com/cosmos/gogoproto/proto"
	anypb "github.com/cosmos/gogoproto/types/any"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cairn-network/cairn/chainclient/wallet"
)

// Type URLs that are written by hand: importing their Go types would link the EVM.
const (
	publicKeyURL  = "/cosmos.evm.crypto.v1.ethsecp256k1.PubKey"
	dynamicFeeURL = "/cosmos.evm.ante.v1.ExtensionOptionDynamicFeeTx"
)

// draft is a transaction before its signature.
type draft struct {
	messages      []*anypb.Any
	chainID       string
	account       uint64 // account number
	sequence      uint64
	timeoutHeight uint64
	gas           uint64
	fee           fee
	granter       string
}

// fee is what a transaction offers for its gas.
type fee struct {
	coins sdk.Coins
	// dynamic pays the base fee of the block and not all of coins, which then is a cap.
	dynamic bool
}

// pack wraps a message with its type's URL.
func pack(m Message) (*anypb.Any, error) {
	name := gogoproto.MessageName(m)
	if name == "" {
		return nil, fmt.Errorf("packing %T: not a registered message", m)
	}
	b, err := m.Marshal()
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", name, err)
	}
	return &anypb.Any{TypeUrl: "/" + name, Value: b}, nil
}

// sign encodes the transaction for SIGN_MODE_DIRECT and signs it: the signature is over the
// very bytes of body and auth info that travel (ADR-027).
func (d draft) sign(account *wallet.Account) ([]byte, error) {
	body, authInfo, err := d.encode(account.PublicKey())
	if err != nil {
		return nil, err
	}
	doc, err := d.signBytes(body, authInfo)
	if err != nil {
		return nil, err
	}
	return raw(body, authInfo, account.Sign(doc))
}

// simulation is the transaction with an empty signature of the right length.
func (d draft) simulation(account *wallet.Account) ([]byte, error) {
	body, authInfo, err := d.encode(account.PublicKey())
	if err != nil {
		return nil, err
	}
	return raw(body, authInfo, make([]byte, 64))
}

func (d draft) encode(publicKey []byte) (body, authInfo []byte, err error) {
	txBody := &tx.TxBody{Messages: d.messages, TimeoutHeight: d.timeoutHeight}
	if d.fee.dynamic {
		// max_priority_price (field 1): a decimal as its 10^18-fold, here zero.
		tip := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "0")
		txBody.ExtensionOptions = []*anypb.Any{{TypeUrl: dynamicFeeURL, Value: tip}}
	}
	if body, err = txBody.Marshal(); err != nil {
		return nil, nil, fmt.Errorf("encoding transaction body: %w", err)
	}
	key := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), publicKey)
	info := &tx.AuthInfo{
		SignerInfos: []*tx.SignerInfo{{
			PublicKey: &anypb.Any{TypeUrl: publicKeyURL, Value: key},
			ModeInfo:  &tx.ModeInfo{Sum: &tx.ModeInfo_Single_{Single: &tx.ModeInfo_Single{Mode: signing.SignMode_SIGN_MODE_DIRECT}}},
			Sequence:  d.sequence,
		}},
		Fee: &tx.Fee{Amount: d.fee.coins, GasLimit: d.gas, Granter: d.granter},
	}
	if authInfo, err = info.Marshal(); err != nil {
		return nil, nil, fmt.Errorf("encoding transaction auth info: %w", err)
	}
	return body, authInfo, nil
}

func (d draft) signBytes(body, authInfo []byte) ([]byte, error) {
	doc := &tx.SignDoc{BodyBytes: body, AuthInfoBytes: authInfo, ChainId: d.chainID, AccountNumber: d.account}
	b, err := doc.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encoding sign document: %w", err)
	}
	return b, nil
}

func raw(body, authInfo, signature []byte) ([]byte, error) {
	b, err := (&tx.TxRaw{BodyBytes: body, AuthInfoBytes: authInfo, Signatures: [][]byte{signature}}).Marshal()
	if err != nil {
		return nil, fmt.Errorf("encoding transaction: %w", err)
	}
	return b, nil
}

// txHash is the transaction's name: SHA-256 of its bytes, upper-case hexadecimal.
func txHash(raw []byte) string { return fmt.Sprintf("%X", sha256.Sum256(raw)) }
