#!/bin/sh
# A segmentation service with nothing but curl: a token, then everybody it may have for its purpose, in four formats.
#
#   CLIENT_SECRET=… examples/segmentation.sh [DIRECTORY]
#
# `consentry demo` prints a secret, and so does
#   consentry client add --data ./data --id segmentation --recipient segmentation --scope profiles:read
set -eu

url=${CONSENTRY_URL:-http://127.0.0.1:8080}
client=${CLIENT_ID:-segmentation}
secret=${CLIENT_SECRET:?set CLIENT_SECRET to the secret of the client}
purpose=${PURPOSE:-profiling_segmentation}
into=${1:-.}

# RFC 6749 section 4.4. The secret goes through standard input, so that no process list shows it.
token=$(printf 'user = "%s:%s"\n' "$client" "$secret" |
  curl --silent --show-error --fail --config - --data grant_type=client_credentials "$url/oauth/token" |
  sed 's/.*"access_token":"\([^"]*\)".*/\1/')

pull() {
  printf 'header = "Authorization: Bearer %s"\n' "$token" |
    curl --silent --show-error --fail --config - --header "Accept: $1" --output "$into/$2" \
      "$url/v1/profiles?purpose=$purpose"
  printf '%s\t%s bytes\n' "$into/$2" "$(wc -c <"$into/$2" | tr -d ' ')"
}

mkdir -p "$into"
pull application/x-ndjson profiles.ndjson
pull text/csv profiles.csv
pull application/vnd.apache.arrow.stream profiles.arrow
pull application/vnd.apache.parquet profiles.parquet

# A row is a pseudonym, good for this recipient and purpose alone, and served forms: bands, scores, closed lists.
head -n 1 "$into/profiles.ndjson"
