-- Webhooks: URLs of participants that are told what happens, and what is on its way to them. The events themselves are not copied: what is
-- posted is read from payments and their steps, which never change, whenever it is posted.

CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    participant_id text NOT NULL REFERENCES participants,
    request_id text NOT NULL,
    request_fingerprint uuid NOT NULL,
    confidential bytea NOT NULL,
    url_hash uuid NOT NULL,
    states payment_state[] NOT NULL,
    hears_behind bigint NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL CHECK (created_by <> ''),
    rotation_id text,
    overlap_ends_at timestamptz,
    disabled_at timestamptz,
    disabled_because text CHECK (disabled_because IN ('OPERATOR', 'GONE')),
    deleted_at timestamptz,
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    resumes_at timestamptz NOT NULL DEFAULT now(),
    served_at timestamptz NOT NULL DEFAULT now(),
    replayed_up_to bigint,
    replays_up_to bigint,
    CONSTRAINT webhook_endpoints_request_is_unique UNIQUE (participant_id, request_id),
    CONSTRAINT webhook_endpoints_sound CHECK ((disabled_at IS NULL) = (disabled_because IS NULL)
        AND (replayed_up_to IS NULL) = (replays_up_to IS NULL))
);
CREATE UNIQUE INDEX webhook_endpoints_url_is_unique ON webhook_endpoints (participant_id, url_hash) WHERE deleted_at IS NULL;
CREATE INDEX webhook_endpoints_of_participant ON webhook_endpoints (participant_id, id) WHERE deleted_at IS NULL;
CREATE INDEX webhook_endpoints_by_turn ON webhook_endpoints (served_at) WHERE disabled_at IS NULL AND deleted_at IS NULL;
CREATE INDEX webhook_endpoints_replaying ON webhook_endpoints (id) WHERE replays_up_to IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX webhook_endpoints_deleted ON webhook_endpoints (id) WHERE deleted_at IS NOT NULL;
COMMENT ON TABLE webhook_endpoints IS 'URLs of participants that are told what happens to payments. A deleted one stays on record.';
COMMENT ON COLUMN webhook_endpoints.id IS 'we_… outside. Immutable.';
COMMENT ON COLUMN webhook_endpoints.participant_id IS 'Whose it is. Immutable.';
COMMENT ON COLUMN webhook_endpoints.request_id IS 'The id of the request that made it. Immutable.';
COMMENT ON COLUMN webhook_endpoints.request_fingerprint IS 'A hash of that request. Immutable.';
COMMENT ON COLUMN webhook_endpoints.confidential IS 'The URL, the secrets and the keys, encrypted under the data keys.';
COMMENT ON COLUMN webhook_endpoints.url_hash IS 'A hash of the URL under the key of look-ups, so that a participant has no URL twice.';
COMMENT ON COLUMN webhook_endpoints.states IS 'To which states steps are told; none for any.';
COMMENT ON COLUMN webhook_endpoints.hears_behind IS 'The end of the log of events when it was made: it hears of what follows. Immutable.';
COMMENT ON COLUMN webhook_endpoints.created_at IS 'When it was made. Immutable.';
COMMENT ON COLUMN webhook_endpoints.created_by IS 'The credential that asked for it. Immutable.';
COMMENT ON COLUMN webhook_endpoints.rotation_id IS 'The id of the last request for other secrets.';
COMMENT ON COLUMN webhook_endpoints.overlap_ends_at IS 'Until when those before sign as well.';
COMMENT ON COLUMN webhook_endpoints.disabled_at IS 'Since when nothing is posted and nothing more is queued.';
COMMENT ON COLUMN webhook_endpoints.disabled_because IS 'Who wanted it so: an operator, or the receiver, which answered 410.';
COMMENT ON COLUMN webhook_endpoints.deleted_at IS 'Since when it is no more. Never changes once it is set.';
COMMENT ON COLUMN webhook_endpoints.failures IS 'Attempts in a row that failed. While it is not zero, one delivery is under way at a time.';
COMMENT ON COLUMN webhook_endpoints.resumes_at IS 'Before then nothing is posted: it failed, or asked for a rest.';
COMMENT ON COLUMN webhook_endpoints.served_at IS 'When deliveries were last taken over: whoever waited longest comes first.';
COMMENT ON COLUMN webhook_endpoints.replayed_up_to IS 'How far a replay has come in the log of events; null without one.';
COMMENT ON COLUMN webhook_endpoints.replays_up_to IS 'Where it ends.';

CREATE TABLE webhook_acts (
    id uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints,
    act text NOT NULL CHECK (act IN ('CREATE', 'UPDATE', 'ROTATE', 'REPLAY', 'DELETE')),
    url_hash uuid NOT NULL,
    states payment_state[] NOT NULL,
    is_disabled boolean NOT NULL,
    by_participant text NOT NULL,
    by_credential text NOT NULL CHECK (by_credential <> ''),
    created_at timestamptz NOT NULL
);
CREATE INDEX webhook_acts_of_endpoint ON webhook_acts (endpoint_id, id);
COMMENT ON TABLE webhook_acts IS 'Who had what become of which endpoint, written in the commit that did it. Immutable.';
COMMENT ON COLUMN webhook_acts.id IS 'Its number in the audit log.';
COMMENT ON COLUMN webhook_acts.endpoint_id IS 'Which endpoint.';
COMMENT ON COLUMN webhook_acts.act IS 'What was done. REPLAY begins one.';
COMMENT ON COLUMN webhook_acts.url_hash IS 'As in webhook_endpoints, from then on.';
COMMENT ON COLUMN webhook_acts.states IS 'As in webhook_endpoints, from then on.';
COMMENT ON COLUMN webhook_acts.is_disabled IS 'Whether nothing is posted from then on.';
COMMENT ON COLUMN webhook_acts.by_participant IS 'The participant whose operator did it.';
COMMENT ON COLUMN webhook_acts.by_credential IS 'The operator''s credential.';
COMMENT ON COLUMN webhook_acts.created_at IS 'When.';

CREATE TYPE webhook_delivery_state AS ENUM ('WAITING', 'DUE', 'DELIVERED', 'GIVEN_UP');
COMMENT ON TYPE webhook_delivery_state IS 'WAITING: another step of the payment comes first; DUE: to be posted, or being posted; the others are ends.';

CREATE TABLE webhook_deliveries (
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints,
    position bigint NOT NULL,
    payment_id uuid NOT NULL,
    sequence integer NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now(),
    state webhook_delivery_state NOT NULL,
    due_at timestamptz NOT NULL DEFAULT now(),
    token bigint NOT NULL DEFAULT 0,
    leased_until timestamptz,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    attempted_at timestamptz,
    status smallint CHECK (status BETWEEN 100 AND 999),
    outcome text CHECK (outcome IN ('DELIVERED', 'STATUS', 'TIMED_OUT', 'NOT_CONNECTED', 'NOT_TRUSTED', 'NO_ADDRESS', 'ADDRESS_REFUSED',
        'BAD_ANSWER', 'UNREADABLE')),
    PRIMARY KEY (endpoint_id, position),
    CONSTRAINT webhook_deliveries_once UNIQUE (endpoint_id, payment_id, sequence),
    CONSTRAINT webhook_deliveries_leased_while_due CHECK (leased_until IS NULL OR state = 'DUE')
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at, position) WHERE state = 'DUE';
CREATE UNIQUE INDEX webhook_deliveries_one_step_at_a_time ON webhook_deliveries (endpoint_id, payment_id) WHERE state = 'DUE';
CREATE INDEX webhook_deliveries_leased ON webhook_deliveries (endpoint_id) WHERE leased_until IS NOT NULL;
CREATE INDEX webhook_deliveries_over ON webhook_deliveries (queued_at) WHERE state IN ('DELIVERED', 'GIVEN_UP');
COMMENT ON TABLE webhook_deliveries IS 'What is, or was lately, on its way to an endpoint: one row for each event.';
COMMENT ON COLUMN webhook_deliveries.endpoint_id IS 'To whom. Immutable.';
COMMENT ON COLUMN webhook_deliveries.position IS 'The event''s place in the log of events. Immutable.';
COMMENT ON COLUMN webhook_deliveries.payment_id IS 'The payment. Immutable.';
COMMENT ON COLUMN webhook_deliveries.sequence IS 'The how-manieth step of it. Immutable.';
COMMENT ON COLUMN webhook_deliveries.queued_at IS 'When it was (last) queued.';
COMMENT ON COLUMN webhook_deliveries.state IS 'Where it is.';
COMMENT ON COLUMN webhook_deliveries.due_at IS 'When it is to be posted; while it is being posted, when it is to be posted again if nobody says what came of it.';
COMMENT ON COLUMN webhook_deliveries.token IS 'The how-manieth turn it is: whoever had an earlier one changes nothing any more.';
COMMENT ON COLUMN webhook_deliveries.leased_until IS 'Until when whoever has the turn has it; null while nobody has.';
COMMENT ON COLUMN webhook_deliveries.attempts IS 'How many attempts have ended since it was last queued.';
COMMENT ON COLUMN webhook_deliveries.attempted_at IS 'When the last one ended.';
COMMENT ON COLUMN webhook_deliveries.status IS 'What the receiver last answered (HTTP).';
COMMENT ON COLUMN webhook_deliveries.outcome IS 'What the last attempt came to.';

CREATE TABLE webhooks_queued (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    up_to bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE webhooks_queued IS 'One row: how far events have been queued for endpoints. Whoever queues holds it until the commit.';
COMMENT ON COLUMN webhooks_queued.singleton IS 'Keeps the table at one row.';
COMMENT ON COLUMN webhooks_queued.up_to IS 'The place of the last event that was. Only grows.';
INSERT INTO webhooks_queued (up_to) SELECT next_position - 1 FROM events_placed;

CREATE TRIGGER webhook_endpoints_permanent BEFORE DELETE OR TRUNCATE ON webhook_endpoints
    EXECUTE FUNCTION refuse_change('endpoints stay on record');
CREATE TRIGGER webhook_endpoints_identity_immutable BEFORE UPDATE OF
    id, participant_id, request_id, request_fingerprint, hears_behind, created_at, created_by ON webhook_endpoints
    EXECUTE FUNCTION refuse_change('what an endpoint is never changes');
CREATE TRIGGER webhook_endpoints_end_once BEFORE UPDATE ON webhook_endpoints FOR EACH ROW
    WHEN (OLD.deleted_at IS NOT NULL AND NEW IS DISTINCT FROM OLD)
    EXECUTE FUNCTION refuse_change('an endpoint ends once');
CREATE TRIGGER webhook_acts_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON webhook_acts
    EXECUTE FUNCTION refuse_change('acts never change');
CREATE TRIGGER webhook_deliveries_identity_immutable BEFORE UPDATE OF endpoint_id, position, payment_id, sequence OR TRUNCATE ON webhook_deliveries
    EXECUTE FUNCTION refuse_change('what is delivered never changes');
CREATE TRIGGER webhook_deliveries_turns_only_grow BEFORE UPDATE ON webhook_deliveries FOR EACH ROW WHEN (NEW.token < OLD.token)
    EXECUTE FUNCTION refuse_change('a turn does not come twice');
CREATE TRIGGER webhooks_queued_only_grows BEFORE UPDATE ON webhooks_queued FOR EACH ROW WHEN (NEW.up_to < OLD.up_to)
    EXECUTE FUNCTION refuse_change('events are queued once');

CREATE FUNCTION keep_unqueued_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM forgotten f, webhooks_queued q WHERE f.position + cardinality(f.payments) - 1 > q.up_to) THEN
        RAISE EXCEPTION '% on % is refused: endpoints have not been told', TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION keep_unqueued_events() IS 'Keeps what is in the log of events until it is queued for endpoints.';
CREATE TRIGGER event_log_stays_until_queued AFTER DELETE ON event_log REFERENCING OLD TABLE AS forgotten
    FOR EACH STATEMENT EXECUTE FUNCTION keep_unqueued_events();

CREATE FUNCTION keep_open_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM forgotten f JOIN webhook_endpoints e ON e.id = f.endpoint_id
        WHERE f.state IN ('WAITING', 'DUE') AND e.deleted_at IS NULL) THEN
        RAISE EXCEPTION '% on % is refused: it is still to be delivered', TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION keep_open_deliveries() IS 'Keeps what is still to be delivered.';
CREATE TRIGGER webhook_deliveries_stay_until_over AFTER DELETE ON webhook_deliveries REFERENCING OLD TABLE AS forgotten
    FOR EACH STATEMENT EXECUTE FUNCTION keep_open_deliveries();

GRANT SELECT ON webhook_endpoints, webhook_acts, webhook_deliveries, webhooks_queued TO rialto_platform;
GRANT INSERT ON webhook_endpoints, webhook_acts, webhook_deliveries TO rialto_platform;
GRANT UPDATE (confidential, url_hash, states, rotation_id, overlap_ends_at, disabled_at, disabled_because, deleted_at, failures, resumes_at,
    served_at, replayed_up_to, replays_up_to) ON webhook_endpoints TO rialto_platform;
GRANT UPDATE (queued_at, state, due_at, token, leased_until, attempts, attempted_at, status, outcome), DELETE ON webhook_deliveries TO rialto_platform;
GRANT UPDATE (up_to) ON webhooks_queued TO rialto_platform;
