#!/usr/bin/env bash
# On a build machine: takes the signing certificate and the notary's credentials from the
# environment into a keychain of its own, and leaves the name of the profile to the next steps.
set -euo pipefail

if [ -z "${APPLE_CERTIFICATE:-}" ]; then
    echo "not signed with a Developer ID: APPLE_CERTIFICATE is not set" >&2
    exit 0
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
keychain=$HOME/Library/Keychains/release.keychain-db
password=$(openssl rand -hex 24)

printf '%s' "$APPLE_CERTIFICATE" | base64 --decode >"$folder/key.p12"
security create-keychain -p "$password" "$keychain"
security set-keychain-settings -lut 7200 "$keychain"
security unlock-keychain -p "$password" "$keychain"
security import "$folder/key.p12" -k "$keychain" -P "$APPLE_CERTIFICATE_PASSWORD" -T /usr/bin/codesign
security set-key-partition-list -S apple-tool:,apple: -s -k "$password" "$keychain" >/dev/null
security list-keychains -d user -s "$keychain" login.keychain-db

if [ -n "${APPLE_ID:-}" ]; then
    xcrun notarytool store-credentials r1desk --keychain "$keychain" \
        --apple-id "$APPLE_ID" --team-id "$APPLE_TEAM" --password "$APPLE_PASSWORD"
    echo "NOTARY_PROFILE=r1desk" >>"$GITHUB_ENV"
fi
