-- What a payment costs to write down. The rules that the database holds stay; they are checked for a statement's rows together.

-- What was decided without locks is refused when something that it follows from has changed.
CREATE FUNCTION expect_rows(part text, written bigint, sent integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF written IS DISTINCT FROM sent THEN
        RAISE EXCEPTION '%: % of % rows; the others changed meanwhile', part, written, sent USING ERRCODE = 'serialization_failure';
    END IF;
END $$;
COMMENT ON FUNCTION expect_rows(text, bigint, integer) IS 'Undoes a statement a part of which did not write what it was sent.';

-- Foreign keys look up and lock one row at a time: a third of what a payment cost the database. Accounts, payments, deposits and
-- transfers are never deleted and never change their ids (see their triggers), so that a look when a row comes in is as good.
ALTER TABLE payments DROP CONSTRAINT payments_payer_account_fkey, DROP CONSTRAINT payments_credit_account_fkey;
ALTER TABLE transfers DROP CONSTRAINT transfers_payment_id_fkey, DROP CONSTRAINT transfers_deposit_id_fkey,
    DROP CONSTRAINT transfers_hold_id_fkey, DROP CONSTRAINT transfers_debit_account_fkey,
    DROP CONSTRAINT transfers_credit_account_fkey;
ALTER TABLE payment_events DROP CONSTRAINT payment_events_payment_id_fkey;
ALTER TABLE attempts DROP CONSTRAINT attempts_payment_id_fkey;
ALTER TABLE dispatches DROP CONSTRAINT dispatches_payment_id_fkey;

CREATE FUNCTION refuse_strays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE strays boolean;
BEGIN
    CASE TG_TABLE_NAME
        WHEN 'payments' THEN
            strays := EXISTS (SELECT FROM fresh f
                WHERE (SELECT count(*) FROM accounts a WHERE a.id IN (f.payer_account, f.credit_account)) <> 2);
        WHEN 'transfers' THEN
            -- A hold is ended whole: by the same payment, between the same accounts.
            strays := EXISTS (SELECT FROM fresh f
                WHERE (SELECT count(*) FROM accounts a WHERE a.id IN (f.debit_account, f.credit_account)) <> 2
                OR (SELECT count(*) FROM payments p WHERE p.id = f.payment_id) <> num_nonnulls(f.payment_id)
                OR (SELECT count(*) FROM deposits d WHERE d.id = f.deposit_id) <> num_nonnulls(f.deposit_id)
                OR (SELECT count(*) FROM transfers h WHERE h.id = f.hold_id AND h.kind = 'HOLD'
                    AND (h.payment_id, h.debit_account, h.credit_account, h.amount)
                      = (f.payment_id, f.debit_account, f.credit_account, f.amount)) <> num_nonnulls(f.hold_id));
        ELSE
            strays := EXISTS (SELECT FROM fresh f WHERE (SELECT count(*) FROM payments p WHERE p.id = f.payment_id) <> 1);
    END CASE;
    IF strays THEN
        RAISE EXCEPTION 'rows of % belong to nothing that there is', TG_TABLE_NAME USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION refuse_strays() IS 'Refuses rows that name accounts, payments, deposits or holds that do not exist.';
CREATE TRIGGER payments_refuse_strays AFTER INSERT ON payments REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_strays();
CREATE TRIGGER transfers_refuse_strays AFTER INSERT ON transfers REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_strays();
CREATE TRIGGER payment_events_refuse_strays AFTER INSERT ON payment_events REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_strays();
CREATE TRIGGER attempts_refuse_strays AFTER INSERT ON attempts REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_strays();
CREATE TRIGGER dispatches_refuse_strays AFTER INSERT ON dispatches REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_strays();

-- A payment's one or two updates find room on its own page, so that no index hears of them.
ALTER TABLE payments SET (fillfactor = 50);

-- Only transfers that end a hold need to be looked for by it.
ALTER TABLE transfers DROP CONSTRAINT transfers_hold_ends_once;
CREATE UNIQUE INDEX transfers_hold_ends_once ON transfers (hold_id) WHERE hold_id IS NOT NULL;
