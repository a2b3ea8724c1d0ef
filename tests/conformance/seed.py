"""Puts something into the gateway that there is to find: persons with consents and records, what goes with them, an import, a
rights request, and a member of staff who is signed in. Prints what it made as JSON, for hooks.py.

    seed.py BINARY DATA        reads CONSENTRY_URL and the tokens of scripts/api-conformance from the environment
"""
import base64
import hashlib
import hmac
import http.cookiejar
import json
import os
import re
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

URL = os.environ["CONSENTRY_URL"]
SOURCE, OFFICER, MAILER = (os.environ[name] for name in ("SOURCE_TOKEN", "OFFICER_TOKEN", "MAILER_TOKEN"))


def call(path, body=None, token=None, kind="application/json", accept="application/json"):
    headers = {"Accept": accept}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if body is not None:
        headers["Content-Type"] = kind
        body = json.dumps(body).encode() if kind == "application/json" else body.encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(URL + path, body, headers)) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        sys.exit(f"{path}: {error.code} {error.read().decode()}")
    return json.loads(text) if accept == "application/json" else text


def persons():
    page = call("/forms/checkout?locale=en", accept="text/html")
    notice = re.search(r'value="(sha256:[0-9a-f]{64})"', page).group(1)
    made = []
    for name in ("anna", "berta", "carla"):
        address = f"{name}@example.org"
        receipt = call("/v1/consents", {
            "form": "checkout", "subject": {"email": address}, "notice": notice, "locale": "en", "region": "DE",
            "captured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 5)),
            "evidence": {"action": "checkbox_ticked", "default_state": "unchecked", "presentation": "separate"},
            "choices": [{"purpose": p, "choice": "give"} for p in ("email_marketing", "profiling_segmentation")],
        })
        made.append((address, receipt))
    lines = [{"subject": {"email": a}, "attributes": {"city": "Berlin", "email": a}} for a, _ in made]
    call("/v1/records", lines, SOURCE)
    return notice, made


def links(address):
    """What a mail that is sent now would carry."""
    campaign = {
        "id": "advent-2026", "class": "marketing",
        "template": {"slots": ["sender_name", "postal_address", "stop_address", "unsubscribe_link"]},
    }
    body = {"purpose": "email_marketing", "campaign": campaign, "identifiers": [{"email": address}]}
    text = json.dumps(call("/v1/deliveries/resolve", body, MAILER))
    found = {}
    for kind in ("unsubscribe", "preferences"):
        token = re.search(rf"/{kind}/([A-Za-z0-9_.~-]+)", text)
        if token:
            found[f"/{kind}/{{token}}"] = {"token": [token.group(1)]}
    return found


def invite(binary, data, name, role):
    """The path of a one-time link."""
    command = [binary, "staff", "invite", "--data", data, "--name", name, "--role", role]
    link = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return urllib.parse.urlsplit(link).path


class Member:
    """A member of staff at a browser, signed in."""

    def __init__(self, binary, data, name, role):
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        path = invite(binary, data, name, role)
        self.open(path)
        page = self.send(path, name="", password="a few words that nobody joins")
        key = re.search(r'<code id="key">([^<]+)<', page).group(1)
        self.send("/console/authenticator", code=code(key))
        self.open("/console/account")

    def open(self, path, body=None):
        request = urllib.request.Request(URL + path, body, {"Accept": "text/html"})
        with self.opener.open(request) as answer:
            page = answer.read().decode()
        # Each session has its own.
        secret = re.search(r'name="csrf" value="([^"]+)"', page)
        self.csrf = secret.group(1) if secret else None
        return page

    def send(self, path, **inputs):
        return self.open(path, urllib.parse.urlencode({**inputs, "csrf": self.csrf}).encode())

    def seat(self):
        cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.jar)
        return {"cookie": cookie, "csrf": self.csrf}


def code(key):
    key = key.replace(" ", "")
    secret = base64.b32decode(key + "=" * (-len(key) % 8))
    mac = hmac.new(secret, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = mac[19] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def main():
    binary, data = sys.argv[1:]
    notice, made = persons()
    subjects = [call("/v1/subjects/lookup", {"subject": {"email": address}}, OFFICER)["id"] for address, _ in made]
    receipts = [receipt["receipt"] for _, receipt in made]
    request = call("/v1/rights-requests", {"type": "access", "subject": {"email": made[0][0]}}, OFFICER)
    file = "email,captured_at,purpose:email_marketing\ndora@example.org,2026-11-01T08:00:00Z,given\n"
    imports = [call("/v1/imports?evidence=list-2026", file, SOURCE, kind="text/csv")["id"] for _ in range(2)]
    # Its entries are in the tree within a second.
    for _ in range(50):
        size = int(call("/ledger/checkpoint", accept="text/plain").split("\n")[1])
        if size:
            break
        time.sleep(0.1)
    width = f".p/{size}" if size < 256 else ""
    paths = {
        "/v1/notices/{digest}": {"digest": [notice]},
        "/v1/imports/{id}": {"id": imports[:1]},
        "/v1/imports/{id}/apply": {"id": imports[1:]},
        "/console/join/{token}": {"token": [invite(binary, data, "carl", "auditor").rsplit("/")[-1]]},
        "/v1/rights-requests/{id}": {"id": [request["id"]]},
        "/ledger/tile/{tile}": {"tile": [f"0/000{width}", f"entries/000{width}"]},
        **{f"/v1/subjects/{{id}}/{of}": {"id": subjects} for of in ("explain", "consents", "record", "disclosures")},
        "/v1/evidence/{receipt}": {"receipt": receipts},
        "/v1/subjects/{id}/receipts/{receipt}": {"id": subjects[:1], "receipt": receipts[:1]},
        **links(made[0][0]),
    }
    print(json.dumps({
        "paths": paths,
        "bodies": {"/v1/receipts": {"token": made[0][1]["receipt_token"]}},
        "seats": {
            "administrator": Member(binary, data, "root-admin", "administrator").seat(),
            "officer": Member(binary, data, "olivia", "officer").seat(),
        },
    }))


main()
