package device_test

import (
	"testing"

	"github.com/cosmos/gogoproto/proto"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// played is a registry in which every message has something to act on, and a good message of each
// kind in that state. Device 2 is offered to account 1.
func played(tb testing.TB) (*fixture, []proto.Message) {
	f := newFixture(tb)
	owner, other := stage.Account(0), stage.Account(1)
	f.rich(owner, other)
	f.register(tb, owner, 1)
	f.register(tb, owner, 2)
	me, they := stage.Spell(owner), stage.Spell(other)
	if _, err := f.msg.Transfer(f.Ctx, &devicev1.MsgTransfer{Owner: me, Id: 2, NewOwner: they}); err != nil {
		tb.Fatal(err)
	}
	register := registration(owner, 3, 2)
	register.Operator = they

	gov := stage.Spell(authority)
	f.trust(tb, manufacturerAnchor, issuerAnchor)
	lapsed, banned := f.register(tb, other, 4), f.register(tb, other, 5)
	f.ban(tb, lapsed)
	f.appeal(tb, other, lapsed)
	f.Pass(device.DefaultParams().AppealSeconds)
	f.ban(tb, banned)
	return f, []proto.Message{
		f.made(owner, 1, 1),
		&devicev1.MsgRevoke{Sender: gov, Anchor: make([]byte, 32), Reason: "leaked"},
		f.credential(owner, 1),
		&devicev1.MsgAppeal{Owner: they, Device: banned, Statement: make([]byte, 32)},
		&devicev1.MsgReclaimAppeal{Owner: they, Device: lapsed},
		&devicev1.MsgUpdateTrust{Authority: gov, Add: []devicev1.TrustAnchor{attesterAnchor}, Remove: []devicev1.TrustRef{refOf(issuerAnchor)}},
		&devicev1.MsgUpdateRules{Authority: gov, Set: []devicev1.Rule{{Region: "DE", Resource: "charge", Credentials: []string{"calibration"}, Reason: "MessEV"}}},
		&devicev1.MsgBan{Authority: gov, Device: 1, Reason: devicev1.BanReason_BAN_REASON_ATTACK, Evidence: make([]byte, 32)},
		&devicev1.MsgDecideAppeal{Authority: gov, Device: banned, Verdict: devicev1.Verdict_VERDICT_LIFT},
		register,
		&devicev1.MsgAnnounce{Operator: me, Id: 1, Endpoint: "b:2", Model: "rack"},
		&devicev1.MsgRelocate{Owner: me, Id: 1, Cell: 0x8c28308280f19ff, Elevation: 1, Region: "FR"},
		&devicev1.MsgRotateOperator{Owner: me, Id: 1, Operator: they},
		&devicev1.MsgTransfer{Owner: me, Id: 1, NewOwner: they},
		&devicev1.MsgAcceptTransfer{NewOwner: they, Id: 2, Operator: me},
		&devicev1.MsgAddBond{Owner: me, Id: 1, Amount: coin(3)},
		&devicev1.MsgRetire{Owner: me, Id: 1},
		&devicev1.MsgUpdateParams{Authority: stage.Spell(authority), Params: device.DefaultParams()},
	}
}

// play is the module in that state.
func play(tb testing.TB) stage.Play {
	f, samples := played(tb)
	return stage.Play{Stage: f.Stage, Service: &devicev1.Msg_serviceDesc, Server: f.msg, Samples: samples, Check: f.check}
}

func TestEveryMessageHasASample(t *testing.T) { play(t).TestSamples(t) }

func TestMutatedFields(t *testing.T) { play(t).TestMutations(t) }

func FuzzMessages(f *testing.F) { play(f).Fuzz(f) }
