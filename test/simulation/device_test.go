package simulation

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	abci "github.com/cometbft/cometbft/abci/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/core/attest"
	coredevice "github.com/cairn-network/cairn/core/device"
)

var deviceOperations = []operation{
	{"device: register", 6, (*history).register},
	{"device: announce", 2, func(h *history) (move, bool) {
		d, some := h.device()
		by := h.mostly(d.Operator)
		return move{by: by, messages: msgs(&devicev1.MsgAnnounce{Operator: by.text, Id: d.Id, Endpoint: "127.0.0.1:1", Model: "rack"})}, some
	}},
	{"device: relocate", 1, func(h *history) (move, bool) {
		d, some := h.device()
		by := h.mostly(d.Owner)
		return move{by: by, messages: msgs(&devicev1.MsgRelocate{Owner: by.text, Id: d.Id, Cell: h.cell(), Region: h.region()})}, some
	}},
	{"device: rotate operator", 1, func(h *history) (move, bool) {
		d, some := h.device()
		by := h.mostly(d.Owner)
		return move{by: by, messages: msgs(&devicev1.MsgRotateOperator{Owner: by.text, Id: d.Id, Operator: h.person().text})}, some
	}},
	{"device: transfer", 1, func(h *history) (move, bool) {
		d, some := h.device()
		by := h.mostly(d.Owner)
		return move{by: by, messages: msgs(&devicev1.MsgTransfer{Owner: by.text, Id: d.Id, NewOwner: h.person().text})}, some
	}},
	{"device: accept transfer", 2, func(h *history) (move, bool) {
		d, some := pick(h, where(h, h.state.device.Devices, func(d devicev1.Device) bool { return d.PendingOwner != "" }))
		by := h.mostly(d.PendingOwner)
		return move{by: by, messages: msgs(&devicev1.MsgAcceptTransfer{NewOwner: by.text, Id: d.Id, Operator: by.text})}, some
	}},
	{"device: add bond", 2, func(h *history) (move, bool) {
		d, some := h.device()
		by := h.mostly(d.Owner)
		return move{by: by, messages: msgs(&devicev1.MsgAddBond{Owner: by.text, Id: d.Id, Amount: coin(h.money(5000))})}, some
	}},
	{"device: retire", 1, func(h *history) (move, bool) {
		d, some := h.device()
		by := h.mostly(d.Owner)
		return move{by: by, messages: msgs(&devicev1.MsgRetire{Owner: by.text, Id: d.Id})}, some && h.random.IntN(2) == 0
	}},
	{"device: attest", 2, (*history).attest},
	{"device: present credential", 1, (*history).credential},
	{"device: revoke", 1, func(h *history) (move, bool) {
		// The manufacturer takes back its word about a device.
		d, some := h.device()
		by, maker := h.person(), fingerprint(manufacturer)
		anchor := attest.Key{Type: coredevice.Ed25519, Bytes: d.Pubkey.Key}.Fingerprint()
		return move{by: by, messages: msgs(&devicev1.MsgRevoke{
			Sender: by.text, Anchor: anchor[:], Reason: "lost", By: devicev1.TrustRef{Use: devicev1.TrustUse_TRUST_USE_MANUFACTURER, Fingerprint: maker},
			Signature: ed25519.Sign(manufacturer, attest.RevocationBytes(chainID, attest.Fingerprint(maker), anchor)),
		})}, some
	}},
	{"device: appeal", 3, func(h *history) (move, bool) {
		b, some := pick(h, where(h, h.state.device.Bans, func(b devicev1.Ban) bool { return b.State == devicev1.BanState_BAN_STATE_IN_FORCE }))
		by := h.mostly(h.deviceAt(b.Device).Owner)
		return move{by: by, messages: msgs(&devicev1.MsgAppeal{Owner: by.text, Device: b.Device, Statement: make([]byte, 32)})}, some
	}},
	{"device: reclaim appeal", 2, func(h *history) (move, bool) {
		b, some := pick(h, where(h, h.state.device.Bans, func(b devicev1.Ban) bool {
			return b.State == devicev1.BanState_BAN_STATE_APPEALED && b.Appeal != nil && h.state.now > b.Appeal.FiledAt+h.state.device.Params.AppealSeconds
		}))
		if !some || b.Appeal == nil {
			return move{}, false
		}
		by := h.mostly(b.Appeal.Owner)
		return move{by: by, messages: msgs(&devicev1.MsgReclaimAppeal{Owner: by.text, Device: b.Device})}, true
	}},
}

// device draws one that has not retired; rarely any.
func (h *history) device() (devicev1.Device, bool) {
	return pick(h, where(h, h.state.device.Devices, func(d devicev1.Device) bool { return d.State != devicev1.DeviceState_DEVICE_STATE_RETIRED }))
}

func (h *history) deviceAt(id uint64) devicev1.Device {
	for _, d := range h.state.device.Devices {
		if d.Id == id {
			return d
		}
	}
	return devicev1.Device{}
}

// cell draws one of a few places near each other.
func (h *history) cell() uint64 {
	const place = 0x8c28308280f11ff
	return place | h.random.Uint64N(7)<<9
}

func (h *history) region() string {
	regions := []string{"DE", "FR", "US"}
	return regions[h.random.IntN(len(regions))]
}

func (h *history) register() (move, bool) {
	if len(h.state.device.Devices) > 40 && !h.rarely() {
		return move{}, false
	}
	by := h.person()
	nonce := uint64(0)
	for _, n := range h.state.device.Nonces {
		if n.Owner == by.text {
			nonce = n.Nonce
		}
	}
	h.made++
	key := keyOf(fmt.Sprint("device ", h.made))
	kind := "storage"
	if h.rarely() {
		kind = "compute"
	}
	m := &devicev1.MsgRegister{
		Owner: by.text, Operator: h.person().text, Kind: kind, Cell: h.cell(), Region: h.region(), Endpoint: "127.0.0.1:1", Bond: coin(h.money(20_000)),
		Pubkey:    devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: public(key)},
		Signature: ed25519.Sign(key, coredevice.RegistrationBytes(chainID, by.text, nonce)),
	}
	return move{by: by, messages: msgs(m), then: func(r *abci.ExecTxResult) {
		if r.Code == 0 {
			h.devices[string(public(key))] = key
		}
	}}, true
}

// Whom devices are trusted for, once a vote says so.
var (
	manufacturer, issuer = keyOf("manufacturer"), keyOf("issuer")
	anchors              = []devicev1.TrustAnchor{
		anchor(devicev1.TrustUse_TRUST_USE_MANUFACTURER, manufacturer),
		anchor(devicev1.TrustUse_TRUST_USE_ISSUER, issuer, "calibration"),
	}
)

func anchor(use devicev1.TrustUse, k ed25519.PrivateKey, kinds ...string) devicev1.TrustAnchor {
	return devicev1.TrustAnchor{Use: use, Name: "signer", Kinds: kinds, Key: devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: public(k)}}
}

func fingerprint(k ed25519.PrivateKey) []byte {
	f := attest.Key{Type: coredevice.Ed25519, Bytes: public(k)}.Fingerprint()
	return f[:]
}

func (h *history) attest() (move, bool) {
	d, some := h.device()
	key := h.devices[string(d.Pubkey.Key)]
	if !some || key == nil {
		return move{}, false
	}
	k := attest.Key{Type: coredevice.Ed25519, Bytes: d.Pubkey.Key}
	subject := attest.Subject{ChainID: chainID, Device: d.Id, Owner: d.Owner, Key: k, Epoch: h.state.epoch.Number, Beacon: [32]byte(h.state.epoch.Beacon)}
	expiry := h.state.now + 3600
	by := h.mostly(d.Operator)
	return say1(by, &devicev1.MsgAttest{Operator: by.text, Device: d.Id, Epoch: subject.Epoch, Manufacturer: &devicev1.ManufacturerEvidence{
		Manufacturer: fingerprint(manufacturer), Expiry: expiry,
		Signature:       ed25519.Sign(manufacturer, attest.ManufacturerBytes(chainID, k, expiry)),
		DeviceSignature: ed25519.Sign(key, subject.Statement()),
	}})
}

func (h *history) credential() (move, bool) {
	d, some := h.device()
	by := h.mostly(d.Owner)
	document, expiry := sha256.Sum256([]byte("certificate")), h.state.now+3600
	return move{by: by, messages: msgs(&devicev1.MsgPresentCredential{
		Owner: by.text, Device: d.Id, Kind: "calibration", Issuer: fingerprint(issuer), Hash: document[:], Expiry: expiry,
		Signature: ed25519.Sign(issuer, attest.CredentialBytes(chainID, by.text, d.Id, "calibration", document, expiry)),
	})}, some
}
