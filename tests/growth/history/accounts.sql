-- Accounts, each with its how-manieth it is, its time, its number and what is encrypted for it: copied from the one that a caller opened, each with a deposit like its own.
WITH opened AS (
    INSERT INTO accounts (id, participant_id, request_id, request_fingerprint, personal, currency, created_at)
    SELECT m.id, a.participant_id, 'stored-' || m.n, gen_random_uuid(), m.personal, a.currency, m.at
    FROM accounts a, unnest($1::bigint[], $2::timestamptz[], $3::uuid[], $4::bytea[]) AS m (n, at, id, personal)
    WHERE a.bank_id IS NULL
    RETURNING *
), deposited AS (
    INSERT INTO deposits (id, participant_id, request_id, request_fingerprint, account_id, settlement_account, amount, currency, bank_id,
        reference, proposed_by, created_at, expires_at, state, decision_id, decided_by, decided_at)
    SELECT pg_temp.uuid_v7(o.created_at), o.participant_id, o.request_id, gen_random_uuid(), o.id, d.settlement_account, d.amount, d.currency,
        d.bank_id, d.reference, d.proposed_by, o.created_at, o.created_at + (d.expires_at - d.created_at), d.state,
        pg_temp.uuid_v7(o.created_at), d.decided_by, o.created_at
    FROM opened o, deposits d
    RETURNING *
)
INSERT INTO transfers (id, debit_account, credit_account, amount, created_at, is_deposit, credit_is_house)
SELECT d.id, t.debit_account, d.account_id, d.amount, d.created_at, true, false
FROM deposited d, transfers t WHERE t.is_deposit
