package wallet_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosmos/evm/crypto/ethsecp256k1"
	"github.com/cosmos/evm/crypto/hd"
	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/chainclient/wallet"
)

// The development mnemonic that Ethereum's tools share, and its first account.
const (
	junk        = "test test test test test test test test test test test junk"
	junkAddress = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
)

func TestDerivesEthereumsFirstAccount(t *testing.T) {
	a, err := wallet.FromMnemonic("  Test test TEST test test test\ntest test test test test junk ")
	require.NoError(t, err)
	require.Equal(t, junkAddress, a.Hex())
	require.True(t, strings.HasPrefix(a.Address(), "cairn1"), a.Address())
}

// The account, its key and its signatures are what the chain's own library makes of the words.
func TestAgreesWithTheChainsLibrary(t *testing.T) {
	for range 8 {
		mnemonic, err := wallet.NewMnemonic(rand.Reader)
		require.NoError(t, err)
		require.Len(t, strings.Fields(mnemonic), 24)
		raw, err := hd.EthSecp256k1.Derive()(mnemonic, "", "m/44'/60'/0'/0/0")
		require.NoError(t, err)
		want := &ethsecp256k1.PrivKey{Key: raw}

		a, err := wallet.FromMnemonic(mnemonic)
		require.NoError(t, err)
		require.Equal(t, want.PubKey().Bytes(), a.PublicKey())
		address := a.Bytes()
		require.Equal(t, want.PubKey().Address().Bytes(), address[:])

		message := []byte(mnemonic[:10])
		require.True(t, want.PubKey().VerifySignature(message, a.Sign(message)))
		theirs, err := want.Sign(message)
		require.NoError(t, err)
		require.Equal(t, theirs[:64], a.Sign(message))

		b, err := wallet.FromPrivateKey(raw)
		require.NoError(t, err)
		require.Equal(t, a.Address(), b.Address())
	}
}

func TestRefusesWrongWords(t *testing.T) {
	for _, m := range []string{"", "test", strings.Replace(junk, "junk", "test", 1), strings.Replace(junk, "junk", "jnuk", 1), junk + " junk"} {
		_, err := wallet.FromMnemonic(m)
		require.ErrorIs(t, err, wallet.ErrMnemonic, m)
		require.ErrorIs(t, wallet.Create(filepath.Join(t.TempDir(), "w"), m, ""), wallet.ErrMnemonic)
	}
	for _, raw := range [][]byte{nil, make([]byte, 32), bytes.Repeat([]byte{0xff}, 32), make([]byte, 31)} {
		_, err := wallet.FromPrivateKey(raw)
		require.Error(t, err)
	}
}

func TestAccountNeverPrintsItsKey(t *testing.T) {
	a, err := wallet.FromMnemonic(junk)
	require.NoError(t, err)
	raw, err := hd.EthSecp256k1.Derive()(junk, "", "m/44'/60'/0'/0/0")
	require.NoError(t, err)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		require.Equal(t, a.Address(), fmt.Sprintf(format, a))
		require.NotContains(t, fmt.Sprintf(format, *a), hex.EncodeToString(raw))
	}
}

func TestFileRoundTrip(t *testing.T) {
	for name, passphrase := range map[string]string{"plain": "", "encrypted": "correct horse"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "home", "wallet")
			_, err := wallet.Open(path, passphrase)
			require.ErrorIs(t, err, wallet.ErrNone)
			require.ErrorIs(t, err, fs.ErrNotExist)
			require.NoError(t, wallet.Create(path, junk, passphrase))
			got, err := wallet.Open(path, passphrase)
			require.NoError(t, err)
			require.Equal(t, junk, got)
			require.ErrorIs(t, wallet.Create(path, junk, ""), fs.ErrExist)

			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
			body, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, passphrase == "", bytes.Contains(body, []byte("junk")))
		})
	}
}

func TestEncryptedWalletNeedsItsPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wallet")
	require.NoError(t, wallet.Create(path, junk, "correct horse"))
	_, err := wallet.Open(path, "")
	require.ErrorIs(t, err, wallet.ErrLocked)
	_, err = wallet.Open(path, "battery staple")
	require.ErrorIs(t, err, wallet.ErrPassphrase)

	// Every parameter is bound: a changed one opens nothing and costs no gigabytes.
	body, err := os.ReadFile(path)
	require.NoError(t, err)
	for field, value := range map[string]any{"time": 4, "memory_kib": 1 << 30, "threads": 0, "salt": "AA==", "nonce": "", "kdf": "md5", "cipher": "rot13"} {
		var w map[string]any
		require.NoError(t, json.Unmarshal(body, &w))
		w["box"].(map[string]any)[field] = value
		changed, err := json.Marshal(w)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, changed, 0o600))
		_, err = wallet.Open(path, "correct horse")
		require.Error(t, err, field)
	}
}

func TestRefusesAnExposedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wallet")
	require.NoError(t, wallet.Create(path, junk, ""))
	require.NoError(t, os.Chmod(path, 0o640))
	_, err := wallet.Open(path, "")
	require.ErrorIs(t, err, wallet.ErrExposed)
	require.ErrorContains(t, err, "chmod 600 "+path)
}

func TestDeviceKeyIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "home", "device.key")
	first, err := wallet.DeviceKey(path)
	require.NoError(t, err)
	again, err := wallet.DeviceKey(path)
	require.NoError(t, err)
	require.Equal(t, first, again)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, os.WriteFile(path, []byte("zz"), 0o600))
	_, err = wallet.DeviceKey(path)
	require.ErrorContains(t, err, path)
}

func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed")
	require.NoError(f, wallet.Create(path, junk, ""))
	plain, err := os.ReadFile(path)
	require.NoError(f, err)
	f.Add(plain)
	f.Add([]byte(`{"version":1,"box":{"kdf":"argon2id","time":1,"memory_kib":8,"threads":1,"salt":"AAAAAAAAAAAAAAAAAAAAAA==","cipher":"xchacha20poly1305","nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","ciphertext":"AAAA"}}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.Contains(body, []byte("memory_kib")) && !bytes.Contains(body, []byte(`"memory_kib":8,`)) {
			t.Skip("key derivation by a large cost is slow, not wrong")
		}
		path := filepath.Join(t.TempDir(), "wallet")
		require.NoError(t, os.WriteFile(path, body, 0o600))
		if m, err := wallet.Open(path, ""); err == nil {
			_, err := wallet.FromMnemonic(m)
			require.NoError(t, err)
		}
	})
}
