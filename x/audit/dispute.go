package audit

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// Gas of replaying and of verifying what is under a root, beside what the store charges. The scale
// is the SDK's: 1,000 gas for one secp256k1 signature.
const (
	// gasLevel is for one level of a proof: a hash of 129 bytes.
	gasLevel = 10
	// gasReplay is for scoring and paying one device.
	gasReplay = 500
	// gasEvidence is for a byte of evidence, beside what its Replayer charges.
	gasEvidence = 2
)

func charge(ctx context.Context, gas uint64, what string) {
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(gas, what)
}

// open is a report that may be disputed, with what it is about.
type openReport struct {
	report    auditv1.Report
	id        [32]byte
	statement report.Statement
	before    report.Root // that it builds on
}

// disputed gives a report that may be disputed now: not final, not rejected, and building on reports
// that stand.
func (k *Keeper) disputed(ctx context.Context, p auditv1.ReportParams, id []byte) (openReport, error) {
	r, err := k.reportByID(ctx, id)
	if err != nil {
		return openReport{}, err
	}
	if r.Status != auditv1.REPORT_STATUS_OPEN {
		return openReport{}, errorsmod.Wrapf(ErrRejected, "report %x: %s", id, r.Rejected)
	}
	o := openReport{report: r, id: [32]byte(id)}
	if o.statement, err = parseStatement(sdk.UnwrapSDKContext(ctx).ChainID(), r.Statement); err != nil {
		return o, err
	}
	o.before, _, err = k.base(ctx, p, o.statement)
	return o, err
}

// claim is what a dispute says of one device, as encoded in a message.
type claim struct {
	device                    uint64
	previous, input, evidence []byte
}

// replay gives the account that the rules give the device of a claim, nil if it must have none.
func (k *Keeper) replay(ctx context.Context, o openReport, c claim) (*score.Account, error) {
	var place report.Place
	if err := place.UnmarshalBinary(c.previous); err != nil {
		return nil, errorsmod.Wrapf(ErrProof, "previous: %s", err)
	}
	charge(ctx, 2*report.MaxDepth*gasLevel+gasReplay, "report replay")
	before, err := place.Verify(o.before, c.device)
	if err != nil {
		return nil, errorsmod.Wrapf(ErrProof, "previous: %s", err)
	}
	fact, err := k.fact(ctx, o, c)
	if err != nil {
		return nil, err
	}
	pools, err := k.pools(ctx, o)
	if err != nil {
		return nil, err
	}
	plan := report.Plan{Service: o.statement.Service, Epoch: o.statement.Epoch, Rules: o.statement.Rules, Pools: pools}
	next, some := plan.Next(c.device, before, fact, o.statement.Output.Points)
	if !some {
		return nil, nil
	}
	return &next, nil
}

func (k *Keeper) pools(ctx context.Context, o openReport) (score.Pools, error) {
	pools, err := k.reports.economy.Pools(ctx, o.statement.Service, o.statement.Epoch)
	return pools, errorsmod.Wrapf(err, "pools of %s in epoch %d", o.statement.Service, o.statement.Epoch)
}

// fact gives what is to be taken for the fact of a claim's device, nil if there is none. Evidence
// that proves nothing is none.
func (k *Keeper) fact(ctx context.Context, o openReport, c claim) (*score.Fact, error) {
	epoch := o.statement.Epoch
	if service := k.reports.services[o.statement.Service]; service != nil {
		// Every report had pools when it was posted: where they are forgotten, so may facts be.
		if _, err := k.pools(ctx, o); err != nil {
			return nil, err
		}
		f, err := service.Fact(ctx, epoch, c.device)
		if errors.Is(err, ErrNoFact) {
			return nil, nil
		}
		return &f, errorsmod.Wrapf(err, "fact of device %d in epoch %d", c.device, epoch)
	}
	input, err := parseInput(ctx, o, c)
	if err != nil || input == nil {
		return nil, err
	}
	f, err := k.replayEvidence(ctx, o, c, *input)
	if errors.Is(err, ErrEvidence) {
		return nil, nil
	}
	return f, err
}

// parseInput gives the input of a claim's device under the report's input root, nil if it has none.
func parseInput(ctx context.Context, o openReport, c claim) (*report.Input, error) {
	var place report.InputPlace
	if err := place.UnmarshalBinary(c.input); err != nil {
		return nil, errorsmod.Wrapf(ErrProof, "input: %s", err)
	}
	charge(ctx, 2*report.MaxDepth*gasLevel, "report input")
	input, err := place.Verify(o.statement.Inputs, c.device)
	if err != nil {
		return nil, errorsmod.Wrapf(ErrProof, "input: %s", err)
	}
	return input, nil
}

// replayEvidence gives the fact that evidence proves if it is what the input commits to.
func (k *Keeper) replayEvidence(ctx context.Context, o openReport, c claim, input report.Input) (*score.Fact, error) {
	replayer := k.reports.replayers[o.statement.Service]
	if replayer == nil {
		return nil, errorsmod.Wrapf(ErrService, "nobody judges evidence of %s", o.statement.Service)
	}
	params, err := k.Params(ctx)
	if err != nil {
		return nil, err
	}
	if len(c.evidence) > int(params.Report.MaxEvidenceBytes) {
		return nil, errorsmod.Wrapf(ErrField, "evidence: %d bytes, at most %d", len(c.evidence), params.Report.MaxEvidenceBytes)
	}
	charge(ctx, gasEvidence*uint64(len(c.evidence))+gasReplay, "report evidence")
	if report.Digest(c.device, c.evidence) != input {
		return nil, errorsmod.Wrapf(ErrProof, "evidence: not what the input of device %d commits to", c.device)
	}
	f, err := replayer.Replay(ctx, o.statement.Epoch, c.device, c.evidence)
	if err != nil {
		return nil, err
	}
	if f.Device != c.device || f.Epoch != o.statement.Epoch || f.Service != o.statement.Service {
		return nil, errorsmod.Wrapf(ErrEvidence, "it is of device %d in epoch %d", f.Device, f.Epoch)
	}
	return &f, nil
}

// disputeLeaf compares a leaf of a report with what the rules give.
func (k *Keeper) disputeLeaf(ctx context.Context, o openReport, leaf []byte, c claim) (upheld bool, reason string, err error) {
	var proof report.Proof
	if err := proof.UnmarshalBinary(leaf); err != nil {
		return false, "", errorsmod.Wrapf(ErrProof, "leaf: %s", err)
	}
	charge(ctx, report.MaxDepth*gasLevel, "report leaf")
	if err := proof.Verify(o.statement.Output); err != nil {
		return false, "", errorsmod.Wrapf(ErrProof, "leaf: %s", err)
	}
	c.device = proof.Leaf.Device
	want, err := k.replay(ctx, o, c)
	if err != nil {
		return false, "", err
	}
	switch {
	case want == nil:
		return true, fmt.Sprintf("device %d has a leaf, and nothing is known of it", c.device), nil
	case *want != proof.Leaf:
		return true, fmt.Sprintf("leaf of device %d is %s, the rules give %s", c.device, spell(proof.Leaf), spell(*want)), nil
	}
	return false, fmt.Sprintf("leaf of device %d is what the rules give: %s", c.device, spell(*want)), nil
}

func spell(a score.Account) string {
	return fmt.Sprintf("%d points (%s), earned %s, paid %s, held %s+%s",
		a.Points, a.Reason, a.Earned.Format(), a.Paid.Format(), a.Young.Format(), a.Old.Format())
}

// disputeMissing looks whether a device without a leaf should have one.
func (k *Keeper) disputeMissing(ctx context.Context, o openReport, absence []byte, c claim) (upheld bool, reason string, err error) {
	var absent report.Absence
	if err := absent.UnmarshalBinary(absence); err != nil {
		return false, "", errorsmod.Wrapf(ErrProof, "absence: %s", err)
	}
	charge(ctx, 2*report.MaxDepth*gasLevel, "report absence")
	if err := absent.Verify(o.statement.Output, c.device); err != nil {
		return false, "", errorsmod.Wrapf(ErrProof, "absence: %s", err)
	}
	want, err := k.replay(ctx, o, c)
	if err != nil {
		return false, "", err
	}
	if want == nil {
		return false, fmt.Sprintf("nothing is known of device %d, which has no leaf", c.device), nil
	}
	return true, fmt.Sprintf("device %d has no leaf, the rules give %s", c.device, spell(*want)), nil
}

// disputeTree shows that a root is not that of a tree. It gives an error where the root is not
// shown to be false: then nothing was compared.
func disputeTree(ctx context.Context, o openReport, tree auditv1.DataTree, fault []byte) (reason string, err error) {
	charge(ctx, 2*report.MaxDepth*gasLevel, "report fault")
	switch tree {
	case auditv1.DATA_TREE_OUTPUT:
		var f report.Fault
		if err = f.UnmarshalBinary(fault); err == nil {
			err = f.Verify(o.statement.Output)
		}
		reason = fmt.Sprintf("the output root is not that of a tree: fault %d", f.Kind)
	case auditv1.DATA_TREE_INPUT:
		var f report.InputFault
		if err = f.UnmarshalBinary(fault); err == nil {
			err = f.Verify(o.statement.Inputs)
		}
		reason = fmt.Sprintf("the input root is not that of a tree: fault %d", f.Kind)
	default:
		return "", errorsmod.Wrapf(ErrField, "tree %d", tree)
	}
	if err != nil {
		return "", errorsmod.Wrapf(ErrProof, "fault: %s", err)
	}
	return reason, nil
}

// disputeInput compares one input of a report with the chain's fact or, where evidence is off chain,
// looks whether it proves anything.
func (k *Keeper) disputeInput(ctx context.Context, o openReport, c claim) (upheld bool, reason string, err error) {
	input, err := parseInput(ctx, o, c)
	if err != nil {
		return false, "", err
	}
	if k.reports.services[o.statement.Service] == nil {
		if input == nil {
			return false, "", errorsmod.Wrapf(ErrNotDisputed, "device %d has no input: evidence that the report leaves out is unknown to the chain", c.device)
		}
		if _, err := k.replayEvidence(ctx, o, c, *input); err != nil {
			if errors.Is(err, ErrEvidence) {
				return true, fmt.Sprintf("input of device %d: %s", c.device, err), nil
			}
			return false, "", err
		}
		return false, fmt.Sprintf("evidence of device %d holds", c.device), nil
	}
	var want *report.Input
	f, err := k.fact(ctx, o, c)
	if err != nil {
		return false, "", err
	}
	if f != nil {
		i, err := report.InputOf(*f)
		if err != nil {
			return false, "", errorsmod.Wrapf(err, "fact of device %d", c.device)
		}
		want = &i
	}
	switch {
	case (want == nil) != (input == nil):
		return true, fmt.Sprintf("device %d has an input: %t, and a fact: %t", c.device, input != nil, want != nil), nil
	case want != nil && *want != *input:
		return true, fmt.Sprintf("input of device %d is not the digest of its fact", c.device), nil
	}
	return false, fmt.Sprintf("input of device %d is that of its fact", c.device), nil
}

// settle ends a dispute: the report is rejected, or the disputer pays for the work.
func (k *Keeper) settle(ctx context.Context, p auditv1.ReportParams, o openReport, disputer sdk.AccAddress, upheld bool, reason string) (*auditv1.MsgDisputeResponse, error) {
	name, err := k.addresses.BytesToString(disputer)
	if err != nil {
		return nil, errorsmod.Wrapf(ErrAddress, "disputer: %s", err)
	}
	if upheld {
		bounty, err := k.reject(ctx, p, o.report, disputer, reason)
		return &auditv1.MsgDisputeResponse{Upheld: true, Bounty: bounty, Reason: reason}, err
	}
	if p.DisputeDeposit.IsPositive() {
		if err := k.reports.bank.SendCoinsFromAccountToModule(ctx, disputer, ModuleName, coins(p.DisputeDeposit)); err != nil {
			return nil, errorsmod.Wrapf(err, "the report holds (%s): taking the deposit of %s", reason, name)
		}
		if err := k.reports.bank.BurnCoins(ctx, ModuleName, coins(p.DisputeDeposit)); err != nil {
			return nil, errorsmod.Wrap(err, "burning the deposit")
		}
	}
	event := &auditv1.EventDisputeDismissed{Report: o.id[:], Disputer: name, Reason: reason}
	return &auditv1.MsgDisputeResponse{Bounty: math.ZeroInt(), Reason: reason}, emit(ctx, event)
}

// reject takes a report out of its round: who posted it is slashed, the disputer gets its share, the
// rest is burned. Reports that build on it are void from here on.
func (k *Keeper) reject(ctx context.Context, p auditv1.ReportParams, r auditv1.Report, disputer sdk.AccAddress, reason string) (bounty math.Int, err error) {
	name, err := k.addresses.BytesToString(disputer)
	if err != nil {
		return bounty, errorsmod.Wrapf(ErrAddress, "disputer: %s", err)
	}
	lost := math.ZeroInt()
	for _, post := range r.Posts {
		part, err := k.slashReporter(ctx, p, post.Reporter)
		if err != nil {
			return bounty, err
		}
		lost = lost.Add(part)
	}
	if err := k.returnDemands(ctx, r); err != nil {
		return bounty, err
	}
	r.Status, r.Rejected, r.DemandsOpen = auditv1.REPORT_STATUS_REJECTED, reason, 0
	if err := k.setReport(ctx, r); err != nil {
		return bounty, err
	}
	bounty = share(lost, p.BountyBps)
	if bounty.IsPositive() {
		if err := k.reports.bank.SendCoinsFromModuleToAccount(ctx, ModuleName, disputer, coins(bounty)); err != nil {
			return bounty, errorsmod.Wrapf(err, "paying the bounty to %s", name)
		}
	}
	if burned := lost.Sub(bounty); burned.IsPositive() {
		if err := k.reports.bank.BurnCoins(ctx, ModuleName, coins(burned)); err != nil {
			return bounty, errorsmod.Wrap(err, "burning what was slashed")
		}
	}
	return bounty, emit(ctx, &auditv1.EventReportRejected{
		Service: r.Statement.Service, Epoch: r.Statement.Epoch, Report: r.Id, Reason: reason,
		Disputer: name, Slashed: lost, Bounty: bounty,
	})
}

// returnDemands gives back the deposits of a report's demands and forgets them.
func (k *Keeper) returnDemands(ctx context.Context, r auditv1.Report) error {
	if r.DemandsOpen == 0 {
		return nil
	}
	var open []auditv1.Demand
	err := k.reports.demands.Walk(ctx, collections.NewPrefixedPairRange[[]byte, string](r.Id),
		func(_ demandKey, d auditv1.Demand) (bool, error) {
			open = append(open, d)
			return false, nil
		})
	if err != nil {
		return errorsmod.Wrapf(err, "reading demands on report %x", r.Id)
	}
	for _, d := range open {
		if err := k.reports.demands.Remove(ctx, collections.Join(d.Report, d.Demander)); err != nil {
			return errorsmod.Wrapf(err, "removing demand of %s", d.Demander)
		}
		if !d.Deposit.IsPositive() {
			continue
		}
		to, err := k.addresses.StringToBytes(d.Demander)
		if err != nil {
			return errorsmod.Wrapf(ErrAddress, "demander: %s", err)
		}
		if err := k.reports.bank.SendCoinsFromModuleToAccount(ctx, ModuleName, to, coins(d.Deposit)); err != nil {
			return errorsmod.Wrapf(err, "returning the deposit of %s", d.Demander)
		}
	}
	return nil
}

// agreedIn gives the height of the first agreement in a report's round, 0 for none.
func (k *Keeper) agreedIn(ctx context.Context, o openReport) (first int64, err error) {
	round, err := k.reports.rounds.Get(ctx, collections.Join(uint32(o.statement.Service), o.statement.Epoch))
	if err != nil {
		return 0, errorsmod.Wrapf(err, "reading the round of report %x", o.id)
	}
	for _, id := range round.Reports {
		r, err := k.reportByID(ctx, id)
		if err != nil {
			return 0, err
		}
		if r.AgreedAt > 0 && r.Status == auditv1.REPORT_STATUS_OPEN && (first == 0 || r.AgreedAt < first) {
			first = r.AgreedAt
		}
	}
	return first, nil
}

// lastWindows is how many windows after agreement a report is final whatever is demanded.
const lastWindows = 3

// demand asks for a part of a report's data. It keeps the report from becoming final until it is
// answered, and leaves time for the next one.
func (k *Keeper) demand(ctx context.Context, p auditv1.ReportParams, o openReport, d auditv1.Demand) (auditv1.Demand, error) {
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	leaves := o.statement.Output.Leaves
	switch d.Tree {
	case auditv1.DATA_TREE_OUTPUT:
	case auditv1.DATA_TREE_INPUT:
		leaves = o.statement.Inputs.Leaves
	default:
		return d, errorsmod.Wrapf(ErrField, "tree %d", d.Tree)
	}
	if d.Index >= leaves {
		return d, errorsmod.Wrapf(ErrField, "index %d: the tree has %d leaves", d.Index, leaves)
	}
	if d.Depth > report.MaxDepth {
		return d, errorsmod.Wrapf(ErrField, "depth %d: at most %d", d.Depth, report.MaxDepth)
	}
	d.DueAt = height + int64(p.ServeBlocks)
	at, err := k.agreedIn(ctx, o)
	if err != nil {
		return d, err
	}
	if at > 0 && d.DueAt > at+lastWindows*int64(p.WindowBlocks) {
		return d, errorsmod.Wrapf(ErrTooLate, "the round of report %x ends in any case at height %d", o.id, at+lastWindows*int64(p.WindowBlocks))
	}
	key := collections.Join(o.id[:], d.Demander)
	if has, err := k.reports.demands.Has(ctx, key); err != nil || has {
		if err != nil {
			return d, errorsmod.Wrapf(err, "looking up demand of %s", d.Demander)
		}
		return d, errorsmod.Wrapf(ErrDemanded, "account %s", d.Demander)
	}
	bonded, err := k.anyReporter(ctx, d.Demander)
	if err != nil {
		return d, err
	}
	if bonded.State != auditv1.REPORTER_STATE_BONDED {
		if o.report.DemandsUnbonded >= p.MaxDemands {
			return d, errorsmod.Wrapf(ErrTooMany, "report %x has had %d demands: only a bonded reporter is heard now", o.id, o.report.DemandsUnbonded)
		}
		o.report.DemandsUnbonded++
	}
	d.Deposit = p.DemandDeposit
	if d.Deposit.IsPositive() {
		from, err := k.addresses.StringToBytes(d.Demander)
		if err != nil {
			return d, errorsmod.Wrapf(ErrAddress, "demander: %s", err)
		}
		if err := k.reports.bank.SendCoinsFromAccountToModule(ctx, from, ModuleName, coins(d.Deposit)); err != nil {
			return d, errorsmod.Wrapf(err, "taking the deposit of %s", d.Demander)
		}
	}
	o.report.DemandsOpen++
	if err := k.setReport(ctx, o.report); err != nil {
		return d, err
	}
	if err := k.reports.demands.Set(ctx, key, d); err != nil {
		return d, errorsmod.Wrapf(err, "writing demand of %s", d.Demander)
	}
	return d, emit(ctx, &auditv1.EventDataDemanded{Report: o.id[:], Demander: d.Demander, DueAt: d.DueAt})
}

func (k *Keeper) demandOf(ctx context.Context, id []byte, demander string) (auditv1.Demand, error) {
	d, err := k.reports.demands.Get(ctx, collections.Join(id, demander))
	if errors.Is(err, collections.ErrNotFound) {
		return d, errorsmod.Wrapf(ErrNoDemand, "report %x, demander %s", clip(id), demander)
	}
	return d, errorsmod.Wrapf(err, "reading demand of %s", demander)
}

// serve answers a demand.
func (k *Keeper) serve(ctx context.Context, p auditv1.ReportParams, o openReport, sender sdk.AccAddress, demander string, part, evidence []byte) error {
	d, err := k.demandOf(ctx, o.id[:], demander)
	if err != nil {
		return err
	}
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	if height > d.DueAt {
		return errorsmod.Wrapf(ErrTooLate, "demand of %s was due at height %d, now %d", demander, d.DueAt, height)
	}
	if err := k.checkPart(ctx, p, o, d, part, evidence); err != nil {
		return err
	}
	if err := k.reports.demands.Remove(ctx, collections.Join(o.id[:], demander)); err != nil {
		return errorsmod.Wrapf(err, "removing demand of %s", demander)
	}
	o.report.DemandsOpen--
	if o.report.AgreedAt > 0 {
		o.report.FinalAt = max(o.report.FinalAt, min(height+int64(p.ServeBlocks), o.report.AgreedAt+lastWindows*int64(p.WindowBlocks)))
	}
	if err := k.setReport(ctx, o.report); err != nil {
		return err
	}
	half := d.Deposit.QuoRaw(2)
	if half.IsPositive() {
		if err := k.reports.bank.SendCoinsFromModuleToAccount(ctx, ModuleName, sender, coins(half)); err != nil {
			return errorsmod.Wrap(err, "paying for the answer")
		}
	}
	if rest := d.Deposit.Sub(half); rest.IsPositive() {
		if err := k.reports.bank.BurnCoins(ctx, ModuleName, coins(rest)); err != nil {
			return errorsmod.Wrap(err, "burning the rest of the deposit")
		}
	}
	name, err := k.addresses.BytesToString(sender)
	if err != nil {
		return errorsmod.Wrapf(ErrAddress, "sender: %s", err)
	}
	return emit(ctx, &auditv1.EventDataServed{Report: o.id[:], Demander: demander, Sender: name, Part: part})
}

// checkPart says whether a part is what a demand asks for. Where an input's evidence is off chain,
// an answer that shows one leaf must bring its evidence.
func (k *Keeper) checkPart(ctx context.Context, p auditv1.ReportParams, o openReport, d auditv1.Demand, part, evidence []byte) error {
	charge(ctx, (report.MaxDepth+2<<report.PartLevels)*gasLevel, "report part")
	if d.Tree == auditv1.DATA_TREE_OUTPUT {
		var shown report.Part
		err := shown.UnmarshalBinary(part)
		if err == nil {
			err = shown.Verify(o.statement.Output, d.Index, uint8(d.Depth))
		}
		if err != nil {
			return errorsmod.Wrapf(ErrProof, "part: %s", err)
		}
		return nil
	}
	var shown report.InputPart
	err := shown.UnmarshalBinary(part)
	if err == nil {
		err = shown.Verify(o.statement.Inputs, d.Index, uint8(d.Depth))
	}
	if err != nil {
		return errorsmod.Wrapf(ErrProof, "part: %s", err)
	}
	if k.reports.services[o.statement.Service] != nil || len(shown.Below) != 1 || shown.Below[0].Leaf == nil {
		return nil
	}
	input := *shown.Below[0].Leaf
	if len(evidence) > int(p.MaxEvidenceBytes) {
		return errorsmod.Wrapf(ErrField, "evidence: %d bytes, at most %d", len(evidence), p.MaxEvidenceBytes)
	}
	charge(ctx, gasEvidence*uint64(len(evidence)), "report evidence")
	if report.Digest(input.Device, evidence) != input {
		return errorsmod.Wrapf(ErrProof, "evidence: not what the input of device %d commits to", input.Device)
	}
	return nil
}

// withheld rejects a report one of whose demands was not answered in time. The bounty is the
// demander's.
func (k *Keeper) withheld(ctx context.Context, p auditv1.ReportParams, o openReport, demander string) (*auditv1.MsgDisputeResponse, error) {
	d, err := k.demandOf(ctx, o.id[:], demander)
	if err != nil {
		return nil, err
	}
	if height := sdk.UnwrapSDKContext(ctx).BlockHeight(); height <= d.DueAt {
		return nil, errorsmod.Wrapf(ErrTooEarly, "demand of %s is due at height %d, now %d", demander, d.DueAt, height)
	}
	to, err := k.addresses.StringToBytes(demander)
	if err != nil {
		return nil, errorsmod.Wrapf(ErrAddress, "demander: %s", err)
	}
	reason := fmt.Sprintf("nobody showed the part at leaf %d, depth %d, of %s by height %d", d.Index, d.Depth, d.Tree, d.DueAt)
	bounty, err := k.reject(ctx, p, o.report, to, reason)
	return &auditv1.MsgDisputeResponse{Upheld: true, Bounty: bounty, Reason: reason}, err
}
