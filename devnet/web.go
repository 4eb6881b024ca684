package devnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/cairn-network/cairn/internal/buildinfo"
	"github.com/cairn-network/cairn/web"
)

// webServer serves the page.
type webServer struct {
	port   int
	page   *web.Handler
	server *http.Server
	served chan error
}

func newWebServer(n *Network) *webServer {
	page := web.New(web.Config{
		REST: httpURL(n.ports.REST), RPC: httpURL(n.ports.RPC), JSONRPC: httpURL(n.ports.JSONRPC),
		Gateway: httpURL(n.ports.GatewayStatus),
		Nodes:   n.nodeSources,
		Info:    n.info,
		Poll:    n.config.BlockTime,
		Log:     n.log,
	})
	server := &http.Server{Handler: page, ReadHeaderTimeout: 10 * time.Second}
	server.RegisterOnShutdown(page.Close)
	return &webServer{port: n.ports.Web, page: page, server: server, served: make(chan error, 1)}
}

func (w *webServer) start(context.Context) error {
	l, err := net.Listen("tcp", loopback(w.port))
	if err != nil {
		return fmt.Errorf("listening for the web page: %w", err)
	}
	go func() { w.served <- w.server.Serve(l) }()
	return nil
}

func (w *webServer) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := w.server.Shutdown(ctx)
	if served := <-w.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// nodeSources lists the storage nodes for the page, with the addresses this process gave them.
func (n *Network) nodeSources() []web.NodeSource {
	var sources []web.NodeSource
	for i, m := range n.storage {
		_, status := n.ports.storage(i)
		sources = append(sources, web.NodeSource{Name: m.name, DeviceID: m.describe().DeviceID, URL: httpURL(status)})
	}
	return sources
}

// info is what the page shows of the network; no secret is in it.
func (n *Network) info() web.Info {
	r := n.Ready()
	i := web.Info{
		Network: "devnet", ChainID: r.ChainID, EVMChainID: EVMChainID, Version: buildinfo.Version,
		Endpoints: web.Endpoints{S3: r.S3.Endpoint, Web: r.Web, RPC: r.RPC, REST: r.REST, GRPC: r.GRPC, JSONRPC: r.JSONRPC},
		S3:        web.S3{Region: r.S3.Region, AccessKey: r.S3.AccessKey},
		ReadyFile: n.readyFiles()[0],
	}
	for _, a := range r.Accounts {
		i.Accounts = append(i.Accounts, web.Account{Name: a.Name, Address: a.Address})
	}
	return i
}
