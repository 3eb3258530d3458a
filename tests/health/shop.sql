-- A shop of moderate size: customers, a catalogue, orders, payments.
CREATE TABLE customer (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email      text NOT NULL UNIQUE,
  name       text NOT NULL,
  phone      text,
  joined_at  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE address (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customer ON DELETE CASCADE,
  lines       text NOT NULL,
  country     text NOT NULL DEFAULT 'AT'
);
CREATE INDEX address_customer_id_idx ON address (customer_id);
CREATE TABLE category (
  id        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  parent_id integer REFERENCES category,
  name      text NOT NULL UNIQUE
);
CREATE INDEX category_parent_id_idx ON category (parent_id) WHERE parent_id IS NOT NULL;
CREATE TABLE product (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  category_id integer NOT NULL REFERENCES category,
  title       text NOT NULL,
  description text,
  price       numeric(10, 2) NOT NULL CHECK (price >= 0),
  attributes  jsonb NOT NULL DEFAULT '{}',
  active      boolean NOT NULL DEFAULT true
);
CREATE INDEX product_category_id_idx ON product (category_id);
CREATE INDEX product_attributes_idx ON product USING gin (attributes jsonb_path_ops);
CREATE INDEX product_title_idx ON product (lower(title));
CREATE TABLE purchase (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customer,
  status      text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'paid', 'sent', 'cancelled')),
  placed_at   timestamptz NOT NULL DEFAULT now(),
  sent_at     timestamptz
) WITH (fillfactor = 90);
CREATE INDEX purchase_customer_id_placed_at_idx ON purchase (customer_id, placed_at DESC);
CREATE INDEX purchase_open_idx ON purchase (placed_at) WHERE status = 'open';
CREATE TABLE purchase_line (
  purchase_id bigint NOT NULL REFERENCES purchase ON DELETE CASCADE,
  number      smallint NOT NULL,
  product_id  bigint NOT NULL REFERENCES product,
  quantity    integer NOT NULL CHECK (quantity > 0),
  price       numeric(10, 2) NOT NULL,
  PRIMARY KEY (purchase_id, number)
);
CREATE INDEX purchase_line_product_id_idx ON purchase_line (product_id);
CREATE TABLE payment (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  purchase_id bigint NOT NULL UNIQUE REFERENCES purchase,
  amount      numeric(10, 2) NOT NULL,
  paid_at     timestamptz NOT NULL DEFAULT now()
);
CREATE UNLOGGED TABLE basket_cache (key text PRIMARY KEY, content jsonb NOT NULL, until timestamptz NOT NULL);
CREATE MATERIALIZED VIEW revenue AS
  SELECT date_trunc('day', paid_at) AS day, sum(amount) AS amount FROM payment GROUP BY 1;
CREATE UNIQUE INDEX revenue_day_idx ON revenue (day);

INSERT INTO customer (email, name, phone, joined_at)
  SELECT 'customer' || g || '@example.org', md5(g::text), CASE WHEN mod(g, 3) = 0 THEN '+43 1 ' || g END,
         now() - mod(g, 700) * interval '1 day' FROM generate_series(1, 3000) g;
INSERT INTO address (customer_id, lines) SELECT g, md5(g::text) || E'\n' || md5(g::text) FROM generate_series(1, 3000) g;
INSERT INTO category (name) SELECT 'category ' || g FROM generate_series(1, 10) g;
INSERT INTO category (parent_id, name) SELECT 1 + mod(g, 10), 'sub ' || g FROM generate_series(1, 60) g;
INSERT INTO product (category_id, title, description, price, attributes)
  SELECT 11 + mod(g, 60), 'Thing ' || g, repeat(md5(g::text) || ' ', 12), 1 + mod(g, 90),
         jsonb_build_object('colour', 'c' || mod(g, 12), 'weight', mod(g, 500))
  FROM generate_series(1, 2000) g;
INSERT INTO purchase (customer_id, status, placed_at)
  SELECT 1 + mod(g * 7, 3000), CASE WHEN g > 11800 THEN 'open' WHEN mod(g, 20) = 0 THEN 'cancelled' ELSE 'sent' END,
         now() - (12000 - g) * interval '30 minutes' FROM generate_series(1, 12000) g;
INSERT INTO purchase_line (purchase_id, number, product_id, quantity, price)
  SELECT p, n, 1 + mod(p * 13 + n, 2000), 1 + mod(p, 3), 10 FROM generate_series(1, 12000) p, generate_series(1, 2) n;
INSERT INTO payment (purchase_id, amount, paid_at)
  SELECT g, 20, now() - (12000 - g) * interval '30 minutes' FROM generate_series(1, 11800) g;
REFRESH MATERIALIZED VIEW revenue;
