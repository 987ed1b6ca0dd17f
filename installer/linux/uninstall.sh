#!/bin/sh
# Takes R1 Desk out of your menu again. The folder with the application and your conversations stay;
# delete the folder to remove the application.
set -eu

share=${XDG_DATA_HOME:-"$HOME/.local/share"}

rm -f "$share/applications/r1desk.desktop" "$share/mime/packages/r1desk.xml"
rm -f "$share"/icons/hicolor/*/apps/r1desk.png "$share"/icons/hicolor/*/apps/r1desk.svg
if command -v update-desktop-database >/dev/null; then
    update-desktop-database -q "$share/applications"
fi
if command -v update-mime-database >/dev/null; then
    update-mime-database "$share/mime"
fi
echo "R1 Desk is no longer in your menu. Your conversations are in $share/r1desk."
