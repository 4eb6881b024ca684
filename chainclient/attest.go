package chainclient

import (
	"context"
	"fmt"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
)

// Tier is what is known of a device now, in words too, and what is not.
func (c *Client) Tier(ctx context.Context, device uint64) (devicev1.QueryTierResponse, error) {
	r, err := devicev1.NewQueryClient(c.conn).Tier(ctx, &devicev1.QueryTierRequest{Device: device})
	if err != nil {
		return devicev1.QueryTierResponse{}, fmt.Errorf("asking for the tier of device %d: %w", device, queryError(err))
	}
	return *r, nil
}

// Challenge is what evidence about a device must be made over now, and the epoch that it names.
func (c *Client) Challenge(ctx context.Context, device uint64) (epoch uint64, statement []byte, err error) {
	r, err := devicev1.NewQueryClient(c.conn).Challenge(ctx, &devicev1.QueryChallengeRequest{Device: device})
	if err != nil {
		return 0, nil, fmt.Errorf("asking for the challenge of device %d: %w", device, queryError(err))
	}
	return r.Epoch, r.Challenge, nil
}

// Attest brings evidence about a device (operator).
func (c *Client) Attest(ctx context.Context, m *devicev1.MsgAttest) (devicev1.MsgAttestResponse, error) {
	n := *m
	c.fill(&n.Operator)
	var r devicev1.MsgAttestResponse
	err := c.call(ctx, fmt.Sprintf("attesting device %d", m.Device), &n, &r)
	return r, err
}

// Ban is the ban of a device, past or present, and whether it is in force; ErrNotBanned without one.
func (c *Client) Ban(ctx context.Context, device uint64) (devicev1.QueryBanResponse, error) {
	r, err := devicev1.NewQueryClient(c.conn).Ban(ctx, &devicev1.QueryBanRequest{Device: device})
	if err != nil {
		return devicev1.QueryBanResponse{}, fmt.Errorf("asking for the ban of device %d: %w", device, queryError(err))
	}
	return *r, nil
}

// Codes of x/device about evidence, rules and bans.
var (
	ErrStale        = Code{"device", 46}
	ErrUntrusted    = Code{"device", 47}
	ErrNotPermitted = Code{"device", 53}
	ErrBanned       = Code{"device", 54}
	ErrNotBanned    = Code{"device", 55}
)
