CREATE TYPE kind AS ENUM ('a', 'b');
CREATE SCHEMA app;
-- a constraint, a NULL that means "everywhere"; rows that are equal without NULL are none of its business
CREATE TABLE app.prices (id int PRIMARY KEY, product int NOT NULL, region text, amount int,
    CONSTRAINT prices_key UNIQUE (product, region)); -- finds: 5 rows of app.prices share 2 values of (product, region) with NULL in region: the unique constraint prices_key lets them in
INSERT INTO app.prices VALUES (1, 1, NULL), (2, 1, NULL), (3, 1, 'eu'), (4, 2, NULL), (5, 2, NULL), (6, 2, NULL), (7, 3, NULL), (8, 3, 'eu'), (9, 4, NULL);

-- an index under a predicate with an enum; another column is NOT NULL by it; several NULL cases; dates, numbers, booleans
CREATE TABLE app.rates (id int PRIMARY KEY, kind kind, site int, since date, open boolean);
CREATE UNIQUE INDEX rates_key ON app.rates (site, since, open) INCLUDE (id) WHERE kind = 'a' AND site IS NOT NULL; -- finds: 4 rows of app.rates share 2 values of (site, since, open) with NULL in since or open: the unique index rates_key lets them in
INSERT INTO app.rates VALUES (1, 'a', 1, NULL, true), (2, 'a', 1, NULL, true), (3, 'a', 2, '2024-01-01', NULL), (4, 'a', 2, '2024-01-01', NULL),
    (5, 'b', 1, NULL, true), (6, 'b', 1, NULL, true), (7, 'a', NULL, NULL, true), (8, 'a', NULL, NULL, true), (9, 'a', 3, NULL, NULL);

-- all columns may be NULL: rows that are NULL in all of them are no duplicates
CREATE TABLE app.pairs (id int PRIMARY KEY, a int, b uuid, UNIQUE (a, b)); -- finds: 2 rows of app.pairs share 1 value of (a, b) with NULL in a or b: the unique constraint pairs_a_b_key lets them in
INSERT INTO app.pairs VALUES (1, 1, NULL), (2, 1, NULL), (3, NULL, NULL), (4, NULL, NULL), (5, NULL, '00000000-0000-0000-0000-000000000001');

-- an expression, in another collation; deleted rows do not count
CREATE TABLE app.labels (id int PRIMARY KEY, owner int NOT NULL, branch text, deleted_at timestamptz);
CREATE UNIQUE INDEX labels_key ON app.labels (owner, (lower(branch)) COLLATE "C"); -- finds: 2 rows of app.labels share 1 value of (owner, lower(branch)) with NULL in lower(branch): the unique index labels_key lets them in
INSERT INTO app.labels VALUES (1, 1, NULL, NULL), (2, 1, NULL, NULL), (3, 1, NULL, now()), (4, 2, NULL, now()), (5, 2, NULL, now()), (6, 3, NULL, NULL), (7, 3, NULL, now());

-- a foreign key rests on it
CREATE TABLE app.variants (id int PRIMARY KEY, product int NOT NULL, region text, UNIQUE (product, region)); -- finds: 2 rows of app.variants share 1 value of (product, region) with NULL in region: the unique constraint variants_product_region_key lets them in
INSERT INTO app.variants VALUES (1, 1, NULL), (2, 1, NULL);
CREATE TABLE app.uses (id int PRIMARY KEY, product int, region text, FOREIGN KEY (product, region) REFERENCES app.variants (product, region));

-- one of the columns names the row by itself: only where it is filled in
CREATE TABLE app.contacts (id int PRIMARY KEY, tenant int NOT NULL, email text, channel text, UNIQUE (tenant, email, channel)); -- finds: 2 rows of app.contacts share 1 value of (tenant, email, channel) with NULL in channel: the unique constraint contacts_tenant_email_channel_key lets them in
INSERT INTO app.contacts VALUES (1, 1, NULL, NULL), (2, 1, NULL, NULL), (3, 1, NULL, 'x'), (4, 1, NULL, 'x'), (5, 1, 'a', NULL), (6, 1, 'a', NULL);

-- a reference is no name of the row, whatever it is called
CREATE TABLE app.carts (id int PRIMARY KEY, owner int NOT NULL, price_id int REFERENCES app.prices, UNIQUE (owner, price_id)); -- finds: 2 rows of app.carts share 1 value of (owner, price_id) with NULL in price_id: the unique constraint carts_owner_price_id_key lets them in
INSERT INTO app.carts VALUES (1, 1, NULL), (2, 1, NULL), (3, 2, 1);

-- declared by the configuration: an error, whatever the name and however many
CREATE TABLE app.codes (id int PRIMARY KEY, shelf int NOT NULL, code text, UNIQUE (shelf, code)); -- finds: 25 rows of app.codes share 1 value of (shelf, code) with NULL in code: the unique constraint codes_shelf_code_key lets them in
INSERT INTO app.codes SELECT n, 1, NULL FROM generate_series(1, 25) AS n;
-- config: [[unique]]
-- config: table = "app.codes"
-- config: columns = ["code", "shelf"]

-- partitions: once, of the whole
CREATE TABLE app.events (site int NOT NULL, zone text, day int, UNIQUE (site, zone)) PARTITION BY LIST (site); -- finds: 2 rows of app.events share 1 value of (site, zone) with NULL in zone: the unique constraint events_site_zone_key lets them in
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES IN (1);
CREATE TABLE app.events_2 PARTITION OF app.events FOR VALUES IN (2);
ALTER TABLE app.events ADD COLUMN id int NOT NULL, ADD PRIMARY KEY (id, site);
INSERT INTO app.events VALUES (1, NULL, 1, 1), (1, NULL, 2, 2), (2, NULL, 1, 3);

-- the same key twice is one defect
CREATE TABLE app.twice (id int PRIMARY KEY, a int NOT NULL, b int, UNIQUE (a, b)); -- finds: 2 rows of app.twice share 1 value of (a, b) with NULL in b: the unique constraint twice_a_b_key lets them in
CREATE UNIQUE INDEX twice_again ON app.twice (b, a);
INSERT INTO app.twice VALUES (1, 1, NULL), (2, 1, NULL);

-- only one of two NULL cases has its index
CREATE TABLE app.half (id int PRIMARY KEY, a int NOT NULL, b int, c int, UNIQUE (a, b, c)); -- finds: 2 rows of app.half share 1 value of (a, b, c) with NULL in b or c: the unique constraint half_a_b_c_key lets them in
CREATE UNIQUE INDEX ON app.half (a, c) WHERE b IS NULL AND c IS NOT NULL;
CREATE UNIQUE INDEX ON app.half (a, b) WHERE c IS NULL AND b IS NOT NULL;
INSERT INTO app.half VALUES (1, 1, NULL, NULL), (2, 1, NULL, NULL);

-- neighbours: other indexes keep such rows apart: one per NULL case, COALESCE, fewer columns
CREATE TABLE app.cases (id int PRIMARY KEY, a int NOT NULL, b int, UNIQUE (a, b));
CREATE UNIQUE INDEX ON app.cases (a) WHERE b IS NULL;
CREATE TABLE app.four (id int PRIMARY KEY, a int, b int, c int, UNIQUE (a, b, c));
CREATE UNIQUE INDEX ON app.four (a, b) WHERE c IS NULL;
CREATE UNIQUE INDEX ON app.four (COALESCE(a, -1), c) WHERE b IS NULL AND c IS NOT NULL;
CREATE UNIQUE INDEX ON app.four (b, c) WHERE a IS NULL AND b IS NOT NULL;
CREATE UNIQUE INDEX ON app.four (a) WHERE b IS NULL AND c IS NULL;
CREATE UNIQUE INDEX ON app.four (b) WHERE a IS NULL AND c IS NULL;
CREATE TABLE app.filled (id int PRIMARY KEY, a int NOT NULL, b text, UNIQUE (a, b));
CREATE UNIQUE INDEX ON app.filled (a, lower(COALESCE(b, '')));
CREATE TABLE app.told (id int PRIMARY KEY, a int NOT NULL, b text, UNIQUE (a, b));
CREATE UNIQUE INDEX ON app.told (a, COALESCE(b, 'x'), (b IS NULL));
CREATE TABLE app.fewer (id int PRIMARY KEY, a int NOT NULL UNIQUE, b text, UNIQUE (a, b));
-- a single nullable column; NOT NULL by the predicate; a primary key; nothing twice
CREATE TABLE app.people (id int PRIMARY KEY, phone text UNIQUE, room int UNIQUE);
INSERT INTO app.people VALUES (1), (2), (3);
CREATE TABLE app.partial (id int PRIMARY KEY, a int NOT NULL, b int);
CREATE UNIQUE INDEX ON app.partial (a, b) WHERE b IS NOT NULL;
INSERT INTO app.partial VALUES (1, 1, NULL), (2, 1, NULL);
CREATE TABLE app.fine (id int PRIMARY KEY, a int NOT NULL, b int, UNIQUE (a, b));
INSERT INTO app.fine VALUES (1, 1, NULL), (2, 2, NULL), (3, 1, 1);
-- columns that name the row by themselves: an email, an external id; a login; an expression over one
CREATE TABLE app.users (id int PRIMARY KEY, tenant int NOT NULL, email text, user_name text, external_id int, UNIQUE (tenant, email), UNIQUE (tenant, external_id), UNIQUE (tenant, user_name));
CREATE UNIQUE INDEX ON app.users (tenant, lower(email));
INSERT INTO app.users VALUES (1, 1), (2, 1), (3, 1);
-- most rows with NULL repeat, and they are many: NULL means "none"
CREATE TABLE app.orders (id int PRIMARY KEY, customer int NOT NULL, coupon text, UNIQUE (customer, coupon));
INSERT INTO app.orders SELECT n, n % 9, NULL FROM generate_series(1, 19) AS n;
INSERT INTO app.orders VALUES (20, 100, NULL);
-- the column that marks deleted rows
CREATE TABLE app.rooms (id int PRIMARY KEY, number int NOT NULL, deleted_at timestamptz, UNIQUE (number, deleted_at));
INSERT INTO app.rooms VALUES (1, 1, NULL), (2, 1, NULL);
