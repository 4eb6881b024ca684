package device_test

import (
	"errors"
	"testing"

	sdkerrors "cosmossdk.io/errors"
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
	return f, []proto.Message{
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

// send runs a message on a branch of the state that is thrown away and reports what does not hold:
// an error must be registered and change nothing, success must keep the invariants.
func (f *fixture) send(tb fataler, msg proto.Message) error {
	whole := f.Ctx
	defer func() { f.Ctx = whole }()
	f.Ctx, _ = f.Ctx.CacheContext()
	before := f.Hash()
	err := f.handle(msg)
	if err == nil {
		f.check(tb)
		return nil
	}
	if _, code, _ := sdkerrors.ABCIInfo(err, false); code <= 1 && !errors.Is(err, stage.ErrFunds) {
		tb.Fatalf("%T gives an error that is not registered: %v", msg, err)
	}
	if f.Hash() != before {
		tb.Fatalf("%T gives %v, and the state has changed", msg, err)
	}
	return err
}

func (f *fixture) handle(msg proto.Message) (err error) {
	switch msg := msg.(type) {
	case *devicev1.MsgRegister:
		_, err = f.msg.Register(f.Ctx, msg)
	case *devicev1.MsgAnnounce:
		_, err = f.msg.Announce(f.Ctx, msg)
	case *devicev1.MsgRelocate:
		_, err = f.msg.Relocate(f.Ctx, msg)
	case *devicev1.MsgRotateOperator:
		_, err = f.msg.RotateOperator(f.Ctx, msg)
	case *devicev1.MsgTransfer:
		_, err = f.msg.Transfer(f.Ctx, msg)
	case *devicev1.MsgAcceptTransfer:
		_, err = f.msg.AcceptTransfer(f.Ctx, msg)
	case *devicev1.MsgAddBond:
		_, err = f.msg.AddBond(f.Ctx, msg)
	case *devicev1.MsgRetire:
		_, err = f.msg.Retire(f.Ctx, msg)
	case *devicev1.MsgUpdateParams:
		_, err = f.msg.UpdateParams(f.Ctx, msg)
	default:
		panic(proto.MessageName(msg))
	}
	return err
}

func TestEveryMessageHasASample(t *testing.T) {
	f, samples := played(t)
	if got, want := len(samples), len(devicev1.Msg_serviceDesc.Methods); got != want {
		t.Fatalf("%d samples of %d messages", got, want)
	}
	for _, msg := range samples {
		if err := f.send(t, msg); err != nil {
			t.Errorf("%T: %v", msg, err)
		}
	}
}

func TestMutatedFields(t *testing.T) {
	f, samples := played(t)
	refused, accepted := 0, 0
	for _, msg := range samples {
		stage.Mutate(msg, func(change string, mutated proto.Message) {
			t.Run(proto.MessageName(msg)+change, func(t *testing.T) {
				if f.send(t, mutated) != nil {
					refused++
				} else {
					accepted++
				}
			})
		})
	}
	t.Logf("%d refused, %d accepted", refused, accepted)
	if refused == 0 || accepted == 0 {
		t.Error("mutations must both be refused and accepted, or this test shows nothing")
	}
}

func FuzzMessages(f *testing.F) {
	_, samples := played(f)
	for i, msg := range samples {
		raw, err := proto.Marshal(msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), raw)
	}
	fix, kinds := played(f)
	f.Fuzz(func(t *testing.T, kind uint8, raw []byte) {
		msg := stage.Blank(kinds[int(kind)%len(kinds)])
		if proto.Unmarshal(raw, msg) == nil {
			_ = fix.send(t, msg) // send itself fails the test
		}
	})
}
