package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"cosmossdk.io/log/v2"
	"github.com/cometbft/cometbft/rpc/client/local"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	sdkserver "github.com/cosmos/cosmos-sdk/server"
	"github.com/cosmos/cosmos-sdk/server/api"
	serverconfig "github.com/cosmos/cosmos-sdk/server/config"
	servergrpc "github.com/cosmos/cosmos-sdk/server/grpc"
	evmrpc "github.com/cosmos/evm/rpc"
	"github.com/cosmos/evm/rpc/backend"
	"github.com/cosmos/evm/rpc/stream"
	evmconfig "github.com/cosmos/evm/server/config"
	ethrpc "github.com/ethereum/go-ethereum/rpc"
	"github.com/improbable-eng/grpc-web/go/grpcweb"
	"github.com/rs/cors"
	"github.com/spf13/viper"
	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// closeGrace is how long a stopping server lets running answers finish.
const closeGrace = 500 * time.Millisecond

// buildGRPC binds the gRPC server and points clientCtx at it: the REST gateway asks through it.
func (n *Node) buildGRPC(clientCtx *client.Context, config serverconfig.GRPCConfig, settings *viper.Viper, logger log.Logger) error {
	listener, err := net.Listen("tcp", config.Address)
	if err != nil {
		return fmt.Errorf("binding gRPC: %w", err)
	}
	n.addresses.GRPC = listener.Addr().String()
	connection, err := grpc.NewClient(n.addresses.GRPC,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodec(codec.NewProtoCodec(clientCtx.InterfaceRegistry).GRPCCodec()),
			grpc.MaxCallRecvMsgSize(orMessageSize(config.MaxRecvMsgSize, serverconfig.DefaultGRPCMaxRecvMsgSize)),
			grpc.MaxCallSendMsgSize(orMessageSize(config.MaxSendMsgSize, serverconfig.DefaultGRPCMaxSendMsgSize)),
		))
	if err != nil {
		return errors.Join(fmt.Errorf("connecting to the own gRPC server: %w", err), listener.Close())
	}
	*clientCtx = clientCtx.WithGRPCClient(connection)
	rpc, _, err := servergrpc.NewGRPCServerAndContext(*clientCtx, n.app, config, logger)
	if err != nil {
		return errors.Join(fmt.Errorf("building the gRPC server: %w", err), connection.Close(), listener.Close())
	}
	n.grpc = rpc
	n.servers = append(n.servers, server{
		name:  "gRPC",
		serve: func() error { return rpc.Serve(listener) },
		close: func() error {
			err := connection.Close()
			graceful := make(chan struct{})
			go func() { rpc.GracefulStop(); close(graceful) }()
			select {
			case <-graceful:
			case <-time.After(closeGrace):
				rpc.Stop()
				<-graceful
			}
			return errors.Join(err, closeListener(listener))
		},
	})
	return n.buildGRPCTLS(settings)
}

// closeListener closes what its server closes too, unless it never came to serve.
func closeListener(listener net.Listener) error {
	if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func orMessageSize(configured, fallback int) int {
	if configured == 0 {
		return fallback
	}
	return configured
}

// buildREST binds the REST gateway, with gRPC-web on the same port.
func (n *Node) buildREST(clientCtx client.Context, config serverconfig.Config, logger log.Logger) error {
	routes := api.New(clientCtx, logger.With(log.ModuleKey, "rest"), n.grpc)
	n.app.RegisterAPIRoutes(routes, config.API)
	var handler http.Handler = routes.GRPCGatewayRouter
	if n.grpc != nil && config.GRPCWeb.Enable {
		handler = withGRPCWeb(n.grpc, handler, config.API.EnableUnsafeCORS)
	}
	if config.API.EnableUnsafeCORS {
		handler = cors.AllowAll().Handler(handler)
	}
	address, err := n.serveHTTP("REST", strings.TrimPrefix(config.API.Address, "tcp://"), int(config.API.MaxOpenConnections), &http.Server{
		Handler:           http.MaxBytesHandler(handler, int64(config.API.RPCMaxBodyBytes)),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Duration(config.API.RPCReadTimeout) * time.Second,
		WriteTimeout:      time.Duration(config.API.RPCWriteTimeout) * time.Second,
	})
	n.addresses.REST = address
	return err
}

func withGRPCWeb(rpc *grpc.Server, next http.Handler, anyOrigin bool) http.Handler {
	web := grpcweb.WrapServer(rpc, grpcweb.WithOriginFunc(func(string) bool { return anyOrigin }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if web.IsGrpcWebRequest(r) || web.IsAcceptableGrpcCorsRequest(r) {
			web.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// buildJSONRPC binds Ethereum's JSON-RPC over HTTP, and over websockets on a port of its own.
func (n *Node) buildJSONRPC(clientCtx client.Context, settings evmconfig.Config, config Config) error {
	events, ok := clientCtx.Client.(*local.Local)
	if !ok {
		return fmt.Errorf("JSON-RPC needs a local client, not %T", clientCtx.Client)
	}
	pool, ok := n.app.GetMempool().(backend.Mempool)
	if !ok {
		return fmt.Errorf("JSON-RPC needs the application's mempool, not %T", n.app.GetMempool())
	}
	logger := config.Logger.With(log.ModuleKey, "json-rpc")
	serverCtx := sdkserver.NewContext(config.Settings, config.Comet, logger)
	streams := stream.NewRPCStreams(newClosingEvents(events), logger, clientCtx.TxConfig.TxDecoder())
	n.app.RegisterPendingTxListener(streams.ListenPendingTx)
	ethereum := backend.NewBackend(serverCtx, clientCtx, nil, pool,
		backend.WithUnprotectedTxs(settings.JSONRPC.AllowUnprotectedTxs), backend.WithLogger(logger))

	rpc := ethrpc.NewServer()
	rpc.SetBatchLimits(settings.JSONRPC.BatchRequestLimit, settings.JSONRPC.BatchResponseMaxSize)
	rpc.SetHTTPBodyLimit(settings.JSONRPC.HTTPBodyLimit)
	for _, service := range evmrpc.BuildRPCs(settings.JSONRPC.API, serverCtx, clientCtx, streams, ethereum) {
		if err := rpc.RegisterName(service.Namespace, service.Service); err != nil {
			return fmt.Errorf("JSON-RPC namespace %s: %w", service.Namespace, err)
		}
	}
	// Wallets are web pages: any origin may ask, nothing here depends on who does.
	handler := cors.AllowAll().Handler(rpc)
	n.servers = append(n.servers, server{
		name:  "JSON-RPC streams",
		serve: func() error { return nil },
		close: func() error { rpc.Stop(); return streams.Close() },
	})
	address, err := n.serveHTTP("JSON-RPC", settings.JSONRPC.Address, settings.JSONRPC.MaxOpenConnections, &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: settings.JSONRPC.HTTPTimeout,
		ReadTimeout:       settings.JSONRPC.HTTPTimeout,
		WriteTimeout:      settings.JSONRPC.HTTPTimeout,
		IdleTimeout:       settings.JSONRPC.HTTPIdleTimeout,
	})
	if err != nil {
		return err
	}
	n.addresses.JSONRPC = address

	// The websocket server sends calls that are not subscriptions on to the HTTP one.
	settings.JSONRPC.Address = address
	websockets, ok := evmrpc.NewWebsocketsServer(clientCtx, logger, streams, &settings).(http.Handler)
	if !ok {
		return errors.New("the EVM's websocket server is no HTTP handler")
	}
	n.addresses.JSONRPCWebsocket, err = n.serveHTTP("JSON-RPC websocket", settings.JSONRPC.WsAddress, settings.JSONRPC.MaxOpenConnections,
		&http.Server{Handler: websockets, ReadHeaderTimeout: settings.JSONRPC.HTTPTimeout})
	return err
}

// serveHTTP binds address, with at most limit connections if that is positive, and returns where.
func (n *Node) serveHTTP(name, address string, limit int, http1 *http.Server) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("binding %s: %w", name, err)
	}
	bound := listener.Addr().String()
	if limit > 0 {
		listener = netutil.LimitListener(listener, limit)
	}
	n.servers = append(n.servers, server{
		name: name,
		serve: func() error {
			if err := http1.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
		close: func() error {
			ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
			defer cancel()
			err := http1.Shutdown(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				err = http1.Close()
			}
			return errors.Join(err, closeListener(listener))
		},
	})
	return bound, nil
}
