package audit

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/internal/modkit"
)

// reports is the part of the state that is about reports.
//
// A round is one epoch of one service. Reporters post statements for it; each different statement is
// a report, and who posts it puts its bond behind it. A report names the one of the epoch before
// that it builds on, so that rounds follow one another without waiting for finality. It becomes
// final, in the order of epochs, when more than two thirds of the bond stood behind it, the window
// passed, no demand for its data is open and what it builds on is final. Until then anyone may
// show that it is wrong: the chain replays one leaf.
type reports struct {
	bank      BankKeeper
	economy   Economy
	services  map[score.Service]Service
	replayers map[score.Service]Replayer

	reporters *collections.IndexedMap[string, auditv1.Reporter, reporterIndexes]
	bonded    collections.Item[math.Int] // sum of the bonds that count
	rounds    collections.Map[roundKey, auditv1.Round]
	reports   collections.Map[[]byte, auditv1.Report] // by id, in rounds that are not over
	demands   collections.Map[demandKey, auditv1.Demand]
	finals    collections.Map[uint32, auditv1.FinalReport] // by service
}

type (
	roundKey  = collections.Pair[uint32, uint64] // service, epoch
	demandKey = collections.Pair[[]byte, string] // report, demander
	// stateBond orders reporters of a state by bond, 16 big-endian bytes.
	stateBond = collections.Pair[int32, []byte]
)

type reporterIndexes struct {
	Bond *modkit.Multi[stateBond, string, auditv1.Reporter]
}

// IndexesList is what the IndexedMap keeps up to date.
func (i reporterIndexes) IndexesList() []collections.Index[string, auditv1.Reporter] {
	return []collections.Index[string, auditv1.Reporter]{i.Bond}
}

var (
	reportersPrefix     = collections.NewPrefix(32)
	reportersBondPrefix = collections.NewPrefix(33)
	bondedPrefix        = collections.NewPrefix(34)
	roundsPrefix        = collections.NewPrefix(35)
	reportsPrefix       = collections.NewPrefix(36)
	demandsPrefix       = collections.NewPrefix(37)
	finalsPrefix        = collections.NewPrefix(38)
)

func newReports(schema *collections.SchemaBuilder, cdc codec.BinaryCodec, bank BankKeeper) reports {
	byBond := collections.PairKeyCodec(collections.Int32Key, collections.BytesKey)
	return reports{
		bank:      bank,
		services:  make(map[score.Service]Service),
		replayers: make(map[score.Service]Replayer),
		reporters: collections.NewIndexedMap(schema, reportersPrefix, "reporters",
			collections.StringKey, codec.CollValue[auditv1.Reporter](cdc),
			reporterIndexes{Bond: modkit.NewMulti(schema, reportersBondPrefix, "reporters_by_bond", byBond, collections.StringKey,
				func(_ string, r auditv1.Reporter) (stateBond, error) {
					a, err := price.FromBig(r.Bond.BigInt())
					bond := a.Bytes()
					return collections.Join(int32(r.State), bond[:]), err
				})}),
		bonded: collections.NewItem(schema, bondedPrefix, "bonded", sdk.IntValue),
		rounds: collections.NewMap(schema, roundsPrefix, "rounds",
			collections.PairKeyCodec(collections.Uint32Key, collections.Uint64Key), codec.CollValue[auditv1.Round](cdc)),
		reports: collections.NewMap(schema, reportsPrefix, "reports", collections.BytesKey, codec.CollValue[auditv1.Report](cdc)),
		demands: collections.NewMap(schema, demandsPrefix, "demands",
			collections.PairKeyCodec(collections.BytesKey, collections.StringKey), codec.CollValue[auditv1.Demand](cdc)),
		finals: collections.NewMap(schema, finalsPrefix, "finals", collections.Uint32Key, codec.CollValue[auditv1.FinalReport](cdc)),
	}
}

// finalsPerMessage is how many rounds one message makes final at most.
const finalsPerMessage = 4

// parseRoot reads a root of a message or of the state.
func parseRoot(field string, t auditv1.TreeRoot) (report.Root, error) {
	r := report.Root{Leaves: t.Leaves, Points: t.Points}
	if t.Leaves > report.MaxLeaves {
		return r, errorsmod.Wrapf(ErrField, "%s.leaves %d: at most %d", field, t.Leaves, uint64(report.MaxLeaves))
	}
	if t.Earned.IsNil() || t.Earned.IsNegative() || t.Earned.BigInt().BitLen() > report.AmountBits {
		return r, errorsmod.Wrapf(ErrField, "%s.earned %s: not an amount", field, t.Earned)
	}
	r.Earned, _ = price.FromBig(t.Earned.BigInt()) // fits
	if t.Leaves == 0 {
		if r != (report.Root{}) || len(t.Hash) > 0 {
			return r, errorsmod.Wrapf(ErrField, "%s: a tree without leaves has hash %x, %d points, %s earned", field, clip(t.Hash), t.Points, t.Earned)
		}
		return r, nil
	}
	if len(t.Hash) != len(r.Hash) {
		return r, errorsmod.Wrapf(ErrField, "%s.hash: %d bytes, want %d", field, len(t.Hash), len(r.Hash))
	}
	copy(r.Hash[:], t.Hash)
	return r, nil
}

// amountBits bounds amounts: sums of them still fit 128 bits.
const amountBits = 120

// clip shortens bytes from outside to what an error message can carry.
func clip(b []byte) []byte { return b[:min(len(b), 40)] }

// treeRoot is the inverse of parseRoot.
func treeRoot(r report.Root) auditv1.TreeRoot {
	t := auditv1.TreeRoot{Leaves: r.Leaves, Points: r.Points, Earned: integer(r.Earned)}
	if r.Leaves > 0 {
		t.Hash = r.Hash[:]
	}
	return t
}

// parseStatement reads a statement as far as that goes without a state.
func parseStatement(chainID string, s auditv1.Statement) (report.Statement, error) {
	if s.Service > 0xff || !score.Service(s.Service).Valid() {
		return report.Statement{}, errorsmod.Wrapf(ErrService, "service %d", s.Service)
	}
	out := report.Statement{ChainID: chainID, Service: score.Service(s.Service), Epoch: s.Epoch, Rules: score.Rules(s.Rules)}
	if s.Epoch == 0 {
		return out, errorsmod.Wrap(ErrField, "epoch 0: epochs start at 1")
	}
	inputs := auditv1.TreeRoot{Hash: s.InputHash, Leaves: s.Inputs, Earned: math.ZeroInt()}
	var err error
	if out.Inputs, err = parseRoot("inputs", inputs); err != nil {
		return out, err
	}
	if out.Output, err = parseRoot("output", s.Output); err != nil {
		return out, err
	}
	if len(s.Previous) != 0 && len(s.Previous) != len(out.Previous) {
		return out, errorsmod.Wrapf(ErrField, "previous: %d bytes, want none or %d", len(s.Previous), len(out.Previous))
	}
	copy(out.Previous[:], s.Previous)
	return out, nil
}

// start is the first epoch that a service can be reported for.
func start(p auditv1.ReportParams, service score.Service) (uint64, bool) {
	for _, r := range p.Rules {
		if r.Service == uint32(service) {
			return r.Epoch, true
		}
	}
	return 0, false
}

// rulesAt gives the rules of a service in an epoch.
func rulesAt(p auditv1.ReportParams, service score.Service, epoch uint64) (score.Rules, error) {
	rules := uint32(0)
	for _, r := range p.Rules {
		if r.Service == uint32(service) && r.Epoch <= epoch {
			rules = r.Rules
		}
	}
	if rules == 0 {
		return 0, errorsmod.Wrapf(ErrService, "%s pays nothing in epoch %d", service, epoch)
	}
	return score.Rules(rules), nil
}

// reportable says whether an epoch may still be reported when another is running: half of the time
// for which its facts are kept is for reporting it, the rest for disputes.
func reportable(p auditv1.BeaconParams, epoch, current uint64) bool {
	return epoch < current && current-epoch <= uint64(p.RetainEpochs)/2
}

// replayable says whether the facts of an epoch are still there.
func replayable(p auditv1.BeaconParams, epoch, current uint64) bool {
	return epoch+1 >= current || current-epoch < uint64(p.RetainEpochs)
}

// final gives the newest final report of a service; false if there is none yet.
func (k *Keeper) final(ctx context.Context, service score.Service) (auditv1.FinalReport, bool, error) {
	f, err := k.reports.finals.Get(ctx, uint32(service))
	if errors.Is(err, collections.ErrNotFound) {
		return f, false, nil
	}
	return f, err == nil, errorsmod.Wrapf(err, "reading the final report of %s", service)
}

func (k *Keeper) reportByID(ctx context.Context, id []byte) (auditv1.Report, error) {
	if len(id) != 32 {
		return auditv1.Report{}, errorsmod.Wrapf(ErrField, "report: %d bytes, want 32", len(id))
	}
	r, err := k.reports.reports.Get(ctx, id)
	if errors.Is(err, collections.ErrNotFound) {
		return r, errorsmod.Wrapf(ErrNoReport, "report %x", id)
	}
	return r, errorsmod.Wrapf(err, "reading report %x", id)
}

// base gives the root and epoch that a statement builds on. ErrVoid where that is no report, was
// rejected, or builds itself on what was. It walks at most max_pending reports.
func (k *Keeper) base(ctx context.Context, p auditv1.ReportParams, s report.Statement) (root report.Root, epoch uint64, err error) {
	newest, some, err := k.final(ctx, s.Service)
	if err != nil {
		return root, 0, err
	}
	first, _ := start(p, s.Service)
	at := s.Previous
	for depth := 0; ; depth++ {
		var statement auditv1.Statement
		switch {
		case !some && at == [32]byte{}:
			if depth == 0 {
				epoch = first - 1
			}
			return root, epoch, nil
		case some && bytes.Equal(at[:], newest.Id):
			statement = newest.Statement
		default:
			r, err := k.reports.reports.Get(ctx, at[:])
			if err != nil && !errors.Is(err, collections.ErrNotFound) {
				return root, 0, errorsmod.Wrapf(err, "reading report %x", at)
			}
			if err != nil || r.Status != auditv1.REPORT_STATUS_OPEN || depth > int(p.MaxPending) || r.Statement.Service != uint32(s.Service) {
				return root, 0, errorsmod.Wrapf(ErrVoid, "previous %x", at)
			}
			statement = r.Statement
		}
		if depth == 0 {
			if root, err = parseRoot("output", statement.Output); err != nil {
				return root, 0, err
			}
			epoch = statement.Epoch
		}
		if some && bytes.Equal(at[:], newest.Id) {
			return root, epoch, nil
		}
		at = [32]byte{}
		copy(at[:], statement.Previous)
	}
}

// post puts a reporter's word behind a statement.
func (k *Keeper) post(ctx context.Context, account string, msg auditv1.Statement, data string) (id [32]byte, err error) {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	params, err := k.Params(ctx)
	if err != nil {
		return id, err
	}
	reporter, err := k.reporter(ctx, account)
	if err != nil {
		return id, err
	}
	if reporter.State != auditv1.REPORTER_STATE_BONDED {
		return id, errorsmod.Wrapf(ErrNotBonded, "reporter %s", account)
	}
	s, err := parseStatement(sdkCtx.ChainID(), msg)
	if err != nil {
		return id, err
	}
	if err := k.admit(ctx, params, s); err != nil {
		return id, err
	}
	id = s.ID()
	if data == "" {
		data = reporter.Data
	}
	post := auditv1.ReportPost{Reporter: account, Data: data, Height: sdkCtx.BlockHeight()}
	if err := k.enter(ctx, params.Report, s, msg, id, post); err != nil {
		return id, err
	}
	reporter.Open++
	if err := k.setReporter(ctx, reporter); err != nil {
		return id, err
	}
	return id, k.agree(ctx, params.Report, id[:])
}

// admit says whether a statement may be posted now.
func (k *Keeper) admit(ctx context.Context, params auditv1.Params, s report.Statement) error {
	if k.reports.services[s.Service] == nil && k.reports.replayers[s.Service] == nil || k.reports.economy == nil {
		return errorsmod.Wrapf(ErrService, "service %s is not reported on this chain", s.Service)
	}
	rules, err := rulesAt(params.Report, s.Service, s.Epoch)
	if err != nil {
		return err
	}
	if s.Rules != rules {
		return errorsmod.Wrapf(ErrRules, "rules %d: epoch %d has %d", s.Rules, s.Epoch, rules)
	}
	current, err := k.Current(ctx)
	if err != nil {
		return err
	}
	if s.Epoch >= current.Number {
		return errorsmod.Wrapf(ErrEpoch, "epoch %d: the running one is %d", s.Epoch, current.Number)
	}
	if !reportable(params.Beacon, s.Epoch, current.Number) {
		return errorsmod.Wrapf(ErrEpoch, "epoch %d: can be reported until %d epochs later, the running one is %d", s.Epoch, params.Beacon.RetainEpochs/2, current.Number)
	}
	before, epoch, err := k.base(ctx, params.Report, s)
	if err != nil {
		return err
	}
	if epoch >= s.Epoch {
		return errorsmod.Wrapf(ErrEpoch, "epoch %d: what it builds on is of epoch %d", s.Epoch, epoch)
	}
	if missed, some := k.leftOut(ctx, params.Beacon, s, epoch, current.Number); some {
		return errorsmod.Wrapf(ErrEpoch, "epoch %d: what it builds on is of epoch %d, and epoch %d between can be reported", s.Epoch, epoch, missed)
	}
	if s.Output.Leaves < before.Leaves || s.Output.Leaves-before.Leaves > s.Inputs.Leaves {
		return errorsmod.Wrapf(ErrTotals, "output.leaves %d: %d before and %d inputs", s.Output.Leaves, before.Leaves, s.Inputs.Leaves)
	}
	pools, err := k.reports.economy.Pools(ctx, s.Service, s.Epoch)
	if err != nil {
		return errorsmod.Wrapf(err, "pools of %s in epoch %d", s.Service, s.Epoch)
	}
	most, over := pools.Budget()
	paid, under := s.Output.Earned.Sub(before.Earned)
	if under || !over && paid.Cmp(most) > 0 {
		return errorsmod.Wrapf(ErrTotals, "output.earned %s: %s before, and pools of %s", s.Output.Earned, before.Earned, most)
	}
	return nil
}

// mostLeftOut is how many epochs before a statement's are looked at for one that it leaves out: as many
// as can be reported by default.
const mostLeftOut = 500

// leftOut gives an epoch between a statement and what it builds on that can be reported, false if
// there is none. One that is too old cannot, nor one without pools: it pays nothing, for want of a
// weight or because the work at its end failed, and must not stop those after it.
func (k *Keeper) leftOut(ctx context.Context, p auditv1.BeaconParams, s report.Statement, base, current uint64) (missed uint64, some bool) {
	for e := s.Epoch - 1; e > base && s.Epoch-e <= mostLeftOut && reportable(p, e, current); e-- {
		if _, err := k.reports.economy.Pools(ctx, s.Service, e); err == nil {
			return e, true
		}
	}
	return 0, false
}

// enter writes a post into its round.
func (k *Keeper) enter(ctx context.Context, p auditv1.ReportParams, s report.Statement, msg auditv1.Statement, id [32]byte, post auditv1.ReportPost) error {
	key := collections.Join(uint32(s.Service), s.Epoch)
	round, err := k.reports.rounds.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		pending := 0
		err := k.reports.rounds.Walk(ctx, collections.NewPrefixedPairRange[uint32, uint64](uint32(s.Service)),
			func(roundKey, auditv1.Round) (bool, error) { pending++; return false, nil })
		if err != nil {
			return errorsmod.Wrap(err, "counting rounds")
		}
		if pending >= int(p.MaxPending) {
			return errorsmod.Wrapf(ErrTooMany, "%d rounds of %s are open", pending, s.Service)
		}
		round = auditv1.Round{Service: uint32(s.Service), Epoch: s.Epoch, OpenedAt: post.Height}
	} else if err != nil {
		return errorsmod.Wrapf(err, "reading round %d of %s", s.Epoch, s.Service)
	}
	found := false
	for _, other := range round.Reports {
		r, err := k.reportByID(ctx, other)
		if err != nil {
			return err
		}
		mine := slices.ContainsFunc(r.Posts, func(p auditv1.ReportPost) bool { return p.Reporter == post.Reporter })
		same := bytes.Equal(other, id[:])
		found = found || same
		switch {
		case same && mine:
			return errorsmod.Wrapf(ErrPosted, "reporter %s posted report %x", post.Reporter, id)
		case same && r.Status != auditv1.REPORT_STATUS_OPEN:
			return errorsmod.Wrapf(ErrRejected, "report %x: %s", id, r.Rejected)
		case mine && r.Status == auditv1.REPORT_STATUS_OPEN:
			// Another word of it counts only once the first builds on nothing any more.
			statement, err := parseStatement(s.ChainID, r.Statement)
			if err != nil {
				return err
			}
			if _, _, err := k.base(ctx, p, statement); !errors.Is(err, ErrVoid) {
				if err != nil {
					return err
				}
				return errorsmod.Wrapf(ErrPosted, "reporter %s posted report %x for epoch %d", post.Reporter, other, s.Epoch)
			}
		}
		if same {
			r.Posts = append(r.Posts, post)
			if err := k.setReport(ctx, r); err != nil {
				return err
			}
		}
	}
	if !found {
		r := auditv1.Report{Id: id[:], Statement: msg, Status: auditv1.REPORT_STATUS_OPEN, Posts: []auditv1.ReportPost{post}}
		if err := k.setReport(ctx, r); err != nil {
			return err
		}
		round.Reports = append(round.Reports, id[:])
	}
	return errorsmod.Wrapf(k.reports.rounds.Set(ctx, key, round), "writing round %d of %s", s.Epoch, s.Service)
}

func (k *Keeper) setReport(ctx context.Context, r auditv1.Report) error {
	return errorsmod.Wrapf(k.reports.reports.Set(ctx, r.Id, r), "writing report %x", r.Id)
}

// weight is the bond behind posts that counts now, each reporter once.
func (k *Keeper) weight(ctx context.Context, posts []auditv1.ReportPost) (math.Int, error) {
	sum := math.ZeroInt()
	for i, p := range posts {
		if slices.ContainsFunc(posts[:i], func(q auditv1.ReportPost) bool { return q.Reporter == p.Reporter }) {
			continue
		}
		r, err := k.anyReporter(ctx, p.Reporter)
		if err != nil {
			return sum, err
		}
		if r.State == auditv1.REPORTER_STATE_BONDED {
			sum = sum.Add(r.Bond)
		}
	}
	return sum, nil
}

// agree notes that enough bond stands behind a report, if that is so for the first time. Once the
// round's deadline has passed, only the bond of those who spoke counts.
func (k *Keeper) agree(ctx context.Context, p auditv1.ReportParams, id []byte) error {
	r, err := k.reportByID(ctx, id)
	if err != nil || r.AgreedAt > 0 || r.Status != auditv1.REPORT_STATUS_OPEN {
		return err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	behind, err := k.weight(ctx, r.Posts)
	if err != nil {
		return err
	}
	of, err := k.totalBonded(ctx)
	if err != nil {
		return err
	}
	round, err := k.reports.rounds.Get(ctx, collections.Join(r.Statement.Service, r.Statement.Epoch))
	if err != nil {
		return errorsmod.Wrapf(err, "reading the round of report %x", id)
	}
	if sdkCtx.BlockHeight() >= round.OpenedAt+int64(p.DeadlineBlocks) {
		var spoke []auditv1.ReportPost
		for _, other := range round.Reports {
			o, err := k.reportByID(ctx, other)
			if err != nil {
				return err
			}
			if o.Status == auditv1.REPORT_STATUS_OPEN {
				spoke = append(spoke, o.Posts...)
			}
		}
		if of, err = k.weight(ctx, spoke); err != nil {
			return err
		}
	}
	if !behind.MulRaw(3).GT(of.MulRaw(2)) {
		return nil
	}
	r.AgreedAt = sdkCtx.BlockHeight()
	r.FinalAt = r.AgreedAt + int64(p.WindowBlocks)
	if err := k.setReport(ctx, r); err != nil {
		return err
	}
	return emit(ctx, &auditv1.EventReportAgreed{Service: r.Statement.Service, Epoch: r.Statement.Epoch, Report: id, FinalAt: r.FinalAt})
}

// finalize makes final what is due, at most finalsPerMessage rounds, and drops rounds that can no
// longer be replayed. It gives the newest final epoch, 0 for none.
func (k *Keeper) finalize(ctx context.Context, service score.Service) (epoch uint64, err error) {
	params, err := k.Params(ctx)
	if err != nil {
		return 0, err
	}
	current, err := k.Current(ctx)
	if err != nil {
		return 0, err
	}
	newest, _, err := k.final(ctx, service)
	if err != nil {
		return 0, err
	}
	epoch = newest.Statement.Epoch
	for range finalsPerMessage {
		round, some, err := k.oldest(ctx, service)
		if err != nil || !some {
			return epoch, err
		}
		if !replayable(params.Beacon, round.Epoch, current.Number) {
			if err := k.endRound(ctx, round, nil); err != nil {
				return epoch, err
			}
			continue
		}
		if waits, err := k.expire(ctx, params.Report, round); err != nil || waits {
			return epoch, err
		}
		winner, err := k.due(ctx, params.Report, service, round)
		if err != nil || winner == nil {
			return epoch, err
		}
		if err := k.seal(ctx, service, round, *winner); err != nil {
			return epoch, err
		}
		epoch = round.Epoch
	}
	return epoch, nil
}

// expire rejects the reports of a round that were asked for data and did not show it in time, and
// says whether a demand on any of them has time left: a lie that nobody agreed with must not escape
// with its round.
func (k *Keeper) expire(ctx context.Context, p auditv1.ReportParams, round auditv1.Round) (waits bool, err error) {
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	for _, id := range round.Reports {
		r, err := k.reportByID(ctx, id)
		if err != nil {
			return false, err
		}
		if r.Status != auditv1.REPORT_STATUS_OPEN || r.DemandsOpen == 0 {
			continue
		}
		o, err := k.disputed(ctx, p, id)
		if errors.Is(err, ErrVoid) {
			continue // nobody can answer for it any more, nor has to
		}
		if err != nil {
			return false, err
		}
		late := ""
		err = k.reports.demands.Walk(ctx, collections.NewPrefixedPairRange[[]byte, string](id),
			func(_ demandKey, d auditv1.Demand) (bool, error) {
				if d.DueAt < height {
					late = d.Demander
				}
				return late != "", nil
			})
		if err != nil {
			return false, errorsmod.Wrapf(err, "reading demands on report %x", id)
		}
		if late == "" {
			waits = true
			continue
		}
		if _, err := k.withheld(ctx, p, o, late); err != nil {
			return false, err
		}
	}
	return waits, nil
}

// oldest gives the round of a service that comes next.
func (k *Keeper) oldest(ctx context.Context, service score.Service) (round auditv1.Round, some bool, err error) {
	err = k.reports.rounds.Walk(ctx, collections.NewPrefixedPairRange[uint32, uint64](uint32(service)),
		func(_ roundKey, r auditv1.Round) (bool, error) {
			round, some = r, true
			return true, nil
		})
	return round, some, errorsmod.Wrapf(err, "reading rounds of %s", service)
}

// due gives the report of a round that may become final now, nil for none.
func (k *Keeper) due(ctx context.Context, p auditv1.ReportParams, service score.Service, round auditv1.Round) (*auditv1.Report, error) {
	newest, _, err := k.final(ctx, service)
	if err != nil {
		return nil, err
	}
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	for _, id := range round.Reports {
		if err := k.agree(ctx, p, id); err != nil {
			return nil, err
		}
		r, err := k.reportByID(ctx, id)
		if err != nil {
			return nil, err
		}
		if r.Status == auditv1.REPORT_STATUS_OPEN && r.AgreedAt > 0 && r.FinalAt <= height && r.DemandsOpen == 0 &&
			bytes.Equal(r.Statement.Previous, newest.Id) {
			return &r, nil
		}
	}
	return nil, nil
}

// seal makes a report final.
func (k *Keeper) seal(ctx context.Context, service score.Service, round auditv1.Round, winner auditv1.Report) error {
	newest, some, err := k.final(ctx, service)
	if err != nil {
		return err
	}
	before := treeRoot(report.Root{})
	if some {
		before = newest.Statement.Output
	}
	root, err := parseRoot("output", winner.Statement.Output)
	if err != nil {
		return err
	}
	if err := k.reports.economy.Final(ctx, service, round.Epoch, root); err != nil {
		return errorsmod.Wrapf(err, "paying epoch %d of %s", round.Epoch, service)
	}
	f := auditv1.FinalReport{
		Service: uint32(service), Id: winner.Id, Statement: winner.Statement,
		Height: sdk.UnwrapSDKContext(ctx).BlockHeight(), Before: before,
	}
	if err := k.reports.finals.Set(ctx, uint32(service), f); err != nil {
		return errorsmod.Wrapf(err, "writing the final report of %s", service)
	}
	if err := k.endRound(ctx, round, winner.Id); err != nil {
		return err
	}
	return emit(ctx, &auditv1.EventReportFinal{
		Service: uint32(service), Epoch: round.Epoch, Report: winner.Id, Paid: winner.Statement.Output.Earned.Sub(before.Earned),
	})
}

// endRound removes a round with its reports, which no longer bind their reporters, and returns the
// deposits of demands that are open.
func (k *Keeper) endRound(ctx context.Context, round auditv1.Round, winner []byte) error {
	for _, id := range round.Reports {
		r, err := k.reportByID(ctx, id)
		if err != nil {
			return err
		}
		if r.Status == auditv1.REPORT_STATUS_OPEN {
			for _, p := range r.Posts {
				if err := k.release(ctx, p.Reporter, bytes.Equal(id, winner)); err != nil {
					return err
				}
			}
			if err := k.returnDemands(ctx, r); err != nil {
				return err
			}
			if !bytes.Equal(id, winner) {
				event := &auditv1.EventReportDropped{Service: round.Service, Epoch: round.Epoch, Report: id}
				if err := emit(ctx, event); err != nil {
					return err
				}
			}
		}
		if err := k.reports.reports.Remove(ctx, id); err != nil {
			return errorsmod.Wrapf(err, "removing report %x", id)
		}
	}
	return errorsmod.Wrapf(k.reports.rounds.Remove(ctx, collections.Join(round.Service, round.Epoch)), "removing round %d", round.Epoch)
}

func emit(ctx context.Context, event proto.Message) error {
	return errorsmod.Wrap(sdk.UnwrapSDKContext(ctx).EventManager().EmitTypedEvent(event), "emitting event")
}
