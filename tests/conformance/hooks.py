"""What schemathesis does not know by itself: how NDJSON is written, which refusals of valid requests are right, and what
there is to be found.

A schema says which requests are well formed. It cannot say which purposes, notices and tokens exist, nor which members
go together: such requests are refused, too, with 400, 422 or another 4xx. `schemathesis.toml` lets those statuses pass
`positive_data_acceptance`; the check below looks at the stable code instead. A refusal for the shape of a request that
is of the documented shape means that the document is wrong.
"""
import itertools
import json
import os

import schemathesis

# What tests/conformance/seed.py put there to be found.
KNOWN = json.loads(os.environ.get("KNOWN", "{}"))
SEATS = {"/console": "officer", "/console/account": "officer", "/console/staff": "administrator"}
count = itertools.count()


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Has every second well-formed request be about something that there is, or come from somebody who is signed in."""
    meta = case.meta
    if not KNOWN or meta is None or not meta.generation.mode.is_positive:
        return
    turn, is_other = divmod(next(count), 2)
    if is_other:
        return
    # An import that was given up stays to be looked at as one that was, and schemathesis would take that for a fault.
    known = {} if case.method.upper() == "DELETE" else KNOWN["paths"].get(case.path, {})
    for name, values in known.items():
        case.path_parameters[name] = values[turn % len(values)]
    known = KNOWN["bodies"].get(case.path)
    if known and isinstance(case.body, dict):
        case.body.update(known)
    seat = KNOWN["seats"].get(SEATS.get(case.path))
    if seat:
        case.headers["Cookie"] = seat["cookie"]
        if case.method.upper() == "POST" and isinstance(case.body, dict):
            case.body["csrf"] = seat["csrf"]

# What the document must say completely: a request that keeps to it is never refused for one of these.
OF_SHAPE = {
    "malformed_json", "invalid_utf8", "unknown_field", "empty", "too_long", "too_many", "unsupported_media_type",
    "not_acceptable", "idempotency_key_malformed",
}


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    return json.dumps(value).encode() + b"\n"


@schemathesis.deserializer("application/json", "application/sd-jwt")
def json_or_text(ctx, response):
    """It takes application/jwt for JSON."""
    kind = response.headers.get("content-type", [""])[0]
    return response.json() if "json" in kind else response.text


@schemathesis.check
def valid_shape_is_taken(ctx, response, case):
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code not in (400, 413, 415, 422):
        return
    try:
        problem = response.json()
    except ValueError:
        return
    faults = problem.get("errors") or [problem]
    # The columns of a file are its content, which fields a form has the policy says, and whether a post may be without choices
    # depends on what else it says.
    places = ((fault.get("pointer", ""), fault.get("code")) for fault in faults)
    codes = {code for place, code in places if not place.startswith(("/header", "/fields")) and (place, code) != ("/choices", "empty")}
    # Which inputs a form has the policy says, or the description of its page, not the schema.
    is_page = case.path.startswith(("/forms/", "/preferences/", "/unsubscribe/", "/confirm/", "/console/"))
    of_shape = OF_SHAPE - {"unknown_field"} if is_page else OF_SHAPE
    assert not codes & of_shape, f"a request of the documented shape is refused for its shape: {problem}"
