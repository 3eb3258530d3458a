-- Software for many tenants: every table begins with the tenant, the large ones are partitioned by month or by tenant.
CREATE TABLE tenant (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name       text NOT NULL,
  plan       text NOT NULL DEFAULT 'free',
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE member (
  tenant_id uuid NOT NULL REFERENCES tenant ON DELETE CASCADE,
  id        bigint GENERATED ALWAYS AS IDENTITY,
  email     text NOT NULL,
  role      text NOT NULL DEFAULT 'user',
  seen_at   timestamptz,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, email)
);
CREATE TABLE project (
  tenant_id   uuid NOT NULL REFERENCES tenant ON DELETE CASCADE,
  id          bigint GENERATED ALWAYS AS IDENTITY,
  name        text NOT NULL,
  settings    jsonb NOT NULL DEFAULT '{}',
  archived_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE TABLE task (
  tenant_id   uuid NOT NULL,
  id          bigint GENERATED ALWAYS AS IDENTITY,
  project_id  bigint NOT NULL,
  assignee_id bigint,
  title       text NOT NULL,
  body        text,
  due_on      date,
  done        boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, project_id) REFERENCES project,
  FOREIGN KEY (tenant_id, assignee_id) REFERENCES member
) PARTITION BY HASH (tenant_id);
CREATE TABLE task_0 PARTITION OF task FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE task_1 PARTITION OF task FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE task_2 PARTITION OF task FOR VALUES WITH (MODULUS 4, REMAINDER 2);
CREATE TABLE task_3 PARTITION OF task FOR VALUES WITH (MODULUS 4, REMAINDER 3);
CREATE INDEX task_project_idx ON task (tenant_id, project_id);
CREATE INDEX task_assignee_idx ON task (tenant_id, assignee_id);
CREATE INDEX task_due_idx ON task (tenant_id, due_on) WHERE NOT done;
CREATE TABLE usage (
  tenant_id uuid NOT NULL REFERENCES tenant,
  at        timestamptz NOT NULL,
  kind      text NOT NULL,
  amount    bigint NOT NULL,
  PRIMARY KEY (tenant_id, at, kind)
) PARTITION BY RANGE (at);
-- Last quarter, this month and the next three, as a scheduled job would keep them.
DO $$
BEGIN
  FOR m IN -3..3 LOOP
    EXECUTE format('CREATE TABLE usage_%s PARTITION OF usage FOR VALUES FROM (%L) TO (%L)',
                   m + 4, date_trunc('month', now()) + m * interval '1 month',
                   date_trunc('month', now()) + (m + 1) * interval '1 month');
  END LOOP;
END $$;
INSERT INTO tenant (name, plan, created_at)
  SELECT 'tenant ' || g, CASE WHEN mod(g, 5) = 0 THEN 'paid' ELSE 'free' END, now() - g * interval '2 days'
  FROM generate_series(1, 200) g;
INSERT INTO member (tenant_id, email, seen_at)
  SELECT id, 'm' || g || '@example.org', CASE WHEN mod(g, 2) = 0 THEN now() - g * interval '1 hour' END
  FROM tenant, generate_series(1, 10) g;
INSERT INTO project (tenant_id, name, settings)
  SELECT id, 'project ' || g, jsonb_build_object('colour', g) FROM tenant, generate_series(1, 5) g;
INSERT INTO task (tenant_id, project_id, assignee_id, title, body, due_on, done)
  SELECT p.tenant_id, p.id, (SELECT m.id FROM member m WHERE m.tenant_id = p.tenant_id ORDER BY m.id OFFSET mod(g, 10) LIMIT 1),
         'task ' || g, repeat(md5(g::text), 8), current_date + mod(g, 40) - 20, mod(g, 3) > 0
  FROM project p, generate_series(1, 12) g;
INSERT INTO usage (tenant_id, at, kind, amount)
  SELECT id, date_trunc('month', now()) - mod(g, 80) * interval '1 day' + g * interval '1 second', 'request', g
  FROM tenant, generate_series(1, 60) g;
