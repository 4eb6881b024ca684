package device_test

import (
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"pgregory.net/rapid"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// INV-DEPOSIT, INV-HOLDINGS, INV-DEVICE hold after any sequence of messages, jail terms, passing of
// time and restarts through genesis; a message that fails changes nothing.
func TestRegistryStateMachine(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := newFixture(t)
		accounts := []sdk.AccAddress{stage.Account(0), stage.Account(1), stage.Account(2)}
		f.rich(accounts[:2]...) // the third is poor
		nonces := map[string]uint64{}
		params := device.DefaultParams()
		params.MaxDevicesPerOwner = 3
		params.UnbondingSeconds = 1000
		params.AppealSeconds = 3600
		f.trust(t, manufacturerAnchor)
		if _, err := f.msg.UpdateParams(f.Ctx, &devicev1.MsgUpdateParams{Authority: stage.Spell(authority), Params: params}); err != nil {
			t.Fatal(err)
		}
		anyone := func(label string) sdk.AccAddress { return rapid.SampledFrom(accounts).Draw(r, label) }
		anyID := func() uint64 { return rapid.Uint64Range(1, 8).Draw(r, "id") }
		// try runs a message and holds that failing changes nothing.
		try := func(run func() error) bool {
			before := f.Hash()
			err := run()
			if err != nil && f.Hash() != before {
				r.Fatalf("%v, and the state has changed", err)
			}
			return err == nil
		}
		r.Repeat(map[string]func(*rapid.T){
			"register": func(r *rapid.T) {
				owner := anyone("owner")
				msg := registration(owner, rapid.IntRange(1, 12).Draw(r, "key"), nonces[stage.Spell(owner)])
				msg.Bond = coin(rapid.Int64Range(-1, 9).Draw(r, "bond"))
				if try(func() error { _, err := f.msg.Register(f.Ctx, msg); return err }) {
					nonces[stage.Spell(owner)]++
				}
			},
			"transfer": func(r *rapid.T) {
				msg := &devicev1.MsgTransfer{Owner: stage.Spell(anyone("owner")), Id: anyID()}
				if rapid.Bool().Draw(r, "offer") {
					msg.NewOwner = stage.Spell(anyone("new owner"))
				}
				try(func() error { _, err := f.msg.Transfer(f.Ctx, msg); return err })
			},
			"accept": func(r *rapid.T) {
				msg := &devicev1.MsgAcceptTransfer{NewOwner: stage.Spell(anyone("new owner")), Id: anyID()}
				try(func() error { _, err := f.msg.AcceptTransfer(f.Ctx, msg); return err })
			},
			"bond": func(r *rapid.T) {
				msg := &devicev1.MsgAddBond{Owner: stage.Spell(anyone("owner")), Id: anyID(), Amount: coin(rapid.Int64Range(-1, 9).Draw(r, "amount"))}
				try(func() error { _, err := f.msg.AddBond(f.Ctx, msg); return err })
			},
			"rotate": func(r *rapid.T) {
				msg := &devicev1.MsgRotateOperator{Owner: stage.Spell(anyone("owner")), Id: anyID(), Operator: stage.Spell(anyone("operator"))}
				try(func() error { _, err := f.msg.RotateOperator(f.Ctx, msg); return err })
			},
			"announce": func(r *rapid.T) {
				msg := &devicev1.MsgAnnounce{Operator: stage.Spell(anyone("operator")), Id: anyID(), Endpoint: "a:1"}
				try(func() error { _, err := f.msg.Announce(f.Ctx, msg); return err })
			},
			"retire": func(r *rapid.T) {
				msg := &devicev1.MsgRetire{Owner: stage.Spell(anyone("owner")), Id: anyID()}
				try(func() error { _, err := f.msg.Retire(f.Ctx, msg); return err })
			},
			"jail": func(r *rapid.T) {
				id, term := anyID(), rapid.Int64Range(0, 2000).Draw(r, "term")
				try(func() error { return f.keeper.Jail(f.Ctx, id, f.Now()+term) })
			},
			"ban": func(r *rapid.T) {
				msg := &devicev1.MsgBan{Authority: stage.Spell(authority), Device: anyID(), Reason: devicev1.BanReason_BAN_REASON_ATTACK, Evidence: make([]byte, 32)}
				try(func() error { _, err := f.msg.Ban(f.Ctx, msg); return err })
			},
			"appeal": func(r *rapid.T) {
				msg := &devicev1.MsgAppeal{Owner: stage.Spell(anyone("owner")), Device: anyID(), Statement: make([]byte, 32)}
				try(func() error { _, err := f.msg.Appeal(f.Ctx, msg); return err })
			},
			"reclaim": func(r *rapid.T) {
				msg := &devicev1.MsgReclaimAppeal{Owner: stage.Spell(anyone("owner")), Device: anyID()}
				try(func() error { _, err := f.msg.ReclaimAppeal(f.Ctx, msg); return err })
			},
			"decide": func(r *rapid.T) {
				msg := &devicev1.MsgDecideAppeal{Authority: stage.Spell(authority), Device: anyID(), Verdict: devicev1.Verdict(rapid.IntRange(0, 4).Draw(r, "verdict"))}
				try(func() error { _, err := f.msg.DecideAppeal(f.Ctx, msg); return err })
			},
			"attest": func(r *rapid.T) {
				owner, id := anyone("owner"), anyID()
				try(func() error {
					_, err := f.msg.Attest(f.Ctx, f.made(owner, id, rapid.IntRange(1, 12).Draw(r, "key")))
					return err
				})
			},
			"turn":    func(*rapid.T) { f.epochs.turn() },
			"oblige":  func(r *rapid.T) { f.market.obliged[anyID()] = rapid.Bool().Draw(r, "obliged") },
			"pass":    func(r *rapid.T) { f.Pass(rapid.Int64Range(1, 1500).Draw(r, "seconds")) },
			"restart": func(r *rapid.T) { f.restart(r) },
			"":        func(r *rapid.T) { f.check(r) },
		})
	})
}
