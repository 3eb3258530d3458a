-- An event log: append only, partitioned by day, read by time, kept for two weeks.
CREATE TABLE source (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE event (
  id        bigint GENERATED ALWAYS AS IDENTITY,
  at        timestamptz NOT NULL DEFAULT now(),
  source_id integer NOT NULL,
  level     smallint NOT NULL,
  body      jsonb NOT NULL,
  PRIMARY KEY (at, id)
) PARTITION BY RANGE (at);
CREATE INDEX event_source_idx ON event (source_id, at);
DO $$
BEGIN
  FOR d IN -13..7 LOOP
    EXECUTE format('CREATE TABLE event_%s PARTITION OF event FOR VALUES FROM (%L) TO (%L)',
                   d + 14, current_date + d, current_date + d + 1);
  END LOOP;
END $$;
CREATE TABLE event_default PARTITION OF event DEFAULT;
CREATE TABLE import_staging (line text) WITH (autovacuum_enabled = false);
ALTER TABLE import_staging ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
INSERT INTO source (name) SELECT 'source ' || g FROM generate_series(1, 25) g;
INSERT INTO event (at, source_id, level, body)
  SELECT current_date - mod(g, 13) + mod(g, 80000) * interval '1 second', 1 + mod(g, 25), mod(g, 5),
         jsonb_build_object('message', md5(g::text), 'number', g)
  FROM generate_series(1, 20000) g;
