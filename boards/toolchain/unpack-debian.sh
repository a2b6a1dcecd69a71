#!/bin/sh
# unpack-debian.sh ROOT SUITE PACKAGE...
#
# Unpacks packages of a Debian suite with all the libraries they need below ROOT, so that their programs run from
# ROOT/usr/bin on any Debian, without root. Nothing is installed. What is not for use here is left out.
set -eu

toolchain=$(dirname "$0")
mkdir -p "$1"
root=$(cd "$1" && pwd)
suite=$2
shift 2

"$toolchain/private-apt.sh" "$root/apt" "$suite"
APT_CONFIG=$root/apt/apt.conf apt-get -qq --yes --no-install-recommends --download-only install "$@"
for package in "$root"/apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --no-same-owner --no-same-permissions -C "$root" --exclude='./usr/share/[!q]*' --exclude='*/cc1plus' \
        --exclude='*/d21' --exclude='*/lto*' --exclude='*/systemd' --exclude='./var'
done
rm -r "$root/apt"

# A program needs the C library that it was linked with, and that needs its own loader.
loader="$root/usr/lib64/ld-linux-x86-64.so.2 --library-path $root/usr/lib/x86_64-linux-gnu"
find "$root/usr/bin" "$root"/usr/lib/gcc "$root"/usr/lib/*-elf/bin -type f -perm -1 ! -name '*.so*' |
while read -r program; do
    # Scripts and static programs run as they are.
    LC_ALL=C grep -q /lib64/ld-linux "$program" || continue
    mkdir -p "${program%/*}/linked"
    linked=${program%/*}/linked/${program##*/}
    mv "$program" "$linked"
    printf '#!/bin/sh\nexec %s --argv0 "$0" %s "$@"\n' "$loader" "$linked" > "$program"
    chmod +x "$program"
done
