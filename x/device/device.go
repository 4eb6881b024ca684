package device

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	// Resolution of a device's H3 cell; edge about 9 m.
	cellResolution = 12
	// Limits on what a device says about itself, bytes.
	maxModelBytes    = 64
	maxHostBytes     = 253 // RFC 1035 section 2.3.4, without the root dot
	maxEndpointBytes = maxHostBytes + len("[]:65535")
	// Metres above sea level: below the shore of the Dead Sea to above the highest peak.
	minElevation = -500
	maxElevation = 9000
)

// active says whether a device may take on new work at a time, Unix seconds. A jail term that
// has run out needs no message to end it.
func active(d devicev1.Device, now int64) bool {
	switch d.State {
	case devicev1.DeviceState_DEVICE_STATE_ACTIVE:
		return true
	case devicev1.DeviceState_DEVICE_STATE_JAILED:
		return now >= d.JailedUntil
	default:
		return false
	}
}

// describe says in words why a device is not active.
func describe(d devicev1.Device) string {
	switch d.State {
	case devicev1.DeviceState_DEVICE_STATE_JAILED:
		return fmt.Sprintf("jailed until %d", d.JailedUntil)
	case devicev1.DeviceState_DEVICE_STATE_RETIRING:
		return "retiring"
	case devicev1.DeviceState_DEVICE_STATE_RETIRED:
		return "retired"
	default:
		return d.State.String()
	}
}

// owned gives a device that is not retired if the account, in canonical spelling, owns it.
func (k *Keeper) owned(ctx context.Context, id uint64, account string) (devicev1.Device, error) {
	d, err := k.Device(ctx, id)
	if err != nil {
		return devicev1.Device{}, err
	}
	if d.Owner != account {
		return devicev1.Device{}, errorsmod.Wrapf(ErrNotOwner, "device %d belongs to %s, not %s", id, d.Owner, account)
	}
	if d.State == devicev1.DeviceState_DEVICE_STATE_RETIRED {
		return devicev1.Device{}, errorsmod.Wrapf(ErrRetired, "device %d", id)
	}
	return d, nil
}

// add registers a device, taking its deposit and bond from the owner, and gives its id.
func (k *Keeper) add(ctx context.Context, owner sdk.AccAddress, d devicev1.Device) (uint64, error) {
	switch _, err := k.devices.Indexes.Key.MatchExact(ctx, d.Pubkey.Key); {
	case err == nil:
		return 0, errorsmod.Wrapf(ErrKeyTaken, "pubkey %x", d.Pubkey.Key)
	case !errors.Is(err, collections.ErrNotFound):
		return 0, errorsmod.Wrap(err, "looking up device key")
	}
	devices, err := k.room(ctx, d.Owner)
	if err != nil {
		return 0, err
	}
	if held := sdk.NewCoins(d.Deposit).Add(d.Bond); !held.IsZero() {
		if err := k.bank.SendCoinsFromAccountToModule(ctx, owner, ModuleName, held); err != nil {
			return 0, errorsmod.Wrapf(err, "taking deposit and bond %s from %s", held, d.Owner)
		}
	}
	if err := k.hold(ctx, d.Owner, devices+1); err != nil {
		return 0, err
	}
	id, err := k.nextID.Next(ctx)
	if err != nil {
		return 0, errorsmod.Wrap(err, "numbering a device")
	}
	d.Id = id
	return id, errorsmod.Wrapf(k.devices.Set(ctx, id, d), "writing device %d", id)
}

// room gives how many devices an owner has, or says that it may not have one more.
func (k *Keeper) room(ctx context.Context, owner string) (uint64, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return 0, err
	}
	held, err := k.held(ctx, owner)
	if err != nil {
		return 0, err
	}
	if held >= params.MaxDevicesPerOwner {
		return 0, errorsmod.Wrapf(ErrTooMany, "%s has %d devices, the limit is %d", owner, held, params.MaxDevicesPerOwner)
	}
	return held, nil
}

// hold writes how many devices an owner has.
func (k *Keeper) hold(ctx context.Context, owner string, devices uint64) error {
	if devices == 0 {
		return errorsmod.Wrapf(k.holdings.Remove(ctx, owner), "counting devices of %s", owner)
	}
	return errorsmod.Wrapf(k.holdings.Set(ctx, owner, devices), "counting devices of %s", owner)
}

// release counts one device of an owner less.
func (k *Keeper) release(ctx context.Context, owner string) error {
	held, err := k.held(ctx, owner)
	if err != nil {
		return err
	}
	if held == 0 {
		return errorsmod.Wrapf(ErrNotOwner, "%s has no device to release", owner)
	}
	return k.hold(ctx, owner, held-1)
}

func (k *Keeper) held(ctx context.Context, owner string) (uint64, error) {
	held, err := k.holdings.Get(ctx, owner)
	if errors.Is(err, collections.ErrNotFound) {
		return 0, nil
	}
	return held, errorsmod.Wrapf(err, "reading how many devices %s has", owner)
}

// nonce is how many registrations an owner has made, and what the next one signs over.
func (k *Keeper) nonce(ctx context.Context, owner string) (uint64, error) {
	nonce, err := k.nonces.Get(ctx, owner)
	if errors.Is(err, collections.ErrNotFound) {
		return 0, nil
	}
	return nonce, errorsmod.Wrapf(err, "reading nonce of %s", owner)
}

// retire starts the leaving of a device: it takes on nothing new from here.
func (k *Keeper) retire(ctx context.Context, d devicev1.Device) (devicev1.Device, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return devicev1.Device{}, err
	}
	now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix()
	d.State = devicev1.DeviceState_DEVICE_STATE_RETIRING
	d.ReleaseAt = max(now+params.UnbondingSeconds, d.JailedUntil) // leaving does not shorten a jail term
	d.PendingOwner = ""
	return d, errorsmod.Wrapf(k.devices.Set(ctx, d.Id, d), "writing device %d", d.Id)
}

// discharge ends the leaving of a device: deposit and bond go back to its owner. They answer for the
// last of its work as long as for a device that goes without work: else an operator who has dropped
// everything could end its leases and take the bond in one transaction, before any report.
func (k *Keeper) discharge(ctx context.Context, owner sdk.AccAddress, d devicev1.Device) (devicev1.Device, error) {
	now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix()
	if now < d.ReleaseAt {
		return devicev1.Device{}, errorsmod.Wrapf(ErrUnbonding, "device %d: release_at %d, block time %d", d.Id, d.ReleaseAt, now)
	}
	if k.obligations == nil {
		return devicev1.Device{}, errorsmod.Wrapf(ErrObliged, "device %d: no market is wired to say otherwise", d.Id)
	}
	since, idle, err := k.obligations.Idle(ctx, d.Id)
	if err != nil {
		return devicev1.Device{}, errorsmod.Wrapf(err, "asking what device %d owes", d.Id)
	}
	if !idle {
		return devicev1.Device{}, errorsmod.Wrapf(ErrObliged, "device %d has lease items that are not closed", d.Id)
	}
	params, err := k.Params(ctx)
	if err != nil {
		return devicev1.Device{}, err
	}
	if free := since + params.UnbondingSeconds; now < free {
		return devicev1.Device{}, errorsmod.Wrapf(ErrUnbonding, "device %d: last_ended %d, and unbonding_seconds %d later is %d, block time %d",
			d.Id, since, params.UnbondingSeconds, free, now)
	}
	if held := sdk.NewCoins(d.Deposit).Add(d.Bond); !held.IsZero() {
		if err := k.bank.SendCoinsFromModuleToAccount(ctx, ModuleName, owner, held); err != nil {
			return devicev1.Device{}, errorsmod.Wrapf(err, "returning %s to %s", held, d.Owner)
		}
	}
	if err := k.release(ctx, d.Owner); err != nil {
		return devicev1.Device{}, err
	}
	d.State = devicev1.DeviceState_DEVICE_STATE_RETIRED
	d.Deposit.Amount, d.Bond.Amount = math.ZeroInt(), math.ZeroInt()
	d.PendingOwner = ""
	return d, errorsmod.Wrapf(k.devices.Set(ctx, d.Id, d), "writing device %d", d.Id)
}

// Jail keeps a device from taking on new work until a time, Unix seconds; a longer term already
// running stays. For the modules that judge faults, not for messages.
func (k *Keeper) Jail(ctx context.Context, id uint64, until int64) error {
	d, err := k.Device(ctx, id)
	if err != nil {
		return err
	}
	switch d.State {
	case devicev1.DeviceState_DEVICE_STATE_RETIRED:
		return errorsmod.Wrapf(ErrRetired, "device %d", id)
	case devicev1.DeviceState_DEVICE_STATE_RETIRING: // stays on its way out, but waits for the term
		d.ReleaseAt = max(d.ReleaseAt, until)
	default:
		d.State = devicev1.DeviceState_DEVICE_STATE_JAILED
	}
	d.JailedUntil = max(d.JailedUntil, until)
	if err := k.devices.Set(ctx, id, d); err != nil {
		return errorsmod.Wrapf(err, "writing device %d", id)
	}
	return emit(ctx, &devicev1.EventStateChanged{Id: id, State: d.State})
}

// checkKey checks that a public key has the form of its type. That somebody holds it is shown by
// the signature at registration.
func checkKey(key devicev1.PublicKey) error {
	if err := coredevice.CheckKey(int32(key.Type), key.Key); err != nil {
		return errorsmod.Wrapf(ErrKey, "pubkey: %s", err)
	}
	return nil
}

// checkPlace checks where a device says it stands.
func checkPlace(cell uint64, elevation int32, region string) error {
	if cell != 0 {
		if err := geo.Cell(cell).Check(cellResolution); err != nil {
			return errorsmod.Wrap(ErrCell, err.Error())
		}
	}
	if elevation < minElevation || elevation > maxElevation {
		return errorsmod.Wrapf(ErrField, "elevation %d m: want %d to %d", elevation, minElevation, maxElevation)
	}
	if region != "" && !isCountry(region) {
		return errorsmod.Wrapf(ErrField, "region %q: want an ISO 3166-1 alpha-2 code or nothing", modkit.Clip(region))
	}
	return nil
}

// isCountry says whether text has the form of an ISO 3166-1 alpha-2 code. Which codes are
// assigned changes over the years and is no matter of consensus.
func isCountry(text string) bool {
	return len(text) == 2 && 'A' <= text[0] && text[0] <= 'Z' && 'A' <= text[1] && text[1] <= 'Z'
}

// checkModel checks a device's free description.
func checkModel(model string) error {
	if len(model) > maxModelBytes {
		return errorsmod.Wrapf(ErrField, "model of %d bytes: at most %d", len(model), maxModelBytes)
	}
	if !utf8.ValidString(model) || strings.ContainsFunc(model, isControl) {
		return errorsmod.Wrapf(ErrField, "model %q: want UTF-8 without control characters", model)
	}
	return nil
}

// isControl says whether a character is one of C0, DEL or C1. What else is printable depends on
// the Unicode tables of a Go version, on which nodes may differ.
func isControl(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 }

// checkEndpoint checks where a device can be reached: host:port, or nothing.
func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	if len(endpoint) > maxEndpointBytes {
		return errorsmod.Wrapf(ErrField, "endpoint of %d bytes: at most %d", len(endpoint), maxEndpointBytes)
	}
	host, port, found := cutPort(endpoint)
	if !found {
		return errorsmod.Wrapf(ErrField, "endpoint %q: want host:port, an IPv6 address in brackets", endpoint)
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 || port[0] == '0' {
		return errorsmod.Wrapf(ErrField, "endpoint %q: port %q: want 1 to 65535", endpoint, port)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return errorsmod.Wrapf(ErrField, "endpoint %q: an address with a zone means nothing to others", endpoint)
		}
		return nil
	}
	if !isHostname(host) {
		return errorsmod.Wrapf(ErrField, "endpoint %q: host %q is neither an IP address nor a host name", endpoint, host)
	}
	return nil
}

// cutPort cuts host:port or [host]:port at its last colon; only in brackets may a host have colons.
func cutPort(endpoint string) (host, port string, found bool) {
	at := strings.LastIndexByte(endpoint, ':')
	if at < 0 {
		return "", "", false
	}
	host, port = endpoint[:at], endpoint[at+1:]
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		host, found = strings.CutSuffix(inner, "]")
		return host, port, found && strings.Contains(host, ":")
	}
	return host, port, !strings.Contains(host, ":")
}

// isHostname says whether text is a host name: RFC 1123 section 2.1, labels of 1 to 63 letters,
// digits and inner hyphens.
func isHostname(text string) bool {
	if len(text) == 0 || len(text) > maxHostBytes {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
				return false
			}
		}
	}
	return true
}
