package command

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"cosmossdk.io/math"
	"github.com/spf13/cobra"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/claim"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/internal/cli"
)

// rewardFlags say whose rewards of which service a command is about.
type rewardFlags struct {
	service string
	devices []uint
	owner   string
	places  []string
}

func (f *rewardFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.service, "service", score.Storage.String(), "storage, wireless, compute or energy")
	c.Flags().UintSliceVar(&f.devices, "device", nil, "only these devices, by number")
	c.Flags().StringSliceVar(&f.places, "from", nil, "where to ask for accounts first, http(s)://host:port (default: where reporters say)")
}

// dues are what is due to the devices that the flags mean.
func (s *session) dues(c *cobra.Command, chain *chainclient.Client, f rewardFlags) (*claim.Claimer, score.Service, []claim.Due, error) {
	service, err := score.ParseService(f.service)
	if err != nil {
		return nil, 0, nil, cli.Hint(err, "services are storage, wireless, compute and energy")
	}
	var devices []uint64
	for _, id := range f.devices {
		devices = append(devices, uint64(id))
	}
	if len(devices) == 0 {
		owned, err := chain.Devices(c.Context(), chainclient.DeviceFilter{Owner: f.owner, Kind: ""})
		if err != nil {
			return nil, 0, nil, s.explain(err)
		}
		for _, d := range owned {
			devices = append(devices, d.Id)
		}
	}
	claimer := &claim.Claimer{Chain: chain, Places: f.places}
	dues, err := claimer.Due(c.Context(), service, devices)
	switch {
	case errors.Is(err, claim.ErrNothingFinal):
		return nil, 0, nil, cli.Hint(err, "rewards of an epoch can be claimed once its report is final: see cairn audit")
	case errors.Is(err, claim.ErrUnserved):
		return nil, 0, nil, cli.Hint(err, "name a place that has them with --from, or compute them yourself with: cairn report")
	}
	return claimer, service, dues, s.explain(err)
}

// rewardView is one device's rewards as commands show them.
type rewardView struct {
	Device    uint64 `json:"device"`
	Epoch     uint64 `json:"epoch"`
	Points    uint64 `json:"points"`
	Reason    string `json:"reason"`
	Why       string `json:"why"`
	Earned    string `json:"earned"`
	Claimed   string `json:"claimed"`
	Claimable string `json:"claimable"`
	Held      string `json:"held"`
	Forfeited string `json:"forfeited"`
}

func viewReward(d claim.Due) rewardView {
	reason := d.Account.Reason
	if d.Missing {
		reason = score.NoFact
	}
	return rewardView{
		Device: d.Device, Epoch: d.Epoch, Points: d.Account.Points, Reason: reason.String(), Why: reason.Text(),
		Earned: d.Account.Earned.Format(), Claimed: d.Claimed.Format(), Claimable: d.Claimable.Format(),
		Held: d.Account.Held().Format(), Forfeited: d.Account.Forfeited().Format(),
	}
}

func (s *session) rewards() *cobra.Command {
	var flags rewardFlags
	c := &cobra.Command{
		Use: "rewards", Short: "Show what your devices have earned, and why not more",
		Long: `Shows each device's account in the newest final report: what it earned so far, what of it can be claimed,
what is held back and for how much longer, and the reason where an epoch paid nothing.`,
		Args: cobra.NoArgs, ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := s.home()
			if err != nil {
				return err
			}
			if flags.owner == "" && len(flags.devices) == 0 {
				account, err := s.account(home)
				if err != nil {
					return err
				}
				flags.owner = account.Address()
			} else if flags.owner != "" {
				if flags.owner, err = parseAddress(flags.owner); err != nil {
					return err
				}
			}
			chain, err := s.chain(home, nil)
			if err != nil {
				return err
			}
			defer chain.Close()
			_, _, dues, err := s.dues(c, chain, flags)
			if err != nil {
				return err
			}
			views, rows := make([]rewardView, len(dues)), make([][]string, len(dues))
			var claimable price.Amount
			for i, d := range dues {
				v := viewReward(d)
				views[i] = v
				rows[i] = []string{fmt.Sprint(v.Device), fmt.Sprint(v.Epoch), fmt.Sprint(v.Points), v.Earned, v.Claimable, v.Held, v.Reason}
				claimable, _ = claimable.Add(d.Claimable)
			}
			return s.Show(views, func(w writer) {
				cli.Table(w, []string{"DEVICE", "EPOCH", "POINTS", "EARNED", "CLAIMABLE", "HELD BACK", "LAST EPOCH"}, rows)
				said := make(map[string]bool)
				for _, v := range views {
					if v.Reason != score.Paid.String() && !said[v.Reason] {
						said[v.Reason] = true
						fmt.Fprintf(w, "%s: %s\n", v.Reason, v.Why)
					}
				}
				if !claimable.IsZero() {
					fmt.Fprintf(w, "%s can be claimed: cairn claim\n", claimable.Format())
				}
			})
		},
	}
	flags.add(c)
	c.Flags().StringVar(&flags.owner, "owner", "", "rewards of another owner's devices")
	return c
}

func (s *session) claim() *cobra.Command {
	var flags rewardFlags
	var others string
	var sure bool
	c := &cobra.Command{
		Use: "claim", Short: "Claim what your devices have earned",
		Long: `Claims what the newest final report gives your devices, all of them in as few transactions as possible.
A missed claim loses nothing: amounts add up until they are claimed. Money goes to a device's owner,
whoever sends the claim; with --for you send it for another owner, who may let you keep a small part.`,
		Example: "  cairn claim\n  cairn claim --device 7 --device 9\n  cairn claim --for cairn1...",
		Args:    cobra.NoArgs, ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := s.home()
			if err != nil {
				return err
			}
			account, err := s.account(home)
			if err != nil {
				return err
			}
			flags.owner = account.Address()
			if others != "" {
				if flags.owner, err = parseAddress(others); err != nil {
					return err
				}
			}
			chain, err := s.chain(home, account)
			if err != nil {
				return err
			}
			defer chain.Close()
			claimer, service, dues, err := s.dues(c, chain, flags)
			if err != nil {
				return err
			}
			if err := s.worthClaiming(c, claimer, service, dues, sure); err != nil {
				return err
			}
			got, err := claimer.Send(c.Context(), service, dues)
			if err != nil {
				return s.explain(err)
			}
			result := struct {
				Devices      int    `json:"devices"`
				Transactions int    `json:"transactions"`
				Paid         string `json:"paid"`
				Fee          string `json:"fee"`
			}{got.Devices, got.Transactions, got.Paid.Format(), got.Fee.Format()}
			return s.Show(result, func(w writer) {
				if got.Devices == 0 {
					fmt.Fprintln(w, "nothing to claim; cairn rewards says why")
					return
				}
				fmt.Fprintf(w, "%s for %d devices in %d transactions\n", result.Paid, got.Devices, got.Transactions)
				if !got.Fee.IsZero() {
					fmt.Fprintf(w, "%s of it is yours for sending the claim\n", result.Fee)
				}
			})
		},
	}
	flags.add(c)
	c.Flags().StringVar(&others, "for", "", "claim for all devices of another owner")
	c.Flags().BoolVar(&sure, "yes", false, "claim without a question, even where fees are more than what is claimed")
	c.AddCommand(s.claimRelay())
	return c
}

// worthClaiming warns where the fees are more than what is claimed, and asks where somebody can answer:
// waiting loses nothing.
func (s *session) worthClaiming(c *cobra.Command, claimer *claim.Claimer, service score.Service, dues []claim.Due, sure bool) error {
	cost, pays, err := claimer.Cost(c.Context(), service, dues)
	if err != nil {
		return s.explain(err)
	}
	if cost.Cmp(pays) <= 0 || pays.IsZero() {
		return nil
	}
	s.Note("the fees of this claim are %s, more than the %s that it pays; rewards add up until they are claimed", cost.Format(), pays.Format())
	return s.Confirm("Claim all the same?", sure || !s.Interactive)
}

func (s *session) claimRelay() *cobra.Command {
	var percent float64
	c := &cobra.Command{
		Use: "relay", Short: "Let others keep a part of the claims that they send for you",
		Args: cobra.NoArgs, ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			if percent < 0 || percent > 100 {
				return fmt.Errorf("--keep %g: say a percentage, such as 0.5", percent)
			}
			home, err := s.home()
			if err != nil {
				return err
			}
			account, err := s.account(home)
			if err != nil {
				return err
			}
			chain, err := s.chain(home, account)
			if err != nil {
				return err
			}
			defer chain.Close()
			bps := uint32(percent*100 + 0.5)
			if err := chain.SetRelay(c.Context(), bps); err != nil {
				return s.explain(err)
			}
			return s.Show(map[string]uint32{"fee_bps": bps}, func(w writer) {
				if bps == 0 {
					fmt.Fprintln(w, "nobody keeps anything of claims that they send for you")
					return
				}
				fmt.Fprintf(w, "whoever claims for you keeps %d.%02d %%\n", bps/100, bps%100)
			})
		},
	}
	c.Flags().Float64Var(&percent, "keep", 0, "percentage that whoever sends a claim keeps")
	return c
}

func (s *session) earnings() *cobra.Command {
	year := time.Now().UTC().Year()
	var owner string
	var asCSV bool
	c := &cobra.Command{
		Use: "earnings", Short: "Show what your devices brought in a year, by month",
		Example: "  cairn earnings --year 2026 --csv > 2026.csv",
		Args:    cobra.NoArgs, ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := s.home()
			if err != nil {
				return err
			}
			if owner == "" {
				account, err := s.account(home)
				if err != nil {
					return err
				}
				owner = account.Address()
			} else if owner, err = parseAddress(owner); err != nil {
				return err
			}
			chain, err := s.chain(home, nil)
			if err != nil {
				return err
			}
			defer chain.Close()
			incomes, err := chain.Incomes(c.Context(), owner, year)
			if err != nil {
				return s.explain(err)
			}
			views := make([]incomeView, len(incomes))
			for i, in := range incomes {
				views[i] = viewIncome(in)
			}
			if asCSV {
				return writeIncomes(s.Out, owner, views)
			}
			return s.Show(views, func(w writer) {
				rows := make([][]string, len(views))
				for i, v := range views {
					rows[i] = []string{v.Month, v.Leases, v.Rewards, v.Burned, v.Relayed, v.Denom}
				}
				cli.Table(w, []string{"MONTH", "PAID BY CUSTOMERS", "REWARDS", "BURNED", "KEPT BY RELAYS", "IN"}, rows)
			})
		},
	}
	c.Flags().IntVar(&year, "year", year, "year, UTC")
	c.Flags().StringVar(&owner, "owner", "", "earnings of another owner")
	c.Flags().BoolVar(&asCSV, "csv", false, "write comma-separated values")
	return c
}

// incomeView is a month as commands show it.
type incomeView struct {
	Month   string `json:"month"`
	Leases  string `json:"paid_by_customers"`
	Rewards string `json:"rewards"`
	Burned  string `json:"burned"`
	Relayed string `json:"kept_by_relays"`
	Denom   string `json:"denom"`
}

func viewIncome(in rewardv1.Income) incomeView {
	v := incomeView{
		Month:  fmt.Sprintf("%04d-%02d", in.Month/100, in.Month%100),
		Leases: in.Leases.String(), Rewards: in.Rewards.String(), Burned: in.Burned.String(), Relayed: in.Relayed.String(),
		Denom: in.Denom,
	}
	if in.Denom != price.Denom {
		return v
	}
	v.Denom = price.Display
	for _, field := range []*string{&v.Leases, &v.Rewards, &v.Burned, &v.Relayed} {
		if a, err := price.ParseDecimal(*field); err == nil {
			*field = strings.TrimSuffix(a.Format(), " "+price.Display)
		}
	}
	return v
}

// writeIncomes writes a statement that spreadsheets read.
func writeIncomes(to io.Writer, owner string, views []incomeView) error {
	w := csv.NewWriter(to)
	_ = w.Write([]string{"owner", "month", "paid_by_customers", "rewards", "burned", "kept_by_relays", "denom"})
	for _, v := range views {
		_ = w.Write([]string{owner, v.Month, v.Leases, v.Rewards, v.Burned, v.Relayed, v.Denom})
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("writing the statement: %w", err)
	}
	return nil
}

func (s *session) boost() *cobra.Command {
	c := &cobra.Command{Use: "boost", Short: "Put money on a place, for its devices to share"}
	c.AddCommand(s.boostAdd(), s.boostList(), s.boostEnd())
	return c
}

func (s *session) boostAdd() *cobra.Command {
	var service, amount string
	var epochs uint64
	c := &cobra.Command{
		Use: "add CELL", Short: "Boost a cell of the need map for some epochs",
		Long: `Puts money on an H3 cell. In every epoch in which attested devices (tier 2 or higher) there prove supply,
they share --per-epoch by what they proved; epochs without any cost nothing, and what is left comes back.`,
		Example: "  cairn boost add 851f1d4bfffffff --per-epoch 5CAIRN --epochs 24",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			of, err := score.ParseService(service)
			if err != nil {
				return cli.Hint(err, "services are storage, wireless, compute and energy")
			}
			cell, err := strconv.ParseUint(args[0], 16, 64)
			if err != nil || !geo.Cell(cell).Valid() {
				return fmt.Errorf("%q is no H3 cell; it looks like 851f1d4bfffffff", args[0])
			}
			each, err := price.Parse(amount)
			if err != nil {
				return fmt.Errorf("--per-epoch: %w", err)
			}
			home, err := s.home()
			if err != nil {
				return err
			}
			account, err := s.account(home)
			if err != nil {
				return err
			}
			chain, err := s.chain(home, account)
			if err != nil {
				return err
			}
			defer chain.Close()
			params, err := chain.RewardParams(c.Context())
			if err != nil {
				return s.explain(err)
			}
			place, ok := geo.Cell(cell).Parent(int(params.NeedResolution))
			if !ok {
				return fmt.Errorf("cell %s is coarser than the need map, whose resolution is %d", args[0], params.NeedResolution)
			}
			id, err := chain.Boost(c.Context(), &rewardv1.MsgBoost{
				Service: uint32(of), Cell: uint64(place), PerEpoch: math.NewIntFromBigInt(each.Big()), Epochs: epochs,
			})
			if err != nil {
				return s.explain(err)
			}
			return s.Show(map[string]any{"id": id, "cell": place.String()}, func(w writer) {
				fmt.Fprintf(w, "boost %d on cell %s: %s an epoch, %d epochs from the next on\n", id, place, each.Format(), epochs)
			})
		},
	}
	c.Flags().StringVar(&service, "service", score.Storage.String(), "storage, wireless, compute or energy")
	c.Flags().StringVar(&amount, "per-epoch", "", "what the devices share in an epoch, such as 5CAIRN")
	c.Flags().Uint64Var(&epochs, "epochs", 24, "for how many epochs")
	_ = c.MarkFlagRequired("per-epoch")
	return c
}

// boostView is a boost as commands show it.
type boostView struct {
	ID       uint64 `json:"id"`
	Service  string `json:"service"`
	Cell     string `json:"cell"`
	PerEpoch string `json:"per_epoch"`
	First    uint64 `json:"first"`
	Last     uint64 `json:"last"`
	Left     string `json:"left"`
	Sponsor  string `json:"sponsor"`
}

func (s *session) boostList() *cobra.Command {
	var mine bool
	c := &cobra.Command{
		Use: "list", Short: "List boosts", Args: cobra.NoArgs, ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := s.home()
			if err != nil {
				return err
			}
			sponsor := ""
			if mine {
				account, err := s.account(home)
				if err != nil {
					return err
				}
				sponsor = account.Address()
			}
			chain, err := s.chain(home, nil)
			if err != nil {
				return err
			}
			defer chain.Close()
			boosts, err := chain.Boosts(c.Context(), sponsor)
			if err != nil {
				return s.explain(err)
			}
			views, rows := make([]boostView, len(boosts)), make([][]string, len(boosts))
			for i, b := range boosts {
				v := boostView{
					ID: b.Id, Service: score.Service(b.Service).String(), Cell: geo.Cell(b.Cell).String(), First: b.First, Last: b.Last,
					Sponsor: b.Sponsor, PerEpoch: inCAIRN(b.PerEpoch), Left: inCAIRN(b.Left),
				}
				views[i] = v
				rows[i] = []string{fmt.Sprint(v.ID), v.Service, v.Cell, v.PerEpoch, fmt.Sprintf("%d-%d", v.First, v.Last), v.Left, v.Sponsor}
			}
			return s.Show(views, func(w writer) {
				cli.Table(w, []string{"ID", "SERVICE", "CELL", "PER EPOCH", "EPOCHS", "LEFT", "SPONSOR"}, rows)
			})
		},
	}
	c.Flags().BoolVar(&mine, "mine", false, "only your own")
	return c
}

// inCAIRN spells base units for people.
func inCAIRN(units math.Int) string {
	a, err := price.FromBig(units.BigInt())
	if err != nil {
		return units.String() + " " + price.Denom
	}
	return a.Format()
}

func (s *session) boostEnd() *cobra.Command {
	return &cobra.Command{
		Use: "end ID", Short: "End a boost and take back what is left", Args: cobra.ExactArgs(1), ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%q is no boost's number; see: cairn boost list", args[0])
			}
			home, err := s.home()
			if err != nil {
				return err
			}
			account, err := s.account(home)
			if err != nil {
				return err
			}
			chain, err := s.chain(home, account)
			if err != nil {
				return err
			}
			defer chain.Close()
			back, err := chain.EndBoost(c.Context(), id)
			if err != nil {
				return s.explain(err)
			}
			return s.Show(map[string]string{"refund": back.Format()}, func(w writer) {
				fmt.Fprintf(w, "boost %d is over; %s went back to its sponsor\n", id, back.Format())
			})
		},
	}
}
