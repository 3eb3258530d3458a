-- Events come in all the time; somebody looks at the last hour.
INSERT INTO event (source_id, level, body) SELECT 3, 1, '{"message": "hello"}' FROM generate_series(1, 5);
SELECT count(*) FROM event WHERE at > now() - interval '1 hour';
SELECT body FROM event WHERE source_id = 7 AND at > now() - interval '1 day' ORDER BY at DESC LIMIT 20;
SELECT name FROM source WHERE id = 7;
