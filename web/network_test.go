package web

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-network/cairn/core/address"
)

// network is a stand-in for everything that the page looks at: a chain's REST and RPC, a gateway and
// storage nodes, all answering in the shapes of the real ones. It knows a few moods.
type network struct {
	chain, gateway *httptest.Server
	nodes          []*fakeNode
	begun          time.Time

	mu      sync.Mutex
	mood    string // "calm", "empty", "troubled", "away", "slow"
	offset  int64  // added to the height, so that tests can make blocks
	asked   []string
	release chan struct{} // closed to let slow answers go
}

type fakeNode struct {
	server *httptest.Server
	name   string
	id     uint64
	mu     sync.Mutex
	down   bool
}

var nodeNames = []string{
	"granite", "basalt", "slate", "marble", "gneiss", "flint", "chalk", "sandstone", "quartz", "obsidian", "limestone", "shale",
}

var ownerNames = []string{"alice", "bob", "carol", "dave", "erin", "frank"}

const (
	renterName = "renter"
	genesisAt  = 1204 // height at the start
	gigabyte   = 1_000_000_000
)

func accountOf(name string) [20]byte {
	sum := sha256.Sum256([]byte(name))
	return [20]byte(sum[:20])
}

func bech(name string) string { return address.Bech32(accountOf(name)) }

func ownerOf(id uint64) string { return ownerNames[(int(id)-1)%len(ownerNames)] }

func key32(name string) string {
	sum := sha256.Sum256([]byte("key of " + name))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func newNetwork(t testing.TB) *network {
	t.Helper()
	n := &network{mood: "calm", begun: time.Now(), release: make(chan struct{})}
	n.chain = httptest.NewServer(http.HandlerFunc(n.serveChain))
	n.gateway = httptest.NewServer(http.HandlerFunc(n.serveGateway))
	for i, name := range nodeNames {
		node := &fakeNode{name: name, id: uint64(i + 1)}
		node.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { n.serveNode(w, node) }))
		n.nodes = append(n.nodes, node)
	}
	t.Cleanup(func() {
		n.set("calm")
		n.chain.Close()
		n.gateway.Close()
		for _, node := range n.nodes {
			node.server.Close()
		}
	})
	return n
}

// set changes the mood; leaving "slow" lets held answers go.
func (n *network) set(mood string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mood == "slow" && mood != "slow" {
		close(n.release)
		n.release = make(chan struct{})
	}
	n.mood = mood
	for i, node := range n.nodes {
		node.mu.Lock()
		node.down = mood == "troubled" && (i == 2 || i == 6 || i == 9)
		node.mu.Unlock()
	}
}

func (n *network) now() (mood string, height int64, release chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mood, genesisAt + n.offset, n.release
}

// make adds blocks.
func (n *network) make(blocks int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.offset += blocks
}

func (n *network) config() Config {
	return Config{
		REST: n.chain.URL, RPC: n.chain.URL, JSONRPC: "http://127.0.0.1:8545", Gateway: n.gateway.URL,
		Nodes: func() []NodeSource {
			if mood, _, _ := n.now(); mood == "empty" {
				return nil
			}
			var list []NodeSource
			for _, node := range n.nodes {
				list = append(list, NodeSource{Name: node.name, DeviceID: node.id, URL: node.server.URL})
			}
			return list
		},
		Info: n.info,
	}
}

func (n *network) info() Info {
	info := Info{
		Network: "devnet", ChainID: "cairn-devnet-1", EVMChainID: 700777, Version: "v0.1.0",
		Endpoints: Endpoints{S3: "http://127.0.0.1:9000", Web: "http://127.0.0.1:8080", GRPC: "127.0.0.1:9090"},
		S3:        S3{Region: "us-east-1", AccessKey: "CAIRN7Q2M4XWZ"},
		ReadyFile: "/home/ada/.cairn-devnet/ready.json",
	}
	for _, name := range append([]string{renterName}, ownerNames...) {
		info.Accounts = append(info.Accounts, Account{Name: name, Address: bech(name), Hex: address.Hex(accountOf(name))})
	}
	return info
}

type object = map[string]any

func say(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (n *network) serveChain(w http.ResponseWriter, r *http.Request) {
	mood, height, release := n.now()
	n.mu.Lock()
	n.asked = append(n.asked, r.URL.String())
	n.mu.Unlock()
	switch mood {
	case "away":
		panic(http.ErrAbortHandler) // the connection breaks, as when nothing listens
	case "slow":
		select {
		case <-release:
		case <-r.Context().Done():
			return
		}
	}
	empty := mood == "empty"
	path := strings.Trim(r.URL.Path, "/")
	query := r.URL.Query()
	number := func(text string) uint64 { v, _ := strconv.ParseUint(text, 10, 64); return v }
	switch parts := strings.Split(path, "/"); {
	case path == "status":
		say(w, 200, object{"jsonrpc": "2.0", "id": -1, "result": object{
			"node_info": object{"network": "cairn-devnet-1"},
			"sync_info": object{"latest_block_height": fmt.Sprint(height), "earliest_block_height": "1", "catching_up": false},
		}})
	case path == "blockchain":
		n.serveBlockchain(w, query.Get("minHeight"), query.Get("maxHeight"), height)
	case path == "block":
		n.serveBlock(w, int64(number(query.Get("height"))))
	case path == "block_results":
		n.serveResults(w, int64(number(query.Get("height"))))
	case path == "cairn/market/v1/params":
		say(w, 200, object{"params": object{"fee_bps": 250, "denoms": []string{"acairn"}, "grace_seconds": "3600"}})
	case path == "cosmos/bank/v1beta1/supply/by_denom":
		say(w, 200, object{"amount": object{"denom": "acairn", "amount": "99999998612345678901234567"}})
	case path == "cosmos/auth/v1beta1/module_accounts/market":
		say(w, 200, object{"account": object{
			"@type": "/cosmos.auth.v1beta1.ModuleAccount", "name": "market", "permissions": []string{"burner"},
			"base_account": object{"address": bech("market"), "pub_key": nil, "account_number": "7", "sequence": "0"},
		}})
	case len(parts) == 6 && strings.HasPrefix(path, "cosmos/bank/v1beta1/balances/") && parts[5] == "by_denom":
		say(w, 200, object{"balance": object{"denom": "acairn", "amount": n.balance(parts[4], empty)}})
	case path == "cairn/device/v1/devices":
		var list []any
		for _, node := range n.nodes {
			if owner := query.Get("owner"); !empty && (owner == "" || owner == bech(ownerOf(node.id))) {
				list = append(list, n.device(node))
			}
		}
		say(w, 200, object{"devices": orEmpty(list), "pagination": object{"next_key": nil, "total": fmt.Sprint(len(list))}})
	case len(parts) == 5 && strings.HasPrefix(path, "cairn/device/v1/devices/"):
		id := number(parts[4])
		if empty || id == 0 || id > uint64(len(n.nodes)) {
			say(w, 404, object{"code": 5, "message": "device " + parts[4] + ": not found", "details": []any{}})
			return
		}
		say(w, 200, object{"device": n.device(n.nodes[id-1])})
	case path == "cairn/market/v1/offers":
		var list []any
		for _, node := range n.nodes {
			if of := query.Get("device"); !empty && (of == "" || of == fmt.Sprint(node.id)) {
				list = append(list, offer(node))
			}
		}
		say(w, 200, object{"offers": orEmpty(list), "pagination": object{"next_key": nil, "total": "0"}})
	case path == "cairn/market/v1/leases":
		list := []any{}
		if who := query.Get("consumer"); !empty && (who == "" || who == bech(renterName)) {
			list = append(list, lease(1, "LEASE_STATE_CLOSED"), lease(2, "LEASE_STATE_OPEN"))
		}
		say(w, 200, object{"leases": list, "pagination": object{"next_key": nil, "total": "0"}})
	case len(parts) == 5 && strings.HasPrefix(path, "cairn/market/v1/leases/"):
		id := number(parts[4])
		if empty || id == 0 || id > 2 {
			say(w, 404, object{"code": 5, "message": "lease " + parts[4] + ": not found", "details": []any{}})
			return
		}
		state := map[uint64]string{1: "LEASE_STATE_CLOSED", 2: "LEASE_STATE_OPEN"}[id]
		var items []any
		for _, node := range n.nodes {
			items = append(items, n.item(id, node))
		}
		say(w, 200, object{"lease": lease(id, state), "items": items})
	case len(parts) == 6 && strings.HasPrefix(path, "cairn/market/v1/devices/") && parts[5] == "items":
		items := []any{}
		if id := number(parts[4]); id > 0 && id <= uint64(len(n.nodes)) {
			items = []any{n.item(2, n.nodes[id-1]), n.item(1, n.nodes[id-1])}
		}
		say(w, 200, object{"items": items, "pagination": object{"next_key": nil, "total": "0"}})
	case len(parts) == 6 && strings.HasPrefix(path, "cairn/market/v1/devices/") && parts[5] == "reputation":
		say(w, 200, object{"reputation": object{"device": parts[4], "completed": "1", "abandoned": "0"}})
	case path == "cairn/market/v1/totals":
		of := query.Get("device")
		total := object{"device": cmp.Or(of, "0"), "resource": "", "denom": "acairn", "paid": "98123456789012345678", "burned": "2515985558692624248", "units": "0"}
		if of != "" {
			total["paid"], total["burned"], total["units"] = earned(number(of)), "0", "17000000"
		}
		totals := []any{total}
		if empty {
			totals = []any{}
		}
		say(w, 200, object{"totals": totals})
	case n.serveProofs(w, path, height, empty):
	default:
		say(w, 501, object{"code": 12, "message": "Not Implemented", "details": []any{}})
	}
}

func orEmpty(list []any) []any {
	if list == nil {
		return []any{}
	}
	return list
}

func (n *network) balance(of string, empty bool) string {
	switch {
	case of == bech("market") && empty:
		return "0"
	case of == bech("market"):
		return "41236519283746510293"
	case of == bech(renterName):
		return "999957812345678901234567"
	}
	for i, name := range ownerNames {
		if of == bech(name) {
			return fmt.Sprintf("%d00%d12345678901234567", 10000+i*7, i+1)
		}
	}
	return "0"
}

func (n *network) device(node *fakeNode) object {
	models := []string{"Home server", "NAS 4-bay", "Raspberry Pi 5", ""}
	regions := []string{"DE", "NL", "FR", "AT", "US", ""}
	return object{
		"id": fmt.Sprint(node.id), "owner": bech(ownerOf(node.id)), "operator": bech(node.name + " operator"),
		"pubkey": object{"type": "KEY_TYPE_ED25519", "key": key32(node.name)}, "kind": "storage",
		"model": models[node.id%4], "cell": "0", "elevation": 0, "region": regions[node.id%6],
		"endpoint": fmt.Sprintf("127.0.0.1:%d", 20000+node.id),
		"deposit":  object{"denom": "acairn", "amount": "10000000000000000000"}, "bond": object{"denom": "acairn", "amount": "0"},
		"tier": 0, "state": "DEVICE_STATE_ACTIVE", "jailed_until": "0",
		"registered_at": fmt.Sprint(n.begun.Add(-26*time.Hour).Unix() - int64(node.id)*300), "pending_owner": "", "release_at": "0",
	}
}

func streamPrice(id uint64) object {
	return object{"amount": fmt.Sprintf("%d00000000000000000", 35+id), "per": "2592000000000000000"}
}

func offer(node *fakeNode) object {
	return object{
		"id": fmt.Sprint(node.id), "device": fmt.Sprint(node.id), "resource": "storage", "denom": "acairn",
		"stream": streamPrice(node.id), "metered": object{"amount": "7000000", "per": "1"},
		"capacity": fmt.Sprint(500 * gigabyte), "reserved": fmt.Sprint(20 * gigabyte), "min_seconds": "86400", "max_seconds": "31536000",
		"terms": "", "state": "OFFER_STATE_OPEN",
	}
}

func lease(id uint64, state string) object {
	now := time.Now().Unix()
	open := 0
	if state == "LEASE_STATE_OPEN" {
		open = len(nodeNames)
	}
	return object{
		"id": fmt.Sprint(id), "consumer": bech(renterName), "session_key": key32("session"), "resource": "storage", "denom": "acairn",
		"opened_at": fmt.Sprint(now - 90_000/int64(id)), "expires_at": fmt.Sprint(now + 29*86400*(int64(id)-1) - 600), "state": state, "open_items": open,
	}
}

func earned(id uint64) string { return fmt.Sprintf("%d8123456789012345", 11+id*5%17) }

func (n *network) item(lease uint64, node *fakeNode) object {
	state, escrow := "ITEM_STATE_OPEN", fmt.Sprintf("34%d6519283746510293", node.id%10)
	if lease == 1 {
		state, escrow = "ITEM_STATE_CLOSED", "0"
	}
	return object{
		"lease": fmt.Sprint(lease), "device": fmt.Sprint(node.id), "offer": fmt.Sprint(node.id), "units": fmt.Sprint(20 * gigabyte),
		"stream": streamPrice(node.id), "metered": object{"amount": "7000000", "per": "1"}, "escrow": escrow,
		"streamed": fmt.Sprintf("5%d23456789012345", node.id), "vouched": earned(node.id), "vouched_units": fmt.Sprint(17_000_000 * node.id),
		"seq": "41", "accrued_at": fmt.Sprint(time.Now().Unix() - 35), "state": state, "close_at": "0",
	}
}

func txsOf(height int64) int {
	switch {
	case height%11 == 0:
		return 14
	case height%4 == 0:
		return int(height%3) + 1
	}
	return 0
}

func (n *network) blockTime(height int64) string {
	return n.begun.Add(time.Duration(height-genesisAt) * time.Second).UTC().Format("2006-01-02T15:04:05.000000000Z")
}

func hashOf(height int64) string {
	sum := sha256.Sum256(fmt.Append(nil, "block ", height))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func (n *network) header(height int64) object {
	return object{
		"height": fmt.Sprint(height), "time": n.blockTime(height), "chain_id": "cairn-devnet-1",
		"proposer_address": hashOf(height % 4)[:40], "app_hash": hashOf(height - 1),
	}
}

// serveBlockchain answers as CometBFT does: newest first, at most twenty, an error for an empty range.
func (n *network) serveBlockchain(w http.ResponseWriter, low, high string, latest int64) {
	from, _ := strconv.ParseInt(low, 10, 64)
	to, _ := strconv.ParseInt(high, 10, 64)
	if to == 0 || to > latest {
		to = latest
	}
	from = max(1, from, to-19)
	if from > to {
		say(w, 500, object{"jsonrpc": "2.0", "error": object{"code": -32603, "message": "Internal error", "data": "min height can't be greater than max height"}})
		return
	}
	var metas []any
	for h := to; h >= from; h-- {
		metas = append(metas, object{
			"block_id": object{"hash": hashOf(h)}, "block_size": "1234", "header": n.header(h), "num_txs": fmt.Sprint(txsOf(h)),
		})
	}
	say(w, 200, object{"jsonrpc": "2.0", "id": -1, "result": object{"last_height": fmt.Sprint(latest), "block_metas": metas}})
}

func (n *network) serveBlock(w http.ResponseWriter, height int64) {
	txs := []string{}
	for range txsOf(height) {
		txs = append(txs, base64.StdEncoding.EncodeToString(make([]byte, 311)))
	}
	say(w, 200, object{"jsonrpc": "2.0", "id": -1, "result": object{
		"block_id": object{"hash": hashOf(height)},
		"block":    object{"header": n.header(height), "data": object{"txs": txs}},
	}})
}

func (n *network) serveResults(w http.ResponseWriter, height int64) {
	attribute := func(key string, v any) object {
		text, _ := json.Marshal(v)
		return object{"key": key, "value": string(text), "index": true}
	}
	coin := func(amount string) object { return object{"denom": "acairn", "amount": amount} }
	var results []any
	for i := range txsOf(height) {
		id := fmt.Sprint(i%12 + 1)
		result := object{"code": 0, "log": "", "gas_wanted": "120000", "gas_used": "84211", "events": []any{
			object{"type": "tx", "attributes": []any{object{"key": "fee", "value": "1acairn", "index": true}}},
			object{"type": "cairn.market.v1.EventSettled", "attributes": []any{
				attribute("lease", "2"), attribute("device", id), attribute("owner", bech(ownerNames[i%6])),
				attribute("paid", coin("1234567890123456")), attribute("burned", coin("31655586926242")),
				attribute("streamed", "1000000000000000"), attribute("unpaid", "0"),
				object{"key": "msg_index", "value": "0", "index": true},
			}},
		}}
		if i == 1 {
			result = object{"code": 7, "log": "failed to execute message; message index: 0: voucher of lease 2: sequence 3 is not above 41", "gas_wanted": "120000", "gas_used": "31002", "events": []any{}}
		}
		results = append(results, result)
	}
	say(w, 200, object{"jsonrpc": "2.0", "id": -1, "result": object{"height": fmt.Sprint(height), "txs_results": results, "finalize_block_events": []any{}}})
}

func (n *network) serveNode(w http.ResponseWriter, node *fakeNode) {
	node.mu.Lock()
	down := node.down
	node.mu.Unlock()
	mood, _, release := n.now()
	if mood == "slow" {
		<-release
	}
	if down {
		panic(http.ErrAbortHandler)
	}
	used := (1_900 + node.id*137%900) * 1_000_000
	status := object{
		"device_id": node.id, "name": node.name, "endpoint": fmt.Sprintf("127.0.0.1:%d", 20000+node.id),
		"used_bytes": used, "capacity_bytes": 500 * gigabyte, "reserved": 20 * gigabyte, "pieces": used / 820_000, "leases": 1,
		"earned": earned(node.id), "pending_vouchers": "3712345678901", "pending_stream": "92345678901234", "egress_bytes": 17_000_000 * node.id,
		"ingress_bytes": used + 4_000_000, "disk_bytes": used + used/50, "free_bytes": 480 * gigabyte, "connections": 2,
		"uptime": 93_784, "version": "v0.1.0", "warnings": []string{},
	}
	if node.name == "quartz" && mood == "troubled" {
		status["warnings"] = []string{"the disk is 91 % full"}
	}
	say(w, 200, status)
}

func (n *network) serveGateway(w http.ResponseWriter, r *http.Request) {
	mood, _, release := n.now()
	if mood == "slow" {
		<-release
	}
	now := time.Now().Unix()
	empty, troubled := mood == "empty", mood == "troubled"
	if r.URL.Path == "/placement" {
		n.servePlacement(w, r.URL.Query().Get("bucket"), troubled)
		return
	}
	var peers []any
	for _, node := range n.nodes {
		peers = append(peers, object{
			"device": node.id, "owner": bech(ownerOf(node.id)), "endpoint": fmt.Sprintf("127.0.0.1:%d", 20000+node.id), "state": "healthy",
			"latency_ms": 2.847, "bytes": 1_900_000_000, "pieces": 2317, "success": 0.998, "bad": 1,
		})
	}
	status := object{
		"buckets": []any{
			object{"name": "photos", "objects": 12_480, "bytes": 9_876_543_210, "class": "dev"},
			object{"name": "backup", "objects": 311, "bytes": 4_210_000_000, "class": "dev"},
			object{"name": "notes", "objects": 87, "bytes": 61_440, "class": "small"},
		},
		"nodes": peers,
		"lease": object{
			"id": 2, "escrow": json.Number("41236519283746510293"), "dry_at": now + 11*86400, "expires_at": now + 29*86400,
			"spent": json.Number("1387654321098765433"), "rate_per_month": json.Number("9720000000000000000"),
		},
		"repair":   object{"healthy": 851, "degraded": 0, "lost": 0, "queue": 0, "rebuilt": 12},
		"snapshot": object{"version": 31, "age_s": 74}, "warnings": []string{},
	}
	if empty {
		status["buckets"], status["lease"], status["repair"] = []any{}, nil, object{"healthy": 0, "degraded": 0, "lost": 0, "queue": 0, "rebuilt": 0}
	}
	if troubled {
		status["repair"] = object{"healthy": 790, "degraded": 58, "lost": 0, "queue": 41, "rebuilt": 12}
		status["warnings"] = []object{{"code": "escrow_low", "text": "The escrow of lease 2 covers 19 h more; the account that pays for it holds too little to top it up."}}
	}
	say(w, 200, status)
}

// servePlacement spreads 40 segments of class dev (4/6/8/10) over the twelve nodes.
func (n *network) servePlacement(w http.ResponseWriter, bucket string, troubled bool) {
	var segments []any
	for s := range 40 {
		held := 10 - (s*7)%3
		if troubled && s < 5 {
			held = 7 - s/2
		}
		pieces := []uint64{}
		for i := range held {
			pieces = append(pieces, uint64((s*5+i*(1+s%2*4))%12)+1)
		}
		sum := sha256.Sum256(fmt.Append(nil, bucket, s))
		segments = append(segments, object{"id": hex.EncodeToString(sum[:16]), "size": 16 << 20, "class": "dev", "pieces": pieces})
	}
	say(w, 200, object{
		"bucket": bucket, "classes": []object{{"name": "dev", "k": 4, "repair": 6, "optimal": 8, "total": 10}},
		"segments_total": 590, "segments": segments,
	})
}
