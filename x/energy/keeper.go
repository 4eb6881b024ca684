// Package energy keeps on chain what the energy vertical settles: charging sessions, from locked
// money to the bill that a signed meter record proves, and the hours in which neighbours trade.
//
// # Charging
//
// A station is a device with connectors, a tariff that never changes and shares of what it earns.
// Everything that a bill depends on is copied into the session when it is opened, so that no later
// change of the station touches it.
//
//	OPEN ---- StartSession ----> CHARGING ---- SettleSession, signed ----------------> SETTLED
//	  |                             |    \---- SettleSession, unsigned ---> HELD ----> SETTLED
//	  | no start in time,           | no bill in time                        | DisputeSession
//	  | CancelSession               |                                        v
//	  +--------> REFUNDED <---------+------- no answer in time -------- DISPUTED
//	                                                                         | AnswerDispute
//	                                         SETTLED <--- JudgeSession --- ANSWERED
//
// A bill follows from the session, the records and the periods alone (bill.go). The records must be
// signed by the key that the connector's meter was registered with before the session, name no other
// user than the session's tag, and hold no page that was billed before. What is due beyond the escrow
// is not taken.
//
// # Communities
//
// Each hour a community's aggregator commits to the root over its meters' leaves and to that over its
// accounts. Who doubts it has a window to show, from data that the aggregator must serve, that a leaf
// does not follow from its frames, the accounts not from the leaves, or that a frame with a receipt is
// missing: the chain computes that one thing again by core/meter and core/community. What an hour
// follows from (terms, memberships, limits, deposits) is kept by hour and changes with the next one
// only. docs/spec/energy.md.
//
// What has a deadline stands in one queue ordered by time, worked off at the end of a block up to a
// number of entries; anyone can have one of them done at once (CloseSession).
//
// # Invariants (invariant.go)
//
//   - INV-ENERGY-ESCROW: what sessions hold adds up to no more than the module account has.
//   - INV-ENERGY-SESSION: of every session, escrow = cost + refund; of every one that is over, cost =
//     given back + fee + paid.
//   - INV-ENERGY-PAGE: no page of a meter is billed twice.
//   - INV-ENERGY-QUEUE: every session stands in the queue once, at its deadline.
//   - INV-ENERGY-STATION: a station counts its sessions that are not over.
//
// Specification: docs/spec/energy.md.
package energy

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	collcodec "cosmossdk.io/collections/codec"
	"cosmossdk.io/core/address"
	"cosmossdk.io/core/store"
	errorsmod "cosmossdk.io/errors"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

const (
	// ModuleName is the module's name and the name of its account, which holds escrow and burns fees.
	ModuleName = "energy"
	// StoreKey is the name of the module's store.
	StoreKey = ModuleName
	// Resource is what the rewards call energy.
	Resource = "energy"
	// Charger is what the registry calls a charging station.
	Charger = "charger"
)

// Keeper is the module's state. Addresses in it are spelled canonically (bech32).
type Keeper struct {
	bank      BankKeeper
	devices   DeviceKeeper
	rewards   RewardKeeper
	addresses address.Codec
	authority string // canonical; may update params
	account   sdk.AccAddress

	Schema      collections.Schema
	params      collections.Item[energyv1.Params]
	stations    collections.Map[uint64, energyv1.Station]
	tariffs     collections.Map[uint64, energyv1.Tariff]
	nextTariff  collections.Sequence
	sessions    *collections.IndexedMap[uint64, energyv1.Session, sessionIndexes]
	nextSession collections.Sequence
	// runs by meter and last page.
	runs  collections.Map[runKey, energyv1.PageRun]
	marks collections.Map[[]byte, energyv1.PageMark] // by meter
	// deadlines is the queue of what is to be done at a time; see deadline.go.
	deadlines collections.KeySet[deadlineKey]

	communities   collections.Map[uint64, energyv1.Community]
	nextCommunity collections.Sequence
	terms         collections.Map[hourKey, energyv1.Terms] // by community and first hour
	// members by device and first hour.
	members    *collections.IndexedMap[hourKey, energyv1.Member, memberIndexes]
	standings  collections.Map[standingKey, energyv1.Standing]
	money      collections.Map[hourKey, energyv1.Funds] // by community and account
	hours      collections.Map[hourKey, energyv1.Hour]  // by community and hour
	demands    collections.Map[uint64, energyv1.Demand]
	nextDemand collections.Sequence
	doubles    collections.KeySet[hourKey] // device and hour that it was punished for
}

type (
	runKey      = collections.Pair[[]byte, uint64]
	deadlineKey = collections.Pair[int64, uint64] // Unix seconds, session
	hourKey     = collections.Pair[uint64, uint64]
	standingKey = collections.Triple[uint64, uint64, uint64] // community, account, first hour
)

var (
	paramsPrefix           = collections.NewPrefix(0)
	stationsPrefix         = collections.NewPrefix(1)
	tariffsPrefix          = collections.NewPrefix(2)
	nextTariffPrefix       = collections.NewPrefix(3)
	sessionsPrefix         = collections.NewPrefix(4)
	sessionsStationPrefix  = collections.NewPrefix(5)
	sessionsDriverPrefix   = collections.NewPrefix(6)
	nextSessionPrefix      = collections.NewPrefix(7)
	runsPrefix             = collections.NewPrefix(8)
	marksPrefix            = collections.NewPrefix(9)
	deadlinesPrefix        = collections.NewPrefix(10)
	communitiesPrefix      = collections.NewPrefix(11)
	nextCommunityPrefix    = collections.NewPrefix(12)
	termsPrefix            = collections.NewPrefix(13)
	membersPrefix          = collections.NewPrefix(14)
	standingsPrefix        = collections.NewPrefix(15)
	moneyPrefix            = collections.NewPrefix(16)
	hoursPrefix            = collections.NewPrefix(17)
	demandsPrefix          = collections.NewPrefix(18)
	nextDemandPrefix       = collections.NewPrefix(19)
	doublesPrefix          = collections.NewPrefix(20)
	membersCommunityPrefix = collections.NewPrefix(21)
)

type sessionIndexes struct {
	Station *modkit.Multi[uint64, uint64, energyv1.Session]
	Driver  *modkit.Multi[string, uint64, energyv1.Session]
}

type memberIndexes struct {
	Community *modkit.Multi[uint64, hourKey, energyv1.Member]
}

// IndexesList implements collections.Indexes.
func (i memberIndexes) IndexesList() []collections.Index[hourKey, energyv1.Member] {
	return []collections.Index[hourKey, energyv1.Member]{i.Community}
}

// IndexesList implements collections.Indexes.
func (i sessionIndexes) IndexesList() []collections.Index[uint64, energyv1.Session] {
	return []collections.Index[uint64, energyv1.Session]{i.Station, i.Driver}
}

// Deps is what a keeper stands on.
type Deps struct {
	Codec     codec.BinaryCodec
	Store     store.KVStoreService
	Addresses address.Codec
	Bank      BankKeeper
	Devices   DeviceKeeper
	Rewards   RewardKeeper
	// Authority is the account that may change params, as a string that Addresses accepts.
	Authority string
}

// NewKeeper makes the module's keeper over its store. It panics when deps cannot make a module, which
// is a defect of the program's wiring.
func NewKeeper(deps Deps) *Keeper {
	_, canonical, err := modkit.Account(deps.Addresses, deps.Authority)
	if err != nil {
		panic(errorsmod.Wrapf(err, "authority of %s", ModuleName))
	}
	var (
		schema = collections.NewSchemaBuilder(deps.Store)
		cdc    = deps.Codec
		pair   = func(first, second string) collcodec.KeyCodec[hourKey] {
			return collections.NamedPairKeyCodec(first, collections.Uint64Key, second, collections.Uint64Key)
		}
	)
	k := &Keeper{
		bank: deps.Bank, devices: deps.Devices, rewards: deps.Rewards,
		addresses: deps.Addresses,
		authority: canonical,
		account:   authtypes.NewModuleAddress(ModuleName),

		params:     collections.NewItem(schema, paramsPrefix, "params", codec.CollValue[energyv1.Params](cdc)),
		stations:   collections.NewMap(schema, stationsPrefix, "stations", collections.Uint64Key, codec.CollValue[energyv1.Station](cdc)),
		tariffs:    collections.NewMap(schema, tariffsPrefix, "tariffs", collections.Uint64Key, codec.CollValue[energyv1.Tariff](cdc)),
		nextTariff: collections.NewSequence(schema, nextTariffPrefix, "next_tariff"),
		sessions: collections.NewIndexedMap(schema, sessionsPrefix, "sessions", collections.Uint64Key, codec.CollValue[energyv1.Session](cdc),
			sessionIndexes{
				Station: modkit.NewMulti(schema, sessionsStationPrefix, "sessions_by_station", collections.Uint64Key, collections.Uint64Key,
					func(_ uint64, s energyv1.Session) (uint64, error) { return s.Station, nil }),
				Driver: modkit.NewMulti(schema, sessionsDriverPrefix, "sessions_by_driver", collections.StringKey, collections.Uint64Key,
					func(_ uint64, s energyv1.Session) (string, error) { return s.Driver, nil }),
			}),
		nextSession: collections.NewSequence(schema, nextSessionPrefix, "next_session"),
		runs: collections.NewMap(schema, runsPrefix, "page_runs",
			collections.NamedPairKeyCodec("meter", collections.BytesKey, "last", collections.Uint64Key), codec.CollValue[energyv1.PageRun](cdc)),
		marks: collections.NewMap(schema, marksPrefix, "page_marks", collections.BytesKey, codec.CollValue[energyv1.PageMark](cdc)),
		deadlines: collections.NewKeySet(schema, deadlinesPrefix, "deadlines",
			collections.NamedPairKeyCodec("at", collections.Int64Key, "session", collections.Uint64Key)),

		communities:   collections.NewMap(schema, communitiesPrefix, "communities", collections.Uint64Key, codec.CollValue[energyv1.Community](cdc)),
		nextCommunity: collections.NewSequence(schema, nextCommunityPrefix, "next_community"),
		terms:         collections.NewMap(schema, termsPrefix, "terms", pair("community", "since"), codec.CollValue[energyv1.Terms](cdc)),
		members: collections.NewIndexedMap(schema, membersPrefix, "members", pair("device", "since"), codec.CollValue[energyv1.Member](cdc),
			memberIndexes{Community: modkit.NewMulti(schema, membersCommunityPrefix, "members_by_community", collections.Uint64Key, pair("device", "since"),
				func(_ hourKey, m energyv1.Member) (uint64, error) { return m.Community, nil })}),
		standings: collections.NewMap(schema, standingsPrefix, "standings",
			collections.NamedTripleKeyCodec("community", collections.Uint64Key, "account", collections.Uint64Key, "since", collections.Uint64Key),
			codec.CollValue[energyv1.Standing](cdc)),
		money:      collections.NewMap(schema, moneyPrefix, "funds", pair("community", "account"), codec.CollValue[energyv1.Funds](cdc)),
		hours:      collections.NewMap(schema, hoursPrefix, "hours", pair("community", "hour"), codec.CollValue[energyv1.Hour](cdc)),
		demands:    collections.NewMap(schema, demandsPrefix, "demands", collections.Uint64Key, codec.CollValue[energyv1.Demand](cdc)),
		nextDemand: collections.NewSequence(schema, nextDemandPrefix, "next_demand"),
		doubles:    collections.NewKeySet(schema, doublesPrefix, "doubles", pair("device", "hour")),
	}
	if k.Schema, err = schema.Build(); err != nil {
		panic(err)
	}
	return k
}

// Params reads the module's parameters.
func (k *Keeper) Params(ctx context.Context) (energyv1.Params, error) {
	params, err := k.params.Get(ctx)
	return params, errorsmod.Wrap(err, "reading energy params")
}

// Idle says whether all sessions of a device are over. A session that is over costs no bond, so since
// is always 0. The registry asks before it lets a device go.
func (k *Keeper) Idle(ctx context.Context, device uint64) (since int64, idle bool, err error) {
	s, err := k.stations.Get(ctx, device)
	if errors.Is(err, collections.ErrNotFound) {
		return 0, true, nil
	}
	return 0, err == nil && s.OpenSessions == 0, errorsmod.Wrapf(err, "reading station %d", device)
}

// get reads one value of a map and tells absence from failure.
func get[K, V any](ctx context.Context, m interface {
	Get(context.Context, K) (V, error)
}, key K, absent error, format string, args ...any,
) (V, error) {
	value, err := m.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		err = absent
	}
	return value, errorsmod.Wrapf(err, format, args...)
}

func (k *Keeper) station(ctx context.Context, device uint64) (energyv1.Station, error) {
	return get(ctx, k.stations, device, ErrNoStation, "station %d", device)
}

func (k *Keeper) tariff(ctx context.Context, id uint64) (energyv1.Tariff, error) {
	return get(ctx, k.tariffs, id, ErrNoTariff, "tariff %d", id)
}

func (k *Keeper) session(ctx context.Context, id uint64) (energyv1.Session, error) {
	return get(ctx, k.sessions, id, ErrNoSession, "session %d", id)
}
