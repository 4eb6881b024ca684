package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/spf13/cobra"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/cli"
)

// owning is a command about one device that signs with the wallet: what it reads first, what it asks
// and what it does.
type owning struct {
	// question is what a person has to confirm, given the device as it is; nil asks nothing.
	question func(ctx context.Context, chain *chainclient.Client, d devicev1.Device) (string, error)
	// act sends what the command is for.
	act func(ctx context.Context, chain *chainclient.Client, d devicev1.Device) error
	// done tells a person what has happened, given the device afterwards.
	done func(d devicev1.Device) string
}

// run does what the command is for and shows the device afterwards.
func (o owning) run(c *cobra.Command, s *session, idText string, sure bool) error {
	id, err := deviceID(idText)
	if err != nil {
		return err
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
	ctx := c.Context()
	d, err := chain.Device(ctx, id)
	if err != nil {
		return s.explainDevice(err)
	}
	if o.question != nil {
		question, err := o.question(ctx, chain, d)
		if err != nil {
			return s.explainDevice(err)
		}
		if err := s.Confirm(question, sure); err != nil {
			return err
		}
	}
	if err := o.act(ctx, chain, d); err != nil {
		return s.explainDevice(err)
	}
	if d, err = chain.Device(ctx, id); err != nil {
		return s.explainDevice(err)
	}
	return s.Show(viewDevice(d), func(w writer) { fmt.Fprintln(w, o.done(d)) })
}

// explainDevice adds what an owner can do about an error of the registry.
func (s *session) explainDevice(err error) error {
	switch {
	case errors.Is(err, chainclient.ErrNoDevice):
		return cli.Hint(err, "cairn device list shows the ids, with --mine your own")
	case errors.Is(err, chainclient.ErrNotOwner):
		return cli.Hint(err, "only its owner may do that: cairn wallet show tells who you are here, --home names another wallet")
	case errors.Is(err, chainclient.ErrNotOffered):
		return cli.Hint(err, "its owner offers it to you with: cairn device transfer ID ADDRESS")
	case errors.Is(err, chainclient.ErrUnbonding):
		return cli.Hint(err, "wait for release_at (cairn device show ID), or as the error says for the unbonding time after its last lease, then retire it again")
	case errors.Is(err, chainclient.ErrDeviceObliged):
		return cli.Hint(err, "leases that still run go on to their end: cairn device show ID lists them")
	default:
		return s.explain(err)
	}
}

// money writes a coin of the chain for people.
func money(c sdk.Coin) string {
	a, err := price.FromBig(c.Amount.BigInt())
	if err != nil || c.Denom != chainclient.Denom {
		return c.String()
	}
	return a.Format()
}

func (s *session) deviceTransfer() *cobra.Command {
	var yes, withdraw bool
	c := &cobra.Command{
		Use: "transfer ID [ADDRESS]", Short: "Offer a device to another owner, who has to accept it", Args: cobra.RangeArgs(1, 2),
		Long: `Offers a device to another owner. Once that owner accepts (cairn device accept), the deposit, the
bond, all future income and all obligations of the device are the new owner's. Until then nothing
changes, and the offer can be taken back with --withdraw.`,
		Example: "  cairn device transfer 7 cairn1...\n  cairn device transfer 7 --withdraw", ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			if withdraw == (len(args) == 2) {
				return errors.New("name the new owner's address, or --withdraw, and not both")
			}
			to := ""
			if !withdraw {
				var err error
				if to, err = parseAddress(args[1]); err != nil {
					return err
				}
			}
			o := owning{
				act: func(ctx context.Context, chain *chainclient.Client, d devicev1.Device) error {
					return chain.Transfer(ctx, d.Id, to)
				},
				done: func(d devicev1.Device) string {
					if withdraw {
						return fmt.Sprintf("device %d is offered to nobody", d.Id)
					}
					return fmt.Sprintf("device %d is offered to %s, who takes it with: cairn device accept %d", d.Id, d.PendingOwner, d.Id)
				},
			}
			if !withdraw {
				o.question = func(_ context.Context, _ *chainclient.Client, d devicev1.Device) (string, error) {
					return fmt.Sprintf("Offer device %d to %s? Deposit %s, bond %s, its income and its obligations go with it.", d.Id, to, money(d.Deposit), money(d.Bond)), nil
				}
			}
			return o.run(c, s, args[0], yes)
		},
	}
	c.Flags().BoolVar(&withdraw, "withdraw", false, "take back an offer that has not been accepted")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (s *session) deviceAccept() *cobra.Command {
	var operator string
	var yes bool
	c := &cobra.Command{
		Use: "accept ID", Short: "Take over a device that is offered to you", Args: cobra.ExactArgs(1), ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			if operator != "" {
				var err error
				if operator, err = parseAddress(operator); err != nil {
					return err
				}
			}
			return owning{
				question: func(_ context.Context, _ *chainclient.Client, d devicev1.Device) (string, error) {
					return fmt.Sprintf("Take over device %d (%s, bond %s) of %s, with its obligations?", d.Id, d.Kind, money(d.Bond), d.Owner), nil
				},
				act: func(ctx context.Context, chain *chainclient.Client, d devicev1.Device) error {
					return chain.AcceptTransfer(ctx, d.Id, operator)
				},
				done: func(d devicev1.Device) string {
					return fmt.Sprintf("device %d is yours; it is operated by %s", d.Id, d.Operator)
				},
			}.run(c, s, args[0], yes)
		},
	}
	c.Flags().StringVar(&operator, "operator", "", "account that runs it day to day (default: your own)")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (s *session) deviceOperator() *cobra.Command {
	return &cobra.Command{
		Use: "operator ID ADDRESS", Short: "Replace the account that runs a device day to day", Args: cobra.ExactArgs(2), ValidArgsFunction: completeNothing,
		Long: `Replaces the hot account on the device's machine: it announces, offers and settles, and cannot take
anything away from you. Do it when that machine may have been broken into.`,
		RunE: func(c *cobra.Command, args []string) error {
			to, err := parseAddress(args[1])
			if err != nil {
				return err
			}
			return owning{
				act: func(ctx context.Context, chain *chainclient.Client, d devicev1.Device) error {
					return chain.RotateOperator(ctx, d.Id, to)
				},
				done: func(d devicev1.Device) string {
					return fmt.Sprintf("device %d is operated by %s", d.Id, d.Operator)
				},
			}.run(c, s, args[0], true)
		},
	}
}

func (s *session) deviceBond() *cobra.Command {
	return &cobra.Command{
		Use: "bond ID AMOUNT", Short: "Add to what answers for a device's faults", Example: "  cairn device bond 7 50CAIRN", Args: cobra.ExactArgs(2),
		ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			amount, err := price.Parse(args[1])
			if err != nil {
				return cli.Hint(err, "write amounts as 1.5CAIRN or 15acairn")
			}
			return owning{
				act: func(ctx context.Context, chain *chainclient.Client, d devicev1.Device) error {
					return chain.AddBond(ctx, d.Id, amount)
				},
				done: func(d devicev1.Device) string {
					return fmt.Sprintf("the bond of device %d is %s", d.Id, money(d.Bond))
				},
			}.run(c, s, args[0], true)
		},
	}
}

func (s *session) deviceRetire() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "retire ID", Short: "Take a device off the network and get its deposit and bond back", Args: cobra.ExactArgs(1), ValidArgsFunction: completeNothing,
		Long: `Takes a device off the network in two steps, the same command both times. The first starts its leaving:
it takes on nothing new, its running leases go on and go on being paid. The second, once the time of
release has come and the last of its leases ended the unbonding time ago, gives deposit and bond back.
A device that has retired cannot come back, nor can its key.`,
		RunE: func(c *cobra.Command, args []string) error {
			return owning{
				question: func(ctx context.Context, chain *chainclient.Client, d devicev1.Device) (string, error) {
					if d.State == devicev1.DeviceState_DEVICE_STATE_RETIRING {
						return fmt.Sprintf("Retire device %d for good? Deposit %s and bond %s come back.", d.Id, money(d.Deposit), money(d.Bond)), nil
					}
					params, err := chain.DeviceParams(ctx)
					if err != nil {
						return "", err
					}
					items, err := chain.DeviceItems(ctx, d.Id)
					if err != nil {
						return "", err
					}
					wait := time.Duration(params.UnbondingSeconds) * time.Second
					return fmt.Sprintf("Retire device %d? It takes on nothing new from now on. %d leases of it run to their end; deposit %s and bond %s are free in %s at the earliest. This cannot be undone.",
						d.Id, len(items), money(d.Deposit), money(d.Bond), wait), nil
				},
				act: func(ctx context.Context, chain *chainclient.Client, d devicev1.Device) error {
					_, err := chain.Retire(ctx, d.Id)
					return err
				},
				done: func(d devicev1.Device) string {
					if d.State == devicev1.DeviceState_DEVICE_STATE_RETIRED {
						return fmt.Sprintf("device %d has retired; deposit and bond are back with its owner", d.Id)
					}
					return fmt.Sprintf("device %d is retiring; from %s, and the unbonding time after its last lease ended: cairn device retire %d again", d.Id, date(d.ReleaseAt), d.Id)
				},
			}.run(c, s, args[0], yes)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}
