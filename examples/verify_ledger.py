#!/usr/bin/env python3
"""Verifies a Consentry ledger over HTTP with none of Consentry's code.

    verify_ledger.py https://consent.example.com [VKEY [OLD-CHECKPOINT-FILE]]

Formats: c2sp.org/{signed-note,tlog-checkpoint,tlog-tiles}. Needs `cryptography` (Ed25519) and nothing else.
Without VKEY the key that the ledger names is taken, which proves less: keep the key from elsewhere.
"""
import base64, hashlib, sys, urllib.request
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey as Key

sha, unb64 = lambda *parts: hashlib.sha256(b"".join(parts)).digest(), base64.b64decode
leaf, node = lambda entry: sha(b"\0", entry), lambda left, right: sha(b"\1", left, right)

def check(holds, what):
    if not holds:
        sys.exit(f"DOES NOT VERIFY: {what}")

def root(hashes):
    if len(hashes) < 2:
        return hashes[0] if hashes else sha()
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node(root(hashes[:split]), root(hashes[split:]))

def checkpoint(note, vkey):  # signed-note, tlog-checkpoint
    name, key_id, key = vkey.split("+", 2)
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    raw = unb64(key)
    check(raw[0] == 1 and sha(name.encode(), b"\n", raw)[:4].hex() == key_id, "the verifier key")
    ours = [unb64(line.split(" ")[2]) for line in signatures.splitlines() if line.startswith(f"\u2014 {name} ")]
    signed = [signature[4:] for signature in ours if signature[:4].hex() == key_id]
    check(signed, "no signature by the key")
    Key.from_public_bytes(raw[1:]).verify(signed[0], text.encode())  # raises if wrong
    origin, size, top = text.split("\n")[:3]
    check(origin == name, "a checkpoint of another ledger")
    return int(size), unb64(top)

def ledger(base, vkey, old):
    def get(path):
        return urllib.request.urlopen(f"{base.rstrip('/')}/ledger/{path}").read()
    vkey = vkey or get("vkey").decode().split()[0]
    size, top = checkpoint(get("checkpoint").decode(), vkey)
    leaves = []
    for number in range((size + 255) // 256):
        width, digits = min(256, size - number * 256), f"{number:03d}".zfill((len(str(number)) + 2) // 3 * 3)
        groups = [digits[at:at + 3] for at in range(0, len(digits), 3)]
        path = "/".join(["x" + group for group in groups[:-1]] + groups[-1:]) + ("" if width == 256 else f".p/{width}")
        bundle, hashes = get("tile/entries/" + path), get("tile/0/" + path)
        while bundle:
            end = 2 + int.from_bytes(bundle[:2], "big")
            leaves.append(leaf(bundle[2:end]))
            at = 32 * ((len(leaves) - 1) % 256)
            check(leaves[-1] == hashes[at:at + 32], f"entry {len(leaves) - 1} is not what the tree holds")
            bundle = bundle[end:]
    check(len(leaves) == size and root(leaves) == top, "the entries do not give the root")
    if old:
        old_size, old_top = checkpoint(open(old).read(), vkey)
        check(old_size <= size, f"entries {size} to {old_size - 1} are missing")
        check(root(leaves[:old_size]) == old_top, f"forked: the first {old_size} entries are not those of {old}")
    print(f"the ledger verifies: {size} entries, root {top.hex()}")

if __name__ == "__main__":
    ledger(*(sys.argv[1:] + [None, None])[:3])
