package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestPage drives the built page in a real browser against the stand-in network: it reads what is
// shown in every view and mood, in light and dark and at a phone's width, and fails on any breach of
// the page's policy, any request to elsewhere and any error in the console. It needs the page
// (`make web`), its tools (npm ci in web/) and a Chromium, and runs where CAIRN_E2E is set:
//
//	CAIRN_E2E=1 go test -run TestPage ./web
//
// CAIRN_SHOTS names a folder for pictures of every view.
func TestPage(t *testing.T) {
	if os.Getenv("CAIRN_E2E") == "" {
		t.Skip("set CAIRN_E2E=1 to drive the page in a browser")
	}
	if _, err := dist.ReadFile("dist/index.html"); err != nil {
		t.Fatal("the page is not built: run `make web`")
	}
	net := newNetwork(t)
	cfg := net.config()
	cfg.Poll = 250 * time.Millisecond
	handler := New(cfg)
	page := httptest.NewServer(handler)
	defer page.Close()
	defer handler.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	ticking := make(chan struct{})
	go func() { // a block a second, as long as the browser looks
		defer close(ticking)
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-tick.C:
				net.make(1)
			case <-ctx.Done():
				tick.Stop()
				return
			}
		}
	}()
	control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		net.set(r.URL.Query().Get("mood"))
		fmt.Fprintln(w, "ok")
	}))
	defer control.Close()

	script, err := filepath.Abs("e2e/page.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Env = append(os.Environ(), "CAIRN_PAGE="+page.URL, "CAIRN_CONTROL="+control.URL)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("the page in the browser: %v", err)
	}
	cancel()
	<-ticking
}
