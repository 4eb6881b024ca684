package stage

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	errorsmod "cosmossdk.io/errors"
	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc"
)

// Fataler ends a test: a testing.TB or a rapid.T.
type Fataler interface{ Fatalf(string, ...any) }

// Play is a module under test in a state in which every message of it has something to act on. It
// throws messages at the module, good ones and spoiled ones, each on a branch of the state that is
// thrown away, and holds what is true of all of them: an error is registered and changes nothing,
// success keeps the invariants.
type Play struct {
	*Stage
	// Service is the module's Msg service and Server what answers it.
	Service *grpc.ServiceDesc
	Server  any
	// Samples are a good message of each kind.
	Samples []proto.Message
	// Check holds the module's invariants in the stage's context.
	Check func(Fataler)
}

// Deliver runs a message on the module, in the stage's context.
func (p Play) Deliver(msg proto.Message) error { return Deliver(p.Ctx, p.Service, p.Server, msg) }

// errOther says that a handler is not for this message.
var errOther = errors.New("a message of another kind")

// Deliver hands a message to the handler of its kind. A kind without one is a defect of the test.
func Deliver(ctx context.Context, service *grpc.ServiceDesc, server any, msg proto.Message) error {
	for _, method := range service.Methods {
		_, err := method.Handler(server, ctx, func(to any) error {
			if reflect.TypeOf(to) != reflect.TypeOf(msg) {
				return errOther
			}
			reflect.ValueOf(to).Elem().Set(reflect.ValueOf(msg).Elem())
			return nil
		}, nil)
		if !errors.Is(err, errOther) {
			return err
		}
	}
	panic(fmt.Sprintf("%s has no handler in %s", proto.MessageName(msg), service.ServiceName))
}

// Send runs a message on a branch of the state and gives its error.
func (p Play) Send(tb Fataler, msg proto.Message) error {
	whole := p.Ctx
	defer func() { p.Ctx = whole }()
	p.Ctx, _ = p.Ctx.CacheContext()
	before := p.Hash()
	err := p.Deliver(msg)
	if err == nil {
		p.Check(tb)
		return nil
	}
	if _, code, _ := errorsmod.ABCIInfo(err, false); code <= 1 && !errors.Is(err, ErrFunds) {
		tb.Fatalf("%T gives an error that is not registered: %v", msg, err)
	}
	if p.Hash() != before {
		tb.Fatalf("%T gives %v, and the state has changed", msg, err)
	}
	return err
}

// TestSamples holds that there is a sample of every message and that it is good.
func (p Play) TestSamples(t *testing.T) {
	if got, want := len(p.Samples), len(p.Service.Methods); got != want {
		t.Fatalf("%d samples of %d messages", got, want)
	}
	for _, msg := range p.Samples {
		if err := p.Send(t, msg); err != nil {
			t.Errorf("%T: %v", msg, err)
		}
	}
}

// TestMutations sends every sample with each of its fields spoiled (Mutate).
func (p Play) TestMutations(t *testing.T) {
	refused, accepted := 0, 0
	for _, msg := range p.Samples {
		Mutate(msg, func(change string, mutated proto.Message) {
			t.Run(proto.MessageName(msg)+change, func(t *testing.T) {
				if p.Send(t, mutated) != nil {
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

// Fuzz sends messages decoded from bytes, beginning with the samples.
func (p Play) Fuzz(f *testing.F) {
	for i, msg := range p.Samples {
		raw, err := proto.Marshal(msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), raw)
	}
	f.Fuzz(func(t *testing.T, kind uint8, raw []byte) {
		msg := Blank(p.Samples[int(kind)%len(p.Samples)])
		if proto.Unmarshal(raw, msg) == nil {
			_ = p.Send(t, msg) // Send itself fails the test
		}
	})
}
