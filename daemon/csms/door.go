package csms

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/cairn-network/cairn/wire/ocpp"
)

// PasswordHash is a station's password as it is kept: PBKDF2-SHA-256.
type PasswordHash struct {
	Salt   []byte `json:"salt"`
	Rounds int    `json:"rounds"`
	Sum    []byte `json:"sum"`
}

// Bounds of passwords.
const (
	// MinPassword and MaxPassword are the standard's (OCPP 2.0.1 part 2 A.1.6; the whitepaper's key has 20 bytes).
	MinPassword = 16
	MaxPassword = 40
	// rounds for what a person chose. What NewPassword made has 160 random bits, and needs one.
	chosenRounds = 100_000
)

// NewPassword makes one: 40 hexadecimal digits, which 1.6 takes as a 20-byte AuthorizationKey, too.
func NewPassword() (string, *PasswordHash) {
	var key [20]byte
	rand.Read(key[:])
	password := hex.EncodeToString(key[:])
	return password, hashPassword(password, 1)
}

// HashPassword is what is kept of a password that a person chose.
func HashPassword(password string) (*PasswordHash, error) {
	if len(password) < MinPassword || len(password) > MaxPassword {
		return nil, fmt.Errorf("password of %d bytes: %d to %d are allowed", len(password), MinPassword, MaxPassword)
	}
	return hashPassword(password, chosenRounds), nil
}

func hashPassword(password string, rounds int) *PasswordHash {
	h := &PasswordHash{Salt: make([]byte, 16), Rounds: rounds}
	rand.Read(h.Salt)
	h.Sum = h.sum(password)
	return h
}

func (h *PasswordHash) sum(password string) []byte {
	out, err := pbkdf2.Key(sha256.New, password, h.Salt, h.Rounds, sha256.Size)
	if err != nil { // lengths out of range
		return nil
	}
	return out
}

// doors checks credentials. A right password is remembered under a key that only this process has, so that a storm of
// reconnecting stations costs no hashing.
type doors struct {
	secret  [32]byte
	hashing chan struct{} // bounds who hashes at once
	mu      sync.Mutex
	known   map[string][sha256.Size]byte // by station
}

func newDoors() *doors {
	d := &doors{hashing: make(chan struct{}, 2), known: make(map[string][sha256.Size]byte)}
	rand.Read(d.secret[:])
	return d
}

var (
	errPassword    = errors.New("wrong or no password")
	errCertificate = errors.New("no client certificate of this station")
	errEncryption  = errors.New("its profile asks for TLS")
)

// check compares what a station shows with what its record asks.
func (d *doors) check(ctx context.Context, record *Station, c ocpp.Credentials) error {
	if record.Profile >= TLSBasicAuth && !c.Encrypted {
		return errEncryption
	}
	if record.Profile == TLSCertificate {
		if c.Certificate == nil || c.Certificate.Subject.CommonName != record.certificateName() {
			return errCertificate
		}
	}
	if record.Password == nil {
		return nil
	}
	if !c.HasPassword || len(c.Password) > 2*MaxPassword {
		return errPassword
	}
	return d.password(ctx, record, c.Password)
}

func (d *doors) password(ctx context.Context, record *Station, password string) error {
	mac := hmac.New(sha256.New, d.secret[:])
	mac.Write(record.Password.Sum) // a new password forgets the old one
	mac.Write([]byte(password))
	var token [sha256.Size]byte
	mac.Sum(token[:0])
	d.mu.Lock()
	known, ok := d.known[record.ID]
	d.mu.Unlock()
	if ok && subtle.ConstantTimeCompare(known[:], token[:]) == 1 {
		return nil
	}
	if record.Password.Rounds > 1 {
		select {
		case d.hashing <- struct{}{}:
			defer func() { <-d.hashing }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	right := hmac.Equal(record.Password.sum(password), record.Password.Sum)
	if !right { // stations of 1.6 may send the 20 bytes themselves
		right = len(password) == 20 && hmac.Equal(record.Password.sum(hex.EncodeToString([]byte(password))), record.Password.Sum)
	}
	if !right {
		return errPassword
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= MaxStations {
		clear(d.known)
	}
	d.known[record.ID] = token
	return nil
}

// wasteTime makes an unknown station wait as long as a wrong password does with a generated one.
func (d *doors) wasteTime(password string) {
	dummy := PasswordHash{Salt: d.secret[:16], Rounds: 1}
	_ = dummy.sum(password)
}
