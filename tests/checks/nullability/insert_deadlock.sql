-- Two tables, empty: the account wants an owner, the owner an account.
CREATE TABLE accounts (id int PRIMARY KEY, owner int NOT NULL);
CREATE TABLE owners (id int PRIMARY KEY, account int NOT NULL CONSTRAINT b_account REFERENCES accounts);
ALTER TABLE accounts ADD CONSTRAINT a_owner FOREIGN KEY (owner) REFERENCES owners; -- finds: No first row can be inserted into public.accounts or public.owners: each needs a row of the next first (public.accounts -> public.owners -> public.accounts)

-- They hold rows, which one statement brought.
CREATE TABLE hens (id int PRIMARY KEY, egg int NOT NULL);
CREATE TABLE eggs (id int PRIMARY KEY, hen int NOT NULL REFERENCES hens);
ALTER TABLE hens ADD FOREIGN KEY (egg) REFERENCES eggs; -- finds: New rows of public.eggs and public.hens cannot be inserted one after the other: each needs a row of the next first (public.eggs -> public.hens -> public.eggs)
WITH hen AS (INSERT INTO hens VALUES (1, 1)) INSERT INTO eggs VALUES (1, 1);

-- Three tables, by a primary key, a domain and a CHECK; two keys on one step; MATCH FULL with one column that cannot be NULL.
CREATE DOMAIN filled AS int NOT NULL;
CREATE TABLE x (id int PRIMARY KEY, "in" int CHECK ("in" IS NOT NULL));
CREATE TABLE y (id int PRIMARY KEY REFERENCES x);
CREATE TABLE z (a int, b filled REFERENCES y, PRIMARY KEY (b), UNIQUE (a, b));
ALTER TABLE x ADD FOREIGN KEY ("in") REFERENCES z (b); -- finds: No first row can be inserted into public.x, public.z or public.y: each needs a row of the next first (public.x -> public.z -> public.y -> public.x)
CREATE TABLE left_ (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL);
CREATE TABLE right_ (id int PRIMARY KEY, a int NOT NULL, b int, FOREIGN KEY (a) REFERENCES left_);
ALTER TABLE left_ ADD FOREIGN KEY (a) REFERENCES right_, ADD FOREIGN KEY (b) REFERENCES right_; -- finds: No first row can be inserted into public.left_ or public.right_: each needs a row of the next first (public.left_ -> public.right_ -> public.left_)
CREATE TABLE pairs (a int, b int, n int NOT NULL, PRIMARY KEY (a, b), UNIQUE (n));
CREATE TABLE half (a int NOT NULL, b int, n int UNIQUE NOT NULL REFERENCES pairs (n), FOREIGN KEY (a, b) REFERENCES pairs MATCH FULL);
ALTER TABLE pairs ADD FOREIGN KEY (n) REFERENCES half (n); -- finds: No first row can be inserted into public.half or public.pairs: each needs a row of the next first (public.half -> public.pairs -> public.half)

-- Two cycles that share a table
CREATE TABLE hub (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL);
CREATE TABLE spoke_a (id int PRIMARY KEY REFERENCES hub);
CREATE TABLE spoke_b (id int PRIMARY KEY REFERENCES hub);
ALTER TABLE hub ADD FOREIGN KEY (a) REFERENCES spoke_a; -- finds: No first row can be inserted into public.hub or public.spoke_a: each needs a row of the next first (public.hub -> public.spoke_a -> public.hub)
ALTER TABLE hub ADD FOREIGN KEY (b) REFERENCES spoke_b; -- finds: No first row can be inserted into public.hub or public.spoke_b: each needs a row of the next first (public.hub -> public.spoke_b -> public.hub)

-- A trigger that comes too late, or fires otherwise
CREATE FUNCTION bring() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO egg2 VALUES (NEW.egg, NEW.id); RETURN NULL; END';
CREATE TABLE hen2 (id int PRIMARY KEY, egg int NOT NULL);
CREATE TABLE egg2 (id int PRIMARY KEY, hen int NOT NULL REFERENCES hen2);
ALTER TABLE hen2 ADD FOREIGN KEY (egg) REFERENCES egg2; -- finds: No first row can be inserted into public.egg2 or public.hen2: each needs a row of the next first (public.egg2 -> public.hen2 -> public.egg2)
CREATE TRIGGER bring AFTER INSERT ON hen2 FOR EACH ROW EXECUTE FUNCTION bring();
CREATE TRIGGER "Bring" BEFORE INSERT ON hen2 FOR EACH ROW EXECUTE FUNCTION bring();
CREATE TRIGGER "Bring again" AFTER UPDATE ON hen2 FOR EACH ROW EXECUTE FUNCTION bring();
CREATE TRIGGER "Bring all" AFTER INSERT ON hen2 FOR EACH STATEMENT EXECUTE FUNCTION bring();
CREATE TRIGGER "Bring not" AFTER INSERT ON hen2 FOR EACH ROW EXECUTE FUNCTION bring();
ALTER TABLE hen2 DISABLE TRIGGER "Bring not";

-- neighbours: a key that waits, one that may be NULL, one of two columns of which one may be, one that is off; itself; no way back
CREATE TABLE d1 (id int PRIMARY KEY, n int NOT NULL);
CREATE TABLE d2 (id int PRIMARY KEY REFERENCES d1);
ALTER TABLE d1 ADD FOREIGN KEY (n) REFERENCES d2 DEFERRABLE;
CREATE TABLE n1 (id int PRIMARY KEY, n int);
CREATE TABLE n2 (id int PRIMARY KEY REFERENCES n1);
ALTER TABLE n1 ADD FOREIGN KEY (n) REFERENCES n2;
CREATE TABLE m1 (a int, b int, n int NOT NULL UNIQUE, PRIMARY KEY (a, b));
CREATE TABLE m2 (a int NOT NULL, b int, n int NOT NULL UNIQUE, FOREIGN KEY (a, b) REFERENCES m1);
ALTER TABLE m1 ADD FOREIGN KEY (n) REFERENCES m2 (n);
CREATE TABLE o1 (id int PRIMARY KEY, n int NOT NULL);
CREATE TABLE o2 (id int PRIMARY KEY REFERENCES o1);
ALTER TABLE o1 ADD FOREIGN KEY (n) REFERENCES o2;
ALTER TABLE o1 DISABLE TRIGGER ALL;
CREATE TABLE nodes (id int PRIMARY KEY, parent int NOT NULL REFERENCES nodes);
CREATE TABLE leaves (id int PRIMARY KEY REFERENCES nodes);
CREATE TABLE t1 (id int PRIMARY KEY, n int NOT NULL);
CREATE TABLE t2 (id int PRIMARY KEY REFERENCES t1);
ALTER TABLE t1 ADD FOREIGN KEY (n) REFERENCES t2;
CREATE TRIGGER "Bring" AFTER INSERT ON t1 FOR EACH ROW EXECUTE FUNCTION bring();
