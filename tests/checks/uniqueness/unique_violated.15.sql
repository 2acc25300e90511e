-- depth: full
CREATE TABLE slots (id int PRIMARY KEY, a int, b int CONSTRAINT slots_b UNIQUE NULLS NOT DISTINCT); -- finds: 2 rows of public.slots share 1 value of b, which the valid unique constraint slots_b forbids
UPDATE pg_index SET indisready = false WHERE indexrelid = 'slots_b'::regclass;
INSERT INTO slots VALUES (1, 1, NULL), (2, 1, NULL), (3, 1, 1);
UPDATE pg_index SET indisready = true WHERE indexrelid = 'slots_b'::regclass;
