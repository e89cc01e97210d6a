-- Puts one row in the place of all changes of each total that are committed and not being folded by someone else.
-- Returns how many rows that saved.
CREATE OR REPLACE FUNCTION fold_queue_totals() RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    saved integer;
BEGIN
    WITH taken AS (
        DELETE FROM queue_total WHERE id IN (SELECT id FROM queue_total ORDER BY id FOR UPDATE SKIP LOCKED)
        RETURNING name, n
    ), folded AS (
        INSERT INTO queue_total (name, n) SELECT name, sum(n) FROM taken GROUP BY name HAVING sum(n) <> 0 RETURNING 1
    )
    SELECT (SELECT count(*) FROM taken) - (SELECT count(*) FROM folded) INTO saved;
    RETURN saved;
END $$;
