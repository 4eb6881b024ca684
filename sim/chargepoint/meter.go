package chargepoint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	k1 "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/cairn-network/cairn/core/grid"
)

// Meter is a register that only counts up and signs what it counted.
type Meter struct {
	Serial   string
	Register grid.WattHours
	// Synced is what records say of the clock: 'S' is billable, 'U' is not.
	Synced byte

	algorithm string
	sign      func(digest []byte) ([]byte, error)
	public    string // X||Y behind a 4, hexadecimal
	page      uint64
	begin     *reading
}

type reading struct {
	at       time.Time
	register grid.WattHours
}

// Curves that a Meter signs with; the others of OCMF are only read.
const (
	P256  = "ECDSA-secp256r1-SHA256"
	P384  = "ECDSA-secp384r1-SHA256"
	K256  = "ECDSA-secp256k1-SHA256"
	first = grid.WattHours(12_345)
)

// NewMeter makes a meter with a key of its own on a curve.
func NewMeter(serial, curve string) (*Meter, error) {
	m := &Meter{Serial: serial, Register: first, Synced: 'S', algorithm: curve}
	switch curve {
	case P256, P384:
		c := elliptic.P256()
		if curve == P384 {
			c = elliptic.P384()
		}
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("making the key of meter %s: %w", serial, err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			return nil, fmt.Errorf("making the key of meter %s: %w", serial, err)
		}
		m.public = hex.EncodeToString(point)
		m.sign = func(digest []byte) ([]byte, error) { return key.Sign(rand.Reader, digest, crypto.SHA256) }
	case K256:
		key, err := secp256k1.GeneratePrivateKey()
		if err != nil {
			return nil, fmt.Errorf("making the key of meter %s: %w", serial, err)
		}
		m.public = hex.EncodeToString(key.PubKey().SerializeUncompressed())
		m.sign = func(digest []byte) ([]byte, error) { return k1.Sign(key, digest).Serialize(), nil }
	default:
		return nil, fmt.Errorf("meter %s: no curve %q here", serial, curve)
	}
	return m, nil
}

// PublicKey is how the meter's owner registers it: the curve's name and the point in hexadecimal.
func (m *Meter) PublicKey() string { return m.public }

// Begin notes where a session starts.
func (m *Meter) Begin(at time.Time) { m.begin = &reading{at, m.Register} }

// End is the signed record of a session from Begin until now, for a user or nobody; "" without a Begin.
func (m *Meter) End(at time.Time, user string) (string, error) {
	if m.begin == nil {
		return "", nil
	}
	b := *m.begin
	m.begin = nil
	m.page++
	type line struct {
		TM string      `json:"TM"`
		TX string      `json:"TX"`
		RV json.Number `json:"RV"`
		RI string      `json:"RI"`
		RU string      `json:"RU"`
		RT string      `json:"RT"`
		EF string      `json:"EF"`
		ST string      `json:"ST"`
	}
	reading := func(r reading, tx string) line {
		return line{
			TM: r.at.UTC().Format("2006-01-02T15:04:05,000-0700") + " " + string(m.Synced), TX: tx,
			RV: json.Number(fmt.Sprintf("%d.%03d", r.register/1000, r.register%1000)), RI: "01-00:98.08.00.FF", RU: "kWh", RT: "AC", ST: "G",
		}
	}
	payload, err := json.Marshal(map[string]any{
		"FV": "1.0", "GI": "Cairn simulator", "GS": m.Serial, "GV": "1", "PG": fmt.Sprintf("T%d", m.page),
		"MV": "Cairn", "MM": "simulated", "MS": m.Serial, "MF": "1",
		"IS": user != "", "IL": "VERIFIED", "IF": []string{}, "IT": "CENTRAL", "ID": user,
		"CT": "EVSEID", "CI": "sim", "RD": []line{reading(b, "B"), reading(struct {
			at       time.Time
			register grid.WattHours
		}{at, m.Register}, "E")},
	})
	if err != nil {
		return "", fmt.Errorf("writing a record of meter %s: %w", m.Serial, err)
	}
	digest := sha256.Sum256(payload)
	signature, err := m.sign(digest[:])
	if err != nil {
		return "", fmt.Errorf("signing a record of meter %s: %w", m.Serial, err)
	}
	trailer, err := json.Marshal(map[string]string{"SA": m.algorithm, "SD": hex.EncodeToString(signature)})
	if err != nil {
		return "", fmt.Errorf("writing a record of meter %s: %w", m.Serial, err)
	}
	return "OCMF|" + string(payload) + "|" + string(trailer), nil
}
