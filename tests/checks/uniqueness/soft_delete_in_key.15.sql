-- NULL equals NULL: live rows are kept apart
CREATE TABLE members (id int PRIMARY KEY, email text, deleted_at timestamptz, UNIQUE NULLS NOT DISTINCT (email, deleted_at));
INSERT INTO members VALUES (1, 'a', NULL), (2, 'b', NULL), (3, 'a', now());
CREATE TABLE guests (id int PRIMARY KEY, email text NOT NULL, deleted_at timestamptz, UNIQUE NULLS DISTINCT (email, deleted_at)); -- finds: 2 live rows of public.guests share 1 value of email: deleted_at is part of the unique key, and NULL
INSERT INTO guests VALUES (1, 'a', NULL), (2, 'a', NULL);
