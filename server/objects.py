"""The artifacts of a bucket as one tar file: `save BUCKET` writes it to its output, `load BUCKET` reads its input.

It runs inside the image, whose environment says where the objects are; hence one file, and nothing of ours imported.
"""

import os
import shutil
import sys
import tarfile
import tempfile
from typing import IO, Any

import boto3
from botocore.exceptions import ClientError


def save(client: Any, bucket: str, out: IO[bytes]) -> int:
    """Every object, read one after the other; how many. One that goes meanwhile is left out."""
    count = 0
    with tarfile.open(fileobj=out, mode="w|") as archive:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for one in page.get("Contents", ()):
                try:
                    found = client.get_object(Bucket=bucket, Key=one["Key"])
                except client.exceptions.NoSuchKey:
                    continue
                about = tarfile.TarInfo(one["Key"])
                about.size, about.mtime = found["ContentLength"], int(found["LastModified"].timestamp())
                archive.addfile(about, found["Body"])
                count += 1
    return count


def load(client: Any, bucket: str, source: IO[bytes]) -> int:
    """Every object of a tar file into the bucket, which is made if need be; how many. What is there besides stays."""
    count = 0
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
            raise
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for about in archive:
            content = archive.extractfile(about)
            if content is None:
                continue
            with tempfile.TemporaryFile() as whole:  # a pipe cannot be read again, as a second attempt has to
                shutil.copyfileobj(content, whole)
                whole.seek(0)
                client.upload_fileobj(whole, bucket, about.name)
            count += 1
    return count


def main() -> int:
    """save or load, and a line of how many objects that were."""
    client = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
    action, bucket = sys.argv[1:]
    count = save(client, bucket, sys.stdout.buffer) if action == "save" else load(client, bucket, sys.stdin.buffer)
    print(f"{count} objects", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
