package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/daemon/s3gateway/grant"
	"github.com/cairn-network/cairn/daemon/s3gateway/launch"
	"github.com/cairn-network/cairn/internal/atomicfile"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/config"
)

// shareGrant asks the gateway of this home for a grant of what lies at p, and writes it to a file.
func (s *session) shareGrant(ctx context.Context, p place, file string, request launch.GrantRequest, sure bool) error {
	home, err := s.home()
	if err != nil {
		return err
	}
	gateway, err := localGateway(home)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(file); err == nil {
		return cli.Hint(fmt.Errorf("%s exists, and is not replaced", file), "name another file after --grant")
	}
	request.Quote = true
	answer, err := askGrant(ctx, gateway, request)
	if err != nil {
		return err
	}
	var quote launch.GrantQuote
	if err := json.Unmarshal(answer, &quote); err != nil {
		return fmt.Errorf("reading the gateway's answer: %w", err)
	}
	until := time.Unix(quote.Until, 0)
	what := "Share"
	if request.VerifyOnly {
		what = "Let others verify"
	}
	question := fmt.Sprintf("%s %d objects (%s) until %s? %s go into the escrow of %d nodes; what nobody uses of it comes back.",
		what, quote.Objects, config.Bytes(quote.Bytes), until.Format(time.DateTime), quote.Escrow.Format(), quote.Devices)
	if err := s.Confirm(question, sure); err != nil {
		return err
	}
	request.Quote = false
	content, err := askGrant(ctx, gateway, request)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteNew(file, content, atomicfile.Private); err != nil {
		return fmt.Errorf("writing the grant: %w", err)
	}
	result := struct {
		launch.GrantQuote
		File string `json:"file"`
	}{quote, file}
	return s.Show(result, func(w writer) {
		if request.VerifyOnly {
			fmt.Fprintf(w, "%s checks %d objects (%s) until %s, and opens none\n", file, quote.Objects, config.Bytes(quote.Bytes), until.Format(time.DateTime))
			s.Note("Whoever has this file can check them, at your expense up to %s: cairn verify --grant %s", quote.Escrow.Format(), filepath.Base(file))
			return
		}
		fmt.Fprintf(w, "%s opens %d objects (%s) until %s\n", file, quote.Objects, config.Bytes(quote.Bytes), until.Format(time.DateTime))
		s.Note("Whoever has this file can read them, at your expense up to %s: cairn get --grant %s -r %s/%s", quote.Escrow.Format(), filepath.Base(file), p.bucket, p.key)
	})
}

// askGrant speaks to the gateway's status address.
func askGrant(ctx context.Context, gateway running, request launch.GrantRequest) ([]byte, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(gateway.Status, "/status")+"/grant", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("asking the gateway for a grant: %w", err)
	}
	post.Header.Set("Authorization", "Bearer "+launch.GrantToken(gateway.S3.SecretKey))
	response, err := http.DefaultClient.Do(post)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("asking the gateway for a grant: %w", err), "start it in another terminal: cairn gateway s3")
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, grant.MaxSize))
	if err != nil {
		return nil, fmt.Errorf("reading the gateway's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the gateway makes no grant: %s", strings.TrimSpace(string(answer)))
	}
	return answer, nil
}

// readGrant reads a grant's file.
func readGrant(file string) (grant.Grant, error) {
	info, err := os.Stat(file)
	if err != nil {
		return grant.Grant{}, fmt.Errorf("opening the grant: %w", err)
	}
	if info.Size() > grant.MaxSize {
		return grant.Grant{}, fmt.Errorf("%s: %w: it has %d bytes", file, grant.ErrInvalid, info.Size())
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return grant.Grant{}, fmt.Errorf("opening the grant: %w", err)
	}
	g, err := grant.Parse(content)
	if err != nil {
		return grant.Grant{}, fmt.Errorf("%s: %w", file, err)
	}
	return g, nil
}

// lsGrant lists what a grant opens.
func (s *session) lsGrant(file string) error {
	g, err := readGrant(file)
	if err != nil {
		return err
	}
	entries := make([]entry, len(g.Objects))
	for i, o := range g.Objects {
		entries[i] = entry{Name: o.Key, Kind: "object", Size: o.Size}
	}
	return s.Show(entries, func(w writer) {
		for _, e := range entries {
			fmt.Fprintf(w, "%10s  %s\n", config.Bytes(e.Size), e.Name)
		}
		s.Note("to %s (%d segments), until %s", g, len(g.Segments), time.Unix(g.Expiry, 0).Format(time.DateTime))
	})
}

// openGrant prepares to speak to the nodes of a grant.
func (s *session) openGrant(ctx context.Context, g grant.Grant) (*launch.Reader, error) {
	home, err := s.home()
	if err != nil {
		return nil, err
	}
	log, err := s.logger()
	if err != nil {
		return nil, err
	}
	config := launch.ReadConfig{Grant: g, Dir: home.Path("grants"), Log: log}
	if config.Chain, config.Trust, err = s.endpoint(home); err != nil {
		return nil, err
	}
	reader, err := launch.OpenGrant(ctx, config)
	if err != nil {
		return nil, s.explain(err)
	}
	return reader, nil
}

func (s *session) verify() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "verify --grant FILE", Short: "Have the nodes prove that they hold what a grant is about",
		Long: `Every node that holds a piece is asked for one chunk of it, drawn at random, with the path from there to the
piece's root. A node that threw pieces away is found out without anything being read. The file comes from
cairn share --grant, best with --verify-only: then it opens nothing.

It fails when something could not be read back from what was proven.`,
		Example: "  cairn verify --grant watch.grant", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			g, err := readGrant(file)
			if err != nil {
				return err
			}
			reader, err := s.openGrant(c.Context(), g)
			if err != nil {
				return err
			}
			defer reader.Close()
			progress := s.Progress("verifying", int64(len(g.Segments)))
			v, err := reader.Verify(c.Context(), func() { progress.Add(1) })
			progress.Done()
			if err != nil {
				return err
			}
			err = s.Show(v, func(w writer) {
				for _, d := range v.Devices {
					fmt.Fprintf(w, "device %d: %d of %d pieces proven, %d failed, %d not answered for\n", d.Device, d.Proven, d.Pieces, d.Failed, d.Away)
					if d.Trouble != "" {
						fmt.Fprintf(w, "  %s\n", d.Trouble)
					}
				}
				fmt.Fprintf(w, "%d of %d segments can be read\n", v.Readable, v.Segments)
			})
			if err == nil && v.Readable < v.Segments {
				err = fmt.Errorf("%d of %d segments have too few proven pieces to be read", v.Segments-v.Readable, v.Segments)
			}
			return err
		},
	}
	c.Flags().StringVar(&file, "grant", "", "file from cairn share --grant")
	_ = c.MarkFlagRequired("grant") // it was defined above
	return c
}

// getGrant fetches objects with a grant, from the nodes that hold them.
func (s *session) getGrant(ctx context.Context, file, source, target string, recursive, force bool) error {
	g, err := readGrant(file)
	if err != nil {
		return err
	}
	wanted, err := granted(g, source, recursive)
	if err != nil {
		return err
	}
	if target == "-" && len(wanted) != 1 {
		return errors.New("several objects do not fit into one standard output")
	}
	reader, err := s.openGrant(ctx, g)
	if err != nil {
		return err
	}
	defer reader.Close()
	done := []moved{}
	for _, job := range wanted {
		m := moved{From: source, To: target, Bytes: job.object.Size}
		if target == "-" {
			return reader.Read(ctx, job.object, s.Out)
		}
		m.From, m.To = job.object.Key, filepath.Join(target, job.name)
		if info, err := os.Stat(target); !recursive && (err != nil || !info.IsDir()) {
			m.To = target
		}
		if err := s.writeGranted(ctx, reader, job.object, m.To, force); err != nil {
			return err
		}
		done = append(done, m)
	}
	return s.Show(done, func(w writer) {
		for _, m := range done {
			fmt.Fprintf(w, "%s -> %s\n", m.From, m.To)
		}
	})
}

// writeGranted fetches one object into a file.
func (s *session) writeGranted(ctx context.Context, reader *launch.Reader, o grant.Object, target string, force bool) error {
	if _, err := os.Lstat(target); err == nil && !force {
		return cli.Hint(fmt.Errorf("%s exists already", target), "replace it with --force")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking at the target: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	f, err := atomicfile.Create(target, atomicfile.Public)
	if err != nil {
		return err
	}
	defer f.Abort()
	progress := s.Progress(path.Base(o.Key), o.Size)
	defer progress.Done()
	if err := reader.Read(ctx, o, io.MultiWriter(f, counting{progress})); err != nil {
		return err
	}
	return f.Commit()
}

// counting adds what is written to a progress bar.
type counting struct{ *cli.Progress }

func (c counting) Write(b []byte) (int, error) {
	c.Add(int64(len(b)))
	return len(b), nil
}

// grantedObject is an object to fetch, and its name below the target.
type grantedObject struct {
	object grant.Object
	name   string
}

// granted says which objects of a grant a source names.
func granted(g grant.Grant, source string, recursive bool) ([]grantedObject, error) {
	p, err := parsePlace(source)
	if err == nil && !recursive {
		p, err = parseObject(source)
	}
	if err != nil {
		return nil, err
	}
	base := p.key[:strings.LastIndex(p.key, "/")+1]
	var wanted []grantedObject
	for _, o := range g.Objects {
		if o.Key != p.key && !(recursive && strings.HasPrefix(o.Key, p.key) && !strings.HasSuffix(o.Key, "/")) {
			continue
		}
		name, err := localName(strings.TrimPrefix(o.Key, base))
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, grantedObject{o, name})
	}
	if len(wanted) == 0 || g.Bucket() != p.bucket {
		return nil, cli.Hint(fmt.Errorf("the grant does not open %s", source), "cairn ls --grant FILE shows what it opens")
	}
	return wanted, nil
}
