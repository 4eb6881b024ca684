package audits

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/internal/clock"
)

const me = "cairn1me"

var start = time.Unix(1000, 0)

// chain closes audits whose deadline has passed by its own clock.
type chain struct {
	now     int64
	audits  map[uint64]storagev1.Audit
	faults  []storagev1.Fault
	failure error
}

func (c *chain) Address() string { return me }

func (c *chain) Audits(context.Context, uint64) ([]storagev1.Audit, error) {
	return slices.Collect(maps.Values(c.audits)), nil
}

func (c *chain) Faults(context.Context, uint64) ([]storagev1.Fault, error) {
	return c.faults, c.failure
}

func (c *chain) CloseAudit(_ context.Context, id uint64) (r storagev1.MsgCloseAuditResponse, err error) {
	a, there := c.audits[id]
	switch {
	case c.failure != nil:
		return r, c.failure
	case !there:
		return r, &chainclient.Error{Code: chainclient.ErrNoAudit}
	case a.Deadline >= c.now:
		return r, &chainclient.Error{Code: chainclient.ErrAuditDeadline}
	}
	delete(c.audits, id)
	return r, nil
}

func TestFollowerEndsItsOwnAuditsOnce(t *testing.T) {
	c := &chain{now: 1000, audits: map[uint64]storagev1.Audit{
		1: {Id: 1, Device: 5, Opener: me, Deadline: 1010},
		2: {Id: 2, Device: 5, Opener: "cairn1other", Deadline: 1010},
		3: {Id: 3, Device: 6, Opener: me, Deadline: 1010},
		4: {Id: 4, Device: 7, Opener: me, Deadline: 1010},
	}}
	ended := map[uint64][]Outcome{}
	clk := clock.NewFake(start)
	f := &Follower{Chain: c, Clock: clk, Log: slog.New(slog.DiscardHandler), Ended: func(a storagev1.Audit, o Outcome) {
		ended[a.Id] = append(ended[a.Id], o)
	}}
	step := func() {
		t.Helper()
		if err := f.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	step()
	delete(c.audits, 3) // answered
	delete(c.audits, 4) // ended by somebody else, as a fault
	c.faults = []storagev1.Fault{
		{Device: 7, Kind: storagev1.FaultKind_FAULT_KIND_INCLUSION, Subject: 4},
		{Device: 6, Kind: storagev1.FaultKind_FAULT_KIND_CHALLENGE, Subject: 3}, // an epoch, not an audit
	}
	step()
	clk.Advance(11 * time.Second)
	step() // the chain's clock is behind: asked again
	if len(ended[1]) != 0 || len(f.Open()) != 1 {
		t.Fatalf("ended %v, open %v", ended, f.Open())
	}
	c.now = 1011
	c.failure = errors.New("mempool is full")
	if err := f.Step(t.Context()); !errors.Is(err, c.failure) {
		t.Fatal(err)
	}
	c.failure = nil
	step()
	step()
	want := map[uint64][]Outcome{1: {Failed}, 3: {Answered}, 4: {Failed}}
	if !maps.EqualFunc(ended, want, slices.Equal) {
		t.Errorf("ended %v, want %v", ended, want)
	}
	if _, there := c.audits[2]; !there {
		t.Error("somebody else's audit was ended")
	}
}
