package s3

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestClients drives unmodified clients from Debian's packages against a
// gateway. Clients that are not installed are skipped by name.
func TestClients(t *testing.T) {
	if testing.Short() {
		t.Skip("drives real clients; not with -short")
	}
	endpoint, access, secret := target(t)
	work := t.TempDir()
	source := folder(t, filepath.Join(work, "source"))
	env := append(os.Environ(), "AWS_CA_BUNDLE=", "AWS_ACCESS_KEY_ID="+access, "AWS_SECRET_ACCESS_KEY="+secret,
		"AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "HOME="+work,
		"RESTIC_PASSWORD=password", "ENDPOINT="+endpoint, "HOST="+strings.TrimPrefix(endpoint, "http://"),
		"ACCESS="+access, "SECRET="+secret, "SOURCE="+source,
		"RCLONE_CONFIG_C_TYPE=s3", "RCLONE_CONFIG_C_PROVIDER=Other", "RCLONE_CONFIG_C_ENV_AUTH=true",
		"RCLONE_CONFIG_C_ENDPOINT="+endpoint, "RCLONE_CONFIG_C_REGION=us-east-1")
	// An empty value of AWS_CA_BUNDLE is not the same as none to every client.
	kept := env[:0]
	for _, e := range env {
		if !strings.HasPrefix(e, "AWS_CA_BUNDLE=") {
			kept = append(kept, e)
		}
	}
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			if _, err := os.Stat("/usr/bin/" + c.program); err != nil {
				t.Skipf("/usr/bin/%s is not installed (apt-get install %s)", c.program, c.pkg)
			}
			cmd := exec.CommandContext(t.Context(), "bash", "-euc", "set -o pipefail\n"+c.script)
			cmd.Dir, cmd.Env = t.TempDir(), kept
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// folder makes files of sizes around every boundary, with awkward names.
func folder(t *testing.T, dir string) string {
	t.Helper()
	for name, size := range map[string]int{
		"empty": 0, "small": 100, "a/inline": 4096, "a/just over": 4097, "a/b/deep/er": 70_000,
		"ümläut & +%20?/名前": 5000, "big": 20<<20 + 1,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var content bytes.Buffer
		for content.Len() < size {
			chunk := make([]byte, min(1<<20, size-content.Len()))
			if _, err := rand.Read(chunk); err != nil {
				t.Fatal(err)
			}
			content.Write(chunk)
		}
		if err := os.WriteFile(path, content.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// clients are scripts that fail when anything differs. They run in an empty
// directory of their own.
var clients = []struct{ name, program, pkg, script string }{
	{"awscli", "aws", "awscli", `
		aws() { /usr/bin/aws --endpoint-url "$ENDPOINT" "$@"; }
		aws s3 mb s3://aws-cli
		aws s3 sync "$SOURCE" s3://aws-cli/dir --no-progress
		aws s3 sync s3://aws-cli/dir back --no-progress
		diff -r "$SOURCE" back
		aws s3api get-object --bucket aws-cli --key dir/big --range bytes=9999999-10000099 range > /dev/null
		cmp range <(tail -c +10000000 "$SOURCE/big" | head -c 101)
		aws s3 cp s3://aws-cli/dir/big s3://aws-cli/copy --no-progress
		aws s3 cp s3://aws-cli/copy copy --no-progress
		cmp copy "$SOURCE/big"
		curl -fsS "$(aws s3 presign s3://aws-cli/dir/small)" | cmp - "$SOURCE/small"
		aws s3api put-bucket-versioning --bucket aws-cli --versioning-configuration Status=Enabled
		aws s3 rm s3://aws-cli/dir/small
		test "$(aws s3api list-object-versions --bucket aws-cli --prefix dir/small --query 'length(DeleteMarkers)')" = 1
		aws s3api get-object --bucket aws-cli --key dir/small --version-id null old > /dev/null
		cmp old "$SOURCE/small"`},
	{"rclone", "rclone", "rclone", `
		rclone() { /usr/bin/rclone --config "" --retries 1 "$@"; }
		rclone mkdir c:rclone-bucket
		rclone sync "$SOURCE" c:rclone-bucket/x
		rclone check "$SOURCE" c:rclone-bucket/x
		rclone check --download "$SOURCE" c:rclone-bucket/x
		rclone cat --offset 100 --count 50 c:rclone-bucket/x/big | cmp - <(tail -c +101 "$SOURCE/big" | head -c 50)
		rclone sync --s3-upload-cutoff 5M --s3-chunk-size 5M "$SOURCE" c:rclone-bucket/parts
		rclone check --download "$SOURCE" c:rclone-bucket/parts
		rclone moveto c:rclone-bucket/x/small c:rclone-bucket/x/moved
		rclone cat c:rclone-bucket/x/moved | cmp - "$SOURCE/small"
		rclone purge c:rclone-bucket`},
	{"s3cmd", "s3cmd", "s3cmd", `
		printf '[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s\nhost_bucket = %s\nuse_https = False\n' "$ACCESS" "$SECRET" "$HOST" "$HOST" > config
		s3cmd() { /usr/bin/s3cmd -c config --no-progress "$@"; }
		s3cmd mb s3://s3cmd-bucket
		s3cmd sync "$SOURCE/" s3://s3cmd-bucket/p/
		s3cmd sync s3://s3cmd-bucket/p/ back/
		diff -r "$SOURCE" back
		s3cmd put --multipart-chunk-size-mb=5 "$SOURCE/big" s3://s3cmd-bucket/parts
		s3cmd get s3://s3cmd-bucket/parts parts
		cmp parts "$SOURCE/big"
		s3cmd cp s3://s3cmd-bucket/parts s3://s3cmd-bucket/copy
		s3cmd del -r -f s3://s3cmd-bucket/
		s3cmd rb s3://s3cmd-bucket`},
	{"restic", "restic", "restic", `
		export RESTIC_REPOSITORY="s3:$ENDPOINT/restic-bucket"
		restic init
		restic backup "$SOURCE"
		restic check --read-data
		restic restore latest --target out
		diff -r "$SOURCE" "out$SOURCE"
		restic forget --keep-last 1 --prune`},
	{"boto3", "python3", "python3-boto3", fmt.Sprintf("/usr/bin/python3 - <<'EOF'\n%s\nEOF", botoScript)},
}

const botoScript = `
import boto3, os
from botocore.exceptions import ClientError
c = boto3.client('s3', endpoint_url=os.environ['ENDPOINT'])
c.create_bucket(Bucket='boto')
body = os.urandom(200000)
for alg in ['CRC32', 'SHA1', 'SHA256']:
    r = c.put_object(Bucket='boto', Key='k' + alg, Body=body, ChecksumAlgorithm=alg, Metadata={'A': 'b'}, Tagging='x=1&y=2')
    g = c.get_object(Bucket='boto', Key='k' + alg, ChecksumMode='ENABLED')
    assert g['Body'].read() == body and r['Checksum' + alg] == g['Checksum' + alg]
    assert g['Metadata'] == {'a': 'b'} and g['TagCount'] == 2
u = c.create_multipart_upload(Bucket='boto', Key='mp')['UploadId']
part = lambda n, b: {'PartNumber': n, 'ETag': c.upload_part(Bucket='boto', Key='mp', UploadId=u, PartNumber=n, Body=b)['ETag']}
last = part(3, b'tail')
first = part(1, b'x' * (5 << 20))
c.upload_part_copy(Bucket='boto', Key='mp', UploadId=u, PartNumber=2, CopySource='boto/kSHA1', CopySourceRange='bytes=10-19')
try:
    c.complete_multipart_upload(Bucket='boto', Key='mp', UploadId=u, MultipartUpload={'Parts': [last, first]})
    assert False
except ClientError as e:
    assert e.response['Error']['Code'] == 'InvalidPartOrder', e
r = c.complete_multipart_upload(Bucket='boto', Key='mp', UploadId=u, MultipartUpload={'Parts': [first, last]})
assert r['ETag'].endswith('-2"')
assert c.get_object(Bucket='boto', Key='mp')['Body'].read() == b'x' * (5 << 20) + b'tail'
assert c.get_object(Bucket='boto', Key='mp', PartNumber=2)['Body'].read() == b'tail'
for i in range(1100):
    c.put_object(Bucket='boto', Key='l/%d/%04d' % (i % 7, i), Body=b'')
pages = [p['KeyCount'] for p in c.get_paginator('list_objects_v2').paginate(Bucket='boto', Prefix='l/')]
assert pages == [1000, 100], pages
assert len(c.list_objects_v2(Bucket='boto', Prefix='l/', Delimiter='/')['CommonPrefixes']) == 7
keys = [{'Key': o['Key']} for o in c.list_objects_v2(Bucket='boto')['Contents']]
assert len(c.delete_objects(Bucket='boto', Delete={'Objects': keys})['Deleted']) == 1000`
