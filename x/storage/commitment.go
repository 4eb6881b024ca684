package storage

import (
	"context"
	"errors"
	"math/bits"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/challenge"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
)

const (
	// maxTotal bounds a tree's chunks: 2^50 are an exbibyte, and their bytes fit 64 bits.
	maxTotal = 1 << 50
	// slackChunks may always be in a tree beyond what leases reserve: leases of a few bytes round up
	// to chunks.
	slackChunks = 1024
	wholeBps    = 10_000
)

// bytesOf is the bytes that chunks stand for.
func bytesOf(chunks uint64) uint64 { return chunks * piece.ChunkSize }

// stores gives a device that the account may act for, if it is one that stores and has not left.
func (k *Keeper) stores(ctx context.Context, id uint64, account string) (devicev1.Device, error) {
	d, err := k.devices.Operated(ctx, id, account)
	if err != nil {
		return d, err
	}
	if d.Kind != Kind {
		return d, errorsmod.Wrapf(ErrKind, "device %d is a %q", id, d.Kind)
	}
	return d, present(d)
}

// present refuses a device that has left for good.
func present(d devicev1.Device) error {
	if d.State == devicev1.DeviceState_DEVICE_STATE_RETIRED {
		return errorsmod.Wrapf(ErrRetired, "device %d", d.Id)
	}
	return nil
}

// last gives the latest entry of a map by device and epoch that is not after an epoch; false if there
// is none.
func last[V any](ctx context.Context, m collections.Map[rowKey, V], device, epoch uint64) (V, bool, error) {
	var found V
	entries, err := m.Iterate(ctx, collections.NewPrefixedPairRange[uint64, uint64](device).EndInclusive(epoch).Descending())
	if err != nil {
		return found, false, errorsmod.Wrapf(err, "looking for rows of device %d", device)
	}
	defer entries.Close()
	if !entries.Valid() {
		return found, false, nil
	}
	found, err = entries.Value()
	return found, err == nil, errorsmod.Wrapf(err, "reading a row of device %d", device)
}

// row gives the entry of a map by device and epoch; false if there is none.
func row[K, V any](ctx context.Context, m collections.Map[K, V], key K) (V, bool, error) {
	value, err := m.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return value, false, nil
	}
	return value, err == nil, errorsmod.Wrapf(err, "reading %s %v", m.GetName(), key)
}

// InForce gives the commitment that an epoch's challenge to a device is drawn over: the latest one
// made before the epoch began. ErrNoCommitment if there is none.
func (k *Keeper) InForce(ctx context.Context, device, epoch uint64) (storagev1.Commitment, error) {
	c, found, err := last(ctx, k.commitments, device, epoch)
	if err == nil && !found {
		err = errorsmod.Wrapf(ErrNoCommitment, "device %d, epoch %d", device, epoch)
	}
	return c, err
}

// node is a commitment's root as proofs are checked against it.
func node(c storagev1.Commitment) merkle.Node {
	n := merkle.Node{Sum: c.Total}
	copy(n.Hash[:], c.Root)
	return n
}

// termsAt gives the terms that hold in an epoch.
func (k *Keeper) termsAt(ctx context.Context, epoch uint64) (storagev1.Terms, error) {
	entries, err := k.terms.Iterate(ctx, new(collections.Range[uint64]).EndInclusive(epoch).Descending())
	if err != nil {
		return storagev1.Terms{}, errorsmod.Wrap(err, "looking for terms")
	}
	defer entries.Close()
	if !entries.Valid() {
		return storagev1.Terms{}, errorsmod.Wrapf(ErrEpoch, "epoch %d: no terms are kept", epoch)
	}
	t, err := entries.Value()
	return t, errorsmod.Wrap(err, "reading terms")
}

// setTerms makes the params' terms hold from the next epoch on, if they differ from those that do.
func (k *Keeper) setTerms(ctx context.Context, p storagev1.PossessionParams) error {
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return err
	}
	next := current.Number + 1
	held, err := k.termsAt(ctx, next)
	if err != nil {
		return err
	}
	terms := termsOf(p)
	terms.Since = held.Since
	if terms == held {
		return nil
	}
	terms.Since = next
	if err := k.terms.Set(ctx, next, terms); err != nil {
		return errorsmod.Wrap(err, "writing terms")
	}
	if held.Since == next {
		return nil // replaced before they ever held
	}
	return k.outdate(ctx, next, oldTerms, 0, held.Since)
}

func termsOf(p storagev1.PossessionParams) storagev1.Terms {
	return storagev1.Terms{Interval: p.Interval, Positions: p.Positions, PeerOdds: p.PeerOdds, FreshEpochs: p.FreshEpochs}
}

// commitTree records what a device holds from the next epoch on. It returns the commitment, and the
// total of the tree in force until then; 0 if there is none.
func (k *Keeper) commitTree(ctx context.Context, d devicev1.Device, c storagev1.Commitment) (_ storagev1.Commitment, previous uint64, err error) {
	params, err := k.Params(ctx)
	if err != nil {
		return c, 0, err
	}
	if err := checkCommitment(c); err != nil {
		return c, 0, err
	}
	standing, known, err := row(ctx, k.standings, d.Id)
	if err != nil {
		return c, 0, err
	}
	if c.Version != standing.Version+1 {
		return c, 0, errorsmod.Wrapf(ErrTreeVersion, "version %d after %d", c.Version, standing.Version)
	}
	if !known && c.Total == 0 {
		return c, 0, errorsmod.Wrapf(ErrField, "total 0: device %d has committed to nothing yet", d.Id)
	}
	leased, err := k.market.Leased(ctx, d.Id, Resource)
	if err != nil {
		return c, 0, err
	}
	if most := mostChunks(leased, params.Possession.MaxFillBps); c.Total > most {
		return c, 0, errorsmod.Wrapf(ErrTooMuch, "total %d: leases reserve %d bytes, for which at most %d chunks may be committed", c.Total, leased, most)
	}
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return c, 0, err
	}
	c.Since = current.Number + 1
	before, some, err := last(ctx, k.commitments, d.Id, current.Number)
	if err != nil {
		return c, 0, err
	}
	if some {
		if err := k.outdate(ctx, c.Since, oldCommitment, d.Id, before.Since); err != nil {
			return c, 0, err
		}
	}
	if err := k.commitments.Set(ctx, collections.Join(d.Id, c.Since), c); err != nil {
		return c, 0, errorsmod.Wrapf(err, "writing commitment of device %d", d.Id)
	}
	standing.Device, standing.Version = d.Id, c.Version
	return c, before.Total, errorsmod.Wrapf(k.standings.Set(ctx, d.Id, standing), "writing standing of device %d", d.Id)
}

// checkCommitment checks a commitment's form.
func checkCommitment(c storagev1.Commitment) error {
	if len(c.Root) != len(merkle.Node{}.Hash) {
		return errorsmod.Wrapf(ErrField, "root of %d bytes: want %d", len(c.Root), len(merkle.Node{}.Hash))
	}
	if c.Total > maxTotal {
		return errorsmod.Wrapf(ErrField, "total %d: at most %d", c.Total, uint64(maxTotal))
	}
	if empty := node(c).Hash == merkle.Empty.Hash; empty != (c.Total == 0) {
		return errorsmod.Wrapf(ErrField, "total %d with root %x: an empty tree has both 0", c.Total, c.Root)
	}
	return nil
}

// mostChunks is how large a tree may be for what is leased.
func mostChunks(leased uint64, fillBps uint32) uint64 {
	hi, lo := bits.Mul64(leased, uint64(fillBps))
	if hi >= wholeBps*piece.ChunkSize {
		return maxTotal
	}
	chunks, _ := bits.Div64(hi, lo, wholeBps*piece.ChunkSize)
	return min(chunks+slackChunks, maxTotal)
}

// asked is a device's challenge in an epoch.
type asked struct {
	epoch      auditv1.Epoch
	terms      storagev1.Terms
	commitment storagev1.Commitment
	draw       challenge.Draw
	// due says that the device is challenged: it has something in force, the beacon may be drawn from,
	// and it drew the device.
	due bool
}

// asks works out what a device is asked in an epoch. ErrNoCommitment if nothing is in force.
func (k *Keeper) asks(ctx context.Context, device uint64, epoch auditv1.Epoch) (asked, error) {
	a := asked{epoch: epoch}
	var err error
	if a.commitment, err = k.InForce(ctx, device, epoch.Number); err != nil {
		return a, err
	}
	if a.terms, err = k.termsAt(ctx, epoch.Number); err != nil {
		return a, err
	}
	a.draw = challenge.New(beaconOf(epoch), epoch.Number, device)
	a.due = !epoch.Weak && a.commitment.Total > 0 && a.draw.Due(a.terms.Interval)
	return a, nil
}

// positions are those that the device has to show.
func (a asked) positions() []uint64 { return a.draw.Positions(a.terms.Positions, a.commitment.Total) }

func beaconOf(epoch auditv1.Epoch) (b [32]byte) {
	copy(b[:], epoch.Beacon)
	return b
}
