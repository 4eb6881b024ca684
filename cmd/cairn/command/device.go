package command

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/config"
)

// deviceView is a device as commands show it.
type deviceView struct {
	ID       uint64 `json:"id"`
	Kind     string `json:"kind"`
	State    string `json:"state"`
	Region   string `json:"region,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	Owner    string `json:"owner"`
	Operator string `json:"operator"`
	Key      string `json:"key"`
	Deposit  string `json:"deposit"`
	Bond     string `json:"bond"`
	Tier     uint32 `json:"tier"`
	// JailedUntil, ReleaseAt and PendingOwner are there while the device is jailed, retiring or
	// offered to another owner; times are Unix seconds.
	JailedUntil  int64  `json:"jailed_until,omitempty"`
	ReleaseAt    int64  `json:"release_at,omitempty"`
	PendingOwner string `json:"pending_owner,omitempty"`
}

func viewDevice(d devicev1.Device) deviceView {
	v := deviceView{
		ID: d.Id, Kind: d.Kind, State: state(d.State.String(), "DEVICE_STATE_"), Region: d.Region, Endpoint: d.Endpoint,
		Owner: d.Owner, Operator: d.Operator, Key: fmt.Sprintf("%x", d.Pubkey.Key),
		Deposit: d.Deposit.Amount.String() + d.Deposit.Denom, Bond: d.Bond.Amount.String() + d.Bond.Denom, Tier: d.Tier,
		PendingOwner: d.PendingOwner,
	}
	switch d.State {
	case devicev1.DeviceState_DEVICE_STATE_JAILED:
		v.JailedUntil = d.JailedUntil
	case devicev1.DeviceState_DEVICE_STATE_RETIRING:
		v.ReleaseAt = d.ReleaseAt
	}
	return v
}

// coin is a coin as people read it: CAIRN, where it is that.
func coin(amount *big.Int, denom string) string {
	a, err := price.FromBig(amount)
	if denom != price.Denom || err != nil {
		return amount.String() + denom
	}
	return a.Format()
}

// state turns DEVICE_STATE_ACTIVE into active.
func state(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }

func (s *session) device() *cobra.Command {
	c := &cobra.Command{Use: "device", Short: "Devices on the chain: list, show, hand over, retire"}
	c.AddCommand(s.deviceList(), s.deviceShow(), s.deviceWhy(), s.deviceTransfer(), s.deviceAccept(), s.deviceOperator(), s.deviceBond(), s.deviceRetire(), s.deviceAttest(), s.deviceTPMKey(),
		s.deviceActivate(), s.deviceVouch(), s.deviceCredential(), s.deviceAppeal(), s.deviceReclaim(), s.deviceRelocate())
	return c
}

func (s *session) deviceList() *cobra.Command {
	var filter chainclient.DeviceFilter
	var mine bool
	c := &cobra.Command{
		Use: "list", Short: "List devices", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := s.home()
			if err != nil {
				return err
			}
			if filter.Owner != "" {
				if filter.Owner, err = parseAddress(filter.Owner); err != nil {
					return err
				}
			}
			if mine {
				account, err := s.account(home)
				if err != nil {
					return err
				}
				filter.Owner = account.Address()
			}
			chain, err := s.chain(home, nil)
			if err != nil {
				return err
			}
			defer chain.Close()
			devices, err := chain.Devices(c.Context(), filter)
			if err != nil {
				return s.explain(err)
			}
			views := make([]deviceView, len(devices))
			rows := make([][]string, len(devices))
			for i, d := range devices {
				v := viewDevice(d)
				views[i] = v
				rows[i] = []string{fmt.Sprint(v.ID), v.Kind, v.State, v.Region, v.Endpoint, v.Owner}
			}
			return s.Show(views, func(w writer) {
				cli.Table(w, []string{"ID", "KIND", "STATE", "REGION", "ENDPOINT", "OWNER"}, rows)
			})
		},
	}
	c.Flags().StringVar(&filter.Owner, "owner", "", "only devices of this owner")
	c.Flags().StringVar(&filter.Kind, "kind", "", "only devices of this kind")
	c.Flags().BoolVar(&mine, "mine", false, "only your own devices")
	c.MarkFlagsMutuallyExclusive("owner", "mine")
	return c
}

func (s *session) deviceShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a device with its offers and leases", Args: cobra.ExactArgs(1), ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := deviceID(args[0])
			if err != nil {
				return err
			}
			home, err := s.home()
			if err != nil {
				return err
			}
			chain, err := s.chain(home, nil)
			if err != nil {
				return err
			}
			defer chain.Close()
			d, err := chain.Device(c.Context(), id)
			if err != nil {
				return s.explainDevice(err)
			}
			offers, err := chain.Offers(c.Context(), chainclient.OfferFilter{Device: id})
			if err != nil {
				return s.explain(err)
			}
			items, err := chain.DeviceItems(c.Context(), id)
			if err != nil {
				return s.explain(err)
			}
			reputation, err := chain.Reputation(c.Context(), id)
			if err != nil {
				return s.explain(err)
			}
			earned, err := s.earned(c.Context(), chain, id)
			if err != nil {
				return err
			}
			tier, err := chain.Tier(c.Context(), id)
			if err != nil {
				return s.explain(err)
			}
			ban, err := chain.Ban(c.Context(), id)
			if err != nil && !errors.Is(err, chainclient.ErrNotBanned) {
				return s.explain(err)
			}
			result := struct {
				deviceView
				Proves       string `json:"tier_proves"`
				DoesNotProve string `json:"tier_does_not_prove"`
				Banned       bool   `json:"banned"`
				// Net of fees, since the device was registered.
				Earned    price.Amount `json:"earned"`
				Completed uint64       `json:"completed"`
				Abandoned uint64       `json:"abandoned"`
				Offers    []offerView  `json:"offers"`
				Leases    []itemView   `json:"leases"`
			}{viewDevice(d), tier.Proves, tier.DoesNotProve, ban.InForce, earned, reputation.Completed, reputation.Abandoned, viewOffers(offers), viewItems(items)}
			return s.Show(result, func(w writer) {
				v := result.deviceView
				fmt.Fprintf(w, "device    %d (%s, %s)\nowner     %s\noperator  %s\nkey       %s\nendpoint  %s\nregion    %s\ndeposit   %s\nbond      %s\ntier      %d\n",
					v.ID, v.Kind, v.State, v.Owner, v.Operator, v.Key, v.Endpoint, v.Region, coin(d.Deposit.Amount.BigInt(), d.Deposit.Denom), coin(d.Bond.Amount.BigInt(), d.Bond.Denom), v.Tier)
				fmt.Fprintf(w, "proved    %s\nunproved  %s\n", result.Proves, result.DoesNotProve)
				for _, a := range tier.Attestations {
					if a.Void == "" {
						fmt.Fprintf(w, "attested  tier %d by %s until %s\n", a.Attestation.Tier, a.Attestation.Subject, date(a.Attestation.ExpiresAt))
					} else {
						fmt.Fprintf(w, "attested  no longer: %s\n", a.Void)
					}
				}
				if result.Banned {
					fmt.Fprintf(w, "banned    since %s: %s\n", date(ban.Ban.BannedAt), state(ban.Ban.Reason.String(), "BAN_REASON_"))
				}
				fmt.Fprintf(w, "earned    %s\nleases    %d completed, %d abandoned\n", result.Earned.Format(), result.Completed, result.Abandoned)
				if v.PendingOwner != "" {
					fmt.Fprintf(w, "offered   to %s, who has not accepted\n", v.PendingOwner)
				}
				if v.JailedUntil > 0 {
					fmt.Fprintf(w, "jailed    until %s\n", date(v.JailedUntil))
				}
				if v.ReleaseAt > 0 {
					fmt.Fprintf(w, "leaving   deposit and bond are free from %s at the earliest: then cairn device retire %d again\n", date(v.ReleaseAt), v.ID)
				}
				if len(result.Offers) > 0 {
					fmt.Fprintln(w)
					offerTable(w, result.Offers)
				}
				if len(result.Leases) > 0 {
					fmt.Fprintln(w)
					rows := make([][]string, len(result.Leases))
					for i, l := range result.Leases {
						rows[i] = []string{fmt.Sprint(l.Lease), l.State, config.Bytes(l.Units).String(), l.Escrow.Format(), l.Earned.Format()}
					}
					cli.Table(w, []string{"LEASE", "STATE", "RESERVED", "ESCROW", "PAID"}, rows)
				}
			})
		},
	}
}

// deviceID reads the id of a device from the command line.
func deviceID(text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil || id == 0 {
		return 0, cli.Hint(fmt.Errorf("device id %q is not a number from 1", text), "cairn device list shows the ids")
	}
	return id, nil
}

// date writes a time of the chain, Unix seconds, for people.
func date(seconds int64) string { return time.Unix(seconds, 0).Format("2 Jan 2006 15:04 MST") }

// earned is what a device has been paid in CAIRN, net of fees.
func (s *session) earned(ctx context.Context, chain *chainclient.Client, device uint64) (price.Amount, error) {
	totals, err := chain.Totals(ctx, device, "")
	if err != nil {
		return price.Amount{}, s.explain(err)
	}
	for _, t := range totals {
		if t.Denom == chainclient.Denom {
			return price.FromBig(t.Paid.BigInt())
		}
	}
	return price.Amount{}, nil
}

// offerView is an offer as commands show it.
type offerView struct {
	ID       uint64      `json:"id"`
	Device   uint64      `json:"device"`
	Resource string      `json:"resource"`
	State    string      `json:"state"`
	Storage  marketPrice `json:"stream"`
	Egress   marketPrice `json:"metered"`
	Capacity uint64      `json:"capacity"` // units, for storage bytes
	Reserved uint64      `json:"reserved"`
}

// marketPrice is a price as the chain holds it.
type marketPrice struct {
	Amount string `json:"acairn"`
	Per    uint64 `json:"per"`
}

func viewOffers(offers []marketv1.Offer) []offerView {
	views := make([]offerView, len(offers))
	for i, o := range offers {
		views[i] = offerView{
			ID: o.Id, Device: o.Device, Resource: o.Resource, State: state(o.State.String(), "OFFER_STATE_"),
			Storage:  marketPrice{o.Stream.Amount.String(), o.Stream.Per},
			Egress:   marketPrice{o.Metered.Amount.String(), o.Metered.Per},
			Capacity: o.Capacity, Reserved: o.Reserved,
		}
	}
	return views
}

func (p marketPrice) rate() price.Rate {
	a, err := price.ParseDecimal(p.Amount)
	if err != nil {
		return price.Rate{Per: 1} // larger than any price that a person can show
	}
	return price.Rate{Amount: a, Per: p.Per}
}

func offerTable(w writer, offers []offerView) {
	rows := make([][]string, len(offers))
	for i, o := range offers {
		rows[i] = []string{
			fmt.Sprint(o.ID), fmt.Sprint(o.Device), o.Resource, o.State,
			config.StoragePrice{Rate: o.Storage.rate()}.String(), config.EgressPrice{Rate: o.Egress.rate()}.String(),
			config.Bytes(o.Capacity).String(), config.Bytes(o.Reserved).String(),
		}
	}
	cli.Table(w, []string{"OFFER", "DEVICE", "RESOURCE", "STATE", "STORAGE", "EGRESS", "CAPACITY", "RESERVED"}, rows)
}

// itemView is a device's part of a lease as commands show it.
type itemView struct {
	Lease  uint64       `json:"lease"`
	State  string       `json:"state"`
	Units  uint64       `json:"units"`
	Escrow price.Amount `json:"escrow"`
	Earned price.Amount `json:"paid"`
}

func viewItems(items []marketv1.LeaseItem) []itemView {
	views := make([]itemView, 0, len(items))
	for _, item := range items {
		escrow, escrowErr := price.FromBig(item.Escrow.BigInt())
		earned, earnedErr := price.FromBig(item.Streamed.Add(item.Vouched).BigInt())
		if escrowErr != nil || earnedErr != nil {
			continue // beyond 2^128 acairn: no such money exists
		}
		views = append(views, itemView{
			Lease: item.Lease, State: state(item.State.String(), "ITEM_STATE_"), Units: item.Units, Escrow: escrow, Earned: earned,
		})
	}
	return views
}

func (s *session) offers() *cobra.Command {
	var filter chainclient.OfferFilter
	var all bool
	c := &cobra.Command{
		Use: "offers", Short: "List what is on offer, cheapest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := s.home()
			if err != nil {
				return err
			}
			chain, err := s.chain(home, nil)
			if err != nil {
				return err
			}
			defer chain.Close()
			filter.OnlyOpen = !all
			found, err := chain.Offers(c.Context(), filter)
			if err != nil {
				return s.explain(err)
			}
			views := viewOffers(found)
			slices.SortStableFunc(views, func(a, b offerView) int { return a.Storage.rate().Cmp(b.Storage.rate()) })
			return s.Show(views, func(w writer) { offerTable(w, views) })
		},
	}
	c.Flags().StringVar(&filter.Resource, "resource", "storage", "what is offered; empty for everything")
	c.Flags().Uint64Var(&filter.Device, "device", 0, "only offers of this device")
	c.Flags().BoolVar(&all, "all", false, "closed offers, too")
	return c
}
