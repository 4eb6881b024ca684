package chainclient

import (
	"context"
	"fmt"

	"github.com/cosmos/cosmos-sdk/types/query"

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

// Revoke takes back the word of a manufacturer, attester or issuer, by its signature.
func (c *Client) Revoke(ctx context.Context, m *devicev1.MsgRevoke) error {
	n := *m
	c.fill(&n.Sender)
	return c.call(ctx, fmt.Sprintf("revoking %x", m.Anchor), &n, nil)
}

// PresentCredential records an issuer's word about the account's devices (owner).
func (c *Client) PresentCredential(ctx context.Context, m *devicev1.MsgPresentCredential) error {
	n := *m
	c.fill(&n.Owner)
	return c.call(ctx, "presenting a credential", &n, nil)
}

// Credentials are what was presented for an owner's devices.
func (c *Client) Credentials(ctx context.Context, owner string) ([]devicev1.Credential, error) {
	q := devicev1.NewQueryClient(c.conn)
	all, err := pages(func(page *query.PageRequest) ([]devicev1.Credential, *query.PageResponse, error) {
		r, err := q.Credentials(ctx, &devicev1.QueryCredentialsRequest{Owner: owner, Pagination: page})
		return r.GetCredentials(), r.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("listing credentials of %s: %w", owner, err)
	}
	return all, nil
}

// Appeal asks governance to look again at a ban, for a deposit, and gives by when it decides (owner).
func (c *Client) Appeal(ctx context.Context, device uint64, statement [32]byte) (deadline int64, err error) {
	var r devicev1.MsgAppealResponse
	err = c.call(ctx, fmt.Sprintf("appealing the ban of device %d", device),
		&devicev1.MsgAppeal{Owner: c.Address(), Device: device, Statement: statement[:]}, &r)
	return r.Deadline, err
}

// ReclaimAppeal takes back the deposit of an appeal that nobody decided in time (owner).
func (c *Client) ReclaimAppeal(ctx context.Context, device uint64) error {
	return c.call(ctx, fmt.Sprintf("reclaiming the deposit of the appeal of device %d", device),
		&devicev1.MsgReclaimAppeal{Owner: c.Address(), Device: device}, nil)
}
