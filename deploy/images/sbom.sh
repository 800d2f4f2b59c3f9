#!/bin/sh
# Prints what a program is made of (CycloneDX 1.5, JSON): sbom.sh PROGRAM
#
# The crates that are compiled into it, from Cargo.lock, and the packages of Debian that its libraries come from.
set -eu
cd "$(dirname "$0")/../.."
case $1 in bank) package=tests ;; *) package=$1 ;; esac

{
    cargo tree --locked --package "$package" --edges normal,no-proc-macro --prefix none --format '{p}|{l}' |
        sed -e 's/ (\*)$//' -e 's/ ([^|]*)|/|/' -e 's/ v/|/' | sort -u | sed 's/^/cargo|/'
    dpkg-query --show --showformat 'deb|${Package}|${Version}|\n' libc6 libgcc-s1
} | awk -F'|' -v program="$1" -v package="$package" '
    # Old crates write a slash for OR.
    { gsub("/", " OR ", $4); licences = $4 == "" ? "" : sprintf(",\"licenses\":[{\"expression\":\"%s\"}]", $4) }
    $1 == "cargo" && $2 == package {
        own = sprintf("{\"type\":\"application\",\"name\":\"%s\",\"version\":\"%s\"%s}", program, $3, licences)
        next
    }
    {
        purl = ($1 == "deb" ? "pkg:deb/debian/" : "pkg:cargo/") $2 "@" $3
        gsub("[+]", "%2B", purl)
        parts = parts sprintf("%s\n{\"type\":\"library\",\"name\":\"%s\",\"version\":\"%s\",\"purl\":\"%s\"%s}", \
            parts == "" ? "" : ",", $2, $3, purl, licences)
    }
    END {
        printf "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"version\":1,\"metadata\":{\"component\":%s},\"components\":[%s]}\n", own, parts
    }'
