#!/bin/sh
# Runs a stock OAuth client against a gateway of its own, without and with nonces. Needs node 20, npm and a built binary:
#
#   tests/interop/run.sh target/debug/consentry
set -eu
binary=$(realpath "$1")
cd "$(dirname "$0")"
[ -d node_modules/openid-client ] || npm install --no-audit --no-fund --silent
work=$(mktemp -d)
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null || true; fi; rm -rf "$work"' EXIT

node key.mjs "$work/private.json" "$work/public.json"
secret=$("$binary" client create --data "$work/data" --id by-secret --scope rights:read)
"$binary" client create --data "$work/data" --id by-key --scope rights:read --jwks "$work/public.json"

for nonces in false true; do
    echo "nonces: $nonces"
    : > "$work/ready"
    CONSENTRY__TOKENS__DPOP_NONCES=$nonces "$binary" serve --data "$work/data" --listen 127.0.0.1:0 \
        > "$work/ready" 2> "$work/log" &
    pid=$!
    while ! grep -q 'http://' "$work/ready"; do
        kill -0 "$pid" || { cat "$work/log"; exit 1; }
        sleep 0.1
    done
    url=$(grep -o 'http://[^ ]*' "$work/ready" | head -n 1)
    node oauth.mjs "$url" by-secret "$secret" by-key "$work/private.json"
    kill "$pid"
    wait "$pid" || true
    pid=
done
