-- A small shop with a defect of every kind of wording. The login `auditor_reader` may not read shop.payments.
DO $$
BEGIN
    CREATE ROLE auditor_reader LOGIN PASSWORD 'reader';
EXCEPTION WHEN duplicate_object THEN
    NULL;
END
$$;
CREATE SCHEMA shop;
CREATE TABLE shop.customers (id int PRIMARY KEY, email text NOT NULL);
INSERT INTO shop.customers SELECT n, 'customer' || n || '@example.com' FROM generate_series(1, 40) AS n;
CREATE TABLE shop.orders (id int PRIMARY KEY, customer_id int, placed_at date);
INSERT INTO shop.orders SELECT n, CASE WHEN n % 25 = 0 THEN 900 + n ELSE n % 40 + 1 END FROM generate_series(1, 300) AS n;
ALTER TABLE shop.orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES shop.customers NOT VALID;
CREATE TABLE shop.addresses (
    id int PRIMARY KEY,
    customer_id int NOT NULL REFERENCES shop.customers ON DELETE SET NULL,
    city text
);
INSERT INTO shop.addresses SELECT n, n, 'Lyon' FROM generate_series(1, 7) AS n;
CREATE TABLE shop.reviews (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES shop.customers ON DELETE SET NULL);
-- not proven by a foreign key: the configuration says so
CREATE TABLE shop.visits (id int PRIMARY KEY, visitor int, referrer text);
INSERT INTO shop.visits VALUES (1, 1, NULL), (2, 4000, 'https://example.com'), (3, NULL, NULL);
CREATE TABLE shop.payments (id int PRIMARY KEY, order_id int);
ALTER TABLE shop.payments ADD CONSTRAINT payments_order FOREIGN KEY (order_id) REFERENCES shop.orders NOT VALID;
CREATE TABLE shop.refunds (id int PRIMARY KEY, payment_id int);
ALTER TABLE shop.refunds ADD CONSTRAINT refunds_payment FOREIGN KEY (payment_id) REFERENCES shop.payments NOT VALID;
CREATE TABLE shop.invoices (id int PRIMARY KEY, order_id int REFERENCES shop.orders);
-- accepted in the configuration
CREATE TABLE shop.drafts (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES shop.customers ON DELETE SET NULL);
GRANT USAGE ON SCHEMA shop TO auditor_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO auditor_reader;
REVOKE SELECT ON shop.payments FROM auditor_reader;
