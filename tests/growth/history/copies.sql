-- What payments are copied from: those that were really paid, one at each bank.
CREATE TEMP TABLE paid AS SELECT row_number() OVER (ORDER BY id) - 1 AS bank, p.* FROM payments p;
ANALYZE paid;

-- As the platform makes its ids: the milliseconds first, the rest random.
CREATE FUNCTION pg_temp.uuid_v7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT overlay(replace(gen_random_uuid()::text, '-', '')
        PLACING lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' FROM 1)::uuid
$$;
