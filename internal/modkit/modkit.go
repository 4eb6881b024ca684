// Package modkit holds what every chain module of ours would otherwise repeat: the JSON
// plumbing of genesis, the registration of generated services, parsing of addresses, and a
// runner for named invariants. A module's own module.go is left with what is particular to it.
//
// It knows no module and keeps no state.
package modkit

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/types/msgservice"
	"github.com/cosmos/gogoproto/proto"
	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"
	"google.golang.org/grpc"
)

// Spec says what one module is, for New. G is its genesis message.
type Spec[G any] struct {
	// Name of the module: its store, its account and its key in the genesis file.
	Name string
	// Version of the state layout; raised by a migration, never lowered.
	Version uint64
	// Migrations change a state of the versions 1, 2, ... into the next, one for each version before this one.
	Migrations []func(context.Context) error

	// Msg is the generated descriptor of the module's Msg service.
	Msg *grpc.ServiceDesc
	// Services registers the module's Msg and Query servers.
	Services func(grpc.ServiceRegistrar)
	// Gateway registers the generated REST routes of the Query service.
	Gateway func(context.Context, *gwruntime.ServeMux, client.Context) error

	// Default is the genesis of a chain that starts without data.
	Default func() *G
	// Validate checks a genesis without a store.
	Validate func(*G) error
	// Init writes a genesis into an empty store.
	Init func(context.Context, *G) error
	// Export reads the whole state; Init of the result restores it exactly.
	Export func(context.Context) (*G, error)
}

// Module implements the interfaces of the SDK's module manager for a Spec: AppModule,
// AppModuleBasic, HasGenesis, HasServices and HasConsensusVersion. Embed it.
type Module[G any, P interface {
	*G
	proto.Message
}] struct {
	spec Spec[G]
}

// New makes the Module of a Spec.
func New[G any, P interface {
	*G
	proto.Message
}](spec Spec[G]) Module[G, P] {
	return Module[G, P]{spec: spec}
}

// IsOnePerModuleType marks the type for the SDK's module manager.
func (Module[G, P]) IsOnePerModuleType() {}

// IsAppModule marks the type for the SDK's module manager.
func (Module[G, P]) IsAppModule() {}

// Name is the module's name.
func (m Module[G, P]) Name() string { return m.spec.Name }

// ConsensusVersion is the version of the module's state layout.
func (m Module[G, P]) ConsensusVersion() uint64 { return m.spec.Version }

// RegisterLegacyAminoCodec registers nothing: amino JSON is derived from proto annotations.
func (Module[G, P]) RegisterLegacyAminoCodec(*codec.LegacyAmino) {}

// RegisterInterfaces registers every request of the Msg service as a message.
func (m Module[G, P]) RegisterInterfaces(registry codectypes.InterfaceRegistry) {
	msgservice.RegisterMsgServiceDesc(registry, m.spec.Msg)
}

// RegisterServices registers the Msg and Query servers and, with the SDK's configurator, the migrations that
// an upgrade runs.
func (m Module[G, P]) RegisterServices(registrar grpc.ServiceRegistrar) error {
	m.spec.Services(registrar)
	upgrades, ok := registrar.(module.Configurator)
	if !ok {
		return nil
	}
	for i, migrate := range m.spec.Migrations {
		from := uint64(i) + 1
		err := upgrades.RegisterMigration(m.spec.Name, from, func(ctx sdk.Context) error { return migrate(ctx) })
		if err != nil {
			return fmt.Errorf("registering the migration of %s from version %d: %w", m.spec.Name, from, err)
		}
	}
	return nil
}

// RegisterGRPCGatewayRoutes registers the REST routes. It panics when the generated routes do
// not fit the client, which is a defect of the build and not of data.
func (m Module[G, P]) RegisterGRPCGatewayRoutes(clientCtx client.Context, mux *gwruntime.ServeMux) {
	if err := m.spec.Gateway(context.Background(), mux, clientCtx); err != nil {
		panic(fmt.Errorf("registering REST routes of %s: %w", m.spec.Name, err))
	}
}

// DefaultGenesis is the genesis of a chain that starts without data, as JSON.
func (m Module[G, P]) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(P(m.spec.Default()))
}

// ValidateGenesis checks the module's part of a genesis file.
func (m Module[G, P]) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, raw json.RawMessage) error {
	genesis := new(G)
	if err := cdc.UnmarshalJSON(raw, P(genesis)); err != nil {
		return fmt.Errorf("reading genesis of %s: %w", m.spec.Name, err)
	}
	if err := m.spec.Validate(genesis); err != nil {
		return fmt.Errorf("checking genesis of %s: %w", m.spec.Name, err)
	}
	return nil
}

// InitGenesis writes the module's part of a genesis file into its empty store. A genesis that
// does not hold cannot start a chain: it panics, as the module manager expects.
func (m Module[G, P]) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, raw json.RawMessage) {
	if err := m.ValidateGenesis(cdc, nil, raw); err != nil {
		panic(err)
	}
	genesis := new(G)
	cdc.MustUnmarshalJSON(raw, P(genesis))
	if err := m.spec.Init(ctx, genesis); err != nil {
		panic(fmt.Errorf("writing genesis of %s: %w", m.spec.Name, err))
	}
}

// ExportGenesis reads the module's whole state as JSON.
func (m Module[G, P]) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	genesis, err := m.spec.Export(ctx)
	if err != nil {
		panic(fmt.Errorf("exporting genesis of %s: %w", m.spec.Name, err))
	}
	return cdc.MustMarshalJSON(P(genesis))
}
