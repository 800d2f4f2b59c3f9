-- The naive design's ledger. Amounts are minor units of the account's currency; ids are UUIDv7; times are UTC.

CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    participant_id text NOT NULL,
    request_id text NOT NULL,
    display_name text NOT NULL,
    currency text NOT NULL,
    bank_id text,
    debits_pending bigint NOT NULL DEFAULT 0 CHECK (debits_pending >= 0),
    debits_posted bigint NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
    credits_pending bigint NOT NULL DEFAULT 0 CHECK (credits_pending >= 0),
    credits_posted bigint NOT NULL DEFAULT 0 CHECK (credits_posted >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (participant_id, request_id),
    -- Settlement accounts, those with a bank, may go into debit.
    CHECK (bank_id IS NOT NULL OR debits_pending <= credits_posted - debits_posted)
) WITH (fillfactor = 50);

CREATE TABLE payments (
    id uuid PRIMARY KEY,
    participant_id text NOT NULL,
    request_id text NOT NULL,
    -- The request in its normal form: a repeat must be equal, and what it is answered is made of it.
    request bytea NOT NULL,
    payer_account uuid NOT NULL REFERENCES accounts,
    -- No foreign key here, nor in transfers: to check it on a settlement account that is always being updated takes half of all
    -- the time, and the rows are locked in the same transaction anyway.
    credit_account uuid NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    end_to_end_id text NOT NULL,
    bank_id text NOT NULL,
    uetr uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('SUBMITTED', 'UNKNOWN', 'SUCCEEDED', 'FAILED')),
    reason_code text NOT NULL,
    sequence integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (participant_id, request_id)
) WITH (fillfactor = 70);

CREATE TABLE deposits (
    id uuid PRIMARY KEY,
    participant_id text NOT NULL,
    request_id text NOT NULL,
    account_id uuid NOT NULL REFERENCES accounts,
    amount bigint NOT NULL CHECK (amount > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (participant_id, request_id)
);

CREATE TABLE transfers (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('POSTING', 'HOLD', 'HOLD_POSTED', 'HOLD_RELEASED')),
    payment_id uuid REFERENCES payments,
    deposit_id uuid REFERENCES deposits,
    -- A hold ends once.
    hold_id uuid UNIQUE REFERENCES transfers,
    debit_account uuid NOT NULL,
    credit_account uuid NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    created_at timestamptz NOT NULL,
    CHECK (num_nonnulls(payment_id, deposit_id) = 1)
);
CREATE INDEX transfers_of_debit_account ON transfers (debit_account, id);
CREATE INDEX transfers_of_credit_account ON transfers (credit_account, id);

CREATE TABLE payment_events (
    payment_id uuid NOT NULL REFERENCES payments,
    sequence integer NOT NULL,
    state text NOT NULL,
    reason_code text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (payment_id, sequence)
);

-- What is compared with the banks' books, by the names that it has in Rialto's ledger: nothing ever leaves payments here, and no other kind exists.
CREATE VIEW all_payments AS SELECT *, 'PAYMENT' AS kind FROM payments;
