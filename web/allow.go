package web

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// chainPaths are the REST paths that the page may read: a path itself or, with a slash at its end,
// everything below it. All are queries of public state.
var chainPaths = []string{
	"cairn/device/v1/",                             // registry
	"cairn/market/v1/",                             // offers, leases, orders, reputation
	"cairn/storage/v1/",                            // anchors, proofs, faults
	"cairn/audit/v1/",                              // epochs, beacons, reports
	"cairn/reward/v1/",                             // emission, claims, the need map
	"cosmos/gov/v1/",                               // proposals and votes
	"cosmos/staking/v1beta1/pool",                  // how many may vote
	"cosmos/auth/v1beta1/module_accounts/",         // where the market keeps escrow
	"cosmos/bank/v1beta1/balances/",                // accounts
	"cosmos/bank/v1beta1/supply/by_denom",          // how much CAIRN there is
	"cosmos/base/tendermint/v1beta1/node_info",     // versions
	"cosmos/base/tendermint/v1beta1/blocks/latest", // block time, which leases run by
	"cosmos/staking/v1beta1/validators",            // who proposes
}

// rpcMethods are the CometBFT methods that the page may call, each with its parameters.
var rpcMethods = map[string][]string{
	"status":        nil,
	"block":         {"height"},
	"blockchain":    {"minHeight", "maxHeight"},
	"block_results": {"height"},
	"tx_search":     {"query", "page", "per_page", "order_by"},
}

const (
	maxPath  = 256
	maxQuery = 1024
)

var (
	// segment is one piece of a path: ids, bech32 addresses and names, but no dot alone or doubled,
	// nothing that needs escaping, so that what is checked here is what the upstream sees.
	segment  = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
	queryKey = regexp.MustCompile(`^[a-zA-Z_]+(\.[a-z_]+)*$`)
)

// chainPath checks a REST path against the list.
func chainPath(path string) bool {
	if len(path) > maxPath {
		return false
	}
	for part := range strings.SplitSeq(path, "/") {
		if !segment.MatchString(part) {
			return false
		}
	}
	return slices.ContainsFunc(chainPaths, func(allowed string) bool {
		if strings.HasSuffix(allowed, "/") {
			return strings.HasPrefix(path, allowed)
		}
		return path == allowed
	})
}

// checkQuery parses a query of bounded size whose keys are plain and, unless keys is nil, among them.
func checkQuery(raw string, keys []string) (url.Values, bool) {
	if len(raw) > maxQuery {
		return nil, false
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, false
	}
	for key, values := range query {
		if !queryKey.MatchString(key) || len(values) != 1 {
			return nil, false
		}
		if keys != nil && !slices.Contains(keys, key) {
			return nil, false
		}
	}
	return query, true
}

func chainProxy(rest *upstream) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		path := r.PathValue("path")
		if !chainPath(path) {
			refuse(w, http.StatusForbidden, "not_allowed", "this page does not read "+quote(path)+" of the chain")
			return
		}
		query, ok := checkQuery(r.URL.RawQuery, nil)
		if !ok {
			refuse(w, http.StatusBadRequest, "query", "the query is malformed or too long")
			return
		}
		rest.pass(w, r, "/"+path, query, nil)
	}
}

func rpcProxy(rpc *upstream) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		method := r.PathValue("method")
		keys, known := rpcMethods[method]
		if !known {
			refuse(w, http.StatusForbidden, "not_allowed", "this page does not call "+quote(method))
			return
		}
		query, ok := checkQuery(r.URL.RawQuery, append([]string{}, keys...))
		if !ok {
			refuse(w, http.StatusBadRequest, "query", method+" takes only: "+strings.Join(keys, ", "))
			return
		}
		rpc.pass(w, r, "/"+method, query, nil)
	}
}

func gatewayProxy(gateway *upstream, path string, keys ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query, ok := checkQuery(r.URL.RawQuery, append([]string{}, keys...))
		if !ok {
			refuse(w, http.StatusBadRequest, "query", path+" takes only: "+strings.Join(keys, ", "))
			return
		}
		gateway.pass(w, r, path, query, quoteLargeIntegers)
	}
}
