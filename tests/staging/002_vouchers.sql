-- A migration under review. Nobody saw that the customer's number has another type here, that the
-- constraint was never validated, and that the second index is there already.
CREATE TABLE voucher (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id integer NOT NULL REFERENCES customer,
  code        text NOT NULL UNIQUE
);
CREATE INDEX voucher_customer_id_idx ON voucher (customer_id);
ALTER TABLE purchase ADD COLUMN voucher_id bigint;
ALTER TABLE purchase ADD CONSTRAINT purchase_voucher_id_fkey
  FOREIGN KEY (voucher_id) REFERENCES voucher NOT VALID;
CREATE INDEX purchase_voucher_id_idx ON purchase (voucher_id);
CREATE INDEX purchase_by_customer ON purchase (customer_id, placed_at);
