package claim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// ledger is a chain that pays what proofs against its newest root say, as x/reward does.
type ledger struct {
	roots     []rewardv1.Root
	reporters []auditv1.Reporter
	claimed   map[uint64]price.Amount
	messages  []int
	fee       price.Amount // of a claim
}

func (l *ledger) ClaimCost(context.Context, score.Service, uint64, [][]byte) (price.Amount, error) {
	return l.fee, nil
}

func (l *ledger) RewardRoots(context.Context, score.Service) ([]rewardv1.Root, error) {
	return l.roots, nil
}

func (l *ledger) RewardParams(context.Context) (rewardv1.Params, error) {
	return rewardv1.Params{MaxClaims: 4}, nil
}

func (l *ledger) Claimed(_ context.Context, _ score.Service, device uint64) (price.Amount, error) {
	return l.claimed[device], nil
}
func (l *ledger) Reporters(context.Context) ([]auditv1.Reporter, error) { return l.reporters, nil }
func (l *ledger) Claim(_ context.Context, _ score.Service, epoch uint64, proofs [][]byte) (rewardv1.MsgClaimResponse, error) {
	l.messages = append(l.messages, len(proofs))
	var paid price.Amount
	for _, raw := range proofs {
		var p report.Proof
		if err := p.UnmarshalBinary(raw); err != nil {
			return rewardv1.MsgClaimResponse{}, err
		}
		root, err := rootOf(l.roots[len(l.roots)-1])
		if err != nil || p.Verify(root) != nil || epoch != l.roots[len(l.roots)-1].Epoch {
			return rewardv1.MsgClaimResponse{}, errors.New("does not hold")
		}
		due, _ := p.Leaf.Paid.Sub(l.claimed[p.Leaf.Device])
		paid, _ = paid.Add(due)
		l.claimed[p.Leaf.Device] = p.Leaf.Paid
	}
	coin := func(a price.Amount) sdk.Coin {
		return sdk.Coin{Denom: price.Denom, Amount: math.NewIntFromBigInt(a.Big())}
	}
	return rewardv1.MsgClaimResponse{Paid: coin(paid), Fee: coin(price.Amount{})}, nil
}

// network is a ledger with a final report of n devices (numbers 2, 4, 6, ...) and a place for each way of
// serving it.
func network(t *testing.T, n int, serve ...func(tree *report.Tree[score.Account], device uint64) (int, any)) (*Claimer, *ledger) {
	t.Helper()
	var accounts []score.Account
	for i := range n {
		paid := price.FromUint64(uint64(100 * (i + 1)))
		accounts = append(accounts, score.Account{Device: uint64(2 * (i + 1)), Epoch: 7, Points: 1, Earned: paid, Paid: paid})
	}
	tree, err := report.Build(accounts)
	if err != nil {
		t.Fatal(err)
	}
	root := tree.Root()
	l := &ledger{claimed: map[uint64]price.Amount{}}
	l.roots = []rewardv1.Root{{Service: 1, Epoch: 7, Hash: root.Hash[:], Devices: root.Leaves, Points: root.Points, Earned: math.NewIntFromBigInt(root.Earned.Big())}}
	for _, how := range serve {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var device uint64
			if _, err := fmt.Sscanf(r.URL.Path, fmt.Sprintf("/v1/accounts/%x/proof/%%d", root.Hash), &device); err != nil {
				http.Error(w, r.URL.Path, http.StatusBadRequest)
				return
			}
			status, body := how(tree, device)
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(body)
		}))
		t.Cleanup(server.Close)
		l.reporters = append(l.reporters, auditv1.Reporter{Data: server.URL})
	}
	return &Claimer{Chain: l}, l
}

func honest(tree *report.Tree[score.Account], device uint64) (int, any) {
	i, found := tree.Find(device)
	if !found {
		return http.StatusNotFound, nil
	}
	proof, _ := tree.Prove(i)
	raw, _ := proof.MarshalBinary()
	return http.StatusOK, map[string]any{"proof": raw}
}

func down(*report.Tree[score.Account], uint64) (int, any) { return http.StatusServiceUnavailable, nil }

// liar serves a good proof of another device, and of itself one with more money.
func liar(tree *report.Tree[score.Account], device uint64) (int, any) {
	if device == 2 {
		return honest(tree, 4)
	}
	proof, _ := tree.Prove(0)
	proof.Leaf.Device = device
	proof.Leaf.Paid, proof.Leaf.Earned = price.FromUint64(1<<40), price.FromUint64(1<<40)
	raw, _ := proof.MarshalBinary()
	return http.StatusOK, map[string]any{"proof": raw}
}

func absentAlways(*report.Tree[score.Account], uint64) (int, any) { return http.StatusNotFound, nil }

// TestFleetClaimsInFewTransactions: all that is due, once, whoever lies on the way.
func TestFleetClaimsInFewTransactions(t *testing.T) {
	c, l := network(t, 10, liar, down, absentAlways, honest)
	devices := []uint64{3}
	for i := range 10 {
		devices = append(devices, uint64(2*(i+1)))
	}
	dues, err := c.Due(t.Context(), score.Storage, devices)
	if err != nil {
		t.Fatal(err)
	}
	if !dues[0].Missing || dues[1].Missing || dues[1].Claimable != price.FromUint64(100) {
		t.Fatalf("dues %+v, %+v", dues[0], dues[1])
	}
	got, err := c.Send(t.Context(), score.Storage, dues)
	if err != nil || got.Paid != price.FromUint64(5500) || got.Devices != 10 || got.Transactions != 3 {
		t.Fatalf("claimed %+v, %v", got, err)
	}
	if dues, err = c.Due(t.Context(), score.Storage, devices); err != nil || !dues[4].Claimable.IsZero() {
		t.Fatalf("still due %+v, %v", dues[4], err)
	}
	l.messages = nil
	if got, err = c.Send(t.Context(), score.Storage, dues); err != nil || got.Transactions != 0 || len(l.messages) != 0 {
		t.Fatalf("claimed again %+v, %v", got, err)
	}
}

// TestNobodyServes: said as such, with every place's reason; a liar alone is nobody.
func TestNobodyServes(t *testing.T) {
	c, _ := network(t, 3, liar, down)
	_, err := c.Due(t.Context(), score.Storage, []uint64{2})
	if !errors.Is(err, ErrUnserved) || !strings.Contains(err.Error(), "status 503") || !strings.Contains(err.Error(), "account of device 4") {
		t.Errorf("%v", err)
	}
	c, l := network(t, 3, honest)
	l.roots = nil
	if _, err := c.Due(t.Context(), score.Storage, []uint64{2}); !errors.Is(err, ErrNothingFinal) {
		t.Errorf("%v", err)
	}
	c, l = network(t, 3)
	l.reporters = []auditv1.Reporter{{Data: "ftp://nowhere"}, {Data: "::"}, {}}
	if _, err := c.Due(t.Context(), score.Storage, []uint64{2}); !errors.Is(err, ErrUnserved) {
		t.Errorf("%v", err)
	}
}

// TestLoopWaitsUntilItIsWorthATransaction: below the sum nothing is sent, from it on all is.
func TestLoopWaitsUntilItIsWorthATransaction(t *testing.T) {
	c, l := network(t, 2, honest)
	loop := &Loop{Claimer: c, Service: score.Storage, Devices: []uint64{2, 4}, Above: price.FromUint64(301)}
	if got, err := loop.Step(t.Context()); err != nil || got.Devices != 0 || len(l.messages) != 0 {
		t.Fatalf("claimed %+v below the sum, %v", got, err)
	}
	loop.Above = price.FromUint64(300)
	if got, err := loop.Step(t.Context()); err != nil || got.Paid != price.FromUint64(300) {
		t.Fatalf("claimed %+v, %v", got, err)
	}
	if got, err := loop.Step(t.Context()); err != nil || got.Devices != 0 || len(l.messages) != 1 {
		t.Fatalf("claimed %+v again, %v", got, err)
	}
}

// TestFeesAreKnownBeforeAClaim: what a claim of several transactions costs and pays, and that a loop
// waits while it costs more.
func TestFeesAreKnownBeforeAClaim(t *testing.T) {
	c, l := network(t, 6, honest)
	l.fee = price.FromUint64(40)
	dues, err := c.Due(t.Context(), score.Storage, []uint64{2, 4, 6, 8, 10, 12, 14})
	if err != nil {
		t.Fatal(err)
	}
	cost, pays, err := c.Cost(t.Context(), score.Storage, dues)
	if err != nil || cost != price.FromUint64(80) || pays != price.FromUint64(2100) {
		t.Errorf("two transactions cost %s and pay %s: %v", cost, pays, err)
	}
	loop := &Loop{Claimer: c, Service: score.Storage, Devices: []uint64{2}}
	l.fee = price.FromUint64(101)
	if got, err := loop.Step(t.Context()); err != nil || got.Devices != 0 {
		t.Errorf("claimed %+v for a fee of 101: %v", got, err)
	}
	l.fee = price.FromUint64(99)
	if got, err := loop.Step(t.Context()); err != nil || got.Devices != 1 {
		t.Errorf("claimed %+v for a fee of 99: %v", got, err)
	}
}
