#!/usr/bin/env bash
# A bare Debian for the smoke test: no Python, no compiler, the libraries of any desktop.
#
#     installer/bundle/bare_debian.sh FOLDER          # as root; needs debootstrap
#     python3 installer/bundle/smoke.py dist/r1desk --chroot FOLDER
set -euo pipefail

folder=${1:?"usage: $0 FOLDER"}
release=${R1DESK_DEBIAN:-trixie}
mirror=${R1DESK_MIRROR:-http://deb.debian.org/debian}

# What every graphical Debian has: the display's libraries, a font, keyboard tables, MIME types.
desktop=libx11-6,libx11-xcb1,libxcb1,libgl1,libegl1,libopengl0,libwayland-client0,libwayland-cursor0
desktop+=,libwayland-egl1,libfontconfig1,libfreetype6,libdrm2,zlib1g,xkb-data,fonts-dejavu-core
desktop+=,shared-mime-info,desktop-file-utils,hicolor-icon-theme,ca-certificates,procps

debootstrap --variant=minbase --include="$desktop" "$release" "$folder" "$mirror"
chroot "$folder" useradd --uid 1000 --create-home first
chroot "$folder" useradd --uid 1001 --create-home second
if chroot "$folder" sh -c 'command -v python3 || ls /usr/bin/python*' >/dev/null 2>&1; then
    echo "Python came along: this system is not bare" >&2
    exit 1
fi
