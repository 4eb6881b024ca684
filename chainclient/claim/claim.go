// Package claim finds what devices may claim and claims it. The chain keeps roots of reports only;
// devices' accounts come from whoever serves them, and whom they come from does not matter: every
// account is checked against the root on chain before it is believed.
package claim

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

const (
	// requests at once to those who serve accounts.
	requests = 8
	// requestTime bounds one of them.
	requestTime = 20 * time.Second
	// mostBytes bounds one answer: a proof of 40 levels in text is far below.
	mostBytes = 64 << 10
)

var (
	// ErrNothingFinal says that no report of the service is final yet.
	ErrNothingFinal = errors.New("no report is final yet")
	// ErrUnserved says that nobody gave an account that holds.
	ErrUnserved = errors.New("nobody serves the account")
)

// Chain is what a Claimer asks of the chain; chainclient.Client is one.
type Chain interface {
	RewardRoots(ctx context.Context, service score.Service) ([]rewardv1.Root, error)
	RewardParams(ctx context.Context) (rewardv1.Params, error)
	Claimed(ctx context.Context, service score.Service, device uint64) (price.Amount, error)
	Reporters(ctx context.Context) ([]auditv1.Reporter, error)
	Claim(ctx context.Context, service score.Service, epoch uint64, proofs [][]byte) (rewardv1.MsgClaimResponse, error)
	ClaimCost(ctx context.Context, service score.Service, epoch uint64, proofs [][]byte) (price.Amount, error)
}

// Claimer finds and claims.
type Claimer struct {
	Chain Chain
	// HTTP reaches those who serve accounts; nil for http.DefaultClient.
	HTTP *http.Client
	// Places are asked before those that reporters name on chain: http(s)://host:port.
	Places []string
}

// Due is one device's account in the newest final report, and what of it is not claimed yet.
type Due struct {
	Device  uint64
	Epoch   uint64
	Account score.Account
	Claimed price.Amount
	// Claimable is Paid of the account less Claimed.
	Claimable price.Amount
	Proof     []byte
	// Missing says that the report has no account of the device: it has earned nothing so far.
	Missing bool
}

// Due gives what is due to devices, in their order. ErrNothingFinal, ErrUnserved.
func (c *Claimer) Due(ctx context.Context, service score.Service, devices []uint64) ([]Due, error) {
	roots, err := c.Chain.RewardRoots(ctx, service)
	if err != nil {
		return nil, err
	}
	if len(roots) == 0 {
		return nil, ErrNothingFinal
	}
	newest := roots[len(roots)-1]
	root, err := rootOf(newest)
	if err != nil {
		return nil, err
	}
	places, err := c.places(ctx)
	if err != nil {
		return nil, err
	}
	dues := make([]Due, len(devices))
	err = inParallel(len(devices), func(i int) error {
		due := Due{Device: devices[i], Epoch: newest.Epoch}
		var err error
		if due.Claimed, err = c.Chain.Claimed(ctx, service, due.Device); err != nil {
			return err
		}
		proof, err := c.fetch(ctx, places, root, due.Device)
		switch {
		case errors.Is(err, errNoAccount):
			due.Missing = true
		case err != nil:
			return err
		default:
			due.Account = proof.Leaf
			due.Claimable, _ = proof.Leaf.Paid.Sub(due.Claimed)
			if proof.Leaf.Paid.Cmp(due.Claimed) < 0 { // a report that is older than a claim
				due.Claimable = price.Amount{}
			}
			if due.Proof, err = proof.MarshalBinary(); err != nil {
				return fmt.Errorf("encoding the proof of device %d: %w", due.Device, err)
			}
		}
		dues[i] = due
		return nil
	})
	return dues, err
}

// Result is what a claim came to.
type Result struct {
	// Devices that were paid for, in how many transactions.
	Devices, Transactions int
	// Paid to owners, Fee to the account that sent the claim.
	Paid, Fee price.Amount
}

// Send claims what is due, leaving out devices with nothing to claim, in as few transactions as the
// chain allows. What the transactions before an error paid stays paid, and is in the result.
func (c *Claimer) Send(ctx context.Context, service score.Service, dues []Due) (Result, error) {
	batches, err := c.batches(ctx, dues)
	if err != nil {
		return Result{}, err
	}
	var result Result
	for _, some := range batches {
		proofs := proofsOf(some)
		answer, err := c.Chain.Claim(ctx, service, some[0].Epoch, proofs)
		if err != nil {
			return result, err
		}
		paid, err := price.FromBig(answer.Paid.Amount.BigInt())
		if err != nil {
			return result, fmt.Errorf("reading what was paid: %w", err)
		}
		fee, err := price.FromBig(answer.Fee.Amount.BigInt())
		if err != nil {
			return result, fmt.Errorf("reading what was kept: %w", err)
		}
		result.Devices += len(some)
		result.Transactions++
		result.Paid, _ = result.Paid.Add(paid)
		result.Fee, _ = result.Fee.Add(fee)
	}
	return result, nil
}

// Cost is what Send would cost in fees now, and what it would pay.
func (c *Claimer) Cost(ctx context.Context, service score.Service, dues []Due) (cost, pays price.Amount, err error) {
	batches, err := c.batches(ctx, dues)
	if err != nil {
		return cost, pays, err
	}
	for _, some := range batches {
		one, err := c.Chain.ClaimCost(ctx, service, some[0].Epoch, proofsOf(some))
		if err != nil {
			return cost, pays, err
		}
		cost, _ = cost.Add(one)
		for _, d := range some {
			pays, _ = pays.Add(d.Claimable)
		}
	}
	return cost, pays, nil
}

// batches are what one transaction after the other claims: all dues with something to claim.
func (c *Claimer) batches(ctx context.Context, dues []Due) ([][]Due, error) {
	params, err := c.Chain.RewardParams(ctx)
	if err != nil {
		return nil, err
	}
	dues = slices.DeleteFunc(slices.Clone(dues), func(d Due) bool { return d.Claimable.IsZero() })
	return slices.Collect(slices.Chunk(dues, max(int(params.MaxClaims), 1))), nil
}

func proofsOf(dues []Due) [][]byte {
	proofs := make([][]byte, len(dues))
	for i, d := range dues {
		proofs[i] = d.Proof
	}
	return proofs
}

func rootOf(r rewardv1.Root) (report.Root, error) {
	earned, err := price.FromBig(r.Earned.BigInt())
	if err != nil {
		return report.Root{}, fmt.Errorf("reading the root of epoch %d: %w", r.Epoch, err)
	}
	if len(r.Hash) != 32 {
		return report.Root{}, fmt.Errorf("reading the root of epoch %d: hash of %d bytes", r.Epoch, len(r.Hash))
	}
	return report.Root{Hash: [32]byte(r.Hash), Leaves: r.Devices, Points: r.Points, Earned: earned}, nil
}

// places lists who may serve accounts: those given, and those that reporters name.
func (c *Claimer) places(ctx context.Context) ([]string, error) {
	places := slices.Clone(c.Places)
	reporters, err := c.Chain.Reporters(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range reporters {
		if r.Data != "" && !slices.Contains(places, r.Data) {
			places = append(places, r.Data)
		}
	}
	return places, nil
}

// errNoAccount says that a place has the tree and the device is not in it.
var errNoAccount = errors.New("no account")

// fetch gets a device's proof from the first place that gives one that holds. A place that says that
// there is none may lie: others are asked before it is believed.
func (c *Claimer) fetch(ctx context.Context, places []string, root report.Root, device uint64) (report.Proof, error) {
	if root.Leaves == 0 {
		return report.Proof{}, errNoAccount
	}
	tried := fmt.Errorf("device %d: %w", device, ErrUnserved)
	none := 0
	for _, place := range places {
		proof, err := c.ask(ctx, place, root, device)
		if err == nil {
			return proof, nil
		}
		if ctx.Err() != nil {
			return report.Proof{}, ctx.Err()
		}
		if errors.Is(err, errNoAccount) {
			none++
		}
		tried = errors.Join(tried, err)
	}
	if none > 0 {
		return report.Proof{}, errNoAccount
	}
	return report.Proof{}, tried
}

// ask gets a device's proof from one place and checks it.
func (c *Claimer) ask(ctx context.Context, place string, root report.Root, device uint64) (report.Proof, error) {
	base, err := url.Parse(place)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return report.Proof{}, fmt.Errorf("place %q is no http URL", place)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	target := base.JoinPath("v1", "accounts", hex.EncodeToString(root.Hash[:]), "proof", strconv.FormatUint(device, 10))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return report.Proof{}, fmt.Errorf("asking %s: %w", place, err)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return report.Proof{}, fmt.Errorf("asking %s: %w", place, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostBytes))
	if err != nil {
		return report.Proof{}, fmt.Errorf("asking %s: %w", place, err)
	}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return report.Proof{}, fmt.Errorf("asking %s: %w of device %d under %x", place, errNoAccount, device, root.Hash[:6])
	default:
		return report.Proof{}, fmt.Errorf("asking %s: status %d", place, response.StatusCode)
	}
	var view struct{ Proof []byte }
	if err := json.Unmarshal(body, &view); err != nil {
		return report.Proof{}, fmt.Errorf("reading the answer of %s: %w", place, err)
	}
	var proof report.Proof
	if err := proof.UnmarshalBinary(view.Proof); err != nil {
		return report.Proof{}, fmt.Errorf("reading the answer of %s: %w", place, err)
	}
	if err := proof.Verify(root); err != nil {
		return report.Proof{}, fmt.Errorf("checking the answer of %s: %w", place, err)
	}
	if proof.Leaf.Device != device {
		return report.Proof{}, fmt.Errorf("checking the answer of %s: account of device %d: %w", place, proof.Leaf.Device, report.ErrProof)
	}
	return proof, nil
}

// inParallel calls do for 0 to n-1, a few at the same time, and gives the first error.
func inParallel(n int, do func(int) error) error {
	errs := make([]error, n)
	turns := make(chan struct{}, requests)
	var wait sync.WaitGroup
	for i := range n {
		turns <- struct{}{}
		wait.Go(func() {
			defer func() { <-turns }()
			errs[i] = do(i)
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
