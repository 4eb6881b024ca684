package command

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/cosmos/cosmos-sdk/client/flags"

	"github.com/cairn-network/cairn/app"
	"github.com/cairn-network/cairn/core/address"
	"github.com/cairn-network/cairn/core/price"
)

// spokenAmount is what people mean as an amount, such as "1.5CAIRN" or "1 CAIRN", alone or in a list of
// coins; also what the reader then refuses, such as "1e3CAIRN", which the SDK would take for one
// unit of a coin named e3CAIRN.
var spokenAmount = regexp.MustCompile(`^[0-9][0-9.eE_]* ?` + app.DisplayDenom + `$`)

// textFlags take words of the user: what looks like an amount there is left alone.
var textFlags = map[string]bool{
	flags.FlagNote: true, flags.FlagFrom: true, flags.FlagHome: true, "memo": true, "moniker": true, "details": true,
	"identity": true, "website": true, "security-contact": true, "title": true, "summary": true, "metadata": true, "query": true,
}

// accountFlags name an account that signs or pays; the SDK reads them as cairn1... only.
var accountFlags = map[string]bool{
	flags.FlagFrom: true, flags.FlagFeePayer: true, flags.FlagFeeGranter: true,
}

// expandAmounts rewrites what the SDK's commands do not read: amounts in CAIRN become acairn, and
// accounts written 0x... behind --from and its like become cairn1.... All other arguments stay as
// they are. An amount that cannot be read, or has more than 18 decimals, is an error.
func expandAmounts(args []string) ([]string, error) {
	out := make([]string, len(args))
	flag := "" // the flag whose value this argument is, if any
	for i, arg := range args {
		out[i] = arg
		name, value, inline := strings.Cut(arg, "=")
		switch {
		case strings.HasPrefix(name, "--") && inline:
			expanded, err := expand(strings.TrimPrefix(name, "--"), value)
			if err != nil {
				return nil, err
			}
			out[i], flag = name+"="+expanded, ""
		case strings.HasPrefix(arg, "--"):
			flag = strings.TrimPrefix(arg, "--")
		default:
			expanded, err := expand(flag, arg)
			if err != nil {
				return nil, err
			}
			out[i], flag = expanded, ""
		}
	}
	return out, nil
}

// expand rewrites the value of a flag, or of an argument if flag is empty.
func expand(flag, value string) (string, error) {
	if accountFlags[flag] && strings.HasPrefix(value, "0x") {
		account, err := address.Parse(value)
		if err != nil {
			return "", fmt.Errorf("--%s: %w", flag, err)
		}
		return address.Bech32(account), nil
	}
	if textFlags[flag] || !strings.HasSuffix(value, app.DisplayDenom) && !strings.Contains(value, app.DisplayDenom+",") {
		return value, nil
	}
	coins := strings.Split(value, ",")
	for i, coin := range coins {
		if !spokenAmount.MatchString(coin) {
			continue
		}
		amount, err := price.Parse(coin)
		if err != nil {
			return "", fmt.Errorf("amount %q: %w", coin, err)
		}
		coins[i] = amount.String() + app.Denom
	}
	return strings.Join(coins, ","), nil
}
