package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed all:dist
var dist embed.FS

// unbuilt is the page of a program that was built without `make web`.
const unbuilt = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Cairn</title>
<h1>The web page is not built</h1>
<p>This program was built without it. In the source tree, run <code>make web</code> (it needs Node 20
or newer with npm), then <code>make build</code>, and start again.</p>
<p>The network itself does not need the page: its figures are under <a href="/api/info">/api/info</a>.</p>
</html>
`

// asset is one file of the page, ready to send.
type asset struct {
	body, gzip  []byte // gzip is nil where it would not be smaller
	contentType string
	tag         string
	// hashed files carry the hash of their content in their name and never change.
	hashed bool
}

// assets serves the built page from memory: a few files, compressed once.
type assets struct {
	files func() map[string]asset // by path without leading slash
}

func newAssets() *assets {
	root, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	return assetsOf(root)
}

func assetsOf(root fs.FS) *assets {
	return &assets{files: sync.OnceValue(func() map[string]asset { return loadAssets(root) })}
}

func loadAssets(root fs.FS) map[string]asset {
	files := map[string]asset{}
	_ = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error { // an embedded tree does not fail
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		body, err := fs.ReadFile(root, name)
		if err == nil {
			files[name] = newAsset(name, body)
		}
		return err
	})
	if _, built := files["index.html"]; !built {
		files["index.html"] = newAsset("index.html", []byte(unbuilt))
	}
	return files
}

// contentTypes are those of the page's files; the system's table may lack or differ in some.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".json": "application/json", ".png": "image/png", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
	".webmanifest": "application/manifest+json",
}

func newAsset(name string, body []byte) asset {
	ext := path.Ext(name)
	kind := contentTypes[ext]
	if kind == "" {
		kind = mime.TypeByExtension(ext)
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	sum := sha256.Sum256(body)
	a := asset{body: body, contentType: kind, tag: `"` + hex.EncodeToString(sum[:12]) + `"`, hashed: strings.HasPrefix(name, "assets/")}
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return a
	}
	_, werr := zip.Write(body)
	if cerr := zip.Close(); werr == nil && cerr == nil && packed.Len() < len(body)*9/10 {
		a.gzip = packed.Bytes()
	}
	return a
}

// ServeHTTP sends the file of that name. Anything else that a person may have typed is the page
// itself, whose routes are in the fragment; a missing file is 404 and never the page, so that a
// stale page's old assets fail visibly.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	files := a.files()
	name := strings.TrimPrefix(r.URL.Path, "/")
	file, found := files[name]
	if !found {
		if path.Ext(name) != "" || strings.HasPrefix(name, "assets/") {
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		file, name = files["index.html"], "index.html"
	}
	h := w.Header()
	h.Set("Content-Type", file.contentType)
	h.Set("Vary", "Accept-Encoding")
	switch {
	case file.hashed:
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	case name == "index.html":
		h.Set("Cache-Control", "no-store")
	default:
		h.Set("Cache-Control", "no-cache")
	}
	body := file.body
	tag := file.tag
	if file.gzip != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body, tag = file.gzip, strings.TrimSuffix(tag, `"`)+`-gz"`
	}
	if name != "index.html" {
		h.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			h.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the viewer may be gone
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110 section 12.5.3) as far as gzip is concerned.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		weight := strings.ReplaceAll(strings.TrimSpace(params), " ", "")
		weight = strings.TrimRight(strings.TrimPrefix(strings.ToLower(weight), "q="), "0.")
		return params == "" || weight != ""
	}
	return false
}
