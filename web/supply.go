package web

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"sync"
)

// denom is the base unit of CAIRN, of which there are 10^18 in one.
const denom = "acairn"

// maxGenesis bounds the genesis document read once; CometBFT itself refuses to send a larger one
// whole.
const maxGenesis = 32 << 20

// supplySource answers what there was at genesis and what there is now. Without inflation the
// difference is what settlements have burned.
type supplySource struct {
	rest, rpc *upstream

	mu      sync.Mutex
	genesis *big.Int
}

func (s *supplySource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now, err := s.now(r.Context())
	if err != nil {
		s.refuse(w, err)
		return
	}
	answer := struct {
		Denom   string `json:"denom"`
		Now     string `json:"now"`
		Genesis string `json:"genesis,omitempty"` // absent where the node does not tell
	}{Denom: denom, Now: now.String()}
	genesis, err := s.atGenesis(r.Context())
	if err != nil {
		s.rpc.log.Debug("supply at genesis is not known", "err", err)
	} else {
		answer.Genesis = genesis.String()
	}
	replyJSON(w, answer)
}

func (s *supplySource) refuse(w http.ResponseWriter, err error) {
	if errors.Is(err, errAbsent) {
		refuse(w, http.StatusNotFound, "absent", s.rest.name+" is "+errAbsent.Error())
		return
	}
	s.rest.log.Debug("supply is not known", "err", err)
	refuse(w, http.StatusBadGateway, "unreachable", s.rest.name+" does not answer")
}

type coin struct {
	Denom  string `json:"denom"`
	Amount string `json:"amount"`
}

func (s *supplySource) now(ctx context.Context) (*big.Int, error) {
	var answer struct {
		Amount coin `json:"amount"`
	}
	query := url.Values{"denom": {denom}}
	if err := s.rest.getJSON(ctx, "/cosmos/bank/v1beta1/supply/by_denom", query, maxAnswer, &answer); err != nil {
		return nil, err
	}
	return sum([]coin{answer.Amount})
}

// atGenesis reads the genesis document once. A document without a stated supply has that of its
// balances, as the bank module computes it.
func (s *supplySource) atGenesis(ctx context.Context) (*big.Int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.genesis != nil {
		return s.genesis, nil
	}
	var answer struct {
		Result struct {
			Genesis struct {
				AppState struct {
					Bank struct {
						Supply   []coin `json:"supply"`
						Balances []struct {
							Coins []coin `json:"coins"`
						} `json:"balances"`
					} `json:"bank"`
				} `json:"app_state"`
			} `json:"genesis"`
		} `json:"result"`
	}
	if err := s.rpc.getJSON(ctx, "/genesis", nil, maxGenesis, &answer); err != nil {
		return nil, err
	}
	bank := answer.Result.Genesis.AppState.Bank
	coins := bank.Supply
	if len(coins) == 0 {
		for _, balance := range bank.Balances {
			coins = append(coins, balance.Coins...)
		}
	}
	total, err := sum(coins)
	if err != nil {
		return nil, err
	}
	if total.Sign() == 0 {
		return nil, errors.New("the genesis document states no " + denom)
	}
	s.genesis = total
	return total, nil
}

// sum adds the coins of the base denomination.
func sum(coins []coin) (*big.Int, error) {
	total := new(big.Int)
	for _, c := range coins {
		if c.Denom != denom {
			continue
		}
		amount, ok := new(big.Int).SetString(c.Amount, 10)
		if !ok {
			return nil, fmt.Errorf("reading an amount of %s: %q is not a whole number", denom, c.Amount)
		}
		total.Add(total, amount)
	}
	return total, nil
}
