-- Every account's sums are those of its transfers.
UPDATE accounts a SET debits_posted = s.debits, credits_posted = s.credits
FROM (
    SELECT id, sum(debit)::bigint AS debits, sum(credit)::bigint AS credits
    FROM (
        SELECT debit_account AS id, amount AS debit, 0 AS credit FROM transfers
        UNION ALL SELECT credit_account, 0, amount FROM transfers
    ) sides GROUP BY id
) s
WHERE a.id = s.id
