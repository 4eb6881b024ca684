// Package provide takes a machine from a key and an account to a storage node that earns: it
// registers the device, puts its disk on offer and runs the node. The command line and the
// devnet both call it.
//
// Every step looks first at what the chain has, so a second start goes on where the first
// stopped, and a changed price or size changes the offer. The device is recognised by its key:
// whoever keeps the home keeps the device.
package provide

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/attestation"
	"github.com/cairn-network/cairn/chainclient/claim"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/daemon/storagenode"
	"github.com/cairn-network/cairn/internal/clock"
	"github.com/cairn-network/cairn/internal/config"
	"github.com/cairn-network/cairn/internal/tpm"
)

// Resource is what storage nodes offer on the market; its unit is the byte.
const Resource = "storage"

// Errors of getting ready.
var (
	// ErrFunds says that the account cannot pay the deposit and fees, and nobody waits for it.
	ErrFunds = errors.New("account holds too little to register a device")
	// ErrForeign says that the device key is registered and this account does not operate it.
	ErrForeign = errors.New("device is operated by another account")
	// ErrInactive says that the device is registered and may not serve.
	ErrInactive = errors.New("device may not serve")
	// ErrDisk says that the disk is smaller than what would be offered.
	ErrDisk = errors.New("disk is too small")
	// ErrEndpoint says that it is not known where clients reach the node.
	ErrEndpoint = errors.New("endpoint is not known")
)

// Bounds on leases unless Config says otherwise.
const (
	defaultMinTerm = time.Hour
	defaultMaxTerm = 365 * 24 * time.Hour
)

// fundsEvery is how often a waiting node looks at its account.
const fundsEvery = 2 * time.Second

// feeReserve is what the account should hold beyond the deposit, for the fees of registering,
// offering and settling: 0.1 CAIRN.
var feeReserve = price.FromUint64(1e17)

// Config of a provider. Fields without a default must be set.
type Config struct {
	// Home is the directory of the device key, where no TPM holds it.
	Home string
	// TPM is a TPM 2.0 that holds the device key, a device file or an emulator's socket; empty for none.
	// Papers, if they name a root, keep the device attested by it; AttestEvery is how often that is
	// looked at, attestation.DefaultEvery when 0.
	TPM         string
	Papers      attestation.Files
	AttestEvery time.Duration
	// Account pays and is paid: owner and operator of the device.
	Account *wallet.Account
	// Chain is the gRPC address of a node of the chain, and Trust whom to believe on the way there.
	Chain string
	Trust chainclient.Trust
	// FeeGranter pays the fees by grant; empty for Account.
	FeeGranter string

	// Node is how to serve. Capacity is what the owner gives; Path, Listen and Capacity must be
	// set. An empty Endpoint is the address bound, and must be given where that is not one that
	// others can reach.
	Node storagenode.Config
	// Storage is the price of a byte-second, Egress that of a byte served.
	Storage, Egress price.Rate
	// Bond is put up at registration, beside the deposit: what a proven fault costs a part of, and
	// what the bootstrap pool pays on. It comes back after leaving.
	Bond price.Amount
	// ClaimAbove is the sum of rewards from which they are claimed without being asked for; 0 for never.
	ClaimAbove price.Amount
	// MinTerm and MaxTerm bound leases; an hour and a year when 0, cut to what the chain allows.
	MinTerm, MaxTerm time.Duration
	// Region is an ISO 3166-1 alpha-2 code, or empty.
	Region string

	// AwaitFunds is told, at every look, that the account holds too little yet: Run waits. nil
	// makes Run fail with ErrFunds instead.
	AwaitFunds func(address string, have, need price.Amount)
	// Ready is called once, when the node serves; nil for nobody.
	Ready func(Info)
	Clock clock.Clock  // nil for the system's
	Log   *slog.Logger // nil for silence
}

// Info says what runs.
type Info struct {
	storagenode.Info
	Address string `json:"address"` // of the account
	Offer   uint64 `json:"offer_id"`
}

// Run registers, offers and serves until ctx is done.
func Run(ctx context.Context, c Config) error {
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := c.check(); err != nil {
		return err
	}
	key, chip, err := c.deviceKey()
	if err != nil {
		return err
	}
	if chip != nil {
		defer chip.Close()
	}
	chain, err := chainclient.New(chainclient.Config{
		Endpoint: c.Chain, Trust: c.Trust, Account: c.Account, FeeGranter: c.FeeGranter, Patience: -1, Clock: c.Clock, Log: c.Log,
	})
	if err != nil {
		return err
	}
	defer chain.Close()
	p := &provider{Config: c, chain: chain, key: key}
	id, err := p.register(ctx)
	if err != nil {
		return err
	}
	offer, err := p.offer(ctx, id)
	if err != nil {
		return err
	}
	chainID, err := chain.ChainID(ctx)
	if err != nil {
		return err
	}
	node, err := storagenode.New(storagenode.Deps{
		Config:   c.Node,
		Identity: storagenode.Identity{ChainID: chainID, Device: id, Key: key},
		Chain:    chain, Possession: chain, Clock: c.Clock, Log: c.Log,
		Ready: func(info storagenode.Info) {
			if c.Ready != nil {
				c.Ready(Info{Info: info, Address: c.Account.Address(), Offer: offer})
			}
		},
	})
	if err != nil {
		return err
	}
	return p.serve(ctx, node, id, chip)
}

// tpmLabel is which device key of a TPM a storage node uses: one node for each chip and home.
const tpmLabel = "1"

// deviceKey is the key of this machine, in a file or in a chip, which is to be closed.
func (c *Config) deviceKey() (crypto.Signer, *tpm.Signer, error) {
	if c.TPM == "" {
		key, err := wallet.DeviceKey(filepath.Join(c.Home, "storage", "device.key"))
		return key, nil, err
	}
	chip, err := tpm.OpenSigner(c.TPM, tpmLabel)
	if err != nil {
		return nil, nil, fmt.Errorf("taking the device key from %s: %w", c.TPM, err)
	}
	return chip, chip, nil
}

// serve runs the node, with what goes on beside it: rewards are claimed, and the device stays attested by
// its chip, if it has one.
func (p *provider) serve(ctx context.Context, node *storagenode.Node, device uint64, chip *tpm.Signer) error {
	var loops []func(context.Context) error // each ends with its context only
	if !p.ClaimAbove.IsZero() {
		loops = append(loops, (&claim.Loop{
			Claimer: &claim.Claimer{Chain: p.chain}, Service: score.Storage, Devices: []uint64{device},
			Above: p.ClaimAbove, Clock: p.Clock, Log: p.Log,
		}).Run)
	}
	if chip != nil && p.Papers.Root != "" {
		loops = append(loops, (&attestation.Loop{
			Chain: p.chain, Chip: chip, Files: p.Papers, Device: device, Every: p.AttestEvery, Clock: p.Clock, Log: p.Log,
		}).Run)
	}
	beside, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	for _, loop := range loops {
		done.Go(func() { _ = loop(beside) })
	}
	err := node.Run(ctx)
	stop()
	done.Wait()
	return err
}

// check holds what can be known before anything is paid for.
func (c *Config) check() error {
	if c.Account == nil || c.Home == "" || c.Node.Path == "" || c.Node.Capacity == 0 {
		return errors.New("providing storage: account, home, path and capacity must be given")
	}
	if c.Node.Endpoint == "" {
		host, _, err := net.SplitHostPort(c.Node.Listen)
		if err != nil {
			return fmt.Errorf("listening on %q: %w", c.Node.Listen, err)
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			return fmt.Errorf("listening on %s, which says nothing of where others reach it: %w", c.Node.Listen, ErrEndpoint)
		}
	} else if _, _, err := net.SplitHostPort(c.Node.Endpoint); err != nil {
		return fmt.Errorf("endpoint %q: %w", c.Node.Endpoint, err)
	}
	if err := os.MkdirAll(c.Node.Path, 0o700); err != nil {
		return fmt.Errorf("making directory for pieces: %w", err)
	}
	used, err := size(c.Node.Path)
	if err != nil {
		return err
	}
	free, err := freeSpace(c.Node.Path)
	if err != nil {
		return fmt.Errorf("looking at the disk of %s: %w", c.Node.Path, err)
	}
	if c.Node.Capacity > used+free {
		return fmt.Errorf("%s has room for %s, %s are to be given: %w", c.Node.Path, config.Bytes(used+free), config.Bytes(c.Node.Capacity), ErrDisk)
	}
	return nil
}

// size is how many bytes the files below a directory have.
func size(dir string) (total uint64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil {
			total += uint64(info.Size())
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("looking at %s: %w", dir, err)
	}
	return total, nil
}

// provider is one Run.
type provider struct {
	Config
	chain *chainclient.Client
	key   crypto.Signer
}

// register returns the id of this key's device, which it registers if the chain has none.
func (p *provider) register(ctx context.Context) (uint64, error) {
	keyType, public, err := device.PublicKey(p.key.Public())
	if err != nil {
		return 0, err
	}
	d, err := p.chain.DeviceByKey(ctx, public)
	switch {
	case errors.Is(err, chainclient.ErrNotFound):
	case err != nil:
		return 0, err
	case d.Operator != p.chain.Address():
		return 0, fmt.Errorf("device %d, operated by %s: %w", d.Id, d.Operator, ErrForeign)
	case d.State != devicev1.DeviceState_DEVICE_STATE_ACTIVE && d.State != devicev1.DeviceState_DEVICE_STATE_JAILED:
		return 0, fmt.Errorf("device %d is leaving the network (%s): %w", d.Id, d.State, ErrInactive)
	default:
		p.Log.Info("device is registered", "device", d.Id, "owner", d.Owner)
		return d.Id, nil
	}
	params, err := p.chain.DeviceParams(ctx)
	if err != nil {
		return 0, err
	}
	deposit, err := price.FromBig(params.Deposit.Amount.BigInt())
	if err != nil {
		return 0, fmt.Errorf("deposit for a device: %w", err)
	}
	stake, overflow := deposit.Add(p.Bond)
	if overflow {
		return 0, fmt.Errorf("deposit of %s and bond of %s: %w", deposit.Format(), p.Bond.Format(), price.ErrRange)
	}
	if err := p.awaitFunds(ctx, stake); err != nil {
		return 0, err
	}
	chainID, err := p.chain.ChainID(ctx)
	if err != nil {
		return 0, err
	}
	nonce, err := p.chain.Nonce(ctx, p.chain.Address())
	if err != nil {
		return 0, err
	}
	signature, err := device.Sign(rand.Reader, p.key, device.RegistrationBytes(chainID, p.chain.Address(), nonce))
	if err != nil {
		return 0, err
	}
	id, err := p.chain.Register(ctx, &devicev1.MsgRegister{
		Pubkey: devicev1.PublicKey{Type: devicev1.KeyType(keyType), Key: public},
		Kind:   "storage", Model: "cairn", Region: p.Region, Endpoint: p.Node.Endpoint,
		Bond:      sdk.Coin{Denom: chainclient.Denom, Amount: math.NewIntFromBigInt(p.Bond.Big())},
		Signature: signature,
	})
	if err != nil {
		return 0, err
	}
	p.Log.Info("device registered", "device", id, "deposit", deposit.Format(), "bond", p.Bond.Format())
	return id, nil
}

// awaitFunds returns once the account can pay the stake, deposit and bond, and the first fees.
func (p *provider) awaitFunds(ctx context.Context, stake price.Amount) error {
	need := stake
	if p.FeeGranter == "" {
		var overflow bool
		if need, overflow = stake.Add(feeReserve); overflow {
			return fmt.Errorf("deposit and bond of %s: %w", stake.Format(), price.ErrRange)
		}
	}
	for {
		have, err := p.chain.Balance(ctx, p.chain.Address())
		if err != nil {
			return err
		}
		if have.Cmp(need) >= 0 {
			return nil
		}
		if p.AwaitFunds == nil {
			return fmt.Errorf("%s holds %s, a device needs %s: %w", p.chain.Address(), have.Format(), need.Format(), ErrFunds)
		}
		p.AwaitFunds(p.chain.Address(), have, need)
		if err := clock.Sleep(ctx, p.Clock, fundsEvery); err != nil {
			return err
		}
	}
}

// offered is how much of the given bytes is put on offer: 95 %, so that logs, indexes and what is
// deleted but not yet compacted fit into the rest.
func offered(capacity uint64) uint64 { return capacity - capacity/20 }

// offer returns the id of the device's open storage offer, made or changed to what is asked.
func (p *provider) offer(ctx context.Context, id uint64) (uint64, error) {
	stream, err := chainPrice(p.Storage)
	if err != nil {
		return 0, fmt.Errorf("storage price: %w", err)
	}
	metered, err := chainPrice(p.Egress)
	if err != nil {
		return 0, fmt.Errorf("egress price: %w", err)
	}
	offers, err := p.chain.Offers(ctx, chainclient.OfferFilter{Resource: Resource, Device: id, OnlyOpen: true})
	if err != nil {
		return 0, err
	}
	capacity := offered(p.Node.Capacity)
	if len(offers) == 0 {
		least, most, err := p.terms(ctx)
		if err != nil {
			return 0, err
		}
		offer, err := p.chain.CreateOffer(ctx, &marketv1.MsgCreateOffer{
			Device: id, Resource: Resource, Denom: chainclient.Denom, Stream: stream, Metered: metered,
			Capacity: capacity, MinSeconds: least, MaxSeconds: most,
		})
		if err != nil {
			return 0, err
		}
		p.Log.Info("disk is on offer", "offer", offer, "bytes", capacity)
		return offer, nil
	}
	o := offers[0]
	if same(o.Stream, stream) && same(o.Metered, metered) && o.Capacity == capacity {
		return o.Id, nil
	}
	if err := p.chain.UpdateOffer(ctx, &marketv1.MsgUpdateOffer{Id: o.Id, Stream: stream, Metered: metered, Capacity: capacity}); err != nil {
		return 0, err
	}
	p.Log.Info("offer changed for leases to come", "offer", o.Id, "bytes", capacity)
	return o.Id, nil
}

// terms are the bounds on leases in seconds, within the chain's.
func (p *provider) terms(ctx context.Context) (least, most int64, err error) {
	params, err := p.chain.MarketParams(ctx)
	if err != nil {
		return 0, 0, err
	}
	minTerm, maxTerm := p.MinTerm, p.MaxTerm
	if minTerm == 0 {
		minTerm = defaultMinTerm
	}
	if maxTerm == 0 {
		maxTerm = defaultMaxTerm
	}
	most = min(int64(maxTerm/time.Second), params.MaxLeaseSeconds)
	return min(int64(minTerm/time.Second), most), most, nil
}

func chainPrice(r price.Rate) (marketv1.Price, error) {
	if err := r.Check(); err != nil {
		return marketv1.Price{}, err
	}
	return marketv1.Price{Amount: math.NewIntFromBigInt(r.Amount.Big()), Per: max(r.Per, 1)}, nil
}

func same(a, b marketv1.Price) bool { return a.Per == b.Per && a.Amount.Equal(b.Amount) }
