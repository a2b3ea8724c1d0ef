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

def evidence(path, vkey):
    bundle = json.load(open(path))
    vkey = vkey or bundle["keys"]["ledger_vkey"]
    for notice in bundle.get("notices", []):
        digest = sha(b"consentry notice v1\0", notice["locale"].encode(), b"\0", notice["text"].encode()).hex()
        check(f"sha256:{digest}" == notice["digest"], "the text of a notice")
    for link in bundle["chain"]:
        published = unb64(link["published"])
        inclusion(link["proof"], published, vkey)
        if "opening" in link:
            entry, key = unb64(link["opening"]["entry"]), unb64(link["opening"]["key"])
            check(len(key) == 32 and published == b"\1" + hmac.digest(key, entry, "sha256"), "an opened entry")
    for token in bundle.get("signed", {}).values():  # RFC 7515; of an SD-JWT (RFC 9901) the part that the issuer signed
        header, payload, signature = [base64.urlsafe_b64decode(part + "==") for part in token.split("~")[0].split(".")]
        jwk = next(key for key in bundle["keys"]["jwks"]["keys"] if key["kid"] == json.loads(header)["kid"])
        signed = token.split("~")[0].rpartition(".")[0].encode()
        Key.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "==")).verify(signature, signed)
    print(f"the evidence verifies: {bundle['state']}, {len(bundle['chain'])} entries of the ledger")

if __name__ == "__main__":
    evidence(*(sys.argv[1:] + [None])[:2])
