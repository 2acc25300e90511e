-- Sequences may be unlogged by themselves.
CREATE SCHEMA app;
CREATE TABLE app.orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY); -- finds: A crash sets the unlogged sequence app.orders_id_seq, which feeds app.orders.id, back to its start
ALTER SEQUENCE app.orders_id_seq SET UNLOGGED;
CREATE UNLOGGED SEQUENCE app.both;
CREATE TABLE app.a (id int PRIMARY KEY DEFAULT nextval('app.both')); -- finds: A crash sets the unlogged sequence app."both", which feeds app.a.id, back to its start
CREATE UNLOGGED TABLE app.b (id int PRIMARY KEY DEFAULT nextval('app.both'));

-- neighbours
CREATE UNLOGGED SEQUENCE app.nobody;
CREATE UNLOGGED TABLE app.staging (id serial PRIMARY KEY);
CREATE TABLE app.fine (id serial PRIMARY KEY);
