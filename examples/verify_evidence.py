#!/usr/bin/env python3
"""Verifies a file of evidence offline, with none of Consentry's code: signatures, openings and proofs.

    verify_evidence.py consent-evidence.json [VKEY]

Formats: c2sp.org/{signed-note,tlog-checkpoint,tlog-proof}, RFC 7515, RFC 9901. Needs `cryptography` (Ed25519).
Without VKEY the key in the file is taken, which proves less: keep the key from elsewhere.
"""
import base64, hmac, json, sys
from verify_ledger import Key, check, checkpoint, leaf, node, sha, unb64

def inclusion(proof, published, vkey):  # tlog-proof, RFC 9162 2.1.3.2
    head, _, note = proof.partition("\n\n")
    size, top = checkpoint(note, vkey)
    lines = [line for line in head.split("\n")[1:] if not line.startswith("extra ")]
    place, last, have = int(lines[0].split(" ")[1]), size - 1, leaf(published)
    check(place <= last, "an index beyond the ledger")
    for sibling in map(unb64, lines[1:]):
        check(last > 0, "a proof that is too long")
        if place & 1 or place == last:
            have = node(sibling, have)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            have = node(have, sibling)
        place, last = place >> 1, last >> 1
    check(last == 0 and have == top, "an entry is not under the checkpoint")

def claims(token, jwks, kind):  # RFC 7515
    header, payload, signature = [base64.urlsafe_b64decode(part + "==") for part in token.split(".")]
    header = json.loads(header)
    check(header["alg"] == "EdDSA" and header["typ"] == kind, "the type of a signed receipt")
    jwk = next(key for key in jwks["keys"] if key["kid"] == header["kid"])
    signed = token.rpartition(".")[0].encode()
    Key.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "==")).verify(signature, signed)  # raises if wrong
    return json.loads(payload)

def evidence(path, vkey):
    bundle = json.load(open(path))
    check(bundle["format"] == "consentry-evidence/1" and bundle["chain"], "the form of the file")
    check(bundle["state"] == "open" or bundle["state"] == "closed" and "document" not in bundle, "the state of the file")
    check(vkey in (None, bundle["keys"]["ledger_vkey"]), "the ledger's key")
    vkey, receipt = bundle["keys"]["ledger_vkey"], bundle["receipt"]
    for notice in bundle.get("notices", []):
        digest = sha(b"consentry notice v1\0", notice["locale"].encode(), b"\0", notice["text"].encode()).hex()
        check(f"sha256:{digest}" == notice["digest"], "the text of a notice")
    for place, link in enumerate(bundle["chain"]):
        published = unb64(link["published"])
        inclusion(link["proof"], published, vkey)
        check(f"\nindex {link['index']}\n" in link["proof"], "the place of an entry")
        check(link["proof"].endswith(bundle["checkpoint"]), "the checkpoint")
        if "opening" in link:
            entry, key = unb64(link["opening"]["entry"]), unb64(link["opening"]["key"])
            check(len(key) == 32 and published == b"\1" + hmac.digest(key, entry, "sha256"), "an opened entry")
            check(place > 0 or bytes.fromhex(receipt) in entry, "the entry is about another receipt")
    if bundle["state"] == "open":
        jwks, first = bundle["keys"]["jwks"], bundle["chain"][0]
        says = claims(bundle["signed"]["jws"], jwks, "consent-receipt+jwt")
        check(says["receipt"] == bundle["document"] and says["jti"] == receipt, "the signed receipt")
        place = {"origin": vkey.split("+")[0], "index": first["index"], "published": first["published"]}
        check(says["ledger"] == place, "the entry of the signed receipt")
        token, *disclosures = bundle["signed"]["sd_jwt"].rstrip("~").split("~")  # RFC 9901
        signed = json.dumps(claims(token, jwks, "consent-receipt+sd-jwt"))
        for disclosure in disclosures:
            digest = base64.urlsafe_b64encode(sha(disclosure.encode())).decode().rstrip("=")
            check(digest in signed, "a disclosure that belongs to nothing")
        named = {notice["dct:identifier"] for record in says["receipt"]["dpv:hasRecordOfActivity"] for notice in record["dpv:hasNotice"]}
        check(named <= {notice["digest"] for notice in bundle["notices"]}, "a notice without its text")
    print(f"the evidence verifies: {bundle['state']}, {len(bundle['chain'])} entries of the ledger")

if __name__ == "__main__":
    evidence(*(sys.argv[1:] + [None])[:2])
