CREATE TABLE users (id int PRIMARY KEY);
CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
-- a key of a partitioned table that is NOT VALID
CREATE TABLE visits (id int, user_id int) PARTITION BY RANGE (id);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
INSERT INTO visits VALUES (1, 9);
ALTER TABLE visits ADD CONSTRAINT visits_user FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE NOT VALID;
CREATE TRIGGER stay BEFORE DELETE ON visits FOR EACH ROW EXECUTE FUNCTION stay(); -- finds: 1 row of public.visits was left without 1 row of public.users: the trigger stay of public.visits cancels ON DELETE CASCADE

-- neighbour: a key that is NOT ENFORCED does nothing that could be cancelled
CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users ON DELETE CASCADE NOT ENFORCED);
INSERT INTO orders VALUES (1, 9);
CREATE TRIGGER stay BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION stay();
