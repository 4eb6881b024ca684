package reporter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// ErrUnavailable is wrapped by errors about data that nobody serves.
var ErrUnavailable = errors.New("nobody serves it")

// fetchTime bounds one request for a file.
const fetchTime = 2 * time.Minute

// FetchAccounts gets the tree under a root from the first place that serves it; ErrUnavailable.
func FetchAccounts(ctx context.Context, client *http.Client, places []string, root report.Root) (*report.Tree[score.Account], error) {
	if root.Leaves == 0 {
		return emptyTree(), nil
	}
	tried := fmt.Errorf("accounts under %x: %w", root.Hash, ErrUnavailable)
	for _, place := range places {
		tree, err := fetchAccounts(ctx, client, place, root)
		if err == nil {
			return tree, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		tried = errors.Join(tried, err)
	}
	return nil, tried
}

func fetchAccounts(ctx context.Context, client *http.Client, place string, root report.Root) (*report.Tree[score.Account], error) {
	base, err := url.Parse(place)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("place %q is no http URL", place)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("v1", "accounts", hexHash(root)).String(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", place, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", place, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking %s: status %d", place, response.StatusCode)
	}
	tree, err := ReadAccounts(response.Body, root)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", place, err)
	}
	return tree, nil
}
