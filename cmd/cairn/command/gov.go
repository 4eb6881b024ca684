package command

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	anypb "github.com/cosmos/gogoproto/types/any"
	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/cli"
)

func (s *session) gov() *cobra.Command {
	c := &cobra.Command{
		Use: "gov", Short: "Change the rules of the network by vote",
		Long: `Every rule of the network is a parameter that holders of bonded CAIRN change by vote.

  cairn gov params storage
  cairn gov propose param market.fee_bps=300 --title "Raise the fee"
  cairn gov vote 3 yes`,
	}
	c.AddCommand(s.govParams(), s.govList(), s.govShow(), s.govVote(), s.govDeposit(), s.govPropose())
	return c
}

// asked opens what most commands begin with: a client that signs, or one that only reads.
func (s *session) asked(signs bool) (*chainclient.Client, error) {
	home, err := s.home()
	if err != nil {
		return nil, err
	}
	if !signs {
		return s.chain(home, nil)
	}
	account, err := s.account(home)
	if err != nil {
		return nil, err
	}
	return s.chain(home, account)
}

func (s *session) govParams() *cobra.Command {
	return &cobra.Command{
		Use: "params [MODULE]", Short: "List the parameters that a vote can change", Args: cobra.MaximumNArgs(1),
		ValidArgs: chainclient.GovernedModules(),
		RunE: func(c *cobra.Command, args []string) error {
			chain, err := s.asked(false)
			if err != nil {
				return err
			}
			defer chain.Close()
			modules := args
			if len(modules) == 0 {
				modules = chainclient.GovernedModules()
			}
			all := []chainclient.Param{}
			for _, module := range modules {
				params, err := chain.Params(c.Context(), module)
				if err != nil {
					return s.explain(err)
				}
				all = append(all, params.List()...)
			}
			return s.Show(all, func(w writer) {
				rows := make([][]string, len(all))
				for i, p := range all {
					rows[i] = []string{p.Name, p.Value}
				}
				cli.Table(w, []string{"PARAMETER", "VALUE"}, rows)
			})
		},
	}
}

func (s *session) govList() *cobra.Command {
	var status string
	c := &cobra.Command{
		Use: "list", Short: "List proposals, the newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			chain, err := s.asked(false)
			if err != nil {
				return err
			}
			defer chain.Close()
			found, err := chain.Proposals(c.Context(), status)
			if err != nil {
				return s.explain(err)
			}
			if found == nil {
				found = []chainclient.Proposal{}
			}
			block, err := chain.LatestBlock(c.Context())
			if err != nil {
				return s.explain(err)
			}
			return s.Show(found, func(w writer) {
				rows := make([][]string, len(found))
				for i, p := range found {
					rows[i] = []string{fmt.Sprint(p.ID), p.Status, left(p, block.Time), p.Title}
				}
				cli.Table(w, []string{"PROPOSAL", "STATUS", "TIME LEFT", "TITLE"}, rows)
			})
		},
	}
	c.Flags().StringVar(&status, "status", "", "only those in deposit, voting, passed, rejected or failed")
	return c
}

// left says how long a proposal still waits for deposits or votes, by the chain's time.
func left(p chainclient.Proposal, now time.Time) string {
	if p.Status != "voting" && p.Status != "deposit" {
		return "over"
	}
	d := p.Ends.Sub(now).Round(time.Second)
	switch {
	case d <= 0:
		return "next block"
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	default:
		return d.String()
	}
}

func proposalID(text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, cli.Hint(fmt.Errorf("proposal %q is not a number", text), "cairn gov list shows them")
	}
	return id, nil
}

func (s *session) govShow() *cobra.Command {
	return &cobra.Command{
		Use: "show PROPOSAL", Short: "Show what a proposal would change and how the votes stand", Args: cobra.ExactArgs(1), ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := proposalID(args[0])
			if err != nil {
				return err
			}
			chain, err := s.asked(false)
			if err != nil {
				return err
			}
			defer chain.Close()
			p, err := chain.Proposal(c.Context(), id)
			if err != nil {
				return s.explain(err)
			}
			terms, err := chain.GovernanceTerms(c.Context())
			if err != nil {
				return s.explain(err)
			}
			block, err := chain.LatestBlock(c.Context())
			if err != nil {
				return s.explain(err)
			}
			return s.Show(p, func(w writer) {
				fmt.Fprintf(w, "proposal  %d, %s\nstatus    %s", p.ID, p.Title, p.Status)
				if p.Status == "voting" || p.Status == "deposit" {
					fmt.Fprintf(w, ", %s left", left(p, block.Time))
				}
				fmt.Fprintf(w, "\nproposer  %s\ndeposit   %s\n", p.Proposer, p.Deposit)
				if p.Failure != "" {
					fmt.Fprintf(w, "failed    %s\n", p.Failure)
				}
				if p.Summary != "" && p.Summary != p.Title {
					fmt.Fprintf(w, "\n%s\n", p.Summary)
				}
				printActions(w, p.Actions)
				if p.Status != "deposit" {
					printTally(w, p.Tally, terms)
				}
			})
		},
	}
}

// printActions says what a proposal does: parameters as old -> new, the rest as it is.
func printActions(w writer, actions []chainclient.Action) {
	for _, a := range actions {
		fmt.Fprintln(w)
		if len(a.Changes) == 0 {
			fmt.Fprintf(w, "%s: %s\n", a.Type, a.Text)
			continue
		}
		rows := make([][]string, len(a.Changes))
		for i, change := range a.Changes {
			rows[i] = []string{change.Name, orNone(change.Old), "->", orNone(change.New)}
		}
		cli.Table(w, []string{"PARAMETER", "NOW", "", "IF IT PASSES"}, rows)
	}
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}

// printTally draws the votes as bars of what is bonded.
func printTally(w writer, t chainclient.Tally, terms chainclient.GovernanceTerms) {
	fmt.Fprintln(w)
	voted := price.Amount{}
	for _, part := range []struct {
		name   string
		amount price.Amount
	}{{"yes", t.Yes}, {"no", t.No}, {"veto", t.Veto}, {"abstain", t.Abstain}} {
		voted, _ = voted.Add(part.amount) // bonded coins: no overflow
		fmt.Fprintf(w, "%-8s  %s  %5s %%  %s\n", part.name, bar(perMille(part.amount, t.Bonded)), percent(perMille(part.amount, t.Bonded)), part.amount.Format())
	}
	fmt.Fprintf(w, "voted     %s %% of what is bonded; it passes with %s %% voting, %s %% of them yes, and less than %s %% veto\n",
		percent(perMille(voted, t.Bonded)), hundredfold(terms.Quorum), hundredfold(terms.Threshold), hundredfold(terms.VetoThreshold))
}

// perMille is a part of a whole in thousandths.
func perMille(part, whole price.Amount) uint64 {
	if whole.IsZero() {
		return 0
	}
	// Down to whole thousandths of a coin, so that a product with 1000 fits.
	shrink := func(a price.Amount) uint64 {
		small, overflow := a.MulDiv(1, 1_000_000_000_000_000)
		if overflow {
			return 0
		}
		return small.Lo
	}
	all := shrink(whole)
	if all == 0 {
		return 0
	}
	share, overflow := price.FromUint64(shrink(part)).MulDiv(1000, all)
	if overflow {
		return 0
	}
	return share.Lo
}

func percent(perMille uint64) string { return fmt.Sprintf("%d.%d", perMille/10, perMille%10) }

// hundredfold writes a decimal such as 0.334000 as a percentage.
func hundredfold(decimal string) string {
	value, err := strconv.ParseFloat(decimal, 64)
	if err != nil {
		return decimal
	}
	return strconv.FormatFloat(value*100, 'f', -1, 64)
}

// bar draws thousandths.
func bar(perMille uint64) string {
	const width = 30
	full := int(min(perMille, 1000) * width / 1000)
	return strings.Repeat("#", full) + strings.Repeat(".", width-full)
}

func (s *session) govVote() *cobra.Command {
	return &cobra.Command{
		Use: "vote PROPOSAL yes|no|abstain|veto", Short: "Vote with all that you have bonded", Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return chainclient.VoteOptions, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			id, err := proposalID(args[0])
			if err != nil {
				return err
			}
			chain, err := s.asked(true)
			if err != nil {
				return err
			}
			defer chain.Close()
			if err := chain.Vote(c.Context(), id, args[1]); err != nil {
				return cli.Hint(s.explain(err), "cairn gov show %d says whether it can be voted on", id)
			}
			return s.Show(map[string]any{"proposal": id, "vote": args[1]}, func(w writer) {
				fmt.Fprintf(w, "voted %s on proposal %d\n", args[1], id)
			})
		},
	}
}

func (s *session) govDeposit() *cobra.Command {
	return &cobra.Command{
		Use: "deposit PROPOSAL AMOUNT", Short: "Help a proposal to be voted on; comes back unless it is vetoed", Args: cobra.ExactArgs(2),
		Example: "  cairn gov deposit 3 500CAIRN", ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := proposalID(args[0])
			if err != nil {
				return err
			}
			amount, err := price.Parse(args[1])
			if err != nil {
				return cli.Hint(err, "write amounts as 500CAIRN")
			}
			chain, err := s.asked(true)
			if err != nil {
				return err
			}
			defer chain.Close()
			if err := chain.DepositOn(c.Context(), id, amount); err != nil {
				return s.explain(err)
			}
			return s.Show(map[string]any{"proposal": id, "acairn": amount}, func(w writer) {
				fmt.Fprintf(w, "put %s on proposal %d\n", amount.Format(), id)
			})
		},
	}
}

// draftFlags are those of every kind of proposal.
type draftFlags struct {
	title, summary, deposit string
	dry                     bool
}

func (s *session) govPropose() *cobra.Command {
	c := &cobra.Command{
		Use: "propose", Short: "Hand in a proposal",
		Long: `Hands in a proposal with the deposit that opens the vote. What it would do is run first, as
governance would, and nothing is sent if the chain refuses it.`,
	}
	c.AddCommand(s.proposeParam(), s.proposeSpend(), s.proposeText(), s.proposeUpgrade(), s.proposeMessage())
	return c
}

// flags adds the flags of every kind of proposal to a command.
func (d *draftFlags) flags(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&d.title, "title", "", "one line for voters (default: what it does)")
	c.Flags().StringVar(&d.summary, "summary", "", "why, for voters")
	c.Flags().StringVar(&d.deposit, "deposit", "", "how much to put up (default: what opens the vote at once)")
	c.Flags().BoolVar(&d.dry, "dry-run", false, "run it as governance would, show what it does, and send nothing")
	c.ValidArgsFunction = completeNothing
	return c
}

// propose rehearses a proposal, shows it, hands it in and says its number.
func (s *session) propose(c *cobra.Command, d draftFlags, title string, build func(*chainclient.Client) ([]*anypb.Any, error)) error {
	ctx := c.Context()
	chain, err := s.asked(true)
	if err != nil {
		return err
	}
	defer chain.Close()
	messages, err := build(chain)
	if err != nil {
		return err
	}
	if len(messages) > 0 {
		if err := chain.Rehearse(ctx, messages...); err != nil {
			return cli.Hint(fmt.Errorf("the chain would refuse this: %w", err), "nothing was sent; cairn gov params lists what stands now")
		}
	}
	actions, err := chain.Actions(ctx, messages)
	if err != nil {
		return s.explain(err)
	}
	if d.title == "" {
		d.title = title
	}
	if d.summary == "" {
		d.summary = d.title
	}
	terms, err := chain.GovernanceTerms(ctx)
	if err != nil {
		return s.explain(err)
	}
	deposit := terms.MinDeposit
	if d.deposit != "" {
		if deposit, err = price.Parse(d.deposit); err != nil {
			return cli.Hint(err, "write amounts as 500CAIRN")
		}
	}
	result := struct {
		Proposal uint64               `json:"proposal,omitempty"`
		Title    string               `json:"title"`
		Deposit  price.Amount         `json:"deposit"`
		Actions  []chainclient.Action `json:"actions"`
	}{Title: d.title, Deposit: deposit, Actions: actions}
	if !d.dry {
		if result.Proposal, err = chain.Propose(ctx, d.title, d.summary, deposit, messages...); err != nil {
			return s.explain(err)
		}
	}
	return s.Show(result, func(w writer) {
		if d.dry {
			fmt.Fprintf(w, "the chain would do this, and nothing was sent: %s\n", d.title)
		} else {
			fmt.Fprintf(w, "proposal %d: %s\ndeposit %s, voting takes %s\n", result.Proposal, d.title, deposit.Format(), terms.Voting)
		}
		printActions(w, actions)
		if !d.dry {
			fmt.Fprintf(w, "\nvote: cairn gov vote %d yes\n", result.Proposal)
		}
	})
}

func (s *session) proposeParam() *cobra.Command {
	var d draftFlags
	return d.flags(&cobra.Command{
		Use: "param MODULE.NAME=VALUE...", Short: "Change parameters", Args: cobra.MinimumNArgs(1),
		Example: "  cairn gov propose param market.fee_bps=300 market.grace_seconds=2h --title 'Raise the fee'",
		RunE: func(c *cobra.Command, args []string) error {
			return s.propose(c, d, "Set "+strings.Join(args, ", "), func(chain *chainclient.Client) ([]*anypb.Any, error) {
				return s.changed(c, chain, args)
			})
		},
	})
}

// changed makes one message of each module for assignments of parameters.
func (s *session) changed(c *cobra.Command, chain *chainclient.Client, assignments []string) ([]*anypb.Any, error) {
	changed := make(map[string]chainclient.Params)
	var order []string
	for _, assignment := range assignments {
		name, value, ok := strings.Cut(assignment, "=")
		module, _, dotted := strings.Cut(name, ".")
		if !ok || !dotted {
			return nil, cli.Hint(fmt.Errorf("%q is not MODULE.NAME=VALUE", assignment), "cairn gov params lists all names")
		}
		params, begun := changed[module]
		if !begun {
			var err error
			if params, err = chain.Params(c.Context(), module); err != nil {
				return nil, s.explain(err)
			}
			order = append(order, module)
		}
		next, err := params.With(name, value)
		if err != nil {
			return nil, err
		}
		if !begun && len(params.Changes(next)) == 0 {
			s.Note("%s is %s already", name, value)
		}
		changed[module] = next
	}
	messages := make([]*anypb.Any, len(order))
	for i, module := range order {
		var err error
		if messages[i], err = changed[module].Update(); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

func (s *session) proposeSpend() *cobra.Command {
	var d draftFlags
	return d.flags(&cobra.Command{
		Use: "spend ADDRESS AMOUNT", Short: "Pay from the community pool", Args: cobra.ExactArgs(2),
		Example: "  cairn gov propose spend cairn1... 2500CAIRN --title 'Audit of the storage node'",
		RunE: func(c *cobra.Command, args []string) error {
			to, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			amount, err := price.Parse(args[1])
			if err != nil {
				return cli.Hint(err, "write amounts as 2500CAIRN")
			}
			return s.propose(c, d, fmt.Sprintf("Pay %s to %s", amount.Format(), to), func(*chainclient.Client) ([]*anypb.Any, error) {
				m, err := chainclient.Spend(to, amount)
				return []*anypb.Any{m}, err
			})
		},
	})
}

func (s *session) proposeText() *cobra.Command {
	var d draftFlags
	return d.flags(&cobra.Command{
		Use: "text", Short: "Ask for an opinion; nothing happens by itself", Args: cobra.NoArgs,
		Example: "  cairn gov propose text --title 'Which region next?' --summary '...'",
		RunE: func(c *cobra.Command, _ []string) error {
			if d.title == "" || d.summary == "" {
				return errors.New("a text needs --title and --summary")
			}
			return s.propose(c, d, d.title, func(*chainclient.Client) ([]*anypb.Any, error) { return nil, nil })
		},
	})
}

func (s *session) proposeUpgrade() *cobra.Command {
	var d draftFlags
	var info string
	c := d.flags(&cobra.Command{
		Use: "upgrade NAME HEIGHT", Short: "Stop the chain at a height for a new release", Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			height, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || height <= 0 {
				return fmt.Errorf("height %q: want a block's number", args[1])
			}
			return s.propose(c, d, fmt.Sprintf("Upgrade to %s at block %d", args[0], height), func(*chainclient.Client) ([]*anypb.Any, error) {
				m, err := chainclient.Upgrade(args[0], height, info)
				return []*anypb.Any{m}, err
			})
		},
	})
	c.Flags().StringVar(&info, "info", "", "where the release is")
	return c
}

func (s *session) proposeMessage() *cobra.Command {
	var d draftFlags
	return d.flags(&cobra.Command{
		Use: "message FILE...", Short: "Have governance send messages: trust, bans, region rules, anything", Args: cobra.MinimumNArgs(1),
		Long: `Each file is one message as JSON, with its full name in "@type". The authority may be left out:

  {"@type": "/cairn.device.v1.MsgUpdateRules",
   "set": [{"region": "DE", "resource": "charge", "credentials": ["eichrecht"], "reason": "MessEV section 33"}]}`,
		RunE: func(c *cobra.Command, args []string) error {
			return s.propose(c, d, "Messages by governance", func(*chainclient.Client) ([]*anypb.Any, error) {
				messages := make([]*anypb.Any, len(args))
				for i, file := range args {
					raw, err := os.ReadFile(file)
					if err != nil {
						return nil, err
					}
					if messages[i], err = chainclient.ParseMessage(raw); err != nil {
						return nil, fmt.Errorf("%s: %w", file, err)
					}
				}
				return messages, nil
			})
		},
	})
}
