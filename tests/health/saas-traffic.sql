-- What members do: look at their own tasks, finish one, are counted.
SELECT * FROM member WHERE tenant_id = (SELECT id FROM tenant LIMIT 1) AND email = 'm3@example.org';
SELECT id, title FROM task WHERE tenant_id = (SELECT id FROM tenant LIMIT 1) AND NOT done AND due_on < current_date;
SELECT id, title FROM task WHERE tenant_id = (SELECT id FROM tenant LIMIT 1) AND project_id = 1;
UPDATE task SET body = 'changed' WHERE tenant_id = (SELECT id FROM tenant LIMIT 1) AND id = (SELECT 1 + floor(random() * 12000)::int);
UPDATE member SET seen_at = now() WHERE tenant_id = (SELECT id FROM tenant LIMIT 1) AND email = 'm5@example.org';
INSERT INTO usage SELECT id, clock_timestamp(), 'request', 1 FROM tenant LIMIT 1;
SELECT sum(amount) FROM usage WHERE tenant_id = (SELECT id FROM tenant LIMIT 1) AND at > now() - interval '1 day';
