#!/usr/bin/env python3
"""A segmentation service with DuckDB: pulls what it may have as Arrow or Parquet and asks questions in SQL.

    pip install duckdb pyarrow
    CLIENT_SECRET=... examples/segmentation.py [--parquet]

Whoever takes consent back is not in the next pull: pull again before each use, and keep no copy.
"""

import base64
import io
import json
import os
import sys
import urllib.parse
import urllib.request

import duckdb
import pyarrow.ipc
import pyarrow.parquet

URL = os.environ.get("CONSENTRY_URL", "http://127.0.0.1:8080")
CLIENT = os.environ.get("CLIENT_ID", "segmentation")
PURPOSE = os.environ.get("PURPOSE", "profiling_segmentation")


def token(secret: str) -> str:
    """An access token for the client's secret (RFC 6749 section 4.4)."""
    credentials = base64.b64encode(f"{CLIENT}:{secret}".encode()).decode()
    request = urllib.request.Request(
        f"{URL}/oauth/token",
        data=b"grant_type=client_credentials",
        headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/x-www-form-urlencoded"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["access_token"]


def pull(bearer: str, media_type: str):
    """The permitted rows, as they are streamed."""
    query = urllib.parse.urlencode({"purpose": PURPOSE})
    headers = {"Authorization": f"Bearer {bearer}", "Accept": media_type}
    return urllib.request.urlopen(urllib.request.Request(f"{URL}/v1/profiles?{query}", headers=headers))


def main() -> None:
    """Pulls once and prints three answers."""
    secret = os.environ.get("CLIENT_SECRET") or sys.exit("set CLIENT_SECRET to the secret of the client")
    bearer = token(secret)
    if "--parquet" in sys.argv[1:]:
        with pull(bearer, "application/vnd.apache.parquet") as response:
            profiles = pyarrow.parquet.read_table(io.BytesIO(response.read()))
    else:
        with pull(bearer, "application/vnd.apache.arrow.stream") as response:
            profiles = pyarrow.ipc.open_stream(response).read_all()
    print(f"{profiles.num_rows} persons, {profiles.num_columns} columns\n")

    database = duckdb.connect()
    database.register("profiles", profiles)
    for title, question in (
        ("Who is slipping away: bought often and much, but not lately",
         """SELECT stage, count(*) AS persons FROM profiles
            WHERE rfm_recency <= 3 AND rfm_frequency >= 3 AND rfm_monetary >= 4 GROUP BY stage ORDER BY persons DESC"""),
        ("Recency by frequency",
         "PIVOT profiles ON rfm_frequency USING count(*) GROUP BY rfm_recency ORDER BY rfm_recency DESC"),
        ("Topics of the newest customers",
         """SELECT interest_topic, age_band, count(*) AS persons FROM profiles
            WHERE rfm_recency = 5 AND age_band IS NOT NULL GROUP BY ALL ORDER BY persons DESC LIMIT 5"""),
    ):
        print(title)
        print(database.sql(question))


if __name__ == "__main__":
    main()
