package market_test

import (
	"errors"
	"testing"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// What a region refuses, and what is banned, is neither offered nor leased nor enlarged; what runs
// goes on.
func TestRegionRulesAndBansKeepTheMarketShut(t *testing.T) {
	rule := devicev1.Rule{Region: "DE", Resource: offering(0).Resource, Refused: true, Reason: "no licence yet"}
	for name, c := range map[string]struct {
		shut func(*fixture) error
		want error
	}{
		"rule": {func(f *fixture) error {
			_, err := f.deviceMsg.UpdateRules(f.Ctx, &devicev1.MsgUpdateRules{Authority: stage.Spell(authority), Set: []devicev1.Rule{rule}})
			return err
		}, device.ErrNotPermitted},
		"ban": {func(f *fixture) error {
			_, err := f.deviceMsg.Ban(f.Ctx, &devicev1.MsgBan{Authority: stage.Spell(authority), Device: 1, Reason: devicev1.BanReason_BAN_REASON_ATTACK, Evidence: make([]byte, 32)})
			return err
		}, device.ErrBanned},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.sellers(t, 1)
			f.rich(consumer(0), consumer(1))
			lease := f.lease(t, opening())
			if err := c.shut(f); err != nil {
				t.Fatal(err)
			}
			if _, err := f.msg.CreateOffer(f.Ctx, offering(0)); !errors.Is(err, c.want) {
				t.Errorf("offer: %v", err)
			}
			second := opening()
			second.Consumer = stage.Spell(consumer(1))
			if _, err := f.msg.OpenLease(f.Ctx, second); !errors.Is(err, c.want) {
				t.Errorf("lease: %v", err)
			}
			grown := &marketv1.MsgAmendLease{Consumer: stage.Spell(consumer(0)), Id: lease, TopUps: []marketv1.TopUp{{Device: 1, Escrow: amount(90_000), Units: 200}}}
			if _, err := f.msg.AmendLease(f.Ctx, grown); !errors.Is(err, c.want) {
				t.Errorf("more units: %v", err)
			}
			f.Pass(10)
			if _, err := f.stream(marketv1.ItemRef{Lease: lease, Device: 1}); err != nil {
				t.Errorf("what runs is paid: %v", err)
			}
			f.check(t)
		})
	}
}
