#!/bin/sh
# private-apt.sh ROOT SUITE...
#
# Makes ROOT an apt configuration of its own, with the packages and sources of the given Debian suites, so that
#   APT_CONFIG=ROOT/apt.conf apt-get download|source ...
# works without root and leaves the machine's own package lists alone. The mirror and the proxy are those that the
# machine already uses; DEBIAN_MIRROR=URI overrides the mirror. What is taken from sid must be checked: a mirror's may be
# old, which is let pass.
set -eu

fail() {
    echo "$1; for MicroPython's source MICROPYTHON_DIR= can name a checkout instead" >&2
    exit 1
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
command -v apt-get > /dev/null || fail "sources and compilers are fetched with apt-get, which is not here"
[ -e $keyring ] || fail "sources and compilers are fetched from Debian, but debian-archive-keyring is not installed"

mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' |
    awk '$1 == "Debian" { print $2; exit }')}
# Labels are known only where package lists have been fetched, which a container image may not have done.
[ -n "$mirror" ] || mirror=$(apt-get update --print-uris | sed -n "s|^'\(.*/debian\)/dists/.*|\1|p" | head -n 1)
[ -n "$mirror" ] || fail "no Debian mirror is configured (DEBIAN_MIRROR= names one)"
proxies=$(apt-config dump | grep -i '^Acquire::.*proxy') || true # the machine's hooks are not wanted, its proxy is

mkdir -p "$1"
root=$(cd "$1" && pwd)
shift
mkdir -p "$root/lists/partial" "$root/archives/partial" "$root/none.d"
: > "$root/status" # no package is installed, so none is in the way

cat > "$root/debian.sources" << END
Types: deb deb-src
URIs: ${mirror%/}
Suites: $*
Components: main
Signed-By: $keyring
Check-Valid-Until: $(case "$*" in sid) echo no ;; *) echo yes ;; esac)
END

cat > "$root/apt.conf" << END
Dir::Etc::main "$root/none";
Dir::Etc::parts "$root/none.d";
Dir::Etc::sourcelist "$root/debian.sources";
Dir::Etc::sourceparts "$root/none.d";
Dir::Etc::preferences "$root/none";
Dir::Etc::preferencesparts "$root/none.d";
Dir::State "$root";
Dir::State::status "$root/status";
Dir::Cache "$root";
Dir::Log "$root";
APT::Get::Only-Source "true";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
$proxies
END

APT_CONFIG=$root/apt.conf apt-get -qq update
