#!/bin/sh
# Runs a stock OAuth client against a gateway of its own, without and with nonces, and has staff sign in there with a stock
# OpenID Connect provider. Needs node 20, npm and a built binary:
#
#   tests/interop/run.sh target/debug/consentry
set -eu
binary=$(realpath "$1")
cd "$(dirname "$0")"
[ -d node_modules/oidc-provider ] || npm install --no-audit --no-fund --silent
work=$(mktemp -d)
pid= provider=
end() {
    for running in $pid $provider; do
        kill "$running" 2>/dev/null && wait "$running" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap end EXIT

node key.mjs "$work/private.json" "$work/public.json"
secret=$("$binary" client create --data "$work/data" --id by-secret --scope rights:read)
"$binary" client create --data "$work/data" --id by-key --scope rights:read --jwks "$work/public.json"

# Starts a gateway and waits until it answers: its address is in $url.
start() {
    : > "$work/ready"
    "$binary" serve --data "$work/data" --listen "127.0.0.1:$1" $2 > "$work/ready" 2> "$work/log" &
    pid=$!
    while ! grep -q 'ready: http://' "$work/ready"; do
        kill -0 "$pid" || { cat "$work/log"; exit 1; }
        sleep 0.1
    done
    url=$(grep -o 'ready: http://[^ ]*' "$work/ready" | cut -d ' ' -f 2)
}
stop() {
    kill "$pid"
    wait "$pid" || true
    pid=
}

for nonces in false true; do
    echo "nonces: $nonces"
    CONSENTRY__TOKENS__DPOP_NONCES=$nonces
    export CONSENTRY__TOKENS__DPOP_NONCES
    start 0 ""
    node oauth.mjs "$url" by-secret "$secret" by-key "$work/private.json"
    stop
done

echo "single sign-on:"
# Two free ports: each side must know the other's before it starts.
ports=$(node -e 'const n = require("net"); const a = n.createServer().listen(0, "127.0.0.1", () => { const b = n.createServer()
    .listen(0, "127.0.0.1", () => { console.log(a.address().port, b.address().port); a.close(); b.close(); }); })')
gateway_port=${ports% *} provider_port=${ports#* }
cat > "$work/sso.toml" <<EOF
[staff.oidc]
issuer = "http://127.0.0.1:$provider_port"
client_id = "consentry"
email_domains = ["shop.example"]
mfa_amr = ["otp"]
EOF
export CONSENTRY__STAFF__OIDC__CLIENT_SECRET='a secret that is long enough: with +/%'
: > "$work/provider"
node sso.mjs provider "$provider_port" "http://127.0.0.1:$gateway_port" > "$work/provider" 2>&1 &
provider=$!
while ! grep -q '^provider: ' "$work/provider"; do
    kill -0 "$provider" || { cat "$work/provider"; exit 1; }
    sleep 0.1
done
start "$gateway_port" "--config $work/sso.toml"
anna=$("$binary" staff invite --data "$work/data" --name anna --role officer)
berta=$("$binary" staff invite --data "$work/data" --name berta --role auditor)
node sso.mjs browser "$url" "$anna" "$berta" || { cat "$work/provider" "$work/log"; exit 1; }
stop
