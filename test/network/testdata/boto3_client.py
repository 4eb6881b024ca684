"""Conditional writes, versions, tags, multipart and listing as boto3 speaks them.

Run by TestClients: python3 boto3_client.py ENDPOINT, credentials from the environment.
"""
import hashlib
import os
import sys

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3", endpoint_url=sys.argv[1], config=Config(s3={"addressing_style": "path"}))


def code(call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        return e.response["Error"]["Code"]
    return "OK"


def with_header(operation, **headers):
    """Sends headers that this boto3's model may not know yet."""
    def add(params, **_):
        params["headers"].update({k.replace("_", "-"): v for k, v in headers.items()})
    return "before-call.s3." + operation, add


bucket = "boto3"
s3.create_bucket(Bucket=bucket)

# conditional writes
event, handler = with_header("PutObject", If_None_Match="*")
s3.meta.events.register(event, handler)
assert code(s3.put_object, Bucket=bucket, Key="once", Body=b"first") == "OK"
assert code(s3.put_object, Bucket=bucket, Key="once", Body=b"second") == "PreconditionFailed"
s3.meta.events.unregister(event, handler)
assert s3.get_object(Bucket=bucket, Key="once")["Body"].read() == b"first"
etag = s3.head_object(Bucket=bucket, Key="once")["ETag"]
assert etag == '"%s"' % hashlib.md5(b"first").hexdigest(), etag
assert code(s3.get_object, Bucket=bucket, Key="once", IfNoneMatch=etag) == "304"

# versions and delete markers
s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
one = s3.put_object(Bucket=bucket, Key="v", Body=b"1")["VersionId"]
two = s3.put_object(Bucket=bucket, Key="v", Body=b"2")["VersionId"]
assert s3.get_object(Bucket=bucket, Key="v", VersionId=one)["Body"].read() == b"1"
s3.delete_object(Bucket=bucket, Key="v")
assert code(s3.get_object, Bucket=bucket, Key="v") == "NoSuchKey"
assert s3.get_object(Bucket=bucket, Key="v", VersionId=two)["Body"].read() == b"2"
versions = s3.list_object_versions(Bucket=bucket, Prefix="v")
assert len(versions["Versions"]) == 2 and len(versions["DeleteMarkers"]) == 1

# tags and user metadata
s3.put_object(Bucket=bucket, Key="t", Body=b"t", Metadata={"who": "me"}, Tagging="a=1&b=2", ContentType="text/x-t")
head = s3.head_object(Bucket=bucket, Key="t")
assert head["Metadata"] == {"who": "me"} and head["ContentType"] == "text/x-t"
assert {t["Key"]: t["Value"] for t in s3.get_object_tagging(Bucket=bucket, Key="t")["TagSet"]} == {"a": "1", "b": "2"}

# multipart, parts out of order, ranged reads across part borders
parts = {n: os.urandom(5 * 1024 * 1024 + n) for n in (1, 2, 3)}
upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
etags = {}
for n in (3, 1, 2):
    etags[n] = s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=n, Body=parts[n])["ETag"]
s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload={
    "Parts": [{"PartNumber": n, "ETag": etags[n]} for n in (1, 2, 3)]})
whole = parts[1] + parts[2] + parts[3]
border = len(parts[1])
got = s3.get_object(Bucket=bucket, Key="m", Range="bytes=%d-%d" % (border - 10, border + 9))["Body"].read()
assert got == whole[border - 10:border + 10]
assert s3.get_object(Bucket=bucket, Key="m")["Body"].read() == whole

# copy, and listing in pages
s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "m"})
assert s3.get_object(Bucket=bucket, Key="c")["Body"].read() == whole
for i in range(25):
    s3.put_object(Bucket=bucket, Key="list/%02d" % i, Body=b"x")
keys = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="list/", PaginationConfig={"PageSize": 7}) for o in page["Contents"]]
assert keys == ["list/%02d" % i for i in range(25)]

assert code(s3.delete_bucket, Bucket=bucket) == "BucketNotEmpty"
assert code(s3.create_bucket, Bucket="X") in ("InvalidBucketName", "ParamValidationError")
print("all held")
