#!/usr/bin/env bash
# Signs the application with the hardened runtime, makes a disk image, has Apple notarise it.
#
#     installer/macos/sign.sh "dist/R1 Desk.app" dist/r1desk.dmg
#
# SIGN_IDENTITY     a "Developer ID Application: …" in the keychain; without it the signature is
#                   an ad-hoc one, which runs on this Mac and warns on others
# NOTARY_PROFILE    a profile stored by `xcrun notarytool store-credentials`; without it the image
#                   is not notarised
set -euo pipefail

app=${1:?"usage: $0 APP DMG"}
image=${2:?"usage: $0 APP DMG"}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
identity=${SIGN_IDENTITY:--}
options=(--force --options runtime --entitlements "$here/entitlements.plist" --sign "$identity")
if [ "$identity" != "-" ]; then
    options+=(--timestamp)
fi

# From the inside out: the application's signature seals those of its libraries.
find "$app/Contents" -type f \( -name '*.dylib' -o -name '*.so' \) -print0 |
    while IFS= read -r -d '' library; do
        codesign "${options[@]}" "$library"
    done
find "$app/Contents" -type d -name '*.framework' -print0 |
    while IFS= read -r -d '' framework; do
        codesign "${options[@]}" "$framework"
    done
find "$app/Contents/MacOS" -type f -perm -u+x -print0 |
    while IFS= read -r -d '' program; do
        codesign "${options[@]}" "$program"
    done
codesign "${options[@]}" "$app"
codesign --verify --deep --strict --verbose=2 "$app"

# The image shows the application beside a link to the folder it belongs in.
contents=$(mktemp -d)
trap 'rm -rf "$contents"' EXIT
cp -R "$app" "$contents/"
ln -s /Applications "$contents/Applications"
hdiutil create -volname "R1 Desk" -srcfolder "$contents" -format ULFO -ov "$image"
if [ "$identity" != "-" ]; then
    codesign --timestamp --sign "$identity" "$image"
fi

if [ -n "${NOTARY_PROFILE:-}" ]; then
    xcrun notarytool submit "$image" --keychain-profile "$NOTARY_PROFILE" --wait
    xcrun stapler staple "$image"
    spctl --assess --type open --context context:primary-signature --verbose "$image"
else
    echo "not notarised: NOTARY_PROFILE is not set" >&2
fi
