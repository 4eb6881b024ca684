package command

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/internal/cli"
)

const (
	maxParts = 10_000
	// uploadsAtOnce is how many parts travel side by side.
	uploadsAtOnce = 3
)

// transfer says how objects travel.
type transfer struct {
	// part is the part size of uploads of up to maxParts parts; larger files get larger parts. Part
	// sizes follow from the file's size alone, so that a second run cuts alike.
	part int64
	// pause is how long a download that was cut waits before it asks again, and twice that the next time.
	pause time.Duration
	// backoff is the longest wait before any other request is repeated.
	backoff time.Duration
}

// defaultTransfer suits lines between homes.
var defaultTransfer = transfer{part: 16 << 20, pause: time.Second, backoff: retry.DefaultMaxBackoff}

// moved is one file of a put or get.
type moved struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Bytes   int64  `json:"bytes"`
	Resumed int64  `json:"resumed,omitempty"` // of Bytes, what an earlier run had moved
}

func (s *session) put() *cobra.Command {
	var recursive bool
	c := &cobra.Command{
		Use: "put FILE... BUCKET[/PREFIX/|/KEY]", Short: "Store files; run it again to go on after a cut",
		Long: `Stores files. A place that ends in / (or is a whole bucket) takes files under their own names; any
other place is the object's name. FILE may be - for standard input. Large files go up in parts:
when a transfer is cut, the same command goes on where it stopped, after comparing what is there
with the file.`,
		Example: "  cairn put holiday.jpg photos/\n  cairn put -r ~/photos photos/2026/\n  tar c . | cairn put - backup/today.tar",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			sources, target := args[:len(args)-1], args[len(args)-1]
			to, err := parsePlace(target)
			if err != nil {
				return err
			}
			objects, err := s.objects()
			if err != nil {
				return err
			}
			jobs, err := plan(sources, to, recursive)
			if err != nil {
				return err
			}
			done := []moved{}
			for _, job := range jobs {
				m, err := s.putFile(c.Context(), objects, job.file, job.to)
				if err != nil {
					return cli.Hint(explainS3(err, job.to), "run the same command again to go on where it stopped")
				}
				done = append(done, m)
			}
			return s.Show(done, func(w writer) {
				for _, m := range done {
					fmt.Fprintf(w, "%s -> %s\n", m.From, m.To)
				}
			})
		},
	}
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "directories with everything in them")
	return c
}

type upload struct {
	file string
	to   place
}

// plan says which file becomes which object.
func plan(sources []string, to place, recursive bool) ([]upload, error) {
	below := to.key == "" || strings.HasSuffix(to.key, "/")
	if !below && (len(sources) > 1 || recursive) {
		return nil, cli.Hint(fmt.Errorf("%s is one object, and there are several files", to), "end the place with / to put them below it: %s/", to)
	}
	var jobs []upload
	for _, source := range sources {
		if source == "-" {
			if below {
				return nil, cli.Hint(errors.New("standard input has no name"), "name the object: cairn put - %sNAME", to)
			}
			jobs = append(jobs, upload{source, to})
			continue
		}
		info, err := os.Stat(source)
		if err != nil {
			return nil, fmt.Errorf("looking at file: %w", err)
		}
		switch {
		case info.IsDir() && !recursive:
			return nil, cli.Hint(fmt.Errorf("%s is a directory", source), "add -r to put everything in it")
		case info.IsDir():
			err := filepath.WalkDir(source, func(file string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				name, err := filepath.Rel(source, file)
				if err != nil {
					return err
				}
				jobs = append(jobs, upload{file, place{to.bucket, to.key + filepath.ToSlash(name)}})
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("reading directory: %w", err)
			}
		case below:
			jobs = append(jobs, upload{source, place{to.bucket, to.key + path.Base(filepath.ToSlash(source))}})
		default:
			jobs = append(jobs, upload{source, to})
		}
	}
	return jobs, nil
}

func (s *session) putFile(ctx context.Context, objects *s3.Client, file string, to place) (moved, error) {
	m := moved{From: file, To: to.String()}
	if file == "-" {
		n, err := s.putStream(ctx, objects, to)
		m.Bytes = n
		return m, err
	}
	f, err := os.Open(file)
	if err != nil {
		return m, fmt.Errorf("opening file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return m, fmt.Errorf("looking at file: %w", err)
	}
	m.Bytes = info.Size()
	progress := s.Progress(path.Base(to.key), m.Bytes)
	defer progress.Done()
	if m.Bytes <= s.transfer.part {
		_, err := objects.PutObject(ctx, &s3.PutObjectInput{Bucket: &to.bucket, Key: &to.key, Body: f, ContentLength: &m.Bytes})
		if err == nil {
			progress.Add(m.Bytes)
		}
		return m, err
	}
	m.Resumed, err = s.putParts(ctx, objects, f, m.Bytes, to, progress)
	if err != nil {
		return m, err
	}
	if after, err := f.Stat(); err == nil && (after.Size() != info.Size() || !after.ModTime().Equal(info.ModTime())) {
		return m, fmt.Errorf("%s changed while it was read: the object may be a mixture", file)
	}
	return m, nil
}

// partSize is how a file of this size is cut: whole MiB, at most maxParts parts.
func (t transfer) partSize(size int64) int64 {
	const mib = 1 << 20
	least := (size + maxParts - 1) / maxParts
	return max(t.part, (least+mib-1)/mib*mib)
}

// putParts uploads a file in parts, beginning with what an earlier run left on the gateway, and
// says how many bytes that saved. A part counts as left only if its size and MD5 are the file's.
func (s *session) putParts(ctx context.Context, objects *s3.Client, f io.ReaderAt, size int64, to place, progress *cli.Progress) (resumed int64, err error) {
	id, have, err := unfinished(ctx, objects, to)
	if err != nil {
		return 0, err
	}
	if id == "" {
		begun, err := objects.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &to.bucket, Key: &to.key})
		if err != nil {
			return 0, err
		}
		id = aws.ToString(begun.UploadId)
	}
	step := s.transfer.partSize(size)
	parts := make([]types.CompletedPart, (size+step-1)/step)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(uploadsAtOnce)
	for i := range parts {
		number, offset := int32(i+1), int64(i)*step
		section := io.NewSectionReader(f, offset, min(step, size-offset))
		if left, ok := have[number]; ok && aws.ToInt64(left.Size) == section.Size() {
			same, err := matches(section, aws.ToString(left.ETag))
			if err != nil {
				return 0, errors.Join(err, group.Wait())
			}
			if same {
				parts[i] = types.CompletedPart{PartNumber: &number, ETag: left.ETag}
				resumed += section.Size()
				progress.Resume(section.Size())
				continue
			}
		}
		group.Go(func() error {
			out, err := objects.UploadPart(groupCtx, &s3.UploadPartInput{
				Bucket: &to.bucket, Key: &to.key, UploadId: &id, PartNumber: &number, Body: section, ContentLength: aws.Int64(section.Size()),
			})
			if err != nil {
				return fmt.Errorf("part %d of %d: %w", number, len(parts), err)
			}
			parts[i] = types.CompletedPart{PartNumber: &number, ETag: out.ETag}
			progress.Add(section.Size())
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	_, err = objects.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &to.bucket, Key: &to.key, UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return resumed, err
}

// unfinished finds the newest upload of the object that was never completed, with its parts.
func unfinished(ctx context.Context, objects *s3.Client, to place) (id string, parts map[int32]types.Part, err error) {
	var newest types.MultipartUpload
	uploads := s3.NewListMultipartUploadsPaginator(objects, &s3.ListMultipartUploadsInput{Bucket: &to.bucket, Prefix: &to.key})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(ctx)
		if err != nil {
			return "", nil, err
		}
		for _, u := range page.Uploads {
			if aws.ToString(u.Key) == to.key && (newest.UploadId == nil || aws.ToTime(u.Initiated).After(aws.ToTime(newest.Initiated))) {
				newest = u
			}
		}
	}
	if newest.UploadId == nil {
		return "", nil, nil
	}
	parts = make(map[int32]types.Part)
	pages := s3.NewListPartsPaginator(objects, &s3.ListPartsInput{Bucket: &to.bucket, Key: &to.key, UploadId: newest.UploadId})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", nil, err
		}
		for _, p := range page.Parts {
			parts[aws.ToInt32(p.PartNumber)] = p
		}
	}
	return aws.ToString(newest.UploadId), parts, nil
}

// matches compares a section of the file with a part's ETag, the MD5 of its bytes.
func matches(section *io.SectionReader, etag string) (bool, error) {
	want, err := hex.DecodeString(strings.Trim(etag, `"`))
	if err != nil || len(want) != md5.Size {
		return false, nil
	}
	sum := md5.New()
	if _, err := io.Copy(sum, section); err != nil {
		return false, fmt.Errorf("reading file: %w", err)
	}
	if _, err := section.Seek(0, io.SeekStart); err != nil {
		return false, fmt.Errorf("reading file: %w", err)
	}
	return bytes.Equal(sum.Sum(nil), want), nil
}

// putStream uploads standard input, whose size is unknown, part by part. It cannot be resumed:
// what fails is aborted.
func (s *session) putStream(ctx context.Context, objects *s3.Client, to place) (total int64, err error) {
	progress := s.Progress(path.Base(to.key), -1)
	defer progress.Done()
	part := make([]byte, s.transfer.part)
	n, err := io.ReadFull(s.In, part)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		_, err := objects.PutObject(ctx, &s3.PutObjectInput{Bucket: &to.bucket, Key: &to.key, Body: bytes.NewReader(part[:n]), ContentLength: aws.Int64(int64(n))})
		return int64(n), err
	}
	if err != nil {
		return 0, fmt.Errorf("reading standard input: %w", err)
	}
	begun, err := objects.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &to.bucket, Key: &to.key})
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			abort := &s3.AbortMultipartUploadInput{Bucket: &to.bucket, Key: &to.key, UploadId: begun.UploadId}
			_, abortErr := objects.AbortMultipartUpload(context.WithoutCancel(ctx), abort)
			err = errors.Join(err, abortErr)
		}
	}()
	var parts []types.CompletedPart
	for number := int32(1); n > 0; number++ {
		if number > maxParts {
			return total, fmt.Errorf("standard input is longer than %d parts of %d MiB", maxParts, s.transfer.part>>20)
		}
		out, err := objects.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &to.bucket, Key: &to.key, UploadId: begun.UploadId, PartNumber: &number,
			Body: bytes.NewReader(part[:n]), ContentLength: aws.Int64(int64(n)),
		})
		if err != nil {
			return total, fmt.Errorf("part %d: %w", number, err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: aws.Int32(number), ETag: out.ETag})
		total += int64(n)
		progress.Add(int64(n))
		if n, err = io.ReadFull(s.In, part); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return total, fmt.Errorf("reading standard input: %w", err)
		}
	}
	_, err = objects.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &to.bucket, Key: &to.key, UploadId: begun.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: slices.Clip(parts)},
	})
	return total, err
}
