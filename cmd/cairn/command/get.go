package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/internal/atomicfile"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/clock"
)

// fruitless is how many attempts in a row may move nothing before a download gives up.
const fruitless = 3

func (s *session) get() *cobra.Command {
	var recursive, force bool
	var grantFile string
	c := &cobra.Command{
		Use: "get BUCKET/KEY [FILE|DIRECTORY|-]", Short: "Fetch objects; run it again to go on after a cut",
		Long: `Fetches an object into a file of the same name here, or into FILE; - is standard output. What is
fetched lies beside the target until it is whole: when a transfer is cut, the same command goes
on where it stopped, unless the object has changed.`,
		Example: "  cairn get photos/holiday.jpg\n  cairn get -r photos/2026/ ~/restored\n  cairn get backup/today.tar - | tar x",
		Args:    cobra.RangeArgs(1, 2), ValidArgsFunction: s.completePlace,
		RunE: func(c *cobra.Command, args []string) error {
			target := "."
			if len(args) == 2 {
				target = args[1]
			}
			if grantFile != "" {
				return s.getGrant(c.Context(), grantFile, args[0], target, recursive, force)
			}
			objects, err := s.objects()
			if err != nil {
				return err
			}
			jobs, err := s.downloads(c.Context(), objects, args[0], target, recursive)
			if err != nil {
				return err
			}
			done := []moved{}
			for _, job := range jobs {
				var m moved
				if job.file == "-" {
					m, err = s.getStream(c.Context(), objects, job.to)
				} else {
					m, err = s.getFile(c.Context(), objects, job.to, job.file, force)
				}
				if err != nil {
					return cli.Hint(explainS3(err, job.to), "run the same command again to go on where it stopped")
				}
				done = append(done, m)
			}
			if target == "-" {
				return nil // standard output is the object's
			}
			return s.Show(done, func(w writer) {
				for _, m := range done {
					fmt.Fprintf(w, "%s -> %s\n", m.From, m.To)
				}
			})
		},
	}
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "everything below a prefix")
	c.Flags().BoolVar(&force, "force", false, "replace files that exist")
	c.Flags().StringVar(&grantFile, "grant", "", "read with this file from somebody's cairn share --grant, without a gateway")
	return c
}

// downloads says which object becomes which file. upload.to is the object here.
func (s *session) downloads(ctx context.Context, objects *s3.Client, source, target string, recursive bool) ([]upload, error) {
	if !recursive {
		p, err := parseObject(source)
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(target); target != "-" && (err == nil && info.IsDir() || strings.HasSuffix(target, string(filepath.Separator))) {
			name, err := localName(path.Base(p.key))
			if err != nil {
				return nil, err
			}
			target = filepath.Join(target, name)
		}
		return []upload{{target, p}}, nil
	}
	p, err := parsePlace(source)
	if err != nil {
		return nil, err
	}
	if target == "-" {
		return nil, errors.New("several objects do not fit into one standard output")
	}
	entries, err := list(ctx, objects, p, true)
	if err != nil {
		return nil, explainS3(err, p)
	}
	var jobs []upload
	base := p.key[:strings.LastIndex(p.key, "/")+1] // names are kept from the last whole level on
	for _, e := range entries {
		if strings.HasSuffix(e.Name, "/") {
			continue // a directory marker of some S3 clients
		}
		name, err := localName(strings.TrimPrefix(e.Name, base))
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, upload{filepath.Join(target, name), place{p.bucket, e.Name}})
	}
	return jobs, nil
}

// localName turns a key into a relative path that stays below the directory it is joined to.
func localName(key string) (string, error) {
	name := filepath.FromSlash(key)
	if !filepath.IsLocal(name) {
		return "", cli.Hint(fmt.Errorf("object name %q is no safe file name", key), "fetch it alone and name the file: cairn get BUCKET/KEY FILE")
	}
	return name, nil
}

// getFile fetches an object into a partial file named after the target and the object's ETag,
// then renames it to the target.
func (s *session) getFile(ctx context.Context, objects *s3.Client, from place, target string, force bool) (moved, error) {
	m := moved{From: from.String(), To: target}
	if _, err := os.Lstat(target); err == nil && !force {
		return m, cli.Hint(fmt.Errorf("%s exists already", target), "add --force to replace it")
	}
	head, err := objects.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &from.bucket, Key: &from.key})
	if err != nil {
		return m, err
	}
	m.Bytes = aws.ToInt64(head.ContentLength)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return m, fmt.Errorf("making directory: %w", err)
	}
	partial := partialName(target, aws.ToString(head.ETag))
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return m, fmt.Errorf("opening partial file: %w", err)
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return m, fmt.Errorf("looking at partial file: %w", err)
	}
	if have > m.Bytes {
		return m, cli.Hint(fmt.Errorf("%s is longer than the object", partial), "remove it and run the command again")
	}
	m.Resumed = have
	progress := s.Progress(path.Base(from.key), m.Bytes)
	defer progress.Done()
	progress.Resume(have)
	if err := s.fetch(ctx, objects, from, head, have, f, progress); err != nil {
		return m, err
	}
	if err := f.Sync(); err != nil {
		return m, fmt.Errorf("syncing %s: %w", partial, err)
	}
	if err := os.Rename(partial, target); err != nil {
		return m, fmt.Errorf("finishing %s: %w", target, err)
	}
	if err := atomicfile.SyncDir(filepath.Dir(target)); err != nil {
		return m, err
	}
	removePartials(target)
	return m, nil
}

// partialName is where an object of this ETag gathers on its way to target. A changed object has
// another ETag and begins afresh.
func partialName(target, etag string) string {
	sum := sha256.Sum256([]byte(etag))
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+"."+hex.EncodeToString(sum[:6])+".cairn-part")
}

// removePartials removes what former versions of the object left behind. What cannot be removed
// is in nobody's way.
func removePartials(target string) {
	dir := filepath.Dir(target)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "."+filepath.Base(target)+".") && strings.HasSuffix(e.Name(), ".cairn-part") {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// fetch writes the object from offset on, asking again for the rest whenever the connection is
// cut, as long as the object is the one that head described and something still arrives.
func (s *session) fetch(ctx context.Context, objects *s3.Client, from place, head *s3.HeadObjectOutput, offset int64, w io.Writer, progress *cli.Progress) error {
	size := aws.ToInt64(head.ContentLength)
	for failures := 0; offset < size; {
		n, err := fetchOnce(ctx, objects, from, head, offset, w, progress)
		offset += n
		switch {
		case err == nil && offset == size:
			return nil
		case err == nil:
			err = io.ErrUnexpectedEOF
		case ctx.Err() != nil:
			return ctx.Err()
		}
		var local *fs.PathError
		if errors.As(err, &local) {
			return err // the disk, not the network
		}
		if n > 0 {
			failures = 0
		}
		if failures++; failures >= fruitless {
			return err
		}
		if err := clock.Sleep(ctx, clock.System{}, time.Duration(failures)*s.transfer.pause); err != nil {
			return err
		}
	}
	return nil
}

func fetchOnce(ctx context.Context, objects *s3.Client, from place, head *s3.HeadObjectOutput, offset int64, w io.Writer, progress *cli.Progress) (int64, error) {
	input := &s3.GetObjectInput{Bucket: &from.bucket, Key: &from.key, IfMatch: head.ETag, VersionId: head.VersionId}
	if offset > 0 {
		input.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	out, err := objects.GetObject(ctx, input)
	if err != nil {
		return 0, err
	}
	defer out.Body.Close()
	return io.CopyBuffer(struct{ io.Writer }{w}, progress.Reader(out.Body), make([]byte, 256<<10))
}

// getStream fetches an object to standard output.
func (s *session) getStream(ctx context.Context, objects *s3.Client, from place) (moved, error) {
	m := moved{From: from.String(), To: "-"}
	head, err := objects.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &from.bucket, Key: &from.key})
	if err != nil {
		return m, err
	}
	m.Bytes = aws.ToInt64(head.ContentLength)
	progress := s.Progress(path.Base(from.key), m.Bytes)
	defer progress.Done()
	return m, s.fetch(ctx, objects, from, head, 0, s.Out, progress)
}
