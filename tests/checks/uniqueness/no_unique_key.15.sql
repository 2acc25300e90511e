CREATE TABLE a (id int, UNIQUE NULLS NOT DISTINCT (id));
CREATE TABLE b (line text); -- finds: public.b has no key: nothing tells one of its rows from another
