#!/bin/sh
# plain-path.sh prints a path of this folder that make, CMake and a shell take for one word.
#
# Where the folder's own path has a space or another character that they take apart, that is a link in the user's cache
# folder; build/ is then a link to a folder there, as what is compiled must not meet the path either.
#
# plain-path.sh NAME=PATH... fails where one of these paths is not plain.
set -eu
export LC_ALL=C

fail() {
    echo "$1"
    exit 1
}

plain() {
    case $1 in *[!A-Za-z0-9_/.,+@~-]*) return 1 ;; esac
}

for setting; do
    plain "${setting#*=}" || fail "make cannot build with $setting: only letters, digits and /._-+,@ may be in that path"
done
here=$(pwd -P)
if plain "$here"; then
    case $(readlink build || true) in
        */bitreplay/????????????????/build) fail "build/ is that of a folder with another name: remove this link first" ;;
    esac
    echo "$here"
    exit
fi

cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
case $cache in /*) ;; *) fail "make cannot build in a folder of this name without a cache folder: set HOME= or XDG_CACHE_HOME=" ;; esac
place=$cache/bitreplay/$(printf %s "$here" | sha256sum | cut -c -16)
why="make cannot build in a folder of this name"
plain "$place" || fail "$why by way of $cache: set XDG_CACHE_HOME= to a folder whose path has only letters, digits and /._-+,@"
[ "$here" -ef . ] || fail "$why"
if [ -e build ] || [ -L build ]; then
    [ "$(readlink build)" = "$place/build" ] || fail "build/ was made when this folder had another name: remove it first, and $(readlink build || echo what is in it)"
fi

mkdir -p "$place/build" 2> /dev/null || fail "$why: it needs $cache"
plain "$(cd "$place" && pwd -P)" || fail "$why by way of $cache: set XDG_CACHE_HOME="
[ "$place/project" -ef . ] || ln -sfn "$here" "$place/project"
[ -L build ] || ln -s "$place/build" build
echo "$place/project"
