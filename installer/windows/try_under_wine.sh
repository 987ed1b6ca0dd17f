#!/usr/bin/env bash
# shellcheck disable=SC2317  # trap and expect call what looks unreachable
# Proves the Windows installer under Wine with a stand-in for the application: what it puts where,
# an upgrade, an upgrade while the application runs, and what is left after it is removed.
#
#     installer/windows/try_under_wine.sh          # needs makensis, wine64, Xvfb
#
# The stand-in is a program of Wine's own under our names. Everything happens in a throw-away Wine
# prefix; the list of what is left is printed and has to be nothing but conversations.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$(dirname -- "$here")")
work=$(mktemp -d)
icon=$work/r1desk.ico
export WINEPREFIX=$work/wine WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe="
export LC_ALL=${LC_ALL:-C.UTF-8}

exec 3>"$work/display"
Xvfb -displayfd 3 -screen 0 800x600x24 -nolisten tcp 2>/dev/null &
server=$!
while ! [ -s "$work/display" ]; do sleep 0.1; done
DISPLAY=:$(cat "$work/display")
export DISPLAY

finish() {
    wineserver -k || true
    kill "$server"
    rm -rf "$work"
}
trap finish EXIT

failed=0
expect() { # what, command…
    local what=$1
    shift
    if "$@"; then
        echo "ok      $what"
    else
        echo "FAILED  $what"
        failed=1
    fi
}
absent() { ! [ -e "$1" ]; }
registry() { wine reg query "HKCU\\$1" /s 2>/dev/null; }
in_registry() { registry "$1" | grep -qF -- "$2"; }
not_in_registry() { ! registry "$1" | grep -q .; }

wine wineboot --init >/dev/null 2>&1
wineserver -w

# A stand-in of two versions: the second has other files, so that what is old shows.
program=$(find /usr/lib -path '*x86_64-windows/notepad.exe' | head -n 1)
payload() { # version, file only it has
    local folder=$work/payload-$1
    mkdir -p "$folder/_internal/资源" "$folder/licences"
    cp "$program" "$folder/r1desk.exe"
    cp "$program" "$folder/deepseek-r1.exe"
    echo "$1" >"$folder/_internal/资源/version.txt"
    echo "$1" >"$folder/_internal/$2"
    echo "$1" >"$folder/licences/INDEX.md"
}
payload 1.0.0 only-in-one.dll
payload 1.1.0 only-in-two.dll
python3 - "$icon" "$root" <<'PYTHON'
import sys
sys.path.insert(0, sys.argv[2] + "/installer/bundle")
import icons
empty = b"\x89PNG\r\n\x1a\n"
open(sys.argv[1], "wb").write(icons.ico({size: empty for size in icons.ICO_SIZES_PX}))
PYTHON
for version in 1.0.0 1.1.0; do
    makensis -V2 -DVERSION="$version" -DPAYLOAD="$work/payload-$version" -DICON="$icon" \
        -DOUT="$work/r1desk-$version.exe" "$here/r1desk.nsi" >"$work/makensis.log"
    expect "compiles $version without a warning" test ! -s "$work/makensis.log"
done

user=$(find "$WINEPREFIX/drive_c/users" -mindepth 1 -maxdepth 1 ! -name Public | head -n 1)
local=$user/AppData/Local
program_folder="$local/Programs/R1 Desk"
start_menu="$user/AppData/Roaming/Microsoft/Windows/Start Menu/Programs/R1 Desk.lnk"
desktop="$user/Desktop/R1 Desk.lnk"
uninstall_key='Software\Microsoft\Windows\CurrentVersion\Uninstall\R1Desk'
before=$(cd "$WINEPREFIX/drive_c" && find . | sort)

run() { # program, arguments… ; waits for it and gives its status
    local status=0
    wine "$@" || status=$?
    wineserver_quiet
    return "$status"
}
wineserver_quiet() { timeout 20 wineserver -w || true; }

echo "--- installed silently, without options"
run "$work/r1desk-1.0.0.exe" /S
expect "the program is there" test -f "$program_folder/r1desk.exe"
expect "so are files with Chinese names" test -f "$program_folder/_internal/资源/version.txt"
expect "the Start menu has a link" test -f "$start_menu"
expect "the desktop has none" absent "$desktop"
expect "Windows knows how to remove it" in_registry "$uninstall_key" uninstall.exe
expect "and its version" in_registry "$uninstall_key" 1.0.0
expect "GGUF files are as before" not_in_registry 'Software\Classes\R1Desk.gguf'

echo "--- used: conversations are written, a file is put beside the program"
mkdir -p "$local/r1desk" "$program_folder/portable"
echo chats >"$local/r1desk/conversations.db"
echo mine >"$program_folder/portable/conversations.db"

echo "--- upgraded while it runs"
wine "$program_folder/r1desk.exe" >/dev/null 2>&1 &
sleep 5
status=0
wine "$work/r1desk-1.1.0.exe" /S || status=$?
expect "is refused with a status of its own" test "$status" = 3
expect "and nothing was touched" test -f "$program_folder/_internal/only-in-one.dll"
wineserver -k
wait %2 2>/dev/null || true

echo "--- upgraded, with both options"
run "$work/r1desk-1.1.0.exe" /S /DESKTOP /GGUF
expect "the new files are there" test -f "$program_folder/_internal/only-in-two.dll"
expect "the old ones are gone" absent "$program_folder/_internal/only-in-one.dll"
expect "the new version is known" in_registry "$uninstall_key" 1.1.0
expect "the desktop has a link" test -f "$desktop"
expect "GGUF files open with it" in_registry 'Software\Classes\R1Desk.gguf' 'r1desk.exe" "%1"'
expect "beside other programs" in_registry 'Software\Classes\.gguf' R1Desk.gguf
expect "conversations are untouched" grep -q chats "$local/r1desk/conversations.db"

echo "--- removed"
run "$program_folder/uninstall.exe" /S
for _ in $(seq 50); do [ -e "$program_folder/uninstall.exe" ] || break; sleep 0.2; done
wineserver_quiet
expect "no link in the Start menu" absent "$start_menu"
expect "no link on the desktop" absent "$desktop"
expect "no entry in the registry" not_in_registry "$uninstall_key"
expect "no type" not_in_registry 'Software\Classes\R1Desk.gguf'
after=$(cd "$WINEPREFIX/drive_c" && find . | sort)
echo "What is left:"
left=$(comm -13 <(echo "$before") <(echo "$after") | grep -v -E '/(Temp|windows)/' || true)
printf '    %s\n' "${left//$'\n'/$'\n'    }"
expected="AppData/Local/Programs$|Programs/R1 Desk$|portable|Local/r1desk"
unexpected=$(echo "$left" | grep -v -E "$expected" || true)
expect "nothing but conversations" test -z "$unexpected"

echo "--- installed again and removed together with the conversations"
run "$work/r1desk-1.1.0.exe" /S
run "$program_folder/uninstall.exe" /S /DELETEDATA
for _ in $(seq 50); do [ -e "$local/r1desk" ] || break; sleep 0.2; done
expect "the conversations are gone" absent "$local/r1desk"
expect "what the user put beside the program stays" test -f "$program_folder/portable/conversations.db"

exit "$failed"
