package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/daemon/s3gateway/launch"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/internal/config"
)

// Environment that names another S3 endpoint than the gateway of this home.
const (
	s3EndpointVariable = "CAIRN_S3"
	accessKeyVariable  = "AWS_ACCESS_KEY_ID"
	secretKeyVariable  = "AWS_SECRET_ACCESS_KEY"
)

// objects is an S3 client of the gateway.
func (s *session) objects() (*s3.Client, error) {
	home, err := s.home()
	if err != nil {
		return nil, err
	}
	gateway := s3Run{
		Endpoint: os.Getenv(s3EndpointVariable), AccessKey: os.Getenv(accessKeyVariable), SecretKey: os.Getenv(secretKeyVariable), Region: "us-east-1",
	}
	if gateway.Endpoint == "" {
		local, err := localGateway(home)
		if err != nil {
			return nil, err
		}
		gateway = *local.S3
	}
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(gateway.Endpoint),
		Region:       gateway.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(gateway.AccessKey, gateway.SecretKey, ""),
		UsePathStyle: true,
		Retryer:      retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = s.transfer.backoff }),
		// The gateway authenticates every record: S3's own checksums would only be computed twice.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		HTTPClient: &http.Client{Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			MaxIdleConnsPerHost:   uploadsAtOnce,
			ResponseHeaderTimeout: 5 * time.Minute, // a put answers when enough providers have synced
		}},
	}), nil
}

// place is where an object or a set of them lies: bucket/key.
type place struct{ bucket, key string }

func (p place) String() string { return p.bucket + "/" + p.key }

// parsePlace reads bucket[/key], with or without cairn:// before it.
func parsePlace(text string) (place, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(text, "cairn://"), "/")
	if bucket == "" {
		return place{}, cli.Hint(fmt.Errorf("%q names no bucket", text), "write places as bucket/path/to/object")
	}
	return place{bucket, key}, nil
}

// parseObject is parsePlace for exactly one object.
func parseObject(text string) (place, error) {
	p, err := parsePlace(text)
	if err == nil && (p.key == "" || strings.HasSuffix(p.key, "/")) {
		err = cli.Hint(fmt.Errorf("%q names no object", text), "write bucket/path/to/object, or add -r for everything below")
	}
	return p, err
}

// explainS3 says in people's words what the gateway answered.
func explainS3(err error, p place) error {
	var api smithy.APIError
	var network *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &api):
		switch api.ErrorCode() {
		case "NoSuchBucket":
			return cli.Hint(fmt.Errorf("there is no bucket %q", p.bucket), "cairn ls shows your buckets; make it with: cairn mb %s", p.bucket)
		case "NoSuchKey", "NotFound":
			return cli.Hint(fmt.Errorf("there is no object %s", p), "cairn ls %s/ shows what is there", p.bucket)
		case "BucketAlreadyOwnedByYou", "BucketAlreadyExists":
			return fmt.Errorf("there is a bucket %q already", p.bucket)
		case "BucketNotEmpty":
			return cli.Hint(fmt.Errorf("bucket %q is not empty", p.bucket), "remove everything in it with: cairn rm -r %s/", p.bucket)
		case "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied":
			return cli.Hint(fmt.Errorf("the gateway refuses these credentials: %s", api.ErrorMessage()), "unset %s and %s, or start the gateway again", s3EndpointVariable, accessKeyVariable)
		}
		return fmt.Errorf("%s: gateway answers %s: %s", p, api.ErrorCode(), api.ErrorMessage())
	case errors.As(err, &network) && network.Op == "dial":
		return cli.Hint(fmt.Errorf("the gateway does not answer: %w", network), "start it in another terminal: cairn gateway s3")
	default:
		return fmt.Errorf("%s: %w", p, err)
	}
}

func (s *session) mb() *cobra.Command {
	return &cobra.Command{
		Use: "mb BUCKET", Short: "Make a bucket", Args: cobra.ExactArgs(1), ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			p, err := parsePlace(args[0])
			if err != nil {
				return err
			}
			if p.key != "" {
				return fmt.Errorf("%q is more than the name of a bucket", args[0])
			}
			objects, err := s.objects()
			if err != nil {
				return err
			}
			if _, err := objects.CreateBucket(c.Context(), &s3.CreateBucketInput{Bucket: &p.bucket}); err != nil {
				return explainS3(err, p)
			}
			return s.Show(map[string]string{"bucket": p.bucket}, func(w writer) { fmt.Fprintf(w, "made bucket %s\n", p.bucket) })
		},
	}
}

// entry is one line of `cairn ls`.
type entry struct {
	Name     string     `json:"name"`
	Kind     string     `json:"kind"` // "bucket", "prefix" or "object"
	Size     int64      `json:"size,omitempty"`
	ETag     string     `json:"etag,omitempty"`
	Modified *time.Time `json:"modified,omitempty"`
}

func (s *session) ls() *cobra.Command {
	var recursive bool
	var grantFile string
	c := &cobra.Command{
		Use: "ls [BUCKET[/PREFIX]]", Short: "List buckets, or what is in one", Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completePlace,
		RunE: func(c *cobra.Command, args []string) error {
			if grantFile != "" {
				return s.lsGrant(grantFile)
			}
			objects, err := s.objects()
			if err != nil {
				return err
			}
			entries := []entry{}
			if len(args) == 0 {
				out, err := objects.ListBuckets(c.Context(), &s3.ListBucketsInput{})
				if err != nil {
					return explainS3(err, place{})
				}
				for _, b := range out.Buckets {
					entries = append(entries, entry{Name: aws.ToString(b.Name), Kind: "bucket", Modified: b.CreationDate})
				}
			} else {
				p, err := parsePlace(args[0])
				if err != nil {
					return err
				}
				if entries, err = list(c.Context(), objects, p, recursive); err != nil {
					return explainS3(err, p)
				}
			}
			return s.Show(entries, func(w writer) {
				for _, e := range entries {
					size, modified := "-", strings.Repeat(" ", len(time.DateTime))
					if e.Kind == "object" {
						size = config.Bytes(e.Size).String()
					}
					if e.Modified != nil {
						modified = e.Modified.Local().Format(time.DateTime)
					}
					fmt.Fprintf(w, "%s  %10s  %s\n", modified, size, e.Name)
				}
			})
		},
	}
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "everything below, not only the next level")
	c.Flags().StringVar(&grantFile, "grant", "", "list what this file from cairn share --grant opens, instead of your own")
	return c
}

// list is what lies at p: the next level, or everything below.
func list(ctx context.Context, objects *s3.Client, p place, recursive bool) ([]entry, error) {
	input := &s3.ListObjectsV2Input{Bucket: &p.bucket, Prefix: &p.key}
	if !recursive {
		input.Delimiter = aws.String("/")
	}
	entries := []entry{}
	pages := s3.NewListObjectsV2Paginator(objects, input)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, prefix := range page.CommonPrefixes {
			entries = append(entries, entry{Name: aws.ToString(prefix.Prefix), Kind: "prefix"})
		}
		for _, o := range page.Contents {
			entries = append(entries, entry{
				Name: aws.ToString(o.Key), Kind: "object", Size: aws.ToInt64(o.Size), ETag: strings.Trim(aws.ToString(o.ETag), `"`), Modified: o.LastModified,
			})
		}
	}
	return entries, nil
}

// completePlace offers buckets, then what is in them.
func (s *session) completePlace(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	objects, err := s.objects()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(c.Context(), 2*time.Second)
	defer cancel()
	bucket, key, deep := strings.Cut(typed, "/")
	var offered []string
	if deep {
		entries, err := list(ctx, objects, place{bucket, key}, false)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, e := range entries {
			offered = append(offered, bucket+"/"+e.Name)
		}
	} else if out, err := objects.ListBuckets(ctx, &s3.ListBucketsInput{}); err == nil {
		for _, b := range out.Buckets {
			offered = append(offered, aws.ToString(b.Name)+"/")
		}
	}
	return offered, cobra.ShellCompDirectiveNoSpace
}

func (s *session) rm() *cobra.Command {
	var recursive bool
	c := &cobra.Command{
		Use: "rm BUCKET[/KEY]", Short: "Remove an object, everything below a prefix, or an empty bucket", Args: cobra.ExactArgs(1), ValidArgsFunction: s.completePlace,
		RunE: func(c *cobra.Command, args []string) error {
			p, err := parsePlace(args[0])
			if err != nil {
				return err
			}
			objects, err := s.objects()
			if err != nil {
				return err
			}
			removed, err := remove(c.Context(), objects, p, recursive, strings.Contains(args[0], "/"))
			if err != nil {
				return explainS3(err, p)
			}
			return s.Show(map[string]any{"removed": removed}, func(w writer) {
				fmt.Fprintf(w, "removed %s\n", removed)
			})
		},
	}
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "every object below")
	return c
}

// remove deletes what p names and says what that was.
func remove(ctx context.Context, objects *s3.Client, p place, recursive, inside bool) (string, error) {
	switch {
	case recursive:
		entries, err := list(ctx, objects, p, true)
		if err != nil {
			return "", err
		}
		const batch = 1000 // S3's bound
		for rest := entries; len(rest) > 0; rest = rest[min(batch, len(rest)):] {
			var ids []types.ObjectIdentifier
			for _, e := range rest[:min(batch, len(rest))] {
				ids = append(ids, types.ObjectIdentifier{Key: aws.String(e.Name)})
			}
			out, err := objects.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &p.bucket, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)}})
			if err != nil {
				return "", err
			}
			if len(out.Errors) > 0 {
				e := out.Errors[0]
				return "", fmt.Errorf("%d objects were not removed; the first is %s: %s", len(out.Errors), aws.ToString(e.Key), aws.ToString(e.Message))
			}
		}
		return fmt.Sprintf("%d objects below %s", len(entries), p), nil
	case !inside:
		_, err := objects.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &p.bucket})
		return "bucket " + p.bucket, err
	case p.key == "":
		return "", cli.Hint(fmt.Errorf("%s is a whole bucket", p), "add -r to empty it, or name the bucket without the slash to remove it when empty")
	}
	// S3 answers the removal of what is not there with success; people want to know.
	if _, err := objects.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &p.bucket, Key: &p.key}); err != nil {
		return "", err
	}
	_, err := objects.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &p.bucket, Key: &p.key})
	return p.String(), err
}

// longestShare is S3's bound on presigned URLs.
const longestShare = 7 * 24 * time.Hour

func (s *session) share() *cobra.Command {
	valid, grantFile, reads, sure, verifyOnly := 24*time.Hour, "", uint64(3), false, false
	c := &cobra.Command{
		Use: "share BUCKET/KEY", Short: "Let others read: by a link to your gateway, or with --grant without it",
		Long: `Without --grant: makes a link with which anyone who reaches your gateway can read one object.

With --grant FILE: writes a file with which anyone's cairn reads one object, or everything below BUCKET/PREFIX/,
from the storage nodes themselves, your gateway running or not. Reading is paid from an escrow that you fill
now, enough to read everything --reads times; what nobody uses comes back when it has expired. The file
opens what is there now, and nothing that comes later; it cannot be taken back before it expires.

With --verify-only as well: the file opens nothing. Whoever has it can check, with cairn verify, that the nodes
still hold what you stored, so that you need not be the one who watches.`,
		Example: "  cairn share photos/holiday.jpg\n  cairn share photos/2026/ --grant photos.grant --valid 720h\n  cairn share photos/ --grant watch.grant --verify-only --valid 8760h", Args: cobra.ExactArgs(1), ValidArgsFunction: s.completePlace,
		RunE: func(c *cobra.Command, args []string) error {
			if grantFile != "" {
				p, err := parsePlace(args[0])
				if err != nil {
					return err
				}
				request := launch.GrantRequest{Bucket: p.bucket, Path: p.key, Seconds: int64(valid / time.Second), Reads: reads, VerifyOnly: verifyOnly}
				return s.shareGrant(c.Context(), p, grantFile, request, sure)
			}
			if verifyOnly {
				return cli.Hint(errors.New("a link reads: --verify-only is for a grant"), "add --grant FILE")
			}
			p, err := parseObject(args[0])
			if err != nil {
				return err
			}
			if valid < time.Second || valid > longestShare {
				return fmt.Errorf("--valid %s: links live between one second and seven days", valid)
			}
			objects, err := s.objects()
			if err != nil {
				return err
			}
			if _, err := objects.HeadObject(c.Context(), &s3.HeadObjectInput{Bucket: &p.bucket, Key: &p.key}); err != nil {
				return explainS3(err, p)
			}
			signed, err := s3.NewPresignClient(objects).PresignGetObject(c.Context(), &s3.GetObjectInput{Bucket: &p.bucket, Key: &p.key}, s3.WithPresignExpires(valid))
			if err != nil {
				return explainS3(err, p)
			}
			until := time.Now().Add(valid).UTC().Truncate(time.Second)
			return s.Show(map[string]any{"url": signed.URL, "until": until}, func(w writer) {
				fmt.Fprintln(w, signed.URL)
				s.Note("readable until %s", until.Local().Format(time.DateTime))
			})
		},
	}
	c.Flags().DurationVar(&valid, "valid", valid, "how long it works; a link at most 168h")
	c.Flags().StringVar(&grantFile, "grant", "", "write a grant into this file, instead of making a link")
	c.Flags().Uint64Var(&reads, "reads", reads, "with --grant: how often everything can be read, or checked")
	c.Flags().BoolVar(&verifyOnly, "verify-only", false, "with --grant: let others check that the nodes hold it, and read nothing")
	c.Flags().BoolVarP(&sure, "yes", "y", false, "with --grant: do not ask before paying")
	return c
}
