// Package wallet holds the keys of one person or daemon: a BIP-39 mnemonic from which the
// paying account is derived, and the ed25519 device key of a machine that serves. Files are
// 0600 and never shown unless asked for; nothing here logs.
package wallet

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cosmos/go-bip39"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/sha3"

	"github.com/cairn-network/cairn/core/address"
)

// ErrMnemonic says that words are not a BIP-39 mnemonic: an unknown word, a wrong count, or a
// checksum that does not fit.
var ErrMnemonic = errors.New("not a valid mnemonic: 12 to 24 English words with a matching checksum")

// mnemonicEntropy is 256 bits: 24 words.
const mnemonicEntropy = 32

// hardened marks a BIP-32 index whose child needs the private key.
const hardened = 1 << 31

// path is m/44'/60'/0'/0/0, Ethereum's first account (BIP-44, SLIP-44), so that the same words
// open the same account in MetaMask and Keplr.
var path = [...]uint32{44 | hardened, 60 | hardened, 0 | hardened, 0, 0}

// NewMnemonic draws 24 words from random.
func NewMnemonic(random io.Reader) (string, error) {
	entropy := make([]byte, mnemonicEntropy)
	if _, err := io.ReadFull(random, entropy); err != nil {
		return "", fmt.Errorf("drawing mnemonic: %w", err)
	}
	return bip39.NewMnemonic(entropy)
}

// Normalize is the canonical spelling of a mnemonic as a person may type it: lower case, one
// space between words. It returns ErrMnemonic when the words do not hold.
func Normalize(mnemonic string) (string, error) {
	m := strings.Join(strings.Fields(strings.ToLower(mnemonic)), " ")
	if _, err := bip39.MnemonicToByteArray(m); err != nil {
		return "", ErrMnemonic // the library's error may quote words; they stay out of logs
	}
	return m, nil
}

// Seed is the 64-byte BIP-39 seed of a mnemonic, without a passphrase. Everything else that a
// renter's words open is derived from it under its own domain tags (core/seal).
func Seed(mnemonic string) ([]byte, error) {
	m, err := Normalize(mnemonic)
	if err != nil {
		return nil, err
	}
	return bip39.NewSeed(m, ""), nil
}

// Account is an eth_secp256k1 account that can sign. It is safe for concurrent use.
type Account struct {
	key     *secp256k1.PrivateKey
	address [20]byte
}

// FromMnemonic derives the account at m/44'/60'/0'/0/0.
func FromMnemonic(mnemonic string) (*Account, error) {
	seed, err := Seed(mnemonic)
	if err != nil {
		return nil, err
	}
	key, err := derive(seed, path[:])
	if err != nil {
		return nil, err
	}
	return newAccount(key), nil
}

// FromPrivateKey is the account of a raw 32-byte secp256k1 key.
func FromPrivateKey(raw []byte) (*Account, error) {
	var k secp256k1.ModNScalar
	if len(raw) != 32 || k.SetByteSlice(raw) || k.IsZero() {
		return nil, errors.New("not a secp256k1 private key: want 32 bytes, above zero and below the group order")
	}
	return newAccount(&k), nil
}

func newAccount(k *secp256k1.ModNScalar) *Account {
	a := &Account{key: secp256k1.NewPrivateKey(k)}
	// Ethereum's address: the last 20 bytes of keccak256(X || Y).
	sum := keccak256(a.key.PubKey().SerializeUncompressed()[1:])
	copy(a.address[:], sum[12:])
	return a
}

// Bytes is the account's 20-byte address.
func (a *Account) Bytes() [20]byte { return a.address }

// Address is the address as cairn1...
func (a *Account) Address() string { return address.Bech32(a.address) }

// Hex is the address as 0x... with the EIP-55 checksum.
func (a *Account) Hex() string { return address.Hex(a.address) }

// PublicKey is the 33-byte compressed public key.
func (a *Account) PublicKey() []byte { return a.key.PubKey().SerializeCompressed() }

// Sign signs keccak256(msg): 64 bytes r || s, deterministic (RFC 6979), s in the lower half.
func (a *Account) Sign(msg []byte) []byte {
	// recovery id || r || s
	return ecdsa.SignCompact(a.key, keccak256(msg), true)[1:]
}

// String shows the address and never the key, whatever the format verb.
func (a *Account) String() string { return a.Address() }

// GoString is String.
func (a *Account) GoString() string { return a.Address() }

// derive walks a BIP-32 path from a seed.
func derive(seed []byte, path []uint32) (*secp256k1.ModNScalar, error) {
	key, chain, err := split(mac([]byte("Bitcoin seed"), seed))
	if err != nil {
		return nil, err
	}
	for _, index := range path {
		var data []byte
		if index >= hardened {
			k := key.Bytes()
			data = append([]byte{0}, k[:]...)
		} else {
			data = secp256k1.NewPrivateKey(key).PubKey().SerializeCompressed()
		}
		tweak, next, err := split(mac(chain, binary.BigEndian.AppendUint32(data, index)))
		if err != nil {
			return nil, err
		}
		key, chain = tweak.Add(key), next
		if key.IsZero() {
			return nil, errUnlucky
		}
	}
	return key, nil
}

// errUnlucky happens for one seed in 2^127 (BIP-32).
var errUnlucky = errors.New("this mnemonic derives no valid key: create another")

func split(sum []byte) (*secp256k1.ModNScalar, []byte, error) {
	var k secp256k1.ModNScalar
	if overflow := k.SetByteSlice(sum[:32]); overflow || k.IsZero() {
		return nil, nil, errUnlucky
	}
	return &k, sum[32:], nil
}

func mac(key, data []byte) []byte {
	m := hmac.New(sha512.New, key)
	m.Write(data)
	return m.Sum(nil)
}

func keccak256(b []byte) []byte {
	h := sha3.NewLegacyKeccak256()
	h.Write(b)
	return h.Sum(nil)
}
