package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The stand-in's proofs, reports, rewards and votes: epochs of 30 blocks, device 3 missed the one
// before the last and was punished for it.

const proofEpoch = 41

// serveProofs answers what x/audit, x/storage, x/reward and the SDK's x/gov answer; false where the
// path is none of theirs.
func (n *network) serveProofs(w http.ResponseWriter, path string, height int64, empty bool) bool {
	page := object{"next_key": nil, "total": "0"}
	parts := strings.Split(path, "/")
	missing := func() { say(w, 404, object{"code": 5, "message": "not found", "details": []any{}}) }
	switch {
	case path == "cairn/audit/v1/epoch":
		start := height - height%30
		say(w, 200, object{"epoch": epochAt(proofEpoch, start), "next_height": fmt.Sprint(start + 30), "outputs": []any{}})
	case path == "cairn/audit/v1/contributors":
		var list []any
		for i := range 4 {
			validator := "cairnvaloper1" + strings.Repeat(string("qpzr"[i]), 38)
			list = append(list, object{"key": object{"validator": validator}, "record": object{
				"validator": validator, "contributed": fmt.Sprint(40 - i), "missed": fmt.Sprint(i), "invalid": "0", "last_contributed": "41",
			}})
		}
		say(w, 200, object{"contributors": list, "pagination": page})
	case path == "cairn/audit/v1/reporters":
		say(w, 200, object{"reporters": []any{
			reporter("erin", "12000", 39, 0), reporter("frank", "9000", 38, 1),
		}, "bonded": "21000000000000000000000", "pagination": page})
	case path == "cairn/audit/v1/rounds/1":
		say(w, 200, object{"rounds": []any{object{"service": 1, "epoch": "40"}}, "next": "41"})
	case path == "cairn/audit/v1/rounds/1/40":
		say(w, 200, object{"round": object{"service": 1, "epoch": "40"}, "reports": []any{
			report(1, "REPORT_STATUS_OPEN", "", "erin", "frank"), report(2, "REPORT_STATUS_REJECTED", "leaf", "dave"),
		}})
	case path == "cairn/audit/v1/finals/1":
		if empty {
			missing()
			break
		}
		say(w, 200, object{"final": object{
			"service": 1, "id": key32("report 39"), "height": "1180", "before": object{"earned": "3800000000000000000000"},
			"statement": object{"epoch": "39", "output": object{"leaves": "12", "earned": "3900000000000000000000"}},
		}})
	case path == "cairn/storage/v1/standings":
		list := []any{}
		for _, node := range n.nodes {
			if !empty {
				list = append(list, standing(node.id))
			}
		}
		say(w, 200, object{"standings": list, "pagination": page})
	case len(parts) == 5 && strings.HasPrefix(path, "cairn/storage/v1/standings/"):
		id, _ := strconv.ParseUint(parts[4], 10, 64)
		say(w, 200, object{"standing": standing(id)})
	case path == "cairn/storage/v1/faults":
		list := []any{}
		if !empty {
			list = append(list, object{
				"device": "3", "kind": "FAULT_KIND_CHALLENGE", "subject": "39", "reporter": bech("bob"),
				"slashed":     object{"denom": "acairn", "amount": "5000000000000000000"},
				"bounty":      object{"denom": "acairn", "amount": "1000000000000000000"},
				"recorded_in": "40", "recorded_at": fmt.Sprint(n.begun.Unix() - 60), "consecutive": 1,
			})
		}
		say(w, 200, object{"faults": list, "pagination": page})
	case len(parts) == 6 && strings.HasPrefix(path, "cairn/storage/v1/facts/"):
		number, _ := strconv.Atoi(parts[4])
		missed := parts[5] == "3" && number == 39
		passed := 4
		if missed {
			passed = 0
		}
		say(w, 200, object{"fact": object{
			"device": parts[5], "epoch": parts[4], "challenged": number%4 != 0, "passed": passed, "proved": "20000000000", "leased": "20000000000",
		}})
	case path == "cairn/reward/v1/emission":
		say(w, 200, object{"emission": object{
			"cap": "1000000000000000000000000000", "minted": "3900000000000000000000", "validators": "900000000000000000000",
		}, "supply": "100004798000000000000000000"})
	case path == "cairn/reward/v1/ledgers/1":
		say(w, 200, object{"ledger": object{"service": 1, "average": "61000000000000000", "paid": "3900000000000000000000", "claimed": "2750000000000000000000", "final_epoch": "39"}})
	case len(parts) == 6 && strings.HasPrefix(path, "cairn/reward/v1/claimed/1/"):
		say(w, 200, object{"amount": "229000000000000000000"})
	case path == "cosmos/gov/v1/proposals":
		list := []any{}
		if !empty {
			list = append(list, n.proposal("2", "PROPOSAL_STATUS_VOTING_PERIOD"), n.proposal("1", "PROPOSAL_STATUS_PASSED"))
		}
		say(w, 200, object{"proposals": list, "pagination": page})
	case path == "cosmos/gov/v1/proposals/2/tally":
		say(w, 200, object{"tally": tally("61000000", "4000000")})
	case path == "cosmos/staking/v1beta1/pool":
		say(w, 200, object{"pool": object{"bonded_tokens": "100000000000000000000000000", "not_bonded_tokens": "0"}})
	default:
		return false
	}
	return true
}

func epochAt(number int, start int64) object {
	return object{
		"number": fmt.Sprint(number), "start_height": fmt.Sprint(start), "start_time": time.Now().Add(-9 * time.Second).UTC().Format(time.RFC3339Nano),
		"beacon": key32("beacon"), "power_bps": 10000, "outputs": 4, "weak": false,
	}
}

func reporter(name, bond string, finals, rejections int) object {
	return object{
		"address": bech(name), "bond": bond + "000000000000000000", "state": "REPORTER_STATE_BONDED",
		"finals": fmt.Sprint(finals), "rejections": fmt.Sprint(rejections),
	}
}

func report(id int, status, rejected string, reporters ...string) object {
	var posts []any
	for _, name := range reporters {
		posts = append(posts, object{"reporter": bech(name)})
	}
	return object{
		"id": key32(fmt.Sprint("report 40 ", id)), "status": status, "rejected": rejected, "posts": posts, "final_at": "1216",
		"statement": object{"epoch": "40", "output": object{"leaves": "12", "earned": "4000000000000000000000"}},
	}
}

func standing(id uint64) object {
	faults := "0"
	if id == 3 {
		faults = "1"
	}
	return object{
		"device": fmt.Sprint(id), "version": "5", "last_passed": fmt.Sprint(proofEpoch), "passed": "38", "positions": "152",
		"faults": faults, "consecutive_faults": 0, "open_audits": 0,
	}
}

// tally takes millions of CAIRN.
func tally(yes, no string) object {
	const cairn = "000000000000000000"
	return object{"yes_count": yes + cairn, "no_count": no + cairn, "no_with_veto_count": "0", "abstain_count": "0"}
}

func (n *network) proposal(id, status string) object {
	return object{
		"id": id, "title": "Challenge devices twice as often", "summary": "Half the interval, so that lost data shows sooner.",
		"proposer": bech("carol"), "status": status, "messages": []any{object{"@type": "/cairn.storage.v1.MsgUpdateParams"}},
		"submit_time": n.begun.UTC().Format(time.RFC3339), "voting_end_time": n.begun.Add(time.Hour).UTC().Format(time.RFC3339),
		"final_tally_result": tally("70000000", "10000000"), "failed_reason": "",
	}
}
