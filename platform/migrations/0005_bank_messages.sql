-- What banks said about payments, where it was not just that they did what they were asked: for people who look into one.

-- Without a foreign key, since payments go to the archive meanwhile.
CREATE TABLE bank_messages (
    id uuid PRIMARY KEY,
    payment_id uuid NOT NULL,
    sequence integer NOT NULL CHECK (sequence >= 0),
    body bytea NOT NULL,
    UNIQUE (payment_id, sequence)
);
COMMENT ON TABLE bank_messages IS 'Messages of banks that a step or an alarm follows from, other than the acceptance of an instruction; forgotten after --keep-bank-messages.';
COMMENT ON COLUMN bank_messages.id IS 'Ordered by time. Immutable.';
COMMENT ON COLUMN bank_messages.payment_id IS 'About which payment. Immutable.';
COMMENT ON COLUMN bank_messages.sequence IS 'The step that follows from it; 0 for the first that came when the books were closed. Immutable.';
COMMENT ON COLUMN bank_messages.body IS 'Its bytes, at most 16 KiB of them, encrypted. Immutable.';
GRANT SELECT, INSERT, DELETE ON bank_messages TO rialto_platform;
