-- depth: catalog
-- a trigger of a partitioned table that is off on one partition (its copies count as internal before 15)
CREATE TABLE accounts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE accounts_1 PARTITION OF accounts FOR VALUES FROM (0) TO (100);
CREATE TABLE accounts_2 PARTITION OF accounts FOR VALUES FROM (100) TO (200);
CREATE TABLE balances (account_id int PRIMARY KEY REFERENCES accounts);
CREATE FUNCTION open_account() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO balances VALUES (NEW.id); RETURN NULL; END';
CREATE TRIGGER open_account AFTER INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION open_account(); -- finds: The trigger open_account of public.accounts_2, which keeps public.balances in step, is disabled
ALTER TABLE accounts_2 DISABLE TRIGGER open_account;
-- neighbours: on everywhere; and off where it is about something else
CREATE TABLE orders (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100);
CREATE TABLE invoices (order_id int PRIMARY KEY REFERENCES orders);
CREATE FUNCTION open_order() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO invoices VALUES (NEW.id); RETURN NULL; END';
CREATE TRIGGER open_order AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION open_order();
CREATE TRIGGER other AFTER INSERT ON orders_1 FOR EACH ROW EXECUTE FUNCTION open_account();
ALTER TABLE orders_1 DISABLE TRIGGER other;
