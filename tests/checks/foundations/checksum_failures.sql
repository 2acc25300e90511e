-- A script damages no page: tests/test_foundations.py does. On a healthy server there is nothing to find.
CREATE SCHEMA app;
CREATE TABLE app.t (id int PRIMARY KEY);
INSERT INTO app.t SELECT generate_series(1, 1000);
