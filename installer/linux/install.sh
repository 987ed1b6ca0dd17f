#!/bin/sh
# Puts R1 Desk, which stays where this script lies, into your own menu and opens GGUF files with it.
# Without it the application runs just as well: start `r1desk` in this folder.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
share=${XDG_DATA_HOME:-"$HOME/.local/share"}

# A menu entry quotes the program's path and escapes what the quotes leave special; a literal % is
# doubled, and a backslash is escaped once more as in every string of such a file.
escaped=$(printf '%s' "$here" | sed -e 's/[\\"`$]/\\&/g' -e 's/\\/\\\\/g' -e 's/%/%%/g')

mkdir -p "$share/applications" "$share/mime/packages" "$share/icons"
cp "$here/share/r1desk-mime.xml" "$share/mime/packages/r1desk.xml"
cp -R "$here/share/icons/hicolor" "$share/icons/"
while IFS= read -r line; do
    case $line in
    Exec=*) printf 'Exec="%s/r1desk" %%f\n' "$escaped" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$here/share/r1desk.desktop" >"$share/applications/r1desk.desktop"

if command -v update-desktop-database >/dev/null; then
    update-desktop-database -q "$share/applications"
fi
if command -v update-mime-database >/dev/null; then
    update-mime-database "$share/mime"
fi
echo "R1 Desk is in your menu. To remove it from there: $here/uninstall.sh"
