package devnet

import (
	"context"
	"os"
	"path/filepath"
	"time"

	gateway "github.com/cairn-network/cairn/daemon/s3gateway/launch"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/daemon/s3gateway/repair"
)

// region is what S3 clients sign for unless told otherwise, so that none has to be.
const region = "us-east-1"

// Pace of a devnet's gateway: a killed node is found lost and its pieces rebuilt while one watches.
const (
	leaseEvery  = 2 * time.Second
	lostAfter   = 10 * time.Second
	repairEvery = 2 * time.Second
)

func (n *Network) newGateway() *member {
	m := &member{role: "gateway", name: "gateway", log: n.log}
	home := n.gatewayHome()
	if n.config.Processes {
		l := launch{program: n.program("cairn"), log: n.logFile(m.name), args: []string{
			"gateway", "s3", "--home", home, "--node", loopback(n.ports.GRPC),
			"--listen", loopback(n.ports.S3), "--status-listen", loopback(n.ports.GatewayStatus), "--s3-region", region,
			"--lease-every", leaseEvery.String(), "--lost-after", lostAfter.String(), "--repair-every", repairEvery.String(),
			"--one-machine",
		}}
		l.readyFile(filepath.Join(home, "ready.json"))
		m.asProcess(l)
		return m
	}
	m.run = func(ctx context.Context, ready func(info)) error {
		return gateway.Run(ctx, gateway.Config{
			Home: home, Mnemonic: n.state.account(renterName).Mnemonic, Chain: loopback(n.ports.GRPC),
			Listen: loopback(n.ports.S3), StatusListen: loopback(n.ports.GatewayStatus), Region: region,
			LeaseEvery: leaseEvery, LostAfter: lostAfter, Repair: repair.Config{Interval: repairEvery},
			Policy: renter.Policy{LoopbackIsDistinct: true},
			Ready:  func(i gateway.Info) { ready(info{PID: os.Getpid(), Endpoint: i.S3.Endpoint, S3: S3(i.S3)}) },
			Log:    n.log.With("member", m.name),
		})
	}
	return m
}
