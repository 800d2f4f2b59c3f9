-- The log of events: the steps of all payments in the order of their commits. Each commit adds a row that has no place yet; what has
-- committed is then given places by one platform after the other, so that there is no gap, and nothing comes before what can be read already.
-- Numbers that are made before a commit would not do: whoever has read the larger of two would miss the smaller, if its commit comes later.

CREATE TABLE events_placed (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    next_position bigint NOT NULL DEFAULT 1
);
COMMENT ON TABLE events_placed IS 'One row: how far the log goes. Whoever gives places holds it until the commit.';
COMMENT ON COLUMN events_placed.singleton IS 'Keeps the table at one row.';
COMMENT ON COLUMN events_placed.next_position IS 'The place of the next event. Only grows.';
INSERT INTO events_placed DEFAULT VALUES;

CREATE TABLE event_log (
    -- Made once the locks of the commit are held, so that of two commits of which one waited for the other the later has the larger.
    number bigint GENERATED ALWAYS AS IDENTITY,
    payments uuid[] NOT NULL,
    sequences integer[] NOT NULL,
    position bigint,
    placed_at timestamptz,
    CONSTRAINT event_log_sound CHECK (cardinality(payments) > 0 AND cardinality(payments) = cardinality(sequences)
        AND (position IS NULL) = (placed_at IS NULL))
    -- Giving a place finds room on the row's own page, so that the log of writes has the place alone.
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX event_log_placed ON event_log (position) WHERE position IS NOT NULL;
CREATE INDEX event_log_waiting ON event_log (number) WHERE position IS NULL;
COMMENT ON TABLE event_log IS 'Which steps of payments each commit made (payment_events has them), and where they stand among all others.';
COMMENT ON COLUMN event_log.number IS 'The order in which commits that have no place yet get one. Immutable.';
COMMENT ON COLUMN event_log.payments IS 'The payments, one for each step, in the order of the steps. Immutable.';
COMMENT ON COLUMN event_log.sequences IS 'The how-manieth step of its payment each is. Immutable.';
COMMENT ON COLUMN event_log.position IS 'The place of the first step, the others follow; null while it has none. Never changes once it is given.';
COMMENT ON COLUMN event_log.placed_at IS 'When it was given, by the clock of the database. Never changes.';

CREATE TRIGGER event_log_immutable BEFORE UPDATE OF number, payments, sequences OR TRUNCATE ON event_log
    EXECUTE FUNCTION refuse_change('events never change');
CREATE TRIGGER event_log_placed_once AFTER UPDATE ON event_log FOR EACH ROW WHEN (OLD.position IS NOT NULL OR NEW.position IS NULL)
    EXECUTE FUNCTION refuse_change('an event keeps its place');
CREATE TRIGGER event_log_stays BEFORE DELETE ON event_log FOR EACH ROW
    WHEN (OLD.placed_at IS NULL OR OLD.placed_at > now() - interval '1 hour')
    EXECUTE FUNCTION refuse_change('those who read the log need it');
CREATE TRIGGER events_placed_only_grows BEFORE UPDATE ON events_placed FOR EACH ROW WHEN (NEW.next_position < OLD.next_position)
    EXECUTE FUNCTION refuse_change('places are given once');

GRANT SELECT ON events_placed, event_log TO rialto_platform;
GRANT INSERT (payments, sequences) ON event_log TO rialto_platform;
GRANT UPDATE (position, placed_at), DELETE ON event_log TO rialto_platform;
GRANT UPDATE (next_position) ON events_placed TO rialto_platform;

CREATE TABLE broker_published (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    up_to bigint NOT NULL,
    holder uuid,
    leased_until timestamptz,
    missed bigint NOT NULL DEFAULT 0,
    CONSTRAINT broker_published_sound CHECK ((holder IS NULL) = (leased_until IS NULL))
);
COMMENT ON TABLE broker_published IS 'One row: how far events have been published to the broker. There is none until somebody first publishes.';
COMMENT ON COLUMN broker_published.singleton IS 'Keeps the table at one row.';
COMMENT ON COLUMN broker_published.up_to IS 'The place of the last event that the broker has. Only grows.';
COMMENT ON COLUMN broker_published.holder IS 'The platform whose turn it is to publish; null while it is nobody''s.';
COMMENT ON COLUMN broker_published.leased_until IS 'Until when it is.';
COMMENT ON COLUMN broker_published.missed IS 'How many events the log had forgotten before the broker had them. Only grows.';

CREATE TRIGGER broker_published_only_grows BEFORE UPDATE ON broker_published FOR EACH ROW
    WHEN (NEW.up_to < OLD.up_to OR NEW.missed < OLD.missed)
    EXECUTE FUNCTION refuse_change('what the broker has it keeps');
CREATE TRIGGER broker_published_stays BEFORE DELETE OR TRUNCATE ON broker_published
    EXECUTE FUNCTION refuse_change('what the broker has it keeps');

GRANT SELECT, INSERT (up_to), UPDATE (up_to, holder, leased_until, missed) ON broker_published TO rialto_platform;
