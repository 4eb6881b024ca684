package energy_test

import (
	"testing"

	"cosmossdk.io/math"
	"github.com/cosmos/gogoproto/proto"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/x/energy"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// played is the module in a state in which every message has something to act on, and a good message
// of each kind in that state.
func played(tb testing.TB) (*fixture, []proto.Message) {
	f := stations(tb, 2)
	late, err := f.msg.OpenSession(f.Ctx, opening(1))
	if err != nil {
		tb.Fatal(err)
	}
	charging, held, disputed, answered := f.opened(tb, 1), f.opened(tb, 2), f.opened(tb, 2), f.opened(tb, 2)
	f.Pass(3600)
	for _, s := range []energyv1.Session{held, disputed, answered} {
		if _, err := f.msg.SettleSession(f.Ctx, f.settling(s)); err != nil {
			tb.Fatal(err)
		}
	}
	for _, s := range []energyv1.Session{disputed, answered} {
		if _, err := f.msg.DisputeSession(f.Ctx, &energyv1.MsgDisputeSession{Driver: stage.Spell(driver), Session: s.Id}); err != nil {
			tb.Fatal(err)
		}
	}
	me, hot := stage.Spell(driver), stage.Spell(operator(0))
	if _, err := f.msg.AnswerDispute(f.Ctx, &energyv1.MsgAnswerDispute{Operator: hot, Session: answered.Id, GiveBack: math.NewInt(5)}); err != nil {
		tb.Fatal(err)
	}
	fresh, err := f.msg.OpenSession(f.Ctx, opening(1))
	if err != nil {
		tb.Fatal(err)
	}
	return f, []proto.Message{
		setting(0, 1),
		&energyv1.MsgPublishTariff{Publisher: me, Document: usual()},
		opening(1),
		&energyv1.MsgStartSession{Operator: hot, Session: fresh.Id},
		f.settling(charging),
		&energyv1.MsgCancelSession{Driver: me, Session: fresh.Id},
		&energyv1.MsgCloseSession{Sender: stage.Spell(stranger), Session: late.Id},
		&energyv1.MsgDisputeSession{Driver: me, Session: held.Id, Reason: "too much"},
		&energyv1.MsgAnswerDispute{Operator: hot, Session: disputed.Id, GiveBack: math.NewInt(7)},
		&energyv1.MsgJudgeSession{Authority: stage.Spell(authority), Session: answered.Id, GiveBack: math.NewInt(9), SlashBps: 100},
		&energyv1.MsgUpdateParams{Authority: stage.Spell(authority), Params: energy.DefaultParams()},
	}
}

// play is the module in that state.
func play(tb testing.TB) stage.Play {
	f, samples := played(tb)
	return stage.Play{Stage: f.Stage, Service: &energyv1.Msg_serviceDesc, Server: f.msg, Samples: samples, Check: f.check}
}

func TestEveryMessageHasASample(t *testing.T) { play(t).TestSamples(t) }

func TestMutatedFields(t *testing.T) { play(t).TestMutations(t) }

func FuzzMessages(f *testing.F) { play(f).Fuzz(f) }
