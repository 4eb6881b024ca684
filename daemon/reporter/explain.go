package reporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// ErrUnknownRoot is wrapped by errors about epochs whose root the chain does not say: not over, not
// reported, or so long ago that it is forgotten.
var ErrUnknownRoot = errors.New("the chain has no root of this epoch")

// Verdict is what an audit of one root found.
type Verdict struct {
	Service string `json:"service"`
	Epoch   uint64 `json:"epoch"`
	// Status is "final", "open" or "rejected".
	Status string `json:"status"`
	// Report is the statement's id, hexadecimal; empty for roots that only claims still name.
	Report   string `json:"report,omitempty"`
	Posted   string `json:"posted"`   // output root as the chain has it
	Computed string `json:"computed"` // as the facts give it
	Matches  bool   `json:"matches"`
	// Device, Reason, Want and Have say where they differ, if the data behind the posted root is
	// served.
	Device uint64         `json:"device,omitempty"`
	Reason string         `json:"reason,omitempty"`
	Want   *score.Account `json:"want,omitempty"`
	Have   *score.Account `json:"have,omitempty"`
}

// Auditor recomputes epochs for people.
type Auditor struct {
	chain  Chain
	ledger *ledger
}

// NewAuditor makes an auditor. archive may be nil: accounts are then fetched from reporters.
func NewAuditor(chain Chain, archive *Archive, log *slog.Logger) *Auditor {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Auditor{chain: chain, ledger: newLedger(chain, archive, nil, log)}
}

// rooted is a root that the chain has for an epoch.
type rooted struct {
	root     report.Root
	status   string
	id       [32]byte // zero where only claims name it
	previous [32]byte
	before   *report.Root // that it builds on, where previous does not say
	places   []string
}

// roots gives all that the chain has for an epoch, final ones first.
func (a *Auditor) roots(ctx context.Context, service score.Service, epoch uint64) ([]rooted, error) {
	final, err := a.chain.FinalReport(ctx, service)
	if err != nil && !errors.Is(err, chainclient.ErrNotFound) {
		return nil, err
	}
	if err == nil && final.Statement.Epoch == epoch {
		r, err := fromStatement(final.Statement, "final", final.Id, nil)
		if err != nil {
			return nil, err
		}
		before, err := rootFrom(final.Before)
		r.before = &before
		return []rooted{r}, err
	}
	if err == nil && final.Statement.Epoch > epoch {
		return a.claimRoots(ctx, service, epoch)
	}
	_, reports, err := a.chain.ReportRound(ctx, service, epoch)
	if errors.Is(err, chainclient.ErrNotFound) {
		return nil, fmt.Errorf("epoch %d of %s: %w", epoch, service, ErrUnknownRoot)
	}
	if err != nil {
		return nil, err
	}
	var all []rooted
	for _, one := range reports {
		status := "open"
		if one.Status == auditv1.REPORT_STATUS_REJECTED {
			status = "rejected"
		}
		r, err := fromStatement(one.Statement, status, one.Id, one.Posts)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// claimRoots finds an epoch among the final roots that claims still name, with the one before it.
func (a *Auditor) claimRoots(ctx context.Context, service score.Service, epoch uint64) ([]rooted, error) {
	roots, err := a.chain.RewardRoots(ctx, service)
	if err != nil {
		return nil, err
	}
	for i, r := range roots {
		if r.Epoch != epoch || i == 0 && epoch > 1 {
			continue
		}
		root, err := rootFrom(auditv1.TreeRoot{Hash: r.Hash, Leaves: r.Devices, Points: r.Points, Earned: r.Earned})
		if err != nil {
			return nil, err
		}
		before := report.Root{}
		if i > 0 {
			b := roots[i-1]
			if before, err = rootFrom(auditv1.TreeRoot{Hash: b.Hash, Leaves: b.Devices, Points: b.Points, Earned: b.Earned}); err != nil {
				return nil, err
			}
		}
		return []rooted{{root: root, status: "final", before: &before}}, nil
	}
	return nil, fmt.Errorf("epoch %d of %s: %w", epoch, service, ErrUnknownRoot)
}

func rootFrom(t auditv1.TreeRoot) (report.Root, error) {
	earned, err := price.FromBig(t.Earned.BigInt())
	r := report.Root{Leaves: t.Leaves, Points: t.Points, Earned: earned}
	if t.Leaves > 0 {
		copy(r.Hash[:], t.Hash)
	}
	return r, err
}

func fromStatement(s auditv1.Statement, status string, id []byte, posts []auditv1.ReportPost) (rooted, error) {
	root, err := rootFrom(s.Output)
	r := rooted{root: root, status: status, id: toID(id), previous: toID(s.Previous)}
	for _, p := range posts {
		if p.Data != "" {
			r.places = append(r.places, p.Data)
		}
	}
	return r, err
}

// compute gives the epoch as it must be on top of what a root builds on.
func (a *Auditor) compute(ctx context.Context, service score.Service, epoch uint64, r rooted) (*Epoch, error) {
	if r.before == nil {
		return a.ledger.epoch(ctx, service, epoch, r.previous)
	}
	before, err := a.ledger.under(ctx, *r.before)
	if err != nil {
		return nil, err
	}
	plan, err := a.chain.ReportPlan(ctx, service, epoch)
	if err != nil {
		return nil, err
	}
	facts, evidence, err := a.ledger.known(ctx, service, epoch)
	if err != nil {
		return nil, err
	}
	chainID, err := a.chain.ChainID(ctx)
	if err != nil {
		return nil, err
	}
	return compute(ctx, chainID, plan, facts, evidence, before, r.previous, a.ledger.workers)
}

// Audit recomputes an epoch and compares every root that the chain has for it. ErrUnknownRoot;
// ErrUnavailable where nobody serves the accounts that the epoch builds on.
func (a *Auditor) Audit(ctx context.Context, service score.Service, epoch uint64) ([]Verdict, error) {
	roots, err := a.roots(ctx, service, epoch)
	if err != nil {
		return nil, err
	}
	var verdicts []Verdict
	for _, r := range roots {
		v := Verdict{Service: service.String(), Epoch: epoch, Status: r.status, Posted: r.root.String()}
		if r.id != [32]byte{} {
			v.Report = fmt.Sprintf("%x", r.id)
		}
		must, err := a.compute(ctx, service, epoch, r)
		if errors.Is(err, errFalse) {
			v.Reason = "it builds on a report that does not hold"
			verdicts = append(verdicts, v)
			continue
		}
		if err != nil {
			return nil, err
		}
		v.Computed = must.Statement.Output.String()
		v.Matches = must.Statement.Output == r.root && (v.Report == "" || must.ID == r.id)
		if !v.Matches {
			if err := a.explainDifference(ctx, &v, r, must); err != nil {
				return nil, err
			}
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

// explainDifference says which device's account differs.
func (a *Auditor) explainDifference(ctx context.Context, v *Verdict, r rooted, must *Epoch) error {
	if must.Statement.Output == r.root {
		v.Reason = "the accounts hold, but the input root is not over the facts"
		return nil
	}
	places := r.places
	if len(places) == 0 {
		var err error
		if places, err = a.ledger.places(ctx); err != nil {
			return err
		}
	}
	theirs, err := FetchAccounts(ctx, a.ledger.http, places, r.root)
	if errors.Is(err, ErrUnavailable) {
		v.Reason = "the root differs, and nobody serves what is under it"
		return nil
	}
	if err != nil {
		return err
	}
	device, place, err := differenceOf(must.Accounts, theirs)
	if err != nil {
		return err
	}
	v.Device = device
	if i, found := must.Accounts.Find(device); found {
		want := must.Accounts.Leaves()[i]
		v.Want = &want
	}
	switch {
	case place.Proof != nil && v.Want == nil:
		v.Have, v.Reason = &place.Proof.Leaf, "it has an account, and nothing is known of it"
	case place.Proof != nil:
		v.Have, v.Reason = &place.Proof.Leaf, "its account is not what the rules give"
	default:
		v.Reason = "it has no account, and should have one"
	}
	return nil
}

// Why explains one device's reward in one epoch.
type Why struct {
	Service string `json:"service"`
	Epoch   uint64 `json:"epoch"`
	Device  uint64 `json:"device"`
	Status  string `json:"status"`  // of the root: "final", "open", "rejected"
	Matches bool   `json:"matches"` // the root is what the facts give
	// Fact is what the chain knows of the device in the epoch, nil for nothing.
	Fact    *score.Fact   `json:"fact,omitempty"`
	Rules   uint32        `json:"rules"`
	Points  uint64        `json:"points"`
	OfAll   uint64        `json:"of_points"` // of all devices
	Reason  string        `json:"reason"`
	Meaning string        `json:"meaning"`
	Earned  price.Amount  `json:"earned"` // in this epoch
	Held    price.Amount  `json:"held"`   // of that, held back
	Account score.Account `json:"account"`
	Root    string        `json:"root"`
	Leaf    uint64        `json:"leaf"`
	Leaves  uint64        `json:"leaves"`
	Proof   []byte        `json:"proof"` // core/report.Proof, which a claim carries
}

// ErrNoAccount is wrapped by errors about devices of which a report knows nothing.
var ErrNoAccount = errors.New("device has no account in the report of this epoch")

// Why recomputes an epoch and explains one device's account. ErrUnknownRoot, ErrUnavailable,
// ErrNoAccount.
func (a *Auditor) Why(ctx context.Context, service score.Service, epoch, device uint64) (Why, error) {
	roots, err := a.roots(ctx, service, epoch)
	if err != nil {
		return Why{}, err
	}
	var must *Epoch
	w := Why{Service: service.String(), Epoch: epoch, Device: device}
	for _, r := range roots {
		e, err := a.compute(ctx, service, epoch, r)
		if errors.Is(err, errFalse) {
			continue
		}
		if err != nil {
			return w, err
		}
		must, w.Status, w.Matches = e, r.status, e.Statement.Output == r.root
		if w.Matches {
			break
		}
	}
	if must == nil {
		return w, fmt.Errorf("epoch %d of %s: %w that holds", epoch, service, ErrUnknownRoot)
	}
	i, found := must.Accounts.Find(device)
	if !found {
		return w, fmt.Errorf("device %d, epoch %d: %w: it was never challenged, leased or paid before the epoch's end", device, epoch, ErrNoAccount)
	}
	proof, err := must.Accounts.Prove(i)
	if err != nil {
		return w, err
	}
	if w.Proof, err = proof.MarshalBinary(); err != nil {
		return w, err
	}
	if j, some := findFact(must.Facts, device); some {
		w.Fact = &must.Facts[j]
	}
	w.Account = proof.Leaf
	w.Rules, w.Points, w.OfAll = uint32(must.Plan.Rules), w.Account.Points, must.Statement.Output.Points
	w.Reason, w.Meaning = w.Account.Reason.String(), w.Account.Reason.Text()
	w.Root, w.Leaf, w.Leaves = fmt.Sprintf("%x", must.Statement.Output.Hash), proof.Index, proof.Leaves
	w.Earned = w.Account.Earned
	if j, some := must.Previous.Find(device); some {
		w.Earned, _ = w.Account.Earned.Sub(must.Previous.Leaves()[j].Earned) // never falls: INV-SCORE-2
	}
	if w.Points > 0 && w.Fact != nil {
		_, w.Held = must.Plan.Rules.Pay(*w.Fact, w.Points, w.OfAll, must.Plan.Pools)
	}
	return w, nil
}

func findFact(facts []score.Fact, device uint64) (int, bool) {
	low, high := 0, len(facts)
	for low < high {
		if mid := (low + high) / 2; facts[mid].Device < device {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < len(facts) && facts[low].Device == device
}
