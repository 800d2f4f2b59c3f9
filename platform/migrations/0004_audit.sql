-- The audit log: everything that was decided, as leaves of a Merkle tree (RFC 9162), sealed off the path of payments. What is a leaf and in
-- which order they stand follows from these tables and from audit_rows alone, so that anybody can compute the roots again.

CREATE TABLE audit_horizon (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    sealed_up_to uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);
COMMENT ON TABLE audit_horizon IS 'One row: up to where nothing new may come to be, so that it can be sealed.';
COMMENT ON COLUMN audit_horizon.singleton IS 'Keeps the table at one row.';
COMMENT ON COLUMN audit_horizon.sealed_up_to IS 'New payments, deposits, decisions on them, accounts, alarms, changes of limits and acts have greater numbers than this. Only grows.';
INSERT INTO audit_horizon DEFAULT VALUES;

CREATE TABLE audit_seals (
    size bigint PRIMARY KEY,
    first_leaf bigint NOT NULL UNIQUE,
    up_to uuid NOT NULL UNIQUE,
    late_payments uuid[] NOT NULL,
    late_sequences integer[] NOT NULL,
    unfinished_payments uuid[] NOT NULL,
    unfinished_sequences integer[] NOT NULL,
    peaks bytea NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT audit_seals_sound CHECK (first_leaf >= 0 AND size >= first_leaf AND octet_length(peaks) % 32 = 0
        AND cardinality(late_payments) = cardinality(late_sequences)
        AND cardinality(unfinished_payments) = cardinality(unfinished_sequences))
);
-- Rarely written, and few payments are late: what finds the leaf of a later step.
CREATE INDEX audit_seals_of_late_payments ON audit_seals USING gin (late_payments) WITH (fastupdate = off);
COMMENT ON TABLE audit_seals IS 'Stretches of the log: first the late steps as they are listed, then all of audit_rows behind the seal before up to up_to, by number and step, but for steps of unfinished payments behind the one that was sealed. Immutable.';
COMMENT ON COLUMN audit_seals.size IS 'How many leaves the log has with this seal.';
COMMENT ON COLUMN audit_seals.first_leaf IS 'How many it had before.';
COMMENT ON COLUMN audit_seals.up_to IS 'The last number that it seals.';
COMMENT ON COLUMN audit_seals.late_payments IS 'Payments that were sealed before they were over, and have gone on since: one entry for each step.';
COMMENT ON COLUMN audit_seals.late_sequences IS 'The step of each.';
COMMENT ON COLUMN audit_seals.unfinished_payments IS 'Payments of this stretch that were not over.';
COMMENT ON COLUMN audit_seals.unfinished_sequences IS 'The last step of each that is sealed here.';
COMMENT ON COLUMN audit_seals.peaks IS 'The hashes of the peaks of the log with this seal, left to right, 32 bytes each; folded they are its root.';
COMMENT ON COLUMN audit_seals.sealed_at IS 'When.';

CREATE TABLE audit_nodes (
    level smallint NOT NULL,
    index bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (level, index)
);
COMMENT ON TABLE audit_nodes IS 'The complete subtrees whose level is a multiple of 8, which proofs are made of. Immutable.';
COMMENT ON COLUMN audit_nodes.level IS 'How high: it spans 2^level leaves.';
COMMENT ON COLUMN audit_nodes.index IS 'The how-manieth of its level, from 0.';
COMMENT ON COLUMN audit_nodes.hash IS 'Its hash.';

CREATE TABLE audit_unfinished (
    payment_id uuid PRIMARY KEY,
    sealed integer NOT NULL
);
COMMENT ON TABLE audit_unfinished IS 'Payments that were not over when they were sealed, until they are.';
COMMENT ON COLUMN audit_unfinished.payment_id IS 'The payment.';
COMMENT ON COLUMN audit_unfinished.sealed IS 'Its last step that is sealed.';

CREATE TRIGGER audit_seals_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
    EXECUTE FUNCTION refuse_change('the audit log never changes');
CREATE TRIGGER audit_nodes_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_nodes
    EXECUTE FUNCTION refuse_change('the audit log never changes');
CREATE TRIGGER audit_horizon_only_grows BEFORE UPDATE ON audit_horizon FOR EACH ROW WHEN (NEW.sealed_up_to < OLD.sealed_up_to)
    EXECUTE FUNCTION refuse_change('what is sealed stays sealed');

-- For payments refuse_strays looks. A deposit that is decided on gets a second number.
CREATE FUNCTION refuse_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE is_sealed boolean;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        is_sealed := EXISTS (SELECT FROM fresh f WHERE f.decision_id <= (SELECT h.sealed_up_to FROM audit_horizon h));
    ELSE
        is_sealed := EXISTS (SELECT FROM fresh f WHERE f.id <= (SELECT h.sealed_up_to FROM audit_horizon h));
    END IF;
    IF is_sealed THEN
        RAISE EXCEPTION 'a new row of % has a number that is sealed: the clock of who made it is late', TG_TABLE_NAME
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION refuse_sealed() IS 'Refuses new rows with numbers up to which the audit log is sealed.';
CREATE TRIGGER accounts_refuse_sealed AFTER INSERT ON accounts REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_sealed();
CREATE TRIGGER deposits_refuse_sealed AFTER INSERT ON deposits REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_sealed();
CREATE TRIGGER limit_changes_refuse_sealed AFTER INSERT ON limit_changes REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_sealed();
CREATE TRIGGER deposits_refuse_sealed_decisions AFTER UPDATE ON deposits REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_sealed();
CREATE TRIGGER identity_acts_refuse_sealed AFTER INSERT ON identity_acts REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_sealed();
CREATE TRIGGER resolution_acts_refuse_sealed AFTER INSERT ON resolution_acts REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_sealed();
CREATE TRIGGER webhook_acts_refuse_sealed AFTER INSERT ON webhook_acts REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_sealed();
CREATE TRIGGER alarms_refuse_sealed AFTER INSERT ON alarms REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_sealed();

-- Each column by its name, since a leaf must stay the same to the last byte when tables get further ones; times without a zone, which the
-- connection would choose. Steps but the first say nothing of the payment but its number. What a payment says of people is encrypted, and
-- the platform adds it to the leaf, with the salt that keeps its hash from being guessed (platform/src/store/audit/leaf.rs).
CREATE VIEW audit_rows (id, sequence, leaf, is_over, personal) AS
    SELECT e.payment_id, e.sequence,
        CASE e.sequence WHEN 1 THEN row_to_json(payment_body)::text ELSE row_to_json(step_body)::text END,
        p.state IN ('SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED') AND p.sequence = e.sequence,
        CASE e.sequence WHEN 1 THEN p.personal END
    -- Looked up for each step, which OFFSET makes sure of: as a join it would be one of all steps with all payments, since what is here
    -- or in the archive has no index of its own.
    FROM all_payment_events e CROSS JOIN LATERAL (SELECT * FROM all_payments a WHERE a.id = e.payment_id OFFSET 0) AS p
    CROSS JOIN LATERAL (SELECT 'STEP' AS kind, e.payment_id AS payment, e.sequence AS step, e.state,
        e.created_at AT TIME ZONE 'UTC' AS at, e.valid_until AT TIME ZONE 'UTC' AS valid_until, e.reason_code, e.reason_iso_code,
        e.bank_message_id) AS step_body
    CROSS JOIN LATERAL (SELECT 'PAYMENT' AS kind, e.payment_id AS payment, e.sequence AS step, e.state,
        e.created_at AT TIME ZONE 'UTC' AS at, e.valid_until AT TIME ZONE 'UTC' AS valid_until, e.reason_code, e.reason_iso_code,
        e.bank_message_id, p.kind AS payment_kind, p.participant_id AS participant, p.request_id, p.request_fingerprint, p.uetr,
        p.payer_account, p.credit_account, p.amount, p.currency, p.payee_account, p.payee_bank_id, p.payee_bic, p.bank_id, p.original_id,
        p.expires_at AT TIME ZONE 'UTC' AS expires_at) AS payment_body
    UNION ALL
    SELECT d.id, 1, row_to_json(deposit_body)::text, true, NULL FROM deposits d
    CROSS JOIN LATERAL (SELECT 'DEPOSIT' AS kind, d.id AS deposit, d.participant_id AS participant, d.request_id, d.request_fingerprint,
        d.account_id AS account, d.settlement_account, d.amount, d.currency, d.bank_id, d.reference, d.proposed_by,
        d.created_at AT TIME ZONE 'UTC' AS at, d.expires_at AT TIME ZONE 'UTC' AS expires_at) AS deposit_body
    UNION ALL
    SELECT d.decision_id, 1, row_to_json(decision_body)::text, true, NULL FROM deposits d
    CROSS JOIN LATERAL (SELECT 'DEPOSIT_DECISION' AS kind, d.decision_id AS decision, d.id AS deposit, d.state, d.decided_by,
        d.decided_at AT TIME ZONE 'UTC' AS at, d.reject_reason, d.amount, d.currency) AS decision_body
    WHERE d.decision_id IS NOT NULL
    UNION ALL
    SELECT a.id, 1, row_to_json(account_body)::text, true, NULL FROM accounts a
    CROSS JOIN LATERAL (SELECT 'ACCOUNT' AS kind, a.id AS account, a.participant_id AS participant, a.request_id, a.request_fingerprint,
        a.currency, a.bank_id, a.is_suspense, a.may_overdraw, a.created_at AT TIME ZONE 'UTC' AS at) AS account_body
    UNION ALL
    SELECT l.id, 1, row_to_json(alarm_body)::text, true, NULL FROM alarms l
    CROSS JOIN LATERAL (SELECT 'ALARM' AS kind, l.id AS alarm, l.kind AS alarm_kind, l.payment_id AS payment, l.detail,
        l.created_at AT TIME ZONE 'UTC' AS at) AS alarm_body
    UNION ALL
    SELECT c.id, 1, row_to_json(limits_body)::text, true, NULL FROM limit_changes c JOIN limits t USING (subject)
    CROSS JOIN LATERAL (SELECT 'LIMITS' AS kind, c.id AS change, t.account_id AS account, t.participant_id AS participant, t.currency,
        c.max_payment, c.max_unsigned_payment, c.max_hour_amount, c.max_hour_count, c.max_day_amount, c.max_day_count, c.by_participant, c.by_credential,
        c.created_at AT TIME ZONE 'UTC' AS at) AS limits_body
    UNION ALL
    SELECT r.id, 1, row_to_json(resolution_body)::text, true, NULL FROM resolution_acts r
    CROSS JOIN LATERAL (SELECT 'RESOLUTION_ACT' AS kind, r.id AS act, r.payment_id AS payment, r.is_approval, r.succeeded,
        r.evidence_reference, r.by_credential, r.created_at AT TIME ZONE 'UTC' AS at) AS resolution_body
    UNION ALL
    SELECT w.id, 1, row_to_json(webhook_body)::text, true, NULL FROM webhook_acts w
    CROSS JOIN LATERAL (SELECT 'WEBHOOK_ACT' AS kind, w.id AS act, w.endpoint_id AS endpoint, w.act AS done, w.url_hash, w.states,
        w.is_disabled, w.by_participant, w.by_credential, w.created_at AT TIME ZONE 'UTC' AS at) AS webhook_body
    UNION ALL
    -- With what never changes of the key, so that no key can be given other roles or another owner unseen.
    SELECT i.id, 1, row_to_json(act_body)::text, true, NULL FROM identity_acts i LEFT JOIN api_keys k ON k.id = i.api_key_id
    CROSS JOIN LATERAL (SELECT 'IDENTITY_ACT' AS kind, i.id AS act, i.number, i.act AS done, i.participant_id AS participant,
        i.by_participant, i.by_credential, i.created_at AT TIME ZONE 'UTC' AS at, i.api_key_id AS api_key,
        k.participant_id AS key_participant, encode(k.hash, 'hex') AS key_hash, k.roles, k.label, k.credential, k.replaces,
        encode(k.verification_key, 'hex') AS verification_key) AS act_body;
COMMENT ON VIEW audit_rows IS 'What there is to seal: each thing that was decided by its number and step, as the text of its leaf, whether nothing more follows of it, and what is to be decrypted and added to the text.';

GRANT SELECT ON audit_horizon, audit_seals, audit_nodes, audit_unfinished, audit_rows TO rialto_platform;
GRANT INSERT ON audit_seals, audit_nodes, audit_unfinished TO rialto_platform;
GRANT UPDATE (sealed_up_to) ON audit_horizon TO rialto_platform;
GRANT UPDATE (sealed), DELETE ON audit_unfinished TO rialto_platform;
