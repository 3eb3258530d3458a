-- What the review asked for.
ALTER TABLE voucher ALTER COLUMN customer_id TYPE bigint;
ALTER TABLE purchase VALIDATE CONSTRAINT purchase_voucher_id_fkey;
DROP INDEX purchase_by_customer;
