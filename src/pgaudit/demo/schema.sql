-- An unwell database: a small web shop with documents, as such databases grow.
--
-- Run it once in an empty database, as a superuser, by psql or by pgaudit.demo.load(). It is plain
-- SQL, one statement after the other, each in a transaction of its own (VACUUM wants that).
--
-- The data are arithmetic on row numbers, so that every run builds the same database.
-- What is wrong, and which check should say so, stands above the statement that does it ("FAULT").
-- Faults that need sessions or time are in workload.py: the failed CREATE INDEX CONCURRENTLY
-- (invalid-index), the traffic (everything about statements, scans and caches) and the sessions.

CREATE EXTENSION IF NOT EXISTS pg_stat_statements;

-- Tables first, then rows, then keys and indexes: loading into indexed tables takes three times as long.

CREATE TABLE users (
  id           bigint NOT NULL,
  email        text NOT NULL,
  full_name    text NOT NULL,
  country      text NOT NULL,
  created_at   timestamptz NOT NULL
);

CREATE TABLE products (
  id           bigint NOT NULL,
  sku          text NOT NULL,
  name         text NOT NULL,
  price        numeric(10, 2) NOT NULL,
  stock        integer NOT NULL
);

CREATE TABLE documents (
  id           bigint NOT NULL,
  owner_id     bigint NOT NULL,
  title        text NOT NULL,
  body         text NOT NULL,
  updated_at   timestamptz NOT NULL
);

CREATE TABLE comments (
  id           bigint NOT NULL,
  document_id  bigint NOT NULL,
  author_id    bigint NOT NULL,
  body         text NOT NULL,
  created_at   timestamptz NOT NULL
);

CREATE TABLE orders (
  id           bigint NOT NULL,
  user_id      bigint NOT NULL,
  status       text NOT NULL,
  total        numeric(12, 2) NOT NULL,
  coupon_code  text,
  note         text NOT NULL,
  created_at   timestamptz NOT NULL
);

CREATE TABLE order_items (
  id           bigint NOT NULL,
  order_id     bigint NOT NULL,
  product_id   bigint NOT NULL,
  quantity     integer NOT NULL,
  price        numeric(10, 2) NOT NULL
);

CREATE TABLE sessions (
  id           bigint NOT NULL,
  user_id      bigint NOT NULL,
  token        text NOT NULL,
  hits         integer NOT NULL,
  last_seen_at timestamptz NOT NULL
);

-- Identifiers from a hash, as applications do that make them themselves: neighbours in time are
-- strangers in the index, so that every look-up wants another page of it.
CREATE TABLE events (
  id           uuid NOT NULL,
  user_id      bigint NOT NULL,
  kind         text NOT NULL,
  referrer     text,
  payload      jsonb NOT NULL,
  occurred_at  timestamptz NOT NULL
);

-- Written by an object-relational mapper: every name has to be quoted.
CREATE TABLE "userPreferences" (
  id               bigint NOT NULL,
  "userId"         bigint NOT NULL,
  theme            text NOT NULL,
  "notifyByEmail"  boolean NOT NULL,
  "updatedAt"      timestamptz NOT NULL
);

-- One pair of users differs only in the case of the address. The unique index on lower(email) that
-- somebody will try to build (workload.py) must therefore fail, and leaves an invalid index behind.
INSERT INTO users (id, email, full_name, country, created_at)
SELECT g,
       CASE WHEN g = 20000 THEN 'User17@example.com' ELSE 'user' || g || '@example.com' END,
       (ARRAY['Ada', 'Brendan', 'Chiara', 'Dmitri', 'Eun-ji', 'Farid', 'Grace'])[1 + g % 7] || ' '
         || (ARRAY['Almeida', 'Baker', 'Costa', 'Dubois', 'Eriksen', 'Fischer'])[1 + g / 7 % 6],
       (ARRAY['DE', 'FR', 'GB', 'IT', 'JP', 'US'])[1 + g * 31 % 6],
       timestamptz '2023-01-01 00:00:00+00' + g * interval '50 minutes'
FROM   generate_series(1, 20000) AS g;

INSERT INTO products (id, sku, name, price, stock)
SELECT g,
       'SKU-' || lpad(g::text, 6, '0'),
       (ARRAY['Lamp', 'Chair', 'Desk', 'Shelf', 'Rug', 'Mirror', 'Vase'])[1 + g % 7] || ' no. ' || g,
       5 + g * 17 % 500,
       g * 13 % 90
FROM   generate_series(1, 2000) AS g;

INSERT INTO documents (id, owner_id, title, body, updated_at)
SELECT g,
       1 + g * 7919 % 20000,
       (ARRAY['Invoice', 'Contract', 'Offer', 'Complaint', 'Manual'])[1 + g % 5] || ' ' || g,
       s.text[1 + g % 7] || s.text[1 + g / 7 % 7] || s.text[1 + g / 49 % 7] || s.text[1 + g / 343 % 7]
         || s.text[1 + g * 3 % 7] || s.text[1 + g * 5 / 7 % 7] || 'Reference ' || g || '.',
       timestamptz '2024-01-01 00:00:00+00' + g * interval '20 minutes'
FROM   generate_series(1, 35000) AS g,
       (SELECT ARRAY[
          'The goods were delivered on the agreed day and signed for by the neighbour, who kept them dry until the evening. ',
          'Payment is due within thirty days of the date of this letter, without deduction, to the account named below. ',
          'We ask you to check the enclosed list and to return it with your remarks before the end of the month. ',
          'The left rear leg of the chair was found to be shorter than the other three, which the customer did not expect. ',
          'Assembly takes about forty minutes and needs no tools other than the key that is taped under the seat. ',
          'A refund was promised on the telephone, and the note of that call is attached like the photograph of the lamp. ',
          'Please quote the reference in all correspondence, so that your letter finds the right desk without delay. '
        ]) AS s (text);

INSERT INTO orders (id, user_id, status, total, coupon_code, note, created_at)
SELECT g,
       1 + g * 6007 % 20000,
       (ARRAY['new', 'paid', 'paid', 'shipped', 'shipped', 'shipped', 'returned'])[1 + g % 7],
       10 + g * 37 % 900,
       CASE WHEN g % 3 = 0 THEN 'SPRING-' || g * 7 % 50000 END,
       'Leave the parcel with the neighbour if nobody answers, house number ' || g % 400,
       timestamptz '2024-01-01 00:00:00+00' + g * interval '9 minutes'
FROM   generate_series(1, 90000) AS g;

INSERT INTO order_items (id, order_id, product_id, quantity, price)
SELECT g,
       1 + g * 7 % 90000,
       1 + g * 11 % 2000,
       1 + g % 4,
       5 + g * 17 % 500
FROM   generate_series(1, 220000) AS g;

INSERT INTO sessions (id, user_id, token, hits, last_seen_at)
SELECT g,
       1 + g * 3001 % 20000,
       md5('session ' || g),
       0,
       timestamptz '2025-06-01 00:00:00+00' + g * interval '1 minute'
FROM   generate_series(1, 30000) AS g;

INSERT INTO events (id, user_id, kind, referrer, payload, occurred_at)
SELECT md5('event ' || g)::uuid,
       1 + g * 4001 % 20000,
       (ARRAY['page_view', 'page_view', 'search', 'add_to_cart', 'checkout'])[1 + g % 5],
       'https://search.example/?q=' || g * 97 % 149993,
       ('{"path": "/products/' || g % 2000 || '", "browser": "Firefox", "duration": ' || g % 5000
         || '}')::jsonb,
       timestamptz '2025-01-01 00:00:00+00' + g * interval '2 minutes'
FROM   generate_series(1, 150000) AS g;

INSERT INTO "userPreferences" (id, "userId", theme, "notifyByEmail", "updatedAt")
SELECT g, g, (ARRAY['light', 'dark', 'system'])[1 + g % 3], g % 2 = 0,
       timestamptz '2025-01-01 00:00:00+00' + g * interval '10 minutes'
FROM   generate_series(1, 20000) AS g;

ALTER TABLE users ADD PRIMARY KEY (id), ADD UNIQUE (email);
ALTER TABLE products ADD PRIMARY KEY (id), ADD UNIQUE (sku);
ALTER TABLE documents ADD PRIMARY KEY (id);
ALTER TABLE comments ADD PRIMARY KEY (id);
ALTER TABLE orders ADD PRIMARY KEY (id);
ALTER TABLE order_items ADD PRIMARY KEY (id);
ALTER TABLE sessions ADD PRIMARY KEY (id), ADD UNIQUE (token);
ALTER TABLE events ADD PRIMARY KEY (id);
ALTER TABLE "userPreferences" ADD PRIMARY KEY (id);

-- FAULT unindexed-foreign-key (orders.user_id): "my orders" reads the whole table for one customer.
ALTER TABLE orders ADD CONSTRAINT orders_user_id_fkey
  FOREIGN KEY (user_id) REFERENCES users (id);

-- FAULT unindexed-foreign-key (order_items.order_id): each order shown, and each order deleted, reads
-- all items. With the traffic also: seq-scan-heavy-table (order_items), dominant-statement.
ALTER TABLE order_items ADD CONSTRAINT order_items_order_id_fkey
  FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE;

-- FAULT unindexed-foreign-key ("userPreferences"."userId"): the mapper makes the key, not the index.
ALTER TABLE "userPreferences" ADD CONSTRAINT "FK_userPreferences_userId"
  FOREIGN KEY ("userId") REFERENCES users (id);

-- This one is as it should be, and so is comments.document_id: their columns are indexed below.
ALTER TABLE documents ADD CONSTRAINT documents_owner_id_fkey
  FOREIGN KEY (owner_id) REFERENCES users (id);

-- FAULT duplicate-index (documents): two migrations, two naming habits, one index twice.
CREATE INDEX documents_owner_id_idx ON documents (owner_id);
CREATE INDEX index_documents_on_owner_id ON documents (owner_id);

-- FAULT redundant-index (comments_document_id_idx): the second begins with the first.
CREATE INDEX comments_document_id_idx ON comments (document_id);
CREATE INDEX comments_document_id_created_at_idx ON comments (document_id, created_at);

-- FAULT unused-index: made for a report that was given up. 11 MiB, written with each event.
CREATE INDEX events_referrer_idx ON events (referrer, user_id, kind);

-- FAULT unused-index: the only reader was last year's spring campaign, and the name needs quoting.
CREATE INDEX "IDX_orders_couponCode" ON orders (coupon_code, note);

-- Used by the traffic, and healthy.
CREATE INDEX events_occurred_at_idx ON events (occurred_at);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);

-- FAULT index-low-cache-hit (order_items_product_id_price_idx): useful, but larger than this server's
-- cache likes, and the traffic reads it from one end to the other.
CREATE INDEX order_items_product_id_price_idx ON order_items (product_id, price, order_id, quantity);

-- FAULT never-vacuumed-table (events): autovacuum was switched off to make the first import faster.
-- Without planner statistics and without a visibility map it has stayed so.
ALTER TABLE events SET (autovacuum_enabled = off);

-- FAULT stale-statistics (comments): 5,000 comments when the planner last looked, 35,000 today.
ALTER TABLE comments SET (autovacuum_enabled = off);
INSERT INTO comments (id, document_id, author_id, body, created_at)
SELECT g, 1 + g * 13 % 35000, 1 + g * 4507 % 20000, 'Seen, thank you. Please send page ' || g % 40 || ' again.',
       timestamptz '2024-06-01 00:00:00+00' + g * interval '10 minutes'
FROM   generate_series(1, 5000) AS g;
VACUUM (ANALYZE) comments;
INSERT INTO comments (id, document_id, author_id, body, created_at)
SELECT g, 1 + g * 13 % 35000, 1 + g * 4507 % 20000, 'Seen, thank you. Please send page ' || g % 40 || ' again.',
       timestamptz '2024-06-01 00:00:00+00' + g * interval '10 minutes'
FROM   generate_series(5001, 35000) AS g;

-- Only now, because checking each row on its own would count as look-ups in documents and users.
ALTER TABLE comments ADD CONSTRAINT comments_document_id_fkey
  FOREIGN KEY (document_id) REFERENCES documents (id) ON DELETE CASCADE;

-- FAULT unindexed-foreign-key (comments.author_id): deleting a user reads all comments.
ALTER TABLE comments ADD CONSTRAINT comments_author_id_fkey
  FOREIGN KEY (author_id) REFERENCES users (id) ON DELETE CASCADE;

-- FAULT dead-tuples (sessions): every request stamps its session, and autovacuum is off here too: more
-- dead rows than living ones. The planner has not looked since either: stale-statistics once more.
ALTER TABLE sessions SET (autovacuum_enabled = off);
VACUUM (ANALYZE) sessions;
UPDATE sessions SET hits = hits + 1;
UPDATE sessions SET hits = hits + 1 WHERE id % 3 = 0;

-- FAULT missing-primary-key and b-tree-on-array-or-jsonb (newsletter): an import that became a table.
CREATE TABLE newsletter (email text NOT NULL, tags text[]);
INSERT INTO newsletter SELECT 'reader' || g || '@example.org', ARRAY['news', 'offers'] FROM generate_series(1, 500) g;
CREATE INDEX newsletter_tags_idx ON newsletter (tags);

-- FAULT unlogged-table: quick to write, and empty after a crash.
CREATE UNLOGGED TABLE rate_limits (address inet PRIMARY KEY, hits integer NOT NULL);

-- FAULT index-predicate-without-effect: sku is NOT NULL, so the predicate leaves nothing out.
CREATE INDEX products_sku_idx ON products (sku) WHERE sku IS NOT NULL;

-- FAULT no-partition-ahead (page_views): whoever made a partition each week has left.
CREATE TABLE page_views (viewed_on date NOT NULL, path text NOT NULL, views integer NOT NULL,
                         PRIMARY KEY (viewed_on, path)) PARTITION BY RANGE (viewed_on);
CREATE TABLE page_views_1 PARTITION OF page_views FOR VALUES FROM (current_date - 26) TO (current_date - 19);
CREATE TABLE page_views_2 PARTITION OF page_views FOR VALUES FROM (current_date - 19) TO (current_date - 12);
CREATE TABLE page_views_3 PARTITION OF page_views FOR VALUES FROM (current_date - 12) TO (current_date - 5);
CREATE TABLE page_views_4 PARTITION OF page_views FOR VALUES FROM (current_date - 5) TO (current_date + 2);
INSERT INTO page_views VALUES (current_date, '/', 1);

-- FAULT integer-key-near-limit, foreign-key-type-mismatch, not-valid-constraint, money-type and timestamp-without-time-zone
-- (refunds): written in an afternoon. Its numbers come from another system, and few are left.
CREATE TABLE refunds (id serial PRIMARY KEY, order_id integer NOT NULL, amount money NOT NULL, decided_at timestamp NOT NULL);
CREATE INDEX refunds_order_id_idx ON refunds (order_id);
ALTER TABLE refunds ADD CONSTRAINT refunds_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (id)
  ON DELETE CASCADE NOT VALID;
ALTER SEQUENCE refunds_id_seq START 1 RESTART 1700000000;
INSERT INTO refunds (order_id, amount, decided_at)
SELECT g, 10, timestamp '2024-06-01 00:00:00' + g * interval '1 hour' FROM generate_series(1, 200) AS g;

-- FAULT policy-without-row-security: the policy is there, and nobody switched row security on.
CREATE POLICY own_documents ON documents USING (owner_id = current_setting('app.user_id', true)::bigint);

-- FAULT security-definer-without-search-path: whoever calls it chooses what "sessions" means.
CREATE FUNCTION forget_sessions(of_user bigint) RETURNS void LANGUAGE sql SECURITY DEFINER
  AS 'DELETE FROM sessions WHERE user_id = of_user';

-- The rest was vacuumed and analysed, as autovacuum would have done by now.
VACUUM (ANALYZE) users, products, documents, orders, order_items, "userPreferences", refunds;
