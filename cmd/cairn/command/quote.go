package command

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/daemon/s3gateway/launch"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/config"
)

// span is a time as people say it: in days where it has some.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

func (s *session) quote() *cobra.Command {
	keep := config.Month
	var class string
	var oneMachine bool
	c := &cobra.Command{
		Use: "quote SIZE", Short: "Say what storing so much would cost by the offers of now", Example: "  cairn quote 500GB",
		Long: `Prices a size by the cheapest offers that your gateway's settings accept. Nothing is bought and no
wallet is needed. A gateway reserves more than it has stored, so what it locks is higher.`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			size, err := config.ParseBytes(args[0])
			if err != nil {
				return err
			}
			if keep <= 0 {
				return fmt.Errorf("--keep %s: say for how long, such as 720h", keep)
			}
			home, err := s.home()
			if err != nil {
				return err
			}
			settings := gatewaySettings{}
			if err := home.Load("gateway.toml", &settings); err != nil {
				return err
			}
			settings.OneMachine = settings.OneMachine || oneMachine
			cfg, err := settings.launch()
			if err != nil {
				return err
			}
			chain, err := s.chain(home, nil)
			if err != nil {
				return err
			}
			defer chain.Close()
			q, err := launch.Quote(c.Context(), chain, cfg, uint64(size), keep, class)
			if err != nil {
				return cli.Hint(s.explain(err), "cairn offers shows who offers what; a higher --max-price of your gateway takes more of them, and --one-machine counts nodes on loopback")
			}
			result := struct {
				Bytes   uint64 `json:"bytes"`
				Seconds int64  `json:"seconds"`
				Class   string `json:"class"`
				Nodes   int    `json:"nodes"`
				Storage string `json:"storage"`
				Reading string `json:"reading"`
			}{uint64(size), int64(keep / time.Second), q.Class.Name, q.Nodes, q.Storage.Format(), q.Reading.Format()}
			return s.Show(result, func(w writer) {
				fmt.Fprintf(w, "storing    %s for %s: %s\nreading    it once: %s\nspread     class %s over %d nodes, %s with redundancy\n",
					size, span(keep), about(q.Storage), about(q.Reading), result.Class, result.Nodes, config.Bytes(q.Stored))
			})
		},
	}
	c.Flags().DurationVar(&keep, "keep", keep, "for how long")
	c.Flags().StringVar(&class, "class", "", "redundancy class; the one that the network calls for unless named")
	c.Flags().BoolVar(&oneMachine, "one-machine", false, "count nodes on loopback as independent: for a network on one machine")
	return c
}
