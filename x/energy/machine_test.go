package energy_test

import (
	"slices"
	"testing"

	"cosmossdk.io/math"
	"github.com/cosmos/gogoproto/proto"
	"pgregory.net/rapid"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// INV-ENERGY-ESCROW, -SESSION, -PAGE, -QUEUE and the conservation of coins hold after any sequence of
// messages by anyone, blocks and restarts through genesis; a message that fails changes nothing; the
// fees that rewards were told of are what the supply has lost beside forfeited deposits; and once time
// has run out for everything, no session and no money is left.
func TestChargingStateMachine(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := stations(t, 2)
		f.params(t, func(p *energyv1.ChargingParams) {
			p.StartSeconds, p.BillSeconds, p.HoldSeconds, p.AnswerSeconds, p.RetainSeconds, p.DeadlinesPerBlock = 60, 7200, 300, 100, 3600, 3
		})
		supply := f.Bank.Supply(f.Ctx, denom)
		try := func(msg proto.Message) error {
			before := f.Hash()
			err := stage.Deliver(f.Ctx, &energyv1.Msg_serviceDesc, f.msg, msg)
			if err != nil && f.Hash() != before {
				r.Fatalf("%T gives %v, and the state has changed", msg, err)
			}
			return err
		}
		rarely := func(label string) bool { return rapid.IntRange(0, 9).Draw(r, "stray "+label) == 0 }
		account := func(label, usual string) string {
			if rarely(label) {
				return stage.Spell(stranger)
			}
			return usual
		}
		// session draws one that is mostly in a state.
		session := func(state energyv1.SessionState) (energyv1.Session, bool) {
			g, err := f.keeper.ExportGenesis(f.Ctx)
			if err != nil {
				r.Fatalf("%v", err)
			}
			in := slices.DeleteFunc(g.Sessions, func(s energyv1.Session) bool { return s.State != state && !rarely("state") })
			if len(in) == 0 {
				return energyv1.Session{}, false
			}
			return rapid.SampledFrom(in).Draw(r, "session"), true
		}
		hot := func(s energyv1.Session) string { return account("operator", stage.Spell(operator(int(s.Station)-1))) }
		back := func() math.Int { return milli(rapid.Int64Range(-1, 5000).Draw(r, "back")) }
		r.Repeat(map[string]func(*rapid.T){
			"set station": func(r *rapid.T) {
				n := rapid.IntRange(0, 1).Draw(r, "station")
				m := setting(n, uint64(n+1))
				m.Operator, m.Closed = account("operator", m.Operator), rarely("closed")
				m.Shares[0].Bps = rapid.Uint32Range(6999, 7001).Draw(r, "bps")
				_ = try(m)
			},
			"open": func(r *rapid.T) {
				m := opening(rapid.Uint32Range(1, 3).Draw(r, "connector"))
				m.Station = rapid.Uint64Range(1, 2).Draw(r, "station")
				m.Escrow = money(rapid.Int64Range(0, 60_000).Draw(r, "escrow"))
				_ = try(m)
			},
			"start": func(r *rapid.T) {
				if s, some := session(energyv1.SessionState_SESSION_STATE_OPEN); some {
					_ = try(&energyv1.MsgStartSession{Operator: hot(s), Session: s.Id})
				}
			},
			"cancel": func(r *rapid.T) {
				if s, some := session(energyv1.SessionState_SESSION_STATE_OPEN); some && rarely("cancel") {
					_ = try(&energyv1.MsgCancelSession{Driver: account("driver", s.Driver), Session: s.Id})
				}
			},
			"settle": func(r *rapid.T) {
				s, some := session(energyv1.SessionState_SESSION_STATE_CHARGING)
				if !some {
					return
				}
				f.Pass(max(0, s.StartedAt+3600-f.Now()))
				m := f.settling(s)
				m.Operator = hot(s)
				m.Periods[0].Energy += rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(r, "more")
				if s.Meter != nil && rarely("old page") {
					f.pages[s.Meter.Serial]--
				}
				if rarely("no records") {
					m.Records = nil
				}
				_ = try(m)
			},
			"dispute": func(r *rapid.T) {
				if s, some := session(energyv1.SessionState_SESSION_STATE_HELD); some {
					_ = try(&energyv1.MsgDisputeSession{Driver: account("driver", s.Driver), Session: s.Id})
				}
			},
			"answer": func(r *rapid.T) {
				if s, some := session(energyv1.SessionState_SESSION_STATE_DISPUTED); some {
					_ = try(&energyv1.MsgAnswerDispute{Operator: hot(s), Session: s.Id, GiveBack: back()})
				}
			},
			"judge": func(r *rapid.T) {
				if s, some := session(energyv1.SessionState_SESSION_STATE_ANSWERED); some {
					_ = try(&energyv1.MsgJudgeSession{Authority: account("authority", stage.Spell(authority)), Session: s.Id, GiveBack: back()})
				}
			},
			"close": func(r *rapid.T) {
				if s, some := session(energyv1.SessionState_SESSION_STATE_HELD); some {
					_ = try(&energyv1.MsgCloseSession{Sender: stage.Spell(stranger), Session: s.Id})
				}
			},
			"block":   func(r *rapid.T) { f.block(r, rapid.Int64Range(1, 90).Draw(r, "seconds")) },
			"long":    func(r *rapid.T) { f.block(r, rapid.Int64Range(1, 8000).Draw(r, "seconds")) },
			"restart": func(r *rapid.T) { f.restart(r) },
			"":        func(r *rapid.T) { f.check(r) },
		})
		for range 200 {
			f.block(r, 10_000)
		}
		f.check(r)
		g, err := f.keeper.ExportGenesis(f.Ctx)
		if err != nil || len(g.Sessions)+len(g.PageRuns) > 0 {
			r.Fatalf("%d sessions and %d runs of pages are never removed, %v", len(g.Sessions), len(g.PageRuns), err)
		}
		if left := f.balance(moduleAccount); !left.IsZero() {
			r.Fatalf("%s is left in the module's account", left)
		}
		lost := supply.Sub(f.Bank.Supply(f.Ctx, denom))
		if forfeited := lost.Sub(f.rewards.burned); forfeited.IsNegative() || !forfeited.Mod(milli(1000)).IsZero() {
			r.Fatalf("the supply lost %s, of which fees %s", lost, f.rewards.burned)
		}
	})
}
