package storage_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/challenge"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/internal/modkit"
	"github.com/cairn-network/cairn/x/audit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
	"github.com/cairn-network/cairn/x/storage"
)

const (
	denom        = "acairn"
	epochSeconds = 100
	bond         = 1_000_000
)

// epochs are what a test says they are: their beacons follow from their numbers.
type epochs struct {
	running uint64
	weak    map[uint64]bool
	retain  uint64
}

func (e *epochs) Current(ctx context.Context) (auditv1.Epoch, error) {
	return e.EpochAt(ctx, e.running)
}

func (e *epochs) EpochAt(_ context.Context, number uint64) (auditv1.Epoch, error) {
	if number == 0 || number > e.running || e.running-number > e.retain {
		return auditv1.Epoch{}, fmt.Errorf("%w: %d", audit.ErrUnknownEpoch, number)
	}
	beacon := sha256.Sum256(binary.BigEndian.AppendUint64(nil, number))
	return auditv1.Epoch{
		Number: number, Beacon: beacon[:], Weak: e.weak[number],
		StartTime: stage.Start.Add(time.Duration(number-1) * epochSeconds * time.Second),
	}, nil
}

// fixture is the module over real stores, with the real registry and market, and a bank that
// conserves coins.
type fixture struct {
	*stage.Stage
	devices *device.Keeper
	market  *market.Keeper
	keeper  *storage.Keeper
	epochs  *epochs
	msg     storagev1.MsgServer
	query   storagev1.QueryServer
}

var stores = []string{device.StoreKey, market.StoreKey, storage.StoreKey}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	f := &fixture{Stage: stage.New(tb, stores...), epochs: &epochs{running: 1, weak: map[uint64]bool{}, retain: 1000}}
	f.open()
	err := errors.Join(f.devices.InitGenesis(f.Ctx, device.DefaultGenesis()), f.market.InitGenesis(f.Ctx, market.DefaultGenesis()),
		f.keeper.InitGenesis(f.Ctx, storage.DefaultGenesis()))
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func (f *fixture) open() {
	gov := stage.Spell(authority)
	f.devices = device.NewKeeper(f.Codec, f.Store(device.StoreKey), f.Addresses, f.Bank, gov)
	f.market = market.NewKeeper(f.Codec, f.Store(market.StoreKey), f.Addresses, f.Bank, f.devices, gov)
	f.devices.SetObligations(f.market)
	f.keeper = storage.NewKeeper(storage.Deps{
		Codec: f.Codec, Store: f.Store(storage.StoreKey), Addresses: f.Addresses, Bank: f.Bank,
		Devices: f.devices, Market: f.market, Epochs: f.epochs, Authority: gov,
	})
	f.msg, f.query = storage.NewMsgServer(f.keeper), storage.NewQueryServer(f.keeper)
}

// check holds every invariant, and that no coin was made or lost.
func (f *fixture) check(tb stage.Fataler) {
	err := errors.Join(modkit.Check(f.Ctx, f.keeper.Invariants()), modkit.Check(f.Ctx, f.devices.Invariants()),
		modkit.Check(f.Ctx, f.market.Invariants()), f.Bank.Check(f.Ctx))
	if err != nil {
		tb.Fatalf("%v", err)
	}
}

// restart takes the module to a new chain through its genesis.
func (f *fixture) restart(tb stage.Fataler) {
	exported, err := f.keeper.ExportGenesis(f.Ctx)
	if err != nil {
		tb.Fatalf("exporting: %v", err)
	}
	if err := storage.ValidateGenesis(exported); err != nil {
		tb.Fatalf("exported genesis does not hold: %v", err)
	}
	before := f.Hash()
	f.Clear(storage.StoreKey)
	f.open()
	if err := f.keeper.InitGenesis(f.Ctx, exported); err != nil {
		tb.Fatalf("importing: %v", err)
	}
	if f.Hash() != before {
		tb.Fatalf("the store differs after export and import")
	}
}

// next begins the next epoch.
func (f *fixture) next(tb stage.Fataler) {
	if err := errors.Join(f.market.EndBlock(f.Ctx), f.keeper.EndBlock(f.Ctx)); err != nil {
		tb.Fatalf("end of block: %v", err)
	}
	f.epochs.running++
	f.Pass(stage.Start.Unix() + int64(f.epochs.running-1)*epochSeconds - f.Now())
}

// set changes the params and waits until they hold.
func (f *fixture) set(tb stage.Fataler, edit func(*storagev1.PossessionParams)) {
	params, err := f.keeper.Params(f.Ctx)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	edit(&params.Possession)
	if _, err := f.msg.UpdateParams(f.Ctx, &storagev1.MsgUpdateParams{Authority: stage.Spell(authority), Params: params}); err != nil {
		tb.Fatalf("%v", err)
	}
	f.next(tb)
}

func (f *fixture) balance(account sdk.AccAddress) int64 {
	return f.Bank.GetBalance(f.Ctx, account, denom).Amount.Int64()
}

func owner(n int) sdk.AccAddress    { return stage.Account(n) }
func operator(n int) sdk.AccAddress { return stage.Account(100 + n) }

var renter, stranger = stage.Account(200), stage.Account(300)

func key(label string, n int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "%s %d", label, n))
	return ed25519.NewKeyFromSeed(seed[:])
}

// provider is a device with pieces, as its storage node has them.
type provider struct {
	id       uint64
	n        int
	lease    uint64
	pieces   map[piece.ID][]byte // by leaf id
	receipts []piece.SignedReceipt
	tree     *merkle.Tree
	version  uint64
}

const expiry = 1 << 40 // of all pieces: never

// network is a fixture with one provider, device 1, that has committed to its pieces, in the first
// epoch in which they are in force; it is challenged in every epoch.
type network struct {
	*fixture
	provider *provider
}

func newNetwork(tb testing.TB) *network {
	tb.Helper()
	f := newFixture(tb)
	f.set(fatal{tb}, func(p *storagev1.PossessionParams) {
		p.Interval, p.Positions, p.PeerOdds, p.FreshEpochs = 1, 4, 1, 3
		p.SlashBps, p.BountyBps, p.JailSeconds, p.MaxJailSeconds = 100, 2000, 50, 1000
		p.AnswerSeconds, p.Deposit = 60, sdk.NewInt64Coin(denom, 500)
		p.ReportEpochs, p.RetainEpochs, p.SettleEpochs = 4, 10, 2
	})
	for _, account := range []sdk.AccAddress{renter, stranger} {
		f.Bank.Mint(f.Ctx, account, sdk.NewInt64Coin(denom, 1_000_000_000))
	}
	n := &network{fixture: f, provider: f.provide(tb, 0, 900, 5000, 64<<10, 1024, 1)}
	f.commit(tb, n.provider)
	f.next(fatal{tb})
	return n
}

type fatal struct{ testing.TB }

// provide registers device n+1 with a lease of a mebibyte and pieces of some sizes.
func (f *fixture) provide(tb testing.TB, n int, sizes ...int) *provider {
	tb.Helper()
	f.Bank.Mint(f.Ctx, owner(n), sdk.Coin{Denom: denom, Amount: math.NewIntWithDecimal(10, 18)})
	f.Bank.Mint(f.Ctx, operator(n), sdk.NewInt64Coin(denom, 1_000_000))
	private := key("device", n)
	res, err := device.NewMsgServer(f.devices).Register(f.Ctx, &devicev1.MsgRegister{
		Owner: stage.Spell(owner(n)), Operator: stage.Spell(operator(n)),
		Pubkey: devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: private.Public().(ed25519.PublicKey)},
		Kind:   "storage", Bond: sdk.NewInt64Coin(denom, bond),
		Signature: ed25519.Sign(private, coredevice.RegistrationBytes(stage.ChainID, stage.Spell(owner(n)), 0)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	p := &provider{id: res.Id, n: n, pieces: map[piece.ID][]byte{}}
	offers := market.NewMsgServer(f.market)
	offer, err := offers.CreateOffer(f.Ctx, &marketv1.MsgCreateOffer{
		Operator: stage.Spell(operator(n)), Device: p.id, Resource: "storage", Denom: denom,
		Stream: marketv1.Price{Amount: math.NewInt(1), Per: 1 << 30}, Metered: marketv1.Price{Amount: math.NewInt(0), Per: 1},
		Capacity: 1 << 30, MinSeconds: 10, MaxSeconds: 10_000_000,
	})
	if err != nil {
		tb.Fatal(err)
	}
	lease, err := offers.OpenLease(f.Ctx, &marketv1.MsgOpenLease{
		Consumer: stage.Spell(renter), SessionKey: key("session", 0).Public().(ed25519.PublicKey),
		Items:   []marketv1.NewItem{{Offer: offer.Id, Units: 1 << 20, Escrow: math.NewInt(1_000_000)}},
		Seconds: 1_000_000,
	})
	if err != nil {
		tb.Fatal(err)
	}
	p.lease = lease.Id
	for i, size := range sizes {
		p.put(tb, piece.ID{byte(n), byte(i)}, bytes.Repeat([]byte{byte(n + 1), byte(i + 1)}, size)[:size], f.Now())
	}
	p.build(tb)
	return p
}

// put stores a piece and signs for it.
func (p *provider) put(tb testing.TB, id piece.ID, data []byte, now int64) piece.SignedReceipt {
	tb.Helper()
	p.pieces[challenge.LeafID(p.lease, id)] = data
	receipt := piece.SignReceipt(key("device", p.n), piece.Receipt{
		ChainID: stage.ChainID, Lease: p.lease, Device: p.id, ID: id, Root: piece.RootOf(data), Size: uint32(len(data)),
		Expiry: expiry, IssuedAt: now,
	})
	p.receipts = append(p.receipts, receipt)
	return receipt
}

// build makes the tree anew over the pieces that are there.
func (p *provider) build(tb testing.TB) {
	tb.Helper()
	var leaves []merkle.Leaf
	for id, data := range p.pieces {
		leaves = append(leaves, merkle.Leaf{ID: id, Root: piece.RootOf(data), Chunks: piece.Chunks(uint64(len(data))), Expiry: expiry})
	}
	slices.SortFunc(leaves, func(a, b merkle.Leaf) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	var err error
	if p.tree, err = merkle.Build(leaves); err != nil {
		tb.Fatal(err)
	}
}

// commitment is the message that commits to the provider's tree.
func (p *provider) commitment() *storagev1.MsgCommitTree {
	root := p.tree.Root()
	return &storagev1.MsgCommitTree{Operator: stage.Spell(operator(p.n)), Device: p.id, Version: p.version + 1, Root: root.Hash[:], Total: root.Sum}
}

func (f *fixture) commit(tb testing.TB, p *provider) {
	tb.Helper()
	if _, err := f.msg.CommitTree(f.Ctx, p.commitment()); err != nil {
		tb.Fatal(err)
	}
	p.version++
}

// prove makes the proof of a position of the provider's tree.
func (p *provider) prove(tb testing.TB, x uint64) []byte {
	tb.Helper()
	path, chunk, err := p.tree.ProveAt(x)
	if err != nil {
		tb.Fatal(err)
	}
	proof, err := challenge.Prove(path, p.pieces[path.Leaf.ID], chunk)
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := proof.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// answer is the message that answers the running epoch's challenge to a provider.
func (f *fixture) answer(tb testing.TB, p *provider) *storagev1.MsgProve {
	tb.Helper()
	res, err := f.query.Challenge(f.Ctx, &storagev1.QueryChallengeRequest{Device: p.id})
	if err != nil {
		tb.Fatal(err)
	}
	m := &storagev1.MsgProve{Operator: stage.Spell(operator(p.n)), Device: p.id, Epoch: res.Challenge.Epoch}
	for _, x := range res.Challenge.Positions {
		m.Proofs = append(m.Proofs, p.prove(tb, x))
	}
	return m
}

func (f *fixture) pass(tb testing.TB, p *provider) {
	tb.Helper()
	if _, err := f.msg.Prove(f.Ctx, f.answer(tb, p)); err != nil {
		tb.Fatal(err)
	}
}

func report(device, epoch uint64) *storagev1.MsgReportFault {
	return &storagev1.MsgReportFault{Reporter: stage.Spell(stranger), Device: device, Epoch: epoch}
}

func encode(tb testing.TB, m interface{ MarshalBinary() ([]byte, error) }) []byte {
	tb.Helper()
	raw, err := m.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// inclusion is the message that asks for a receipt's piece.
func inclusion(tb testing.TB, r piece.SignedReceipt) *storagev1.MsgAuditInclusion {
	tb.Helper()
	return &storagev1.MsgAuditInclusion{Opener: stage.Spell(renter), Receipt: encode(tb, r)}
}

// included is the message that answers it.
func (p *provider) included(tb testing.TB, audit uint64, id piece.ID) *storagev1.MsgProveInclusion {
	tb.Helper()
	leaf := challenge.LeafID(p.lease, id)
	for i := range p.tree.Len() {
		if p.tree.Leaf(i).ID != leaf {
			continue
		}
		proof, err := p.tree.Prove(i)
		if err != nil {
			tb.Fatal(err)
		}
		return &storagev1.MsgProveInclusion{Operator: stage.Spell(operator(p.n)), Audit: audit, Proof: encode(tb, proof)}
	}
	tb.Fatalf("piece %s is not in the tree", id)
	return nil
}

// play is the module with something for each message to act on.
func (f *fixture) play(samples ...proto.Message) stage.Play {
	return stage.Play{Stage: f.Stage, Service: &storagev1.Msg_serviceDesc, Server: f.msg, Samples: samples, Check: f.check}
}

// send runs a message on a branch of the state that is thrown away: an error must be registered and
// change nothing, success must keep the invariants.
func (f *fixture) send(tb stage.Fataler, msg proto.Message) error { return f.play().Send(tb, msg) }

// samples leaves the network in a state in which each of the messages it returns is accepted.
func (n *network) samples(tb testing.TB) []proto.Message {
	tb.Helper()
	p := n.provider
	peer := n.provide(tb, 1, 3000)
	n.commit(tb, peer)
	n.next(fatal{tb})
	missed := n.epochs.running
	n.next(fatal{tb})
	late, err := n.msg.AuditInclusion(n.Ctx, inclusion(tb, p.receipts[2]))
	if err != nil {
		tb.Fatal(err)
	}
	n.Pass(61)
	opened, err := n.msg.AuditInclusion(n.Ctx, inclusion(tb, p.receipts[0]))
	if err != nil {
		tb.Fatal(err)
	}
	escalated, err := n.msg.Escalate(n.Ctx, &storagev1.MsgEscalate{
		Operator: stage.Spell(operator(1)), Challenger: peer.id, Device: p.id, Epoch: n.epochs.running, Index: 3,
	})
	if err != nil {
		tb.Fatal(err)
	}
	a, err := n.keeper.Audit(n.Ctx, escalated.Audit)
	if err != nil {
		tb.Fatal(err)
	}
	return []proto.Message{
		commit(0, 1),
		p.commitment(),
		n.answer(tb, p),
		report(p.id, missed),
		inclusion(tb, p.receipts[1]),
		p.included(tb, opened.Audit, p.receipts[0].ID),
		&storagev1.MsgEscalate{Operator: stage.Spell(operator(0)), Challenger: p.id, Device: peer.id, Epoch: n.epochs.running, Index: 3},
		&storagev1.MsgProvePosition{Operator: stage.Spell(operator(0)), Audit: a.Id, Proof: p.prove(tb, a.Position)},
		&storagev1.MsgCloseAudit{Sender: stage.Spell(stranger), Audit: late.Audit},
		&storagev1.MsgUpdateParams{Authority: stage.Spell(authority), Params: storage.DefaultParams()},
	}
}
