package launch

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
)

// What gateways over one PostgreSQL database have in common besides the metadata: the lease with its
// one chain of vouchers for each device, and the S3 credentials. Repair, snapshots and bucket
// lifecycles are done by one of them at a time (gateway.alone).

const (
	voucherValues    = "voucher/"
	credentialsValue = "s3/root"
	voucherTime      = 30 * time.Second
)

// promises keeps the vouchers of all gateways in the metabase: one shared value for each account,
// named by lease and device.
//
//	offset  size  field, big endian
//	     0     8  sequence
//	     8     8  units, cumulative
//	    16    16  amount, cumulative: high word, low word
type promises struct{ db *metabase.DB }

const promiseSize = 32

func (p promises) Update(a renter.Account, next func(renter.Promise) (renter.Promise, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), voucherTime)
	defer cancel()
	return p.db.UpdateShared(ctx, voucherName(a), func(old []byte) ([]byte, error) {
		before, err := decodePromise(old)
		if err != nil {
			return nil, fmt.Errorf("voucher of lease %d, device %d: %w", a.Lease, a.Device, err)
		}
		after, err := next(before)
		if err != nil {
			return nil, err
		}
		return encodePromise(after), nil
	})
}

func (p promises) Each(fn func(renter.Account, renter.Promise)) error {
	ctx, cancel := context.WithTimeout(context.Background(), voucherTime)
	defer cancel()
	return p.db.Shared(ctx, voucherValues, func(name string, v []byte) error {
		a, err := parseVoucherName(name)
		if err != nil {
			return err
		}
		promise, err := decodePromise(v)
		if err != nil {
			return fmt.Errorf("voucher of lease %d, device %d: %w", a.Lease, a.Device, err)
		}
		fn(a, promise)
		return nil
	})
}

func voucherName(a renter.Account) string {
	return fmt.Sprintf("%s%d/%d", voucherValues, a.Lease, a.Device)
}

func parseVoucherName(name string) (a renter.Account, err error) {
	if _, err := fmt.Sscanf(name, voucherValues+"%d/%d", &a.Lease, &a.Device); err != nil || voucherName(a) != name {
		return a, fmt.Errorf("name of a voucher %q: %w", name, renter.ErrBookDamaged)
	}
	return a, nil
}

func encodePromise(p renter.Promise) []byte {
	b := binary.BigEndian.AppendUint64(nil, p.Seq)
	b = binary.BigEndian.AppendUint64(b, p.Units)
	b = binary.BigEndian.AppendUint64(b, p.Amount.Hi)
	return binary.BigEndian.AppendUint64(b, p.Amount.Lo)
}

// decodePromise reads what encodePromise wrote; nothing is the zero Promise.
func decodePromise(b []byte) (renter.Promise, error) {
	if len(b) == 0 {
		return renter.Promise{}, nil
	}
	if len(b) != promiseSize {
		return renter.Promise{}, fmt.Errorf("%d bytes, want %d: %w", len(b), promiseSize, renter.ErrBookDamaged)
	}
	return renter.Promise{
		Seq: binary.BigEndian.Uint64(b), Units: binary.BigEndian.Uint64(b[8:]),
		Amount: price.Amount{Hi: binary.BigEndian.Uint64(b[16:]), Lo: binary.BigEndian.Uint64(b[24:])},
	}, nil
}

// shareCredentials makes the S3 credentials of the first gateway over a database those of all.
func (g *gateway) shareCredentials(ctx context.Context) error {
	box := g.root.Box("s3 credentials")
	var keys [2]string
	err := g.db.UpdateShared(ctx, credentialsValue, func(old []byte) ([]byte, error) {
		keys = [2]string{g.AccessKey, g.SecretKey}
		if old == nil {
			plain, err := json.Marshal(keys)
			return box.Seal(nil, plain, []byte(credentialsValue)), err
		}
		plain, err := box.Open(nil, old, []byte(credentialsValue))
		if err != nil {
			return nil, errors.Join(errors.New("the database belongs to another wallet"), err)
		}
		return old, json.Unmarshal(plain, &keys)
	})
	if err != nil {
		return fmt.Errorf("S3 credentials of the database: %w", err)
	}
	g.AccessKey, g.SecretKey = keys[0], keys[1]
	return nil
}
