package s3

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3api/utils"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// TestChecksumsAgreeWithFrontEnd holds each checksum of an intake against versitygw's own, for bodies
// around the sizes at which implementations change their way, and sees a wrong value refused.
func TestChecksumsAgreeWithFrontEnd(t *testing.T) {
	random := rand.NewChaCha8([32]byte{7})
	for _, size := range []int{0, 1, 15, 16, 127, 128, 129, 1023, 1024, 4096, 70_001} {
		body := make([]byte, size)
		_, _ = random.Read(body)
		for _, a := range algorithms {
			want, err := utils.NewHashReader(bytes.NewReader(body), "", kindOf(string(a)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, want); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				value string
				fails bool
			}{{"", false}, {want.Sum(), false}, {"AAAAAAAAAAE=", true}} {
				in, err := newIntake(iotest.HalfReader(bytes.NewReader(body)), metabase.Checksum{Algorithm: string(a), Value: c.value})
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.Copy(io.Discard, in)
				if (err != nil) != c.fails {
					t.Errorf("%s of %d bytes, declared %q: %v", a, size, c.value, err)
				}
				if err == nil && in.sum(string(a)).Value != want.Sum() {
					t.Errorf("%s of %d bytes is %s, want %s", a, size, in.sum(string(a)).Value, want.Sum())
				}
			}
		}
	}
}

// TestChecksumOfBrokenBody sees the body's own error, not a wrong checksum, where a body breaks off.
func TestChecksumOfBrokenBody(t *testing.T) {
	broken := errors.New("cable pulled")
	in, err := newIntake(io.MultiReader(bytes.NewReader(make([]byte, 5000)), iotest.ErrReader(broken)),
		metabase.Checksum{Algorithm: string(types.ChecksumAlgorithmCrc64nvme), Value: "AAAAAAAAAAE="})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, in); !errors.Is(err, broken) {
		t.Errorf("got %v, want the body's own error", err)
	}
}
