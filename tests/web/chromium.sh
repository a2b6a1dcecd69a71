#!/bin/sh
# The Chromium that is unpacked in this folder, which is not where it was built for.
here=$(dirname "$(readlink -f "$0")")
export LD_LIBRARY_PATH="$here/usr/lib/x86_64-linux-gnu:$here/lib/x86_64-linux-gnu:$here/usr/lib/x86_64-linux-gnu/pulseaudio"
export FONTCONFIG_FILE="$here/fonts.conf" XDG_DATA_DIRS="$here/usr/share"
exec "$here/usr/lib/chromium/chromium" "$@"
