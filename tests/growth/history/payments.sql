-- Payments, each with the how-manieth it is, its time, its number and what is encrypted for it ($1 to $4), from $5 accounts to $6 banks; one
-- in fifty was refused by its bank.
WITH drawn AS MATERIALIZED (
    SELECT n, at, id, personal, 1 + floor(random() * $5::bigint)::bigint AS payer, n % $6::bigint AS bank, n % 50 = 0 AS is_refused
    FROM unnest($1::bigint[], $2::timestamptz[], $3::uuid[], $4::bytea[]) AS m (n, at, id, personal)
), stored AS (
    INSERT INTO payments (id, request_key, request_fingerprint, uetr, payer_account, credit_account, amount, created_at, updated_at,
        sequence, state, participant_id, request_id, currency, personal, payee_bank_id, payee_bic, bank_id, reason_code, reason_iso_code,
        first_valid_until, bank_message_id)
    SELECT d.id, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), a.id, p.credit_account, p.amount, d.at,
        d.at + (p.updated_at - p.created_at), p.sequence, CASE WHEN is_refused THEN 'FAILED' ELSE p.state END, p.participant_id,
        'stored-' || d.n, p.currency, d.personal, p.payee_bank_id, p.payee_bic, p.bank_id, CASE WHEN is_refused THEN 'REJECTED_BY_BANK' END,
        CASE WHEN is_refused THEN 'AC04' END, d.at + (p.first_valid_until - p.created_at), p.bank_message_id
    FROM drawn d JOIN pg_temp.payers a ON a.n = d.payer JOIN pg_temp.paid p ON p.bank = d.bank
    ORDER BY d.n
    RETURNING *
)
INSERT INTO transfers (id, debit_account, credit_account, amount, created_at, is_deposit, credit_is_house)
SELECT id, payer_account, credit_account, amount, updated_at, false, true FROM stored WHERE state = 'SUCCEEDED'
