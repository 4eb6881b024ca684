package command

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/internal/cli"
)

// NewBrisk is New with parts as small as S3 allows and next to no waits between attempts: what is
// cut, resumed and given up is the same.
func NewBrisk(terminal *cli.Terminal) *cobra.Command {
	return newRoot(terminal, transfer{part: 5 << 20, pause: time.Millisecond, backoff: 2 * time.Millisecond})
}
