-- The ledger, payments and the queue of work. Conventions: amounts are minor units of the row's or the account's
-- currency; ids are UUIDv7 made by the platform; times are UTC. "Immutable" rows are held so by triggers that refuse
-- UPDATE, DELETE and TRUNCATE for every role, the owner included.

CREATE TABLE installation (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    page_token_key bytea NOT NULL
        DEFAULT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE installation IS 'One row: what all platforms on this database share.';
COMMENT ON COLUMN installation.singleton IS 'Keeps the table at one row.';
COMMENT ON COLUMN installation.page_token_key IS 'Secret: authenticates page tokens, so that callers cannot make their own.';
COMMENT ON COLUMN installation.created_at IS 'When the database was set up.';
INSERT INTO installation DEFAULT VALUES;

CREATE TABLE participants (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{1,38}[a-z0-9]$'),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE participants IS 'Who owns accounts, payments and request ids.';
COMMENT ON COLUMN participants.id IS 'The participant''s name, as in its credentials. Immutable.';
COMMENT ON COLUMN participants.created_at IS 'When it was first seen.';
-- The house itself owns the settlement accounts.
INSERT INTO participants (id) VALUES ('rialto-house');

CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    participant_id text NOT NULL REFERENCES participants,
    request_id text,
    request_fingerprint bytea CHECK (length(request_fingerprint) = 32),
    display_name text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    iban text CONSTRAINT accounts_iban_is_unique UNIQUE,
    bank_id text,
    may_overdraw boolean NOT NULL DEFAULT false,
    debits_pending bigint NOT NULL DEFAULT 0 CHECK (debits_pending >= 0),
    debits_posted bigint NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
    credits_pending bigint NOT NULL DEFAULT 0 CHECK (credits_pending >= 0),
    credits_posted bigint NOT NULL DEFAULT 0 CHECK (credits_posted >= 0),
    closed_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT accounts_request_id_is_unique UNIQUE (participant_id, request_id),
    CONSTRAINT accounts_one_settlement_account UNIQUE (bank_id, currency),
    CONSTRAINT accounts_not_overdrawn CHECK (may_overdraw OR debits_pending <= credits_posted - debits_posted),
    CONSTRAINT accounts_only_settlement_overdraws CHECK (may_overdraw = (bank_id IS NOT NULL)),
    CONSTRAINT accounts_request_is_whole CHECK ((request_id IS NULL) = (request_fingerprint IS NULL))
) WITH (fillfactor = 50);
-- For lists; of another collation than the unique key for the reason given at payments_of_participant.
CREATE INDEX accounts_of_participant ON accounts (participant_id COLLATE "C", id);
COMMENT ON TABLE accounts IS 'Accounts of the ledger, with running sums that always equal those of their transfers.';
COMMENT ON COLUMN accounts.id IS 'acc_… outside. Immutable.';
COMMENT ON COLUMN accounts.participant_id IS 'Whose it is. Immutable.';
COMMENT ON COLUMN accounts.request_id IS 'The caller''s id of the request that opened it; null for settlement accounts. Immutable.';
COMMENT ON COLUMN accounts.request_fingerprint IS 'A hash of that request. Immutable.';
COMMENT ON COLUMN accounts.display_name IS 'The holder''s name, as payees read it.';
COMMENT ON COLUMN accounts.currency IS 'Its one currency (ISO 4217). Immutable.';
COMMENT ON COLUMN accounts.iban IS 'Its IBAN, electronic form, if it has one.';
COMMENT ON COLUMN accounts.bank_id IS 'Set on a settlement account: the bank, by its id in the directory. Immutable.';
COMMENT ON COLUMN accounts.may_overdraw IS 'True on settlement accounts only. Immutable.';
COMMENT ON COLUMN accounts.debits_pending IS 'Minor units held by payments under way.';
COMMENT ON COLUMN accounts.debits_posted IS 'Minor units debited.';
COMMENT ON COLUMN accounts.credits_pending IS 'Minor units that payments under way will credit.';
COMMENT ON COLUMN accounts.credits_posted IS 'Minor units credited.';
COMMENT ON COLUMN accounts.closed_at IS 'Set once the account is closed.';
COMMENT ON COLUMN accounts.created_at IS 'When it was opened. Immutable.';

CREATE TABLE payments (
    id uuid PRIMARY KEY,
    participant_id text NOT NULL,
    request_id text NOT NULL,
    request_fingerprint bytea NOT NULL CHECK (length(request_fingerprint) = 32),
    payer_account uuid NOT NULL REFERENCES accounts,
    credit_account uuid NOT NULL REFERENCES accounts,
    payee jsonb NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    remittance_information text NOT NULL,
    end_to_end_id text NOT NULL,
    metadata jsonb NOT NULL,
    bank_id text,
    uetr uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('SUBMITTED', 'UNKNOWN', 'SUCCEEDED', 'FAILED')),
    reason_code text,
    reason_iso_code text,
    reason_message text,
    sequence integer NOT NULL CHECK (sequence >= 1),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT payments_request_id_is_unique UNIQUE (participant_id, request_id),
    CONSTRAINT payments_reason_when_needed CHECK ((state IN ('UNKNOWN', 'FAILED')) = (reason_code IS NOT NULL))
) WITH (fillfactor = 70);
-- Of another collation than the unique key, so that no plan can take it for the look-up of a request id: while the tables were
-- empty the two cost the same, and the wrong one costs a scan of all of the participant's payments.
CREATE INDEX payments_of_participant ON payments (participant_id COLLATE "C", id);
COMMENT ON TABLE payments IS 'Payments as they stand; payment_events has how they came to stand so.';
COMMENT ON COLUMN payments.id IS 'pay_… outside. Immutable.';
COMMENT ON COLUMN payments.participant_id IS 'Whose it is. Immutable.';
COMMENT ON COLUMN payments.request_id IS 'The caller''s id of the request that made it. Immutable.';
COMMENT ON COLUMN payments.request_fingerprint IS 'A hash of that request''s normal form. Immutable.';
COMMENT ON COLUMN payments.payer_account IS 'The account that pays. Immutable.';
COMMENT ON COLUMN payments.credit_account IS 'The account that is credited here: the payee''s, or its bank''s settlement account. Immutable.';
COMMENT ON COLUMN payments.payee IS 'Name and account of the payee, as the request said. Immutable.';
COMMENT ON COLUMN payments.amount IS 'Minor units. Immutable.';
COMMENT ON COLUMN payments.currency IS 'Of the amount (ISO 4217). Immutable.';
COMMENT ON COLUMN payments.remittance_information IS 'What the payee reads; empty if nothing. Immutable.';
COMMENT ON COLUMN payments.end_to_end_id IS 'The reference that travels to the payee. Immutable.';
COMMENT ON COLUMN payments.metadata IS 'The caller''s labels. Immutable.';
COMMENT ON COLUMN payments.bank_id IS 'The bank that is instructed; null for a payment on this ledger. Immutable.';
COMMENT ON COLUMN payments.uetr IS 'The payment''s unique reference at the bank (UUIDv4). Immutable.';
COMMENT ON COLUMN payments.state IS 'Where it is in its life; SUCCEEDED and FAILED are final.';
COMMENT ON COLUMN payments.reason_code IS 'Why it is UNKNOWN or FAILED, for programs.';
COMMENT ON COLUMN payments.reason_iso_code IS 'Why, as an ISO 20022 reason; empty if none fits.';
COMMENT ON COLUMN payments.reason_message IS 'Why, for people.';
COMMENT ON COLUMN payments.sequence IS 'Counts its states; grows with each change.';
COMMENT ON COLUMN payments.created_at IS 'When it came to be. Immutable.';
COMMENT ON COLUMN payments.updated_at IS 'When its state last changed.';

CREATE TABLE deposits (
    id uuid PRIMARY KEY,
    participant_id text NOT NULL,
    request_id text NOT NULL,
    request_fingerprint bytea NOT NULL CHECK (length(request_fingerprint) = 32),
    account_id uuid NOT NULL REFERENCES accounts,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    bank_id text NOT NULL,
    reference text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT deposits_request_id_is_unique UNIQUE (participant_id, request_id)
);
COMMENT ON TABLE deposits IS 'Money that arrived and was booked. Immutable.';
COMMENT ON COLUMN deposits.id IS 'dep_… outside.';
COMMENT ON COLUMN deposits.participant_id IS 'Whose it is.';
COMMENT ON COLUMN deposits.request_id IS 'The caller''s id of the request that booked it.';
COMMENT ON COLUMN deposits.request_fingerprint IS 'A hash of that request''s normal form.';
COMMENT ON COLUMN deposits.account_id IS 'The credited account.';
COMMENT ON COLUMN deposits.amount IS 'Minor units.';
COMMENT ON COLUMN deposits.currency IS 'Of the amount (ISO 4217).';
COMMENT ON COLUMN deposits.bank_id IS 'At whose settlement account the money arrived.';
COMMENT ON COLUMN deposits.reference IS 'The arrival''s reference; empty if none.';
COMMENT ON COLUMN deposits.created_at IS 'When it was booked.';

CREATE TABLE transfers (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('POSTING', 'HOLD', 'HOLD_POSTED', 'HOLD_RELEASED')),
    payment_id uuid REFERENCES payments,
    deposit_id uuid REFERENCES deposits,
    hold_id uuid CONSTRAINT transfers_hold_ends_once UNIQUE REFERENCES transfers,
    debit_account uuid NOT NULL REFERENCES accounts,
    credit_account uuid NOT NULL REFERENCES accounts,
    amount bigint NOT NULL CHECK (amount > 0),
    created_at timestamptz NOT NULL,
    CONSTRAINT transfers_two_accounts CHECK (debit_account <> credit_account),
    CONSTRAINT transfers_one_cause CHECK (num_nonnulls(payment_id, deposit_id) = 1),
    CONSTRAINT transfers_end_a_hold CHECK ((kind IN ('HOLD_POSTED', 'HOLD_RELEASED')) = (hold_id IS NOT NULL))
);
CREATE INDEX transfers_of_debit_account ON transfers (debit_account, id);
CREATE INDEX transfers_of_credit_account ON transfers (credit_account, id);
COMMENT ON TABLE transfers IS 'Every movement and hold of money, double entry: one debit, one credit, one amount. Immutable.';
COMMENT ON COLUMN transfers.id IS 'tra_… outside. A payment''s first transfer has the payment''s number.';
COMMENT ON COLUMN transfers.kind IS 'POSTING moves at once; HOLD holds; HOLD_POSTED and HOLD_RELEASED end a hold.';
COMMENT ON COLUMN transfers.payment_id IS 'The payment that it belongs to, or null.';
COMMENT ON COLUMN transfers.deposit_id IS 'The deposit that it belongs to, or null.';
COMMENT ON COLUMN transfers.hold_id IS 'The hold that it ends, or null. A hold ends once.';
COMMENT ON COLUMN transfers.debit_account IS 'Who pays.';
COMMENT ON COLUMN transfers.credit_account IS 'Who is paid.';
COMMENT ON COLUMN transfers.amount IS 'Minor units of both accounts'' currency.';
COMMENT ON COLUMN transfers.created_at IS 'When it was booked.';

CREATE TABLE payment_events (
    payment_id uuid NOT NULL REFERENCES payments,
    sequence integer NOT NULL,
    state text NOT NULL,
    reason_code text,
    reason_iso_code text,
    bank_message_id text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (payment_id, sequence)
);
COMMENT ON TABLE payment_events IS 'Every step of every payment, written in the commit that made it. Immutable.';
COMMENT ON COLUMN payment_events.payment_id IS 'Whose step.';
COMMENT ON COLUMN payment_events.sequence IS 'The how-manieth.';
COMMENT ON COLUMN payment_events.state IS 'The state that it led to.';
COMMENT ON COLUMN payment_events.reason_code IS 'Why, for programs.';
COMMENT ON COLUMN payment_events.reason_iso_code IS 'Why, as an ISO 20022 reason.';
COMMENT ON COLUMN payment_events.bank_message_id IS 'The bank''s message that it follows from; empty if there is none.';
COMMENT ON COLUMN payment_events.created_at IS 'When.';

CREATE TABLE attempts (
    payment_id uuid NOT NULL REFERENCES payments,
    number integer NOT NULL CHECK (number >= 1),
    accept_time timestamptz NOT NULL,
    valid_until timestamptz NOT NULL CHECK (valid_until > accept_time),
    PRIMARY KEY (payment_id, number)
);
COMMENT ON TABLE attempts IS 'Instructions to banks, on record before a byte leaves. Immutable. The MsgId at the bank is the payment''s number and the attempt''s.';
COMMENT ON COLUMN attempts.payment_id IS 'The payment.';
COMMENT ON COLUMN attempts.number IS 'Counts the payment''s attempts; a new one only after a binding negative.';
COMMENT ON COLUMN attempts.accept_time IS 'When the bank''s clock for it started (AccptncDtTm).';
COMMENT ON COLUMN attempts.valid_until IS 'The bank refuses it after this time.';

CREATE TABLE dispatches (
    payment_id uuid PRIMARY KEY REFERENCES payments,
    bank_id text NOT NULL,
    due_at timestamptz NOT NULL,
    token bigint NOT NULL DEFAULT 1,
    tries integer NOT NULL DEFAULT 1
) WITH (fillfactor = 70);
CREATE INDEX dispatches_due ON dispatches (due_at);
COMMENT ON TABLE dispatches IS 'The queue of work: payments that a bank has still to answer for. Written in the commit of the hold, deleted in the commit that ends it.';
COMMENT ON COLUMN dispatches.payment_id IS 'The payment.';
COMMENT ON COLUMN dispatches.bank_id IS 'Its bank.';
COMMENT ON COLUMN dispatches.due_at IS 'When somebody may take it over: the end of the present lease, or of a pause. The database''s clock counts.';
COMMENT ON COLUMN dispatches.token IS 'Fencing token: grows with each lease; writes with an older one are refused.';
COMMENT ON COLUMN dispatches.tries IS 'How often it was taken.';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;
COMMENT ON FUNCTION refuse_change() IS 'Refuses what its trigger fires on.';

CREATE TRIGGER transfers_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
    EXECUTE FUNCTION refuse_change('transfers never change');
CREATE TRIGGER payment_events_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_events
    EXECUTE FUNCTION refuse_change('events never change');
CREATE TRIGGER attempts_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON attempts
    EXECUTE FUNCTION refuse_change('attempts never change');
CREATE TRIGGER deposits_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON deposits
    EXECUTE FUNCTION refuse_change('deposits never change');
CREATE TRIGGER payments_permanent BEFORE DELETE OR TRUNCATE ON payments
    EXECUTE FUNCTION refuse_change('payments stay');
CREATE TRIGGER accounts_permanent BEFORE DELETE OR TRUNCATE ON accounts
    EXECUTE FUNCTION refuse_change('accounts stay');

-- The same table of transitions as platform/src/domain/payment.rs.
CREATE TRIGGER payments_only_legal_changes BEFORE UPDATE ON payments FOR EACH ROW
    WHEN (NOT (
        (OLD.state, NEW.state) IN (
            ('SUBMITTED', 'UNKNOWN'), ('SUBMITTED', 'SUCCEEDED'), ('SUBMITTED', 'FAILED'),
            ('UNKNOWN', 'SUCCEEDED'), ('UNKNOWN', 'FAILED')
        )
        AND NEW.sequence > OLD.sequence
    ))
    EXECUTE FUNCTION refuse_change('a payment''s state only goes on, and a final one never changes');
CREATE TRIGGER payments_identity_immutable BEFORE UPDATE OF
    id, participant_id, request_id, request_fingerprint, payer_account, credit_account, payee, amount, currency,
    remittance_information, end_to_end_id, metadata, bank_id, uetr, created_at ON payments
    EXECUTE FUNCTION refuse_change('what was asked for never changes');
CREATE TRIGGER accounts_identity_immutable BEFORE UPDATE OF
    id, participant_id, request_id, request_fingerprint, currency, bank_id, may_overdraw, created_at ON accounts
    EXECUTE FUNCTION refuse_change('an account''s identity never changes');

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
GRANT INSERT ON participants, accounts, payments, deposits, transfers, payment_events, attempts, dispatches TO rialto_platform;
GRANT UPDATE (display_name, iban, debits_pending, debits_posted, credits_pending, credits_posted, closed_at)
    ON accounts TO rialto_platform;
GRANT UPDATE (state, reason_code, reason_iso_code, reason_message, sequence, updated_at) ON payments TO rialto_platform;
GRANT UPDATE (due_at, token, tries), DELETE ON dispatches TO rialto_platform;
