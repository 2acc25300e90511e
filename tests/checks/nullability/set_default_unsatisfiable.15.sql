-- Lists: only the columns that they name are set.
CREATE TABLE rooms (tenant int, id int, PRIMARY KEY (tenant, id));
INSERT INTO rooms VALUES (1, 0), (1, 1), (2, 1);
CREATE TABLE beds (tenant int NOT NULL, room int NOT NULL, FOREIGN KEY (tenant, room) REFERENCES rooms ON DELETE SET DEFAULT (room)); -- finds: 1 of 3 rows of public.rooms cannot be deleted: public.beds.room has no default and is NOT NULL, but ON DELETE SET DEFAULT
INSERT INTO beds VALUES (1, 1);
CREATE TABLE desks (tenant int NOT NULL, room int DEFAULT 7, FOREIGN KEY (tenant, room) REFERENCES rooms ON DELETE SET DEFAULT (room)); -- finds: Rows of public.rooms cannot be deleted once referenced: the default of public.desks.room, 7, is no row of public.rooms, but ON DELETE SET DEFAULT
CREATE TABLE lamps (tenant int, room int, FOREIGN KEY (tenant, room) REFERENCES rooms MATCH FULL ON DELETE SET DEFAULT (room)); -- finds: Rows of public.rooms cannot be deleted once referenced: public.lamps.room has no default and is set to NULL beside columns that are not, which MATCH FULL forbids, but ON DELETE SET DEFAULT
CREATE TABLE locks (tenant int NOT NULL, room int, FOREIGN KEY (tenant, room) REFERENCES rooms ON DELETE SET DEFAULT (room) ON UPDATE SET DEFAULT); -- finds: Rows of public.rooms cannot be deleted or re-keyed once referenced: public.locks.tenant has no default and is NOT NULL, but ON DELETE SET DEFAULT and ON UPDATE SET DEFAULT

-- neighbours: a default that some tenant has, a column that takes NULL
CREATE TABLE chairs (tenant int NOT NULL, room int DEFAULT 0, FOREIGN KEY (tenant, room) REFERENCES rooms ON DELETE SET DEFAULT (room));
CREATE TABLE doors (tenant int NOT NULL, room int, FOREIGN KEY (tenant, room) REFERENCES rooms ON DELETE SET DEFAULT (room));
CREATE TABLE single (room int UNIQUE NULLS NOT DISTINCT, tenant int, FOREIGN KEY (tenant, room) REFERENCES rooms ON DELETE SET DEFAULT (room));
