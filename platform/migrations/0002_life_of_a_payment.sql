-- Authorizations and their captures, refunds, payments that wait for their bank, alarms, and what operators resolve.
-- New columns are null or constant for a payment that is paid at once, so that it costs what it did.

ALTER TABLE payments
    ADD COLUMN kind text NOT NULL DEFAULT 'PAYMENT'
        CHECK (kind IN ('PAYMENT', 'AUTHORIZATION', 'CAPTURE', 'REFUND', 'RETURN')),
    ADD COLUMN original_id uuid REFERENCES payments,
    ADD COLUMN held bigint CHECK (held >= 0),
    ADD COLUMN hold_id uuid REFERENCES transfers,
    ADD COLUMN capturing bigint CHECK (capturing >= 0),
    ADD COLUMN captured bigint CHECK (captured >= 0),
    ADD COLUMN closing text CHECK (closing IN ('CANCELLED', 'EXPIRED')),
    ADD COLUMN expires_at timestamptz,
    DROP CONSTRAINT payments_state_check,
    DROP CONSTRAINT payments_reason_when_needed,
    ADD CONSTRAINT payments_state_check CHECK (state IN ('HELD', 'AUTHORIZED', 'SUBMITTED', 'UNKNOWN', 'INVESTIGATE',
        'SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED')),
    ADD CONSTRAINT payments_reason_when_needed
        CHECK ((state IN ('HELD', 'UNKNOWN', 'INVESTIGATE', 'FAILED')) = (reason_code IS NOT NULL)),
    ADD CONSTRAINT payments_belong_to_an_original
        CHECK ((kind IN ('CAPTURE', 'REFUND', 'RETURN')) = (original_id IS NOT NULL)),
    ADD CONSTRAINT payments_sums_of_authorizations
        CHECK (num_nonnulls(held, capturing, captured, expires_at) = CASE kind WHEN 'AUTHORIZATION' THEN 4 ELSE 0 END),
    ADD CONSTRAINT payments_captured_at_most_once CHECK (held + capturing + captured <= amount),
    ADD CONSTRAINT payments_hold_what_is_held CHECK ((coalesce(held, 0) > 0) = (hold_id IS NOT NULL));
CREATE INDEX payments_of_original ON payments (original_id, id) WHERE original_id IS NOT NULL;
COMMENT ON COLUMN payments.kind IS 'PAYMENT pays at once; AUTHORIZATION holds what CAPTUREs pay; REFUND gives back; RETURN takes back what a bank paid late. Immutable.';
COMMENT ON COLUMN payments.original_id IS 'The payment that it captures, refunds or takes back. Immutable.';
COMMENT ON COLUMN payments.held IS 'Of an authorization: minor units that can be captured.';
COMMENT ON COLUMN payments.hold_id IS 'The transfer that holds them.';
COMMENT ON COLUMN payments.capturing IS 'Of an authorization: minor units of captures under way.';
COMMENT ON COLUMN payments.captured IS 'Of an authorization: minor units of captures that succeeded.';
COMMENT ON COLUMN payments.closing IS 'Of an authorization that takes no more captures: how it ends if there was none.';
COMMENT ON COLUMN payments.expires_at IS 'Of an authorization: when what is held is released. Immutable.';

-- The same table of transitions as platform/src/domain/payment/state.rs.
DROP TRIGGER payments_only_legal_changes ON payments;
CREATE TRIGGER payments_only_legal_changes BEFORE UPDATE ON payments FOR EACH ROW
    WHEN (NOT (
        (OLD.state, NEW.state) IN (
            ('HELD', 'SUBMITTED'), ('HELD', 'CANCELLED'), ('HELD', 'INVESTIGATE'),
            ('AUTHORIZED', 'AUTHORIZED'), ('AUTHORIZED', 'SUCCEEDED'), ('AUTHORIZED', 'CANCELLED'), ('AUTHORIZED', 'EXPIRED'),
            ('SUBMITTED', 'HELD'), ('SUBMITTED', 'UNKNOWN'), ('SUBMITTED', 'INVESTIGATE'), ('SUBMITTED', 'SUCCEEDED'),
            ('SUBMITTED', 'FAILED'),
            ('UNKNOWN', 'HELD'), ('UNKNOWN', 'INVESTIGATE'), ('UNKNOWN', 'SUCCEEDED'), ('UNKNOWN', 'FAILED'),
            ('INVESTIGATE', 'SUCCEEDED'), ('INVESTIGATE', 'FAILED')
        )
        AND NEW.sequence > OLD.sequence
    ))
    EXECUTE FUNCTION refuse_change('a payment''s state only goes on, and a final one never changes');
DROP TRIGGER payments_identity_immutable ON payments;
CREATE TRIGGER payments_identity_immutable BEFORE UPDATE OF
    id, participant_id, request_id, request_fingerprint, payer_account, credit_account, payee, amount, currency,
    remittance_information, end_to_end_id, metadata, bank_id, uetr, created_at, kind, original_id, expires_at ON payments
    EXECUTE FUNCTION refuse_change('what was asked for never changes');

CREATE TABLE refundable (
    payment_id uuid PRIMARY KEY REFERENCES payments,
    amount bigint NOT NULL,
    refunded bigint NOT NULL,
    CONSTRAINT refundable_at_most_once CHECK (refunded BETWEEN 0 AND amount)
);
COMMENT ON TABLE refundable IS 'Payments and captures that refunds give back. Beside the payment, whose row is final.';
COMMENT ON COLUMN refundable.payment_id IS 'The payment or capture.';
COMMENT ON COLUMN refundable.amount IS 'Its amount, in minor units.';
COMMENT ON COLUMN refundable.refunded IS 'The sum of its refunds, those under way included.';

ALTER TABLE dispatches
    ADD COLUMN work text NOT NULL DEFAULT 'ENQUIRE' CHECK (work IN ('SEND', 'ENQUIRE', 'EXPIRE')),
    ADD COLUMN fruitless integer NOT NULL DEFAULT 0,
    ADD COLUMN is_overdue boolean NOT NULL DEFAULT false;
CREATE INDEX dispatches_due_by_bank ON dispatches (bank_id, work, due_at);
DROP INDEX dispatches_due;
COMMENT ON COLUMN dispatches.bank_id IS 'Its bank; empty for the house''s own work.';
COMMENT ON COLUMN dispatches.work IS 'What is to be done when it is due: make an attempt and SEND it, ENQUIRE, or EXPIRE an authorization.';
COMMENT ON COLUMN dispatches.fruitless IS 'How often it was taken since it last came to an end.';
COMMENT ON COLUMN dispatches.is_overdue IS 'Whether the alarm PAYMENT_OVERDUE was raised.';

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
CREATE TRIGGER alarms_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON alarms
    EXECUTE FUNCTION refuse_change('alarms never change');

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

ALTER TABLE accounts
    ADD COLUMN is_suspense boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT accounts_one_settlement_account,
    ADD CONSTRAINT accounts_one_settlement_account UNIQUE (bank_id, currency, is_suspense),
    ADD CONSTRAINT accounts_suspense_is_the_houses CHECK (NOT is_suspense OR bank_id IS NOT NULL);
COMMENT ON COLUMN accounts.is_suspense IS 'On an account with a bank: holds what the bank paid and nobody here has, until it is returned. Immutable.';
DROP TRIGGER accounts_identity_immutable ON accounts;
CREATE TRIGGER accounts_identity_immutable BEFORE UPDATE OF
    id, participant_id, request_id, request_fingerprint, currency, bank_id, may_overdraw, created_at, is_suspense ON accounts
    EXECUTE FUNCTION refuse_change('an account''s identity never changes');

GRANT SELECT ON refundable, alarms, resolutions TO rialto_platform;
GRANT INSERT ON refundable, alarms, resolutions TO rialto_platform;
GRANT UPDATE (refunded) ON refundable TO rialto_platform;
GRANT UPDATE (succeeded, evidence_reference, proposed_by, approved_by) ON resolutions TO rialto_platform;
GRANT UPDATE (held, hold_id, capturing, captured, closing) ON payments TO rialto_platform;
GRANT UPDATE (work, fruitless, is_overdue) ON dispatches TO rialto_platform;
