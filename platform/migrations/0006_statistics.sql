-- What the planner is to know of the tables that every payment makes longer. By default PostgreSQL draws 30,000 of their rows whenever a
-- tenth has changed, which is once a minute while they are small, and sorts every column of them: two seconds of a core.
-- Statements here find rows by index and with generic plans, so that a tenth of the rows is plenty, and what no index has is not
-- looked at: neither sums nor texts, and least of all arrays, which are counted element by element.
DO $$
DECLARE
    explained record;
BEGIN
    FOR explained IN
        SELECT a.attrelid::regclass AS name, a.attname AS column,
               CASE WHEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND a.attnum = ANY(i.indkey)) THEN 10 ELSE 0 END AS target
        FROM pg_attribute a
        WHERE a.attrelid IN ('payments'::regclass, 'payment_events'::regclass, 'transfers'::regclass, 'event_log'::regclass,
                             'webhook_deliveries'::regclass)
          AND a.attnum > 0 AND NOT a.attisdropped
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', explained.name, explained.column, explained.target);
    END LOOP;
END $$;
