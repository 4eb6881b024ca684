package csms

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/tariff"
	"github.com/cairn-network/cairn/wire/ocpp"
)

// Bounds of what is registered.
const (
	MaxStations   = 20_000
	MaxConnectors = 64
	MaxMeterKeys  = 16
	maxName       = 200
)

// Station is a charge point as its owner registered it.
type Station struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Profile is the least security with which it may connect.
	Profile Profile `json:"profile"`
	// Password is what profiles 1 and 2 prove; profile 3 may ask for it as well.
	Password *PasswordHash `json:"password,omitempty"`
	// Certificate is the common name of the client certificate of profile 3; the station's ID when empty.
	Certificate string `json:"certificate,omitempty"`
	// Version is spoken by a station that names no subprotocol; empty refuses it.
	Version ocpp.Version `json:"version,omitempty"`
	// Connectors of 1.6, or EVSEs of 2.0.1, from 1.
	Connectors []Connector `json:"connectors"`
	// Meters are the keys of its signing meters; without any it is an unsigned station.
	Meters []MeterKey `json:"meters,omitempty"`
	// Group shares a power limit; empty for none.
	Group string `json:"group,omitempty"`
	Place Place  `json:"place,omitzero"`
}

// Profile is a security profile of the whitepaper (section 3.1).
type Profile int

// Profiles.
const (
	Open           Profile = 0 // no proof at all: for test benches and closed networks
	BasicAuth      Profile = 1
	TLSBasicAuth   Profile = 2
	TLSCertificate Profile = 3
)

// Connector is where one car charges.
type Connector struct {
	ID int `json:"id"`
	// Power is the most it delivers.
	Power grid.Watts `json:"power"`
	// Tariff names a tariff of this central system, for those who start by card and for OCPI.
	Tariff string `json:"tariff,omitempty"`
	// Standard and format as in OCPI 2.2.1 (IEC_62196_T2, SOCKET).
	Standard string `json:"standard,omitempty"`
	Format   string `json:"format,omitempty"`
	// Type of current as OCPI's PowerType: AC_1_PHASE, AC_3_PHASE, DC.
	Current string `json:"current,omitempty"`
	Volts   int    `json:"volts,omitempty"`
}

// MeterKey is the public key of a signing meter, got out of band.
type MeterKey struct {
	Serial string `json:"serial"`
	Key    string `json:"key"` // as core/ocmf.ParseKey reads it
}

// Place is what OCPI tells of a location.
type Place struct {
	Address  string `json:"address,omitempty"`
	City     string `json:"city,omitempty"`
	Postal   string `json:"postal_code,omitempty"`
	Country  string `json:"country,omitempty"` // ISO 3166-1 alpha-3
	Lat      string `json:"latitude,omitempty"`
	Lon      string `json:"longitude,omitempty"`
	TimeZone string `json:"time_zone,omitempty"`
}

// Check says what is wrong with s.
func (s *Station) Check() error {
	if err := ocpp.CheckStation(s.ID); err != nil {
		return err
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("station %s: %s", s.ID, fmt.Sprintf(format, args...))
	}
	switch {
	case s.Profile < Open || s.Profile > TLSCertificate:
		return bad("profile %d: 0 to 3 are known", s.Profile)
	case (s.Profile == BasicAuth || s.Profile == TLSBasicAuth) && s.Password == nil:
		return bad("profile %d needs a password", s.Profile)
	case len(s.Connectors) == 0 || len(s.Connectors) > MaxConnectors:
		return bad("%d connectors: 1 to %d are allowed", len(s.Connectors), MaxConnectors)
	case len(s.Meters) > MaxMeterKeys:
		return bad("%d meter keys: at most %d are allowed", len(s.Meters), MaxMeterKeys)
	case len(s.Name) > maxName:
		return bad("a name of %d bytes: at most %d are allowed", len(s.Name), maxName)
	case s.Version != "" && s.Version != ocpp.V16 && s.Version != ocpp.V201:
		return bad("version %q: %s or %s", s.Version, ocpp.V16, ocpp.V201)
	}
	for i, c := range s.Connectors {
		if c.ID != i+1 {
			return bad("connector %d is numbered %d: they count from 1", i+1, c.ID)
		}
		if c.Power < 0 || c.Power > maxPower {
			return bad("connector %d: a power of %d W: 0 to %d are allowed", c.ID, c.Power, maxPower)
		}
	}
	for _, m := range s.Meters {
		if _, err := parseMeterKey(m); err != nil {
			return bad("%v", err)
		}
	}
	return nil
}

// maxPower is beyond any connector of today: the megawatt charging system ends at 3.75 MW.
const maxPower = 4_000_000

func (s *Station) connector(id int) (Connector, bool) {
	if id < 1 || id > len(s.Connectors) {
		return Connector{}, false
	}
	return s.Connectors[id-1], true
}

// Tag is what a card or a session is called on the wire: 20 characters at most, compared without regard to case
// (OCPP 1.6 section 7.28).
type Tag string

// TagOf derives the tag of a session from the ledger's own name of it, so that who opened it and who serves it need not
// exchange one, and nobody guesses one who does not know the session.
func TagOf(chainID string, order OrderID, secret [32]byte) Tag {
	h := sha256.New()
	h.Write([]byte("cairn charging session\x00"))
	h.Write([]byte(chainID))
	h.Write(binary.BigEndian.AppendUint64([]byte{0}, uint64(order)))
	h.Write(secret[:])
	return Tag(base32.StdEncoding.EncodeToString(h.Sum(nil))[:20])
}

// Hash is how ledgers name a card without showing it.
func (t Tag) Hash() [32]byte { return sha256.Sum256([]byte("cairn charging card\x00" + t.fold())) }

func (t Tag) fold() string {
	b := []byte(t)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// OrderID is the ledger's number of a session; 0 is none.
type OrderID uint64

// Order is a session that a driver opened on the ledger: money is locked, and one connector is to start within
// five minutes.
type Order struct {
	ID        OrderID      `json:"id"`
	Station   string       `json:"station"`
	Connector int          `json:"connector"` // 0 for any of the station
	Tag       Tag          `json:"tag"`
	Tariff    TariffRef    `json:"tariff"`
	Escrow    price.Amount `json:"escrow"`
	// MaxEnergy and MaxSeconds end the session; 0 for no limit but the escrow.
	MaxEnergy  grid.WattHours `json:"max_energy,omitempty"`
	MaxSeconds int64          `json:"max_seconds,omitempty"`
	Opened     time.Time      `json:"opened"`
	// StartBy is when the money goes back if nothing started.
	StartBy time.Time `json:"start_by"`
}

// TariffRef is a tariff, immutable, by the hash of its content.
type TariffRef [32]byte

// Grant is a card that somebody pays for.
type Grant struct {
	ID uint64 `json:"id"`
	// MaxSpend bounds a session, MaxEnergy too; zero for the ledger's own limits.
	MaxSpend  price.Amount   `json:"max_spend"`
	MaxEnergy grid.WattHours `json:"max_energy,omitempty"`
	Expires   time.Time      `json:"expires,omitzero"`
}

// SessionNo is our own number of a session: the transaction id of 1.6, positive and below 2^31. It is never given twice.
type SessionNo int32

// State is how far a session is.
type State string

// States, in this order.
const (
	Active   State = "active"   // energy may flow
	Ended    State = "ended"    // stopped; late evidence or the car's leaving is awaited
	Settling State = "settling" // in the outbox
	Settled  State = "settled"  // the ledger has it
	Refused  State = "refused"  // the ledger refused it for good; a person must look
	Unpaid   State = "unpaid"   // nobody's card: nothing to settle
)

// Open tells whether energy may still be flowing.
func (s State) Open() bool { return s == Active }

// Reason is a machine-readable remark on a session; Text is the sentence for people.
type Reason string

// Reasons why a session was not billed as its raw values say.
const (
	ClockOff         Reason = "clock_off"          // the station's clock was wrong; ours was used
	RegisterBack     Reason = "register_back"      // the register ran backwards
	RegisterJump     Reason = "register_jump"      // more energy than the connector can deliver
	StartMissing     Reason = "start_missing"      // the start never arrived
	StopMissing      Reason = "stop_missing"       // the stop never arrived
	EvidenceBad      Reason = "evidence_bad"       // a signed record did not hold
	EvidenceMissing  Reason = "evidence_missing"   // a signing station sent no complete record
	Unsigned         Reason = "unsigned"           // the station signs nothing
	SignedDiffers    Reason = "signed_differs"     // signed and raw energy differ
	TimeNotBillable  Reason = "time_not_billable"  // the signed times are not synchronised
	TooShort         Reason = "too_short"          // below 100 Wh and 2 min
	EscrowReached    Reason = "escrow_reached"     // stopped at 97 % of what was locked
	LimitReached     Reason = "limit_reached"      // stopped at the driver's limit of energy or time
	CostCapped       Reason = "cost_capped"        // cost above what was locked, cut to it
	UnknownTag       Reason = "unknown_tag"        // nobody's card
	AcceptedOffline  Reason = "accepted_offline"   // started while the station had no connection
	ValueUnreadable  Reason = "value_unreadable"   // a meter value was no number
	LateMeterValues  Reason = "late_meter_values"  // values came after the end
	IDReused         Reason = "id_reused"          // the station gave one transaction id twice
	ConnectorUnknown Reason = "connector_unknown"  // a connector that is not registered
	StoppedTwice     Reason = "stopped_twice"      // two different stops for one session
	EnergyDuringIdle Reason = "energy_during_idle" // the meter counted while no energy should flow
)

var reasonTexts = map[Reason]string{
	ClockOff:         "The station's clock was wrong; times are our own.",
	RegisterBack:     "The meter's register ran backwards; the backward part is not billed.",
	RegisterJump:     "The meter counted more than the connector can deliver; the excess is not billed.",
	StartMissing:     "The start of the session never arrived.",
	StopMissing:      "The end of the session never arrived; it is settled on the last value that did.",
	EvidenceBad:      "A signed meter record did not hold and was not used.",
	EvidenceMissing:  "The station signs its values but sent no complete record.",
	Unsigned:         "The station's values are not signed.",
	SignedDiffers:    "Signed and unsigned energy differ; the signed one counts.",
	TimeNotBillable:  "The signed record's clock was not synchronised; only energy is billed.",
	TooShort:         "Less than 100 Wh and two minutes: nothing is billed.",
	EscrowReached:    "The session was stopped when 97 % of the money set aside was used.",
	LimitReached:     "The session was stopped at the driver's own limit.",
	CostCapped:       "The cost was cut to the money set aside.",
	UnknownTag:       "Nobody pays for this card.",
	AcceptedOffline:  "Started while the station had no connection.",
	ValueUnreadable:  "A meter value was not a number and was left out.",
	LateMeterValues:  "Meter values came after the end; they are kept but not billed.",
	IDReused:         "The station gave one transaction id to two sessions.",
	ConnectorUnknown: "The session was at a connector that is not registered.",
	StoppedTwice:     "The station reported two different ends; the first counts.",
	EnergyDuringIdle: "The meter counted while no energy should flow.",
}

// Text is the sentence for people.
func (r Reason) Text() string { return reasonTexts[r] }

// Session is one charge, from its first message to its settlement.
type Session struct {
	No        SessionNo    `json:"no"`
	Station   string       `json:"station"`
	Connector int          `json:"connector"`
	Version   ocpp.Version `json:"version"`
	// StationTx is the station's own id of the session in 2.0.1.
	StationTx string `json:"station_tx,omitempty"`
	Key       Key    `json:"key"`
	Tag       Tag    `json:"tag"`

	Order  OrderID   `json:"order,omitempty"`
	Grant  uint64    `json:"grant,omitempty"`
	Tariff TariffRef `json:"tariff"`
	// Escrow is what may be spent; zero while nothing is known of a card's session.
	Escrow     price.Amount   `json:"escrow"`
	MaxEnergy  grid.WattHours `json:"max_energy,omitempty"`
	MaxSeconds int64          `json:"max_seconds,omitempty"`

	State State `json:"state"`
	// Started and Stopped are by the station's clock, put right by Skew when that was wrong.
	Started time.Time `json:"started"`
	Stopped time.Time `json:"stopped,omitzero"`
	// StartArrived and StopArrived are by ours.
	StartArrived time.Time     `json:"start_arrived"`
	StopArrived  time.Time     `json:"stop_arrived,omitzero"`
	LastArrived  time.Time     `json:"last_arrived"`
	Skew         time.Duration `json:"skew,omitempty"`

	// Zone is the local time's lead over UTC in seconds, fixed at the start.
	Zone int32 `json:"zone,omitempty"`

	MeterStart  grid.WattHours `json:"meter_start"`
	MeterStop   grid.WattHours `json:"meter_stop,omitempty"` // with StopArrived
	StartKnown  bool           `json:"start_known"`
	StopReason  string         `json:"stop_reason,omitempty"`
	StopAsked   time.Time      `json:"stop_asked,omitzero"` // when we told the station to stop
	CarLeft     bool           `json:"car_left,omitempty"`
	Reasons     []Reason       `json:"reasons,omitempty"`
	Cost        price.Amount   `json:"cost"`
	EvidenceLen int            `json:"evidence"` // records kept
	Receipt     string         `json:"receipt,omitempty"`
	SettledAt   time.Time      `json:"settled_at,omitzero"`
	Settlement  *Settlement    `json:"settlement,omitempty"`

	// marks are in rows of their own, so that a meter value appends instead of rewriting.
	marks []Mark
	// records are the signed ones, verbatim, in the order in which they came; likewise.
	records []string
}

// Key makes a start idempotent: the hash of what makes two messages the same start.
type Key [32]byte

// MarshalText is hexadecimal.
func (k Key) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads MarshalText's.
func (k *Key) UnmarshalText(b []byte) error { return unhex(k[:], b) }

// MarshalText is hexadecimal.
func (r TariffRef) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, r[:]), nil }

// UnmarshalText reads MarshalText's.
func (r *TariffRef) UnmarshalText(b []byte) error { return unhex(r[:], b) }

func unhex(into, b []byte) error {
	if len(b) != 2*len(into) {
		return fmt.Errorf("%d hexadecimal digits, want %d", len(b), 2*len(into))
	}
	_, err := hex.Decode(into, b)
	return err
}

// startKey of 1.6: research and field agree that these five make one start (a station repeats it after a lost answer).
func startKey(station string, connector int, at time.Time, meterStart int64, tag Tag) Key {
	h := sha256.New()
	fmt.Fprintf(h, "start\x00%s\x00%d\x00%d\x00%d\x00%s", station, connector, at.UnixMilli(), meterStart, tag.fold())
	return Key(h.Sum(nil))
}

// remark adds a reason once.
func (s *Session) remark(r Reason) {
	if !slices.Contains(s.Reasons, r) {
		s.Reasons = append(s.Reasons, r)
	}
}

// Mark is one point of a session's course: the register, where it was read, and what the car did from then on.
type Mark struct {
	At       int64          // Unix seconds, put right
	Register grid.WattHours // -1 where only the state changed
	State    tariff.State
}
