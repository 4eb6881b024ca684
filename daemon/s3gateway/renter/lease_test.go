package renter_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter/rentertest"
	"github.com/cairn-network/cairn/internal/clock"
)

const day = 24 * time.Hour

func codes(warnings []renter.Warning) []string {
	var list []string
	for _, w := range warnings {
		list = append(list, w.Code)
	}
	return list
}

func TestLeaseTakesOneDeviceOfEveryOwnerFirst(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{Nodes: 9, Owners: 3, Lease: renter.LeaseConfig{MaxDevices: 4}})
	n.Ledger.SetOffer(2, func(o *renter.Offer) { o.Stream.Amount = price.FromUint64(40) })    // owner 1, dear
	n.Ledger.SetOffer(9, func(o *renter.Offer) { o.Stream.Amount = price.FromUint64(30) })    // owner 2, cheap
	n.Ledger.SetOffer(6, func(o *renter.Offer) { o.MaxTerm = time.Hour })                     // owner 2, too short
	n.Ledger.SetOffer(1, func(o *renter.Offer) { o.Metered.Amount = price.FromUint64(1e12) }) // owner 0, above the limit
	limit := price.Rate{Amount: price.FromUint64(1e9), Per: 1}
	n.Leases.Config.MaxMetered = &limit
	require.NoError(t, n.Leases.Step(t.Context()))
	lease := n.Pool.Lease()
	require.NotNil(t, lease)
	var devices []uint64
	for d := range lease.Items {
		devices = append(devices, d)
	}
	// One of each owner, the cheapest each: 9, then 4 (1 is too dear), 5 before 2; the fourth is the
	// cheapest of the rest.
	require.ElementsMatch(t, []uint64{9, 4, 5, 3}, devices)
	require.NoError(t, n.Leases.Step(t.Context()))
	require.Len(t, n.Pool.Lease().Items, 4)
}

// TestLeaseWantsABond leaves devices out whose owners have less to lose than storing nothing would
// save them, what others reserve there included.
func TestLeaseWantsABond(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{Nodes: 4, Lease: renter.LeaseConfig{Units: 100e9}})
	bond := func(text string) func(*renter.Node) {
		amount, err := price.Parse(text)
		require.NoError(t, err)
		return func(node *renter.Node) { node.Bond = amount }
	}
	n.Ledger.Judge(1, bond("0CAIRN"))
	n.Ledger.Judge(2, bond("1.999999CAIRN"))
	n.Ledger.Judge(3, bond("2CAIRN"))
	n.Ledger.SetOffer(4, func(o *renter.Offer) { o.Capacity, o.Reserved = 9e12, 5e12 }) // its 100 CAIRN are taken
	require.NoError(t, n.Leases.Step(t.Context()))
	require.Len(t, n.Pool.Lease().Items, 1)
	require.Contains(t, n.Pool.Lease().Items, uint64(3))
	for _, c := range n.Pool.Candidates() {
		if c.Device != 3 {
			require.Equal(t, renter.ReasonBond, c.Excluded, "device %d", c.Device)
		}
	}
	// It grows no further than its bond.
	n.Pool.AddBytes(3, 60e9, 60)
	require.NoError(t, n.Leases.Step(t.Context()))
	require.EqualValues(t, 100e9, n.Pool.Lease().Items[3].Units)
	n.Ledger.Judge(3, bond("4CAIRN"))
	require.NoError(t, n.Leases.Step(t.Context()))
	require.EqualValues(t, 200e9, n.Pool.Lease().Items[3].Units)
	// Who asks for none gets all.
	n.Leases.Config.MinBond = &price.Rate{Per: 1}
	require.NoError(t, n.Leases.Step(t.Context()))
	require.Len(t, n.Pool.Lease().Items, 4)
}

// TestJailedDevicesAreNotRefilled puts no more money down for a jailed device, and keeps those that
// failed a challenge from new data.
func TestJailedDevicesAreNotRefilled(t *testing.T) {
	fake := clock.NewFake(rentertest.Epoch())
	n := rentertest.New(t, rentertest.Options{Nodes: 3, Clock: fake})
	require.NoError(t, n.Leases.Step(t.Context()))
	first := n.Pool.Lease().Items[1].Escrow
	n.Ledger.SetStanding(1, renter.StandingJailed)
	n.Ledger.Judge(2, func(node *renter.Node) { node.Faults = 1 })
	for range 24 {
		fake.Advance(10 * day)
		require.NoError(t, n.Leases.Step(t.Context()))
	}
	excluded := make(map[uint64]renter.Reason)
	for _, c := range n.Pool.Candidates() {
		excluded[c.Device] = c.Excluded
	}
	require.Equal(t, map[uint64]renter.Reason{1: renter.ReasonJailed, 2: renter.ReasonFaults, 3: 0}, excluded)
	paid := func(device uint64) price.Amount {
		item := n.Pool.Lease().Items[device]
		sum, overflow := item.Escrow.Add(item.Streamed)
		require.False(t, overflow)
		return sum
	}
	require.Equal(t, first, paid(1), "what was put down at first, and no more")
	require.Positive(t, paid(3).Cmp(first))
	n.Ledger.SetStanding(1, renter.StandingActive)
	n.Ledger.Judge(2, nil)
	require.NoError(t, n.Leases.Step(t.Context()))
	require.Positive(t, paid(1).Cmp(first))
	for _, c := range n.Pool.Candidates() {
		require.Zero(t, c.Excluded, "device %d", c.Device)
	}
}

func TestLeaseRefillsGrowsAndExtendsByItself(t *testing.T) {
	fake := clock.NewFake(rentertest.Epoch())
	n := rentertest.New(t, rentertest.Options{Nodes: 3, Clock: fake, Lease: renter.LeaseConfig{Units: 1 << 30}})
	require.NoError(t, n.Leases.Step(t.Context()))
	id := n.Pool.Lease().ID
	for range 4 * 365 / 5 {
		fake.Advance(5 * day)
		require.NoError(t, n.Leases.Step(t.Context()))
		f := n.Leases.Figures()
		require.Equal(t, id, f.ID)
		require.Greater(t, f.DryAt.Sub(fake.Now()), 10*day, "escrow is refilled at half")
		require.Greater(t, f.ExpiresAt.Sub(fake.Now()), 40*day, "the lease is extended at half")
		require.Empty(t, n.Leases.Warnings())
	}
	// Four years of 3 GiB: within a percent of the arithmetic.
	want, err := rentertest.Stream.StreamCost(3<<30, uint64(4*365/5*5*24*3600))
	require.NoError(t, err)
	got := n.Leases.Figures().Spent
	tolerance, _ := want.MulDiv(1, 100)
	difference, under := want.Sub(got)
	if under {
		difference, _ = got.Sub(want)
	}
	require.Negative(t, difference.Cmp(tolerance), "spent %s, expected %s", got.Format(), want.Format())

	// Half full: the reservation doubles before it is used up.
	n.Pool.AddBytes(2, 600<<20, 600)
	require.NoError(t, n.Leases.Step(t.Context()))
	require.Equal(t, uint64(2<<30), n.Pool.Lease().Items[2].Units)
	require.Equal(t, uint64(1<<30), n.Pool.Lease().Items[1].Units)
	// The price went up meanwhile: what is reserved stays, and more is bought elsewhere.
	n.Ledger.SetOffer(1, func(o *renter.Offer) { o.Stream.Amount = price.FromUint64(1000) })
	n.Pool.AddBytes(1, 1000<<20, 1000)
	require.NoError(t, n.Leases.Step(t.Context()))
	require.Equal(t, uint64(1<<30), n.Pool.Lease().Items[1].Units)
}

func TestLeaseWarnsWellBeforeItRunsDry(t *testing.T) {
	fake := clock.NewFake(rentertest.Epoch())
	n := rentertest.New(t, rentertest.Options{Nodes: 3, Clock: fake})
	require.NoError(t, n.Leases.Step(t.Context()))
	require.Empty(t, n.Leases.Warnings())
	n.Ledger.SetBalance(price.Amount{})
	warned, dry := time.Duration(-1), time.Duration(-1)
	for d := range 60 {
		fake.Advance(day)
		require.NoError(t, n.Leases.Step(t.Context()))
		for _, code := range codes(n.Leases.Warnings()) {
			if code == renter.WarnEscrowLow && warned < 0 {
				warned = time.Duration(d) * day
			}
		}
		for _, c := range n.Pool.Candidates() {
			if c.Excluded == renter.ReasonUnpaid && dry < 0 {
				dry = time.Duration(d) * day
			}
		}
	}
	require.Positive(t, warned)
	require.Positive(t, dry, "the escrow does run dry")
	require.GreaterOrEqual(t, dry-warned, 6*day)
	require.Contains(t, codes(n.Leases.Warnings()), renter.WarnBudget)
	_, _, err := n.Engine.Store(t.Context(), request("dev"), errReader{})
	require.Error(t, err)
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("nothing to read") }

func TestLeaseKeepsToItsBudget(t *testing.T) {
	one, err := rentertest.Stream.StreamCost(4<<30, 30*24*3600)
	require.NoError(t, err)
	egress, err := rentertest.Metered.Cost(4 << 30 / 100 * 100)
	require.NoError(t, err)
	one, _ = one.Add(egress)
	budget, _ := one.MulDiv(5, 2)
	n := rentertest.New(t, rentertest.Options{Nodes: 5, Lease: renter.LeaseConfig{Budget: budget}})
	require.NoError(t, n.Leases.Step(t.Context()))
	require.Len(t, n.Pool.Lease().Items, 2, "two and a half escrows pay two devices")
	require.Equal(t, []string{renter.WarnBudget}, codes(n.Leases.Warnings()))
}

func TestLeaseFailureIsReportedAndTriedAgain(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{Nodes: 3})
	n.Ledger.Refuse(errors.New("insufficient fee"))
	require.ErrorContains(t, n.Leases.Step(t.Context()), "insufficient fee")
	require.Equal(t, []string{renter.WarnLeaseFailed}, codes(n.Leases.Warnings()))
	n.Ledger.Refuse(nil)
	require.NoError(t, n.Leases.Step(t.Context()))
	require.Empty(t, n.Leases.Warnings())
}

func TestVouchersNeverPromiseMoreThanTheEscrow(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{})
	o := store(t, n, "dev", 20<<20)
	n.Leases.Config.Ahead = time.Second // no refills from here on
	lease := n.Pool.Lease()
	for d := range lease.Items {
		n.Ledger.Drain(lease.ID, d)
	}
	n.Ledger.SetBalance(price.Amount{})
	require.NoError(t, n.Leases.Step(t.Context()))
	paid := make(map[uint64]uint64)
	for _, node := range n.Nodes {
		_, best := node.Served(lease.ID)
		paid[node.Device] = best.Units
		node.Credit = 1 << 20
	}
	_, err := fetch(t.Context(), n, o, 0, len(o.data))
	require.ErrorIs(t, err, renter.ErrUnavailable)
	for _, node := range n.Nodes {
		_, best := node.Served(lease.ID)
		require.Equal(t, paid[node.Device], best.Units)
	}
}

func TestQuoteIsShownBeforeAnythingIsBought(t *testing.T) {
	n := rentertest.New(t, rentertest.Options{})
	q, err := n.Leases.Quote(t.Context(), 4<<30-4, 30*day, "")
	require.NoError(t, err)
	require.Equal(t, "dev", q.Class.Name)
	require.Equal(t, 12, q.Groups)
	require.Equal(t, uint64(8<<30), q.Stored)
	want, err := rentertest.Stream.StreamCost(8<<30, 30*24*3600)
	require.NoError(t, err)
	require.Equal(t, want, q.Storage)
	want, err = rentertest.Metered.Cost(4 << 30)
	require.NoError(t, err)
	require.Equal(t, want, q.Reading)
	require.Nil(t, n.Pool.Lease())

	n.Leases.Config.MaxStream = &price.Rate{Amount: price.FromUint64(35), Per: 1}
	_, err = n.Leases.Quote(t.Context(), 1, day, "")
	require.ErrorIs(t, err, renter.ErrTooFewNodes)
	require.ErrorContains(t, err, "12 above the price limit")
	_, err = n.Leases.Quote(t.Context(), 1, day, "gold")
	require.ErrorContains(t, err, "gold")
}

func TestReadingMoreThanTheEscrowPlannedForRefillsIt(t *testing.T) {
	// One percent of a GiB is what the escrow pays to read; the object is read far more often.
	n := rentertest.New(t, rentertest.Options{Lease: renter.LeaseConfig{Units: 1 << 30, Egress: 1, Ahead: time.Second}})
	for _, node := range n.Nodes {
		node.Credit = 2 << 20
	}
	o := store(t, n, "dev", 20<<20)
	for range 12 {
		requireFetch(t, n, o, 0, len(o.data))
	}
}
