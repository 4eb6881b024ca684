package web

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/cairn-network/cairn/core/address"
)

// ask gets a path from the handler as a browser on this machine would.
func ask(t testing.TB, h http.Handler, method, target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(method, target, nil)
	req.Host = "127.0.0.1:8080"
	for _, f := range change {
		f(req)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

// refusal reads an error's code.
func refusal(t testing.TB, rec *httptest.ResponseRecorder) string {
	t.Helper()
	var body struct{ Code, Message string }
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || body.Message == "" {
		t.Fatalf("a refusal must be JSON with a message, got %q (%v)", rec.Body, err)
	}
	return body.Code
}

func TestAllowList(t *testing.T) {
	net := newNetwork(t)
	h := New(net.config())
	for _, c := range []struct {
		target string
		status int
		code   string // of a refusal
	}{
		{"/api/chain/cairn/device/v1/devices", 200, ""},
		{"/api/chain/cairn/device/v1/devices?pagination.limit=5&owner=cairn1x", 200, ""},
		{"/api/chain/cairn/market/v1/leases/2", 200, ""},
		{"/api/chain/cosmos/bank/v1beta1/supply/by_denom?denom=acairn", 200, ""},
		{"/api/chain/cosmos/auth/v1beta1/module_accounts/market", 200, ""},
		{"/api/rpc/status", 200, ""},
		{"/api/rpc/blockchain?minHeight=1&maxHeight=5", 200, ""},
		{"/api/rpc/block?height=5", 200, ""},
		{"/api/gateway/status", 200, ""},
		{"/api/gateway/placement?bucket=photos&limit=4", 200, ""},
		{"/api/info", 200, ""},
		{"/api/nodes", 200, ""},

		{"/api/chain/", 403, "not_allowed"},
		{"/api/chain/cairn", 403, "not_allowed"},
		{"/api/chain/cairn/device/v1/", 403, "not_allowed"},
		{"/api/chain/cairn/secret/v1/x", 403, "not_allowed"},
		{"/api/chain/cosmos/tx/v1beta1/txs", 403, "not_allowed"},
		{"/api/chain/cosmos/tx/v1beta1/simulate", 403, "not_allowed"},
		{"/api/chain/cosmos/auth/v1beta1/accounts", 403, "not_allowed"},
		{"/api/chain/cosmos/bank/v1beta1/supply", 403, "not_allowed"},
		{"/api/chain/cosmos/base/node/v1beta1/config", 403, "not_allowed"},
		{"/api/chain/cairn/device/v1/%2e%2e/%2e%2e/%2e%2e/cosmos/tx/v1beta1/txs", 403, "not_allowed"},
		{"/api/chain/cairn/device/v1/..%2f..%2f..%2fcosmos", 403, "not_allowed"},
		{"/api/chain/cairn/device/v1/devices%3fowner=x", 403, "not_allowed"},
		{"/api/chain/cairn/device/v1/devices%23x", 403, "not_allowed"},
		{"/api/chain/cairn/device/v1/devices%00", 403, "not_allowed"},
		{"/api/chain/cairn/device/v1/devices%0d%0aHost:x", 403, "not_allowed"},
		{"/api/chain/@evil.example/cairn/device/v1/x", 403, "not_allowed"},
		{"/api/chain/cairn/device/v1/" + strings.Repeat("a", 300), 403, "not_allowed"},
		{"/api/chain/cairn/device/v1/devices?" + strings.Repeat("a", 1100) + "=1", 400, "query"},
		{"/api/chain/cairn/device/v1/devices?a%20b=1", 400, "query"},
		{"/api/chain/cairn/device/v1/devices?owner=a&owner=b", 400, "query"},
		{"/api/chain/cairn/device/v1/devices?owner=%zz", 400, "query"},
		{"/api/rpc/broadcast_tx_sync?tx=0x00", 403, "not_allowed"},
		{"/api/rpc/broadcast_tx_commit", 403, "not_allowed"},
		{"/api/rpc/dump_consensus_state", 403, "not_allowed"},
		{"/api/rpc/net_info", 403, "not_allowed"},
		{"/api/rpc/genesis", 403, "not_allowed"},
		{"/api/rpc/unsafe_flush_mempool", 403, "not_allowed"},
		{"/api/rpc/abci_query?path=x", 403, "not_allowed"},
		{"/api/rpc/status?x=1", 400, "query"},
		{"/api/rpc/block?height=5&prove=true", 400, "query"},
		{"/api/gateway/status?x=1", 400, "query"},
		{"/api/gateway/placement?bucket=a&secret=1", 400, "query"},
		{"/api/gateway/metrics", 404, "no_route"},
		{"/api/nodes/1", 404, "no_route"},
		{"/api/", 404, "no_route"},
	} {
		before := len(net.asked)
		rec := ask(t, h, "GET", c.target)
		if rec.Code != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.target, rec.Code, c.status, rec.Body)
			continue
		}
		if !json.Valid(rec.Body.Bytes()) || rec.Header().Get("Content-Type") != "application/json" || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: answer is not fresh JSON: %v %s", c.target, rec.Header(), rec.Body)
		}
		if c.code != "" {
			if got := refusal(t, rec); got != c.code {
				t.Errorf("%s: refused with %q, want %q", c.target, got, c.code)
			}
			if len(net.asked) != before {
				t.Errorf("%s: refused, and yet the chain was asked for %s", c.target, net.asked[before:])
			}
		}
	}
}

// What is refused by shape never reaches the chain; what passes reaches it as it was checked.
func FuzzChainPath(f *testing.F) {
	for _, seed := range []string{"cairn/device/v1/devices/3", "cosmos/bank/v1beta1/supply", "cairn/../x", "cairn/device/v1/%2e", "a//b", "cairn/market/v1/a.b", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if !chainPath(path) {
			return
		}
		if strings.ContainsAny(path, "%?#\\:@ \r\n\x00") || strings.Contains(path, "..") || strings.Contains(path, "//") {
			t.Errorf("%q passes", path)
		}
		if req := httptest.NewRequest("GET", "/"+path, nil); req.URL.Path != "/"+path || req.URL.EscapedPath() != "/"+path {
			t.Errorf("%q would be asked for as %q", path, req.URL.EscapedPath())
		}
	})
}

func TestOnlyReading(t *testing.T) {
	net := newNetwork(t)
	h := New(net.config())
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"} {
		rec := ask(t, h, method, "/api/chain/cairn/device/v1/devices")
		if rec.Code != http.StatusMethodNotAllowed || rec.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d, Allow %q", method, rec.Code, rec.Header().Get("Allow"))
		}
	}
	if len(net.asked) != 0 {
		t.Errorf("the chain was asked: %s", net.asked)
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	h := New(Config{})
	for _, target := range []string{"/", "/index.html", "/assets/none.js", "/api/info", "/api/none", "/api/chain/x", "/cairn.svg"} {
		header := ask(t, h, "GET", target).Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if header.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", target, name, header.Get(name), want)
			}
		}
		csp := header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s: the policy lacks %s: %q", target, part, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "http:") || strings.Contains(csp, "*") {
			t.Errorf("%s: the policy is loose: %q", target, csp)
		}
		if len(header.Values("Access-Control-Allow-Origin")) != 0 {
			t.Errorf("%s: other origins may read it", target)
		}
	}
}

func TestForeignHostIsRefused(t *testing.T) {
	h := New(Config{Hosts: []string{"Cairn.Example"}})
	for host, want := range map[string]int{
		"127.0.0.1:8080": 200, "localhost:8080": 200, "LOCALHOST": 200, "[::1]:8080": 200, "[::1]": 200, "192.168.1.7:8080": 200, "page.localhost": 200,
		"cairn.example": 200, "cairn.example:443": 200, "CAIRN.example.": 200,
		"evil.example": 421, "evil.example:8080": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "": 421, "cairn.example.evil": 421,
	} {
		rec := ask(t, h, "GET", "/api/info", func(r *http.Request) { r.Host = host })
		if rec.Code != want {
			t.Errorf("Host %q: status %d, want %d", host, rec.Code, want)
		}
	}
}

// Nothing that a browser sends besides path and query goes on, and nothing that the upstream sends
// besides status and JSON comes back.
func TestNothingElsePasses(t *testing.T) {
	var got http.Header
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Grpc-Metadata-X", "y")
		w.Write([]byte(`{}`))
	}))
	defer upstream.Close()
	h := New(Config{REST: upstream.URL})
	rec := ask(t, h, "GET", "/api/chain/cairn/device/v1/params", func(r *http.Request) {
		r.Header.Set("Cookie", "session=1")
		r.Header.Set("Authorization", "Bearer x")
		r.Header.Set("X-Cosmos-Block-Height", "1")
		r.Header.Set("X-Forwarded-For", "1.2.3.4")
	})
	for _, name := range []string{"Cookie", "Authorization", "X-Cosmos-Block-Height", "X-Forwarded-For"} {
		if got.Get(name) != "" {
			t.Errorf("%s went on to the chain", name)
		}
	}
	for _, name := range []string{"Set-Cookie", "Access-Control-Allow-Origin", "Grpc-Metadata-X"} {
		if rec.Header().Get(name) != "" {
			t.Errorf("%s came back to the browser", name)
		}
	}
}

func TestUpstreamTrouble(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc // nil for nothing there
		base    string
		status  int
		code    string
	}{
		{"absent", nil, "", 404, "absent"},
		{"nothing listens", nil, closed.URL, 502, "unreachable"},
		{"plain text", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }, "", 502, "not_json"},
		{"plain text error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such height", 500) }, "", 500, "not_json"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.example/", http.StatusFound)
		}, "", 502, ""},
		{"breaks off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("{"))
			panic(http.ErrAbortHandler)
		}, "", 502, "unreachable"},
		{"too large", func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`"`))
			w.Write(bytes.Repeat([]byte("a"), maxAnswer))
			w.Write([]byte(`"`))
		}, "", 502, "too_large"},
		{"not found", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			w.Write([]byte(`{"code":5,"message":"device 9: not found","details":[]}`))
		}, "", 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{REST: c.base}
			if c.handler != nil {
				server := httptest.NewServer(c.handler)
				defer server.Close()
				cfg.REST = server.URL
			}
			rec := ask(t, New(cfg), "GET", "/api/chain/cairn/device/v1/devices/9")
			if rec.Code != c.status {
				t.Errorf("status %d, want %d", rec.Code, c.status)
			}
			if !json.Valid(rec.Body.Bytes()) {
				t.Errorf("not JSON: %.100q", rec.Body)
			}
			if c.code != "" && refusal(t, rec) != c.code {
				t.Errorf("code %q, want %q", refusal(t, rec), c.code)
			}
		})
	}
}

// The type that goes to the browser cannot carry a secret, because no field of it has such a name.
func TestInfoHasNoPlaceForSecrets(t *testing.T) {
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Slice, reflect.Pointer:
			walk(typ.Elem())
		case reflect.Struct:
			for field := range typ.Fields() {
				for _, word := range []string{"mnemonic", "secret", "private", "seed", "password"} {
					if strings.Contains(strings.ToLower(field.Name+field.Tag.Get("json")), word) {
						t.Errorf("%s.%s", typ, field.Name)
					}
				}
				walk(field.Type)
			}
		}
	}
	walk(reflect.TypeFor[Info]())
}

func TestInfoFillsWhatConfigKnows(t *testing.T) {
	rec := ask(t, New(Config{
		REST: "http://127.0.0.1:1317", RPC: "http://127.0.0.1:26657", JSONRPC: "http://127.0.0.1:8545",
		Info: func() Info {
			return Info{Accounts: []Account{{Name: "alice", Address: bech("alice")}, {Name: "odd", Address: "cairn1x"}}}
		},
	}), "GET", "/api/info")
	var info Info
	if err := json.Unmarshal(rec.Body.Bytes(), &info); err != nil {
		t.Fatal(err)
	}
	if info.Endpoints.REST != "http://127.0.0.1:1317" || info.Endpoints.JSONRPC != "http://127.0.0.1:8545" || len(info.Accounts) != 2 ||
		info.Accounts[0].Hex != address.Hex(accountOf("alice")) || info.Accounts[1].Hex != "" {
		t.Errorf("info %+v", info)
	}
}

func nodesOf(t testing.TB, h http.Handler) []nodeReport {
	t.Helper()
	var reports []nodeReport
	rec := ask(t, h, "GET", "/api/nodes")
	if err := json.Unmarshal(rec.Body.Bytes(), &reports); err != nil {
		t.Fatalf("reading %s: %v", rec.Body, err)
	}
	return reports
}

func TestDeadNodeKeepsItsLastFigures(t *testing.T) {
	net := newNetwork(t)
	now := time.Unix(1_700_000_000, 0)
	cfg := net.config()
	cfg.Now = func() time.Time { return now }
	h := New(cfg)
	first := nodesOf(t, h)
	if len(first) != len(net.nodes) || !first[2].Up || first[2].SeenAt != now.Unix() {
		t.Fatalf("first round: %+v", first)
	}
	net.set("troubled") // the third, seventh and tenth node die
	if again := nodesOf(t, h); !again[2].Up {
		t.Error("a round within a second should have answered from the one before")
	}
	now = now.Add(time.Minute)
	second := nodesOf(t, h)
	if second[2].Up || second[2].Error == "" || second[2].SeenAt != first[2].SeenAt || string(second[2].Status) != string(first[2].Status) {
		t.Errorf("the dead node: %+v", second[2])
	}
	if !second[0].Up || second[0].SeenAt != now.Unix() {
		t.Errorf("a live node: %+v", second[0])
	}
	net.set("calm")
	now = now.Add(time.Minute)
	if third := nodesOf(t, h); !third[2].Up || third[2].Error != "" {
		t.Errorf("the node is back: %+v", third[2])
	}
}

func TestNodesThatAnswerBadly(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"not JSON":      func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"an array":      func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("[1]")) },
		"two values":    func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}{}")) },
		"an error":      func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", 500) },
		"a redirect":    func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) },
		"too much":      func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte(" "), maxStatus+1)) },
		"breaking off":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"empty":         func(http.ResponseWriter, *http.Request) {},
		"wrong id type": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"device_id":{"a":1}}`)) },
	} {
		server := httptest.NewServer(handler)
		reports := nodesOf(t, New(Config{Nodes: func() []NodeSource { return []NodeSource{{Name: "n", DeviceID: 4, URL: server.URL}} }}))
		if len(reports) != 1 || reports[0].DeviceID != 4 {
			t.Errorf("%s: %+v", name, reports)
		} else if up := name == "wrong id type"; reports[0].Up != up || (reports[0].Error == "") != up {
			t.Errorf("%s: up %v, error %q", name, reports[0].Up, reports[0].Error)
		}
		server.Close()
	}
}

func TestNodeTellsItsOwnID(t *testing.T) {
	net := newNetwork(t)
	h := New(Config{Nodes: func() []NodeSource { return []NodeSource{{Name: "granite", URL: net.nodes[0].server.URL}} }})
	if reports := nodesOf(t, h); reports[0].DeviceID != 1 {
		t.Errorf("device %d, want 1", reports[0].DeviceID)
	}
}

func TestNoNodes(t *testing.T) {
	if rec := ask(t, New(Config{}), "GET", "/api/nodes"); rec.Code != 200 || strings.TrimSpace(rec.Body.String()) != "[]" {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}

func TestLargeIntegersAreQuoted(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":41236519283746510293}`:                  `{"a":"41236519283746510293"}`,
		`[-9007199254740993,1]`:                       `["-9007199254740993",1]`,
		`999999999999999`:                             `999999999999999`,
		`9007199254740993`:                            `"9007199254740993"`,
		`{"f":0.998,"e":1e21,"s":"9007199254740993"}`: `{"e":1e21,"f":0.998,"s":"9007199254740993"}`,
		`null`: `null`,
	} {
		got, err := quoteLargeIntegers([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "{", "{} {}", "01", "nul", strings.Repeat("[", 20_000)} {
		if _, err := quoteLargeIntegers([]byte(bad)); err == nil {
			t.Errorf("%.20q is read as JSON", bad)
		}
	}
}

func FuzzQuoteLargeIntegers(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2,{"b":12345678901234567890}]}`, `-0`, `1e400`, `"\ud800"`, `{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		once, err := quoteLargeIntegers(raw)
		if err != nil {
			return
		}
		if !json.Valid(once) {
			t.Fatalf("%q becomes %q, which is not JSON", raw, once)
		}
		again, err := quoteLargeIntegers(once)
		if err != nil || !bytes.Equal(once, again) {
			t.Fatalf("%q, then %q (%v)", once, again, err)
		}
		dec := json.NewDecoder(bytes.NewReader(once))
		dec.UseNumber()
		for {
			token, err := dec.Token()
			if err != nil {
				break
			}
			if n, ok := token.(json.Number); ok && !strings.ContainsAny(n.String(), ".eE") {
				if v, err := n.Int64(); err != nil || v > 1<<53 || v < -1<<53 {
					t.Fatalf("%s stayed a number", n)
				}
			}
		}
	})
}

func TestAssets(t *testing.T) {
	script := strings.Repeat("export const stone = 1;\n", 200)
	h := assetsOf(fstest.MapFS{
		"index.html":          {Data: []byte("<!doctype html><title>Cairn</title>")},
		"assets/index-abc.js": {Data: []byte(script)},
		"cairn.svg":           {Data: []byte("<svg/>")},
		".gitkeep":            {},
		"assets/.hidden":      {Data: []byte("x")},
	})
	get := func(target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
		return ask(t, h, "GET", target, change...)
	}
	gzipped := func(r *http.Request) { r.Header.Set("Accept-Encoding", "br, gzip;q=0.8") }

	js := get("/assets/index-abc.js")
	if js.Body.String() != script || js.Header().Get("Content-Type") != "text/javascript; charset=utf-8" ||
		js.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || js.Header().Get("Vary") != "Accept-Encoding" {
		t.Errorf("script: %v", js.Header())
	}
	packed := get("/assets/index-abc.js", gzipped)
	reader, err := gzip.NewReader(packed.Body)
	if err != nil || packed.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("packed script: %v %v", packed.Header(), err)
	}
	if plain, _ := io.ReadAll(reader); string(plain) != script {
		t.Error("the packed script unpacks to something else")
	}
	if tag := packed.Header().Get("ETag"); tag == js.Header().Get("ETag") {
		t.Errorf("both encodings have the tag %s", tag)
	} else if rec := get("/assets/index-abc.js", gzipped, func(r *http.Request) { r.Header.Set("If-None-Match", tag) }); rec.Code != 304 || rec.Body.Len() != 0 {
		t.Errorf("known file: status %d, %d bytes", rec.Code, rec.Body.Len())
	}
	for _, target := range []string{"/", "/index.html", "/devices", "/a/b/c"} {
		if rec := get(target); rec.Code != 200 || !strings.Contains(rec.Body.String(), "<title>Cairn") || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, %v", target, rec.Code, rec.Header())
		}
	}
	for _, target := range []string{"/assets/", "/assets", "/assets/index-old.js", "/assets/.hidden", "/.gitkeep", "/robots.txt", "/x/../../etc/passwd.txt"} {
		rec := get(target)
		if target == "/assets" { // a word like any other: the page, never a listing
			if strings.Contains(rec.Body.String(), "index-abc") {
				t.Errorf("%s lists files", target)
			}
			continue
		}
		if rec.Code != 404 {
			t.Errorf("%s: status %d, want 404", target, rec.Code)
		}
	}
	if rec := ask(t, h, "HEAD", "/cairn.svg"); rec.Code != 200 || rec.Body.Len() != 0 || rec.Header().Get("Content-Length") != "6" || rec.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("HEAD: %d, %v", rec.Code, rec.Header())
	}
}

func TestUnbuiltPageSaysWhatToDo(t *testing.T) {
	h := assetsOf(fstest.MapFS{".gitkeep": {}})
	if rec := ask(t, h, "GET", "/"); rec.Code != 200 || !strings.Contains(rec.Body.String(), "make web") || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"gzip": true, "br, GZIP": true, "gzip;q=0.5": true, "gzip; q=1": true, "gzip;q=0.001": true,
		"": false, "br": false, "gzip;q=0": false, "gzip; q=0.000": false, "xgzip": false,
	} {
		if acceptsGzip(header) != want {
			t.Errorf("%q: %v", header, !want)
		}
	}
}

// stream opens the event stream and returns its lines as they come.
func stream(t testing.TB, url, lastID string) (lines <-chan string, leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", url+"/api/events", nil)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("status %d, type %s", resp.StatusCode, kind)
	}
	out := make(chan string, 1000)
	go func() {
		defer close(out)
		for scanner := bufio.NewScanner(resp.Body); scanner.Scan(); {
			out <- scanner.Text()
		}
	}()
	return out, func() { cancel(); resp.Body.Close() }
}

// until reads lines up to one with that beginning and returns all of them.
func until(t testing.TB, lines <-chan string, prefix string) []string {
	t.Helper()
	var seen []string
	limit := time.After(20 * time.Second)
	for {
		select {
		case line, open := <-lines:
			if !open {
				t.Fatalf("the stream ended before %q: %q", prefix, seen)
			}
			seen = append(seen, line)
			if strings.HasPrefix(line, prefix) {
				return seen
			}
		case <-limit:
			t.Fatalf("no %q came: %q", prefix, seen)
		}
	}
}

func TestEvents(t *testing.T) {
	net := newNetwork(t)
	cfg := net.config()
	cfg.Poll = 5 * time.Millisecond
	h := New(cfg)
	server := httptest.NewServer(h)
	defer server.Close()
	defer h.Close()

	lines, leave := stream(t, server.URL, "")
	defer leave()
	first := until(t, lines, "id: 1204")
	joined := strings.Join(first, "\n")
	if !strings.Contains(joined, `"up":true`) || !strings.Contains(joined, `"chain_id":"cairn-devnet-1"`) {
		t.Errorf("the chain's state does not come first: %s", joined)
	}
	if n := strings.Count(joined, "event: block"); n != keptBlocks {
		t.Errorf("%d blocks come at once, want %d", n, keptBlocks)
	}
	until(t, lines, "data: ")
	net.make(45) // more than one page of headers
	if missed := strings.Count(strings.Join(until(t, lines, "id: 1249"), "\n"), "event: block"); missed != 45 {
		t.Errorf("%d blocks follow, want 45", missed)
	}
	net.set("away")
	until(t, lines, `data: {"up":false`)
	net.set("calm")
	until(t, lines, `data: {"up":true`)

	// One who comes back gets what was missed and no more.
	back, leaveBack := stream(t, server.URL, "1247")
	defer leaveBack()
	got := strings.Join(until(t, back, "id: 1249"), "\n")
	if strings.Contains(got, "id: 1247") || !strings.Contains(got, "id: 1248") {
		t.Errorf("after 1247 came %s", got)
	}

	// Another chain at the same address, which is lower: everything anew.
	until(t, back, "data: ")
	net.make(-1200)
	if got := strings.Join(until(t, back, "id: 49"), "\n"); !strings.Contains(got, "id: 1\n") && !strings.Contains(got, "id: 48") {
		t.Errorf("of the new chain came %s", got)
	}
}

// However many watch, the chain is asked by one, and by none when none is left.
func TestOneFollowerForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		f := newFollower(&upstream{name: "chain RPC", base: "http://chain", log: slog.New(slog.DiscardHandler), client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			asked++
			body := `{"result":{"node_info":{"network":"c-1"},"sync_info":{"latest_block_height":"0","earliest_block_height":"0"}}}`
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})}}, time.Second)
		for range 100 {
			if err := f.join(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if asked != 11 {
			t.Errorf("100 viewers had the chain asked %d times in 10 s, want 11", asked)
		}
		for range 100 {
			f.leave()
		}
		before := asked
		time.Sleep(time.Minute)
		synctest.Wait()
		if asked != before {
			t.Errorf("nobody watches and the chain was asked %d times more", asked-before)
		}
		// And again, with an end to what was known before.
		if err := f.join(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		f.leave()
		if asked == before {
			t.Error("a new viewer did not start the follower again")
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTooManyViewers(t *testing.T) {
	net := newNetwork(t)
	h := New(net.config())
	server := httptest.NewServer(h)
	defer server.Close()
	defer h.Close()
	for range maxStreams {
		_, leave := stream(t, server.URL, "")
		defer leave()
	}
	resp, err := http.Get(server.URL + "/api/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
}

// A server that shuts down is not held up by those who watch.
func TestCloseEndsStreams(t *testing.T) {
	net := newNetwork(t)
	h := New(net.config())
	server := httptest.NewUnstartedServer(h)
	server.Config.RegisterOnShutdown(h.Close)
	server.Start()
	lines, leave := stream(t, server.URL, "")
	defer leave()
	until(t, lines, "event: chain")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := server.Config.Shutdown(ctx); err != nil {
		t.Errorf("shutting down: %v", err)
	}
	for range lines { // ends
	}
	h.Close() // twice is once
}
