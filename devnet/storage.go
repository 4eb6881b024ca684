package devnet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/storagenode"
	"github.com/cairn-network/cairn/daemon/storagenode/provide"
	"github.com/cairn-network/cairn/internal/config"
)

// What a devnet's providers ask. Every owner asks a little more than the one before, so that there
// is a market to see.
const (
	basePrice   = 3000 // milli-CAIRN for a TB-month
	priceStep   = 50
	egressPrice = "2CAIRN/TB"
)

// storageBond is what every provider puts up, and loses parts of for faults.
const storageBond = "100CAIRN"

// Pace of a devnet's storage nodes: short enough to watch money move.
const (
	storagePoll    = 2 * time.Second
	settleEvery    = 20 * time.Second
	storageReserve = 1 << 30 // bytes that stay free on the disk
)

// possessionTerms challenge every node in every epoch, so that people see data missed within a minute
// or two, and let every node watch a quarter of the others.
func possessionTerms(g *storagev1.GenesisState) {
	p := &g.Params.Possession
	p.Interval, p.PeerOdds, p.FreshEpochs = 1, 4, 4
	p.JailSeconds, p.MaxJailSeconds = 120, 3600
	p.AnswerSeconds = 60
}

func (n *Network) storagePrice(i int) string {
	milli := basePrice + priceStep*i
	return fmt.Sprintf("%d.%03dCAIRN/TB-month", milli/1000, milli%1000)
}

func (n *Network) newStorageNode(i int) *member {
	m := &member{role: "storage", name: fmt.Sprintf("storage-%d", i), log: n.log}
	pieces, status := n.ports.storage(i)
	home := n.storageHome(i)
	if n.config.Processes {
		l := launch{program: n.program("cairn"), log: n.logFile(m.name), args: []string{
			"provide", "storage", "--home", home, "--node", loopback(n.ports.GRPC),
			"--path", filepath.Join(home, "pieces"), "--size", config.Bytes(n.config.StorageSize).String(),
			"--price", n.storagePrice(i), "--egress-price", egressPrice, "--bond", storageBond,
			"--listen", loopback(pieces), "--endpoint", loopback(pieces), "--status-listen", loopback(status),
			"--name", m.name, "--min-free", config.Bytes(storageReserve).String(),
			"--poll", storagePoll.String(), "--settle-every", settleEvery.String(),
		}}
		l.readyFile(filepath.Join(home, "ready.json"))
		m.asProcess(l)
		return m
	}
	m.run = func(ctx context.Context, ready func(info)) error {
		account, err := wallet.FromMnemonic(n.state.account(providerName(i)).Mnemonic)
		if err != nil {
			return fmt.Errorf("opening the account of %s: %w", m.name, err)
		}
		asked, err := config.ParseStoragePrice(n.storagePrice(i))
		if err != nil {
			return fmt.Errorf("price of %s: %w", m.name, err)
		}
		egress, err := config.ParseEgressPrice(egressPrice)
		if err != nil {
			return fmt.Errorf("price of %s: %w", m.name, err)
		}
		bond, err := price.Parse(storageBond)
		if err != nil {
			return fmt.Errorf("bond of %s: %w", m.name, err)
		}
		return provide.Run(ctx, provide.Config{
			Home: home, Account: account, Chain: loopback(n.ports.GRPC),
			Node: storagenode.Config{
				Path: filepath.Join(home, "pieces"), Name: m.name, Capacity: n.config.StorageSize, MinFree: storageReserve,
				Listen: loopback(pieces), Endpoint: loopback(pieces), StatusListen: loopback(status),
				Poll: storagePoll, SettleEvery: settleEvery, SettleAbove: price.FromUint64(1),
			},
			Storage: asked.Rate, Egress: egress.Rate, Bond: bond,
			Ready: func(i provide.Info) { ready(info{PID: os.Getpid(), DeviceID: i.Device, Endpoint: i.Endpoint}) },
			Log:   n.log.With("member", m.name),
		})
	}
	return m
}
