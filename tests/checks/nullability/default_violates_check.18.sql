CREATE TABLE rooms (id int PRIMARY KEY);
INSERT INTO rooms VALUES (1);
CREATE TABLE virtual_too (n int DEFAULT 0 CHECK (n > 0), m int GENERATED ALWAYS AS (0) VIRTUAL CHECK (m > 5)); -- finds: The DEFAULT of public.virtual_too.n fails the CHECK virtual_too_n_check: 0

-- neighbours
CREATE TABLE told_only (n int DEFAULT 0 CHECK (n > 0) NOT ENFORCED, room int DEFAULT 9 REFERENCES rooms NOT ENFORCED);
