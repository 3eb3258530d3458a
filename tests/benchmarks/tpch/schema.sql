-- TPC-H's tables with their primary keys, filled with SQL in the proportions of scale factor :scale.
-- Values follow the specification's domains (TPC-H 3.0.1, 4.2) as far as its queries look at them.
CREATE TABLE region (r_regionkey int PRIMARY KEY, r_name char(25) NOT NULL, r_comment varchar(152));
CREATE TABLE nation (n_nationkey int PRIMARY KEY, n_name char(25) NOT NULL, n_regionkey int NOT NULL, n_comment varchar(152));
CREATE TABLE part (p_partkey int PRIMARY KEY, p_name varchar(55) NOT NULL, p_mfgr char(25) NOT NULL, p_brand char(10) NOT NULL,
  p_type varchar(25) NOT NULL, p_size int NOT NULL, p_container char(10) NOT NULL, p_retailprice numeric(15,2) NOT NULL, p_comment varchar(23) NOT NULL);
CREATE TABLE supplier (s_suppkey int PRIMARY KEY, s_name char(25) NOT NULL, s_address varchar(40) NOT NULL, s_nationkey int NOT NULL,
  s_phone char(15) NOT NULL, s_acctbal numeric(15,2) NOT NULL, s_comment varchar(101) NOT NULL);
CREATE TABLE partsupp (ps_partkey int NOT NULL, ps_suppkey int NOT NULL, ps_availqty int NOT NULL, ps_supplycost numeric(15,2) NOT NULL,
  ps_comment varchar(199) NOT NULL, PRIMARY KEY (ps_partkey, ps_suppkey));
CREATE TABLE customer (c_custkey int PRIMARY KEY, c_name varchar(25) NOT NULL, c_address varchar(40) NOT NULL, c_nationkey int NOT NULL,
  c_phone char(15) NOT NULL, c_acctbal numeric(15,2) NOT NULL, c_mktsegment char(10) NOT NULL, c_comment varchar(117) NOT NULL);
CREATE TABLE orders (o_orderkey bigint PRIMARY KEY, o_custkey int NOT NULL, o_orderstatus char(1) NOT NULL, o_totalprice numeric(15,2) NOT NULL,
  o_orderdate date NOT NULL, o_orderpriority char(15) NOT NULL, o_clerk char(15) NOT NULL, o_shippriority int NOT NULL, o_comment varchar(79) NOT NULL);
CREATE TABLE lineitem (l_orderkey bigint NOT NULL, l_partkey int NOT NULL, l_suppkey int NOT NULL, l_linenumber int NOT NULL, l_quantity numeric(15,2) NOT NULL,
  l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL, l_tax numeric(15,2) NOT NULL, l_returnflag char(1) NOT NULL,
  l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipinstruct char(25) NOT NULL,
  l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber));

INSERT INTO region SELECT i - 1, (ARRAY['AFRICA','AMERICA','ASIA','EUROPE','MIDDLE EAST'])[i], md5(i::text) FROM generate_series(1, 5) i;
INSERT INTO nation SELECT i - 1, (ARRAY['ALGERIA','ARGENTINA','BRAZIL','CANADA','EGYPT','ETHIOPIA','FRANCE','GERMANY','INDIA','INDONESIA','IRAN','IRAQ','JAPAN',
  'JORDAN','KENYA','MOROCCO','MOZAMBIQUE','PERU','CHINA','ROMANIA','SAUDI ARABIA','VIETNAM','RUSSIA','UNITED KINGDOM','UNITED STATES'])[i],
  (ARRAY[0,1,1,1,4,0,3,3,2,2,4,4,2,4,0,0,0,1,2,3,4,2,3,3,1])[i], md5(i::text) FROM generate_series(1, 25) i;
INSERT INTO part SELECT i,
  (ARRAY['almond','green','forest','azure','beige'])[1 + mod(i, 5)] || ' ' || (ARRAY['red','blue','ivory','lemon','lime','linen','magenta'])[1 + mod(i, 7)] || ' ' || md5(i::text),
  'Manufacturer#' || 1 + mod(i, 5), 'Brand#' || 1 + mod(i, 5) || 1 + mod(i / 5, 5),
  (ARRAY['STANDARD','SMALL','MEDIUM','LARGE','ECONOMY','PROMO'])[1 + floor(random() * 6)::int] || ' ' || (ARRAY['ANODIZED','BURNISHED','PLATED','POLISHED','BRUSHED'])[1 + floor(random() * 5)::int]
    || ' ' || (ARRAY['TIN','NICKEL','BRASS','STEEL','COPPER'])[1 + floor(random() * 5)::int],
  1 + floor(random() * 50)::int,
  (ARRAY['SM','LG','MED','JUMBO','WRAP'])[1 + floor(random() * 5)::int] || ' ' || (ARRAY['CASE','BOX','BAG','JAR','PKG','PACK','CAN','DRUM'])[1 + floor(random() * 8)::int],
  900 + mod(i, 1000), left(md5(i::text), 12) FROM generate_series(1, (200000 * :scale)::int) i;
INSERT INTO supplier SELECT i, 'Supplier#' || i, md5(i::text), floor(random() * 25)::int, 10 + mod(i, 25) || '-' || 1000000 + i, random() * 10000 - 1000,
  md5((i * 7)::text) || CASE WHEN mod(i, 200) = 0 THEN ' Customer Complaints' ELSE '' END FROM generate_series(1, (10000 * :scale)::int) i;
INSERT INTO partsupp SELECT p, 1 + mod(p + s * ((10000 * :scale)::int / 4 + 1), (10000 * :scale)::int), random() * 9999, random() * 1000, md5((p * s)::text) || md5(p::text)
  FROM generate_series(1, (200000 * :scale)::int) p, generate_series(0, 3) s ON CONFLICT DO NOTHING;
INSERT INTO customer SELECT i, 'Customer#' || i, md5(i::text), floor(random() * 25)::int, 10 + floor(random() * 25)::int || '-' || 1000000 + i, random() * 11000 - 1000,
  (ARRAY['AUTOMOBILE','BUILDING','FURNITURE','MACHINERY','HOUSEHOLD'])[1 + floor(random() * 5)::int], md5(i::text) || md5((i * 3)::text) FROM generate_series(1, (150000 * :scale)::int) i;
INSERT INTO orders SELECT i, 1 + floor(random() * 150000 * :scale)::int, (ARRAY['F','O','P'])[1 + mod(i, 3)], 1000 + random() * 400000,
  date '1992-01-01' + floor(random() * 2406)::int, (ARRAY['1-URGENT','2-HIGH','3-MEDIUM','4-NOT SPECIFIED','5-LOW'])[1 + floor(random() * 5)::int], 'Clerk#' || mod(i, 1000), 0,
  md5(i::text) || CASE WHEN mod(i, 100) = 0 THEN ' special requests' ELSE '' END FROM generate_series(1, (1500000 * :scale)::int) i;
INSERT INTO lineitem SELECT o_orderkey, 1 + floor(random() * 200000 * :scale)::int, 1 + floor(random() * 10000 * :scale)::int, n, 1 + floor(random() * 50), 1000 + random() * 90000,
  floor(random() * 11) / 100, floor(random() * 9) / 100, (ARRAY['A','N','R'])[1 + floor(random() * 3)::int], (ARRAY['O','F'])[1 + floor(random() * 2)::int], day, day + floor(random() * 60)::int - 30,
  day + 1 + floor(random() * 30)::int, (ARRAY['DELIVER IN PERSON','COLLECT COD','NONE','TAKE BACK RETURN'])[1 + floor(random() * 4)::int],
  (ARRAY['REG AIR','AIR','RAIL','SHIP','TRUCK','MAIL','FOB'])[1 + floor(random() * 7)::int], left(md5(o_orderkey::text), 20)
  FROM (SELECT o_orderkey, n, o_orderdate + 1 + floor(random() * 121)::int AS day FROM orders, generate_series(1, 4) n) AS made;
VACUUM ANALYZE;
