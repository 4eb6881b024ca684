package reporter

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/cairn-network/cairn/core/score"
)

// Handler serves an archive to anyone. What is under a hash never changes.
//
//	GET /v1/epochs/{service}                       manifests, the newest first
//	GET /v1/accounts/{hash}                        accounts under an output root
//	GET /v1/facts/{hash}                           facts under an input root
//	GET /v1/accounts/{hash}/proof/{device}         a claim's proof
func (r *Reporter) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/epochs/{service}", r.serveEpochs)
	for _, kind := range []string{"accounts", "facts"} {
		mux.HandleFunc("GET /v1/"+kind+"/{hash}", func(w http.ResponseWriter, req *http.Request) { r.serveFile(w, req, kind) })
	}
	mux.HandleFunc("GET /v1/accounts/{hash}/proof/{device}", r.serveProof)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // public data, for web pages, too
		select {
		case r.serving <- struct{}{}:
			defer func() { <-r.serving }()
			mux.ServeHTTP(w, req)
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
		}
	})
}

// maxServing bounds the requests that are served at once.
const maxServing = 64

func (r *Reporter) serveEpochs(w http.ResponseWriter, req *http.Request) {
	service, err := score.ParseService(req.PathValue("service"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	manifests, err := r.archive.Manifests(service)
	if err != nil {
		r.Log.Warn("listing epochs", "error", err)
		http.Error(w, "the archive cannot be read", http.StatusInternalServerError)
		return
	}
	writeJSON(w, manifests)
}

func (r *Reporter) serveFile(w http.ResponseWriter, req *http.Request, kind string) {
	hash := req.PathValue("hash")
	f, err := r.archive.Open(kind, hash)
	if errors.Is(err, ErrNotKept) {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if err != nil {
		r.Log.Warn("serving", "kind", kind, "hash", hash, "error", err)
		http.Error(w, "the archive cannot be read", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, req, "", time.Time{}, f)
}

// ProofView is a claim's proof as it is served.
type ProofView struct {
	Device uint64 `json:"device"`
	Root   string `json:"root"`
	Proof  []byte `json:"proof"` // core/report.Proof as encoded
}

func (r *Reporter) serveProof(w http.ResponseWriter, req *http.Request) {
	hash := req.PathValue("hash")
	device, err := strconv.ParseUint(req.PathValue("device"), 10, 64)
	if err != nil {
		http.Error(w, fmt.Sprintf("device %q is not a number", req.PathValue("device")), http.StatusBadRequest)
		return
	}
	tree := r.treeOf(hash)
	if tree == nil {
		http.Error(w, "no tree with this root is in memory: fetch the accounts and prove it yourself", http.StatusServiceUnavailable)
		return
	}
	i, found := tree.Find(device)
	if !found {
		http.Error(w, fmt.Sprintf("device %d has no account under this root", device), http.StatusNotFound)
		return
	}
	proof, err := tree.Prove(i)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	encoded, err := proof.MarshalBinary()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	root := tree.Root()
	writeJSON(w, ProofView{Device: device, Root: hex.EncodeToString(root.Hash[:]), Proof: encoded})
}

func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // whoever asked may have gone
}
