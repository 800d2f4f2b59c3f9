#!/bin/sh
# Makes the root file system of an image: root.sh PROGRAM FOLDER
#
# That is the program, the libraries that it loads, the CAs that TLS trusts elsewhere, what it is made of, and nothing that could be run
# besides. It works wherever the program was built, on Debian or what comes from it.
set -eu
program=$1 root=$2
name=$(basename "$program")
about=$root/usr/share/doc/rialto
source=$(dirname "$0")/../..

mkdir -p "$root/etc/ssl/certs" "$about"
strip --strip-debug -o "$root/$name" "$program"
chmod 0755 "$root/$name"
libraries=$(ldd "$program" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }')
# shellcheck disable=SC2086
cp --dereference --parents $libraries "$root"
cp --dereference /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
echo 'rialto:x:65532:65532::/:/' >"$root/etc/passwd"
echo 'rialto:x:65532:' >"$root/etc/group"
cp "$source/LICENSE" "$about/"
"$source/deploy/images/sbom.sh" "$name" >"$about/sbom.cdx.json"
