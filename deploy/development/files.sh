#!/bin/sh
# Makes the certificates, keys and secrets of a Rialto on one's own machine, in `files` beside this script: files.sh [FOLDER]
#
# For compose.yaml and the Kubernetes overlay `dev`. Everybody on this machine may read what it makes, since containers run as somebody
# else: it is worth nothing, and must never meet real money. What is there already stays.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/files}
[ ! -e "$folder" ] || { echo "$folder is there already: remove it, and the ledger's database with it, to begin anew" >&2; exit 1; }
mkdir -p "$folder"
cd "$folder"
umask 022

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

# A CA: name
authority() {
    mkdir -p "ca/$1"
    new_key "ca/$1/tls.key"
    openssl req -x509 -new -key "ca/$1/tls.key" -days 365 -out "ca/$1/tls.crt" -config /dev/stdin <<END
[req]
distinguished_name = name
prompt = no
x509_extensions = extensions
[name]
CN = Rialto development, $1
[extensions]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
END
}

# A certificate: CA, folder, name of its files, names of its holder
certificate() {
    mkdir -p "$2"
    new_key "$2/$3.key"
    openssl req -new -key "$2/$3.key" -subj "/CN=$3" -out request.tmp
    cat >extensions.tmp <<END
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = $4
END
    openssl x509 -req -in request.tmp -CA "ca/$1/tls.crt" -CAkey "ca/$1/tls.key" -CAcreateserial -days 365 \
        -extfile extensions.tmp -out "$2/$3.crt" 2>/dev/null
    rm request.tmp extensions.tmp
    [ "$3" != tls ] || cp "ca/$1/tls.crt" "$2/ca.crt"
}

# Where a service is, in compose and in Kubernetes.
hosts() { echo "DNS:localhost, IP:127.0.0.1, DNS:$1, DNS:$1.rialto.svc, DNS:$1.rialto.svc.cluster.local"; }

for ca in callers services banks; do authority "$ca"; done
for service in gateway platform channel; do
    certificate services "$service" tls "URI:spiffe://rialto/$service, $(hosts "$service")"
done
certificate callers public tls "$(hosts gateway)"
certificate banks banks tls "$(hosts banks)"
mkdir -p directory
for bank in aurora meridian sakura; do
    certificate banks directory "$bank" "URI:spiffe://rialto/at-$bank"
done
cp ca/banks/tls.crt directory/ca.crt
cp "$here/directory.toml" directory/banks.toml
cp "$here/banks.toml" banks/banks.toml

mkdir -p gateway-keys platform-keys database
openssl rand -base64 48 | tr -d '\n' >gateway-keys/api-key-secret
: >gateway-keys/api-keys.toml
openssl rand -base64 32 >platform-keys/data.key
openssl genpkey -algorithm ed25519 -out platform-keys/audit.key
openssl rand -hex 16 | tr -d '\n' >database/password
printf 'postgres://rialto:%s@postgres:5432/rialto?sslmode=disable' "$(cat database/password)" >database/url
# openssl makes keys that their owner alone may read.
chmod -R a+rX .
