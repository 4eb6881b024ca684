package s3

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/crc64nvme"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/internal/md5lanes"
)

// algorithms lists S3's checksum algorithms in the order of sumFields.
var algorithms = [...]types.ChecksumAlgorithm{
	types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme,
	types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256, types.ChecksumAlgorithmSha512,
	types.ChecksumAlgorithmMd5, types.ChecksumAlgorithmXxhash64, types.ChecksumAlgorithmXxhash3,
	types.ChecksumAlgorithmXxhash128,
}

// defaultAlgorithm is what an object gets whose request declares none.
const defaultAlgorithm = types.ChecksumAlgorithmCrc64nvme

// sumFields points at the ten checksum fields of a request or answer, one an
// algorithm in the order of algorithms.
type sumFields [len(algorithms)]**string

// set fills the field of c's algorithm.
func (f sumFields) set(c metabase.Checksum) {
	for i, a := range algorithms {
		if c.Value != "" && string(a) == c.Algorithm {
			*f[i] = &c.Value
		}
	}
}

// get returns the first field that is set.
func (f sumFields) get() metabase.Checksum {
	for i, a := range algorithms {
		if v := *f[i]; v != nil && *v != "" {
			return metabase.Checksum{Algorithm: string(a), Value: *v}
		}
	}
	return metabase.Checksum{}
}

func putInputSums(o *s3response.PutObjectInput) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func putOutputSums(o *s3response.PutObjectOutput) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func getSums(o *awss3.GetObjectOutput) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func headSums(o *awss3.HeadObjectOutput) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func attributeSums(o *types.Checksum) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func attributePartSums(o *types.ObjectPart) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func copySums(o *s3response.CopyObjectResult) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func copyPartSums(o *s3response.CopyPartResult) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func partInputSums(o *awss3.UploadPartInput) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func partOutputSums(o *awss3.UploadPartOutput) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func listPartSums(o *s3response.Part) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func completedPartSums(o *types.CompletedPart) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func completeInputSums(o *awss3.CompleteMultipartUploadInput) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

func completeOutputSums(o *s3response.CompleteMultipartUploadResult) sumFields {
	return sumFields{
		&o.ChecksumCRC32, &o.ChecksumCRC32C, &o.ChecksumCRC64NVME, &o.ChecksumSHA1, &o.ChecksumSHA256,
		&o.ChecksumSHA512, &o.ChecksumMD5, &o.ChecksumXXHASH64, &o.ChecksumXXHASH3, &o.ChecksumXXHASH128,
	}
}

// trailer is what versitygw's chunk readers know once a body with a trailing
// checksum has been read to its end.
type trailer interface {
	Algorithm() string
	Checksum() string
}

// intake reads a request body once and computes, on the way, its length, its
// MD5, and checksums. It remembers the body's own error, because engines wrap
// what they are handed. Whoever makes one closes it.
type intake struct {
	r       io.Reader
	n       int64
	md5     *md5lanes.Hash
	sums    []bodySum
	trailer trailer // nil when the body has no trailing checksum
	err     error   // of the body; io.EOF is none
}

// sideBySide hashes the bodies of all uploads of this process together.
var sideBySide md5lanes.Group

// newIntake reads body. want is the checksum that the client declared, if any;
// its value, when set, is verified at the end of the body. extra checksums are
// computed beside it.
func newIntake(body io.Reader, want metabase.Checksum, extra ...types.ChecksumAlgorithm) (*intake, error) {
	in := &intake{md5: sideBySide.New()}
	if t, ok := body.(trailer); ok && t.Algorithm() != "" {
		in.trailer = t
	}
	if body == nil {
		body = strings.NewReader("")
	}
	in.r = io.TeeReader(&counter{r: body, n: &in.n}, in.md5)
	add := func(algorithm, value string) error {
		s, err := newBodySum(in.r, algorithm, value)
		if err != nil {
			return fmt.Errorf("computing checksum %s: %w", algorithm, err)
		}
		in.sums, in.r = append(in.sums, s), s
		return nil
	}
	if want.Algorithm != "" && in.trailer == nil {
		if err := add(want.Algorithm, want.Value); err != nil {
			return nil, err
		}
	}
	for _, a := range extra {
		if string(a) == want.Algorithm && in.trailer == nil {
			continue
		}
		if in.trailer != nil && strings.EqualFold(string(a), in.trailer.Algorithm()) {
			continue
		}
		if err := add(string(a), ""); err != nil {
			return nil, err
		}
	}
	return in, nil
}

func (in *intake) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && in.err == nil {
		in.err = err
	}
	return n, err
}

// sum returns the checksum of the body, read to its end, by algorithm.
func (in *intake) sum(algorithm string) metabase.Checksum {
	c := metabase.Checksum{Algorithm: algorithm, Type: string(types.ChecksumTypeFullObject)}
	if in.trailer != nil && strings.EqualFold(in.trailer.Algorithm(), algorithm) {
		c.Value = in.trailer.Checksum()
		return c
	}
	for _, hr := range in.sums {
		if strings.EqualFold(string(hr.Type()), algorithm) {
			c.Value = hr.Sum()
			return c
		}
	}
	return metabase.Checksum{}
}

// close ends the reading; etag and sum may not be asked for any more.
func (in *intake) close() { in.md5.Close() }

// etag is the MD5 of the body, read to its end, in hex.
func (in *intake) etag() string { return hex.EncodeToString(in.md5.Sum(nil)) }

// bodySum computes one checksum of what is read through it; where the client
// declared its value, the end of the body fails with BadDigest if it differs.
type bodySum interface {
	io.Reader
	Type() utils.HashType
	Sum() string // base64
}

// kindOf is versitygw's name of an algorithm.
func kindOf(algorithm string) utils.HashType { return utils.HashType(strings.ToLower(algorithm)) }

func newBodySum(r io.Reader, algorithm, want string) (bodySum, error) {
	kind := kindOf(algorithm)
	if kind == utils.HashTypeCRC64NVME {
		return &nvmeSum{r: r, want: want}, nil
	}
	return utils.NewHashReader(r, want, kind)
}

// nvmeSum is CRC64NVME, which nearly every body gets. versitygw's goes by
// tables, one byte a nanosecond; this one multiplies polynomials, fifty.
type nvmeSum struct {
	r    io.Reader
	want string
	crc  uint64
}

func (s *nvmeSum) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.crc = crc64nvme.Update(s.crc, p[:n])
	if errors.Is(err, io.EOF) && s.want != "" && s.want != s.Sum() {
		err = s3err.GetChecksumBadDigestErr(types.ChecksumAlgorithmCrc64nvme)
	}
	return n, err
}

func (s *nvmeSum) Type() utils.HashType { return utils.HashTypeCRC64NVME }

func (s *nvmeSum) Sum() string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, s.crc))
}

type counter struct {
	r io.Reader
	n *int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
	return n, err
}

// maxDrain is how much of a refused body is read for the client's sake.
const maxDrain = 64 << 20

// drain reads what is left of a body that was refused, within limits: most
// clients look at the answer only when they have sent everything, and take a
// connection closed before for a network error.
func drain(body io.Reader) {
	if body != nil {
		_, _ = io.CopyN(io.Discard, body, maxDrain) // the refusal is what counts
	}
}
