package command

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/wallet"
)

// statusView is what `cairn status` shows.
type statusView struct {
	Node struct {
		Endpoint string    `json:"endpoint"`
		Chain    string    `json:"chain"`
		Height   int64     `json:"height"`
		Time     time.Time `json:"time"`
	} `json:"node"`
	Account *identity    `json:"account,omitempty"`
	Balance string       `json:"balance,omitempty"`
	Devices []deviceView `json:"devices"`
	Leases  []leaseView  `json:"leases"`
	// What this home has running now, with what it says of itself.
	Storage *running `json:"storage,omitempty"`
	Gateway *running `json:"gateway,omitempty"`
}

// leaseView is a lease of yours as a consumer.
type leaseView struct {
	ID      uint64    `json:"id"`
	State   string    `json:"state"`
	Devices uint32    `json:"open_devices"`
	Expires time.Time `json:"expires"`
}

func (s *session) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show node, account, devices, leases and what runs here", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			home, err := s.home()
			if err != nil {
				return err
			}
			chain, err := s.chain(home, nil)
			if err != nil {
				return err
			}
			defer chain.Close()
			var v statusView
			if v.Node.Endpoint, _, err = s.endpoint(home); err != nil {
				return err
			}
			if v.Node.Chain, err = chain.ChainID(ctx); err != nil {
				return s.explain(err)
			}
			block, err := chain.LatestBlock(ctx)
			if err != nil {
				return s.explain(err)
			}
			v.Node.Height, v.Node.Time = block.Height, block.Time
			v.Devices, v.Leases = []deviceView{}, []leaseView{}
			v.Storage, v.Gateway = readRunning(ctx, home, storageRun), readRunning(ctx, home, gatewayRun)

			account, err := s.account(home)
			if errors.Is(err, wallet.ErrLocked) || errors.Is(err, wallet.ErrNone) {
				return s.Show(v, v.print)
			}
			if err != nil {
				return err
			}
			v.Account = &identity{Address: account.Address(), Hex: account.Hex()}
			balance, err := chain.Balance(ctx, account.Address())
			if err != nil {
				return s.explain(err)
			}
			v.Balance = balance.Format()
			devices, err := chain.Devices(ctx, chainclient.DeviceFilter{Owner: account.Address()})
			if err != nil {
				return s.explain(err)
			}
			for _, d := range devices {
				v.Devices = append(v.Devices, viewDevice(d))
			}
			leases, err := chain.Leases(ctx, account.Address())
			if err != nil {
				return s.explain(err)
			}
			for _, l := range leases {
				v.Leases = append(v.Leases, leaseView{ID: l.Id, State: state(l.State.String(), "LEASE_STATE_"), Devices: l.OpenItems, Expires: time.Unix(l.ExpiresAt, 0).UTC()})
			}
			return s.Show(v, v.print)
		},
	}
}

func (v statusView) print(w writer) {
	fmt.Fprintf(w, "node     %s, %s at block %d (%s)\n", v.Node.Endpoint, v.Node.Chain, v.Node.Height, v.Node.Time.Format(time.RFC3339))
	if v.Account == nil {
		fmt.Fprintln(w, "account  none that can be opened (cairn wallet create)")
	} else {
		fmt.Fprintf(w, "account  %s, %s\n", v.Account.Address, v.Balance)
	}
	for _, d := range v.Devices {
		fmt.Fprintf(w, "device   %d, %s, %s, %s\n", d.ID, d.Kind, d.State, d.Endpoint)
	}
	for _, l := range v.Leases {
		fmt.Fprintf(w, "lease    %d, %s, %d devices, until %s\n", l.ID, l.State, l.Devices, l.Expires.Format(time.RFC3339))
	}
	if v.Storage != nil {
		fmt.Fprintf(w, "storage  running, device %d, %s\n", v.Storage.DeviceID, v.Storage.Status)
		if line := storageLine(v.Storage.State); line != "" {
			fmt.Fprintf(w, "         %s\n", line)
		}
	}
	if v.Gateway != nil {
		fmt.Fprintf(w, "gateway  running, S3 at %s\n", v.Gateway.S3.Endpoint)
		for _, line := range gatewayLines(v.Gateway.State) {
			fmt.Fprintf(w, "         %s\n", line)
		}
	}
}
