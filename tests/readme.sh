#!/usr/bin/env bash
# Runs every line of the README that calls the system, as it is printed there, against a running demo. Where the demo is not built for
# release, RIALTO_PROGRAMS says where its programs are.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v grpcurl >/dev/null || { echo "grpcurl is not installed: go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest"; exit 1; }
mkdir -p target
rm -f target/demo/env
cargo demo >target/readme-demo.log 2>&1 &
demo=$!
trap 'kill "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true' EXIT
for _ in $(seq 600); do
    [ -f target/demo/env ] && break
    kill -0 "$demo" || { cat target/readme-demo.log; exit 1; }
    sleep 0.5
done
# shellcheck disable=SC1091
. target/demo/env

# What each line's answer must contain, in the order of the README.
expected=(
    'rialto.payments.v1.PaymentService'
    'PaymentState state = 11'
    'PAYMENT_STATE_SUCCEEDED'
    '"requestId": "order-1"'
    '"availableMinorUnits": "48766"'
    'DIRECTION_DEBIT'
    '"field": "payee"'
    'PAYMENT_STATE_AUTHORIZED'
    '"requestId": "order-1"'
    '"side": "PAYMENT_SIDE_PAYER"'
    '"speedupPermille"'
    '"paymentMinorUnits": "500000"'
    'DEPOSIT_STATE_PENDING_APPROVAL'
    'DEPOSIT_STATE_BOOKED'
    'SUCCEEDED'
    'Blaise Seller'
    'debit   7.50 EUR'
    'SUCCEEDED'
    'SPEED-UP'
    'EXPECTED'
    'ENDPOINT'
    'PENDING_APPROVAL'
    'BOOKED'
    'trial balance: OK'
    'audit log: OK'
    'checkpoint'
    'receipt: OK'
    '"checkpoint"'
    '"name": "new-shop"'
    '"key": "rk_'
    '"label": "web shop"'
)
passed=0
while IFS= read -r line; do
    line=${line//target\/release/${RIALTO_PROGRAMS:-target/release}}
    # What was paid a moment ago is sealed a little later.
    for _ in $(seq 40); do
        answer=$(eval "$line" 2>&1) || true
        grep -qE 'NOT_SEALED_YET|NOTHING_SEALED' <<<"$answer" || break
        sleep 1
    done
    if ! grep -qF -- "${expected[$passed]}" <<<"$answer"; then
        printf 'FAILED: %s\nexpected: %s\ngot:\n%s\n' "$line" "${expected[$passed]}" "$answer"
        exit 1
    fi
    printf 'ok: %s\n' "$line"
    passed=$((passed + 1))
done < <(grep -E '^(grpcurl|target/release/(platform|rialto)) ' README.md)
if [ "$passed" != "${#expected[@]}" ]; then
    echo "FAILED: the README has $passed lines, expected ${#expected[@]}"
    exit 1
fi
echo "$passed passed, 0 failed"
