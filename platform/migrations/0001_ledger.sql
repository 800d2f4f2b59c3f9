-- The ledger, payments and the queue of work. Conventions: amounts are minor units of the row's or the account's
-- currency; ids are UUIDv7 made by the platform; times are UTC. "Immutable" rows are held so by triggers that refuse
-- UPDATE, DELETE and TRUNCATE for every role, the owner included.

CREATE TYPE payment_kind AS ENUM ('PAYMENT', 'AUTHORIZATION', 'CAPTURE', 'REFUND', 'RETURN');
COMMENT ON TYPE payment_kind IS 'PAYMENT pays at once; AUTHORIZATION holds what CAPTUREs pay; REFUND gives back; RETURN takes back what a bank paid late.';
CREATE TYPE payment_state AS ENUM ('HELD', 'AUTHORIZED', 'SUBMITTED', 'UNKNOWN', 'INVESTIGATE', 'SUCCEEDED', 'FAILED', 'CANCELLED',
    'EXPIRED');
COMMENT ON TYPE payment_state IS 'Where a payment is in its life (platform/src/domain/payment/state.rs); the last four are final.';
CREATE TYPE work AS ENUM ('SEND', 'ENQUIRE', 'EXPIRE');
COMMENT ON TYPE work IS 'What is to be done when it is due: make an attempt and SEND it, ENQUIRE, or EXPIRE an authorization.';

CREATE TABLE installation (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    page_token_key bytea NOT NULL
        DEFAULT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'),
    acts bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE installation IS 'One row: what all platforms on this database share.';
COMMENT ON COLUMN installation.singleton IS 'Keeps the table at one row.';
COMMENT ON COLUMN installation.page_token_key IS 'Secret: authenticates page tokens, so that callers cannot make their own.';
COMMENT ON COLUMN installation.acts IS 'How many acts of identity_acts there are. Each act waits for the one before, so that whoever sees this number can see them all.';
COMMENT ON COLUMN installation.created_at IS 'When the database was set up.';
INSERT INTO installation DEFAULT VALUES;

CREATE TABLE data_keys (
    number smallint PRIMARY KEY CHECK (number >= 0),
    wrapped bytea NOT NULL,
    wrapped_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE data_keys IS 'The keys that encrypt what tells of people (platform/src/encryption.rs), wrapped by keys that are not here. Without it nobody reads names and accounts any more.';
COMMENT ON COLUMN data_keys.number IS 'Stands in front of what it encrypts. The newest encrypts; 0 is the key of look-ups and salts, and encrypts nothing. Immutable.';
COMMENT ON COLUMN data_keys.wrapped IS 'The key, encrypted by a key-encryption key.';
COMMENT ON COLUMN data_keys.wrapped_by IS 'Which one: 64 bits of a hash of it.';
COMMENT ON COLUMN data_keys.created_at IS 'When it was made. Immutable.';

CREATE TABLE participants (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{1,38}[a-z0-9]$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);
CREATE INDEX participants_disabled ON participants (id) WHERE disabled_at IS NOT NULL;
COMMENT ON TABLE participants IS 'Who owns accounts, payments, API keys and request ids.';
COMMENT ON COLUMN participants.id IS 'The participant''s name, as in its credentials. Immutable.';
COMMENT ON COLUMN participants.created_at IS 'When it was first seen. Immutable.';
COMMENT ON COLUMN participants.disabled_at IS 'Since when no credential of it is let in; null if they are.';
-- The house itself owns the settlement accounts.
INSERT INTO participants (id) VALUES ('rialto-house');

CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    participant_id text NOT NULL REFERENCES participants,
    request_id text,
    request_fingerprint uuid,
    personal bytea NOT NULL,
    currency text NOT NULL,
    iban_hash uuid CONSTRAINT accounts_iban_is_unique UNIQUE,
    bank_id text,
    is_suspense boolean NOT NULL DEFAULT false,
    may_overdraw boolean NOT NULL DEFAULT false,
    is_limited boolean NOT NULL DEFAULT false,
    debits_pending bigint NOT NULL DEFAULT 0,
    debits_posted bigint NOT NULL DEFAULT 0,
    credits_pending bigint NOT NULL DEFAULT 0,
    credits_posted bigint NOT NULL DEFAULT 0,
    closed_at timestamptz,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    CONSTRAINT accounts_request_id_is_unique UNIQUE (participant_id, request_id),
    CONSTRAINT accounts_one_settlement_account UNIQUE (bank_id, currency, is_suspense),
    CONSTRAINT accounts_not_overdrawn CHECK (may_overdraw OR debits_pending <= credits_posted - debits_posted),
    CONSTRAINT accounts_sums_not_negative CHECK (LEAST(debits_pending, debits_posted, credits_pending, credits_posted) >= 0)
) WITH (fillfactor = 50);
-- Of another collation than the unique key, so that no plan can take it for the look-up of a request id: while the tables were
-- empty the two cost the same, and the wrong one costs a scan of all of the participant's accounts.
CREATE INDEX accounts_of_participant ON accounts (participant_id COLLATE "C", id);
COMMENT ON TABLE accounts IS 'Accounts of the ledger, with running sums: what is posted equals their transfers, what is pending what their payments hold.';
COMMENT ON COLUMN accounts.id IS 'acc_… outside. Immutable.';
COMMENT ON COLUMN accounts.participant_id IS 'Whose it is. Immutable.';
COMMENT ON COLUMN accounts.request_id IS 'The caller''s id of the request that opened it; null for settlement accounts. Immutable.';
COMMENT ON COLUMN accounts.request_fingerprint IS 'A hash of that request, under the key of look-ups. Immutable.';
COMMENT ON COLUMN accounts.personal IS 'The holder''s name and the IBAN, encrypted (platform/src/encryption/contents.rs).';
COMMENT ON COLUMN accounts.currency IS 'Its one currency (ISO 4217). Immutable.';
COMMENT ON COLUMN accounts.iban_hash IS 'By what its IBAN is found, if it has one: a hash under the key of look-ups.';
COMMENT ON COLUMN accounts.bank_id IS 'Set on the house''s accounts: the bank, by its id in the directory. Immutable.';
COMMENT ON COLUMN accounts.is_suspense IS 'On an account with a bank: holds what the bank paid and nobody here has, until it is returned. Immutable.';
COMMENT ON COLUMN accounts.may_overdraw IS 'True on the house''s accounts only. Immutable.';
COMMENT ON COLUMN accounts.is_limited IS 'Whether what it pays is counted in limits, its own or its participant''s. Stays true.';
COMMENT ON COLUMN accounts.debits_pending IS 'Minor units held by payments under way.';
COMMENT ON COLUMN accounts.debits_posted IS 'Minor units debited.';
COMMENT ON COLUMN accounts.credits_pending IS 'Minor units that payments under way will credit.';
COMMENT ON COLUMN accounts.credits_posted IS 'Minor units credited.';
COMMENT ON COLUMN accounts.closed_at IS 'Set once the account is closed.';
COMMENT ON COLUMN accounts.revision IS 'Counts the changes of the name, the IBAN and whether it is closed or limited: what was decided on an older one is refused.';
COMMENT ON COLUMN accounts.created_at IS 'When it was opened. Immutable.';

-- A function, for the same reason as is_step.
CREATE FUNCTION is_sound_payment(state payment_state, kind payment_kind, amount bigint, reason_code text, original_id uuid, held bigint,
    capturing bigint, captured bigint, closing payment_state, expires_at timestamptz, created_at timestamptz, updated_at timestamptz,
    sequence integer, first_valid_until timestamptz, valid_until timestamptz) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN amount > 0
        -- It says why when that needs saying,
        AND (state IN ('HELD', 'UNKNOWN', 'INVESTIGATE', 'FAILED')) = (reason_code IS NOT NULL)
        -- has an attempt that is not over when it begins whenever it is sent,
        AND (first_valid_until IS NULL OR first_valid_until > created_at)
        AND (sequence > 1 OR (state = 'SUBMITTED') = (first_valid_until IS NOT NULL))
        AND (state = 'SUBMITTED' AND sequence > 1) = (valid_until IS NOT NULL) AND (valid_until IS NULL OR valid_until > updated_at)
        -- belongs to an original when it is part of one,
        AND (kind IN ('CAPTURE', 'REFUND', 'RETURN')) = (original_id IS NOT NULL)
        -- and captures no more than was authorized.
        AND CASE kind WHEN 'AUTHORIZATION' THEN num_nulls(held, capturing, captured, expires_at) = 0
            AND LEAST(held, capturing, captured) >= 0 AND held + capturing + captured <= amount
            AND (closing IS NULL OR closing IN ('CANCELLED', 'EXPIRED'))
            ELSE num_nonnulls(held, capturing, captured, closing, expires_at) = 0 END;
END $$;
COMMENT ON FUNCTION is_sound_payment IS 'Whether a payment can be so: what its columns say of each other.';

CREATE TABLE payments (
    id uuid PRIMARY KEY,
    request_key uuid NOT NULL CONSTRAINT payments_request_is_unique UNIQUE,
    request_fingerprint uuid NOT NULL,
    uetr uuid NOT NULL,
    payer_account uuid NOT NULL,
    credit_account uuid NOT NULL,
    amount bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    sequence integer NOT NULL,
    state payment_state NOT NULL,
    kind payment_kind NOT NULL DEFAULT 'PAYMENT',
    is_queued boolean NOT NULL DEFAULT false,
    participant_id text NOT NULL,
    request_id text NOT NULL,
    currency text NOT NULL,
    personal bytea NOT NULL,
    payee_account uuid,
    payee_bank_id text,
    payee_bic text,
    bank_id text,
    reason_code text,
    reason_iso_code text,
    reason_message bytea,
    original_id uuid REFERENCES payments,
    held bigint,
    capturing bigint,
    captured bigint,
    closing payment_state,
    expires_at timestamptz,
    is_counted_on_account boolean NOT NULL DEFAULT false,
    is_counted_on_participant boolean NOT NULL DEFAULT false,
    first_valid_until timestamptz,
    valid_until timestamptz,
    bank_message_id text NOT NULL DEFAULT '',
    CONSTRAINT payments_sound CHECK (is_sound_payment(state, kind, amount, reason_code, original_id, held, capturing, captured, closing,
        expires_at, created_at, updated_at, sequence, first_valid_until, valid_until))
    -- A payment's one or two updates find room on its own page, so that no index hears of them.
) WITH (fillfactor = 50);
CREATE INDEX payments_of_participant ON payments (participant_id, id);
CREATE INDEX payments_of_original ON payments (original_id, id) WHERE original_id IS NOT NULL;
COMMENT ON TABLE payments IS 'Payments as they stand. A row tells of the payment''s last step, and of its first if that was an attempt; payment_events has those between.';
COMMENT ON COLUMN payments.id IS 'pay_… outside. Immutable.';
COMMENT ON COLUMN payments.request_key IS 'A hash of participant and request id, by which a repeated request is found (platform/src/store/payments.rs). Immutable.';
COMMENT ON COLUMN payments.request_fingerprint IS 'A hash of the request''s normal form, under the key of look-ups. Immutable.';
COMMENT ON COLUMN payments.uetr IS 'The payment''s unique reference at the bank (UUIDv4). Immutable.';
COMMENT ON COLUMN payments.payer_account IS 'The account that pays. Immutable.';
COMMENT ON COLUMN payments.credit_account IS 'The account that is credited here: the payee''s, or its bank''s settlement account. Immutable.';
COMMENT ON COLUMN payments.amount IS 'Minor units. While the payment is under way they are held on both accounts. Immutable.';
COMMENT ON COLUMN payments.created_at IS 'When it came to be. Immutable.';
COMMENT ON COLUMN payments.updated_at IS 'When its state last changed.';
COMMENT ON COLUMN payments.sequence IS 'Counts its states; grows with each change.';
COMMENT ON COLUMN payments.state IS 'Where it is in its life; SUCCEEDED, FAILED, CANCELLED and EXPIRED are final.';
COMMENT ON COLUMN payments.kind IS 'What it is. Immutable.';
COMMENT ON COLUMN payments.is_queued IS 'Whether its work is in dispatches. While it is SUBMITTED and this is not set, who wrote it holds its first lease.';
COMMENT ON COLUMN payments.participant_id IS 'Whose it is. Immutable.';
COMMENT ON COLUMN payments.request_id IS 'The caller''s id of the request that made it. Immutable.';
COMMENT ON COLUMN payments.currency IS 'Of the amount (ISO 4217). Immutable.';
COMMENT ON COLUMN payments.personal IS 'The payee''s name and account, what the payee reads, the caller''s labels and reference: encrypted (platform/src/encryption/contents.rs). Immutable.';
COMMENT ON COLUMN payments.payee_account IS 'The payee''s account, if the request named one of this ledger by its id. Immutable.';
COMMENT ON COLUMN payments.payee_bank_id IS 'The payee''s bank, if the request named it by its id in the directory. Immutable.';
COMMENT ON COLUMN payments.payee_bic IS 'The payee''s bank, if the request named it by its BIC. Immutable.';
COMMENT ON COLUMN payments.bank_id IS 'The bank that is instructed; null for a payment on this ledger. Immutable.';
COMMENT ON COLUMN payments.reason_code IS 'Why it is HELD, UNKNOWN, INVESTIGATE or FAILED, for programs.';
COMMENT ON COLUMN payments.reason_iso_code IS 'Why, as an ISO 20022 reason; empty if none fits.';
COMMENT ON COLUMN payments.reason_message IS 'Why, for people: encrypted, since banks say it in words of theirs.';
COMMENT ON COLUMN payments.original_id IS 'The payment that it captures, refunds or takes back. Immutable.';
COMMENT ON COLUMN payments.held IS 'Of an authorization: minor units that it holds and that can be captured.';
COMMENT ON COLUMN payments.capturing IS 'Of an authorization: minor units of captures under way.';
COMMENT ON COLUMN payments.captured IS 'Of an authorization: minor units of captures that succeeded.';
COMMENT ON COLUMN payments.closing IS 'Of an authorization that takes no more captures: how it ends if there was none.';
COMMENT ON COLUMN payments.expires_at IS 'Of an authorization: when what is held is released. Immutable.';
COMMENT ON COLUMN payments.is_counted_on_account IS 'Whether it is counted in the limits of the account that pays. Immutable.';
COMMENT ON COLUMN payments.is_counted_on_participant IS 'Whether it is counted in the limits of the participant that pays. Immutable.';
COMMENT ON COLUMN payments.first_valid_until IS 'Of a payment that began with an attempt: the bank refuses that after this time. There is no more to say of such a first step. Immutable.';
COMMENT ON COLUMN payments.valid_until IS 'If the last step is an attempt, and not the first step: the bank refuses it after this time.';
COMMENT ON COLUMN payments.bank_message_id IS 'The bank''s message that the last step follows from; empty if there is none.';

CREATE TABLE limits (
    subject uuid PRIMARY KEY,
    account_id uuid REFERENCES accounts,
    participant_id text NOT NULL REFERENCES participants,
    currency text NOT NULL,
    max_payment bigint,
    max_unsigned_payment bigint,
    max_hour_amount bigint,
    max_hour_count bigint,
    max_day_amount bigint,
    max_day_count bigint,
    hour_since timestamptz NOT NULL,
    hour_amount bigint NOT NULL DEFAULT 0,
    hour_count bigint NOT NULL DEFAULT 0,
    day_since timestamptz NOT NULL,
    day_amount bigint NOT NULL DEFAULT 0,
    day_count bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    CONSTRAINT limits_not_negative CHECK (LEAST(max_payment, max_unsigned_payment, max_hour_amount, max_hour_count, max_day_amount,
        max_day_count, hour_amount, hour_count, day_amount, day_count) >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE limits IS 'What an account, or a participant in a currency, may pay, and what of it is used. Whoever has a row here is counted for ever.';
COMMENT ON COLUMN limits.subject IS 'The account''s number, or a hash of participant and currency (platform/src/store/limits.rs). Immutable.';
COMMENT ON COLUMN limits.account_id IS 'The account; null for a participant. Immutable.';
COMMENT ON COLUMN limits.participant_id IS 'The participant, or whose account it is. Immutable.';
COMMENT ON COLUMN limits.currency IS 'Of all amounts here (ISO 4217). Immutable.';
COMMENT ON COLUMN limits.max_payment IS 'What one payment may come to, in minor units; null for any.';
COMMENT ON COLUMN limits.max_unsigned_payment IS 'What one payment may come to whose call is not signed, in minor units; null for any. Held by the rules: a payment does not say whether its call was signed.';
COMMENT ON COLUMN limits.max_hour_amount IS 'What the payments made in an hour may come to, in minor units; null for any.';
COMMENT ON COLUMN limits.max_hour_count IS 'How many payments may be made in an hour; null for any.';
COMMENT ON COLUMN limits.max_day_amount IS 'What the payments made in a day may come to, in minor units; null for any.';
COMMENT ON COLUMN limits.max_day_count IS 'How many payments may be made in a day; null for any.';
COMMENT ON COLUMN limits.hour_since IS 'The full hour since when is counted. Only grows.';
COMMENT ON COLUMN limits.hour_amount IS 'What the payments made since then come to, without those that ended unpaid, in minor units.';
COMMENT ON COLUMN limits.hour_count IS 'How many they are.';
COMMENT ON COLUMN limits.day_since IS 'The midnight (UTC) since when is counted. Only grows.';
COMMENT ON COLUMN limits.day_amount IS 'What the payments made since then come to, without those that ended unpaid, in minor units.';
COMMENT ON COLUMN limits.day_count IS 'How many they are.';
COMMENT ON COLUMN limits.version IS 'Counts the changes: what was decided on an older one is refused.';

CREATE TABLE limit_changes (
    id uuid PRIMARY KEY,
    subject uuid NOT NULL REFERENCES limits,
    max_payment bigint,
    max_unsigned_payment bigint,
    max_hour_amount bigint,
    max_hour_count bigint,
    max_day_amount bigint,
    max_day_count bigint,
    by_participant text NOT NULL,
    by_credential text NOT NULL CHECK (by_credential <> ''),
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE limit_changes IS 'Who set which limits, written in the commit that did it. Immutable.';
COMMENT ON COLUMN limit_changes.id IS 'Which change.';
COMMENT ON COLUMN limit_changes.subject IS 'Whose limits.';
COMMENT ON COLUMN limit_changes.max_payment IS 'As in limits, from then on.';
COMMENT ON COLUMN limit_changes.max_unsigned_payment IS 'As in limits, from then on.';
COMMENT ON COLUMN limit_changes.max_hour_amount IS 'As in limits, from then on.';
COMMENT ON COLUMN limit_changes.max_hour_count IS 'As in limits, from then on.';
COMMENT ON COLUMN limit_changes.max_day_amount IS 'As in limits, from then on.';
COMMENT ON COLUMN limit_changes.max_day_count IS 'As in limits, from then on.';
COMMENT ON COLUMN limit_changes.by_participant IS 'The participant whose operator did it.';
COMMENT ON COLUMN limit_changes.by_credential IS 'The operator''s credential.';
COMMENT ON COLUMN limit_changes.created_at IS 'When.';

-- Without a foreign key (refuse_strays looks), since these rows stay when their payments go to the archive: they are few, and what is
-- refunded counts as long as anybody may ask for a refund.
CREATE TABLE refundable (
    payment_id uuid PRIMARY KEY,
    amount bigint NOT NULL,
    refunded bigint NOT NULL,
    CONSTRAINT refundable_at_most_once CHECK (refunded BETWEEN 0 AND amount)
);
COMMENT ON TABLE refundable IS 'Payments and captures that refunds give back. Beside the payment, whose row is final.';
COMMENT ON COLUMN refundable.payment_id IS 'The payment or capture.';
COMMENT ON COLUMN refundable.amount IS 'Its amount, in minor units.';
COMMENT ON COLUMN refundable.refunded IS 'The sum of its refunds, those under way included.';

CREATE TYPE deposit_state AS ENUM ('PENDING_APPROVAL', 'BOOKED', 'REJECTED', 'LAPSED');
COMMENT ON TYPE deposit_state IS 'Where a deposit is in its life (platform/src/domain/deposit.rs); the last three are final.';

CREATE TABLE deposits (
    id uuid PRIMARY KEY,
    participant_id text NOT NULL,
    request_id text NOT NULL,
    request_fingerprint uuid NOT NULL,
    account_id uuid NOT NULL REFERENCES accounts,
    settlement_account uuid NOT NULL REFERENCES accounts,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    bank_id text NOT NULL,
    reference text NOT NULL,
    proposed_by text NOT NULL CHECK (proposed_by <> ''),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    state deposit_state NOT NULL DEFAULT 'PENDING_APPROVAL',
    decision_id uuid CONSTRAINT deposits_decision_is_unique UNIQUE,
    decided_by text CHECK (decided_by <> ''),
    decided_at timestamptz,
    reject_reason text,
    CONSTRAINT deposits_request_id_is_unique UNIQUE (participant_id, request_id),
    CONSTRAINT deposits_take_two CHECK (state <> 'BOOKED' OR (decided_by IS NOT NULL AND decided_by <> proposed_by)),
    CONSTRAINT deposits_sound CHECK ((state <> 'PENDING_APPROVAL') = (decision_id IS NOT NULL)
        AND (state <> 'PENDING_APPROVAL') = (decided_at IS NOT NULL)
        AND (state IN ('BOOKED', 'REJECTED')) = (decided_by IS NOT NULL)
        AND (state = 'REJECTED') = (reject_reason IS NOT NULL)
        AND (state <> 'BOOKED' OR decided_at < expires_at) AND (state <> 'LAPSED' OR decided_at >= expires_at))
);
-- Of another collation than the unique key, as that of accounts.
CREATE INDEX deposits_of_participant ON deposits (participant_id COLLATE "C", state, id);
CREATE INDEX deposits_pending ON deposits (expires_at) WHERE state = 'PENDING_APPROVAL';
COMMENT ON TABLE deposits IS 'Money that arrived: proposed by one operator, booked when another one approves.';
COMMENT ON COLUMN deposits.id IS 'dep_… outside. Immutable.';
COMMENT ON COLUMN deposits.participant_id IS 'Whose it is. Immutable.';
COMMENT ON COLUMN deposits.request_id IS 'The caller''s id of the request that proposed it. Immutable.';
COMMENT ON COLUMN deposits.request_fingerprint IS 'A hash of that request''s normal form, under the key of look-ups. Immutable.';
COMMENT ON COLUMN deposits.account_id IS 'The account to credit. Immutable.';
COMMENT ON COLUMN deposits.settlement_account IS 'The account to debit: the bank''s settlement account. Immutable.';
COMMENT ON COLUMN deposits.amount IS 'Minor units. Immutable.';
COMMENT ON COLUMN deposits.currency IS 'Of the amount (ISO 4217). Immutable.';
COMMENT ON COLUMN deposits.bank_id IS 'At whose settlement account the money arrived. Immutable.';
COMMENT ON COLUMN deposits.reference IS 'The arrival''s reference; empty if none. Immutable.';
COMMENT ON COLUMN deposits.proposed_by IS 'Whose credential proposed it. Immutable.';
COMMENT ON COLUMN deposits.created_at IS 'When it was proposed. Immutable.';
COMMENT ON COLUMN deposits.expires_at IS 'From when on nobody may approve it. Immutable.';
COMMENT ON COLUMN deposits.state IS 'Where it is in its life. Never changes once it is decided.';
COMMENT ON COLUMN deposits.decision_id IS 'The number of what was decided, in the audit log; null while nothing is.';
COMMENT ON COLUMN deposits.decided_by IS 'Whose credential approved or rejected it; null while nobody did.';
COMMENT ON COLUMN deposits.decided_at IS 'When it was booked, rejected or lapsed; null before.';
COMMENT ON COLUMN deposits.reject_reason IS 'Why it was rejected; null otherwise.';

CREATE TABLE transfers (
    id uuid NOT NULL,
    debit_account uuid NOT NULL,
    credit_account uuid NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    created_at timestamptz NOT NULL,
    is_deposit boolean NOT NULL,
    credit_is_house boolean NOT NULL,
    -- Also finds an account's debits. What a payment debits follows from it (refuse_strays), so that this books it once.
    PRIMARY KEY (debit_account, id),
    CONSTRAINT transfers_two_accounts CHECK (debit_account <> credit_account)
);
-- The house's accounts are credited by almost every transfer, and nobody lists them.
CREATE INDEX transfers_of_credit_account ON transfers (credit_account, id) WHERE NOT credit_is_house;
COMMENT ON TABLE transfers IS 'Every movement of money, double entry: one debit, one credit, one amount. Immutable.';
COMMENT ON COLUMN transfers.id IS 'tra_… outside. The number of the payment or deposit that it books, which is so booked once.';
COMMENT ON COLUMN transfers.debit_account IS 'Who pays.';
COMMENT ON COLUMN transfers.credit_account IS 'Who is paid.';
COMMENT ON COLUMN transfers.amount IS 'Minor units of both accounts'' currency.';
COMMENT ON COLUMN transfers.created_at IS 'When it was booked.';
COMMENT ON COLUMN transfers.is_deposit IS 'Whether it books a deposit.';
COMMENT ON COLUMN transfers.credit_is_house IS 'Whether the credited account is one of the house''s.';

CREATE TABLE payment_events (
    payment_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    sequence integer NOT NULL,
    state payment_state NOT NULL,
    valid_until timestamptz,
    reason_code text,
    reason_iso_code text,
    bank_message_id text NOT NULL,
    PRIMARY KEY (payment_id, sequence),
    CONSTRAINT payment_events_attempts_when_submitted
        CHECK ((state = 'SUBMITTED') = (valid_until IS NOT NULL) AND valid_until > created_at)
);
COMMENT ON TABLE payment_events IS 'The steps of payments that payments does not tell of: a step comes here in the commit that makes the next one. Immutable.';
COMMENT ON COLUMN payment_events.payment_id IS 'Whose step.';
COMMENT ON COLUMN payment_events.created_at IS 'When. Of an attempt: when the bank''s clock for it started (AccptncDtTm).';
COMMENT ON COLUMN payment_events.sequence IS 'The how-manieth.';
COMMENT ON COLUMN payment_events.state IS 'The state that it led to. A step to SUBMITTED puts an attempt on record, before a byte leaves: the MsgId at the bank is the payment''s number and the how-manieth such step it is.';
COMMENT ON COLUMN payment_events.valid_until IS 'Of an attempt: the bank refuses it after this time.';
COMMENT ON COLUMN payment_events.reason_code IS 'Why, for programs.';
COMMENT ON COLUMN payment_events.reason_iso_code IS 'Why, as an ISO 20022 reason.';
COMMENT ON COLUMN payment_events.bank_message_id IS 'The bank''s message that it follows from; empty if there is none.';

CREATE TABLE first_leases (
    ends_at timestamptz NOT NULL,
    payments uuid[] NOT NULL,
    traces jsonb
);
CREATE INDEX first_leases_end ON first_leases (ends_at);
COMMENT ON TABLE first_leases IS 'Payments that were handed to be sent in the commit that wrote them, a batch in a row. Those that are SUBMITTED still when the lease ends enter dispatches.';
COMMENT ON COLUMN first_leases.ends_at IS 'When others may take over. The database''s clock counts.';
COMMENT ON COLUMN first_leases.payments IS 'The payments.';
COMMENT ON COLUMN first_leases.traces IS 'The traceparents (W3C Trace Context) of those whose trace is sampled, by payment; null if there are none.';

-- Without a foreign key, since payments go to the archive meanwhile.
CREATE TABLE payment_traces (
    payment_id uuid PRIMARY KEY,
    trace_id uuid NOT NULL
);
COMMENT ON TABLE payment_traces IS 'Where to find what was traced of payments whose trace is sampled; forgotten when the log of events forgets them.';
COMMENT ON COLUMN payment_traces.payment_id IS 'The payment. Immutable.';
COMMENT ON COLUMN payment_traces.trace_id IS 'Its trace (W3C Trace Context). Immutable.';

CREATE TABLE dispatches (
    payment_id uuid PRIMARY KEY REFERENCES payments,
    bank_id text NOT NULL,
    work work NOT NULL DEFAULT 'ENQUIRE',
    due_at timestamptz NOT NULL,
    token bigint NOT NULL DEFAULT 1,
    tries integer NOT NULL DEFAULT 1,
    fruitless integer NOT NULL DEFAULT 0,
    is_overdue boolean NOT NULL DEFAULT false,
    traceparent text CHECK (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-01$')
) WITH (fillfactor = 70);
CREATE INDEX dispatches_due_by_bank ON dispatches (bank_id, work, due_at);
COMMENT ON TABLE dispatches IS 'The queue of work: payments that did not end in their first lease, wait for their bank, or can be captured.';
COMMENT ON COLUMN dispatches.payment_id IS 'The payment.';
COMMENT ON COLUMN dispatches.bank_id IS 'Its bank; empty for the house''s own work.';
COMMENT ON COLUMN dispatches.work IS 'What is to be done when it is due.';
COMMENT ON COLUMN dispatches.due_at IS 'When somebody may take it over: the end of the present lease, or of a pause. The database''s clock counts.';
COMMENT ON COLUMN dispatches.token IS 'Fencing token: grows with each lease; writes with an older one are refused.';
COMMENT ON COLUMN dispatches.tries IS 'How often it was taken.';
COMMENT ON COLUMN dispatches.fruitless IS 'How often it was taken since it last came to an end.';
COMMENT ON COLUMN dispatches.is_overdue IS 'Whether the alarm PAYMENT_OVERDUE was raised.';
COMMENT ON COLUMN dispatches.traceparent IS 'Where the work goes on in a trace (W3C Trace Context), if that is sampled.';

CREATE TABLE alarms (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    payment_id uuid NOT NULL REFERENCES payments,
    detail text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT alarms_one_of_a_kind UNIQUE (payment_id, kind)
);
COMMENT ON TABLE alarms IS 'What people should look at. Immutable.';
COMMENT ON COLUMN alarms.id IS 'alm_… outside.';
COMMENT ON COLUMN alarms.kind IS 'What kind of thing, for programs (platform/src/domain/alarm.rs).';
COMMENT ON COLUMN alarms.payment_id IS 'The payment that it is about.';
COMMENT ON COLUMN alarms.detail IS 'For people.';
COMMENT ON COLUMN alarms.created_at IS 'When it was raised.';

CREATE TABLE resolutions (
    payment_id uuid PRIMARY KEY REFERENCES payments,
    succeeded boolean NOT NULL,
    evidence_reference text NOT NULL,
    proposed_by text NOT NULL,
    approved_by text,
    CONSTRAINT resolutions_take_two CHECK (approved_by <> proposed_by)
);
COMMENT ON TABLE resolutions IS 'What operators found out about payments whose end no machine could know.';
COMMENT ON COLUMN resolutions.payment_id IS 'The payment.';
COMMENT ON COLUMN resolutions.succeeded IS 'Whether the payee is credited.';
COMMENT ON COLUMN resolutions.evidence_reference IS 'Where the evidence is found.';
COMMENT ON COLUMN resolutions.proposed_by IS 'Whose credential proposed it.';
COMMENT ON COLUMN resolutions.approved_by IS 'Whose credential approved it; null while nobody did.';

CREATE TABLE resolution_acts (
    id uuid PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments,
    is_approval boolean NOT NULL,
    succeeded boolean NOT NULL,
    evidence_reference text NOT NULL,
    by_credential text NOT NULL CHECK (by_credential <> ''),
    created_at timestamptz NOT NULL
);
CREATE INDEX resolution_acts_of_payment ON resolution_acts (payment_id, id);
COMMENT ON TABLE resolution_acts IS 'Every proposal and approval of a resolution, those that were replaced included. Immutable.';
COMMENT ON COLUMN resolution_acts.id IS 'Its number in the audit log.';
COMMENT ON COLUMN resolution_acts.payment_id IS 'The payment.';
COMMENT ON COLUMN resolution_acts.is_approval IS 'Whether it approves what another operator proposed.';
COMMENT ON COLUMN resolution_acts.succeeded IS 'Whether the payee is credited.';
COMMENT ON COLUMN resolution_acts.evidence_reference IS 'Where the evidence is found.';
COMMENT ON COLUMN resolution_acts.by_credential IS 'The operator''s credential.';
COMMENT ON COLUMN resolution_acts.created_at IS 'When.';

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    participant_id text NOT NULL REFERENCES participants,
    hash bytea NOT NULL CONSTRAINT api_keys_hash_is_unique UNIQUE CHECK (length(hash) = 32),
    roles text[] NOT NULL CHECK (cardinality(roles) > 0 AND roles <@ '{payer-app,merchant,operator,auditor}'),
    label text NOT NULL,
    credential text NOT NULL CHECK (credential <> ''),
    replaces uuid REFERENCES api_keys,
    requested_by text NOT NULL,
    request_id text NOT NULL,
    request_fingerprint uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    verification_key bytea CHECK (length(verification_key) = 32),
    CONSTRAINT api_keys_request_is_unique UNIQUE (requested_by, request_id)
);
CREATE INDEX api_keys_of_participant ON api_keys (participant_id, id);
CREATE INDEX api_keys_not_revoked ON api_keys (id) WHERE revoked_at IS NULL;
COMMENT ON TABLE api_keys IS 'What is on record of API keys. The keys themselves are nowhere.';
COMMENT ON COLUMN api_keys.id IS 'key_… outside. Immutable.';
COMMENT ON COLUMN api_keys.participant_id IS 'Whose it is. Immutable.';
COMMENT ON COLUMN api_keys.hash IS 'The key, hashed under a secret that only the gateways have. Immutable.';
COMMENT ON COLUMN api_keys.roles IS 'What it is for. Immutable.';
COMMENT ON COLUMN api_keys.label IS 'What people know it by. Immutable.';
COMMENT ON COLUMN api_keys.credential IS 'Whose it is in four-eyes rules: the maker''s when an operator made it for its own participant, that of the key that it replaces, or its own. Immutable.';
COMMENT ON COLUMN api_keys.replaces IS 'The key that it was made to replace. Immutable.';
COMMENT ON COLUMN api_keys.requested_by IS 'The participant whose operator asked for it. Immutable.';
COMMENT ON COLUMN api_keys.request_id IS 'The id of that request. Immutable.';
COMMENT ON COLUMN api_keys.request_fingerprint IS 'A hash of that request. Immutable.';
COMMENT ON COLUMN api_keys.created_at IS 'When it was made. Immutable.';
COMMENT ON COLUMN api_keys.expires_at IS 'When it ends by itself, if ever. Only comes closer.';
COMMENT ON COLUMN api_keys.revoked_at IS 'When it was revoked. Never changes once it is set.';
COMMENT ON COLUMN api_keys.verification_key IS 'The public half (Ed25519) of the key that its calls are signed with, if they are. Immutable.';

CREATE TABLE request_nonces (
    verification_key bytea NOT NULL CHECK (length(verification_key) = 32),
    nonce text NOT NULL CHECK (length(nonce) BETWEEN 16 AND 128),
    claimed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (verification_key, nonce)
);
CREATE INDEX request_nonces_by_age ON request_nonces (claimed_at);
COMMENT ON TABLE request_nonces IS 'The signed calls of late, so that each is carried out once. Kept for longer than any gateway believes a signature; then deleted.';
COMMENT ON COLUMN request_nonces.verification_key IS 'What the signature was verified with. Immutable.';
COMMENT ON COLUMN request_nonces.nonce IS 'What tells the signature from every other one with this key. Immutable.';
COMMENT ON COLUMN request_nonces.claimed_at IS 'When it was claimed, by the clock of the database alone. Immutable.';

CREATE TABLE identity_acts (
    id uuid NOT NULL CONSTRAINT identity_acts_id_is_unique UNIQUE,
    number bigint PRIMARY KEY,
    act text NOT NULL CHECK (act IN ('CREATE_PARTICIPANT', 'DISABLE_PARTICIPANT', 'ENABLE_PARTICIPANT', 'CREATE_API_KEY',
        'ROTATE_API_KEY', 'REVOKE_API_KEY')),
    participant_id text NOT NULL REFERENCES participants,
    api_key_id uuid REFERENCES api_keys,
    by_participant text NOT NULL,
    by_credential text NOT NULL CHECK (by_credential <> ''),
    created_at timestamptz NOT NULL,
    CONSTRAINT identity_acts_on_a_key_name_it CHECK ((act LIKE '%API_KEY') = (api_key_id IS NOT NULL))
);
COMMENT ON TABLE identity_acts IS 'Who let whom in or out, written in the commit that did it. Immutable.';
COMMENT ON COLUMN identity_acts.id IS 'Its number in the audit log.';
COMMENT ON COLUMN identity_acts.number IS 'The how-manieth act it is, in the order of their commits.';
COMMENT ON COLUMN identity_acts.act IS 'What was done.';
COMMENT ON COLUMN identity_acts.participant_id IS 'To whom.';
COMMENT ON COLUMN identity_acts.api_key_id IS 'The key that was made or ended; ROTATE_API_KEY names the new one.';
COMMENT ON COLUMN identity_acts.by_participant IS 'The participant whose operator did it.';
COMMENT ON COLUMN identity_acts.by_credential IS 'The operator''s credential.';
COMMENT ON COLUMN identity_acts.created_at IS 'When.';

-- With the owner's rights, so that nobody else can count otherwise.
CREATE FUNCTION count_act() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE installation SET acts = acts + 1 RETURNING acts INTO NEW.number;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION count_act() IS 'Numbers acts in the order of their commits: each holds the count until it commits.';
CREATE TRIGGER identity_acts_counted BEFORE INSERT ON identity_acts FOR EACH ROW EXECUTE FUNCTION count_act();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;
COMMENT ON FUNCTION refuse_change() IS 'Refuses what its trigger fires on.';

CREATE TRIGGER transfers_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
    EXECUTE FUNCTION refuse_change('transfers never change');
CREATE TRIGGER payment_events_immutable BEFORE UPDATE OR TRUNCATE ON payment_events
    EXECUTE FUNCTION refuse_change('events never change');
CREATE TRIGGER deposits_permanent BEFORE DELETE OR TRUNCATE ON deposits
    EXECUTE FUNCTION refuse_change('deposits stay');
CREATE TRIGGER deposits_identity_immutable BEFORE UPDATE OF
    id, participant_id, request_id, request_fingerprint, account_id, settlement_account, amount, currency, bank_id, reference, proposed_by,
    created_at, expires_at ON deposits
    EXECUTE FUNCTION refuse_change('what was proposed never changes');
CREATE TRIGGER deposits_end_once AFTER UPDATE ON deposits FOR EACH ROW
    WHEN (OLD.state <> 'PENDING_APPROVAL' OR NEW.state = 'PENDING_APPROVAL')
    EXECUTE FUNCTION refuse_change('a deposit is decided on once');
CREATE TRIGGER deposits_begin_pending BEFORE INSERT ON deposits FOR EACH ROW WHEN (NEW.state <> 'PENDING_APPROVAL')
    EXECUTE FUNCTION refuse_change('a deposit begins with a proposal');
CREATE TRIGGER payments_permanent BEFORE TRUNCATE ON payments
    EXECUTE FUNCTION refuse_change('payments stay');
CREATE TRIGGER data_keys_permanent BEFORE DELETE OR TRUNCATE ON data_keys
    EXECUTE FUNCTION refuse_change('what they encrypt can be read with them alone');
CREATE TRIGGER data_keys_identity_immutable BEFORE UPDATE OF number, created_at ON data_keys
    EXECUTE FUNCTION refuse_change('what is encrypted names its key');
CREATE TRIGGER accounts_permanent BEFORE DELETE OR TRUNCATE ON accounts
    EXECUTE FUNCTION refuse_change('accounts stay');
CREATE TRIGGER alarms_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON alarms
    EXECUTE FUNCTION refuse_change('alarms never change');

CREATE TRIGGER resolution_acts_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON resolution_acts
    EXECUTE FUNCTION refuse_change('acts never change');
CREATE TRIGGER identity_acts_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON identity_acts
    EXECUTE FUNCTION refuse_change('acts never change');
CREATE TRIGGER participants_permanent BEFORE DELETE OR TRUNCATE ON participants
    EXECUTE FUNCTION refuse_change('participants stay');
CREATE TRIGGER participants_identity_immutable BEFORE UPDATE OF id, created_at ON participants
    EXECUTE FUNCTION refuse_change('a participant''s identity never changes');
CREATE TRIGGER api_keys_permanent BEFORE DELETE OR TRUNCATE ON api_keys
    EXECUTE FUNCTION refuse_change('what is on record of API keys stays');
CREATE TRIGGER api_keys_identity_immutable BEFORE UPDATE OF
    id, participant_id, hash, roles, label, credential, replaces, requested_by, request_id, request_fingerprint, created_at,
    verification_key ON api_keys
    EXECUTE FUNCTION refuse_change('what an API key is never changes');
CREATE TRIGGER api_keys_only_end BEFORE UPDATE ON api_keys FOR EACH ROW WHEN (
        (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
        OR (OLD.expires_at IS NOT NULL AND (NEW.expires_at IS NULL OR NEW.expires_at > OLD.expires_at)))
    EXECUTE FUNCTION refuse_change('an API key only ends, and never later than it was to');
CREATE TRIGGER request_nonces_immutable BEFORE UPDATE OR TRUNCATE ON request_nonces
    EXECUTE FUNCTION refuse_change('a claim never changes');
-- Longer than from the earliest moment at which a gateway may believe a signature (5 min before it was made) to the latest (5 min after).
CREATE TRIGGER request_nonces_stay BEFORE DELETE ON request_nonces FOR EACH ROW WHEN (OLD.claimed_at > now() - interval '20 minutes')
    EXECUTE FUNCTION refuse_change('a claim stays for as long as its signature may be believed');

-- The same table of transitions as platform/src/domain/payment/state.rs. A function, since each statement reads the conditions of its
-- triggers and the checks of its tables anew, and a function is read once a connection.
CREATE FUNCTION is_step(was payment_state, is_now payment_state) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN is_now = ANY (CASE was
        WHEN 'HELD' THEN '{SUBMITTED,CANCELLED,INVESTIGATE}'::payment_state[]
        WHEN 'AUTHORIZED' THEN '{AUTHORIZED,SUCCEEDED,CANCELLED,EXPIRED}'
        WHEN 'SUBMITTED' THEN '{HELD,UNKNOWN,INVESTIGATE,SUCCEEDED,FAILED}'
        WHEN 'UNKNOWN' THEN '{HELD,INVESTIGATE,SUCCEEDED,FAILED}'
        WHEN 'INVESTIGATE' THEN '{SUCCEEDED,FAILED}'
        ELSE '{}' END);
END $$;
COMMENT ON FUNCTION is_step(payment_state, payment_state) IS 'Whether a payment may go from one state to another.';
CREATE FUNCTION enters_queue(was payments, is_now payments) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN was.state = 'SUBMITTED' AND NOT was.is_queued AND is_now.is_queued
        AND (is_now.state, is_now.sequence, is_now.updated_at) = (was.state, was.sequence, was.updated_at)
        AND (is_now.reason_code, is_now.held, is_now.valid_until, is_now.bank_message_id)
            IS NOT DISTINCT FROM (was.reason_code, was.held, was.valid_until, was.bank_message_id);
END $$;
COMMENT ON FUNCTION enters_queue(payments, payments) IS 'Whether this is a payment whose first lease is over, and that stays what it is.';
-- AFTER, since before a change each row would be locked by itself.
CREATE TRIGGER payments_only_legal_changes AFTER UPDATE ON payments FOR EACH ROW
    WHEN (NOT ((NEW.sequence > OLD.sequence AND is_step(OLD.state, NEW.state)) OR enters_queue(OLD, NEW)))
    EXECUTE FUNCTION refuse_change('a payment''s state only goes on, and a final one never changes');
CREATE FUNCTION keep_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payment_events e WHERE (e.payment_id, e.sequence, e.state, e.created_at, e.bank_message_id)
            = (OLD.id, OLD.sequence, OLD.state, OLD.updated_at, OLD.bank_message_id)
            AND (e.valid_until, e.reason_code, e.reason_iso_code)
            IS NOT DISTINCT FROM (OLD.valid_until, OLD.reason_code, OLD.reason_iso_code)) THEN
        RAISE EXCEPTION 'step % of payment % would be lost', OLD.sequence, OLD.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION keep_step() IS 'Refuses a step of a payment if the last one is on record nowhere else.';
CREATE TRIGGER payments_keep_step AFTER UPDATE ON payments FOR EACH ROW
    WHEN (NEW.sequence <> OLD.sequence AND (OLD.sequence > 1 OR OLD.first_valid_until IS NULL)) EXECUTE FUNCTION keep_step();
CREATE TRIGGER payments_identity_immutable BEFORE UPDATE OF
    id, participant_id, request_id, request_key, request_fingerprint, payer_account, credit_account, personal, payee_account,
    payee_bank_id, payee_bic, amount, currency, bank_id, uetr, created_at, kind, original_id, expires_at, is_counted_on_account, is_counted_on_participant,
    first_valid_until ON payments
    EXECUTE FUNCTION refuse_change('what was asked for never changes');
CREATE TRIGGER accounts_identity_immutable BEFORE UPDATE OF
    id, participant_id, request_id, request_fingerprint, currency, bank_id, may_overdraw, created_at, is_suspense ON accounts
    EXECUTE FUNCTION refuse_change('an account''s identity never changes');

-- AFTER, since before a change each row of accounts would be locked by itself, whatever changes.
CREATE FUNCTION count_revision() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE accounts SET revision = revision + 1 WHERE id = NEW.id;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION count_revision() IS 'Counts a change of what platforms remember of an account.';
CREATE TRIGGER accounts_count_revision AFTER UPDATE OF personal, iban_hash, closed_at, is_limited ON accounts
    FOR EACH ROW EXECUTE FUNCTION count_revision();
CREATE TRIGGER accounts_stay_limited AFTER UPDATE OF is_limited ON accounts FOR EACH ROW WHEN (NOT NEW.is_limited)
    EXECUTE FUNCTION refuse_change('what an account pays stays counted');

-- Who sets a participant's limits holds its row until all of its accounts are limited; an account that is opened meanwhile waits here.
CREATE FUNCTION limit_new_account() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM participants p WHERE p.id = NEW.participant_id FOR KEY SHARE;
    NEW.is_limited := EXISTS (SELECT FROM limits l
        WHERE (l.participant_id, l.currency) = (NEW.participant_id, NEW.currency) AND l.account_id IS NULL);
    RETURN NEW;
END $$;
COMMENT ON FUNCTION limit_new_account() IS 'Limits a new account if its participant is limited.';
CREATE INDEX limits_of_participants ON limits (participant_id, currency) WHERE account_id IS NULL;
CREATE TRIGGER accounts_limited_with_their_participant BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION limit_new_account();

-- A limit may be set below what is used already: that is no reason to refuse what gives back.
CREATE FUNCTION goes_beyond_limits(was limits, is_now limits) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN is_now.hour_since < was.hour_since OR is_now.day_since < was.day_since
        OR COALESCE((is_now.hour_amount > is_now.max_hour_amount
            AND (is_now.hour_since > was.hour_since OR is_now.hour_amount > was.hour_amount)), false)
        OR COALESCE((is_now.hour_count > is_now.max_hour_count
            AND (is_now.hour_since > was.hour_since OR is_now.hour_count > was.hour_count)), false)
        OR COALESCE((is_now.day_amount > is_now.max_day_amount
            AND (is_now.day_since > was.day_since OR is_now.day_amount > was.day_amount)), false)
        OR COALESCE((is_now.day_count > is_now.max_day_count
            AND (is_now.day_since > was.day_since OR is_now.day_count > was.day_count)), false);
END $$;
COMMENT ON FUNCTION goes_beyond_limits(limits, limits) IS 'Whether more is used than may be, or a window goes back.';
CREATE TRIGGER limits_not_exceeded AFTER UPDATE ON limits FOR EACH ROW WHEN (goes_beyond_limits(OLD, NEW))
    EXECUTE FUNCTION refuse_change('no more may be used than the limit');
CREATE TRIGGER limits_identity_immutable BEFORE UPDATE OF subject, account_id, participant_id, currency ON limits
    EXECUTE FUNCTION refuse_change('whose limits they are never changes');
CREATE TRIGGER limits_permanent BEFORE DELETE OR TRUNCATE ON limits
    EXECUTE FUNCTION refuse_change('who is limited stays counted');
CREATE TRIGGER limit_changes_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON limit_changes
    EXECUTE FUNCTION refuse_change('changes of limits never change');

-- What never changes is looked at once, not with every change of the sums.
CREATE FUNCTION refuse_unsound_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no such account can be: only the house''s accounts with banks may be overdrawn or hold what is in suspense, a request comes with its fingerprint, a currency is three capitals'
        USING ERRCODE = 'check_violation';
END $$;
COMMENT ON FUNCTION refuse_unsound_account() IS 'Refuses a new account that its trigger finds unsound.';
CREATE TRIGGER accounts_sound BEFORE INSERT ON accounts FOR EACH ROW WHEN (
        NEW.may_overdraw <> (NEW.bank_id IS NOT NULL) OR (NEW.is_suspense AND NEW.bank_id IS NULL)
        OR (NEW.request_id IS NULL) <> (NEW.request_fingerprint IS NULL) OR NEW.currency !~ '^[A-Z]{3}$')
    EXECUTE FUNCTION refuse_unsound_account();

-- What was decided without locks is refused when something that it follows from has changed.
CREATE FUNCTION changed_meanwhile(part text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: some rows changed meanwhile', part USING ERRCODE = 'serialization_failure';
END $$;
COMMENT ON FUNCTION changed_meanwhile(text) IS 'Undoes a statement a part of which did not write all that it was sent.';

-- Foreign keys look up and lock one row at a time: a third of what a payment cost the database. Accounts, payments and deposits are
-- never deleted and never change their ids (see their triggers), so that one look for all rows of a statement is as good.
-- Looks that give a value: what could be a join is planned as one, and what could be hashed is, which reads all of a table that was
-- small when a connection first asked.
-- Asked only of payments by limited accounts. Those that come back from the archive say what was so when they were made.
CREATE FUNCTION is_counted(payment payments) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN payment.kind NOT IN ('PAYMENT', 'AUTHORIZATION')
        OR (payment.is_counted_on_account OR NOT EXISTS (SELECT FROM limits l WHERE l.subject = payment.payer_account))
            AND (payment.is_counted_on_participant OR NOT EXISTS (SELECT FROM limits l
                WHERE l.participant_id = payment.participant_id AND l.currency = payment.currency AND l.account_id IS NULL))
        OR EXISTS (SELECT FROM archived_payments a WHERE a.id = payment.id);
END $$;
COMMENT ON FUNCTION is_counted(payments) IS 'Whether a payment is counted in all the limits that its payer has.';
CREATE FUNCTION refuse_strays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE strays boolean;
BEGIN
    CASE TG_TABLE_NAME
        WHEN 'refundable' THEN
            strays := EXISTS (SELECT FROM fresh f WHERE NOT EXISTS (SELECT FROM payments p WHERE p.id = f.payment_id));
        WHEN 'transfers' THEN
            -- Only a payment that has succeeded moves money: its amount, between its accounts, once.
            strays := EXISTS (SELECT FROM fresh f WHERE f.is_deposit
                OR (SELECT p.state = 'SUCCEEDED' AND p.kind <> 'AUTHORIZATION'
                    AND (p.amount, p.payer_account, p.credit_account) = (f.amount, f.debit_account, f.credit_account)
                    FROM payments p WHERE p.id = f.id) IS NOT TRUE
                OR (SELECT a.may_overdraw = f.credit_is_house FROM accounts a WHERE a.id = f.credit_account) IS NOT TRUE);
            IF NOT strays THEN
                RETURN NULL;
            END IF;
            -- Rarer are deposits, and what a bank paid although the payment had ended otherwise, which the house owes it.
            strays := EXISTS (SELECT FROM fresh f
                WHERE (SELECT a.may_overdraw = f.credit_is_house FROM accounts a WHERE a.id = f.credit_account) IS NOT TRUE
                OR CASE WHEN f.is_deposit THEN
                    (SELECT (d.state, d.amount, d.settlement_account, d.account_id)
                        = ('BOOKED', f.amount, f.debit_account, f.credit_account) FROM deposits d WHERE d.id = f.id) IS NOT TRUE
                ELSE (SELECT (p.amount, p.credit_account) = (f.amount, f.credit_account) AND p.kind <> 'AUTHORIZATION'
                    AND CASE p.state WHEN 'SUCCEEDED' THEN p.payer_account = f.debit_account
                        ELSE p.state IN ('FAILED', 'CANCELLED', 'EXPIRED')
                            AND (SELECT a.is_suspense FROM accounts a WHERE a.id = f.debit_account) END
                    FROM payments p WHERE p.id = f.id) IS NOT TRUE END);
        WHEN 'payments' THEN
            -- It has accounts, is counted if its payer is limited, and has no number that is sealed already (0004_audit.sql), which only those
            -- from the archive may have.
            strays := EXISTS (SELECT FROM fresh f WHERE (
                    (f.id > (SELECT h.sealed_up_to FROM audit_horizon h) OR (SELECT true FROM archived_payments a WHERE a.id = f.id))
                    AND (SELECT count(*) FROM accounts a WHERE a.id IN (f.payer_account, f.credit_account)
                        AND (NOT a.is_limited OR a.id <> f.payer_account
                            OR (SELECT is_counted(p) FROM payments p WHERE p.id = f.id))) = 2
                    AND (SELECT r.payment_id <> f.id FROM archived_requests r WHERE r.request_key = f.request_key) IS NOT TRUE) IS NOT TRUE);
            -- The request of a new payment may have made one that is in the archive. The look comes behind the unique key of payments and
            -- has a newer snapshot than the statement: who finds the key free because that payment has just left finds it here.
            IF strays AND EXISTS (SELECT FROM fresh f WHERE
                    (SELECT r.payment_id <> f.id FROM archived_requests r WHERE r.request_key = f.request_key)) THEN
                PERFORM changed_meanwhile('archived_requests');
            END IF;
            IF strays AND EXISTS (SELECT FROM fresh f WHERE NOT (SELECT is_counted(p) FROM payments p WHERE p.id = f.id)) THEN
                PERFORM changed_meanwhile('limits');
            END IF;
        WHEN 'payment_events' THEN
            -- What payments tells of is nowhere else.
            strays := EXISTS (SELECT FROM fresh f WHERE (SELECT f.sequence < p.sequence AND (f.sequence > 1 OR p.first_valid_until IS NULL)
                FROM payments p WHERE p.id = f.payment_id) IS NOT TRUE);
    END CASE;
    IF strays THEN
        RAISE EXCEPTION 'rows of % belong to nothing that there is', TG_TABLE_NAME USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION refuse_strays() IS 'Refuses rows that name accounts, payments or deposits that do not exist, and transfers that are not theirs.';
CREATE TRIGGER transfers_refuse_strays AFTER INSERT ON transfers REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_strays();
CREATE TRIGGER refundable_refuse_strays AFTER INSERT ON refundable REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_strays();
CREATE TRIGGER payments_refuse_strays AFTER INSERT ON payments REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_strays();
CREATE TRIGGER payment_events_refuse_strays AFTER INSERT ON payment_events REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_strays();

-- A deposit is booked together with its transfer, or not at all.
CREATE FUNCTION refuse_unbooked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM transfers t WHERE t.debit_account = NEW.settlement_account AND t.id = NEW.id AND t.is_deposit) THEN
        RAISE EXCEPTION 'deposit % is booked without a transfer', NEW.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION refuse_unbooked() IS 'Refuses deposits that say they are booked and are not.';
CREATE TRIGGER deposits_refuse_unbooked AFTER UPDATE OF state ON deposits FOR EACH ROW WHEN (NEW.state = 'BOOKED')
    EXECUTE FUNCTION refuse_unbooked();

-- The archive: payments that are over, with their events, by the month in which they came to be. They leave the tables that every
-- payment writes to, and come back when somebody has to do with them again (bring_back). The same columns in the same order.
CREATE TABLE archived_payments (LIKE payments INCLUDING CONSTRAINTS INCLUDING COMMENTS, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE INDEX archived_payments_of_participant ON archived_payments (participant_id, id);
CREATE INDEX archived_payments_of_original ON archived_payments (original_id, id) WHERE original_id IS NOT NULL;
COMMENT ON TABLE archived_payments IS 'Payments that are over and have left payments. Immutable; the oldest month can be taken out (take_out).';

CREATE TABLE archived_payment_events (LIKE payment_events INCLUDING CONSTRAINTS INCLUDING COMMENTS, PRIMARY KEY (payment_id, sequence))
    PARTITION BY RANGE (payment_id);
COMMENT ON TABLE archived_payment_events IS 'Every step of every payment in the archive. Immutable.';

CREATE TABLE archived_requests (
    request_key uuid PRIMARY KEY,
    payment_id uuid NOT NULL
);
COMMENT ON TABLE archived_requests IS 'Which payment in the archive a request made. Stays when a month is taken out, so that no request pays twice, ever. Immutable.';
COMMENT ON COLUMN archived_requests.request_key IS 'As in payments.';
COMMENT ON COLUMN archived_requests.payment_id IS 'The payment.';

CREATE TABLE months_taken_out (
    month date PRIMARY KEY,
    taken_out_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE months_taken_out IS 'Whose archived payments are no longer kept here (take_out). Immutable.';
COMMENT ON COLUMN months_taken_out.month IS 'The first day of the month (UTC) in which they came to be.';
COMMENT ON COLUMN months_taken_out.taken_out_at IS 'When.';

CREATE VIEW all_payments AS
    SELECT * FROM payments UNION ALL
    SELECT * FROM archived_payments a WHERE NOT EXISTS (SELECT FROM payments p WHERE p.id = a.id);
COMMENT ON VIEW all_payments IS 'Every payment once, wherever it is. One that was brought back is in both places.';
CREATE VIEW current_payment_events AS
    SELECT p.id AS payment_id, p.created_at, 1 AS sequence, 'SUBMITTED'::payment_state AS state, p.first_valid_until AS valid_until,
        NULL::text AS reason_code, NULL::text AS reason_iso_code, '' AS bank_message_id FROM payments p WHERE p.first_valid_until IS NOT NULL
    UNION ALL SELECT p.id, p.updated_at, p.sequence, p.state, p.valid_until, p.reason_code, p.reason_iso_code, p.bank_message_id
        FROM payments p WHERE (p.sequence > 1 OR p.first_valid_until IS NULL)
    UNION ALL SELECT * FROM payment_events;
COMMENT ON VIEW current_payment_events IS 'Every step of every payment that payments has.';
CREATE VIEW all_payment_events AS
    SELECT * FROM current_payment_events
    UNION ALL SELECT a.id AS payment_id, a.created_at, 1 AS sequence, 'SUBMITTED'::payment_state AS state, a.first_valid_until AS valid_until,
        NULL::text AS reason_code, NULL::text AS reason_iso_code, '' AS bank_message_id FROM archived_payments a WHERE a.first_valid_until IS NOT NULL
            AND NOT EXISTS (SELECT FROM payments p WHERE p.id = a.id)
    UNION ALL SELECT a.id, a.updated_at, a.sequence, a.state, a.valid_until, a.reason_code, a.reason_iso_code, a.bank_message_id
        FROM archived_payments a WHERE (a.sequence > 1 OR a.first_valid_until IS NULL)
            AND NOT EXISTS (SELECT FROM payments p WHERE p.id = a.id)
    UNION ALL SELECT * FROM archived_payment_events a WHERE NOT EXISTS (SELECT FROM payments p WHERE p.id = a.payment_id);
COMMENT ON VIEW all_payment_events IS 'Every step of every payment once.';

CREATE TRIGGER archived_payments_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON archived_payments
    EXECUTE FUNCTION refuse_change('the archive never changes');
CREATE TRIGGER archived_payment_events_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON archived_payment_events
    EXECUTE FUNCTION refuse_change('the archive never changes');
CREATE TRIGGER archived_requests_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON archived_requests
    EXECUTE FUNCTION refuse_change('the archive never changes');

CREATE TRIGGER months_taken_out_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON months_taken_out
    EXECUTE FUNCTION refuse_change('what is gone is gone');

CREATE FUNCTION refuse_loss() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE lost boolean;
BEGIN
    CASE TG_TABLE_NAME
        WHEN 'payments' THEN
            lost := EXISTS (SELECT FROM gone g WHERE NOT EXISTS (SELECT FROM archived_payments a WHERE a.id = g.id AND a *= g)
                OR NOT EXISTS (SELECT FROM archived_requests r WHERE (r.request_key, r.payment_id) = (g.request_key, g.id)));
        WHEN 'payment_events' THEN
            lost := EXISTS (SELECT FROM gone g WHERE NOT EXISTS (SELECT FROM archived_payment_events a
                WHERE (a.payment_id, a.sequence) = (g.payment_id, g.sequence) AND a *= g));
    END CASE;
    IF lost THEN
        RAISE EXCEPTION 'DELETE on % is refused: the archive has no equal copy', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION refuse_loss() IS 'Refuses to delete what the archive has no copy of, equal to the last bit.';
CREATE TRIGGER payments_refuse_loss AFTER DELETE ON payments REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_loss();
CREATE TRIGGER payment_events_refuse_loss AFTER DELETE ON payment_events REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_loss();

CREATE FUNCTION first_id(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
COMMENT ON FUNCTION first_id(timestamptz) IS 'Less than all numbers that were made from then on.';
CREATE FUNCTION month_of(id uuid) RETURNS date LANGUAGE sql IMMUTABLE AS $$
    SELECT date_trunc('month', timestamp 'epoch'
        + ('x0000' || left(replace(id::text, '-', ''), 12))::bit(64)::bigint * interval '1 millisecond')::date
$$;
COMMENT ON FUNCTION month_of(uuid) IS 'The first day of the month (UTC) in which a number was made.';
CREATE FUNCTION archive_of(month date) RETURNS regclass LANGUAGE sql STABLE AS $$
    SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'archived_payments'::regclass
        AND inhrelid = to_regclass(to_char(month, '"archived_payments_"YYYY_MM'))
$$;
COMMENT ON FUNCTION archive_of(date) IS 'Where the archived payments of a month are; null while there are none.';

CREATE FUNCTION open_archive(month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE kind text;
BEGIN
    IF archive_of(month) IS NOT NULL THEN
        RETURN;
    END IF;
    FOREACH kind IN ARRAY ARRAY['archived_payments', 'archived_payment_events'] LOOP
        -- Made by itself and then attached, which keeps nobody from reading.
        EXECUTE format('CREATE TABLE %1$I (LIKE %2$I INCLUDING ALL)', kind || to_char(month, '_YYYY_MM'), kind);
        EXECUTE format('COMMENT ON TABLE %I IS %L', kind || to_char(month, '_YYYY_MM'), 'A month of ' || kind || '. Immutable.');
        EXECUTE format('CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
            EXECUTE FUNCTION refuse_change(''the archive never changes'')', kind || to_char(month, '_YYYY_MM'));
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', kind, kind || to_char(month, '_YYYY_MM'),
            first_id(month::timestamp AT TIME ZONE 'UTC'), first_id((month + interval '1 month') AT TIME ZONE 'UTC'));
    END LOOP;
END $$;
COMMENT ON FUNCTION open_archive(date) IS 'Makes room for a month''s payments in the archive.';

CREATE FUNCTION take_out(month date) RETURNS void LANGUAGE plpgsql SET lock_timeout = '3s' AS $$
DECLARE suffix text := to_char(month, '_YYYY_MM');
BEGIN
    IF archive_of(month) IS NULL OR month + interval '1 month' > now() THEN
        RAISE EXCEPTION 'the archive has no month % that is over', month;
    END IF;
    -- What a payment is given back is younger than the payment, and must not be forgotten before it.
    IF archive_of(month) <> (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'archived_payments'::regclass
            ORDER BY inhrelid::regclass::text LIMIT 1) THEN
        RAISE EXCEPTION 'the archive has older months than %: take them out first', month;
    END IF;
    EXECUTE format('ALTER TABLE archived_payments DETACH PARTITION %I', 'archived_payments' || suffix);
    EXECUTE format('ALTER TABLE archived_payment_events DETACH PARTITION %I', 'archived_payment_events' || suffix);
    EXECUTE format('ALTER TABLE %I RENAME TO %I', 'archived_payments' || suffix, 'taken_out_payments' || suffix);
    EXECUTE format('ALTER TABLE %I RENAME TO %I', 'archived_payment_events' || suffix, 'taken_out_payment_events' || suffix);
    INSERT INTO months_taken_out (month) VALUES (take_out.month) ON CONFLICT DO NOTHING;
END $$;
COMMENT ON FUNCTION take_out(date) IS 'Takes the oldest month out of the archive: its payments are no longer found, and stand in tables of their own, to be kept elsewhere and dropped.';

CREATE FUNCTION move_to_archive(closed_before timestamptz, behind uuid, at_most integer, OUT last uuid, OUT moved integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    heads uuid[];
    closed uuid[];
    leaving uuid[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('move_to_archive', 0)) THEN
        RETURN;
    END IF;
    moved := 0;
    heads := ARRAY(SELECT p.id FROM payments p WHERE p.id > behind AND p.id < first_id(closed_before) AND p.original_id IS NULL
        ORDER BY p.id LIMIT at_most);
    last := heads[cardinality(heads)];
    -- Who works on a payment has its lock, and it is passed over. What people were called to look at is not over for them: all that
    -- banks paid late is among it.
    closed := ARRAY(SELECT p.id FROM payments p
        WHERE p.id = ANY(ARRAY(WITH RECURSIVE family (id) AS (SELECT unnest(heads)
                UNION ALL SELECT c.id FROM family f JOIN payments c ON c.original_id = f.id)
            SELECT f.id FROM family f))
        AND p.state IN ('SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED') AND p.updated_at < closed_before
        AND NOT EXISTS (SELECT FROM dispatches d WHERE d.payment_id = p.id)
        AND NOT EXISTS (SELECT FROM alarms a WHERE a.payment_id = p.id)
        AND NOT EXISTS (SELECT FROM resolutions r WHERE r.payment_id = p.id)
        ORDER BY p.id FOR UPDATE OF p SKIP LOCKED);
    -- A payment goes together with all its captures, refunds and returns, or not at all.
    WITH RECURSIVE family (head, id) AS (SELECT h, h FROM unnest(heads) AS h
        UNION ALL SELECT f.head, c.id FROM family f JOIN payments c ON c.original_id = f.id)
    SELECT array_agg(m.id) INTO leaving FROM (SELECT unnest(array_agg(f.id)) AS id FROM family f GROUP BY f.head
        HAVING bool_and(f.id = ANY(closed))) AS m;
    IF leaving IS NULL THEN
        RETURN;
    END IF;
    PERFORM open_archive(m.month) FROM (SELECT DISTINCT month_of(l) AS month FROM unnest(leaving) AS l) AS m;
    -- One that was brought back has its copy already.
    INSERT INTO archived_payments SELECT * FROM payments p WHERE p.id = ANY(leaving) ON CONFLICT DO NOTHING;
    INSERT INTO archived_payment_events SELECT * FROM payment_events e WHERE e.payment_id = ANY(leaving) ON CONFLICT DO NOTHING;
    INSERT INTO archived_requests SELECT p.request_key, p.id FROM payments p WHERE p.id = ANY(leaving) ORDER BY p.request_key
        ON CONFLICT DO NOTHING;
    DELETE FROM payment_events e WHERE e.payment_id = ANY(leaving);
    DELETE FROM payments p WHERE p.id = ANY(leaving);
    GET DIAGNOSTICS moved = ROW_COUNT;
END $$;
COMMENT ON FUNCTION move_to_archive(timestamptz, uuid, integer) IS 'Moves closed families of payments: looks at so many that have no original, behind a number, in their order. Says how far it came, null at the end, and how many payments left, null while somebody else moves some.';

CREATE FUNCTION bring_back(wanted uuid[]) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE family uuid[];
BEGIN
    -- From what is wanted up to its head, and from there to all of its family.
    WITH RECURSIVE above (id, original_id) AS (SELECT a.id, a.original_id FROM archived_payments a WHERE a.id = ANY(wanted)
        UNION SELECT a.id, a.original_id FROM above b JOIN archived_payments a ON a.id = b.original_id
    ), below (id) AS (SELECT b.id FROM above b WHERE b.original_id IS NULL
        UNION SELECT a.id FROM below b JOIN archived_payments a ON a.original_id = b.id)
    SELECT array_agg(b.id) INTO family FROM below b;
    INSERT INTO payments SELECT * FROM archived_payments a WHERE a.id = ANY(family) ORDER BY a.id ON CONFLICT (id) DO NOTHING;
    INSERT INTO payment_events SELECT * FROM archived_payment_events a WHERE a.payment_id = ANY(family)
        ORDER BY a.payment_id, a.sequence ON CONFLICT (payment_id, sequence) DO NOTHING;
    RETURN (SELECT count(*) FROM unnest(wanted) AS w WHERE w = ANY(family));
END $$;
COMMENT ON FUNCTION bring_back(uuid[]) IS 'Copies payments and their families from the archive back to where they can be worked on. Says how many of them the archive has.';

-- The role that the platform works as: it cannot change history, nor the schema.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rialto_platform') THEN
        CREATE ROLE rialto_platform NOLOGIN;
        EXECUTE format('GRANT rialto_platform TO %I', current_user);
    ELSIF NOT pg_has_role(current_user, 'rialto_platform', 'MEMBER') THEN
        EXECUTE format('GRANT rialto_platform TO %I', current_user);
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'cannot create the role rialto_platform: let an administrator run "CREATE ROLE rialto_platform NOLOGIN" and grant it to %', current_user;
END $$;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO rialto_platform;
GRANT INSERT ON data_keys, participants, accounts, payments, refundable, deposits, transfers, payment_events, first_leases, payment_traces, dispatches, alarms,
    resolutions, resolution_acts, api_keys, identity_acts, request_nonces, limits, limit_changes TO rialto_platform;
GRANT UPDATE (wrapped, wrapped_by) ON data_keys TO rialto_platform;
GRANT UPDATE (disabled_at) ON participants TO rialto_platform;
GRANT UPDATE (expires_at, revoked_at) ON api_keys TO rialto_platform;
GRANT DELETE ON request_nonces, payment_traces TO rialto_platform;
GRANT UPDATE (personal, iban_hash, debits_pending, debits_posted, credits_pending, credits_posted, closed_at, is_limited)
    ON accounts TO rialto_platform;
GRANT UPDATE (max_payment, max_unsigned_payment, max_hour_amount, max_hour_count, max_day_amount, max_day_count, hour_since, hour_amount,
    hour_count, day_since, day_amount, day_count, version) ON limits TO rialto_platform;
GRANT UPDATE (state, reason_code, reason_iso_code, reason_message, sequence, updated_at, is_queued, held, capturing, captured, closing,
    valid_until, bank_message_id)
    ON payments TO rialto_platform;
GRANT UPDATE (refunded) ON refundable TO rialto_platform;
GRANT UPDATE (state, decision_id, decided_by, decided_at, reject_reason) ON deposits TO rialto_platform;
GRANT UPDATE (ends_at), DELETE ON first_leases TO rialto_platform;
GRANT UPDATE (work, due_at, token, tries, fruitless, is_overdue), DELETE ON dispatches TO rialto_platform;
GRANT UPDATE (succeeded, evidence_reference, proposed_by, approved_by) ON resolutions TO rialto_platform;
-- Only these two move payments to the archive and back, and only as a whole.
REVOKE ALL ON FUNCTION move_to_archive(timestamptz, uuid, integer), bring_back(uuid[]), open_archive(date), take_out(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION move_to_archive(timestamptz, uuid, integer), bring_back(uuid[]) TO rialto_platform;
