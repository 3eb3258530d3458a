-- The schema as the application has it in production.
CREATE TABLE customer (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email      text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE purchase (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customer ON DELETE CASCADE,
  placed_at   timestamptz NOT NULL DEFAULT now(),
  total       numeric(12, 2) NOT NULL CHECK (total >= 0)
);
CREATE INDEX purchase_customer_id_placed_at_idx ON purchase (customer_id, placed_at);
CREATE VIEW recent_purchase AS SELECT * FROM purchase WHERE placed_at > now() - interval '1 day';
