-- What a shop does all day. With sequential scans off, small as the tables are, each index is used as in a large shop.
SET enable_seqscan = off;
SELECT count(*) FROM product WHERE attributes @> '{"colour": "c3"}';
SELECT id FROM customer WHERE email = 'customer' || (SELECT 1 + floor(random() * 3000)::int) || '@example.org';
SELECT * FROM purchase WHERE customer_id = (SELECT 1 + floor(random() * 3000)::int) ORDER BY placed_at DESC LIMIT 10;
SELECT title, price FROM product WHERE category_id = (SELECT 11 + floor(random() * 60)::int) AND active;
SELECT count(*) FROM purchase WHERE status = 'open';
INSERT INTO purchase (customer_id) VALUES (17);
INSERT INTO purchase_line SELECT max(id), 1, 5, 1, 10 FROM purchase;
UPDATE purchase SET sent_at = now() WHERE id = (SELECT 1 + floor(random() * 12000)::int);
UPDATE product SET price = price + 1 WHERE id = (SELECT 1 + floor(random() * 2000)::int);
