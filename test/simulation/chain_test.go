package simulation

import (
	"encoding/binary"

	"cosmossdk.io/math"
	abci "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/attest"
	coredevice "github.com/cairn-network/cairn/core/device"
)

var chainOperations = []operation{
	{"bank: send", 4, func(h *history) (move, bool) {
		by := h.person()
		return say1(by, banktypes.NewMsgSend(by.address, h.person().address, sdk.NewCoins(coin(h.money(3000)))))
	}},
	{"staking: delegate", 3, func(h *history) (move, bool) {
		by := h.person()
		return say1(by, stakingtypes.NewMsgDelegate(by.text, h.validator(), coin(h.money(5000))))
	}},
	{"staking: undelegate", 2, func(h *history) (move, bool) {
		d, some := h.delegation()
		by := h.anyone[d.DelegatorAddress]
		return move{by: by, messages: msgs(stakingtypes.NewMsgUndelegate(by.text, d.ValidatorAddress, coin(h.money(500))))}, some
	}},
	{"staking: redelegate", 1, func(h *history) (move, bool) {
		d, some := h.delegation()
		by := h.anyone[d.DelegatorAddress]
		return move{by: by, messages: msgs(stakingtypes.NewMsgBeginRedelegate(by.text, d.ValidatorAddress, h.validator(), coin(h.money(500))))}, some
	}},
	{"distribution: withdraw", 2, func(h *history) (move, bool) {
		d, some := h.delegation()
		return move{by: h.anyone[d.DelegatorAddress], messages: msgs(distrtypes.NewMsgWithdrawDelegatorReward(d.DelegatorAddress, d.ValidatorAddress))}, some
	}},
	{"slashing: unjail", 4, func(h *history) (move, bool) {
		all, err := h.app.Staking.GetAllValidators(h.ctx())
		require.NoError(h.tb, err)
		v, some := pick(h, where(h, all, stakingtypes.Validator.IsJailed))
		for _, s := range h.council {
			if some && sdk.ValAddress(s.operator.address).String() == v.OperatorAddress {
				return say1(s.operator, slashingtypes.NewMsgUnjail(v.OperatorAddress))
			}
		}
		return move{}, false
	}},
	{"evm: transfer", 3, func(h *history) (move, bool) {
		to := h.person().hex()
		return move{by: h.person(), ethereum: &call{to: &to, value: h.money(1000)}}, true
	}},
	{"evm: deploy", 1, func(h *history) (move, bool) {
		by := h.person()
		at := crypto.CreateAddress(by.hex(), h.app.Auth.GetAccount(h.ctx(), by.address).GetSequence()+h.ahead[by.text])
		return move{by: by, ethereum: &call{value: math.ZeroInt(), data: word}, then: func(r *abci.ExecTxResult) {
			if r.Code == 0 {
				h.words = append(h.words, at)
			}
		}}, true
	}},
	{"evm: call", 3, func(h *history) (move, bool) {
		to, some := pick(h, h.words)
		return move{by: h.person(), ethereum: &call{to: &to, value: math.ZeroInt(), data: binary.BigEndian.AppendUint64(make([]byte, 24), h.random.Uint64())}}, some
	}},
	{"gov: vote", 3, func(h *history) (move, bool) {
		p, some := pick(h, h.voting())
		by := h.person()
		return move{by: by, messages: msgs(govv1.NewMsgVote(by.address, p.Id, govv1.OptionNo, ""))}, some
	}},
}

// word is the creation code of a contract with one word of storage: a call with data stores its first
// word, a call without gives it back (app/replay_test.go reads it line by line).
var word = common.FromHex("6017600c60003960176000f3" + "36600f57" + "60005460005260206000f3" + "5b60003560005500")

// laws are what is proposed, and each an operation.
var laws = map[string]func(h *history) (sdk.Msg, bool){
	"device params": func(h *history) (sdk.Msg, bool) {
		p := h.state.device.Params
		p.UnbondingSeconds = h.between(0, 60)
		return &devicev1.MsgUpdateParams{Authority: authority(), Params: p}, true
	},
	"market params": func(h *history) (sdk.Msg, bool) {
		p := h.state.market.Params
		p.FeeBps, p.GraceSeconds = uint32(h.between(0, 2500)), h.between(0, 60)
		return &marketv1.MsgUpdateParams{Authority: authority(), Params: p}, true
	},
	"storage params": func(h *history) (sdk.Msg, bool) {
		p := h.state.storage.Params
		p.Possession.Positions, p.Possession.Interval = uint32(h.between(1, 3)), uint32(h.between(1, 2))
		p.Possession.SlashBps = uint32(h.between(0, 500))
		return &storagev1.MsgUpdateParams{Authority: authority(), Params: p}, true
	},
	"audit params": func(h *history) (sdk.Msg, bool) {
		p := h.state.audit.Params
		p.Beacon.EpochBlocks = uint32(h.between(6, 8))
		p.Report.DisputeDeposit = h.money(2000)
		return &auditv1.MsgUpdateParams{Authority: authority(), Params: p}, true
	},
	"reward params": func(h *history) (sdk.Msg, bool) {
		p := h.state.reward.Params
		p.UsagePerMille, p.YieldPerMille = uint32(h.between(0, 900)), uint32(h.between(0, 200))
		p.SmoothingEpochs = uint32(h.between(1, 5))
		return &rewardv1.MsgUpdateParams{Authority: authority(), Params: p}, true
	},
	"inflation": func(h *history) (sdk.Msg, bool) {
		p, err := h.app.Mint.Params.Get(h.ctx())
		require.NoError(h.tb, err)
		p.InflationMax, p.InflationRateChange, p.MaxSupply = math.LegacyOneDec(), math.LegacyOneDec(), math.ZeroInt()
		return &minttypes.MsgUpdateParams{Authority: authority(), Params: p}, true
	},
	"trust": func(h *history) (sdk.Msg, bool) {
		m := &devicev1.MsgUpdateTrust{Authority: authority(), Add: anchors}
		if len(h.state.device.Trust) > 0 && h.rarely() {
			a := h.state.device.Trust[0]
			f := attest.Key{Type: coredevice.Ed25519, Bytes: a.Key.Key}.Fingerprint()
			m.Add, m.Remove = nil, []devicev1.TrustRef{{Use: a.Use, Fingerprint: f[:]}}
		}
		return m, true
	},
	"rules": func(h *history) (sdk.Msg, bool) {
		rule := devicev1.Rule{Region: "US", Resource: "storage", MinTier: uint32(h.between(0, 1)), Reason: "a law of theirs"}
		if h.random.IntN(2) == 0 {
			rule.Credentials = []string{"calibration"}
		}
		return &devicev1.MsgUpdateRules{Authority: authority(), Set: []devicev1.Rule{rule}}, true
	},
	"ban": func(h *history) (sdk.Msg, bool) {
		d, some := h.device()
		return &devicev1.MsgBan{Authority: authority(), Device: d.Id, Reason: devicev1.BanReason_BAN_REASON_ATTACK, Evidence: make([]byte, 32)}, some && h.random.IntN(3) == 0
	},
	"appeal": func(h *history) (sdk.Msg, bool) {
		b, some := pick(h, where(h, h.state.device.Bans, func(b devicev1.Ban) bool { return b.State == devicev1.BanState_BAN_STATE_APPEALED }))
		verdicts := []devicev1.Verdict{devicev1.Verdict_VERDICT_LIFT, devicev1.Verdict_VERDICT_UPHOLD, devicev1.Verdict_VERDICT_DISMISS}
		return &devicev1.MsgDecideAppeal{Authority: authority(), Device: b.Device, Verdict: verdicts[h.random.IntN(len(verdicts))]}, some
	},
	"community pool": func(h *history) (sdk.Msg, bool) {
		return &distrtypes.MsgCommunityPoolSpend{Authority: authority(), Recipient: h.person().text, Amount: sdk.NewCoins(coin(math.NewInt(h.between(1, 1000))))}, true
	},
}

// authority is governance, spelled once addresses are ours.
func authority() string { return authtypes.NewModuleAddress(govtypes.ModuleName).String() }

// proposing gives an operation for every law, ordered by name.
func proposing() (all []operation) {
	for _, name := range sortedKeys(laws) {
		all = append(all, operation{"gov: propose " + name, 1, func(h *history) (move, bool) {
			law, some := laws[name](h)
			if !some {
				return move{}, false
			}
			by := h.person()
			m, err := govv1.NewMsgSubmitProposal([]sdk.Msg{law}, sdk.NewCoins(cairn(1)), by.text, "", name, "A law.", false)
			require.NoError(h.tb, err)
			return move{by: by, messages: msgs(m), then: func(r *abci.ExecTxResult) {
				if r.Code != 0 {
					return
				}
				var data sdk.TxMsgData
				require.NoError(h.tb, data.Unmarshal(r.Data))
				var answer govv1.MsgSubmitProposalResponse
				require.NoError(h.tb, answer.Unmarshal(data.MsgResponses[0].Value))
				h.laws[answer.ProposalId] = name
			}}, true
		}})
	}
	return all
}

// voting are the proposals that are voted on.
func (h *history) voting() (open []govv1.Proposal) {
	err := h.app.Gov.Proposals.Walk(h.ctx(), nil, func(_ uint64, p govv1.Proposal) (bool, error) {
		if p.Status == govv1.StatusVotingPeriod {
			open = append(open, p)
		}
		return false, nil
	})
	require.NoError(h.tb, err)
	return open
}

// votes are those of a validator on all that it has not voted on.
func (s *seat) votes(h *history) (moves []move) {
	for _, p := range h.voting() {
		if _, err := h.app.Gov.Votes.Get(h.ctx(), join(p.Id, s.operator.address)); err == nil {
			continue
		}
		option := govv1.OptionYes
		if h.rarely() {
			option = govv1.OptionNo
		}
		moves = append(moves, move{by: s.operator, messages: msgs(govv1.NewMsgVote(s.operator.address, p.Id, option, ""))})
	}
	return moves
}

// passed counts the laws that came into force, and those that were refused then.
func (h *history) passed() {
	for id, name := range h.laws {
		p, err := h.app.Gov.Proposals.Get(h.ctx(), id)
		if err != nil {
			continue
		}
		t := h.tally("law: " + name)
		t.drawn++
		switch p.Status {
		case govv1.StatusPassed:
			t.tried, t.done = t.tried+1, t.done+1
		case govv1.StatusFailed:
			t.tried++
			t.refused[p.FailedReason]++
		default:
		}
	}
}

func (h *history) validator() string {
	return sdk.ValAddress(h.council[h.random.IntN(seats)].operator.address).String()
}

// delegation draws one of a person's.
func (h *history) delegation() (stakingtypes.Delegation, bool) {
	all, err := h.app.Staking.GetDelegatorDelegations(h.ctx(), h.person().address, 10)
	require.NoError(h.tb, err)
	return pick(h, all)
}
