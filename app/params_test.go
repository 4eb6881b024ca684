package app_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	sdkmath "cosmossdk.io/math"
	abci "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/reward"
)

// governed is a module of ours whose parameters a vote changes. It is found by its messages: a new
// module is held to these tests without a line here.
type governed struct {
	c      *chain
	module string
}

// governedModules are all modules that have an interface of ours and a Params query.
func governedModules(t *testing.T, c *chain) []governed {
	t.Helper()
	var modules []governed
	for _, url := range c.app.Encoding().InterfaceRegistry.ListImplementations(sdk.MsgInterfaceProtoName) {
		if module, ok := strings.CutSuffix(strings.TrimPrefix(url, "/cairn."), ".v1.MsgUpdateParams"); ok && strings.HasPrefix(url, "/cairn.") {
			modules = append(modules, governed{c, module})
		}
	}
	slices.SortFunc(modules, func(a, b governed) int { return strings.Compare(a.module, b.module) })
	return modules
}

// params reads the parameters in force, as a pointer to the module's Params.
func (g governed) params(t *testing.T) reflect.Value {
	t.Helper()
	handler := g.c.app.GRPCQueryRouter().Route(fmt.Sprintf("/cairn.%s.v1.Query/Params", g.module))
	require.NotNil(t, handler, "%s has no Params query", g.module)
	answer, err := handler(g.c.ctx(), &abci.RequestQuery{})
	require.NoError(t, err)
	kind := proto.MessageType(fmt.Sprintf("cairn.%s.v1.QueryParamsResponse", g.module))
	response := reflect.New(kind.Elem())
	require.NoError(t, proto.Unmarshal(answer.Value, response.Interface().(proto.Message)))
	return response.Elem().FieldByName("Params").Addr()
}

// update is the message that sets parameters.
func (g governed) update(authority string, params reflect.Value) sdk.Msg {
	msg := reflect.New(proto.MessageType(fmt.Sprintf("cairn.%s.v1.MsgUpdateParams", g.module)).Elem())
	msg.Elem().FieldByName("Authority").SetString(authority)
	msg.Elem().FieldByName("Params").Set(params.Elem())
	return msg.Interface().(sdk.Msg)
}

// try runs the message on a branch of the state.
func (g governed) try(authority string, params reflect.Value) error {
	ctx, _ := g.c.ctx().CacheContext()
	msg := g.update(authority, params)
	_, err := g.c.app.MsgServiceRouter().Handler(msg)(ctx, msg)
	return err
}

// copied is a deep copy of parameters.
func copied(t *testing.T, params reflect.Value) reflect.Value {
	t.Helper()
	raw, err := proto.Marshal(params.Interface().(proto.Message))
	require.NoError(t, err)
	to := reflect.New(params.Type().Elem())
	require.NoError(t, proto.Unmarshal(raw, to.Interface().(proto.Message)))
	return to
}

var intType = reflect.TypeFor[sdkmath.Int]()

// leaf is a field of parameters, at any depth.
type leaf struct {
	name string
	path []int // of fields; -1 is the first element of a list
}

func leavesOf(v reflect.Value, name string, path []int) []leaf {
	var found []leaf
	deeper := func(step int) []int { return append(path[:len(path):len(path)], step) }
	switch {
	case v.Type() == intType:
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				found = append(found, leavesOf(v.Field(i), name+"."+v.Type().Field(i).Name, deeper(i))...)
			}
		}
		return found
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8 && v.Len() > 0:
		found = leavesOf(v.Index(0), name+"[0]", deeper(-1))
	}
	return append(found, leaf{name, path})
}

func (l leaf) in(params reflect.Value) reflect.Value {
	v := params.Elem()
	for _, step := range l.path {
		if step < 0 {
			v = v.Index(0)
		} else {
			v = v.Field(step)
		}
	}
	return v
}

// absurd lists values of which no parameter may take all.
func absurd(v reflect.Value) []reflect.Value {
	of := func(values ...any) []reflect.Value {
		list := make([]reflect.Value, len(values))
		for i, value := range values {
			list[i] = reflect.ValueOf(value).Convert(v.Type())
		}
		return list
	}
	switch {
	case v.Type() == intType:
		return of(sdkmath.NewInt(-1), sdkmath.NewIntFromBigInt(new(big.Int).Lsh(big.NewInt(1), 200)))
	case v.Kind() == reflect.Uint32:
		return of(uint32(0), uint32(math.MaxUint32))
	case v.Kind() == reflect.Uint64:
		return of(uint64(0), uint64(math.MaxUint64))
	case v.Kind() == reflect.Int32:
		return of(int32(-1), int32(math.MaxInt32))
	case v.Kind() == reflect.Int64:
		return of(int64(-1), int64(math.MaxInt64))
	case v.Kind() == reflect.String:
		return of("", "\xff", strings.Repeat("x", 10_000))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return of([]byte{1}, make([]byte, 1<<20))
	case v.Kind() == reflect.Slice:
		many := reflect.MakeSlice(v.Type(), 20_000, 20_000)
		for i := range many.Len() {
			if v.Len() > 0 {
				many.Index(i).Set(v.Index(0))
			}
		}
		return []reflect.Value{many}
	default:
		return nil
	}
}

// Reports and disputes ask for facts and pools as long as epochs are kept.
func TestDefaultParamsKeepFactsAsLongAsEpochs(t *testing.T) {
	facts, epochs := reward.DefaultParams().RetainEpochs, uint64(audit.DefaultParams().Beacon.RetainEpochs)
	if facts < epochs {
		t.Errorf("facts are kept for %d epochs, epochs for %d", facts, epochs)
	}
}

// TestEveryParameterHasBounds: each module of ours changes its parameters by UpdateParams, for
// governance only, and refuses absurd values of every single field. A new field without a bound
// fails here.
func TestEveryParameterHasBounds(t *testing.T) {
	c := newChain(t, "alice")
	alice, governance := newUser("alice").String(), authtypes.NewModuleAddress(govtypes.ModuleName).String()
	modules := governedModules(t, c)
	var names []string
	for _, g := range modules {
		names = append(names, g.module)
	}
	require.Subset(t, names, []string{"audit", "device", "energy", "market", "reward", "storage"})
	fields := 0
	for _, g := range modules {
		now := g.params(t)
		require.NoError(t, g.try(governance, now), "%s refuses the parameters in force", g.module)
		require.ErrorContains(t, g.try(alice, now), alice, "%s takes parameters of anyone", g.module)
		require.Error(t, g.try("", now), g.module)
		for _, l := range leavesOf(now.Elem(), g.module, nil) {
			fields++
			refused := false
			values := absurd(l.in(now))
			if l.in(now).Kind() == reflect.Bool {
				continue // both its values mean something
			}
			for _, value := range values {
				changed := copied(t, now)
				l.in(changed).Set(value)
				refused = refused || g.try(governance, changed) != nil
			}
			if !refused {
				t.Errorf("%s takes any value: give it a bound", l.name)
			}
		}
	}
	require.Greater(t, fields, 25)
	t.Logf("%d parameters of %v", fields, names)
}

// extreme moves every whole number of parameters as far as the module allows, one after the other, up
// or down.
func (g governed) extreme(t *testing.T, governance string, up bool) reflect.Value {
	t.Helper()
	params := copied(t, g.params(t))
	for _, l := range leavesOf(params.Elem(), g.module, nil) {
		v := l.in(params)
		takes := func(n *big.Int) bool {
			changed := copied(t, params)
			return setNumber(l.in(changed), n) && g.try(governance, changed) == nil
		}
		start, ok := number(v)
		if !ok {
			continue
		}
		good, bad := start, new(big.Int).Lsh(big.NewInt(1), 129)
		if !up {
			bad = big.NewInt(-2)
		}
		if takes(bad) {
			t.Errorf("%s takes %s", l.name, bad)
			continue
		}
		for {
			middle := new(big.Int).Add(good, bad)
			middle.Rsh(middle, 1)
			if middle.Cmp(good) == 0 || middle.Cmp(bad) == 0 {
				break
			}
			if takes(middle) {
				good = middle
			} else {
				bad = middle
			}
		}
		setNumber(v, good)
	}
	return params
}

// number reads a whole number of any kind.
func number(v reflect.Value) (*big.Int, bool) {
	switch {
	case v.Type() == intType:
		return v.Interface().(sdkmath.Int).BigInt(), true
	case v.CanInt() && v.Type().PkgPath() == "": // no enumerations
		return big.NewInt(v.Int()), true
	case v.CanUint():
		return new(big.Int).SetUint64(v.Uint()), true
	default:
		return nil, false
	}
}

// setNumber writes one, if it fits.
func setNumber(v reflect.Value, n *big.Int) bool {
	switch {
	case v.Type() == intType:
		v.Set(reflect.ValueOf(sdkmath.NewIntFromBigInt(n)))
	case v.CanInt():
		if !n.IsInt64() || v.OverflowInt(n.Int64()) {
			return false
		}
		v.SetInt(n.Int64())
	default:
		if !n.IsUint64() || v.OverflowUint(n.Uint64()) {
			return false
		}
		v.SetUint(n.Uint64())
	}
	return true
}

// pass has governance run messages: a proposal, a vote, and the blocks it takes. It gives back whether
// they were carried out.
func (c *chain) pass(title string, messages ...sdk.Msg) *govv1.Proposal {
	c.t.Helper()
	alice, val := newUser("alice"), newUser("val")
	propose, err := govv1.NewMsgSubmitProposal(messages, sdk.NewCoins(cairn(1000)), alice.String(), "", title, title, false)
	require.NoError(c.t, err)
	result := c.must(c.sign(alice, 0, propose))[0]
	id := message[govv1.MsgSubmitProposalResponse](c.t, result).ProposalId
	c.must(c.sign(val, 0, govv1.NewMsgVote(val.address(), id, govv1.OptionYes, "")))
	for range 5 {
		c.must()
	}
	p, err := c.app.Gov.Proposals.Get(c.ctx(), id)
	require.NoError(c.t, err)
	return &p
}

// TestAVoteCannotStopTheChain: with every parameter of every module of ours at its lowest, and then
// at its highest, blocks keep coming, money moves, every invariant holds, and a vote can still undo it.
func TestAVoteCannotStopTheChain(t *testing.T) {
	c := newChain(t, "alice", "bob")
	governance := authtypes.NewModuleAddress(govtypes.ModuleName).String()
	bob := newUser("bob")
	var sane []sdk.Msg
	modules := governedModules(t, c)
	for _, g := range modules {
		sane = append(sane, g.update(governance, copied(t, g.params(t))))
	}
	for _, up := range []bool{false, true} {
		var messages []sdk.Msg
		for _, g := range modules {
			messages = append(messages, g.update(governance, g.extreme(t, governance, up)))
		}
		p := c.pass("Extremes", messages...)
		require.Equal(t, govv1.StatusPassed, p.Status, p.FailedReason)
		for i := range 30 {
			c.next(c.sign(bob, 0, c.register(bob, fmt.Sprintf("device %t %d", up, i))))
		}
		p = c.pass("Back to sense", sane...)
		require.Equal(t, govv1.StatusPassed, p.Status, p.FailedReason)
	}
	c.must(c.sign(bob, 0, c.register(bob, "after all")))
}

// register is a message that registers a device whose key derives from its name. The nonce is read
// from the chain.
func (c *chain) register(owner user, name string) *devicev1.MsgRegister {
	c.t.Helper()
	nonce, err := device.NewQueryServer(c.app.Device).Nonce(c.ctx(), &devicev1.QueryNonceRequest{Owner: owner.String()})
	require.NoError(c.t, err)
	seed := sha256.Sum256([]byte(name))
	key := ed25519.NewKeyFromSeed(seed[:])
	return &devicev1.MsgRegister{
		Owner: owner.String(), Kind: "storage", Bond: sdk.Coin{Denom: cairn(0).Denom, Amount: sdkmath.ZeroInt()},
		Pubkey:    devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: key.Public().(ed25519.PublicKey)},
		Signature: ed25519.Sign(key, coredevice.RegistrationBytes(chainID, owner.String(), nonce.Nonce)),
	}
}

// TestTheCommunityPoolPaysByVote: and only by vote, and only what it holds.
func TestTheCommunityPoolPaysByVote(t *testing.T) {
	c := newChain(t, "alice")
	governance := authtypes.NewModuleAddress(govtypes.ModuleName).String()
	alice, grantee := newUser("alice"), newUser("grantee")
	fund := &distrtypes.MsgFundCommunityPool{Amount: sdk.NewCoins(cairn(100)), Depositor: alice.String()}
	c.must(c.sign(alice, 0, fund))
	spend := func(authority string, coins sdk.Coin) *distrtypes.MsgCommunityPoolSpend {
		return &distrtypes.MsgCommunityPoolSpend{Authority: authority, Recipient: grantee.String(), Amount: sdk.NewCoins(coins)}
	}
	require.NotZero(t, c.next(c.sign(alice, 0, spend(alice.String(), cairn(1))))[0].Code)
	p := c.pass("A grant", spend(governance, cairn(40)))
	require.Equal(t, govv1.StatusPassed, p.Status, p.FailedReason)
	require.Equal(t, cairn(40), c.app.Bank.GetBalance(c.ctx(), grantee.address(), cairn(0).Denom))
	p = c.pass("Too much", spend(governance, cairn(1_000_000)))
	require.Equal(t, govv1.StatusFailed, p.Status)
	require.Contains(t, p.FailedReason, "pool")
	require.Equal(t, cairn(40), c.app.Bank.GetBalance(c.ctx(), grantee.address(), cairn(0).Denom))
}
