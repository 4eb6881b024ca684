package wallet

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/cairn-network/cairn/internal/atomicfile"
)

// Errors of opening key files.
var (
	// ErrNone says that there is no file; it is also fs.ErrNotExist.
	ErrNone = fmt.Errorf("no key file: %w", fs.ErrNotExist)
	// ErrLocked says that the wallet is encrypted and no passphrase was given.
	ErrLocked = errors.New("wallet is locked by a passphrase")
	// ErrPassphrase says that the passphrase does not open the wallet, or that the file was
	// tampered with; the two cannot be told apart.
	ErrPassphrase = errors.New("wrong passphrase")
	// ErrExposed says that others on this machine can read the file.
	ErrExposed = errors.New("key file is readable by others")
)

// Cost of the key derivation for new wallets (RFC 9106 section 4, second recommended option),
// and the highest cost that Open accepts from a file.
const (
	argonTime      = 3
	argonMemory    = 64 << 10 // KiB
	argonThreads   = 4
	maxArgonTime   = 64
	maxArgonMemory = 1 << 20 // KiB: 1 GiB
	saltSize       = 16
)

// file is the JSON of a wallet: either the words, or a box that holds them.
type file struct {
	Version  int    `json:"version"`
	Mnemonic string `json:"mnemonic,omitempty"`
	Box      *box   `json:"box,omitempty"`
}

// box is the mnemonic under XChaCha20-Poly1305 with a key by Argon2id from the passphrase.
// The derivation's parameters are bound as associated data.
type box struct {
	KDF        string `json:"kdf"` // "argon2id"
	Time       uint32 `json:"time"`
	MemoryKiB  uint32 `json:"memory_kib"`
	Threads    uint8  `json:"threads"`
	Salt       []byte `json:"salt"`
	Cipher     string `json:"cipher"` // "xchacha20poly1305"
	Nonce      []byte `json:"nonce"`
	Ciphertext []byte `json:"ciphertext"`
}

// Create writes a mnemonic to a new file at path, encrypted if passphrase is not empty. It
// makes the directory (0700) and never replaces a wallet: fs.ErrExist.
func Create(path, mnemonic, passphrase string) error {
	m, err := Normalize(mnemonic)
	if err != nil {
		return err
	}
	f := file{Version: 1, Mnemonic: m}
	if passphrase != "" {
		f.Mnemonic = ""
		if f.Box, err = lock(m, passphrase); err != nil {
			return err
		}
	}
	body, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding wallet: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making directory for wallet: %w", err)
	}
	return atomicfile.WriteNew(path, append(body, '\n'), atomicfile.Private)
}

// Open reads the mnemonic at path. Errors: ErrNone, ErrExposed, ErrLocked, ErrPassphrase.
func Open(path, passphrase string) (mnemonic string, err error) {
	body, err := readPrivate(path)
	if err != nil {
		return "", err
	}
	m, err := decode(body, passphrase)
	if err != nil {
		return "", fmt.Errorf("opening wallet %s: %w", path, err)
	}
	return m, nil
}

func decode(body []byte, passphrase string) (string, error) {
	var f file
	if err := json.Unmarshal(body, &f); err != nil {
		return "", fmt.Errorf("not a wallet file: %w", err)
	}
	switch {
	case f.Version != 1:
		return "", fmt.Errorf("wallet of version %d; this program reads version 1", f.Version)
	case f.Box == nil:
		return Normalize(f.Mnemonic)
	case passphrase == "":
		return "", ErrLocked
	default:
		return f.Box.unlock(passphrase)
	}
}

func lock(mnemonic, passphrase string) (*box, error) {
	b := &box{
		KDF: "argon2id", Time: argonTime, MemoryKiB: argonMemory, Threads: argonThreads, Salt: make([]byte, saltSize),
		Cipher: "xchacha20poly1305", Nonce: make([]byte, chacha20poly1305.NonceSizeX),
	}
	rand.Read(b.Salt) // never fails (crypto/rand)
	rand.Read(b.Nonce)
	aead, err := chacha20poly1305.NewX(b.key(passphrase))
	if err != nil {
		return nil, err
	}
	b.Ciphertext = aead.Seal(nil, b.Nonce, []byte(mnemonic), b.bound())
	return b, nil
}

func (b *box) unlock(passphrase string) (string, error) {
	if b.KDF != "argon2id" || b.Cipher != "xchacha20poly1305" {
		return "", fmt.Errorf("encrypted by %q and %q; this program reads argon2id and xchacha20poly1305", b.KDF, b.Cipher)
	}
	if b.Time == 0 || b.Time > maxArgonTime || b.MemoryKiB == 0 || b.MemoryKiB > maxArgonMemory || b.Threads == 0 ||
		len(b.Salt) < 8 || len(b.Salt) > 64 || len(b.Nonce) != chacha20poly1305.NonceSizeX {
		return "", errors.New("encryption parameters out of bounds")
	}
	aead, err := chacha20poly1305.NewX(b.key(passphrase))
	if err != nil {
		return "", err
	}
	plain, err := aead.Open(nil, b.Nonce, b.Ciphertext, b.bound())
	if err != nil {
		return "", ErrPassphrase
	}
	return Normalize(string(plain))
}

func (b *box) key(passphrase string) []byte {
	return argon2.IDKey([]byte(passphrase), b.Salt, b.Time, b.MemoryKiB, b.Threads, chacha20poly1305.KeySize)
}

// bound is what the ciphertext is tied to besides its key.
func (b *box) bound() []byte {
	return fmt.Appendf(nil, "cairn wallet v1|%s|%d|%d|%d|%x|%s", b.KDF, b.Time, b.MemoryKiB, b.Threads, b.Salt, b.Cipher)
}

// DeviceKey reads the ed25519 key of this machine at path: the 32-byte seed in hexadecimal on
// one line. Where there is none it draws one; two processes that race get the same.
func DeviceKey(path string) (ed25519.PrivateKey, error) {
	body, err := readPrivate(path)
	if errors.Is(err, ErrNone) {
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("making directory for device key: %w", err)
		}
		err = atomicfile.WriteNew(path, []byte(hex.EncodeToString(seed)+"\n"), atomicfile.Private)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		body, err = readPrivate(path)
	}
	if err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(body)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("reading device key %s: want %d bytes in hexadecimal", path, ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// readPrivate reads a small file that nobody else may read.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrNone)
	}
	if err != nil {
		return nil, fmt.Errorf("opening key file: %w", err)
	}
	if mode := info.Mode(); mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %#o: %w; run: chmod 600 %s", path, mode.Perm(), ErrExposed, path)
	}
	if info.Size() > 1<<16 {
		return nil, fmt.Errorf("%s is %d bytes long: not a key file", path, info.Size())
	}
	return os.ReadFile(path)
}
